//! Locks by key: work of this process on one thing comes one after the other, and work on others does not wait. A lock exists only while
//! somebody has it or waits for it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

type LockTable<K> = Mutex<HashMap<K, Arc<AsyncMutex<()>>>>;

/// The locks; clones share them.
#[derive(Clone, Debug)]
pub struct KeyedLocks<K>(Arc<LockTable<K>>);

/// The lock of one key, until it is dropped.
#[derive(Debug)]
pub struct KeyedGuard<K: Copy + Eq + Hash> {
    locks: KeyedLocks<K>,
    key: K,
    guard: Option<OwnedMutexGuard<()>>,
}

impl<K> Default for KeyedLocks<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Copy + Eq + Hash> KeyedLocks<K> {
    /// Waits until nobody else has the lock of this key.
    pub async fn lock(&self, key: K) -> KeyedGuard<K> {
        // Made before the wait, so that a caller who gives up leaves nothing behind.
        let mut keyed = KeyedGuard { locks: Self(Arc::clone(&self.0)), key, guard: None };
        let lock = Arc::clone(self.table().entry(key).or_default());
        keyed.guard = Some(lock.lock_owned().await);
        keyed
    }

    fn table(&self) -> MutexGuard<'_, HashMap<K, Arc<AsyncMutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash> Drop for KeyedGuard<K> {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut table = self.locks.table();
        // One who waits has a reference of its own.
        if table.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            table.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn one_key_is_locked_once_and_leaves_nothing_behind() {
        let locks = KeyedLocks::default();
        let first = locks.lock(1).await;
        let other = locks.lock(2).await;
        let mut second = Box::pin(locks.lock(1));
        let mut third = Box::pin(locks.lock(1));
        assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
        drop(first);
        let second = second.await;
        assert!(third.as_mut().now_or_never().is_none());
        drop((second, third, other));
        assert!(locks.table().is_empty());
    }
}
