//! The live view as lines of text, none longer than the terminal is wide. It never touches the terminal.

use crate::judge::StockSample;
use crate::report::format::{count, moment, percent, printable, span_ms};
use crate::report::{InjectedFault, RunProgress};
use console::{Style, measure_text_width, truncate_str};

/// Codes of refusals that are shown.
const CODES_MAX: usize = 6;
/// Columns before what is shown of something.
const HEAD_WIDTH: usize = 12;

/// Where a unit is: name, glyph and colour. Each differs from the others without colours too.
const STOCK_SEGMENTS: [StockSegment; 4] = [
    StockSegment { name: "sold", glyph: "█", style: Style::new().blue() },
    StockSegment { name: "in carts", glyph: "▓", style: Style::new().yellow() },
    StockSegment { name: "admitted", glyph: "▒", style: Style::new().green() },
    StockSegment { name: "available", glyph: "░", style: Style::new() },
];

struct StockSegment {
    name: &'static str,
    glyph: &'static str,
    style: Style,
}

pub(super) fn lines(progress: &RunProgress, width: usize, is_coloured: bool) -> Vec<String> {
    let ink = ScreenStyle { width, is_coloured };
    let mut lines = vec![ink.title(progress)];
    if progress.people > 0 {
        lines.push(ink.arrivals(progress));
    }
    if let Some(units) = &progress.stock {
        lines.push(ink.row("line", &format!("{} waiting", count(u64::from(units.waiting)))));
        lines.push(ink.row("stock", &ink.stock(units)));
        lines.extend(ink.legend(units).iter().map(|line| ink.row("", line)));
    }
    if progress.requests.sent > 0 {
        lines.push(ink.row("speed", &ink.speed(progress)));
        lines.push(ink.row("requests", &ink.requests(progress)));
        lines.push(ink.row("refused", &ink.refusals(progress)));
    }
    lines.iter().map(|line| truncate_str(line, width, "…").into_owned()).collect()
}

/// One line about something that was done to the instance.
pub(super) fn fault_line(
    fault: &InjectedFault,
    since_start_ms: Option<i64>,
    width: usize,
    is_coloured: bool,
) -> String {
    let ink = ScreenStyle { width, is_coloured };
    let style = if fault.sort.is_harm() { Style::new().red() } else { Style::new().green() };
    let at = since_start_ms.map_or("fault".to_owned(), |ms| moment(ms / 100 * 100));
    let line = format!(
        "  {}{}",
        ink.faint(&format!("{at:<HEAD_WIDTH$}")),
        ink.paint(style, &printable(&fault.what))
    );
    truncate_str(&line, width, "…").into_owned()
}

struct ScreenStyle {
    width: usize,
    is_coloured: bool,
}

impl ScreenStyle {
    fn title(&self, progress: &RunProgress) -> String {
        let phase = self.paint(Style::new().bold(), progress.phase);
        let Some(since_start_ms) = progress.since_start_ms else {
            return format!("  {phase}");
        };
        // Tenths would only flicker after a minute.
        let step_ms = if since_start_ms.abs() < 60_000 { 100 } else { 1_000 };
        let text = if since_start_ms < 0 {
            format!("starts in {}", moment(-since_start_ms / step_ms * step_ms))
        } else {
            format!("{} since the start", moment(since_start_ms / step_ms * step_ms))
        };
        let gap =
            self.width.saturating_sub(2 + measure_text_width(progress.phase) + measure_text_width(&text));
        format!("  {phase}{}{}", " ".repeat(gap.max(2)), self.faint(&text))
    }

    fn arrivals(&self, progress: &RunProgress) -> String {
        let of = count(progress.people);
        let text = format!(
            " {:>at$} of {of} came, {:>at$} done",
            count(progress.arrived),
            count(progress.gone),
            at = of.len()
        );
        let length = self.width.saturating_sub(2 + HEAD_WIDTH + measure_text_width(&text));
        // A bar that is too short shows nothing.
        if length < 8 {
            let came = percent(progress.arrived, progress.people);
            return self.row("arrived", &format!("{} of {of} ({came})", count(progress.arrived)));
        }
        let full = cell_count(progress.arrived, progress.people, length);
        let bar =
            self.paint(Style::new().cyan(), &"█".repeat(full)) + &self.faint(&"░".repeat(length - full));
        self.row("arrived", &format!("{bar}{text}"))
    }

    /// The units as one bar, as long as the line.
    fn stock(&self, units: &StockSample) -> String {
        let length = self.width.saturating_sub(2 + HEAD_WIDTH);
        let counts = segment_counts(units);
        let lengths = split_cells(counts, length);
        let bar = STOCK_SEGMENTS.into_iter().zip(lengths);
        bar.map(|(place, length)| self.paint(place.style, &place.glyph.repeat(length))).collect()
    }

    /// In one line if it fits, otherwise in two.
    fn legend(&self, units: &StockSample) -> Vec<String> {
        let entries = STOCK_SEGMENTS.into_iter().zip(segment_counts(units)).map(|(place, number)| {
            format!("{} {} {}", self.paint(place.style, place.glyph), place.name, count(number))
        });
        let entries: Vec<String> = entries.collect();
        let line = entries.join("  ");
        if 2 + HEAD_WIDTH + measure_text_width(&line) <= self.width {
            return vec![line];
        }
        entries.chunks(2).map(|half| half.join("  ")).collect()
    }

    fn speed(&self, progress: &RunProgress) -> String {
        let RunProgress { per_second, p50_ms, p99_ms, .. } = progress;
        format!(
            "{:>7} replies/s   p50 {:>7}   p99 {:>7}",
            count(*per_second),
            span_ms(*p50_ms),
            span_ms(*p99_ms)
        )
    }

    fn requests(&self, progress: &RunProgress) -> String {
        let requests = &progress.requests;
        let unanswered = format!("{} unanswered", count(requests.unanswered));
        let unanswered =
            if requests.unanswered > 0 { self.paint(Style::new().red(), &unanswered) } else { unanswered };
        let text =
            format!("{} sent   {} answered   {unanswered}", count(requests.sent), count(requests.answered));
        // What was answered is the rest.
        if 2 + HEAD_WIDTH + measure_text_width(&text) <= self.width {
            return text;
        }
        format!("{} sent   {unanswered}", count(requests.sent))
    }

    /// As many codes as fit, and how many more there are.
    fn refusals(&self, progress: &RunProgress) -> String {
        let width_left = self.width.saturating_sub(2 + HEAD_WIDTH);
        let mut text = String::new();
        for (index, refusal) in progress.refusals.iter().enumerate() {
            let entry = format!("{} {}", printable(&refusal.name), count(refusal.count));
            let left = progress.refusals.len() - index;
            let rest = if left > 1 { 3 + 8 } else { 0 };
            if index >= CODES_MAX || text.len() + 3 + entry.len() + rest > width_left {
                text.push_str(&format!("{}+{left} more", if text.is_empty() { "" } else { "   " }));
                return text;
            }
            if index > 0 {
                text.push_str("   ");
            }
            text.push_str(&entry);
        }
        if text.is_empty() { "none".to_owned() } else { text }
    }

    fn row(&self, head: &str, text: &str) -> String {
        format!("  {}{text}", self.faint(&format!("{head:<HEAD_WIDTH$}")))
    }

    fn faint(&self, text: &str) -> String {
        self.paint(Style::new().dim(), text)
    }

    fn paint(&self, style: Style, text: &str) -> String {
        style.force_styling(self.is_coloured).apply_to(text).to_string()
    }
}

fn segment_counts(units: &StockSample) -> [u64; STOCK_SEGMENTS.len()] {
    [units.sold, units.held, units.admitted, units.available].map(u64::from)
}

/// Cells of a bar, so that together they fill it and whatever is there at all has one.
fn split_cells(counts: [u64; STOCK_SEGMENTS.len()], length: usize) -> [usize; STOCK_SEGMENTS.len()] {
    let whole: u64 = counts.iter().sum();
    let mut cells = counts.map(|count| if count > 0 { cell_count(count, whole, length).max(1) } else { 0 });
    while whole > 0 && cells.iter().sum::<usize>() != length {
        let sum = cells.iter().sum::<usize>();
        let Some(longest) = (0..cells.len()).max_by_key(|index| cells[*index]) else { break };
        if sum > length && cells[longest] <= 1 {
            break;
        }
        cells[longest] = if sum > length { cells[longest] - 1 } else { cells[longest] + 1 };
    }
    cells
}

/// So many cells of a bar.
fn cell_count(count: u64, whole: u64, length: usize) -> usize {
    let cells = u128::from(count.min(whole)) * length as u128 / u128::from(whole.max(1));
    usize::try_from(cells).unwrap_or(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{FaultKind, NamedCount, RequestCounts};

    fn in_full_swing() -> RunProgress {
        let refusal = |name: &str, count| NamedCount { name: name.to_owned(), count };
        RunProgress {
            now_ms: 14_440,
            since_start_ms: Some(12_440),
            phase: "on sale",
            people: 100_000,
            arrived: 64_213,
            gone: 12_001,
            stock: Some(StockSample {
                at_ms: 14_440,
                version: 1_200,
                quantity: 1_000,
                available: 200,
                admitted: 58,
                held: 230,
                sold: 512,
                waiting: 12_345,
            }),
            requests: RequestCounts {
                sent: 512_000,
                answered: 511_230,
                unanswered: 12,
                lost: 3,
                open: 755,
                repeated: 40,
            },
            per_second: 41_230,
            p50_ms: 3.2,
            p99_ms: 41.25,
            refusals: vec![
                refusal("sold_out", 120_004),
                refusal("all_held", 3_201),
                refusal("limit_reached", 412),
                refusal("not_admitted", 90),
                refusal("unavailable", 14),
                refusal("order_expired", 3),
                refusal("timeout", 1),
            ],
            faults: Vec::new(),
        }
    }

    #[test]
    fn the_view_in_full_swing_at_80_columns() {
        let expected = "
  on sale                                                 12.4 s since the start
  arrived     █████████████████░░░░░░░░░░░  64,213 of 100,000 came,  12,001 done
  line        12,345 waiting
  stock       ███████████████████████████████████▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▒▒▒░░░░░░░░░░░░░
              █ sold 512  ▓ in carts 230  ▒ admitted 58  ░ available 200
  speed        41,230 replies/s   p50  3.2 ms   p99 41.2 ms
  requests    512,000 sent   511,230 answered   12 unanswered
  refused     sold_out 120,004   all_held 3,201   limit_reached 412   +4 more";
        assert_eq!(format!("\n{}", lines(&in_full_swing(), 80, false).join("\n")), expected);
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_is_wide() {
        let mut busy = in_full_swing();
        (busy.people, busy.arrived, busy.gone) = (2_000_000, 2_000_000, 1_999_999);
        (busy.per_second, busy.requests.sent) = (1_234_567, 1_234_567_890);
        busy.refusals[0].name = "a_code_with_a_very_long_name_that_nobody_has_thought_of_yet".to_owned();
        let long = InjectedFault { at_ms: 1, sort: FaultKind::Killed, what: "killed ".repeat(40) };
        for progress in [in_full_swing(), busy, RunProgress { phase: "preparing", ..RunProgress::default() }]
        {
            for width in [20, 40, 60, 80, 120] {
                for is_coloured in [false, true] {
                    let mut all = lines(&progress, width, is_coloured);
                    all.push(fault_line(&long, Some(-1), width, is_coloured));
                    for line in all {
                        assert!(measure_text_width(&line) <= width, "{width}: {line}");
                        assert!(!line.contains('\n') && (is_coloured || !line.contains('\u{1b}')), "{line}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_time_until_the_start_is_shown_before_it() {
        let before = RunProgress {
            phase: "the crowd gathers",
            since_start_ms: Some(-3_240),
            ..RunProgress::default()
        };
        assert_eq!(
            lines(&before, 60, false),
            ["  the crowd gathers                          starts in 3.2 s"]
        );
        let preparing = RunProgress { phase: "preparing", ..RunProgress::default() };
        assert_eq!(lines(&preparing, 60, false), ["  preparing"]);
    }

    #[test]
    fn a_bar_is_full_and_shows_whatever_is_there() {
        assert_eq!(split_cells([1, 0, 1, 99_998], 40), [1, 0, 1, 38]);
        assert_eq!(split_cells([0, 0, 0, 0], 40), [0, 0, 0, 0]);
        assert_eq!(
            split_cells([5, 5, 5, 5], 2).iter().filter(|cells| **cells == 1).count(),
            4,
            "too short to be right"
        );
        assert_eq!(split_cells([3, 3, 3, 0], 10).iter().sum::<usize>(), 10);
    }
}
