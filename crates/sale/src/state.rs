//! The state of one sale: a fold over its entries. It holds what the law needs to decide, and nothing for show.
//!
//! [`SaleState::apply`] takes every entry, also those of a ledger that lacks some (see [`SaleCounters::short`]): it never fails
//! and never panics, it leaves out what cannot be.

mod buyers;

mod line;

mod orders;

mod apply;

mod export;

mod check;

mod rate;

mod deadlines;

mod index;

mod chunks;

use crate::counters::{SaleCounters, UnitBalance};
use crate::event::Event;
use crate::id::{BuyerId, EventSeq, OrderId, Ticket};
use crate::outcome::{LinePosition, OrderView};
use crate::phase::{SalePhase, SaleSwitches};
use crate::policy::Policy;
use crate::time::Timestamp;
pub(crate) use buyers::BuyerRecord;
use buyers::BuyerTable;
pub use export::{ExportedBuyer, ExportedOrder};
use line::{AdmissionWindow, WaitingLine};
use orders::OrderTable;
pub(crate) use orders::{OrderRecord, OrderStage};

/// One sale. `Default` is a sale that was never announced.
///
/// Costs 64 bytes a waiting buyer at most, and about 100 more an order (see `benches/law.rs`); a buyer's place, an order
/// and a key are found in constant time, a position in O(log n).
#[derive(Clone, Debug, Default)]
pub struct SaleState {
    seq: EventSeq,
    clock: Timestamp,
    /// Entries that the ledger lacks, by their numbers.
    missing: u64,
    pub(crate) policy: Option<Box<Policy>>,
    pub(crate) paused_at: Option<Timestamp>,
    pub(crate) closed: bool,
    pub(crate) units: UnitBalance,
    pub(crate) buyers: BuyerTable,
    pub(crate) line: WaitingLine,
    pub(crate) orders: OrderTable,
    /// Kept between steps for its memory only; empty otherwise.
    pub(crate) scratch: Vec<Event>,
}

/// One buyer, as the law sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuyerView {
    /// The number in line, while waiting or admitted.
    pub ticket: Option<Ticket>,
    /// The place in line, while waiting or admitted.
    pub place: Option<LinePosition>,
    /// Units in pending orders.
    pub held: u32,
    /// Units in confirmed orders.
    pub owned: u32,
    /// Whether the buyer ever did something in the sale.
    pub has_history: bool,
}

/// One buyer in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineMember {
    pub buyer: BuyerId,
    pub ticket: Ticket,
    pub place: LinePosition,
}

impl SaleState {
    /// A sale that was never announced.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of the last entry applied; 0 before the first.
    #[must_use]
    pub fn seq(&self) -> EventSeq {
        self.seq
    }

    /// The latest moment of any entry applied. Nothing is decided before it.
    #[must_use]
    pub fn latest_time(&self) -> Timestamp {
        self.clock
    }

    /// How many entries before [`SaleState::seq`] were never applied.
    #[must_use]
    pub fn missing_entries(&self) -> u64 {
        self.missing
    }

    /// What is promised now; its quantity includes restocked units. `None` before the sale is announced.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_deref()
    }

    /// Where the units are, and how many wait.
    #[must_use]
    pub fn counters(&self) -> SaleCounters {
        self.units.counters(self.line.waiting())
    }

    /// What the sale is doing at `now`. A sale that was never announced is upcoming.
    #[must_use]
    pub fn phase(&self, now: Timestamp) -> SalePhase {
        match self.policy() {
            Some(policy) => SalePhase::at(now, policy, self.switches()),
            None if self.closed => SalePhase::Closed,
            None => SalePhase::Upcoming,
        }
    }

    /// What the merchant did by hand.
    #[must_use]
    pub fn switches(&self) -> SaleSwitches {
        SaleSwitches { paused_at: self.paused_at, is_closed: self.closed }
    }

    /// One buyer; nothing at all for a buyer never seen.
    #[must_use]
    pub fn buyer(&self, buyer: BuyerId) -> BuyerView {
        self.buyers.get(buyer).map(|buyer| self.buyer_view(buyer)).unwrap_or_default()
    }

    /// Every buyer who ever did something, in the order of their first event.
    pub fn buyers(&self) -> impl Iterator<Item = (BuyerId, BuyerView)> + '_ {
        self.buyers.iter().map(|(_, buyer)| (buyer.id, self.buyer_view(buyer)))
    }

    /// One order; `None` for an id never seen.
    #[must_use]
    pub fn order(&self, order: OrderId) -> Option<OrderView> {
        self.orders.get(order).map(|order| self.order_view(order))
    }

    /// A buyer's orders, newest first; each costs one step along the buyer's own chain.
    pub fn buyer_orders(&self, buyer: BuyerId) -> impl Iterator<Item = OrderView> + '_ {
        let newest = self.buyers.get(buyer).map_or(chunks::NO_RECORD, |buyer| buyer.last_order);
        self.orders.chain(newest).map(|order| self.order_view(order))
    }

    /// Every order, in the order in which they were made.
    pub fn orders(&self) -> impl Iterator<Item = OrderView> + '_ {
        self.orders.iter().map(|order| self.order_view(order))
    }

    /// Up to `limit` buyers who wait or are admitted, in ticket order, from the first ticket after `after` on.
    #[must_use]
    pub fn line_members(&self, after: Option<Ticket>, limit: usize) -> Vec<LineMember> {
        let member = |ticket: Ticket, place: LinePosition| {
            let buyer = self.buyers.at(self.line.buyer(ticket)).id;
            LineMember { buyer, ticket, place }
        };
        let mut admitted = self.line.admitted_after(after).peekable();
        let mut waiting = self.line.waiting_after(after).peekable();
        let mut position = waiting.peek().and_then(|first| self.line.position(*first)).unwrap_or(0);
        let mut members = Vec::new();
        while members.len() < limit {
            let is_admitted_next = match (admitted.peek(), waiting.peek()) {
                (None, None) => break,
                (Some((admitted, _)), Some(waiting)) => admitted < waiting,
                (admitted, _) => admitted.is_some(),
            };
            if is_admitted_next {
                members.extend(
                    admitted.next().map(|(ticket, window)| member(ticket, self.admitted_position(window))),
                );
            } else {
                members
                    .extend(waiting.next().map(|ticket| member(ticket, LinePosition::Waiting { position })));
                position += 1;
            }
        }
        members
    }

    pub(crate) fn order_view(&self, order: &OrderRecord) -> OrderView {
        self.orders.view(order, self.buyers.at(order.buyer).id)
    }

    fn buyer_view(&self, buyer: &BuyerRecord) -> BuyerView {
        let place = buyer.ticket().and_then(|ticket| self.line_position(ticket));
        BuyerView { ticket: buyer.ticket(), place, held: buyer.held, owned: buyer.owned, has_history: true }
    }

    /// An admission as buyers see it: an extension can be had once, as long as the policy has it now.
    fn admitted_position(&self, window: AdmissionWindow) -> LinePosition {
        let left = if window.is_extended { None } else { self.policy() };
        LinePosition::Admitted { until: window.until, extension_s: left.map_or(0, Policy::extension_s) }
    }

    /// The position of a ticket, while it waits or is admitted.
    pub(crate) fn line_position(&self, ticket: Ticket) -> Option<LinePosition> {
        if let Some(window) = self.line.window(ticket) {
            Some(self.admitted_position(window))
        } else {
            self.line.position(ticket).map(|position| LinePosition::Waiting { position })
        }
    }
}
