//! Idempotency keys: the same key of the same owner means the same request. [`IdempotencyKeys::run`] checks the keys of orders,
//! restocks, products and sales: from memory, it refuses another content, and a repeat that arrives while the first request is
//! under way. Payments and refunds check theirs in [`super::payments`], where one payment an order is under way anyway. What a key
//! *did* is kept where it was done: in the ledger (orders), in `payment_keys` (payments, refunds) and in `admin_keys` (restocks,
//! products, sales); a request that is repeated finds it there, also after a restart and at another instance.

use crate::store::admin_keys::AdminKeyRow;
use sale::{BuyerId, RequestKey, Timestamp};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap, RandomState};
use std::fmt::{self, Write};
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// How long a key is remembered at least, in milliseconds: 24 h (api.md), unless [`KEYS_MAX`] newer ones came since.
pub const KEY_LIFE_MS: i64 = 24 * 60 * 60 * 1000;

/// Keys in memory, at most, about 64 bytes each. Beyond it the oldest are forgotten.
pub const KEYS_MAX: usize = 1_000_000;

/// Shards, each with its lock, so that cores do not wait for each other. A power of two.
const SHARDS: usize = 64;

/// Expired keys that one call forgets, at most, so that its time is bounded.
const FORGET_MAX: usize = 4;

/// Text of a key, in characters (api.md).
pub const KEY_LEN_MAX: usize = 255;

/// What a caller sent as `Idempotency-Key`, as its SHA-256: keys are compared, their text is never needed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdempotencyKey([u8; 32]);

/// The operations that take a key. The same text for two operations is two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyOperation {
    /// `POST /orders`.
    Reserve,
    /// `POST /orders/{id}/pay`.
    Pay,
    /// `POST /admin/orders/{id}/refund`.
    Refund,
    /// `POST /admin/flash-sales/{id}/restock`.
    Restock,
    /// `POST /admin/products`.
    CreateProduct,
    /// `POST /admin/flash-sales`.
    CreateSale,
}

impl KeyOperation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Pay => "pay",
            Self::Refund => "refund",
            Self::Restock => "restock",
            Self::CreateProduct => "create_product",
            Self::CreateSale => "create_sale",
        }
    }
}

impl IdempotencyKey {
    /// The key with this text.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// A key that no other request has.
    #[must_use]
    pub fn random() -> Self {
        Self::from_text(&Uuid::new_v4().to_string())
    }

    /// The key as the law compares it, for [`sale::Command::Reserve`].
    #[must_use]
    pub fn request_key(&self) -> RequestKey {
        let mut key = [0; 16];
        key.copy_from_slice(&self.0[..16]);
        RequestKey(key)
    }

    /// The key as `payment_keys` and `admin_keys` keep it.
    #[must_use]
    pub fn row_digest(&self, operation: KeyOperation) -> String {
        format!("{}:{}", operation.as_str(), format_hex(&self.0))
    }

    /// The key as memory compares it. Orders have the form that the ledger keeps; all other keys contain their operation.
    fn memory_key(&self, operation: KeyOperation) -> RequestKey {
        match operation {
            KeyOperation::Reserve => self.request_key(),
            operation => Self::from_text(&self.row_digest(operation)).request_key(),
        }
    }
}

/// A key and its owner: the same text of another owner is another key.
#[derive(Clone, Copy, Debug)]
pub struct OwnedKey {
    pub owner: BuyerId,
    pub key: IdempotencyKey,
}

impl OwnedKey {
    /// The row of a request that creates or changes `subject`.
    #[must_use]
    pub fn create_row(
        self,
        operation: KeyOperation,
        fingerprint: String,
        subject: Uuid,
        now: Timestamp,
    ) -> AdminKeyRow {
        let digest = self.key.row_digest(operation);
        AdminKeyRow { owner: self.owner, digest, fingerprint, subject, pending: None, created_at: now }
    }
}

/// SHA-256 of a request's content, in hexadecimal digits. It is kept in tables, so it must not depend on the process.
///
/// # Panics
/// Never: what is compared here has a form in JSON.
#[must_use]
pub fn content_digest(content: &impl Serialize) -> String {
    format_hex(&Sha256::digest(serde_json::to_vec(content).expect("the content has a form in JSON")))
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn format_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Why a request with a key is not carried out. It changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRefusal {
    /// The key was used for another content.
    Reused,
    /// The first request with the key is under way.
    InFlight,
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request_key().fmt(f)
    }
}

/// A hash of a request's content. A collision (1 in 2^64) makes a buyer's request count as a repeat of another one of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFingerprint(u64);

/// The result of a lookup of a key in memory.
#[derive(Debug)]
pub enum KeyClaim {
    /// Nothing. [`KeyPermit::complete`] keeps the key; a permit that is dropped before frees it.
    Fresh(KeyPermit),
    /// It was used for another content.
    Reused,
    /// The first request with it is under way.
    InFlight,
    /// The same request was carried out before.
    Completed,
}

/// Remembers keys for a day. Bounded, sharded, a few lookups a call.
pub struct IdempotencyKeys {
    shards: Box<[Mutex<KeyShard>]>,
    hasher: RandomState,
    shard_len_max: usize,
}

#[derive(Default)]
struct KeyShard {
    uses: HashMap<u128, KeyUse>,
    /// By age. A key that was freed early stays here until it comes to the front.
    ages: VecDeque<(u128, Timestamp)>,
}

#[derive(Clone, Copy)]
struct KeyUse {
    fingerprint: u64,
    began: Timestamp,
    done: bool,
}

impl Default for IdempotencyKeys {
    fn default() -> Self {
        Self::new(KEYS_MAX)
    }
}

impl IdempotencyKeys {
    /// Remembers about `keys_max` keys.
    #[must_use]
    pub fn new(keys_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            shard_len_max: (keys_max / SHARDS).max(1),
        }
    }

    /// The fingerprint of a request's content.
    pub fn fingerprint(&self, content: impl Hash) -> RequestFingerprint {
        RequestFingerprint(self.hasher.hash_one(content))
    }

    /// Carries `request` out unless its key was used for another content, or the first request with it is under way. A request that
    /// is refused or fails leaves its key fresh. A repeat is carried out too: the request finds what was done where it was done.
    ///
    /// # Errors
    /// Those of the request.
    pub async fn run<T, R: From<KeyRefusal>, E>(
        self: &Arc<Self>,
        (key, operation): (Option<OwnedKey>, KeyOperation),
        fingerprint: RequestFingerprint,
        now: Timestamp,
        request: impl Future<Output = Result<Result<T, R>, E>>,
    ) -> Result<Result<T, R>, E> {
        let Some(OwnedKey { owner, key }) = key else { return request.await };
        let permit = match self.claim(owner, key.memory_key(operation), fingerprint, now) {
            KeyClaim::Reused => return Ok(Err(KeyRefusal::Reused.into())),
            KeyClaim::InFlight => return Ok(Err(KeyRefusal::InFlight.into())),
            KeyClaim::Fresh(permit) => Some(permit),
            KeyClaim::Completed => None,
        };
        let result = request.await?;
        if let (Ok(_), Some(permit)) = (&result, permit) {
            permit.complete();
        }
        Ok(result)
    }

    /// Looks up an owner's key, and marks a fresh one as in flight.
    pub fn claim(
        self: &Arc<Self>,
        buyer: BuyerId,
        key: RequestKey,
        fingerprint: RequestFingerprint,
        now: Timestamp,
    ) -> KeyClaim {
        let id = key_id(buyer, key);
        let mut shard = self.shard(id);
        shard.forget_expired(now, self.shard_len_max);
        let fresh = KeyUse { fingerprint: fingerprint.0, began: now, done: false };
        match shard.uses.entry(id) {
            Entry::Occupied(mut found) => {
                let known = *found.get();
                if known.done && known.is_over(now) {
                    found.insert(fresh);
                } else if known.fingerprint != fingerprint.0 {
                    return KeyClaim::Reused;
                } else if known.done {
                    return KeyClaim::Completed;
                } else {
                    return KeyClaim::InFlight;
                }
            }
            Entry::Vacant(vacant) => {
                vacant.insert(fresh);
            }
        }
        shard.ages.push_back((id, now));
        drop(shard);
        KeyClaim::Fresh(KeyPermit { keys: Arc::clone(self), id, began: now })
    }

    /// Remembers a request of the ledger that was carried out at `at`. A key that is known stays as it is.
    pub fn remember(&self, buyer: BuyerId, key: RequestKey, fingerprint: RequestFingerprint, at: Timestamp) {
        let id = key_id(buyer, key);
        let mut shard = self.shard(id);
        shard.forget_expired(at, self.shard_len_max);
        if let Entry::Vacant(vacant) = shard.uses.entry(id) {
            vacant.insert(KeyUse { fingerprint: fingerprint.0, began: at, done: true });
            shard.ages.push_back((id, at));
        }
    }

    fn shard(&self, id: u128) -> MutexGuard<'_, KeyShard> {
        let index = (id as usize) & (SHARDS - 1);
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id of an owner's key. The key is half of a SHA-256, so the mix with the owner's id collides as seldom as a UUID.
fn key_id(buyer: BuyerId, key: RequestKey) -> u128 {
    u128::from_be_bytes(key.0) ^ buyer.0.as_u128().rotate_left(64)
}

impl fmt::Debug for IdempotencyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyKeys").field("shard_len_max", &self.shard_len_max).finish_non_exhaustive()
    }
}

impl KeyUse {
    fn is_over(&self, now: Timestamp) -> bool {
        now.ms_since(self.began) > KEY_LIFE_MS
    }
}

impl KeyShard {
    /// Makes space for one key: forgets the oldest when there are too many, and a few expired ones.
    fn forget_expired(&mut self, now: Timestamp, len_max: usize) {
        for _ in 0..FORGET_MAX {
            let Some((id, began)) = self.ages.front().copied() else { return };
            if self.ages.len() < len_max && now.ms_since(began) <= KEY_LIFE_MS {
                return;
            }
            self.ages.pop_front();
            if let Entry::Occupied(found) = self.uses.entry(id)
                && found.get().began == began
            {
                found.remove();
            }
        }
    }
}

/// The right to work on a request with a fresh key.
#[derive(Debug)]
pub struct KeyPermit {
    keys: Arc<IdempotencyKeys>,
    id: u128,
    began: Timestamp,
}

impl KeyPermit {
    /// Keeps the key: its request was carried out.
    pub fn complete(self) {
        let mut shard = self.keys.shard(self.id);
        if let Some(known) = shard.uses.get_mut(&self.id)
            && known.began == self.began
        {
            known.done = true;
        }
    }
}

impl Drop for KeyPermit {
    fn drop(&mut self) {
        let mut shard = self.keys.shard(self.id);
        if let Entry::Occupied(found) = shard.uses.entry(self.id)
            && found.get().began == self.began
            && !found.get().done
        {
            found.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn buyer(number: u128) -> BuyerId {
        BuyerId(Uuid::from_u128(number))
    }

    fn key(text: &str) -> RequestKey {
        IdempotencyKey::from_text(text).request_key()
    }

    fn fresh(claim: KeyClaim) -> KeyPermit {
        match claim {
            KeyClaim::Fresh(permit) => permit,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_key_is_fresh_then_in_flight_then_completed_and_never_takes_another_content() {
        let keys = Arc::new(IdempotencyKeys::default());
        let (one, two) = (keys.fingerprint(("sale", 1)), keys.fingerprint(("sale", 2)));
        let permit = fresh(keys.claim(buyer(1), key("k"), one, NOW));
        assert!(matches!(keys.claim(buyer(1), key("k"), one, NOW), KeyClaim::InFlight));
        assert!(matches!(keys.claim(buyer(1), key("k"), two, NOW), KeyClaim::Reused));
        permit.complete();
        assert!(matches!(keys.claim(buyer(1), key("k"), one, NOW), KeyClaim::Completed));
        assert!(matches!(keys.claim(buyer(1), key("k"), two, NOW), KeyClaim::Reused));
        fresh(keys.claim(buyer(2), key("k"), two, NOW));
    }

    #[test]
    fn a_refused_request_leaves_its_key_fresh() {
        let keys = Arc::new(IdempotencyKeys::default());
        let content = keys.fingerprint(1);
        drop(fresh(keys.claim(buyer(1), key("k"), content, NOW)));
        fresh(keys.claim(buyer(1), key("k"), keys.fingerprint(2), NOW));
    }

    #[test]
    fn a_key_is_kept_for_a_day() {
        let keys = Arc::new(IdempotencyKeys::default());
        let content = keys.fingerprint(1);
        fresh(keys.claim(buyer(1), key("k"), content, NOW)).complete();
        let a_day_later = NOW.plus_ms(KEY_LIFE_MS);
        assert!(matches!(keys.claim(buyer(1), key("k"), content, a_day_later), KeyClaim::Completed));
        fresh(keys.claim(buyer(1), key("k"), content, a_day_later.plus_ms(1)));
    }

    #[test]
    fn a_key_of_the_ledger_does_not_replace_a_known_one() {
        let keys = Arc::new(IdempotencyKeys::default());
        let (one, two) = (keys.fingerprint(1), keys.fingerprint(2));
        keys.remember(buyer(1), key("old"), one, NOW);
        let later = NOW.plus_ms(1_000);
        assert!(matches!(keys.claim(buyer(1), key("old"), one, later), KeyClaim::Completed));
        assert!(matches!(keys.claim(buyer(1), key("old"), two, later), KeyClaim::Reused));
        let permit = fresh(keys.claim(buyer(1), key("new"), one, later));
        keys.remember(buyer(1), key("new"), two, NOW);
        assert!(matches!(keys.claim(buyer(1), key("new"), one, later), KeyClaim::InFlight));
        permit.complete();
        fresh(keys.claim(buyer(1), key("old"), two, NOW.plus_ms(KEY_LIFE_MS + 1)));
    }

    #[test]
    fn the_oldest_keys_go_first_when_there_are_too_many() {
        let keys = Arc::new(IdempotencyKeys::new(SHARDS * 8));
        let content = keys.fingerprint(1);
        for number in 0..10_000_u32 {
            let at = NOW.plus_ms(i64::from(number));
            fresh(keys.claim(buyer(1), key(&number.to_string()), content, at)).complete();
        }
        let kept: usize = keys.shards.iter().map(|shard| shard.lock().unwrap().uses.len()).sum();
        assert!(kept <= SHARDS * 8, "{kept}");
        let later = NOW.plus_ms(10_000);
        assert!(matches!(keys.claim(buyer(1), key("9999"), content, later), KeyClaim::Completed));
        assert!(matches!(keys.claim(buyer(1), key("0"), content, later), KeyClaim::Fresh(_)));
    }

    #[test]
    fn of_many_at_once_one_is_fresh() {
        let keys = Arc::new(IdempotencyKeys::default());
        let content = keys.fingerprint(1);
        let permits: Vec<KeyClaim> = std::thread::scope(|scope| {
            let begin = || keys.claim(buyer(1), key("k"), content, NOW);
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(begin)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(permits.iter().filter(|claim| matches!(claim, KeyClaim::Fresh(_))).count(), 1);
    }
}
