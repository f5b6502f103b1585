//! The orders of a sale: 64 bytes each, found by id and by a buyer's request key, chained newest first for each buyer.

use super::chunks::{ChunkedVec, NO_RECORD};
use super::deadlines::DeadlineQueue;
use super::index::HashIndex;
use crate::counters::UnitBucket;
use crate::hash::hash16;
use crate::id::{BuyerId, OrderId, RequestKey};
use crate::outcome::{OrderStatus, OrderView};
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// A buyer's orders that are searched for a key one by one. Nearly every buyer has fewer, and so nearly no order has to be
/// in the index of keys.
const KEY_SCAN_MAX: usize = 8;

/// What has become of an order; the moment that goes with it is [`OrderRecord::moment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrderStage {
    Pending,
    Confirmed,
    Expired,
    Cancelled,
    Declined,
    RefundedAndRestocked,
    RefundedNotRestocked,
}

impl OrderStage {
    /// Where the units of such an order are.
    pub(crate) fn unit_bucket(self) -> UnitBucket {
        match self {
            Self::Pending => UnitBucket::Held,
            Self::Confirmed | Self::RefundedNotRestocked => UnitBucket::Sold,
            Self::Expired | Self::Cancelled | Self::Declined | Self::RefundedAndRestocked => UnitBucket::Free,
        }
    }

    /// Orders only ever go up: held, given back, (late) paid, refunded. What would go down is not of this law.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Expired | Self::Cancelled | Self::Declined => 1,
            Self::Confirmed => 2,
            Self::RefundedAndRestocked | Self::RefundedNotRestocked => 3,
        }
    }
}

/// One order. Aligned, so that no record lies on two cache lines.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct OrderRecord {
    pub(crate) id: OrderId,
    pub(crate) key: Option<RequestKey>,
    pub(crate) stage: OrderStage,
    /// Whether the keys of this and all earlier orders of the buyer are in the index of keys.
    is_key_indexed: bool,
    /// Whether a payment is in progress; [`OrderTable::paying_until`] has its end.
    is_paying: bool,
    /// The number of the buyer's record.
    pub(crate) buyer: u32,
    pub(crate) quantity: u32,
    /// The same buyer's order before this one, or [`NO_RECORD`].
    pub(crate) previous: u32,
    pub(crate) made_at: Timestamp,
    /// While pending: the end of the hold without a payment. Afterwards: when the order last changed. One field, because the
    /// status of a pending order has not changed since it was made, and so a record fits a cache line.
    pub(crate) moment: Timestamp,
}

impl OrderRecord {
    /// True while a payment for it is in progress.
    pub(crate) fn is_paying(&self) -> bool {
        self.is_paying
    }

    fn has_key(&self, buyer: u32, key: RequestKey) -> bool {
        self.buyer == buyer && self.key == Some(key)
    }

    fn view(&self, buyer: BuyerId, paying_until: Option<Timestamp>) -> OrderView {
        let status = match self.stage {
            OrderStage::Pending => OrderStatus::Pending { until: self.moment, paying_until },
            OrderStage::Confirmed => OrderStatus::Confirmed,
            OrderStage::Expired => OrderStatus::Expired,
            OrderStage::Cancelled => OrderStatus::Cancelled,
            OrderStage::Declined => OrderStatus::Declined,
            OrderStage::RefundedAndRestocked => OrderStatus::Refunded { restocked: true },
            OrderStage::RefundedNotRestocked => OrderStatus::Refunded { restocked: false },
        };
        let changed_at = if self.stage == OrderStage::Pending { self.made_at } else { self.moment };
        OrderView { id: self.id, buyer, quantity: self.quantity, made_at: self.made_at, changed_at, status }
    }
}

/// What a new order is made of, as in [`OrderRecord`].
pub(crate) struct NewOrderRecord {
    pub(crate) id: OrderId,
    pub(crate) key: Option<RequestKey>,
    pub(crate) stage: OrderStage,
    pub(crate) buyer: u32,
    pub(crate) quantity: u32,
    pub(crate) previous: u32,
    pub(crate) made_at: Timestamp,
    pub(crate) moment: Timestamp,
}

/// All orders, numbered in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub(crate) struct OrderTable {
    records: ChunkedVec<OrderRecord>,
    by_id: HashIndex,
    /// Orders with a key, by buyer and key; only those of buyers with more than [`KEY_SCAN_MAX`] orders.
    by_key: HashIndex,
    expiries: DeadlineQueue,
    /// The ends of the holds whose payments are in progress, by the number of the order: few at any moment, so they are not
    /// in the records.
    payments: BTreeMap<u32, Timestamp>,
}

impl OrderTable {
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn find(&self, id: OrderId) -> Option<u32> {
        self.by_id.find(hash(id), |number| self.records[number].id == id)
    }

    pub(crate) fn get(&self, id: OrderId) -> Option<&OrderRecord> {
        self.find(id).map(|number| self.at(number))
    }

    /// The order that this buyer's request made, if it made one; O(1), however many orders the buyer has.
    pub(crate) fn find_by_key(&self, buyer: u32, newest: u32, key: RequestKey) -> Option<&OrderRecord> {
        let is_indexed = newest != NO_RECORD && self.at(newest).is_key_indexed;
        if is_indexed {
            let found = self.by_key.find(hash_key(buyer, key), |number| self.at(number).has_key(buyer, key));
            return found.map(|number| self.at(number));
        }
        self.chain(newest).find(|order| order.has_key(buyer, key))
    }

    pub(crate) fn at(&self, number: u32) -> &OrderRecord {
        &self.records[number]
    }

    /// Adds an order whose id is new.
    pub(crate) fn insert(&mut self, new: NewOrderRecord) -> u32 {
        let NewOrderRecord { id, key, stage, buyer, quantity, previous, made_at, moment } = new;
        let number = self.records.next_number();
        if stage == OrderStage::Pending {
            self.expiries.insert(moment, number);
        }
        let is_key_indexed = self.index_earlier_keys(previous);
        if is_key_indexed && let Some(key) = key {
            self.by_key.insert(hash_key(buyer, key), number);
        }
        self.by_id.insert(hash(id), number);
        self.records.push(OrderRecord {
            id,
            key,
            stage,
            is_key_indexed,
            is_paying: false,
            buyer,
            quantity,
            previous,
            made_at,
            moment,
        });
        number
    }

    /// Sees to it that a buyer's keys can be found at once, from the moment on at which walking takes too long.
    fn index_earlier_keys(&mut self, newest: u32) -> bool {
        if newest == NO_RECORD || self.at(newest).is_key_indexed {
            return newest != NO_RECORD;
        }
        let mut chain = [NO_RECORD; KEY_SCAN_MAX];
        let mut number = newest;
        for slot in &mut chain {
            if number == NO_RECORD {
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

    /// Changes what has become of an order that is not pending afterwards. A payment in progress ends with it.
    pub(crate) fn set_stage(&mut self, number: u32, stage: OrderStage, at: Timestamp) {
        let order = &mut self.records[number];
        order.stage = stage;
        order.moment = at;
        if order.is_paying {
            order.is_paying = false;
            self.payments.remove(&number);
        }
    }

    /// Begins a payment for a pending order, whose hold lasts until then at most.
    pub(crate) fn begin_payment(&mut self, number: u32, until: Timestamp) {
        self.records[number].is_paying = true;
        self.payments.insert(number, until);
        // Later than the ends of the holds that are made next.
        self.expiries.insert_out_of_order(until, number);
    }

    /// Ends the payment for a pending order, whose hold has its own end again.
    pub(crate) fn end_payment(&mut self, number: u32) {
        let order = &mut self.records[number];
        if order.is_paying {
            order.is_paying = false;
            self.payments.remove(&number);
            self.expiries.insert_out_of_order(order.moment, number);
        }
    }

    /// While a payment is in progress: the end of the hold if the payment has not ended by then.
    pub(crate) fn paying_until(&self, order: &OrderRecord) -> Option<Timestamp> {
        if !order.is_paying {
            return None;
        }
        self.find(order.id).and_then(|number| self.payments.get(&number).copied())
    }

    /// When the hold of a pending order runs out, as things are.
    fn hold_end(&self, number: u32) -> Timestamp {
        let order = &self.records[number];
        if order.is_paying {
            self.payments.get(&number).copied().unwrap_or(order.moment)
        } else {
            order.moment
        }
    }

    /// True while the order's hold lasts at `now`.
    pub(crate) fn is_held_at(&self, order: &OrderRecord, now: Timestamp) -> bool {
        order.stage == OrderStage::Pending && self.paying_until(order).unwrap_or(order.moment) > now
    }

    pub(crate) fn view(&self, order: &OrderRecord, buyer: BuyerId) -> OrderView {
        order.view(buyer, self.paying_until(order))
    }

    /// Forgets expiries that do not count any more, so that [`OrderTable::next_expiry`] is exact.
    pub(crate) fn drop_stale_expiries(&mut self) {
        let Self { records, expiries, payments, .. } = self;
        expiries.drop_stale(|until, number| {
            let order = &records[number];
            let end = if order.is_paying { payments.get(&number).copied() } else { None };
            order.stage == OrderStage::Pending && end.unwrap_or(order.moment) == until
        });
    }

    /// When the next hold runs out.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first()
    }

    /// The orders whose hold is over at `now`, by the moment of their end.
    pub(crate) fn expired(&self, now: Timestamp) -> impl Iterator<Item = &OrderRecord> {
        let counts = |&(until, number): &(Timestamp, u32)| {
            self.at(number).stage == OrderStage::Pending && self.hold_end(number) == until
        };
        self.expiries.due(now).filter(counts).map(|(_, number)| self.at(number))
    }

    /// A buyer's orders, newest first, from the given one on.
    pub(crate) fn chain(&self, newest: u32) -> impl Iterator<Item = &OrderRecord> {
        let at = |number: u32| (number != NO_RECORD).then(|| self.at(number));
        std::iter::successors(at(newest), move |order| at(order.previous))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &OrderRecord> {
        self.records.iter()
    }
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
        assert_eq!(size_of::<super::OrderRecord>(), 64);
    }
}
