//! The judge: compares what the buyers were told with the ledger and the tables. Pure: it never asks an instance anything,
//! and it never compares the clock of an instance with the stopwatch of the rehearsal.
//!
//! It is sound before it is sharp: where a reply that was lost, a crash, or two tabs of one buyer could explain what it
//! sees, it finds nothing. [`Judge::read`] takes the ledger one event after the other and keeps what it needs by buyer and
//! order; [`Judge::verdict`] holds the evidence from outside against it.

mod tally;

mod books;

mod watch;

mod told;

mod money;

mod answers;

mod settled;

mod line;

mod audit;

#[cfg(test)]
mod tests;

use crate::told::Account;
use audit::Audit;
use books::Books;
use sale::{BuyerId, Entry, OrderId, Seq, Timestamp};
use serde::Serialize;
use std::time::Duration;
use told::Tellings;
use watch::Watch;

/// Reads a ledger, and judges by it what buyers were told.
#[derive(Debug)]
pub struct Judge {
    books: Books,
    watch: Watch,
    audit: Audit,
}

/// What was seen from outside.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The accounts of the crowd: one for each buyer.
    pub accounts: &'a [Account],
    /// The sale's orders as the tables show them, read after they had caught up and before the ledger was read. `None` when
    /// they were not read: then nothing is said about them.
    pub orders: Option<&'a [OrderRow]>,
    /// The sums that the tables show, likewise.
    pub tables: Option<&'a TableSums>,
    /// The instance's own time (`serverTime`) when everybody was gone, told before the ledger was read.
    pub looked_at: Option<Timestamp>,
    /// True when the rehearsal was played to its end. When it was cut short, what is not settled is no offence: it is a
    /// note.
    pub sees_all: bool,
    /// True when nobody but the crowd bought: then every order in the ledger must be one of the crowd's.
    pub alone: bool,
}

/// An order as the tables show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// Its id.
    pub order: OrderId,
    /// Whose.
    pub buyer: BuyerId,
    /// Its units.
    pub units: u32,
    /// Its status: `pending`, `confirmed`, `expired`, `cancelled`, `declined` or `refunded`.
    pub status: String,
}

/// What the tables' orders add up to, as an instance told its admin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableSums {
    /// The sale's last event that is in them.
    pub version: u64,
    /// By status, how many orders and how many units.
    pub statuses: Vec<StatusSum>,
}

/// Orders in one status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusSum {
    /// Which.
    pub status: String,
    /// How many orders.
    pub orders: u64,
    /// Their units.
    pub units: u64,
}

/// Where the units were at one moment, as an instance told its admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// When it was heard, in milliseconds since the rehearsal began.
    pub at_ms: u64,
    /// The sale's last event at that moment.
    pub version: u64,
    /// Units of the sale.
    pub quantity: u32,
    /// Units that nobody has.
    pub available: u32,
    /// Units set aside for those whose turn it is.
    pub admitted: u32,
    /// Units in carts.
    pub held: u32,
    /// Units sold.
    pub sold: u32,
    /// Buyers in line.
    pub waiting: u32,
}

/// The verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// The promises as the buyers saw them.
    pub told: Vec<Finding>,
    /// The promises as the ledger shows them.
    pub ledger: Vec<Finding>,
    /// What a reader should know besides, in sentences.
    pub notes: Vec<String>,
}

impl Findings {
    /// The promises that were broken, those seen by the buyers first.
    pub fn broken(&self) -> impl Iterator<Item = &Finding> {
        self.told.iter().chain(&self.ledger).filter(|finding| finding.broken > 0)
    }
}

/// One promise, and whether it was kept.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The stable name of the promise, such as `recorded`.
    pub name: &'static str,
    /// The promise as one sentence.
    pub sentence: &'static str,
    /// How many things were looked at.
    pub checked: u64,
    /// How many of them break the promise.
    pub broken: u64,
    /// The first of them.
    pub first: Option<Offence>,
}

/// What breaks a promise.
#[derive(Clone, Debug, Serialize)]
pub struct Offence {
    /// Whom it concerns.
    pub buyer: Option<BuyerId>,
    /// The order it is about.
    pub order: Option<OrderId>,
    /// The event of the ledger that shows it.
    pub event: Option<Seq>,
    /// What was found, as a phrase for people.
    pub detail: String,
}

impl Judge {
    /// A judge who knows what was observed. The observations are of one observer, who looked again only after the answer
    /// to the look before was heard, in the order of looking. What an observer or a buyer was shown may have been so `stale_max`
    /// before.
    #[must_use]
    pub fn new(observations: &[Observation], stale_max: Duration) -> Self {
        let watch = Watch::new(observations, stale_max);
        Self { books: Books::default(), watch, audit: Audit::default() }
    }

    /// Reads the next event of the ledger, from the first one on.
    pub fn read(&mut self, entry: &Entry) {
        self.audit.read(entry);
        self.watch.before(entry, &self.books);
        self.books.read(entry);
        self.watch.after(&self.books);
    }

    /// Judges.
    #[must_use]
    pub fn verdict(mut self, evidence: &Evidence<'_>) -> Findings {
        self.watch.end(&self.books, evidence);
        let Self { books, watch, audit } = self;
        let tellings = Tellings::of(evidence.accounts);
        let told = vec![
            money::units(&books, &tellings),
            money::recorded(&books, &tellings, evidence),
            money::limit(&books, &tellings),
            books.ticket_order.finding(
                "ticket_order",
                "Buyers are admitted in ticket order, and nobody buys past the line; only those who left or lapsed \
                 are passed over.",
            ),
            line::first_come(&books, evidence.accounts),
            line::place_kept(&books, evidence.accounts),
            settled::freed(&books, &watch, evidence),
            settled::sold_out_true(&books, &watch, evidence),
            settled::settled(&books, evidence),
            watch.sums(&books),
            answers::same_answer(&books, &tellings, evidence.accounts),
            answers::no_means_no(&books, &tellings, evidence),
        ];
        let notes = settled::notes(&books, evidence);
        Findings { told, ledger: audit.findings(), notes }
    }
}
