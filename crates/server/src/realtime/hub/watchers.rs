//! The hub's state for a sale and for a buyer: the line with its positions, the last update that was sent, and when. It decides which
//! updates are due and which differ from the last one; it sends nothing.

use super::{EventSeq, throttle};
use crate::realtime::documents::{LineStatus, OverReason};
use engine::SaleView;
use sale::{
    Availability, BuyerId, Event, LedgerEntry, OrderId, OrderView, SaleId, SalePhase, Ticket, Timestamp,
    WaitingTickets,
};
use socketioxide::socket::Sid;
use std::collections::HashMap;

/// Orders in the snapshot of a buyer who connects: the newest.
const ORDERS_SENT_MAX: usize = 20;
/// After the end of a sale, events of before are waited for so long.
const EVENTS_LATE_MS: i64 = 1_000;
/// Orders of one buyer whose sent version is remembered.
const ORDERS_KNOWN_MAX: usize = 256;

pub struct SaleWatchers {
    /// Sockets that watch the sale.
    pub watchers: usize,
    /// The phase that was sent last.
    pub phase: SalePhase,
    /// The waiting tickets after [`Self::applied_seq`]; `None` once the sale is over.
    line: Option<WaitingTickets>,
    pub applied_seq: EventSeq,
    /// Of connected buyers who have, or had, a place.
    pub last_sent: HashMap<BuyerId, LastSent>,
    sent_counters: Option<(EventSeq, Availability)>,
    counters_sent_at: Timestamp,
    repeat_at: Option<Timestamp>,
    paused_at: Option<Timestamp>,
    /// Since when the sale is seen to be over.
    over_since: Option<Timestamp>,
}

/// The place that a buyer was sent last.
#[derive(Clone, Copy, Debug)]
pub struct LastSent {
    /// 0 for a buyer without a ticket.
    pub ticket: Ticket,
    pub status: LineStatus,
    /// The event after which the place is so.
    pub version: EventSeq,
    sent_at: Timestamp,
    /// Whether a waiting buyer was sent an estimate of the wait.
    has_estimate: bool,
}

impl LastSent {
    pub fn new(ticket: Ticket, status: LineStatus, version: EventSeq, sent_at: Timestamp) -> Self {
        Self { ticket, status, version, sent_at, has_estimate: false }
    }

    /// With whether an estimate goes with it now.
    #[must_use]
    pub fn with_estimate(self, view: &SaleView, now: Timestamp) -> Self {
        Self { has_estimate: estimate_wait_s(view, &self, now).is_some(), ..self }
    }

    pub fn not_in_line(version: EventSeq, sent_at: Timestamp) -> Self {
        Self::new(Ticket(0), LineStatus::Left { at: sent_at }, version, sent_at)
    }
}

impl SaleWatchers {
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
            over_since: None,
        }
    }

    /// Whether all watchers are due an update of the counters.
    pub fn is_update_due(&self, view: &SaleView, now: Timestamp) -> bool {
        if self.repeat_at.is_some_and(|at| now >= at) {
            return true;
        }
        let Some((seq, availability)) = self.sent_counters else { return true };
        // The sale of the last unit does not wait for the longer interval of a crowd.
        let is_last_unit =
            view.availability == Availability::SoldOut && availability != Availability::SoldOut;
        let interval_ms = if is_last_unit {
            throttle::UPDATE_INTERVAL_MS
        } else {
            throttle::update_interval_ms(self.watchers)
        };
        view.seq > seq && now.ms_since(self.counters_sent_at) >= interval_ms
    }

    pub fn record_sent(&mut self, view: &SaleView, now: Timestamp, repeat_at: Option<Timestamp>) {
        self.sent_counters = Some((view.seq, view.availability));
        self.counters_sent_at = now;
        self.repeat_at = repeat_at;
    }

    pub fn schedule_repeat(&mut self, at: Timestamp) {
        self.repeat_at = Some(self.repeat_at.map_or(at, |known| known.min(at)));
    }

    /// Applies an event to the line, unless it was applied before.
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

    /// Buyers who wait in a sale that is over: each gets one last update, once all events before the end are applied. An event
    /// that comes later still counts.
    pub fn close_line(
        &mut self,
        view: &SaleView,
        reason: OverReason,
        now: Timestamp,
    ) -> Vec<(BuyerId, LastSent)> {
        // Positions no longer change.
        self.line = None;
        let since = *self.over_since.get_or_insert(now);
        if self.applied_seq < view.seq && now.ms_since(since) < EVENTS_LATE_MS {
            return Vec::new();
        }
        let version = self.applied_seq;
        let waiting =
            self.last_sent.iter_mut().filter(|(_, sent)| matches!(sent.status, LineStatus::Waiting(_)));
        let close = |(buyer, sent): (&BuyerId, &mut LastSent)| {
            *sent = LastSent::new(sent.ticket, LineStatus::Over(reason), sent.version.max(version), now);
            (*buyer, *sent)
        };
        waiting.map(close).collect()
    }

    /// Buyers who moved forward since their last position, or who got an estimate of the wait or lost it, if that position is old
    /// enough. A position never grows: the engine's snapshot may be newer than the events applied here.
    pub fn take_due_positions(
        &mut self,
        view: &SaleView,
        now: Timestamp,
        is_wanted: impl Fn(&BuyerId) -> bool,
    ) -> Vec<(BuyerId, LastSent)> {
        let applied_seq = self.applied_seq;
        let mut due = Vec::new();
        let Some(line) = &self.line else { return due };
        for (buyer, sent) in &mut self.last_sent {
            let LineStatus::Waiting(sent_position) = sent.status else { continue };
            if now.ms_since(sent.sent_at) < throttle::position_interval_ms(sent_position) || !is_wanted(buyer)
            {
                continue;
            }
            let Some(position) = line.position(sent.ticket).filter(|position| *position <= sent_position)
            else {
                continue;
            };
            let version = sent.version.max(applied_seq);
            let moved = LastSent::new(sent.ticket, LineStatus::Waiting(position), version, now);
            let moved = moved.with_estimate(view, now);
            if position < sent_position || moved.has_estimate != sent.has_estimate {
                *sent = moved;
                due.push((*buyer, moved));
            }
        }
        due
    }

    /// Merges a reported place with the known one; either may be newer. Neither a ticket nor a position goes back. Returns the
    /// merged place, and whether it differs from the known one.
    pub fn merge_status(&mut self, buyer: BuyerId, reported: LastSent) -> (LastSent, bool) {
        let Some(known) = self.last_sent.get_mut(&buyer) else {
            self.last_sent.insert(buyer, reported);
            return (reported, reported.ticket > Ticket(0));
        };
        if reported.ticket < known.ticket {
            return (*known, false);
        }
        let is_news = reported.ticket > known.ticket
            || match (known.status, reported.status) {
                (LineStatus::Waiting(before), LineStatus::Waiting(now)) => now < before,
                // The end of a sale is no event.
                (LineStatus::Waiting(_), LineStatus::Over(_)) => true,
                (_, LineStatus::Waiting(_)) => false,
                (before, now) => reported.version > known.version && before != now,
            };
        if is_news {
            *known = LastSent { version: reported.version.max(known.version), ..reported };
        } else if reported.status == known.status {
            known.version = known.version.max(reported.version);
        }
        (*known, is_news)
    }

    /// Applies an event, and extends admissions by the time of a pause that it ends. Returns the admissions whose clock stops or goes
    /// on by it.
    pub fn extend_admissions(&mut self, entry: &LedgerEntry) -> Vec<(BuyerId, LastSent)> {
        self.applied_seq = entry.seq;
        let paused_ms = match entry.event {
            Event::Paused => {
                self.paused_at.get_or_insert(entry.at);
                0
            }
            Event::Resumed | Event::Closed => match self.paused_at.take() {
                Some(paused_at) => entry.at.ms_since(paused_at).max(0),
                None => return Vec::new(),
            },
            _ => return Vec::new(),
        };
        let mut extended = Vec::new();
        for (buyer, sent) in &mut self.last_sent {
            if let LineStatus::Admitted { until, extension_s } = sent.status
                && sent.version < entry.seq
            {
                sent.status = LineStatus::Admitted { until: until.plus_ms(paused_ms), extension_s };
                sent.version = entry.seq;
                extended.push((*buyer, *sent));
            }
        }
        extended
    }
}

/// Seconds until a waiting buyer is admitted, where that can be estimated.
pub fn estimate_wait_s(view: &SaleView, sent: &LastSent, now: Timestamp) -> Option<u64> {
    match sent.status {
        LineStatus::Waiting(position) => view.line_moment(now).estimate_wait_s(sent.ticket, position),
        _ => None,
    }
}

/// The sockets of one buyer.
pub struct BuyerSockets {
    pub sockets: Vec<Sid>,
    /// How many of them want to be sent how the buyer moves forward in line.
    pub position_sockets: usize,
    /// When the first of them connected.
    pub connected_at: Timestamp,
    /// Sales in which the buyer may have a place.
    pub sales: Vec<SaleId>,
    /// The version of each order that was sent last.
    pub orders: HashMap<OrderId, EventSeq>,
}

impl BuyerSockets {
    pub fn new(connected_at: Timestamp) -> Self {
        Self {
            sockets: Vec::new(),
            position_sockets: 0,
            connected_at,
            sales: Vec::new(),
            orders: HashMap::new(),
        }
    }

    pub fn add_sale(&mut self, sale: SaleId) {
        if !self.sales.contains(&sale) {
            self.sales.push(sale);
        }
    }

    /// The orders to send to a socket that connects, newest first, without those of which a newer version was sent.
    pub fn take_new_orders(&mut self, orders: &[OrderView], version: EventSeq) -> Vec<OrderView> {
        let newest = orders.iter().take(ORDERS_SENT_MAX);
        let new_orders = newest.filter(|order| {
            let is_newer = self.orders.get(&order.id).is_some_and(|known| *known > version);
            !is_newer && {
                mark_order_sent(&mut self.orders, order.id, version);
                true
            }
        });
        new_orders.copied().collect()
    }
}

/// Marks a version of an order as sent. Returns false when it, or a newer one, was sent before.
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
