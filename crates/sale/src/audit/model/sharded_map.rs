//! A map of many small shards that grow separately: a large map needs three times its memory while it grows, and a sale of
//! millions of buyers has three such maps. It has lookups and no iteration.

use crate::hash::{IdHasher, IdMap};
use std::hash::{BuildHasher, BuildHasherDefault, Hash};

/// Number of small maps: growing one of them needs a hundredth of the whole.
const SHARD_COUNT: usize = 64;
/// The bits of a hash that select the map; the map itself uses the lowest and the highest.
const SHARD_SHIFT: u32 = 40;

/// A map from ids.
#[derive(Debug)]
pub(super) struct ShardedMap<K, V> {
    shards: Vec<IdMap<K, V>>,
}

impl<K, V> Default for ShardedMap<K, V> {
    fn default() -> Self {
        Self { shards: (0..SHARD_COUNT).map(|_| IdMap::default()).collect() }
    }
}

impl<K: Eq + Hash, V> ShardedMap<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.shards[shard_index(key)].get(key)
    }

    /// What was there before is returned.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.shards[shard_index(&key)].insert(key, value)
    }

    pub(super) fn get_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.shards[shard_index(&key)].entry(key).or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shards.iter().all(IdMap::is_empty)
    }
}

fn shard_index<K: Hash>(key: &K) -> usize {
    let hash = BuildHasherDefault::<IdHasher>::default().hash_one(key);
    let bits = (hash >> SHARD_SHIFT) as usize;
    bits % SHARD_COUNT
}

#[cfg(test)]
mod tests {
    use super::{SHARD_COUNT, ShardedMap};
    use crate::id::BuyerId;
    use uuid::Uuid;

    #[test]
    fn everything_is_found_where_it_was_put_and_no_shelf_is_much_fuller_than_another() {
        let buyer = |no: u32| BuyerId(Uuid::from_u128(u128::from(no) << 64 | 7));
        let mut shelves = ShardedMap::default();
        assert!(shelves.is_empty());
        for no in 0..64_000 {
            assert_eq!(shelves.get(&buyer(no)), None);
            assert_eq!(shelves.insert(buyer(no), no), None);
        }
        assert!((0..64_000).all(|no| shelves.get(&buyer(no)) == Some(&no)));
        *shelves.get_or_default(buyer(5)) += 1;
        assert_eq!(shelves.insert(buyer(5), 0), Some(6));
        assert_eq!(*shelves.get_or_default(buyer(64_000)), 0);
        let fullest = shelves.shards.iter().map(|shelf| shelf.len()).max();
        assert!(fullest.is_some_and(|len| len < 2 * 64_001 / SHARD_COUNT), "{fullest:?}");
    }
}
