//! The keys of jobs in this process: one request with a key at a time, and a set that shows most unused keys without a query.

use crate::shop::idempotency_keys::{IdempotencyKey, KEY_LEN_MAX};
use crate::store::{Store, StoreError, turnstile_jobs as table};
use sale::{RequestKey, SaleId};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Used keys in memory at most, some 20 bytes each. When there are more, every key is looked up in the table.
const USED_MAX: usize = 4_000_000;
/// Keys that are read at a time.
const LOAD_LEN: u32 = 10_000;
/// Shards, each with its lock, so that cores do not wait for each other.
const SHARDS: usize = 64;

/// A key of a job: 1 to 255 printable ASCII characters. It belongs to all buyers together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JobKey(Arc<str>);

/// The text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an Idempotency-Key has 1 to {KEY_LEN_MAX} printable ASCII characters")]
pub struct JobKeyError;

impl JobKey {
    /// # Errors
    /// When the text is empty, too long, or has other characters.
    pub fn new(text: &str) -> Result<Self, JobKeyError> {
        let is_valid =
            (1..=KEY_LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if is_valid { Ok(Self(text.into())) } else { Err(JobKeyError) }
    }

    /// A key that was one when it was stored.
    pub(super) fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as the law compares it. The same text at another call is another key.
    pub(super) fn request_key(&self) -> RequestKey {
        IdempotencyKey::from_text(&format!("purchase job\0{}", self.0)).request_key()
    }
}

/// The keys that are in use here, and those that jobs have used.
pub(super) struct JobKeys {
    hasher: RandomState,
    shards: Box<[Mutex<KeyShard>]>,
    /// Whether the shards have every used key of the table.
    is_complete: AtomicBool,
    /// Whether there were too many keys for the shards.
    is_full: AtomicBool,
    used_max: usize,
}

#[derive(Default)]
struct KeyShard {
    in_flight: HashMap<JobKey, Arc<AsyncMutex<()>>>,
    /// Hashes of used keys. Two keys with one hash cost a query.
    used: HashSet<u64>,
}

impl Default for JobKeys {
    fn default() -> Self {
        Self::new(USED_MAX)
    }
}

impl JobKeys {
    fn new(used_max: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            is_complete: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            used_max,
        }
    }

    /// Waits until no other request has a permit for the key.
    pub(super) async fn claim(self: &Arc<Self>, key: &JobKey) -> KeyPermit {
        // Made before the wait, so that a caller who gives up leaves nothing behind.
        let (mut permit, lock) = self.prepare_permit(key);
        permit.guard = Some(lock.lock_owned().await);
        permit.is_surely_unused = !self.may_be_used(key);
        permit
    }

    /// A permit, if no other request has one for the key.
    pub(super) fn try_claim(self: &Arc<Self>, key: &JobKey) -> Option<KeyPermit> {
        let (mut permit, lock) = self.prepare_permit(key);
        permit.guard = Some(lock.try_lock_owned().ok()?);
        Some(permit)
    }

    fn prepare_permit(self: &Arc<Self>, key: &JobKey) -> (KeyPermit, Arc<AsyncMutex<()>>) {
        let permit = KeyPermit {
            keys: Arc::clone(self),
            key: key.clone(),
            guard: None,
            is_surely_unused: false,
            earlier_sales: Vec::new(),
            failed_attempts: 0,
        };
        let lock = Arc::clone(self.shard(key).in_flight.entry(key.clone()).or_default());
        (permit, lock)
    }

    /// Whether the table may have a job with the key. False only when it has none.
    fn may_be_used(&self, key: &JobKey) -> bool {
        !self.is_complete.load(Ordering::Acquire) || self.shard(key).used.contains(&self.hasher.hash_one(key))
    }

    /// Remembers that a job has used the key.
    pub(super) fn mark_used(&self, key: &JobKey) {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.shard(key);
        if shard.used.len() < self.used_max / SHARDS {
            shard.used.insert(hash);
        } else if !shard.used.contains(&hash) {
            self.is_full.store(true, Ordering::SeqCst);
            self.is_complete.store(false, Ordering::SeqCst);
        }
    }

    /// Reads the used keys of the table. Jobs that are written meanwhile mark theirs themselves.
    pub(super) async fn load(&self, store: &Store) -> Result<(), StoreError> {
        let mut last = 0;
        loop {
            let keys = table::list_keys_after(store, last, LOAD_LEN).await?;
            let Some((number, _)) = keys.last() else { break };
            last = *number;
            for (_, text) in &keys {
                self.mark_used(&JobKey::from_stored(text));
            }
            if self.is_full.load(Ordering::SeqCst) {
                return Ok(());
            }
        }
        self.is_complete.store(true, Ordering::SeqCst);
        // Another job may have filled the shards in between.
        if self.is_full.load(Ordering::SeqCst) {
            self.is_complete.store(false, Ordering::SeqCst);
        }
        Ok(())
    }

    fn shard(&self, key: &JobKey) -> MutexGuard<'_, KeyShard> {
        let index = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to work with a key, until it is dropped.
pub struct KeyPermit {
    keys: Arc<JobKeys>,
    key: JobKey,
    guard: Option<OwnedMutexGuard<()>>,
    /// Whether no row can have the key: this process writes all rows, and has written none with it.
    is_surely_unused: bool,
    /// Sales in which an earlier request of the buyer with this key got no answer.
    earlier_sales: Vec<SaleId>,
    /// How often the tables gave no answer to what the key is asked for.
    failed_attempts: u32,
}

impl KeyPermit {
    #[must_use]
    pub fn key(&self) -> &JobKey {
        &self.key
    }

    pub(super) fn is_surely_unused(&self) -> bool {
        self.is_surely_unused
    }

    pub(super) fn failed_attempts(&self) -> u32 {
        self.failed_attempts
    }

    pub(super) fn set_failed_attempts(&mut self, failed: u32) {
        self.failed_attempts = failed;
    }

    pub(super) fn earlier_sales(&self) -> &[SaleId] {
        &self.earlier_sales
    }

    pub(super) fn add_earlier_sale(&mut self, sale: SaleId) {
        if !self.earlier_sales.contains(&sale) {
            self.earlier_sales.push(sale);
        }
    }
}

impl std::fmt::Debug for KeyPermit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPermit").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Drop for KeyPermit {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut shard = self.keys.shard(&self.key);
        // A request that waits has a reference of its own.
        if shard.in_flight.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            shard.in_flight.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn key(text: &str) -> JobKey {
        JobKey::new(text).unwrap()
    }

    fn in_flight(keys: &JobKeys) -> usize {
        keys.shards.iter().map(|shard| shard.lock().unwrap().in_flight.len()).sum()
    }

    #[test]
    fn a_key_has_1_to_255_printable_characters() {
        for good in ["a", " ", "~", "a b"].map(str::to_owned).into_iter().chain(["x".repeat(255)]) {
            assert!(JobKey::new(&good).is_ok(), "{good:?}");
        }
        for bad in ["", "ä", "a\tb", "\u{7f}"].map(str::to_owned).into_iter().chain(["x".repeat(256)]) {
            assert!(JobKey::new(&bad).is_err(), "{bad:?}");
        }
        assert_ne!(key("k").request_key(), IdempotencyKey::from_text("k").request_key());
    }

    #[tokio::test]
    async fn requests_with_one_key_come_one_after_the_other_and_leave_nothing_behind() {
        let keys = Arc::new(JobKeys::default());
        let first = keys.claim(&key("k")).await;
        let other = keys.claim(&key("other")).await;
        let waiting = key("k");
        let mut second = Box::pin(keys.claim(&waiting));
        let mut third = Box::pin(keys.claim(&waiting));
        assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
        assert!(keys.try_claim(&waiting).is_none());
        drop(first);
        let second = second.await;
        assert!(third.as_mut().now_or_never().is_none());
        drop((second, third, other));
        assert_eq!(in_flight(&keys), 0);
        drop(keys.try_claim(&waiting).unwrap());
        assert_eq!(in_flight(&keys), 0);
    }

    #[tokio::test]
    async fn an_unused_key_is_known_without_a_query_once_all_are_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        let keys = JobKeys::new(SHARDS);
        assert!(keys.may_be_used(&key("a")), "nothing is loaded yet");
        keys.load(&store).await.unwrap();
        assert!(!keys.may_be_used(&key("a")));
        keys.mark_used(&key("a"));
        assert!(keys.may_be_used(&key("a")) && !keys.may_be_used(&key("b")));
        for n in 0..1_000 {
            keys.mark_used(&key(&n.to_string()));
        }
        assert!(keys.may_be_used(&key("b")), "more keys than fit: each is looked up");
    }
}
