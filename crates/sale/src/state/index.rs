//! Finds a record's number by the hash of its id. Numbers are added and never removed: a sale forgets no buyer.
//!
//! One slot of eight bytes holds half of the hash and the number, so that a look-up costs one cache miss for the table
//! and one for the record, where a table with separate control bytes costs three; and so that growing reads the table
//! from front to back and never the records, which keeps the pause short in mid-sale.

use super::chunks::NO_RECORD;

/// Slots of the smallest table.
const SLOTS_MIN: usize = 16;

/// An open-addressing table with linear probing, at most four fifths full.
#[derive(Clone, Debug, Default)]
pub(crate) struct HashIndex {
    /// A power of two of them. The upper half of the hash, then the number plus one; 0 is free.
    slots: Vec<u64>,
    len: usize,
}

impl HashIndex {
    /// The number with this hash for which `is_it` is true.
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut place = self.home_slot(hash);
        loop {
            let slot = *self.slots.get(place)?;
            let number = number_in(slot)?;
            if slot >> 32 == hash >> 32 && is_it(number) {
                return Some(number);
            }
            place = (place + 1) & (self.slots.len() - 1);
        }
    }

    /// Adds a number that is not under this hash yet; amortised O(1).
    pub(crate) fn insert(&mut self, hash: u64, number: u32) {
        debug_assert!(number != NO_RECORD, "NONE is no record");
        if (self.len + 1) * 5 > self.slots.len() * 4 {
            self.grow();
        }
        self.insert_slot(hash >> 32 << 32 | (u64::from(number) + 1));
        self.len += 1;
    }

    fn grow(&mut self) {
        let len = (self.slots.len() * 2).max(SLOTS_MIN);
        let old = std::mem::replace(&mut self.slots, vec![0; len]);
        old.into_iter().filter(|slot| *slot != 0).for_each(|slot| self.insert_slot(slot));
    }

    fn insert_slot(&mut self, slot: u64) {
        let mut place = self.home_slot(slot);
        while self.slots[place] != 0 {
            place = (place + 1) & (self.slots.len() - 1);
        }
        self.slots[place] = slot;
    }

    /// Where a hash belongs: its upper half, scaled down to the table. In this order a table that grows moves its slots
    /// from front to back.
    fn home_slot(&self, hash: u64) -> usize {
        let scaled = u128::from(hash >> 32) * self.slots.len() as u128;
        (scaled >> 32) as usize
    }
}

fn number_in(slot: u64) -> Option<u32> {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is the number plus one")]
    let number = slot as u32;
    number.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::HashIndex;

    #[test]
    fn every_number_is_found_under_its_own_hash_whatever_collides() {
        let hash = |number: u32| u64::from(number % 97) << 60 | u64::from(number % 5) << 32;
        let mut index = HashIndex::default();
        assert_eq!(index.find(0, |_| true), None);
        for number in 0..2_000 {
            assert_eq!(index.find(hash(number), |found| found == number), None);
            index.insert(hash(number), number);
            assert_eq!(index.find(hash(number), |found| found == number), Some(number));
        }
        for number in 0..2_000 {
            assert_eq!(index.find(hash(number), |found| found == number), Some(number));
        }
    }
}
