//! What the desk remembers of a sale and of a buyer: what they were told last, and when. It decides what is due and what is
//! news; it sends nothing.

use super::{EventSeq, throttle};
use crate::realtime::documents::LineStatus;
use engine::SaleView;
use sale::{
    Availability, BuyerId, Event, LedgerEntry, OrderId, OrderView, SaleId, SalePhase, Ticket, Timestamp,
    WaitingTickets,
};
use socketioxide::socket::Sid;
use std::collections::HashMap;

/// Orders that a buyer is told of when they come: the newest.
const ORDERS_SENT_MAX: usize = 20;
/// Orders of one buyer of which the version is remembered.
const ORDERS_KNOWN_MAX: usize = 256;

pub struct SaleWatchers {
    /// Sockets that watch it.
    pub watchers: usize,
    /// What it was doing when the desk last looked.
    pub phase: SalePhase,
    /// The tickets that wait, as far as the ledger was read; `None` once the sale is over.
    line: Option<WaitingTickets>,
    /// The last event that was read.
    pub applied_seq: EventSeq,
    /// The buyers with sockets who have, or had, a place.
    pub last_sent: HashMap<BuyerId, LastSent>,
    sent_counters: Option<(EventSeq, Availability)>,
    counters_sent_at: Timestamp,
    repeat_at: Option<Timestamp>,
    paused_at: Option<Timestamp>,
}

/// What a buyer was told of their place.
#[derive(Clone, Copy, Debug)]
pub struct LastSent {
    /// Their ticket; 0 when they have none.
    pub ticket: Ticket,
    pub status: LineStatus,
    /// The event after which it is so.
    pub version: EventSeq,
    sent_at: Timestamp,
}

impl LastSent {
    pub fn new(ticket: Ticket, spot: LineStatus, version: EventSeq, told_at: Timestamp) -> Self {
        Self { ticket, status: spot, version, sent_at: told_at }
    }

    pub fn not_in_line(version: EventSeq, told_at: Timestamp) -> Self {
        Self::new(Ticket(0), LineStatus::Left, version, told_at)
    }
}

impl SaleWatchers {
    /// A sale that nobody watches yet.
    pub fn new(phase: SalePhase) -> Self {
        Self {
            watchers: 0,
            phase,
            line: Some(WaitingTickets::default()),
            applied_seq: EventSeq(0),
            last_sent: HashMap::new(),
            sent_counters: None,
            counters_sent_at: Timestamp(0),
            repeat_at: None,
            paused_at: None,
        }
    }

    /// Whether everyone should be told the sums.
    pub fn is_update_due(&self, view: &SaleView, now: Timestamp) -> bool {
        if self.repeat_at.is_some_and(|at| now >= at) {
            return true;
        }
        let Some((seq, availability)) = self.sent_counters else { return true };
        // The last unit is news that cannot wait.
        let is_end = view.availability == Availability::SoldOut && availability != Availability::SoldOut;
        let rest_ms =
            if is_end { throttle::UPDATE_INTERVAL_MS } else { throttle::update_interval_ms(self.watchers) };
        view.seq > seq && now.ms_since(self.counters_sent_at) >= rest_ms
    }

    /// Everyone was told the sums; perhaps they must be told again.
    pub fn record_sent(&mut self, view: &SaleView, now: Timestamp, repeat_at: Option<Timestamp>) {
        self.sent_counters = Some((view.seq, view.availability));
        self.counters_sent_at = now;
        self.repeat_at = repeat_at;
    }

    /// Everyone must be told again then.
    pub fn schedule_repeat(&mut self, at: Timestamp) {
        self.repeat_at = Some(self.repeat_at.map_or(at, |known| known.min(at)));
    }

    /// Applies an event to the line. One that was read before changes nothing.
    pub fn update_line(&mut self, entry: &LedgerEntry) {
        if entry.seq > self.applied_seq
            && let Some(line) = &mut self.line
        {
            line.apply(&entry.event);
        }
    }

    pub fn position(&self, ticket: Ticket) -> Option<u32> {
        self.line.as_ref().and_then(|line| line.position(ticket))
    }

    /// Drops the line of a sale that is over: its positions do not change any more.
    pub fn close_line(&mut self) {
        self.line = None;
    }

    /// Whom to tell a new position, because they moved on and the last one is old enough. A position never grows: what was
    /// asked of the engine may be newer than what was read of the ledger.
    pub fn take_due_positions(&mut self, now: Timestamp) -> Vec<(BuyerId, LastSent)> {
        let folded = self.applied_seq;
        let mut due = Vec::new();
        let Some(line) = &self.line else { return due };
        for (buyer, spotted) in &mut self.last_sent {
            let LineStatus::Waiting(told) = spotted.status else { continue };
            if now.ms_since(spotted.sent_at) < throttle::position_interval_ms(told) {
                continue;
            }
            let Some(position) = line.position(spotted.ticket).filter(|position| *position < told) else {
                continue;
            };
            spotted.status = LineStatus::Waiting(position);
            spotted.sent_at = now;
            spotted.version = spotted.version.max(folded);
            due.push((*buyer, *spotted));
        }
        due
    }

    /// Brings together what is known of a buyer's place and what is now said of it. Returns what holds, and whether it is
    /// news: both sides may be ahead of the other, and neither a ticket nor a position goes back.
    pub fn merge_status(&mut self, buyer: BuyerId, said: LastSent) -> (LastSent, bool) {
        let Some(known) = self.last_sent.get_mut(&buyer) else {
            self.last_sent.insert(buyer, said);
            return (said, said.ticket > Ticket(0));
        };
        if said.ticket < known.ticket {
            return (*known, false);
        }
        let is_news = said.ticket > known.ticket
            || match (known.status, said.status) {
                (LineStatus::Waiting(before), LineStatus::Waiting(now)) => now < before,
                (_, LineStatus::Waiting(_)) => false,
                (before, now) => said.version > known.version && before != now,
            };
        if is_news {
            *known = LastSent { version: said.version.max(known.version), ..said };
        } else if said.status == known.status {
            known.version = known.version.max(said.version);
        }
        (*known, is_news)
    }

    /// Admissions stand still during a pause: at its end all get that time back. Returns whose has grown.
    pub fn extend_admissions(&mut self, entry: &LedgerEntry) -> Vec<(BuyerId, LastSent)> {
        self.applied_seq = entry.seq;
        let paused_at = match entry.event {
            Event::Paused => {
                self.paused_at = Some(entry.at);
                None
            }
            Event::Resumed | Event::Closed => self.paused_at.take(),
            _ => None,
        };
        let Some(paused_at) = paused_at else { return Vec::new() };
        let gained_ms = entry.at.ms_since(paused_at).max(0);
        let mut grown = Vec::new();
        for (buyer, spotted) in &mut self.last_sent {
            if let LineStatus::Admitted { until, extension_s } = spotted.status
                && spotted.version < entry.seq
            {
                spotted.status = LineStatus::Admitted { until: until.plus_ms(gained_ms), extension_s };
                spotted.version = entry.seq;
                grown.push((*buyer, *spotted));
            }
        }
        grown
    }
}

/// A buyer with sockets.
pub struct BuyerSockets {
    /// Their tabs and devices.
    pub sockets: Vec<Sid>,
    /// When the first of them came.
    pub connected_at: Timestamp,
    /// In which sales they may have a place.
    pub sales: Vec<SaleId>,
    /// The last event of each order that they were told of.
    pub orders: HashMap<OrderId, EventSeq>,
}

impl BuyerSockets {
    /// Nobody's first socket comes now.
    pub fn new(came_at: Timestamp) -> Self {
        Self { sockets: Vec::new(), connected_at: came_at, sales: Vec::new(), orders: HashMap::new() }
    }

    /// They may have a place in this sale.
    pub fn add_sale(&mut self, sale: SaleId) {
        if !self.sales.contains(&sale) {
            self.sales.push(sale);
        }
    }

    /// The orders to tell a socket that comes, newest first: those of which nothing newer was told.
    pub fn take_new_orders(&mut self, orders: &[OrderView], version: EventSeq) -> Vec<OrderView> {
        let newest = orders.iter().take(ORDERS_SENT_MAX);
        let fresh = newest.filter(|order| {
            let is_newer = self.orders.get(&order.id).is_some_and(|known| *known > version);
            !is_newer && {
                mark_order_sent(&mut self.orders, order.id, version);
                true
            }
        });
        fresh.copied().collect()
    }
}

/// Whether an event of an order is news; then it is remembered as told.
pub fn mark_order_sent(orders: &mut HashMap<OrderId, EventSeq>, order: OrderId, seq: EventSeq) -> bool {
    if orders.get(&order).is_some_and(|known| *known >= seq) {
        return false;
    }
    if orders.len() >= ORDERS_KNOWN_MAX {
        orders.clear();
    }
    orders.insert(order, seq);
    true
}
