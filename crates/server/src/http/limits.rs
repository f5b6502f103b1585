//! How many requests a buyer (or, without a token, an address) may make: three classes, each a leaky bucket (GCRA), counted in
//! the memory of this process or, where instances share a Valkey, by all of them together. It never grows without bound and
//! never asks the time.
//!
//! Why not `governor`: the time is an argument here, the table has a hard bound instead of a sweep that must come in time,
//! the two header fields need the bucket's own figures, and what another instance has counted has to come in.

mod buckets;
pub mod shared;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use buckets::{BucketLevel, BucketTable, GcraParameters};
use sale::id::BuyerId;
use sale::time::Timestamp;
use shared::SharedLimiter;
use std::net::IpAddr;
use std::sync::Arc;

/// A class of calls that share a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitClass {
    /// Signing in and up: passwords are guessed here.
    Auth,
    /// All that changes something.
    Buy,
    /// All that only looks.
    Read,
}

/// So many requests in so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in a window, all of which may come at once.
    pub quota: u32,
    /// The window in seconds.
    pub window_s: u32,
}

/// The limits of all classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// See [`Class::Auth`].
    pub auth: RateLimit,
    /// See [`Class::Buy`].
    pub buy: RateLimit,
    /// See [`Class::Read`].
    pub read: RateLimit,
}

/// The buckets of all classes.
#[derive(Debug)]
pub struct RateLimiter {
    auth: ClassBuckets,
    buy: ClassBuckets,
    read: ClassBuckets,
    shared: Option<SharedLimiter>,
}

/// The buckets of one class, and how it is told of.
#[derive(Debug)]
struct ClassBuckets {
    name: &'static str,
    policy: HeaderValue,
    buckets: Arc<BucketTable>,
}

impl RateLimiter {
    /// Empty buckets for these rates, which this process counts for itself.
    #[must_use]
    pub fn new(rates: RateLimits) -> Self {
        Self {
            auth: ClassBuckets::new("auth", rates.auth),
            buy: ClassBuckets::new("buy", rates.buy),
            read: ClassBuckets::new("read", rates.read),
            shared: None,
        }
    }

    /// Buckets for these rates that are shared by all who share a Valkey. It is connected to before this returns, if it is
    /// there; as long as it is not, this process counts for itself. Ends with the last handle.
    pub async fn connect_shared(rates: RateLimits, settings: shared::SharedLimiterSettings) -> Self {
        let limits = Self::new(rates);
        let shared = SharedLimiter::start(settings, Arc::clone(&limits.read.buckets)).await;
        Self { shared: Some(shared), ..limits }
    }

    pub async fn count_request(&self, class: LimitClass, key: LimitKey, now: Timestamp) -> LimitDecision<'_> {
        let counted = match class {
            LimitClass::Auth => &self.auth,
            LimitClass::Buy => &self.buy,
            LimitClass::Read => &self.read,
        };
        let standing = match &self.shared {
            None => counted.buckets.count_request(key, now),
            Some(shared) => shared.count_request(class, &counted.buckets, key, now).await,
        };
        LimitDecision {
            class: counted,
            level: standing,
            retry_after_s: counted.buckets.parameters().retry_after_s(standing),
        }
    }
}

impl ClassBuckets {
    fn new(name: &'static str, rate: RateLimit) -> Self {
        let policy = format!("\"{name}\";q={};w={}", rate.quota, rate.window_s);
        Self {
            name,
            policy: HeaderValue::try_from(policy).expect("digits and letters are fine in a header"),
            buckets: Arc::new(BucketTable::new(GcraParameters::from_rate(rate), buckets::KEYS_MAX)),
        }
    }
}

/// What became of a request that was counted.
#[derive(Debug)]
pub struct LimitDecision<'a> {
    class: &'a ClassBuckets,
    level: BucketLevel,
    /// Seconds until the next request is allowed; `None` when this one was.
    pub retry_after_s: Option<u32>,
}

/// Who is counted: a buyer or an address. The two cannot meet: the low half of a buyer's UUID has its variant bits set, that
/// of an IPv6 network is empty, and an IPv4 address has an empty high half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LimitKey(u128);

impl LimitKey {
    /// A buyer, from wherever they come.
    #[must_use]
    pub fn from_buyer(buyer: BuyerId) -> Self {
        Self(buyer.0.as_u128())
    }

    /// An address; of IPv6 the /64, because that much is given to one customer.
    #[must_use]
    pub fn from_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u128::from(u32::from(address))),
            IpAddr::V6(address) => Self(u128::from(address) & !u128::from(u64::MAX)),
        }
    }
}

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

impl LimitDecision<'_> {
    /// Tells the caller where they stand: `RateLimit-Policy: "buy";q=100;w=900` and `RateLimit: "buy";r=99;t=9`
    /// (draft-ietf-httpapi-ratelimit-headers).
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        let pace = self.class.buckets.parameters();
        headers.insert(RATE_LIMIT_POLICY, self.class.policy.clone());
        let mut text = Vec::with_capacity(40);
        text.push(b'"');
        text.extend_from_slice(self.class.name.as_bytes());
        text.extend_from_slice(b"\";r=");
        push_number(&mut text, u64::from(pace.remaining(self.level)));
        text.extend_from_slice(b";t=");
        push_number(&mut text, pace.reset_s(self.level));
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

    const RATE: RateLimit = RateLimit { quota: 3, window_s: 30 };

    #[tokio::test]
    async fn the_headers_tell_policy_and_standing() {
        let limits = RateLimiter::new(RateLimits {
            auth: RATE,
            buy: RateLimit { quota: 100, window_s: 900 },
            read: RATE,
        });
        let key = LimitKey::from_address(IpAddr::from([10, 0, 0, 1]));
        let mut headers = HeaderMap::new();
        limits
            .count_request(LimitClass::Buy, key, Timestamp(1_800_000_000_000))
            .await
            .write_headers(&mut headers);
        assert_eq!(headers[RATE_LIMIT_POLICY], "\"buy\";q=100;w=900");
        assert_eq!(headers[RATE_LIMIT], "\"buy\";r=99;t=9");
    }

    #[test]
    fn addresses_of_one_customer_are_one_key() {
        let key = |text: &str| LimitKey::from_address(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
    }
}
