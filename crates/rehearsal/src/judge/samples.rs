//! Compares each sample of the counters with the fold of the ledger at exactly that event, and gives what the ledger shows
//! about the time between two samples. It never guesses at moments: a sample belongs to its version.

use super::state::JudgeState;
use super::tally::JudgeTally;
use super::{Evidence, PromiseFinding, PromiseOffence, ShownTableTotals, StockSample};
use crate::observations::RequestSpan;
use sale::{EventSeq, LedgerEntry};
use std::collections::BTreeMap;
use std::time::Duration;

/// The samples, and how far the ledger has been read past them.
#[derive(Debug)]
pub(super) struct SampleCheck {
    samples: Vec<CheckedSample>,
    /// Versions only grew from sample to sample. Otherwise the time between samples is not judged.
    is_ordered: bool,
    /// How long ago may have been so what was shown, in microseconds.
    stale_us: u64,
    next: usize,
    /// The fewest units that were free since the sample before.
    min_free: i64,
    tally: JudgeTally,
}

#[derive(Clone, Copy, Debug)]
struct CheckedSample {
    sample: StockSample,
    /// The fewest units that were free between the sample before and this one, both included.
    min_free: i64,
}

/// The samples around a request: the first was received before it was sent, the second was requested after its reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct SampleBracket {
    /// The fewest units that were free in between.
    pub(super) min_free: i64,
    /// The version of the second sample.
    pub(super) up_to: EventSeq,
}

impl SampleCheck {
    pub(super) fn new(observations: &[StockSample], stale_max: Duration) -> Self {
        let mut samples: Vec<CheckedSample> =
            observations.iter().map(|shown| CheckedSample { sample: *shown, min_free: 0 }).collect();
        samples.sort_by_key(|checked| (checked.sample.version, checked.sample.at_ms));
        let in_order = samples.is_sorted_by_key(|checked| checked.sample.at_ms);
        let stale_us = u64::try_from(stale_max.as_micros()).unwrap_or(u64::MAX);
        Self { samples, is_ordered: in_order, stale_us, next: 0, min_free: 0, tally: JudgeTally::default() }
    }

    /// Checks the samples before this event.
    pub(super) fn check_before(&mut self, entry: &LedgerEntry, state: &JudgeState) {
        while let Some(checked) = self.samples.get(self.next).copied()
            && checked.sample.version < entry.seq.0
        {
            self.check_next(state);
        }
    }

    pub(super) fn track_free_units(&mut self, state: &JudgeState) {
        self.min_free = self.min_free.min(state.free_units());
    }

    /// Checks the samples after the last event, and those with events that the ledger does not have.
    pub(super) fn check_rest(&mut self, state: &JudgeState, evidence: &Evidence<'_>) {
        while let Some(checked) = self.samples.get(self.next).copied() {
            let (shown, last) = (checked.sample.version, state.last.0);
            if shown <= last.0 {
                self.check_next(state);
                continue;
            }
            self.next += 1;
            self.tally.check(false, || {
                PromiseOffence::new(format!("event {shown} was shown, and the ledger ends with event {last}"))
                    .event(EventSeq(shown))
            });
        }
        if let Some(tables) = evidence.tables
            && tables.version == state.last.0.0
        {
            self.check_tables(state, tables);
        }
    }

    /// The samples around a request, if there are any.
    pub(super) fn find_bracket(&self, span: RequestSpan) -> Option<SampleBracket> {
        // All three replies may show a state that is up to `stale_us` old, so both samples must lie that much further away.
        let sent = span.sent.0.saturating_sub(self.stale_us);
        let received = span.received.0.saturating_add(self.stale_us);
        let first = self
            .samples
            .partition_point(|checked| (checked.sample.at_ms + 1) * 1_000 <= sent)
            .checked_sub(1)?;
        // The observer requests each sample after it has received the previous one, so the second one is later than the reply.
        let second = self.samples.partition_point(|checked| checked.sample.at_ms * 1_000 < received) + 1;
        if !self.is_ordered || second >= self.samples.len() {
            return None;
        }
        let low = self.samples[first + 1..=second].iter().map(|checked| checked.min_free).min()?;
        Some(SampleBracket { min_free: low, up_to: EventSeq(self.samples[second].sample.version) })
    }

    pub(super) fn totals(&self, state: &JudgeState) -> PromiseFinding {
        let mut tally = state.units_add_up.clone();
        tally.add(&self.tally);
        tally.to_finding(
            "sums",
            "Available, admitted, held and sold units add up to the quantity at each event, and whatever was shown \
             is what the ledger says of that event.",
        )
    }

    fn check_next(&mut self, state: &JudgeState) {
        let checked = &mut self.samples[self.next];
        self.next += 1;
        checked.min_free = self.min_free.min(state.free_units());
        self.min_free = state.free_units();
        let shown = checked.sample;
        let number = |units: u32| i64::from(units);
        let shown_units =
            [shown.quantity, shown.available, shown.admitted, shown.held, shown.sold, shown.waiting]
                .map(number);
        // Once the sale is closed no buyer waits for anything, and none is shown.
        let waiting = if state.is_closed() { 0 } else { state.waiting_count() };
        let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
        let is =
            [state.quantity(), state.free_units(), state.admitted_count(), state.held, state.sold, waiting];
        self.tally.check(shown_units == is && state.last.0.0 == shown.version, || {
            let detail = format!(
                "as of event {} was shown {}, and the ledger says {}",
                shown.version,
                format_units(shown_units),
                format_units(is)
            );
            PromiseOffence::new(detail).event(EventSeq(shown.version))
        });
    }

    fn check_tables(&mut self, state: &JudgeState, tables: &ShownTableTotals) {
        let mut totals: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for order in state.orders.values() {
            let total = totals.entry(order.status()).or_default();
            *total = (total.0 + 1, total.1 + u64::from(order.units));
        }
        for shown in &tables.statuses {
            let is = totals.remove(shown.status.as_str()).unwrap_or_default();
            self.tally.check((shown.orders, shown.units) == is, || {
                let (status, (orders, units)) = (&shown.status, is);
                let detail = format!(
                    "the tables show {} orders {status} with {} units, the ledger has {orders} with {units}",
                    shown.orders, shown.units
                );
                PromiseOffence::new(detail).event(EventSeq(tables.version))
            });
        }
        for (status, (orders, _)) in totals {
            self.tally.check(false, || {
                let detail = format!("the tables show no order {status}, the ledger has {orders}");
                PromiseOffence::new(detail).event(EventSeq(tables.version))
            });
        }
    }
}

fn format_units([quantity, available, admitted, held, sold, waiting]: [i64; 6]) -> String {
    format!(
        "{available} available + {admitted} admitted + {held} held + {sold} sold of {quantity}, {waiting} waiting"
    )
}
