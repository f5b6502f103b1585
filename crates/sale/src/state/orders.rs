//! The orders of a sale: 64 bytes each, found by id and by a buyer's request key, chained newest first for each buyer.

use super::chunks::{Chunks, NONE};
use super::deadlines::Deadlines;
use super::index::Index;
use super::units::Place;
use crate::hash::hash16;
use crate::id::{BuyerId, OrderId, RequestKey};
use crate::outcome::{OrderStatus, OrderView};
use crate::time::Timestamp;

/// A buyer's orders that are searched for a key one by one. Nearly every buyer has fewer, and so nearly no order has to be
/// in the index of keys.
const KEYS_WALKED: usize = 8;

/// What has become of an order; the moment that goes with it is [`Order::moment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Pending,
    Confirmed,
    Expired,
    Cancelled,
    Declined,
    RefundedAndRestocked,
    RefundedAndGone,
}

impl Stage {
    /// Where the units of such an order are.
    pub(crate) fn place(self) -> Place {
        match self {
            Self::Pending => Place::Held,
            Self::Confirmed | Self::RefundedAndGone => Place::Sold,
            Self::Expired | Self::Cancelled | Self::Declined | Self::RefundedAndRestocked => Place::Free,
        }
    }

    /// Orders only ever go up: held, given back, (late) paid, refunded. What would go down is not of this law.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Expired | Self::Cancelled | Self::Declined => 1,
            Self::Confirmed => 2,
            Self::RefundedAndRestocked | Self::RefundedAndGone => 3,
        }
    }
}

/// One order. Aligned, so that no record lies on two cache lines.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    pub(crate) key: Option<RequestKey>,
    pub(crate) stage: Stage,
    /// Whether the keys of this and all earlier orders of the buyer are in the index of keys.
    is_key_indexed: bool,
    /// The number of the buyer's record.
    pub(crate) buyer: u32,
    pub(crate) quantity: u32,
    /// The same buyer's order before this one, or [`NONE`].
    pub(crate) previous: u32,
    pub(crate) made_at: Timestamp,
    /// While pending: the end of the hold. Afterwards: when the order last changed. One field, because a pending order
    /// has not changed since it was made, and so a record fits a cache line.
    pub(crate) moment: Timestamp,
}

impl Order {
    /// True while the hold lasts at `now`.
    pub(crate) fn is_held_at(&self, now: Timestamp) -> bool {
        self.stage == Stage::Pending && self.moment > now
    }

    fn has_key(&self, buyer: u32, key: RequestKey) -> bool {
        self.buyer == buyer && self.key == Some(key)
    }

    pub(crate) fn view(&self, buyer: BuyerId) -> OrderView {
        let status = match self.stage {
            Stage::Pending => OrderStatus::Pending { until: self.moment },
            Stage::Confirmed => OrderStatus::Confirmed,
            Stage::Expired => OrderStatus::Expired,
            Stage::Cancelled => OrderStatus::Cancelled,
            Stage::Declined => OrderStatus::Declined,
            Stage::RefundedAndRestocked => OrderStatus::Refunded { restocked: true },
            Stage::RefundedAndGone => OrderStatus::Refunded { restocked: false },
        };
        let changed_at = if self.stage == Stage::Pending { self.made_at } else { self.moment };
        OrderView { id: self.id, buyer, quantity: self.quantity, made_at: self.made_at, changed_at, status }
    }
}

/// What a new order is made of, as in [`Order`].
pub(crate) struct NewOrder {
    pub(crate) id: OrderId,
    pub(crate) key: Option<RequestKey>,
    pub(crate) stage: Stage,
    pub(crate) buyer: u32,
    pub(crate) quantity: u32,
    pub(crate) previous: u32,
    pub(crate) made_at: Timestamp,
    pub(crate) moment: Timestamp,
}

/// All orders, numbered in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orders {
    records: Chunks<Order>,
    by_id: Index,
    /// Orders with a key, by buyer and key; only those of buyers with more than [`KEYS_WALKED`] orders.
    by_key: Index,
    expiries: Deadlines,
}

impl Orders {
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn find(&self, id: OrderId) -> Option<u32> {
        self.by_id.find(hash(id), |number| self.records[number].id == id)
    }

    pub(crate) fn get(&self, id: OrderId) -> Option<&Order> {
        self.find(id).map(|number| self.at(number))
    }

    /// The order that this buyer's request made, if it made one; O(1), however many orders the buyer has.
    pub(crate) fn by_key(&self, buyer: u32, newest: u32, key: RequestKey) -> Option<&Order> {
        let is_indexed = newest != NONE && self.at(newest).is_key_indexed;
        if is_indexed {
            let found = self.by_key.find(hash_key(buyer, key), |number| self.at(number).has_key(buyer, key));
            return found.map(|number| self.at(number));
        }
        self.chain(newest).find(|order| order.has_key(buyer, key))
    }

    pub(crate) fn at(&self, number: u32) -> &Order {
        &self.records[number]
    }

    /// Adds an order whose id is new.
    pub(crate) fn insert(&mut self, new: NewOrder) -> u32 {
        let NewOrder { id, key, stage, buyer, quantity, previous, made_at, moment } = new;
        let number = self.records.next();
        if stage == Stage::Pending {
            self.expiries.insert(moment, number);
        }
        let is_key_indexed = self.index_keys_before(previous);
        if is_key_indexed && let Some(key) = key {
            self.by_key.insert(hash_key(buyer, key), number);
        }
        self.by_id.insert(hash(id), number);
        self.records.push(Order {
            id,
            key,
            stage,
            is_key_indexed,
            buyer,
            quantity,
            previous,
            made_at,
            moment,
        });
        number
    }

    /// Sees to it that a buyer's keys can be found at once, from the moment on at which walking takes too long.
    fn index_keys_before(&mut self, newest: u32) -> bool {
        if newest == NONE || self.at(newest).is_key_indexed {
            return newest != NONE;
        }
        let mut chain = [NONE; KEYS_WALKED];
        let mut number = newest;
        for slot in &mut chain {
            if number == NONE {
                return false;
            }
            *slot = number;
            number = self.at(number).previous;
        }
        for number in chain {
            let order = &self.records[number];
            if let Some(key) = order.key {
                self.by_key.insert(hash_key(order.buyer, key), number);
            }
        }
        true
    }

    /// Changes what has become of an order that is not pending afterwards.
    pub(crate) fn change(&mut self, number: u32, stage: Stage, at: Timestamp) {
        let order = &mut self.records[number];
        order.stage = stage;
        order.moment = at;
    }

    /// Forgets expiries that do not count any more, so that [`Orders::next_expiry`] is exact.
    pub(crate) fn settle(&mut self) {
        let Self { records, expiries, .. } = self;
        expiries.settle(|until, number| counts(&records[number], until));
    }

    /// When the next hold runs out.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first()
    }

    /// The orders whose hold is over at `now`, first what ran out first.
    pub(crate) fn expired(&self, now: Timestamp) -> impl Iterator<Item = &Order> {
        let due = self.expiries.due(now).map(|(until, number)| (until, self.at(number)));
        due.filter(|(until, order)| counts(order, *until)).map(|(_, order)| order)
    }

    /// A buyer's orders, newest first, from the given one on.
    pub(crate) fn chain(&self, newest: u32) -> impl Iterator<Item = &Order> {
        let at = |number: u32| (number != NONE).then(|| self.at(number));
        std::iter::successors(at(newest), move |order| at(order.previous))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Order> {
        self.records.iter()
    }
}

fn counts(order: &Order, until: Timestamp) -> bool {
    order.stage == Stage::Pending && order.moment == until
}

fn hash(id: OrderId) -> u64 {
    hash16(id.0.as_bytes(), 0)
}

fn hash_key(buyer: u32, key: RequestKey) -> u64 {
    hash16(&key.0, buyer)
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_order_fits_a_cache_line() {
        assert_eq!(size_of::<super::Order>(), 64);
    }
}
