//! A state in parts: all that the law remembers of a sale, for a store that continues the sale elsewhere. Read only, and never
//! part of deciding.

use super::SaleState;
use super::chunks::NO_RECORD;
use crate::id::{BuyerId, OrderId, RequestKey, Ticket};
use crate::outcome::OrderView;
use crate::time::Timestamp;

/// What is remembered of a buyer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportedBuyer {
    pub id: BuyerId,
    /// The number in line, while waiting or admitted.
    pub ticket: Option<Ticket>,
    /// The end of the admission, while admitted; in a pause as it was when the pause began.
    pub admitted_until: Option<Timestamp>,
    /// Whether the admission has had its extension.
    pub is_extended: bool,
    /// Units in pending orders.
    pub held: u32,
    /// Units in confirmed orders.
    pub owned: u32,
    pub last_order: Option<OrderId>,
    /// Orders that the buyer has made.
    pub order_count: u32,
}

/// What is remembered of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportedOrder {
    pub view: OrderView,
    /// Its place among the sale's orders, counted from 0 in the order in which they were made. Of holds that run out at the
    /// same moment, the smaller number goes first.
    pub number: u32,
    /// The same buyer's order before this one.
    pub previous: Option<OrderId>,
    /// Digest of the request's key.
    pub key: Option<RequestKey>,
    /// As in [`ExportedBuyer`], of the order's buyer.
    pub order_count: u32,
}

impl SaleState {
    /// Since when the sale is paused; `None` while it is not.
    #[must_use]
    pub fn paused_at(&self) -> Option<Timestamp> {
        self.paused_at
    }

    /// Whether the sale was closed for good.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// How many tickets were given; the last one has this number.
    #[must_use]
    pub fn tickets_given(&self) -> u32 {
        self.line.next_ticket().map_or(NO_RECORD - 1, |next| next.0 - 1)
    }

    /// The moments at which buyers were admitted last, with how many each, oldest first: at least those of the last second.
    pub fn admission_runs(&self) -> impl Iterator<Item = (Timestamp, u32)> + '_ {
        self.line.rate.runs()
    }

    /// Every buyer who ever did something.
    pub fn export_buyers(&self) -> impl Iterator<Item = ExportedBuyer> + '_ {
        let order_counts = self.count_orders();
        self.buyers.iter().map(move |(number, buyer)| ExportedBuyer {
            id: buyer.id,
            ticket: buyer.ticket(),
            admitted_until: buyer
                .ticket()
                .and_then(|ticket| self.line.window(ticket))
                .map(|window| window.until),
            is_extended: buyer.ticket().is_some_and(|ticket| self.line.is_extended(ticket)),
            held: buyer.held,
            owned: buyer.owned,
            last_order: self.order_id(buyer.last_order),
            order_count: order_counts[number as usize],
        })
    }

    /// Every order, in the order in which they were made.
    pub fn export_orders(&self) -> impl Iterator<Item = ExportedOrder> + '_ {
        let order_counts = self.count_orders();
        (0..).zip(self.orders.iter()).map(move |(number, order)| ExportedOrder {
            view: self.order_view(order),
            number,
            previous: self.order_id(order.previous),
            key: order.key,
            order_count: order_counts[order.buyer as usize],
        })
    }

    /// How many orders each buyer has made, by the buyer's number. It is counted when it is needed, because the law does not need it.
    fn count_orders(&self) -> Vec<u32> {
        let mut counts = vec![0; self.buyers.iter().count()];
        self.orders.iter().for_each(|order| counts[order.buyer as usize] += 1);
        counts
    }

    fn order_id(&self, number: u32) -> Option<OrderId> {
        (number != NO_RECORD).then(|| self.orders.at(number).id)
    }
}
