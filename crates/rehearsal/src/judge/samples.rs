//! What an observer was told about the sums, held against the fold of the ledger at exactly that event; and what the ledger
//! says about the time between two looks. It never guesses at moments: a look's place is the version that it told.

use super::state::JudgeState;
use super::tally::JudgeTally;
use super::{Evidence, PromiseFinding, PromiseOffence, ShownTableTotals, StockSample};
use crate::observations::RequestSpan;
use sale::{EventSeq, LedgerEntry};
use std::collections::BTreeMap;
use std::time::Duration;

/// The looks, and how far the ledger has been read past them.
#[derive(Debug)]
pub(super) struct SampleCheck {
    samples: Vec<CheckedSample>,
    /// Versions only grew from look to look. Where they did not, nothing is said about the time between looks.
    is_ordered: bool,
    /// How long ago may have been so what was shown, in microseconds.
    stale_us: u64,
    next: usize,
    /// The fewest units that were free since the look before.
    min_free: i64,
    tally: JudgeTally,
}

#[derive(Clone, Copy, Debug)]
struct CheckedSample {
    sample: StockSample,
    /// The fewest units that were free between the look before and this one, both included.
    min_free: i64,
}

/// The looks around a request: the first was answered before it was sent, the second was asked for after it was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct SampleBracket {
    /// The fewest units that were free in between.
    pub(super) min_free: i64,
    /// The version of the second look.
    pub(super) up_to: EventSeq,
}

impl SampleCheck {
    pub(super) fn new(observations: &[StockSample], stale_max: Duration) -> Self {
        let mut looks: Vec<CheckedSample> =
            observations.iter().map(|told| CheckedSample { sample: *told, min_free: 0 }).collect();
        looks.sort_by_key(|look| (look.sample.version, look.sample.at_ms));
        let in_order = looks.is_sorted_by_key(|look| look.sample.at_ms);
        let stale_us = u64::try_from(stale_max.as_micros()).unwrap_or(u64::MAX);
        Self {
            samples: looks,
            is_ordered: in_order,
            stale_us,
            next: 0,
            min_free: 0,
            tally: JudgeTally::default(),
        }
    }

    /// Looks that were made before this event.
    pub(super) fn check_before(&mut self, entry: &LedgerEntry, books: &JudgeState) {
        while let Some(look) = self.samples.get(self.next).copied()
            && look.sample.version < entry.seq.0
        {
            self.check_next(books);
        }
    }

    pub(super) fn track_free_units(&mut self, books: &JudgeState) {
        self.min_free = self.min_free.min(books.free_units());
    }

    /// Looks that were made after the last event; and such as speak of events that the ledger does not have.
    pub(super) fn check_rest(&mut self, books: &JudgeState, evidence: &Evidence<'_>) {
        while let Some(look) = self.samples.get(self.next).copied() {
            let (told, last) = (look.sample.version, books.last.0);
            if told <= last.0 {
                self.check_next(books);
                continue;
            }
            self.next += 1;
            self.tally.check(false, || {
                PromiseOffence::new(format!("event {told} was shown, and the ledger ends with event {last}"))
                    .event(EventSeq(told))
            });
        }
        if let Some(tables) = evidence.tables
            && tables.version == books.last.0.0
        {
            self.check_tables(books, tables);
        }
    }

    /// The looks around a request, if there are any.
    pub(super) fn find_bracket(&self, span: RequestSpan) -> Option<SampleBracket> {
        // Both are that much further away where what is shown may be old: the first look's and the request's answer showed
        // something of after it, the second look's something of after the request's.
        let sent = span.sent.0.saturating_sub(self.stale_us);
        let heard = span.heard.0.saturating_add(self.stale_us);
        let first =
            self.samples.partition_point(|look| (look.sample.at_ms + 1) * 1_000 <= sent).checked_sub(1)?;
        // This one was not asked for before the one before it had been heard, which was after the reply.
        let second = self.samples.partition_point(|look| look.sample.at_ms * 1_000 < heard) + 1;
        if !self.is_ordered || second >= self.samples.len() {
            return None;
        }
        let low = self.samples[first + 1..=second].iter().map(|look| look.min_free).min()?;
        Some(SampleBracket { min_free: low, up_to: EventSeq(self.samples[second].sample.version) })
    }

    pub(super) fn sums(&self, books: &JudgeState) -> PromiseFinding {
        let mut tally = books.units_add_up.clone();
        tally.add(&self.tally);
        tally.to_finding(
            "sums",
            "Available, admitted, held and sold units add up to the quantity at each event, and whatever was shown \
             is what the ledger says of that event.",
        )
    }

    fn check_next(&mut self, books: &JudgeState) {
        let look = &mut self.samples[self.next];
        self.next += 1;
        look.min_free = self.min_free.min(books.free_units());
        self.min_free = books.free_units();
        let told = look.sample;
        let number = |units: u32| i64::from(units);
        let was_told =
            [told.quantity, told.available, told.admitted, told.held, told.sold, told.waiting].map(number);
        let waiting = i64::try_from(books.waiting_count()).unwrap_or(i64::MAX);
        let is =
            [books.quantity(), books.free_units(), books.admitted_count(), books.held, books.sold, waiting];
        self.tally.check(was_told == is && books.last.0.0 == told.version, || {
            let detail = format!(
                "as of event {} was shown {}, and the ledger says {}",
                told.version,
                format_units(was_told),
                format_units(is)
            );
            PromiseOffence::new(detail).event(EventSeq(told.version))
        });
    }

    fn check_tables(&mut self, books: &JudgeState, tables: &ShownTableTotals) {
        let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for order in books.orders.values() {
            let sum = sums.entry(order.status()).or_default();
            *sum = (sum.0 + 1, sum.1 + u64::from(order.units));
        }
        for told in &tables.statuses {
            let is = sums.remove(told.status.as_str()).unwrap_or_default();
            self.tally.check((told.orders, told.units) == is, || {
                let (status, (orders, units)) = (&told.status, is);
                let detail = format!(
                    "the tables show {} orders {status} with {} units, the ledger has {orders} with {units}",
                    told.orders, told.units
                );
                PromiseOffence::new(detail).event(EventSeq(tables.version))
            });
        }
        for (status, (orders, _)) in sums {
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
