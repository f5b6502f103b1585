//! The judge: compares the replies that buyers got with the ledger and the tables. Pure: it sends no request,
//! and it never compares the clock of an instance with the stopwatch of the rehearsal.
//!
//! It reports no false offence: where a lost reply, a crash, or two tabs of one buyer could explain the evidence, it
//! reports nothing. [`Judge::read`] takes the ledger one event after the other and keeps what it needs by buyer and
//! order; [`Judge::verdict`] compares the evidence from outside with it.

mod tally;

mod state;

mod samples;

mod shown_orders;

mod ownership;

mod answers;

mod claims;

mod settled;

mod line;

mod audit;

mod events;

#[cfg(test)]
mod tests;

pub use events::EventJudge;

use crate::observations::AccountLog;
use audit::JudgeAudit;
use sale::{BuyerId, EventSeq, LedgerEntry, OrderId, Timestamp};
use samples::SampleCheck;
use serde::Serialize;
use shown_orders::ShownOrders;
use state::JudgeState;
use std::time::Duration;

/// Reads a ledger, and checks the buyers' replies against it.
#[derive(Debug)]
pub struct Judge {
    state: JudgeState,
    samples: SampleCheck,
    audit: JudgeAudit,
}

/// What was seen from outside.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The accounts of the crowd: one for each buyer.
    pub accounts: &'a [AccountLog],
    /// The sale's orders as the tables show them, read after they had caught up and before the ledger was read. `None` when
    /// they were not read: then they are not judged.
    pub orders: Option<&'a [TableOrder]>,
    /// The totals that the tables show, likewise.
    pub tables: Option<&'a ShownTableTotals>,
    /// The instance's own time (`serverTime`) when all buyers had ended, read before the ledger.
    pub server_time: Option<Timestamp>,
    /// True when the rehearsal was played to its end. When it was cut short, what is not settled is no offence: it is a
    /// note.
    pub is_complete: bool,
    /// True when only the crowd bought: then every order in the ledger must be one of the crowd's.
    pub is_exclusive: bool,
}

/// An order as the tables show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableOrder {
    pub order: OrderId,
    pub buyer: BuyerId,
    /// Its units.
    pub units: u32,
    /// Its status: `pending`, `confirmed`, `expired`, `cancelled`, `declined` or `refunded`.
    pub status: String,
}

/// The totals of the tables' orders, as an instance showed them to its admin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownTableTotals {
    /// The sale's last event that is in them.
    pub version: u64,
    /// By status, how many orders and how many units.
    pub statuses: Vec<ShownStatusTotal>,
}

/// Orders in one status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownStatusTotal {
    pub status: String,
    pub orders: u64,
    /// Their units.
    pub units: u64,
}

/// The counters at one moment, as an instance showed them to its admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StockSample {
    /// When it was received, in milliseconds since the rehearsal began.
    pub at_ms: u64,
    /// The sale's last event at that moment.
    pub version: u64,
    /// Units of the sale.
    pub quantity: u32,
    /// Units that are free.
    pub available: u32,
    /// Units set aside for those whose turn it is.
    pub admitted: u32,
    /// Units in carts.
    pub held: u32,
    /// Units sold.
    pub sold: u32,
    pub waiting: u32,
}

#[derive(Clone, Debug, Serialize)]
pub struct JudgeFindings {
    /// The promises as the buyers saw them.
    pub replies: Vec<PromiseFinding>,
    /// The promises as the ledger shows them.
    pub ledger: Vec<PromiseFinding>,
    /// The promises as a receiver of events saw them; none without a receiver.
    pub events: Vec<PromiseFinding>,
    /// What a reader should know besides, in sentences.
    pub notes: Vec<String>,
}

impl JudgeFindings {
    /// The promises that were broken, those seen by the buyers first.
    pub fn broken(&self) -> impl Iterator<Item = &PromiseFinding> {
        self.replies.iter().chain(&self.ledger).chain(&self.events).filter(|finding| finding.broken > 0)
    }
}

/// One promise, and whether it was kept.
#[derive(Clone, Debug, Serialize)]
pub struct PromiseFinding {
    /// The stable name of the promise, such as `recorded`.
    pub name: &'static str,
    /// The promise as one sentence.
    pub sentence: &'static str,
    /// How many things were checked.
    pub checked: u64,
    /// How many of them break the promise.
    pub broken: u64,
    /// The first of them.
    pub first: Option<PromiseOffence>,
}

/// What breaks a promise.
#[derive(Clone, Debug, Serialize)]
pub struct PromiseOffence {
    pub buyer: Option<BuyerId>,
    /// The order it is about.
    pub order: Option<OrderId>,
    /// The event of the ledger that shows it.
    pub event: Option<EventSeq>,
    /// What was found, as a phrase for people.
    pub detail: String,
}

impl Judge {
    /// A judge with the samples of one observer, in the order of its requests. The observer sent each request after the reply to
    /// the one before it. A reply to the observer or to a buyer may show a state that is up to `stale_max` old.
    #[must_use]
    pub fn new(observations: &[StockSample], stale_max: Duration) -> Self {
        let watch = SampleCheck::new(observations, stale_max);
        Self { state: JudgeState::default(), samples: watch, audit: JudgeAudit::default() }
    }

    /// Reads the next event of the ledger, from the first one on.
    pub fn read(&mut self, entry: &LedgerEntry) {
        self.audit.read(entry);
        self.samples.check_before(entry, &self.state);
        self.state.read(entry);
        self.samples.track_free_units(&self.state);
    }

    #[must_use]
    pub fn verdict(mut self, evidence: &Evidence<'_>) -> JudgeFindings {
        self.samples.check_rest(&self.state, evidence);
        let Self { state, samples: watch, audit } = self;
        let shown_orders = ShownOrders::from_accounts(evidence.accounts);
        let replies = vec![
            ownership::units(&state, &shown_orders, evidence.accounts),
            ownership::recorded(&state, &shown_orders, evidence),
            ownership::limit(&state, &shown_orders, evidence.accounts),
            state.ticket_order.to_finding(
                "ticket_order",
                "Buyers are admitted in ticket order, and no buyer buys past the line; only those who left or lapsed \
                 are passed over.",
            ),
            line::first_come(&state, evidence.accounts),
            line::place_kept(&state, evidence.accounts),
            settled::freed(&state, &watch, evidence),
            settled::sold_out_true(&state, &watch, evidence),
            settled::settled(&state, evidence),
            watch.totals(&state),
            answers::same_answer(&state, &shown_orders, evidence.accounts),
            answers::no_means_no(&state, &shown_orders, evidence),
        ];
        let notes = settled::notes(&state, evidence);
        JudgeFindings { replies, ledger: audit.findings(), events: Vec::new(), notes }
    }
}
