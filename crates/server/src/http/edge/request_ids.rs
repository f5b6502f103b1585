//! The `X-Request-Id` of a request: the client's own when it is safe to log, else a new one.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Generates ids of 24 hex digits: a random number of the process, then a count.
pub(super) struct RequestIds {
    process: u32,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        let (process, ..) = uuid::Uuid::new_v4().as_fields();
        Self { process, next: AtomicU64::new(0) }
    }

    pub(super) fn id_for(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get(X_REQUEST_ID) {
            Some(id) if is_valid_id(id.as_bytes()) => id.clone(),
            _ => self.generate_id(),
        }
    }

    fn generate_id(&self) -> HeaderValue {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let number = (u128::from(self.process) << 64) | u128::from(self.next.fetch_add(1, Ordering::Relaxed));
        let mut text = [0; 24];
        for (at, digit) in text.iter_mut().rev().enumerate() {
            *digit = DIGITS[(number >> (4 * at)) as usize & 15];
        }
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("?"))
    }
}

/// Whether a client's id is safe in a log line: 1 to 64 letters, digits, `-`, `_`, `.`, `:`, `+`, `/`, `=`.
fn is_valid_id(id: &[u8]) -> bool {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(byte);
    (1..=64).contains(&id.len()) && id.iter().all(good)
}
