//! The charts of the stock: the line and the units, as the instance's samples show them.

use super::{ChartSeries, TIPS_MAX, VALUE_STEPS, since_start};
use crate::judge::StockSample;
use crate::report::RehearsalReport;
use crate::report::chart::{ChartLayer, ChartMarks, ChartStep, ChartTooltip, LayerShape, TimeChart};
use crate::report::format::{count, moment};
use crate::report::scale::{TimeScale, ValueScale};

/// The charts of the instance's samples.
pub(super) struct StockCharts<'a> {
    pub(super) report: &'a RehearsalReport,
    pub(super) time: TimeScale,
    pub(super) marks: &'a ChartMarks,
    pub(super) seen: Vec<StockSample>,
}

impl StockCharts<'_> {
    pub(super) fn line(&self) -> TimeChart<'_> {
        let most = self.seen.iter().map(|units| units.waiting).max().unwrap_or_default();
        let layers = self.stacked([("waiting", "waiting", |units: &StockSample| units.waiting)]);
        let summary = format!("At most {} were waiting.", count(u64::from(most)));
        self.chart("Line", "people waiting", summary, most, layers, |units| {
            format!("{} waiting", count(u64::from(units.waiting)))
        })
    }

    pub(super) fn units(&self) -> TimeChart<'_> {
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

    /// A sample holds until the next one, the last until the end.
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

/// All units of an observation: its quantity, unless the instance's counters are wrong.
fn total_units(units: &StockSample) -> u32 {
    let places = [units.available, units.admitted, units.held, units.sold];
    places.into_iter().fold(0, u32::saturating_add).max(units.quantity)
}

fn format_places(units: &StockSample) -> String {
    let [sold, held, admitted, available] =
        [units.sold, units.held, units.admitted, units.available].map(|units| count(u64::from(units)));
    format!("{sold} sold, {held} in carts, {admitted} admitted, {available} available")
}
