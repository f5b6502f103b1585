//! The rate limits of a buyer or, without a token, of an address: classes of requests, each a leaky bucket (GCRA); and the limit of
//! wrong passwords for one account, which is a class of its own. The buckets are in the memory of this process, or shared by all instances through a Valkey. Memory is bounded, and the time is
//! always an argument.
//!
//! `governor` does not fit: it reads the clock itself, its table is bounded only by a sweep that must run in time, and it can
//! neither merge what another instance counted nor give the values of the two header fields.

mod buckets;
pub mod shared;

use crate::client_network::ClientNetwork;
use crate::shop::accounts::{GuessKey, GuessLimits};
use crate::telemetry::metrics::{Counter, ServerMetrics};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use buckets::{BucketLevel, BucketTable, GcraParameters};
use futures::FutureExt;
use futures::future::BoxFuture;
use sale::id::BuyerId;
use sale::time::Timestamp;
use shared::SharedLimiter;
use std::net::IpAddr;
use std::sync::Arc;

/// A class of requests that share a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitClass {
    /// Login, registration, a new password: where passwords can be guessed.
    Auth,
    /// Refreshing a session, apart from the sign-ins of others at the same address.
    Refresh,
    /// Passwords for one account. The shop counts them, because only it knows the account.
    Guess,
    /// Requests that change something.
    Buy,
    /// Requests that only read.
    Read,
    /// Purchases that the dialect `turnstile` acknowledges, by the claimed buyer.
    Turnstile,
    /// Purchases at the dialect `drop`, by the claimed buyer.
    Drop,
    /// All requests at dialects, by address.
    DialectAddress,
}

impl LimitClass {
    /// Whether it counts by address, also for callers who are signed in.
    #[must_use]
    pub fn is_by_address(self) -> bool {
        matches!(self, Self::Auth | Self::DialectAddress)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in a window; all of them may come at once.
    pub quota: u32,
    pub window_s: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    pub auth: RateLimit,
    pub refresh: RateLimit,
    pub guess: RateLimit,
    pub buy: RateLimit,
    pub read: RateLimit,
    pub turnstile: RateLimit,
    pub drop: RateLimit,
    pub dialect_address: RateLimit,
}

/// The buckets of all classes.
#[derive(Debug)]
pub struct RateLimiter {
    auth: ClassBuckets,
    refresh: ClassBuckets,
    guess: ClassBuckets,
    buy: ClassBuckets,
    read: ClassBuckets,
    turnstile: ClassBuckets,
    drop: ClassBuckets,
    dialect_address: ClassBuckets,
    shared: Option<SharedLimiter>,
}

/// The buckets of one class, with its name and policy in the headers.
#[derive(Debug)]
struct ClassBuckets {
    name: &'static str,
    policy: HeaderValue,
    buckets: Arc<BucketTable>,
    refused: Counter,
}

impl RateLimiter {
    /// Buckets in the memory of this process.
    #[must_use]
    pub fn new(rates: RateLimits) -> Self {
        Self {
            auth: ClassBuckets::new("auth", rates.auth),
            refresh: ClassBuckets::new("refresh", rates.refresh),
            guess: ClassBuckets::new("guess", rates.guess),
            buy: ClassBuckets::new("buy", rates.buy),
            read: ClassBuckets::new("read", rates.read),
            turnstile: ClassBuckets::new("turnstile", rates.turnstile),
            drop: ClassBuckets::new("drop", rates.drop),
            dialect_address: ClassBuckets::new("dialect_address", rates.dialect_address),
            shared: None,
        }
    }

    /// Buckets that all instances with the same Valkey share. It tries to connect once before it returns; while there is no
    /// connection, this process counts on its own. The connection's task ends with the limiter.
    pub async fn connect_shared(rates: RateLimits, settings: shared::SharedLimiterSettings) -> Self {
        let limits = Self::new(rates);
        let shared = SharedLimiter::start(settings, Arc::clone(&limits.read.buckets)).await;
        Self { shared: Some(shared), ..limits }
    }

    /// Counts the refused requests of each class in these metrics.
    #[must_use]
    pub fn with_metrics(mut self, metrics: &ServerMetrics) -> Self {
        let native = [&mut self.auth, &mut self.refresh, &mut self.guess, &mut self.buy, &mut self.read];
        let dialects = [&mut self.turnstile, &mut self.drop, &mut self.dialect_address];
        for class in native.into_iter().chain(dialects) {
            class.refused = metrics.limited_counter(class.name);
        }
        self
    }

    pub async fn count_request(&self, class: LimitClass, key: LimitKey, now: Timestamp) -> LimitDecision<'_> {
        let class_buckets = self.class_buckets(class);
        let level = match &self.shared {
            None => class_buckets.buckets.count_request(key, now),
            Some(shared) => shared.count_request(class, &class_buckets.buckets, key, now).await,
        };
        let retry_after_s = class_buckets.buckets.parameters().retry_after_s(level);
        if retry_after_s.is_some() {
            class_buckets.refused.inc();
        }
        LimitDecision { class: class_buckets, level, retry_after_s }
    }

    /// Takes back a request that was counted and allowed: what it was counted for did not come to pass.
    pub async fn return_request(&self, class: LimitClass, key: LimitKey, now: Timestamp) {
        let buckets = &self.class_buckets(class).buckets;
        match &self.shared {
            None => buckets.return_request(key, now),
            Some(shared) => shared.return_request(class, buckets, key, now).await,
        }
    }

    fn class_buckets(&self, class: LimitClass) -> &ClassBuckets {
        match class {
            LimitClass::Auth => &self.auth,
            LimitClass::Refresh => &self.refresh,
            LimitClass::Guess => &self.guess,
            LimitClass::Buy => &self.buy,
            LimitClass::Read => &self.read,
            LimitClass::Turnstile => &self.turnstile,
            LimitClass::Drop => &self.drop,
            LimitClass::DialectAddress => &self.dialect_address,
        }
    }
}

impl GuessLimits for RateLimiter {
    fn count_guess(&self, key: GuessKey, now: Timestamp) -> BoxFuture<'_, Result<(), u32>> {
        async move {
            let decision = self.count_request(LimitClass::Guess, LimitKey(key.0), now).await;
            decision.retry_after_s.map_or(Ok(()), Err)
        }
        .boxed()
    }

    fn check_guess(&self, key: GuessKey, now: Timestamp) -> Result<(), u32> {
        let level = self.guess.buckets.peek_level(LimitKey(key.0), now);
        let retry_after_s = self.guess.buckets.parameters().retry_after_s(level);
        if retry_after_s.is_some() {
            self.guess.refused.inc();
        }
        retry_after_s.map_or(Ok(()), Err)
    }
}

impl ClassBuckets {
    fn new(name: &'static str, rate: RateLimit) -> Self {
        let policy = format!("\"{name}\";q={};w={}", rate.quota, rate.window_s);
        Self {
            name,
            policy: HeaderValue::try_from(policy).expect("digits and letters are fine in a header"),
            buckets: Arc::new(BucketTable::new(GcraParameters::from_rate(rate), buckets::KEYS_MAX)),
            refused: Counter::default(),
        }
    }
}

#[derive(Debug)]
pub struct LimitDecision<'a> {
    class: &'a ClassBuckets,
    level: BucketLevel,
    /// Seconds until the next request is allowed; `None` when this one was.
    pub retry_after_s: Option<u32>,
}

/// A buyer or the network of an address. The two never collide: the low half of a buyer's UUID has its variant bits set, that of
/// an IPv6 network is zero, and the high half of an IPv4 address is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LimitKey(u128);

impl LimitKey {
    #[must_use]
    pub fn from_buyer(buyer: BuyerId) -> Self {
        Self(buyer.0.as_u128())
    }

    #[must_use]
    pub fn from_address(address: IpAddr) -> Self {
        Self(ClientNetwork::from(address).as_u128())
    }

    /// The number behind the key, for [`crate::shop::accounts::SignInOrigin::network`].
    #[must_use]
    pub fn as_u128(self) -> u128 {
        self.0
    }
}

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

impl LimitDecision<'_> {
    /// Writes `RateLimit-Policy: "buy";q=100;w=900` and `RateLimit: "buy";r=99;t=9`
    /// (draft-ietf-httpapi-ratelimit-headers).
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        let parameters = self.class.buckets.parameters();
        headers.insert(RATE_LIMIT_POLICY, self.class.policy.clone());
        let mut text = Vec::with_capacity(40);
        text.push(b'"');
        text.extend_from_slice(self.class.name.as_bytes());
        text.extend_from_slice(b"\";r=");
        push_number(&mut text, u64::from(parameters.remaining(self.level)));
        text.extend_from_slice(b";t=");
        push_number(&mut text, parameters.reset_s(self.level));
        if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(text)) {
            headers.insert(RATE_LIMIT, value);
        }
    }
}

/// Appends the digits without `format!`, which costs more than counting the request.
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
    async fn the_headers_give_policy_and_level() {
        let limits = RateLimiter::new(RateLimits {
            auth: RATE,
            refresh: RATE,
            guess: RATE,
            buy: RateLimit { quota: 100, window_s: 900 },
            read: RATE,
            turnstile: RATE,
            drop: RATE,
            dialect_address: RATE,
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
}
