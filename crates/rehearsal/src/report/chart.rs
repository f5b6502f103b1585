//! One chart over time, as inline SVG: axes, steps, lines, what was done to the instance, and a word for each moment. Drawn
//! twice, for wide and for narrow pages, so that its letters are legible on both. It never decides what is shown.

use super::scale::{TimeScale, ValueScale};
use maud::{Markup, html};
use std::fmt::Write;

pub(super) struct TimeChart<'a> {
    pub(super) title: &'static str,
    /// The unit of its values, such as "per second".
    pub(super) unit: &'static str,
    /// What it shows, in a sentence for those who do not see it.
    pub(super) summary: String,
    pub(super) time: TimeScale,
    pub(super) scale: ValueScale,
    pub(super) layers: Vec<ChartLayer>,
    pub(super) marks: &'a ChartMarks,
    /// The tooltip of a moment.
    pub(super) tips: Vec<ChartTooltip>,
}

/// One row of values.
pub(super) struct ChartLayer {
    /// Its name in the legend.
    pub(super) name: &'static str,
    /// Its class, which gives it colour and pattern.
    pub(super) class: &'static str,
    pub(super) shape: LayerShape,
}

/// How it is drawn.
pub(super) enum LayerShape {
    /// Steps from one value up to another, one after the other.
    Steps(Vec<ChartStep>),
    /// A line from point to point; where there is no value, it is broken.
    Line(Vec<(i64, Option<f64>)>),
}

/// From one moment to another, between two values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ChartStep {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// The tooltip of a time from one moment to another.
pub(super) struct ChartTooltip {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    pub(super) text: String,
}

/// Marks across all charts: the sale's start, and what was done to the instance.
pub(super) struct ChartMarks {
    pub(super) lines: Vec<ChartMark>,
    /// Times during which something was wrong.
    pub(super) bands: Vec<(i64, i64)>,
    /// Whether there are so many that lines across the charts would hide them.
    pub(super) is_dense: bool,
}

/// A moment with a name.
pub(super) struct ChartMark {
    pub(super) at_ms: i64,
    pub(super) label: String,
    pub(super) tooltip: String,
    /// Whether it is the sale's start, or something that was done to the instance.
    pub(super) is_start: bool,
}

/// The measures of a drawing, in its own units: those of letters of 12.
struct ChartFrame {
    class: &'static str,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    time_ticks: i64,
    has_tips: bool,
}

const WIDE: ChartFrame = ChartFrame {
    class: "wide",
    width: 900.0,
    height: 244.0,
    left: 60.0,
    right: 12.0,
    top: 38.0,
    bottom: 26.0,
    time_ticks: 11,
    has_tips: true,
};
const NARROW: ChartFrame = ChartFrame {
    class: "narrow",
    width: 380.0,
    height: 244.0,
    left: 52.0,
    right: 12.0,
    top: 38.0,
    bottom: 26.0,
    time_ticks: 5,
    // A touch screen has no pointer to hover with, and the page stays small enough to be mailed.
    has_tips: false,
};

/// The width of a letter of a mark's word, rather more than less.
const LETTER: f64 = 7.2;
/// Rows for the words of marks, above each other, and their distance.
const WORD_ROWS: u8 = 2;
const WORD_ROW: f64 = 14.0;

impl TimeChart<'_> {
    /// The chart with its heading and legend.
    pub(super) fn figure(&self) -> Markup {
        html! {
            figure.chart {
                figcaption {
                    strong { (self.title) } " " span.unit { (self.unit) }
                    @if self.layers.len() > 1 {
                        ul.legend {
                            @for layer in &self.layers { li { (layer.swatch()) (layer.name) } }
                        }
                    }
                }
                (self.svg(&WIDE))
                (self.svg(&NARROW))
            }
        }
    }

    fn svg(&self, frame: &ChartFrame) -> Markup {
        let label = format!("{}, {}. {}", self.title, self.unit, self.summary);
        html! {
            svg class=(frame.class) viewBox={ "0 0 " (frame.width) " " (frame.height) } role="img" aria-label=(label) {
                (self.grid(frame))
                @for (from, to) in &self.marks.bands {
                    @let (from, to) = (self.x(frame, *from), self.x(frame, *to));
                    rect.band x=(px(from)) y=(px(frame.top)) width=(px((to - from).max(1.0))) height=(px(frame.inner())) {}
                }
                @for layer in &self.layers {
                    path class=(layer.class) d=(self.path(frame, &layer.shape)) {}
                }
                path.axis d={ "M" (px(frame.left)) " " (px(frame.floor())) "H" (px(frame.width - frame.right)) } {}
                @if frame.has_tips { (self.tipped(frame)) }
                (self.marked(frame))
            }
        }
    }

    fn grid(&self, frame: &ChartFrame) -> Markup {
        html! {
            @for (value, label) in self.scale.ticks() {
                @let y = self.y(frame, value);
                path.grid d={ "M" (px(frame.left)) " " (px(y)) "H" (px(frame.width - frame.right)) } {}
                text.value x=(px(frame.left - 8.0)) y=(px(y + 4.0)) { (label) }
            }
            @for (at, label) in self.time.ticks(frame.time_ticks) {
                @let x = self.x(frame, at);
                path.grid d={ "M" (px(x)) " " (px(frame.floor())) "v5" } {}
                text class=(anchor(frame, x)) x=(px(x)) y=(px(frame.height - 6.0)) { (label) }
            }
        }
    }

    fn marked(&self, frame: &ChartFrame) -> Markup {
        let mut taken = Vec::new();
        html! {
            @for mark in &self.marks.lines {
                @let x = self.x(frame, mark.at_ms);
                @let is_short = self.marks.is_dense && !mark.is_start;
                @let to = if is_short { frame.top } else { frame.floor() };
                @let line = format!("M{} {}V{}", px(x), px(frame.top - 6.0), px(to));
                g class={ "mark " @if mark.is_start { "start-mark" } @else { "fault-mark" } } {
                    title { (mark.tooltip) }
                    @if !is_short { path.halo d=(line) {} }
                    path d=(line) {}
                    @if let Some(place) = find_label_position(frame, &mut taken, x, &mark.label) {
                        text class=(place.anchor) x=(px(place.x)) y=(px(frame.top - 10.0 - f64::from(place.row) * WORD_ROW)) {
                            (mark.label)
                        }
                    }
                }
            }
        }
    }

    fn tipped(&self, frame: &ChartFrame) -> Markup {
        html! {
            @for tip in &self.tips {
                @let (from, to) = (self.x(frame, tip.from_ms), self.x(frame, tip.to_ms));
                rect.tip x=(px(from)) y=(px(frame.top)) width=(px((to - from).max(0.5))) height=(px(frame.inner())) {
                    title { (tip.text) }
                }
            }
        }
    }

    fn path(&self, frame: &ChartFrame, shape: &LayerShape) -> String {
        match shape {
            LayerShape::Steps(steps) => self.steps(frame, steps),
            LayerShape::Line(points) => self.line(frame, points),
        }
    }

    /// One closed outline for each run of steps without a gap: to the right along the upper values, back along the lower.
    fn steps(&self, frame: &ChartFrame, steps: &[ChartStep]) -> String {
        let steps = joined(steps);
        let mut path = String::new();
        for run in steps.chunk_by(|before, after| before.to_ms == after.from_ms) {
            let _ = write!(path, "M{} {}", px(self.x(frame, run[0].from_ms)), px(self.y(frame, run[0].low)));
            for step in run {
                let (x, y) = (self.x(frame, step.to_ms), self.y(frame, step.high));
                let _ = write!(path, "V{}H{}", px(y), px(x));
            }
            for step in run.iter().rev() {
                let (x, y) = (self.x(frame, step.from_ms), self.y(frame, step.low));
                let _ = write!(path, "V{}H{}", px(y), px(x));
            }
            path.push('Z');
        }
        path
    }

    fn line(&self, frame: &ChartFrame, points: &[(i64, Option<f64>)]) -> String {
        let mut path = String::new();
        for run in points.split(|(_, value)| value.is_none()).filter(|run| !run.is_empty()) {
            for (index, (at, value)) in run.iter().enumerate() {
                let (x, y) = (self.x(frame, *at), self.y(frame, value.unwrap_or_default()));
                let _ = write!(path, "{}{} {}", if index == 0 { 'M' } else { 'L' }, px(x), px(y));
            }
            // One point alone is a dot, which the round end of the line makes visible.
            if run.len() == 1 {
                path.push_str("h.1");
            }
        }
        path
    }

    fn x(&self, frame: &ChartFrame, at_ms: i64) -> f64 {
        frame.left + self.time.position(at_ms) * (frame.width - frame.left - frame.right)
    }

    fn y(&self, frame: &ChartFrame, value: f64) -> f64 {
        frame.floor() - self.scale.position(value) * frame.inner()
    }
}

impl ChartLayer {
    fn swatch(&self) -> Markup {
        html! {
            svg.swatch viewBox="0 0 26 12" aria-hidden="true" {
                @match self.shape {
                    LayerShape::Steps(_) => { rect class=(self.class) width="26" height="12" {} },
                    LayerShape::Line(_) => { path class=(self.class) d="M2 6H24" {} },
                }
            }
        }
    }
}

impl ChartFrame {
    fn floor(&self) -> f64 {
        self.height - self.bottom
    }

    fn inner(&self) -> f64 {
        self.floor() - self.top
    }
}

/// Adjacent slots with the same value become one step, so that paths stay short.
fn joined(steps: &[ChartStep]) -> Vec<ChartStep> {
    let mut out: Vec<ChartStep> = Vec::with_capacity(steps.len());
    for step in steps {
        match out.last_mut() {
            Some(last) if last.to_ms == step.from_ms && (last.low, last.high) == (step.low, step.high) => {
                last.to_ms = step.to_ms;
            }
            _ => out.push(*step),
        }
    }
    out
}

/// The position of a mark's label.
#[derive(Debug, PartialEq)]
struct LabelPosition {
    x: f64,
    anchor: &'static str,
    row: u8,
}

/// A position for a mark's label where it touches no other; `None` if there is none, or no label.
fn find_label_position(
    frame: &ChartFrame,
    taken: &mut Vec<(u8, f64, f64)>,
    x: f64,
    word: &str,
) -> Option<LabelPosition> {
    let width = word.chars().count() as f64 * LETTER;
    for row in 0..WORD_ROWS {
        for (from, to, anchor) in [(x - 1.0, x - 1.0 + width, "start"), (x + 1.0 - width, x + 1.0, "end")] {
            let is_free = |(other, start, end): &(u8, f64, f64)| {
                *other != row || to + 6.0 < *start || from > *end + 6.0
            };
            if width > 0.0 && from >= 0.0 && to <= frame.width && taken.iter().all(is_free) {
                taken.push((row, from, to));
                return Some(LabelPosition { x: if anchor == "start" { from } else { to }, anchor, row });
            }
        }
    }
    None
}

/// The alignment of a label under the axis: never beyond the drawing's edge.
fn anchor(frame: &ChartFrame, x: f64) -> &'static str {
    match x {
        x if x + 24.0 > frame.width => "end",
        _ => "middle",
    }
}

/// A coordinate with one digit behind the point at most.
fn px(value: f64) -> String {
    super::format::short(value, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(from_ms: i64, to_ms: i64, low: f64, high: f64) -> ChartStep {
        ChartStep { from_ms, to_ms, low, high }
    }

    fn chart(layers: Vec<ChartLayer>, marks: &ChartMarks) -> TimeChart<'_> {
        TimeChart {
            title: "Line",
            unit: "people",
            summary: "Empty.".to_owned(),
            time: TimeScale::new(0, 100),
            scale: ValueScale::Linear { max: 10.0, step: 5.0 },
            layers,
            marks,
            tips: Vec::new(),
        }
    }

    const NO_MARKS: ChartMarks = ChartMarks { lines: Vec::new(), bands: Vec::new(), is_dense: false };
    const FRAME: ChartFrame =
        ChartFrame { width: 100.0, height: 10.0, left: 0.0, right: 0.0, top: 0.0, bottom: 0.0, ..WIDE };

    #[test]
    fn steps_close_each_run_and_leave_gaps_open() {
        let steps =
            [step(0, 10, 0.0, 5.0), step(10, 20, 0.0, 5.0), step(20, 30, 1.0, 2.0), step(50, 60, 0.0, 1.0)];
        let path = chart(Vec::new(), &NO_MARKS).steps(&FRAME, &steps);
        assert_eq!(path, "M0 10V5H20V8H30V9H20V10H0ZM50 10V9H60V10H50Z");
    }

    #[test]
    fn a_line_is_broken_where_nothing_was_measured_and_a_lone_value_is_a_dot() {
        let points = [(0, Some(0.0)), (10, Some(10.0)), (20, None), (30, Some(5.0))];
        assert_eq!(chart(Vec::new(), &NO_MARKS).line(&FRAME, &points), "M0 10L10 0M30 5h.1");
    }

    #[test]
    fn words_of_marks_never_touch() {
        let mut taken = Vec::new();
        let placed = (0..60)
            .filter(|at| find_label_position(&WIDE, &mut taken, f64::from(at * 15), "killed").is_some())
            .count();
        assert!((10..50).contains(&placed), "{placed}");
        taken.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut rows = taken.chunk_by(|a, b| a.0 == b.0);
        assert!(rows.all(|row| row.windows(2).all(|pair| pair[0].2 < pair[1].1)), "{taken:?}");
        let at_the_edge =
            find_label_position(&NARROW, &mut Vec::new(), 379.0, "killed").expect("there is space");
        assert_eq!((at_the_edge.anchor, at_the_edge.row), ("end", 0));
        assert_eq!(find_label_position(&NARROW, &mut Vec::new(), 100.0, ""), None);
    }
}
