//! The charts of the timeline: arrivals, throughput and latency by slots of time.

use super::{ChartSeries, TIPS_MAX, VALUE_STEPS, since_start};
use crate::report::chart::{ChartLayer, ChartMarks, ChartStep, ChartTooltip, LayerShape, TimeChart};
use crate::report::format::{count, moment, rate, span_ms};
use crate::report::scale::{TimeScale, ValueScale};
use crate::report::{RehearsalReport, TimelineSlot};

/// The charts of what happened in slots of time.
pub(super) struct SlotCharts<'a> {
    pub(super) report: &'a RehearsalReport,
    pub(super) time: TimeScale,
    pub(super) marks: &'a ChartMarks,
}

impl SlotCharts<'_> {
    pub(super) fn arrivals(&self) -> TimeChart<'_> {
        let layers = self.stacked([("arrivals", "arrivals", |slot: &TimelineSlot| slot.arrivals)]);
        let peak = self.peak(|slot| slot.arrivals);
        self.chart("Arrivals", "people per second", peak, layers, |slot| {
            format!("{} people came", count(slot.arrivals))
        })
    }

    pub(super) fn throughput(&self) -> TimeChart<'_> {
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

    pub(super) fn latency(&self) -> Option<TimeChart<'_>> {
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

/// Merges slots: sums of the counts, and the highest latencies.
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
