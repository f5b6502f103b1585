//! What the desk remembers of a sale and of a buyer: what they were told last, and when. It decides what is due and what is
//! news; it sends nothing.

use super::{Line, Seq, pace};
use crate::realtime::words::Spot;
use engine::SaleView;
use sale::{Availability, BuyerId, Entry, Event, OrderId, OrderView, Phase, SaleId, Ticket, Timestamp};
use socketioxide::socket::Sid;
use std::collections::HashMap;

/// Orders that a buyer is told of when they come: the newest.
const ORDERS_TOLD_MAX: usize = 20;
/// Orders of one buyer of which the version is remembered.
const ORDERS_KNOWN_MAX: usize = 256;

/// A sale.
pub struct Floor {
    /// Sockets that watch it.
    pub watchers: usize,
    /// What it was doing when the desk last looked.
    pub phase: Phase,
    /// Who waits, as far as the ledger was read.
    pub line: Line,
    /// The last event that was read.
    pub folded: Seq,
    /// The buyers with sockets who have, or had, a place.
    pub people: HashMap<BuyerId, Spotted>,
    sums: Option<(Seq, Availability)>,
    sums_at: Timestamp,
    repeat_at: Option<Timestamp>,
    paused_at: Option<Timestamp>,
}

/// What a buyer was told of their place.
#[derive(Clone, Copy, Debug)]
pub struct Spotted {
    /// Their ticket; 0 when they have none.
    pub ticket: Ticket,
    /// Where they are.
    pub spot: Spot,
    /// The event after which it is so.
    pub version: Seq,
    told_at: Timestamp,
}

impl Spotted {
    /// A place.
    pub fn new(ticket: Ticket, spot: Spot, version: Seq, told_at: Timestamp) -> Self {
        Self { ticket, spot, version, told_at }
    }

    /// No place.
    pub fn nowhere(version: Seq, told_at: Timestamp) -> Self {
        Self::new(Ticket(0), Spot::Left, version, told_at)
    }
}

impl Floor {
    /// A sale that nobody watches yet.
    pub fn new(phase: Phase) -> Self {
        Self {
            watchers: 0,
            phase,
            line: Line::default(),
            folded: Seq(0),
            people: HashMap::new(),
            sums: None,
            sums_at: Timestamp(0),
            repeat_at: None,
            paused_at: None,
        }
    }

    /// Whether everyone should be told the sums.
    pub fn is_due(&self, view: &SaleView, now: Timestamp) -> bool {
        if self.repeat_at.is_some_and(|at| now >= at) {
            return true;
        }
        let Some((seq, availability)) = self.sums else { return true };
        // The last unit is news that cannot wait.
        let is_end = view.availability == Availability::SoldOut && availability != Availability::SoldOut;
        let rest_ms = if is_end { pace::MERGE_MS } else { pace::merge_ms(self.watchers) };
        view.seq > seq && now.ms_since(self.sums_at) >= rest_ms
    }

    /// Everyone was told the sums; perhaps they must be told again.
    pub fn told(&mut self, view: &SaleView, now: Timestamp, repeat_at: Option<Timestamp>) {
        self.sums = Some((view.seq, view.availability));
        self.sums_at = now;
        self.repeat_at = repeat_at;
    }

    /// Everyone must be told again then.
    pub fn repeat(&mut self, at: Timestamp) {
        self.repeat_at = Some(self.repeat_at.map_or(at, |known| known.min(at)));
    }

    /// The sale is over and nobody moves on any more: the line is let go, which has four bytes for every ticket there was.
    pub fn close_line(&mut self) {
        self.line.close();
    }

    /// Whom to tell a new position, because they moved on and the last one is old enough. A position never grows: what was
    /// asked of the engine may be newer than what was read of the ledger.
    pub fn positions_due(&mut self, now: Timestamp) -> Vec<(BuyerId, Spotted)> {
        let (line, folded) = (&self.line, self.folded);
        let mut due = Vec::new();
        for (buyer, spotted) in &mut self.people {
            let Spot::Waiting(told) = spotted.spot else { continue };
            if now.ms_since(spotted.told_at) < pace::position_ms(told) {
                continue;
            }
            let Some(position) = line.position(spotted.ticket).filter(|position| *position < told) else {
                continue;
            };
            spotted.spot = Spot::Waiting(position);
            spotted.told_at = now;
            spotted.version = spotted.version.max(folded);
            due.push((*buyer, *spotted));
        }
        due
    }

    /// Brings together what is known of a buyer's place and what is now said of it. Returns what holds, and whether it is
    /// news: both sides may be ahead of the other, and neither a ticket nor a position goes back.
    pub fn spot(&mut self, buyer: BuyerId, said: Spotted) -> (Spotted, bool) {
        let Some(known) = self.people.get_mut(&buyer) else {
            self.people.insert(buyer, said);
            return (said, said.ticket > Ticket(0));
        };
        if said.ticket < known.ticket {
            return (*known, false);
        }
        let is_news = said.ticket > known.ticket
            || match (known.spot, said.spot) {
                (Spot::Waiting(before), Spot::Waiting(now)) => now < before,
                (_, Spot::Waiting(_)) => false,
                (before, now) => said.version > known.version && before != now,
            };
        if is_news {
            *known = Spotted { version: said.version.max(known.version), ..said };
        } else if said.spot == known.spot {
            known.version = known.version.max(said.version);
        }
        (*known, is_news)
    }

    /// Admissions stand still during a pause: at its end all get that time back. Returns whose has grown.
    pub fn stretch_admissions(&mut self, entry: &Entry) -> Vec<(BuyerId, Spotted)> {
        self.folded = entry.seq;
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
        for (buyer, spotted) in &mut self.people {
            if let Spot::Admitted { until, extension_s } = spotted.spot
                && spotted.version < entry.seq
            {
                spotted.spot = Spot::Admitted { until: until.plus_ms(gained_ms), extension_s };
                spotted.version = entry.seq;
                grown.push((*buyer, *spotted));
            }
        }
        grown
    }
}

/// A buyer with sockets.
pub struct Person {
    /// Their tabs and devices.
    pub sockets: Vec<Sid>,
    /// When the first of them came.
    pub came_at: Timestamp,
    /// In which sales they may have a place.
    pub sales: Vec<SaleId>,
    /// The last event of each order that they were told of.
    pub orders: HashMap<OrderId, Seq>,
}

impl Person {
    /// Nobody's first socket comes now.
    pub fn new(came_at: Timestamp) -> Self {
        Self { sockets: Vec::new(), came_at, sales: Vec::new(), orders: HashMap::new() }
    }

    /// They may have a place in this sale.
    pub fn is_in(&mut self, sale: SaleId) {
        if !self.sales.contains(&sale) {
            self.sales.push(sale);
        }
    }

    /// The orders to tell a socket that comes, newest first: those of which nothing newer was told.
    pub fn take_orders(&mut self, orders: &[OrderView], version: Seq) -> Vec<OrderView> {
        let newest = orders.iter().take(ORDERS_TOLD_MAX);
        let fresh = newest.filter(|order| {
            let is_newer = self.orders.get(&order.id).is_some_and(|known| *known > version);
            !is_newer && {
                told_orders(&mut self.orders, order.id, version);
                true
            }
        });
        fresh.copied().collect()
    }
}

/// Whether an event of an order is news; then it is remembered as told.
pub fn told_orders(orders: &mut HashMap<OrderId, Seq>, order: OrderId, seq: Seq) -> bool {
    if orders.get(&order).is_some_and(|known| *known >= seq) {
        return false;
    }
    if orders.len() >= ORDERS_KNOWN_MAX {
        orders.clear();
    }
    orders.insert(order, seq);
    true
}
