//! How many requests a buyer (or, without a token, an address) may make: three classes, each a leaky bucket (GCRA).
//! It never grows without bound and never asks the time.
//!
//! Why not `governor`: the time is an argument here, the table has a hard bound instead of a sweep that must come in time,
//! and the two header fields need the bucket's own figures. What is left to write is forty lines.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use sale::id::BuyerId;
use sale::time::Timestamp;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// A class of calls that share a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Signing in and up: passwords are guessed here.
    Auth,
    /// All that changes something.
    Buy,
    /// All that only looks.
    Read,
}

/// So many requests in so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests in a window, all of which may come at once.
    pub quota: u32,
    /// The window in seconds.
    pub window_s: u32,
}

/// The limits of all classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// See [`Class::Auth`].
    pub auth: Rate,
    /// See [`Class::Buy`].
    pub buy: Rate,
    /// See [`Class::Read`].
    pub read: Rate,
}

/// The buckets of all classes.
#[derive(Debug)]
pub struct Limits {
    auth: Buckets,
    buy: Buckets,
    read: Buckets,
}

impl Limits {
    /// Empty buckets for these rates.
    #[must_use]
    pub fn new(rates: Rates) -> Self {
        Self {
            auth: Buckets::new("auth", rates.auth, KEYS_MAX),
            buy: Buckets::new("buy", rates.buy, KEYS_MAX),
            read: Buckets::new("read", rates.read, KEYS_MAX),
        }
    }

    /// Counts one request.
    #[must_use]
    pub fn take(&self, class: Class, key: Key, now: Timestamp) -> Decision<'_> {
        match class {
            Class::Auth => &self.auth,
            Class::Buy => &self.buy,
            Class::Read => &self.read,
        }
        .take(key, now)
    }
}

/// Who is counted: a buyer or an address. The two cannot meet: the low half of a buyer's UUID has its variant bits set, that
/// of an IPv6 network is empty, and an IPv4 address has an empty high half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u128);

impl Key {
    /// A buyer, from wherever they come.
    #[must_use]
    pub fn buyer(buyer: BuyerId) -> Self {
        Self(buyer.0.as_u128())
    }

    /// An address; of IPv6 the /64, because that much is given to one customer.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u128::from(u32::from(address))),
            IpAddr::V6(address) => Self(u128::from(address) & !u128::from(u64::MAX)),
        }
    }
}

/// Keys remembered for a class, 32 bytes each and as much again for the table. Only those who made a request within the
/// window count; when there are more, the ones with the fullest quota are forgotten first.
const KEYS_MAX: usize = 1 << 20;

/// Tables that are locked on their own, so that two requests seldom wait for each other.
const SHARDS: usize = 64;

#[derive(Debug)]
struct Buckets {
    name: &'static str,
    /// Microseconds until one more request is allowed.
    interval_us: i64,
    /// How far ahead of the time a bucket may be: the whole quota at once.
    burst_us: i64,
    policy: HeaderValue,
    keys_max: usize,
    hasher: std::hash::RandomState,
    shards: Box<[Mutex<Shard>]>,
}

/// For each key the moment, in microseconds, at which its bucket is empty again (GCRA's theoretical arrival time).
type Shard = HashMap<Key, i64>;

/// What became of a request that was counted.
#[derive(Debug)]
pub struct Decision<'a> {
    buckets: &'a Buckets,
    remaining: u32,
    /// Seconds until the whole quota is there again.
    reset_s: i64,
    /// Seconds until the next request is allowed; `None` when this one was.
    pub retry_after_s: Option<u32>,
}

impl Buckets {
    fn new(name: &'static str, rate: Rate, keys_max: usize) -> Self {
        let interval_us = (i64::from(rate.window_s) * 1_000_000 / i64::from(rate.quota.max(1))).max(1);
        let policy = format!("\"{name}\";q={};w={}", rate.quota, rate.window_s);
        Self {
            name,
            interval_us,
            burst_us: interval_us * i64::from(rate.quota),
            policy: HeaderValue::try_from(policy).expect("digits and letters are fine in a header"),
            keys_max,
            hasher: std::hash::RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    fn take(&self, key: Key, now: Timestamp) -> Decision<'_> {
        let now_us = now.0.saturating_mul(1000);
        let shard = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        let mut shard = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let len = shard.len();
        let entry = shard.entry(key).or_insert(now_us);
        // A clock that jumped back must not lock anyone out for longer than a window.
        let empty_at = (*entry).clamp(now_us, now_us + self.burst_us);
        let next = empty_at + self.interval_us;
        let allowed = next - now_us <= self.burst_us;
        let empty_at = if allowed { next } else { empty_at };
        *entry = empty_at;
        if len >= self.keys_max / SHARDS {
            make_room(&mut shard, now_us);
        }
        drop(shard);
        self.decision(allowed, empty_at - now_us)
    }

    /// `level_us` is how far the bucket is ahead of the time.
    fn decision(&self, allowed: bool, level_us: i64) -> Decision<'_> {
        let remaining = (self.burst_us - level_us) / self.interval_us;
        let wait_us = level_us + self.interval_us - self.burst_us;
        let retry_after_s = u32::try_from(wait_us.max(1).div_ceil_us()).unwrap_or(u32::MAX);
        Decision {
            buckets: self,
            remaining: u32::try_from(remaining).unwrap_or(0),
            reset_s: level_us.div_ceil_us(),
            retry_after_s: (!allowed).then_some(retry_after_s),
        }
    }
}

/// Forgets the keys whose buckets are empty, or else the emptier half, so that the next room is made much later.
#[cold]
fn make_room(shard: &mut Shard, now_us: i64) {
    let mut levels: Vec<i64> = shard.values().copied().collect();
    let middle = levels.len() / 2;
    let (_, median, _) = levels.select_nth_unstable(middle);
    let cutoff = now_us.max(*median);
    shard.retain(|_, empty_at| *empty_at > cutoff);
}

trait Seconds {
    fn div_ceil_us(self) -> i64;
}

impl Seconds for i64 {
    /// Microseconds as whole seconds, rounded up.
    fn div_ceil_us(self) -> i64 {
        (self + 999_999).div_euclid(1_000_000)
    }
}

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

impl Decision<'_> {
    /// Tells the caller where they stand: `RateLimit-Policy: "buy";q=100;w=900` and `RateLimit: "buy";r=99;t=9`
    /// (draft-ietf-httpapi-ratelimit-headers).
    pub fn tell(&self, headers: &mut HeaderMap) {
        headers.insert(RATE_LIMIT_POLICY, self.buckets.policy.clone());
        let mut text = Vec::with_capacity(40);
        text.push(b'"');
        text.extend_from_slice(self.buckets.name.as_bytes());
        text.extend_from_slice(b"\";r=");
        push_number(&mut text, u64::from(self.remaining));
        text.extend_from_slice(b";t=");
        push_number(&mut text, u64::try_from(self.reset_s).unwrap_or(0));
        if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(text)) {
            headers.insert(RATE_LIMIT, value);
        }
    }
}

/// Digits without the machinery of `format!`, which costs more than counting the request does.
fn push_number(text: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { quota: 3, window_s: 30 };

    fn now(s: i64) -> Timestamp {
        Timestamp(1_800_000_000_000 + s * 1000)
    }

    fn key(n: u8) -> Key {
        Key::address(IpAddr::from([10, 0, 0, n]))
    }

    #[test]
    fn the_whole_quota_may_come_at_once_and_comes_back_evenly() {
        let buckets = Buckets::new("buy", RATE, 1000);
        for remaining in [2, 1, 0] {
            let decision = buckets.take(key(1), now(0));
            assert_eq!((decision.retry_after_s, decision.remaining), (None, remaining));
        }
        assert_eq!(buckets.take(key(1), now(0)).retry_after_s, Some(10));
        assert_eq!(buckets.take(key(1), now(4)).retry_after_s, Some(6));
        assert_eq!(buckets.take(key(2), now(4)).retry_after_s, None, "another key has its own bucket");
        assert_eq!(buckets.take(key(1), now(10)).retry_after_s, None);
        assert_eq!(buckets.take(key(1), now(10)).retry_after_s, Some(10));
        assert_eq!(buckets.take(key(1), now(1000)).remaining, 2);
    }

    #[test]
    fn the_headers_tell_policy_and_standing() {
        let limits = Limits::new(Rates { auth: RATE, buy: Rate { quota: 100, window_s: 900 }, read: RATE });
        let mut headers = HeaderMap::new();
        limits.take(Class::Buy, key(1), now(0)).tell(&mut headers);
        assert_eq!(headers[RATE_LIMIT_POLICY], "\"buy\";q=100;w=900");
        assert_eq!(headers[RATE_LIMIT], "\"buy\";r=99;t=9");
    }

    #[test]
    fn a_clock_that_jumps_back_locks_nobody_out() {
        let buckets = Buckets::new("buy", RATE, 1000);
        assert_eq!(buckets.take(key(1), now(3600)).retry_after_s, None);
        let decision = buckets.take(key(1), now(0));
        assert!(decision.retry_after_s.is_none_or(|s| s <= 10), "{decision:?}");
        assert_eq!(buckets.take(key(1), now(11)).retry_after_s, None);
    }

    #[test]
    fn memory_is_bounded_and_the_busiest_are_remembered() {
        let buckets = Buckets::new("buy", RATE, SHARDS * 8);
        for _ in 0..4 {
            let _ = buckets.take(key(1), now(0));
        }
        for n in 0..10_000_u128 {
            let _ = buckets.take(Key(n << 64), now(0));
        }
        let kept: usize = buckets.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= SHARDS * 9, "{kept}");
        assert!(buckets.take(key(1), now(0)).retry_after_s.is_some());
    }

    #[test]
    fn addresses_of_one_customer_are_one_key() {
        let key = |text: &str| Key::address(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
    }
}
