//! Verifies a webhook by Standard Webhooks in Rust, with HMAC and base64 alone. A receiver calls [`verify_webhook`] with what it got.
//!
//! The program reads a body from its standard input:
//!
//! ```sh
//! verify_webhook whsec_… "$webhook_id" "$webhook_timestamp" "$webhook_signature" < body.json
//! ```

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::io::Read as _;
use std::process::ExitCode;

/// A message that is older or newer than this is refused: it may be a replay.
const TOLERANCE_S: i64 = 300;

/// Why a message is not genuine.
#[derive(Debug, PartialEq, Eq)]
pub enum VerificationError {
    /// The secret is not `whsec_` and base64.
    Secret,
    /// The timestamp is no number, or too far from now.
    Timestamp,
    /// No signature fits the message.
    Signature,
}

/// The headers `webhook-id`, `webhook-timestamp` and `webhook-signature`.
pub struct WebhookHeaders<'a> {
    pub id: &'a str,
    pub timestamp: &'a str,
    pub signature: &'a str,
}

/// Verifies a message. `body` is the body as it came, `now_s` are the seconds since 1970.
///
/// # Errors
/// When the message is not genuine, or not from now.
pub fn verify_webhook(
    secret: &str,
    headers: &WebhookHeaders<'_>,
    body: &[u8],
    now_s: i64,
) -> Result<(), VerificationError> {
    let key = secret.strip_prefix("whsec_").and_then(|text| BASE64.decode(text).ok());
    let key = key.filter(|key| !key.is_empty()).ok_or(VerificationError::Secret)?;
    let timestamp: i64 = headers.timestamp.parse().map_err(|_| VerificationError::Timestamp)?;
    if now_s.abs_diff(timestamp) > TOLERANCE_S.unsigned_abs() {
        return Err(VerificationError::Timestamp);
    }
    // During a rotation of the secret there are two signatures, with a space between.
    let signatures = headers.signature.split(' ').filter_map(|text| text.strip_prefix("v1,"));
    for signature in signatures.filter_map(|text| BASE64.decode(text).ok()) {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| VerificationError::Secret)?;
        mac.update(format!("{}.{timestamp}.", headers.id).as_bytes());
        mac.update(body);
        // Takes the same time wherever the signatures differ.
        if mac.verify_slice(&signature).is_ok() {
            return Ok(());
        }
    }
    Err(VerificationError::Signature)
}

#[expect(clippy::disallowed_methods, reason = "a program of its own, which has no other clock")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [secret, id, timestamp, signature] = arguments.as_slice() else {
        eprintln!("write: verify_webhook SECRET ID TIMESTAMP SIGNATURE < BODY");
        return ExitCode::from(2);
    };
    let mut body = Vec::new();
    if let Err(error) = std::io::stdin().read_to_end(&mut body) {
        eprintln!("the body cannot be read: {error}");
        return ExitCode::FAILURE;
    }
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now_s = i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX);
    match verify_webhook(secret, &WebhookHeaders { id, timestamp, signature }, &body, now_s) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the message is not genuine: {error:?}");
            ExitCode::FAILURE
        }
    }
}
