//! Which charts the page has: from the report's timeline, stock and faults to layers of values. It never draws.

mod slots;
mod stock;

use super::chart::{ChartMark, ChartMarks};
use super::format::moment;
use super::scale::TimeScale;
use super::{InjectedFault, RehearsalReport, TimelineSlot};
use crate::judge::StockSample;
use maud::{Markup, html};
use slots::SlotCharts;
use stock::StockCharts;

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
                p.none { "No buyer was seen waiting in line." }
            }
            (stock.units().figure())
        } @else {
            p.none { "The instance never showed its counters." }
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

/// From the first event to the last, without the preparation before.
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
        let (label, tooltip) = ("start".to_owned(), "The sale starts".to_owned());
        lines.push(ChartMark { at_ms: 0, label, tooltip, is_start: true });
    }
    for (index, fault) in harm.iter().enumerate() {
        let at_ms = since_start(report, fault.at_ms);
        let word = match is_dense {
            false => fault.sort.label().to_owned(),
            // Where there are many, the first of a kind stands for all.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::chart::{ChartLayer, LayerShape};
    use crate::report::{CpuTime, EstimateQuality, FaultKind, RehearsalVerdict, RequestCounts};

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

    fn sample(at_ms: u64, sold: u32, held: u32) -> StockSample {
        let available = 10 - sold - held;
        StockSample { at_ms, version: 1, quantity: 10, available, admitted: 0, held, sold, waiting: 0 }
    }

    fn report() -> RehearsalReport {
        RehearsalReport {
            verdict: RehearsalVerdict::Kept,
            replies: Vec::new(),
            events: Vec::new(),
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
            estimates: EstimateQuality::default(),
            latency: Vec::new(),
            timeline: vec![slot(0, 0, 0, 0), slot(500, 5, 10, 0), slot(1_000, 1, 2, 3)],
            slot_ms: 500,
            stock: vec![sample(600, 0, 0), sample(1_100, 2, 8), sample(1_400, 10, 0)],
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
        let many: Vec<StockSample> = (0..5_000).map(|at_ms| sample(at_ms, 0, 0)).collect();
        let seen = thin_samples(&many);
        assert!(seen.len() <= STOCK_SHOWN && seen.len() > STOCK_SHOWN / 2, "{}", seen.len());
        assert_eq!(seen.last().map(|units| units.at_ms), Some(4_999));
        assert_eq!(thin_samples(&many[..3]).len(), 3);
        assert!(thin_samples(&[]).is_empty());
    }
}
