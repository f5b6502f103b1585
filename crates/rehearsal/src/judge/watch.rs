//! What an observer was told about the sums, held against the fold of the ledger at exactly that event; and what the ledger
//! says about the time between two looks. It never guesses at moments: a look's place is the version that it told.

use super::books::Books;
use super::tally::Tally;
use super::{Evidence, Finding, Observation, Offence, TableSums};
use crate::told::Span;
use sale::{Entry, Seq};
use std::collections::BTreeMap;
use std::time::Duration;

/// The looks, and how far the ledger has been read past them.
#[derive(Debug)]
pub(super) struct Watch {
    looks: Vec<Look>,
    /// Versions only grew from look to look. Where they did not, nothing is said about the time between looks.
    in_order: bool,
    /// How long ago may have been so what was shown, in microseconds.
    stale_us: u64,
    next: usize,
    /// The fewest units that were free since the look before.
    low: i64,
    tally: Tally,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    told: Observation,
    /// The fewest units that were free between the look before and this one, both included.
    low: i64,
}

/// The looks around a request: the first was answered before it was sent, the second was asked for after it was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    /// The fewest units that were free in between.
    pub(super) low: i64,
    /// The version of the second look.
    pub(super) until: Seq,
}

impl Watch {
    pub(super) fn new(observations: &[Observation], stale_max: Duration) -> Self {
        let mut looks: Vec<Look> = observations.iter().map(|told| Look { told: *told, low: 0 }).collect();
        looks.sort_by_key(|look| (look.told.version, look.told.at_ms));
        let in_order = looks.is_sorted_by_key(|look| look.told.at_ms);
        let stale_us = u64::try_from(stale_max.as_micros()).unwrap_or(u64::MAX);
        Self { looks, in_order, stale_us, next: 0, low: 0, tally: Tally::default() }
    }

    /// Looks that were made before this event.
    pub(super) fn before(&mut self, entry: &Entry, books: &Books) {
        while let Some(look) = self.looks.get(self.next).copied()
            && look.told.version < entry.seq.0
        {
            self.compare(books);
        }
    }

    pub(super) fn after(&mut self, books: &Books) {
        self.low = self.low.min(books.free());
    }

    /// Looks that were made after the last event; and such as speak of events that the ledger does not have.
    pub(super) fn end(&mut self, books: &Books, evidence: &Evidence<'_>) {
        while let Some(look) = self.looks.get(self.next).copied() {
            let (told, last) = (look.told.version, books.last.0);
            if told <= last.0 {
                self.compare(books);
                continue;
            }
            self.next += 1;
            self.tally.check(false, || {
                Offence::new(format!("event {told} was shown, and the ledger ends with event {last}"))
                    .event(Seq(told))
            });
        }
        if let Some(tables) = evidence.tables
            && tables.version == books.last.0.0
        {
            self.compare_tables(books, tables);
        }
    }

    /// The looks around a request, if there are any.
    pub(super) fn around(&self, span: Span) -> Option<Around> {
        // Both are that much further away where what is shown may be old: the first look's and the request's answer showed
        // something of after it, the second look's something of after the request's.
        let sent = span.sent.0.saturating_sub(self.stale_us);
        let heard = span.heard.0.saturating_add(self.stale_us);
        let first =
            self.looks.partition_point(|look| (look.told.at_ms + 1) * 1_000 <= sent).checked_sub(1)?;
        // This one was not asked for before the one before it had been heard, which was after the reply.
        let second = self.looks.partition_point(|look| look.told.at_ms * 1_000 < heard) + 1;
        if !self.in_order || second >= self.looks.len() {
            return None;
        }
        let low = self.looks[first + 1..=second].iter().map(|look| look.low).min()?;
        Some(Around { low, until: Seq(self.looks[second].told.version) })
    }

    pub(super) fn sums(&self, books: &Books) -> Finding {
        let mut tally = books.adds_up.clone();
        tally.add(&self.tally);
        tally.finding(
            "sums",
            "Available, admitted, held and sold units add up to the quantity at each event, and whatever was shown \
             is what the ledger says of that event.",
        )
    }

    fn compare(&mut self, books: &Books) {
        let look = &mut self.looks[self.next];
        self.next += 1;
        look.low = self.low.min(books.free());
        self.low = books.free();
        let told = look.told;
        let number = |units: u32| i64::from(units);
        let was_told =
            [told.quantity, told.available, told.admitted, told.held, told.sold, told.waiting].map(number);
        let waiting = i64::try_from(books.waiting()).unwrap_or(i64::MAX);
        let is = [books.quantity(), books.free(), books.admitted(), books.held, books.sold, waiting];
        self.tally.check(was_told == is && books.last.0.0 == told.version, || {
            let detail = format!(
                "as of event {} was shown {}, and the ledger says {}",
                told.version,
                words(was_told),
                words(is)
            );
            Offence::new(detail).event(Seq(told.version))
        });
    }

    fn compare_tables(&mut self, books: &Books, tables: &TableSums) {
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
                Offence::new(detail).event(Seq(tables.version))
            });
        }
        for (status, (orders, _)) in sums {
            self.tally.check(false, || {
                let detail = format!("the tables show no order {status}, the ledger has {orders}");
                Offence::new(detail).event(Seq(tables.version))
            });
        }
    }
}

fn words([quantity, available, admitted, held, sold, waiting]: [i64; 6]) -> String {
    format!(
        "{available} available + {admitted} admitted + {held} held + {sold} sold of {quantity}, {waiting} waiting"
    )
}
