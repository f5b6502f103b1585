//! The buyers of a sale: 32 bytes each, found by id. A buyer with an event is never forgotten.

use super::chunks::{ChunkedVec, NO_RECORD};
use super::index::HashIndex;
use crate::hash::hash16;
use crate::id::{BuyerId, Ticket};

/// "No ticket": tickets start at 1.
const NO_TICKET: u32 = 0;

/// What the law remembers of one buyer. Aligned, so that no record lies on two cache lines.
#[derive(Clone, Debug)]
#[repr(align(32))]
pub(crate) struct BuyerRecord {
    pub(crate) id: BuyerId,
    ticket: u32,
    /// The newest order's number, or [`NO_RECORD`].
    pub(crate) last_order: u32,
    /// Units in pending orders.
    pub(crate) held: u32,
    /// Units in confirmed orders.
    pub(crate) owned: u32,
}

impl BuyerRecord {
    /// The number in line, while waiting or admitted.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        (self.ticket != NO_TICKET).then_some(Ticket(self.ticket))
    }

    pub(crate) fn set_ticket(&mut self, ticket: Option<Ticket>) {
        self.ticket = ticket.map_or(NO_TICKET, |ticket| ticket.0);
    }

    /// Units held and owned together.
    pub(crate) fn units(&self) -> u64 {
        u64::from(self.held) + u64::from(self.owned)
    }
}

/// All buyers, numbered in the order in which they first appeared.
#[derive(Clone, Debug, Default)]
pub(crate) struct BuyerTable {
    records: ChunkedVec<BuyerRecord>,
    by_id: HashIndex,
}

impl BuyerTable {
    /// The number of a buyer.
    pub(crate) fn find(&self, id: BuyerId) -> Option<u32> {
        self.by_id.find(hash(id), |number| self.records[number].id == id)
    }

    pub(crate) fn get(&self, id: BuyerId) -> Option<&BuyerRecord> {
        self.find(id).map(|number| &self.records[number])
    }

    /// Whether this is the buyer with this number; the number need not exist.
    pub(crate) fn is_buyer(&self, number: u32, id: BuyerId) -> bool {
        self.records.get(number).is_some_and(|buyer| buyer.id == id)
    }

    /// The number of a buyer, who gets one if new.
    pub(crate) fn find_or_insert(&mut self, id: BuyerId) -> u32 {
        self.find(id).unwrap_or_else(|| {
            let number = self.records.next_number();
            self.by_id.insert(hash(id), number);
            self.records.push(BuyerRecord {
                id,
                ticket: NO_TICKET,
                last_order: NO_RECORD,
                held: 0,
                owned: 0,
            });
            number
        })
    }

    pub(crate) fn at(&self, number: u32) -> &BuyerRecord {
        &self.records[number]
    }

    pub(crate) fn at_mut(&mut self, number: u32) -> &mut BuyerRecord {
        &mut self.records[number]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &BuyerRecord)> {
        (0..).zip(self.records.iter())
    }
}

fn hash(id: BuyerId) -> u64 {
    hash16(id.0.as_bytes(), 0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_buyer_costs_half_a_cache_line() {
        assert_eq!(size_of::<super::BuyerRecord>(), 32);
    }
}
