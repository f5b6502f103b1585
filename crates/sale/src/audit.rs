//! The promises of a sale, and an independent reading of its ledger that checks them.
//!
//! [`LedgerAuditor`] has its own model and shares no rule with [`crate::SaleState`] and no code with the fold of
//! [`crate::SaleCounters`] (it only reports in that type), so that their agreement about a ledger is evidence. It never decides
//! anything, and it never stops at the first offence.

mod findings;
mod model;

use crate::counters::SaleCounters;
use crate::event::LedgerEntry;
use crate::id::{BuyerId, EventSeq};
use crate::time::Timestamp;
use findings::{PromiseFindings, check_promise};
use model::AuditModel;
use std::fmt;

/// What always holds, as far as a ledger can show it. An answer that was never recorded is in no ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SalePromise {
    /// Nothing is sold that is not there.
    Units,
    /// The limit for one buyer.
    Limit,
    /// A ticket is a number of its own.
    Tickets,
    /// First come, first served.
    TicketOrder,
    /// No more admissions a second than promised.
    Rate,
    /// The whole checkout window.
    Window,
    Holds,
    /// A late payment takes no other buyer's unit.
    LatePayment,
    /// Freed units go on at once.
    AtOnce,
    /// One key, one order.
    Keys,
    /// Nothing is sold outside the sale.
    Period,
    Policy,
    /// Events fit what they speak of.
    Records,
    /// The ledger is whole and in order.
    Sequence,
}

impl SalePromise {
    /// Every promise, in the order of reports.
    pub const ALL: [Self; 14] = [
        Self::Units,
        Self::Limit,
        Self::Tickets,
        Self::TicketOrder,
        Self::Rate,
        Self::Window,
        Self::Holds,
        Self::LatePayment,
        Self::AtOnce,
        Self::Keys,
        Self::Period,
        Self::Policy,
        Self::Records,
        Self::Sequence,
    ];

    /// The stable name, as in reports and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Units => "units",
            Self::Limit => "limit",
            Self::Tickets => "tickets",
            Self::TicketOrder => "ticket_order",
            Self::Rate => "rate",
            Self::Window => "window",
            Self::Holds => "holds",
            Self::LatePayment => "late_payment",
            Self::AtOnce => "at_once",
            Self::Keys => "keys",
            Self::Period => "period",
            Self::Policy => "policy",
            Self::Records => "records",
            Self::Sequence => "sequence",
        }
    }

    /// The promise as one sentence, for people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Units => {
                "Available, admitted, held and sold units add up to the quantity, and none is below zero."
            }
            Self::Limit => "No buyer holds and owns more units than the limit for one buyer.",
            Self::Tickets => "Tickets go up, and none is given twice.",
            Self::TicketOrder => {
                "Buyers are admitted in ticket order; only those who left or lapsed are passed over."
            }
            Self::Rate => "No second sees more admissions than the sale promises.",
            Self::Window => {
                "An admitted buyer may buy for the whole checkout window, and longer by one extension at most, as \
                 the sale promises it; pauses do not count."
            }
            Self::Holds => {
                "A hold lasts as long as the sale promises, unless it is paid or given back; a payment in progress prolongs it by \
                 another hold and a minute at most."
            }
            Self::LatePayment => {
                "A payment after the hold is confirmed only if a unit is free and no buyer waits for it."
            }
            Self::AtOnce => {
                "Holds and admissions that are over free their units, and free units go to the next in line, before \
                 anything else is decided."
            }
            Self::Keys => "One key of one buyer makes one order.",
            Self::Period => {
                "Nothing is sold before the start, after the end or in a pause, except what was promised before."
            }
            Self::Policy => {
                "Once buyers may act on it, a sale's policy only gains units, gains time, or changes the hold."
            }
            Self::Records => "Every event speaks of a place or an order that is there, and that allows it.",
            Self::Sequence => "Events are numbered without a gap, and time never goes back.",
        }
    }

    /// Whether an offence can come from an entry that is missing before it, rather than from a broken promise.
    fn may_follow_from_gap(self) -> bool {
        !matches!(self, Self::Tickets | Self::Keys | Self::Sequence)
    }
}

impl fmt::Display for SalePromise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenPromise {
    pub promise: SalePromise,
    /// By which event, or (in a recount of a state) as of which event.
    pub seq: EventSeq,
    /// The buyer of that event, if it has one.
    pub buyer: Option<BuyerId>,
    /// What was found, as a phrase for people.
    pub detail: String,
}

impl fmt::Display for BrokenPromise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "event {}: {} (promise `{}`: {})",
            self.seq,
            self.detail,
            self.promise,
            self.promise.sentence()
        )
    }
}

impl std::error::Error for BrokenPromise {}

/// Reads a ledger from its first entry on and checks every promise. Costs memory by buyer and order, not by event.
#[derive(Debug, Default)]
pub struct LedgerAuditor {
    gaps_allowed: bool,
    entries: u64,
    missing: u64,
    doubts: u64,
    last: (EventSeq, Timestamp),
    counts: [u64; SalePromise::ALL.len()],
    first: [Option<BrokenPromise>; SalePromise::ALL.len()],
    findings: PromiseFindings,
    book: AuditModel,
}

impl LedgerAuditor {
    /// For a ledger that must be whole: one machine's, or a test's.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// For a ledger that may lack entries of which no caller got a reply (a cluster's). After the first gap, what the missing entry
    /// may explain is counted as a doubt and not as a broken promise.
    #[must_use]
    pub fn allowing_gaps() -> Self {
        Self { gaps_allowed: true, ..Self::default() }
    }

    /// Reads the next entry.
    pub fn read_entry(&mut self, entry: &LedgerEntry) {
        self.check_sequence(entry);
        self.book.read_event(entry.at, &entry.event, &mut self.findings);
        if !self.findings.offences.is_empty() {
            self.record_offences(entry);
        }
        self.entries += 1;
        self.last = (entry.seq.max(self.last.0), entry.at.max(self.last.1));
    }

    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Numbers that were skipped.
    #[must_use]
    pub fn missing_entries(&self) -> u64 {
        self.missing
    }

    /// Findings that a missing entry may explain; always 0 for a whole ledger.
    #[must_use]
    pub fn doubts(&self) -> u64 {
        self.doubts
    }

    /// True when no promise was broken.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    /// How often a promise was checked: once for each statement that it makes about an event, such as the unit totals after
    /// it, or the limit for the buyer who is given a unit. Never less than [`LedgerAuditor::offence_count`].
    #[must_use]
    pub fn check_count(&self, promise: SalePromise) -> u64 {
        self.findings.checks[promise as usize]
    }

    /// How often a promise was broken.
    #[must_use]
    pub fn offence_count(&self, promise: SalePromise) -> u64 {
        self.counts[promise as usize]
    }

    /// The first offence against each promise that was broken.
    pub fn first_offences(&self) -> impl Iterator<Item = &BrokenPromise> {
        self.first.iter().flatten()
    }

    /// The counters of the auditor's own model; a negative number shows as 0.
    #[must_use]
    pub fn counters(&self) -> SaleCounters {
        self.book.counters()
    }

    fn check_sequence(&mut self, entry: &LedgerEntry) {
        let (seq, at) = self.last;
        let due = seq.next();
        self.missing += entry.seq.0.saturating_sub(due.0);
        let follows = entry.seq == due || self.gaps_allowed && entry.seq > due;
        check_promise(follows, SalePromise::Sequence, &mut self.findings, || {
            if entry.seq < due {
                format!("number {} comes after {seq}", entry.seq)
            } else {
                format!("numbers {due} to {} are missing", entry.seq.0 - 1)
            }
        });
        check_promise(entry.at >= at, SalePromise::Sequence, &mut self.findings, || {
            format!("time goes back by {} ms", at.ms_since(entry.at))
        });
    }

    fn record_offences(&mut self, entry: &LedgerEntry) {
        for (promise, detail) in std::mem::take(&mut self.findings.offences) {
            self.record_offence(BrokenPromise {
                promise,
                seq: entry.seq,
                buyer: entry.event.buyer(),
                detail,
            });
        }
    }

    fn record_offence(&mut self, broken: BrokenPromise) {
        if self.gaps_allowed && self.missing > 0 && broken.promise.may_follow_from_gap() {
            self.doubts += 1;
            return;
        }
        let index = broken.promise as usize;
        self.counts[index] += 1;
        self.first[index].get_or_insert(broken);
    }
}
