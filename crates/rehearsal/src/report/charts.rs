//! Which charts the page has: from the report's timeline, stock and faults to layers of values. It never draws.

use super::chart::{ChartLayer, ChartMark, ChartMarks, ChartStep, ChartTooltip, LayerShape, TimeChart};
use super::format::{count, moment, rate, span_ms};
use super::scale::{TimeScale, ValueScale};
use super::{InjectedFault, RehearsalReport, TimelineSlot};
use crate::judge::StockSample;
use maud::{Markup, html};

/// Steps of a vertical axis, about.
const VALUE_STEPS: f64 = 4.0;
/// Moments of one chart that can be pointed at: more cannot be hit.
const TIPS_MAX: usize = 120;
/// Faults that are drawn across the charts; of more, only the upper ends are.
const MARKS_MAX: usize = 24;
/// Observations of the stock that are drawn and shown: more do not fit side by side.
pub(super) const STOCK_SHOWN: usize = 600;

/// A name, a class, and how the value is found.
type ChartSeries<From, Value> = (&'static str, &'static str, fn(&From) -> Value);

/// All charts over time.
pub(super) fn charts(report: &RehearsalReport) -> Markup {
    let (time, marks) = (time_axis(report), chart_marks(report));
    let slots = SlotCharts { report, time, marks: &marks };
    let stock = StockCharts { report, time, marks: &marks, seen: thin_samples(&report.stock) };
    let has_requests = report.timeline.iter().any(|slot| slot.sent > 0 || slot.arrivals > 0);
    html! {
        @if has_requests {
            (slots.arrivals().figure())
            (slots.throughput().figure())
            @if let Some(chart) = slots.latency() { (chart.figure()) }
        } @else {
            p.none { "No request was sent, so there is nothing to draw over time." }
        }
        @if !stock.seen.is_empty() {
            @if stock.seen.iter().any(|units| units.waiting > 0) {
                (stock.line().figure())
            } @else {
                p.none { "Nobody was seen waiting in line." }
            }
            (stock.units().figure())
        } @else {
            p.none { "The instance never told where its units were." }
        }
    }
}

/// Milliseconds since the rehearsal began, from the sale's start.
pub(super) fn since_start(report: &RehearsalReport, at_ms: u64) -> i64 {
    let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX / 2);
    ms(at_ms).saturating_sub(ms(report.start_ms))
}

/// At most [`STOCK_SHOWN`] of the observations, evenly, the last one among them.
pub(super) fn thin_samples(stock: &[StockSample]) -> Vec<StockSample> {
    let every = stock.len().div_ceil(STOCK_SHOWN).max(1);
    let mut seen: Vec<StockSample> = stock.iter().rev().step_by(every).copied().collect();
    seen.reverse();
    seen
}

/// From the first thing that happened to the last; the time before, in which the stage is set, is left out.
fn time_axis(report: &RehearsalReport) -> TimeScale {
    let busy =
        |slot: &&TimelineSlot| slot.arrivals + slot.sent + slot.accepted + slot.refused + slot.unanswered > 0;
    let firsts = [
        report.timeline.iter().find(busy).map(|slot| slot.at_ms),
        report.stock.first().map(|units| units.at_ms),
        report.faults.first().map(|fault| fault.at_ms),
    ];
    let lasts = [
        report.timeline.iter().rev().find(busy).map(|slot| slot.at_ms + report.slot_ms),
        report.stock.last().map(|units| units.at_ms),
        report.faults.last().map(|fault| fault.at_ms),
    ];
    let from = firsts.into_iter().flatten().min().unwrap_or_default();
    let to = lasts.into_iter().flatten().max().unwrap_or(from);
    TimeScale::new(since_start(report, from), since_start(report, to))
}

fn chart_marks(report: &RehearsalReport) -> ChartMarks {
    let end = time_axis(report).to_ms;
    let mut bands = Vec::new();
    for (index, fault) in report.faults.iter().enumerate() {
        if let Some(ends_with) = fault.sort.recovery() {
            let over = report.faults[index..].iter().find(|later| later.sort == ends_with);
            let over = over.map_or(end, |over| since_start(report, over.at_ms));
            bands.push((since_start(report, fault.at_ms), over));
        }
    }
    let harm: Vec<&InjectedFault> = report.faults.iter().filter(|fault| fault.sort.is_harm()).collect();
    let is_dense = harm.len() > MARKS_MAX;
    let mut lines = Vec::new();
    if report.timeline.iter().any(|slot| slot.sent > 0) && end >= 0 {
        let (word, told) = ("start".to_owned(), "The sale starts".to_owned());
        lines.push(ChartMark { at_ms: 0, label: word, tooltip: told, is_start: true });
    }
    for (index, fault) in harm.iter().enumerate() {
        let at_ms = since_start(report, fault.at_ms);
        let word = match is_dense {
            false => fault.sort.label().to_owned(),
            // Where there are many, the first of a sort speaks for all.
            true if harm[..index].iter().any(|before| before.sort == fault.sort) => String::new(),
            true => {
                let times = harm.iter().filter(|other| other.sort == fault.sort).count();
                format!("{} ({times}×)", fault.sort.label())
            }
        };
        lines.push(ChartMark {
            at_ms,
            label: word,
            tooltip: format!("{}: {}", moment(at_ms), fault.what),
            is_start: false,
        });
    }
    ChartMarks { lines, bands, is_dense }
}

/// The charts of what happened in slots of time.
struct SlotCharts<'a> {
    report: &'a RehearsalReport,
    time: TimeScale,
    marks: &'a ChartMarks,
}

impl SlotCharts<'_> {
    fn arrivals(&self) -> TimeChart<'_> {
        let layers = self.stacked([("arrivals", "arrivals", |slot: &TimelineSlot| slot.arrivals)]);
        let peak = self.peak(|slot| slot.arrivals);
        self.chart("Arrivals", "people per second", peak, layers, |slot| {
            format!("{} people came", count(slot.arrivals))
        })
    }

    fn throughput(&self) -> TimeChart<'_> {
        let layers = self.stacked([
            ("accepted", "accepted", |slot: &TimelineSlot| slot.accepted),
            ("refused", "refused", |slot| slot.refused),
            ("unanswered", "unanswered", |slot| slot.unanswered),
        ]);
        let peak = self.peak(|slot| slot.accepted + slot.refused + slot.unanswered);
        self.chart("Throughput", "requests settled per second, stacked", peak, layers, |slot| {
            let TimelineSlot { accepted, refused, unanswered, .. } = slot;
            format!(
                "{} accepted, {} refused, {} unanswered",
                count(*accepted),
                count(*refused),
                count(*unanswered)
            )
        })
    }

    fn latency(&self) -> Option<TimeChart<'_>> {
        let rows: [ChartSeries<TimelineSlot, f64>; 4] = [
            ("longest", "max", |slot| slot.max_ms),
            ("p99", "p99", |slot| slot.p99_ms),
            ("p90", "p90", |slot| slot.p90_ms),
            ("median", "p50", |slot| slot.p50_ms),
        ];
        let slots = &self.report.timeline;
        let scale = ValueScale::log(
            slots.iter().flat_map(|slot| [slot.p50_ms, slot.p90_ms, slot.p99_ms, slot.max_ms]),
        )?;
        let half = self.report.slot_ms / 2;
        let layers = rows.map(|(name, class, pick)| {
            let value = |slot: &TimelineSlot| Some(pick(slot)).filter(|ms| *ms > 0.0);
            let points = slots.iter().map(|slot| (since_start(self.report, slot.at_ms + half), value(slot)));
            ChartLayer { name, class, shape: LayerShape::Line(points.collect()) }
        });
        let worst = slots.iter().max_by(|a, b| a.max_ms.total_cmp(&b.max_ms))?;
        let summary = format!(
            "The longest is {}, in the slot at {}.",
            span_ms(worst.max_ms),
            moment(since_start(self.report, worst.at_ms))
        );
        let tips = self.tips(|slot| match slot.max_ms {
            ms if ms > 0.0 => {
                let [p50, p90, p99, max] = [slot.p50_ms, slot.p90_ms, slot.p99_ms, slot.max_ms].map(span_ms);
                format!("median {p50}, p90 {p90}, p99 {p99}, longest {max}")
            }
            _ => "no reply".to_owned(),
        });
        Some(TimeChart {
            title: "Latency",
            unit: "from the moment a request was due; each line up is ten times longer",
            summary,
            time: self.time,
            scale,
            layers: layers.into(),
            marks: self.marks,
            tips,
        })
    }

    fn chart(
        &self,
        title: &'static str,
        unit: &'static str,
        (peak, at_ms): (f64, i64),
        layers: Vec<ChartLayer>,
        tip: impl Fn(&TimelineSlot) -> String,
    ) -> TimeChart<'_> {
        TimeChart {
            title,
            unit,
            summary: format!("The most is {} a second, in the slot at {}.", rate(peak), moment(at_ms)),
            time: self.time,
            scale: ValueScale::linear(peak, VALUE_STEPS),
            layers,
            marks: self.marks,
            tips: self.tips(tip),
        }
    }

    /// Rates on top of each other, the first at the bottom.
    fn stacked<const N: usize>(&self, rows: [ChartSeries<TimelineSlot, u64>; N]) -> Vec<ChartLayer> {
        let slots = &self.report.timeline;
        let mut below = vec![0_u64; slots.len()];
        let layers = rows.map(|(name, class, pick)| {
            let steps = slots.iter().zip(&mut below).map(|(slot, below)| {
                let low = *below;
                *below += pick(slot);
                let from_ms = since_start(self.report, slot.at_ms);
                let to_ms = since_start(self.report, slot.at_ms + self.report.slot_ms);
                ChartStep {
                    from_ms,
                    to_ms,
                    low: self.report.per_second(low),
                    high: self.report.per_second(*below),
                }
            });
            ChartLayer { name, class, shape: LayerShape::Steps(steps.collect()) }
        });
        layers.into()
    }

    fn peak(&self, pick: impl Fn(&TimelineSlot) -> u64) -> (f64, i64) {
        let most = self.report.timeline.iter().max_by_key(|slot| pick(slot));
        most.map_or((0.0, 0), |slot| {
            (self.report.per_second(pick(slot)), since_start(self.report, slot.at_ms))
        })
    }

    fn tips(&self, text: impl Fn(&TimelineSlot) -> String) -> Vec<ChartTooltip> {
        let slots = &self.report.timeline;
        let every = slots.len().div_ceil(TIPS_MAX).max(1);
        let together = slots.chunks(every).filter_map(|slots| {
            let sum = merge_slots(slots)?;
            let from_ms = since_start(self.report, sum.at_ms);
            let length = self.report.slot_ms.saturating_mul(slots.len() as u64);
            let to_ms = since_start(self.report, sum.at_ms.saturating_add(length));
            let text = format!("{} to {}: {}", moment(from_ms), moment(to_ms), text(&sum));
            (from_ms < self.time.to_ms && to_ms > self.time.from_ms).then_some(ChartTooltip {
                from_ms,
                to_ms,
                text,
            })
        });
        together.collect()
    }
}

/// Some slots as one: counts add up, of the latencies the worst is told.
fn merge_slots(slots: &[TimelineSlot]) -> Option<TimelineSlot> {
    let (first, rest) = slots.split_first()?;
    Some(rest.iter().fold(first.clone(), |sum, slot| TimelineSlot {
        at_ms: sum.at_ms,
        arrivals: sum.arrivals + slot.arrivals,
        sent: sum.sent + slot.sent,
        accepted: sum.accepted + slot.accepted,
        refused: sum.refused + slot.refused,
        unanswered: sum.unanswered + slot.unanswered,
        p50_ms: sum.p50_ms.max(slot.p50_ms),
        p90_ms: sum.p90_ms.max(slot.p90_ms),
        p99_ms: sum.p99_ms.max(slot.p99_ms),
        max_ms: sum.max_ms.max(slot.max_ms),
    }))
}

/// The charts of what the instance told of its sale.
struct StockCharts<'a> {
    report: &'a RehearsalReport,
    time: TimeScale,
    marks: &'a ChartMarks,
    seen: Vec<StockSample>,
}

impl StockCharts<'_> {
    fn line(&self) -> TimeChart<'_> {
        let most = self.seen.iter().map(|units| units.waiting).max().unwrap_or_default();
        let layers = self.stacked([("waiting", "waiting", |units: &StockSample| units.waiting)]);
        let summary = format!("At most {} were waiting.", count(u64::from(most)));
        self.chart("Line", "people waiting", summary, most, layers, |units| {
            format!("{} waiting", count(u64::from(units.waiting)))
        })
    }

    fn units(&self) -> TimeChart<'_> {
        let most = self.seen.iter().map(total_units).max().unwrap_or_default();
        let layers = self.stacked([
            ("sold", "sold", |units: &StockSample| units.sold),
            ("in carts", "held", |units| units.held),
            ("admitted", "admitted", |units| units.admitted),
            ("available", "available", |units| units.available),
        ]);
        let summary = match self.seen.last() {
            Some(last) => format!("At the end: {}.", format_places(last)),
            None => String::new(),
        };
        self.chart("Stock", "units, stacked", summary, most, layers, format_places)
    }

    fn chart(
        &self,
        title: &'static str,
        unit: &'static str,
        summary: String,
        most: u32,
        layers: Vec<ChartLayer>,
        tip: impl Fn(&StockSample) -> String,
    ) -> TimeChart<'_> {
        let every = self.seen.len().div_ceil(TIPS_MAX).max(1);
        let ends = self.seen.iter().step_by(every).skip(1).map(|next| next.at_ms);
        let ends = ends.map(|at| since_start(self.report, at)).chain([self.time.to_ms]);
        let tips = self.seen.iter().step_by(every).zip(ends).map(|(units, to_ms)| {
            let from_ms = since_start(self.report, units.at_ms);
            ChartTooltip { from_ms, to_ms, text: format!("{}: {}", moment(from_ms), tip(units)) }
        });
        TimeChart {
            title,
            unit,
            summary,
            time: self.time,
            scale: ValueScale::whole(u64::from(most), VALUE_STEPS),
            layers,
            marks: self.marks,
            tips: tips.collect(),
        }
    }

    /// What was told at one moment holds until the next, the last until the end.
    fn stacked<const N: usize>(&self, rows: [ChartSeries<StockSample, u32>; N]) -> Vec<ChartLayer> {
        let mut below = vec![0_u64; self.seen.len()];
        let ends = self
            .seen
            .iter()
            .skip(1)
            .map(|next| since_start(self.report, next.at_ms))
            .chain([self.time.to_ms]);
        let ends: Vec<i64> = ends.collect();
        let layers = rows.map(|(name, class, pick)| {
            let steps = self.seen.iter().zip(&ends).zip(&mut below).map(|((units, to_ms), below)| {
                let low = *below;
                *below += u64::from(pick(units));
                let from_ms = since_start(self.report, units.at_ms);
                ChartStep { from_ms, to_ms: *to_ms, low: low as f64, high: *below as f64 }
            });
            ChartLayer { name, class, shape: LayerShape::Steps(steps.collect()) }
        });
        layers.into()
    }
}

/// All units of an observation: its quantity, unless the instance's sums are wrong.
fn total_units(units: &StockSample) -> u32 {
    let places = [units.available, units.admitted, units.held, units.sold];
    places.into_iter().fold(0, u32::saturating_add).max(units.quantity)
}

fn format_places(units: &StockSample) -> String {
    let [sold, held, admitted, available] =
        [units.sold, units.held, units.admitted, units.available].map(|units| count(u64::from(units)));
    format!("{sold} sold, {held} in carts, {admitted} admitted, {available} available")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{CpuTime, FaultKind, RehearsalVerdict, RequestCounts};

    fn slot(at_ms: u64, accepted: u64, refused: u64, unanswered: u64) -> TimelineSlot {
        let sent = accepted + refused + unanswered;
        let (p50_ms, p90_ms, p99_ms, max_ms) = (1.0, 2.0, 3.0, 4.0);
        TimelineSlot {
            at_ms,
            arrivals: sent,
            sent,
            accepted,
            refused,
            unanswered,
            p50_ms,
            p90_ms,
            p99_ms,
            max_ms,
        }
    }

    fn look(at_ms: u64, sold: u32, held: u32) -> StockSample {
        let available = 10 - sold - held;
        StockSample { at_ms, version: 1, quantity: 10, available, admitted: 0, held, sold, waiting: 0 }
    }

    fn report() -> RehearsalReport {
        RehearsalReport {
            verdict: RehearsalVerdict::Kept,
            told: Vec::new(),
            ledger: Vec::new(),
            started_at: String::new(),
            program: String::new(),
            instance: String::new(),
            evidence: String::new(),
            seed: 0,
            command: String::new(),
            settings: Vec::new(),
            duration_s: 1.0,
            start_ms: 1_000,
            quantity: 10,
            crowd: Vec::new(),
            outcomes: Vec::new(),
            refusals: Vec::new(),
            requests: RequestCounts::default(),
            latency: Vec::new(),
            timeline: vec![slot(0, 0, 0, 0), slot(500, 5, 10, 0), slot(1_000, 1, 2, 3)],
            slot_ms: 500,
            stock: vec![look(600, 0, 0), look(1_100, 2, 8), look(1_400, 10, 0)],
            faults: Vec::new(),
            notes: Vec::new(),
            cpu: CpuTime { client_s: 0.0, server_s: None },
        }
    }

    fn heights(layers: &[ChartLayer]) -> Vec<Vec<(f64, f64)>> {
        let steps = layers.iter().map(|layer| match &layer.shape {
            LayerShape::Steps(steps) => steps.iter().map(|step| (step.low, step.high)).collect(),
            LayerShape::Line(_) => panic!("{} is no area", layer.name),
        });
        steps.collect()
    }

    #[test]
    fn stacks_stand_on_each_other_and_sum_up() {
        let (report, no_marks) =
            (report(), ChartMarks { lines: Vec::new(), bands: Vec::new(), is_dense: false });
        let slots = SlotCharts { report: &report, time: time_axis(&report), marks: &no_marks };
        let [accepted, refused, unanswered] = &heights(&slots.throughput().layers)[..] else {
            panic!("three")
        };
        assert_eq!(accepted, &[(0.0, 0.0), (0.0, 10.0), (0.0, 2.0)]);
        assert_eq!(refused, &[(0.0, 0.0), (10.0, 30.0), (2.0, 6.0)]);
        assert_eq!(unanswered, &[(0.0, 0.0), (30.0, 30.0), (6.0, 12.0)]);
        let stock = StockCharts {
            report: &report,
            time: time_axis(&report),
            marks: &no_marks,
            seen: thin_samples(&report.stock),
        };
        let tops = heights(&stock.units().layers).pop().expect("the uppermost");
        assert!(tops.iter().all(|(_, high)| (high - 10.0).abs() < 1e-9), "{tops:?}");
    }

    #[test]
    fn time_runs_from_the_first_thing_that_happened_to_the_last() {
        let report = report();
        assert_eq!(time_axis(&report), TimeScale::new(-500, 500));
        assert_eq!(since_start(&report, 0), -1_000);
    }

    #[test]
    fn what_was_wrong_is_shaded_until_it_was_mended() {
        let mut report = report();
        let faults = [(900, FaultKind::Killed), (1_200, FaultKind::Back), (1_300, FaultKind::DiskFull)];
        report.faults =
            faults.map(|(at_ms, sort)| InjectedFault { at_ms, sort, what: sort.label().to_owned() }).into();
        let marks = chart_marks(&report);
        assert_eq!(marks.bands, [(-100, 200), (300, 500)], "a full disk stays full");
        let words: Vec<&str> = marks.lines.iter().map(|mark| mark.label.as_str()).collect();
        assert_eq!(words, ["start", "killed", "disk full"]);
    }

    #[test]
    fn many_faults_are_counted_where_they_would_hide_the_rest() {
        let mut report = report();
        let killed = |at_ms| InjectedFault { at_ms, sort: FaultKind::Killed, what: "killed".to_owned() };
        report.faults = (600..700).map(killed).collect();
        let marks = chart_marks(&report);
        let words: Vec<&str> =
            marks.lines.iter().map(|mark| mark.label.as_str()).filter(|word| !word.is_empty()).collect();
        assert_eq!((marks.is_dense, words), (true, vec!["start", "killed (100×)"]));
    }

    #[test]
    fn observations_are_thinned_evenly_and_the_last_is_kept() {
        let many: Vec<StockSample> = (0..5_000).map(|at_ms| look(at_ms, 0, 0)).collect();
        let seen = thin_samples(&many);
        assert!(seen.len() <= STOCK_SHOWN && seen.len() > STOCK_SHOWN / 2, "{}", seen.len());
        assert_eq!(seen.last().map(|units| units.at_ms), Some(4_999));
        assert_eq!(thin_samples(&many[..3]).len(), 3);
        assert!(thin_samples(&[]).is_empty());
    }
}
