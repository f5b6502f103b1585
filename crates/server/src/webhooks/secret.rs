//! Secrets of endpoints, and signatures by Standard Webhooks (<https://www.standardwebhooks.com>): HMAC-SHA256 of
//! `{id}.{timestamp}.{body}`. A secret is never logged: its `Debug` shows nothing of it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

const PREFIX: &str = "whsec_";
/// Bytes of a secret, by Standard Webhooks.
const LEN_MIN: usize = 24;
const LEN_MAX: usize = 64;
/// Bytes of a secret that is made here: as many as SHA-256 has.
const NEW_LEN: usize = 32;

/// What an endpoint and the shop share: 24 to 64 bytes, in text `whsec_` and base64.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

/// Why a text is no secret. The text is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be whsec_ and the base64 of 24 to 64 bytes")]
pub struct WebhookSecretError;

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

impl TryFrom<String> for WebhookSecret {
    type Error = WebhookSecretError;

    fn try_from(text: String) -> Result<Self, WebhookSecretError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(WebhookSecretError)?;
        let bytes = BASE64.decode(encoded).map_err(|_| WebhookSecretError)?;
        if (LEN_MIN..=LEN_MAX).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(WebhookSecretError) }
    }
}

impl WebhookSecret {
    /// A new one, from the machine's source of randomness.
    ///
    /// # Panics
    /// When the system gives no random bytes: no secret can be made then.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = vec![0; NEW_LEN];
        getrandom::fill(&mut bytes).expect("the machine gives random bytes");
        Self(bytes)
    }

    /// The text that the receiver is configured with.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{PREFIX}{}", BASE64.encode(&self.0))
    }

    /// The signature of a message, `v1,` and base64.
    ///
    /// # Panics
    /// Never: HMAC takes a key of any length.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(format!("{id}.{timestamp_s}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
    }
}

/// The header `webhook-signature`: a signature with each secret that is valid, the newest first.
#[must_use]
pub fn sign_with_all(secrets: &[WebhookSecret], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let signatures: Vec<String> = secrets.iter().map(|secret| secret.sign(id, timestamp_s, body)).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<WebhookSecret, WebhookSecretError> {
        text.to_owned().try_into()
    }

    /// The example of the reference libraries.
    #[test]
    fn a_message_is_signed_as_the_reference_libraries_do() {
        let secret = parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature =
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn during_a_rotation_a_message_has_two_signatures() {
        let (new, old) = (WebhookSecret::generate(), WebhookSecret::generate());
        assert_ne!(new, old);
        let header = sign_with_all(&[new.clone(), old.clone()], "id", 1, b"body");
        assert_eq!(header, format!("{} {}", new.sign("id", 1, b"body"), old.sign("id", 1, b"body")));
    }

    #[test]
    fn a_secret_has_24_to_64_bytes_and_shows_none_of_them() {
        for len in [24, 32, 64] {
            let secret = parse(&format!("whsec_{}", BASE64.encode(vec![7; len]))).unwrap();
            assert_eq!(secret.to_text(), format!("whsec_{}", BASE64.encode(vec![7; len])));
            assert_eq!(format!("{secret:?}"), "WebhookSecret(…)");
        }
        for len in [0, 1, 23, 65] {
            assert!(parse(&format!("whsec_{}", BASE64.encode(vec![7; len]))).is_err(), "{len}");
        }
        for bad in ["", "whsec_", "whsec_%%%", &BASE64.encode([7; 32]), "WHSEC_AAAA"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
