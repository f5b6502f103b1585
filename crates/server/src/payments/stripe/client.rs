//! The client of Stripe's API: it sends a request with the pinned version and its idempotency key, repeats it with the same key when Stripe is
//! busy or does not answer, and stops asking for a while when that goes on. It remembers which rights Stripe refused the key. It never
//! decides what a reply means for a payment, and never logs the key.

use super::circuit::CircuitBreaker;
use super::objects::{ErrorBody, ErrorDetail};
use super::request::{ApiRequest, ApiVerb, KeyRight};
use super::transport::{ApiOrigin, HttpReply, HttpRequest, HttpTransport};
use crate::clock::TimeSource;
use crate::payments::ProviderHealth;
use crate::telemetry::stripe::StripeMetrics;
use bytes::Bytes;
use hyper::Method;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use sale::Timestamp;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_rustls::rustls::ClientConfig;

/// The version of the API whose objects this program reads: that of the published description of 2026-09-30.
pub const API_VERSION: &str = "2026-09-30.endive";

/// Times that a request is sent at most.
const TRIES_MAX: u32 = 3;

/// The wait after the first try; doubled after each, and longer or shorter by up to a half.
const WAIT_MIN: Duration = Duration::from_millis(150);

/// The longest `Retry-After` that is waited for: a call that has to wait longer is repeated by the reconciler.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(2);

/// Requests under way at a time. Stripe allows some 100 a second.
const CONCURRENT_MAX: usize = 64;

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("Doorbuster/", env!("CARGO_PKG_VERSION")));
const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A secret key, restricted or not. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ApiKey(String);

/// The text is no key. It is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key begins with rk_live_, rk_test_, sk_live_ or sk_test_")]
pub struct ApiKeyError;

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

impl std::str::FromStr for ApiKey {
    type Err = ApiKeyError;

    fn from_str(text: &str) -> Result<Self, ApiKeyError> {
        let rest = ["rk_live_", "rk_test_", "sk_live_", "sk_test_"]
            .iter()
            .find_map(|start| text.strip_prefix(start));
        let is_key =
            rest.is_some_and(|rest| !rest.is_empty()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_key { Ok(Self(text.to_owned())) } else { Err(ApiKeyError) }
    }
}

impl ApiKey {
    /// Whether real money moves.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.0.starts_with("rk_live_") || self.0.starts_with("sk_live_")
    }

    /// Whether it may do everything, which no key in a server should.
    #[must_use]
    pub fn is_unrestricted(&self) -> bool {
        self.0.starts_with("sk_")
    }
}

/// Why a request did not do what it asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// No reply, or one that says that Stripe cannot answer now. The request may have had its effect.
    #[error("Stripe did not answer")]
    NoReply,
    /// The first request with this key failed at Stripe, which repeats that reply for a day. It may have had its effect.
    #[error("Stripe failed at this request and repeats its failure")]
    SavedFailure,
    /// The key is not valid, or lacks a right. Nothing was done.
    #[error("Stripe refuses the key: {0}")]
    KeyRefused(String),
    /// Nothing was done.
    #[error("Stripe refused the request: {0}")]
    Refused(RefusedRequest),
}

/// What Stripe said. Its message may hold what was sent, so it is not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRequest {
    pub status: u16,
    pub kind: String,
    pub code: String,
    pub param: String,
    /// Stripe's name for the request, for its support.
    pub request_id: String,
    /// It is the saved reply to an earlier request with the same key. What it was refused for may be over.
    pub is_saved: bool,
}

impl fmt::Display for RefusedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, kind, code, param, request_id, is_saved: _ } = self;
        write!(f, "{status} {kind} {code} {param} ({request_id})")
    }
}

impl ApiError {
    /// Whether the key was used before, with other parameters.
    #[must_use]
    pub fn is_key_reused(&self) -> bool {
        matches!(self, Self::Refused(refused) if refused.kind == "idempotency_error")
    }

    /// Whether there is no such object.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused(refused) if refused.status == 404)
    }
}

/// How long to wait for Stripe.
#[derive(Clone, Copy, Debug)]
pub struct ClientTimeouts {
    /// For one try.
    pub attempt: Duration,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        Self { attempt: Duration::from_secs(4) }
    }
}

/// What the client is built from.
pub struct ClientDependencies {
    pub origin: ApiOrigin,
    pub key: ApiKey,
    pub tls: ClientConfig,
    pub now: TimeSource,
    /// From 0 up to 1.
    pub chance: Arc<dyn Fn() -> f64 + Send + Sync>,
    pub timeouts: ClientTimeouts,
    pub metrics: StripeMetrics,
}

pub struct StripeClient {
    transport: HttpTransport,
    key: ApiKey,
    now: TimeSource,
    chance: Arc<dyn Fn() -> f64 + Send + Sync>,
    timeouts: ClientTimeouts,
    places: Semaphore,
    state: Mutex<ClientState>,
    metrics: StripeMetrics,
}

#[derive(Default)]
struct ClientState {
    circuit: CircuitBreaker,
    /// Stripe does not know the key.
    is_key_invalid: bool,
    /// Rights that Stripe refused, with its name for them.
    missing: BTreeMap<KeyRight, String>,
    /// Stripe has answered since the start.
    has_answered: bool,
    /// When the first call failed, while Stripe has not answered.
    silent_since: Option<Timestamp>,
}

/// What one try brought.
enum AttemptResult {
    Reply(HttpReply),
    Failed {
        retry_after: Option<Duration>,
    },
    /// Stripe says that a repeat would not help.
    Final,
}

impl StripeClient {
    #[must_use]
    pub fn new(dependencies: ClientDependencies) -> Self {
        let ClientDependencies { origin, key, tls, now, chance, timeouts, metrics } = dependencies;
        Self {
            transport: HttpTransport::new(origin, tls),
            key,
            now,
            chance,
            timeouts,
            places: Semaphore::new(CONCURRENT_MAX),
            state: Mutex::default(),
            metrics,
        }
    }

    /// Whether real money moves.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.key.is_live()
    }

    /// Sends a request, and again while Stripe is busy or does not answer.
    ///
    /// # Errors
    /// When there is no usable reply.
    pub async fn send<T: DeserializeOwned>(&self, request: &ApiRequest) -> Result<T, ApiError> {
        self.send_noting_repeat(request).await.map(|(object, _)| object)
    }

    /// The same, and whether the reply is the saved one of an earlier request with the same key: its object may have changed since.
    ///
    /// # Errors
    /// As [`StripeClient::send`].
    pub async fn send_noting_repeat<T: DeserializeOwned>(
        &self,
        request: &ApiRequest,
    ) -> Result<(T, bool), ApiError> {
        let Ok(_place) = self.places.acquire().await else { return Err(ApiError::NoReply) };
        let reply = self.send_with_retries(request).await?;
        if !(200..300).contains(&reply.status) {
            return Err(self.read_error(request, &reply));
        }
        self.record_accepted(request.right);
        let is_repeat = is_saved_reply(&reply);
        serde_json::from_slice(&reply.body).map(|object| (object, is_repeat)).map_err(|error| {
            tracing::error!(
                path = request.path, %error,
                "a reply of Stripe cannot be read; the payment stays as it is and the reconciler retries; report it"
            );
            ApiError::NoReply
        })
    }

    /// Whether the API can be used.
    #[must_use]
    pub fn health(&self) -> ProviderHealth {
        let state = self.lock();
        if state.is_key_invalid {
            return ProviderHealth::KeyRefused { missing: Vec::new() };
        }
        if !state.missing.is_empty() {
            let missing = state.missing.iter().map(|(right, name)| format!("{right}{name}")).collect();
            return ProviderHealth::KeyRefused { missing };
        }
        match state.silent_since.or_else(|| state.circuit.open_since()) {
            Some(since) => ProviderHealth::Unavailable { since },
            None if state.has_answered => ProviderHealth::Ok,
            None => ProviderHealth::Unknown,
        }
    }

    async fn send_with_retries(&self, request: &ApiRequest) -> Result<HttpReply, ApiError> {
        let built = self.build_request(request);
        let mut wait = WAIT_MIN;
        for tries in 1..=TRIES_MAX {
            if !self.lock().circuit.admit((self.now)()) {
                self.metrics.count_request("circuit_open");
                return Err(ApiError::NoReply);
            }
            let retry_after = match self.attempt(&built).await {
                AttemptResult::Reply(reply) => return Ok(reply),
                AttemptResult::Final => return Err(ApiError::SavedFailure),
                AttemptResult::Failed { retry_after } => retry_after,
            };
            if tries < TRIES_MAX {
                let jittered = wait.mul_f64(0.5 + (self.chance)().clamp(0.0, 1.0));
                tokio::time::sleep(jittered.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))).await;
                wait *= 2;
            }
        }
        Err(ApiError::NoReply)
    }

    async fn attempt(&self, built: &HttpRequest) -> AttemptResult {
        // A caller that stops waiting counts as a failure: Stripe took too long for it.
        let running = RunningAttempt { client: self, is_done: false };
        let sent = tokio::time::timeout(self.timeouts.attempt, self.transport.send(built)).await;
        let reply = match sent {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => {
                tracing::debug!(%error, path = path_of(built), "a request to Stripe failed");
                running.finish(false, "no_connection");
                return AttemptResult::Failed { retry_after: None };
            }
            Err(_) => {
                running.finish(false, "timeout");
                return AttemptResult::Failed { retry_after: None };
            }
        };
        let is_replayed = is_saved_reply(&reply);
        let should_retry = reply.header("stripe-should-retry");
        let retry_after =
            reply.header("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        match reply.status {
            // A saved failure says nothing about Stripe now.
            500.. if is_replayed => {
                running.finish(true, "saved_failure");
                AttemptResult::Final
            }
            500.. => {
                running.finish(false, "failed");
                if should_retry == Some("false") {
                    AttemptResult::Final
                } else {
                    AttemptResult::Failed { retry_after }
                }
            }
            429 => {
                running.finish(false, "too_many");
                AttemptResult::Failed { retry_after }
            }
            // The same key is in use: the first request with it has not ended.
            409 => {
                running.finish(true, "conflict");
                if should_retry == Some("false") {
                    AttemptResult::Reply(reply)
                } else {
                    AttemptResult::Failed { retry_after }
                }
            }
            _ => {
                running.finish(true, if reply.status < 400 { "ok" } else { "refused" });
                AttemptResult::Reply(reply)
            }
        }
    }

    fn build_request(&self, request: &ApiRequest) -> HttpRequest {
        let mut headers = HeaderMap::new();
        // Keys are printable ASCII, as their parsers check.
        if let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {}", self.key.0)) {
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
        }
        headers.insert(STRIPE_VERSION, HeaderValue::from_static(API_VERSION));
        headers.insert(header::USER_AGENT, USER_AGENT);
        let parameters = request.encode_parameters();
        match &request.verb {
            ApiVerb::Get => {
                let target = match parameters.as_str() {
                    "" => request.path.clone(),
                    query => format!("{}?{query}", request.path),
                };
                HttpRequest { method: Method::GET, target, headers, body: Bytes::new() }
            }
            ApiVerb::Post { key } => {
                headers.insert(header::CONTENT_TYPE, FORM);
                if let Ok(key) = HeaderValue::from_str(key) {
                    headers.insert(IDEMPOTENCY_KEY, key);
                }
                HttpRequest {
                    method: Method::POST,
                    target: request.path.clone(),
                    headers,
                    body: Bytes::from(parameters),
                }
            }
        }
    }

    fn read_error(&self, request: &ApiRequest, reply: &HttpReply) -> ApiError {
        let ErrorBody { error } = serde_json::from_slice(&reply.body).unwrap_or_default();
        let ErrorDetail { kind, code, param, message } = error;
        match reply.status {
            401 => {
                if !std::mem::replace(&mut self.lock().is_key_invalid, true) {
                    tracing::error!(
                        "Stripe does not know the key any more; no payment can begin or end; set DOORBUSTER_STRIPE_KEY to a valid key and restart"
                    );
                }
                self.metrics.set_key_refused(true);
                ApiError::KeyRefused("it is not valid".to_owned())
            }
            403 => {
                let name = message.as_deref().and_then(find_right_name).map(|name| format!(" ({name})"));
                let name = name.unwrap_or_default();
                if self.lock().missing.insert(request.right, name.clone()).is_none() {
                    tracing::error!(
                        right = request.right.as_str(),
                        name,
                        "the key of Stripe lacks a right; what needs it waits; give the key this right in Stripe's dashboard"
                    );
                }
                self.metrics.set_key_refused(true);
                ApiError::KeyRefused(format!("{}{name}", request.right))
            }
            status => ApiError::Refused(RefusedRequest {
                status,
                kind,
                code: code.unwrap_or_default(),
                param: param.unwrap_or_default(),
                request_id: reply.header("request-id").unwrap_or_default().to_owned(),
                is_saved: is_saved_reply(reply),
            }),
        }
    }

    /// The key has this right, after all or again.
    fn record_accepted(&self, right: KeyRight) {
        let mut state = self.lock();
        let was_refused = std::mem::take(&mut state.is_key_invalid) | state.missing.remove(&right).is_some();
        let is_refused = !state.missing.is_empty();
        drop(state);
        if was_refused {
            tracing::info!(right = right.as_str(), "Stripe accepts the key again");
            self.metrics.set_key_refused(is_refused);
        }
    }

    fn record(&self, is_answered: bool, outcome: &'static str) {
        self.metrics.count_request(outcome);
        let mut state = self.lock();
        if is_answered {
            state.has_answered = true;
            state.silent_since = None;
            if state.circuit.record_reply() {
                self.metrics.set_circuit_open(false);
                tracing::info!("Stripe answers again");
            }
            return;
        }
        let now = (self.now)();
        if !state.has_answered {
            state.silent_since.get_or_insert(now);
        }
        if state.circuit.record_failure(now) {
            self.metrics.set_circuit_open(true);
            tracing::error!(
                "Stripe has not answered several times; payments wait, and it is asked again every few seconds up to a minute; see https://status.stripe.com"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, ClientState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt that has not ended. Dropped before its end, it has failed.
struct RunningAttempt<'a> {
    client: &'a StripeClient,
    is_done: bool,
}

impl RunningAttempt<'_> {
    fn finish(mut self, is_answered: bool, outcome: &'static str) {
        self.is_done = true;
        self.client.record(is_answered, outcome);
    }
}

impl Drop for RunningAttempt<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.client.record(false, "abandoned");
        }
    }
}

fn is_saved_reply(reply: &HttpReply) -> bool {
    reply.header("idempotent-replayed") == Some("true")
}

fn path_of(request: &HttpRequest) -> &str {
    request.target.split('?').next().unwrap_or_default()
}

/// The name of a right in a message, such as `rak_charge_write`. The rest of the message is not kept: it has a part of the key.
fn find_right_name(message: &str) -> Option<&str> {
    let start = message.find("rak_")?;
    let name = &message[start..];
    let end = name.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_').unwrap_or(name.len());
    Some(&name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown_and_its_kind_is_known() {
        let key: ApiKey = "rk_test_123".parse().unwrap();
        assert_eq!(format!("{key:?}"), "ApiKey(…)");
        assert!(!key.is_live() && !key.is_unrestricted());
        let key: ApiKey = "sk_live_123".parse().unwrap();
        assert!(key.is_live() && key.is_unrestricted());
        for text in ["", "pk_live_123", "rk_test_", "rk_test_a b", "rk_test_a\n"] {
            assert_eq!(text.parse::<ApiKey>().err(), Some(ApiKeyError), "{text:?}");
        }
    }

    #[test]
    fn the_missing_right_is_named_without_the_key() {
        let message = "The provided key 'rk_test_***abc' does not have the required permissions for this endpoint on account \
            'acct_1'. Having the 'rak_charge_write' permission would allow this request to continue.";
        assert_eq!(find_right_name(message), Some("rak_charge_write"));
        assert_eq!(find_right_name("no"), None);
    }
}
