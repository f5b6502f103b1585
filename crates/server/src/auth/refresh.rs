//! Refresh tokens: 256 random bits that mean something only to the `refresh_tokens` table. Never a JWT, never stored. The first of a
//! session is random; each next one is computed from the one before it and a secret of the shop, so that it can be computed again
//! when a reply was lost.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Secret scanners and readers of logs recognise a token by it.
const PREFIX: &str = "dbr_";

/// A token as the client gets it. Its `Debug` does not tell it.
pub struct RefreshToken(String);

impl RefreshToken {
    /// A new one, from the machine's source of randomness.
    ///
    /// # Panics
    /// When the system gives no random bytes: no secret can be made then.
    #[must_use]
    pub fn generate() -> Self {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits).expect("the machine gives random bytes");
        Self(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bits)))
    }

    /// The token that follows `token`: the same each time, and known only to a holder of `token` and `secret` together.
    ///
    /// # Panics
    /// Never: HMAC takes a key of any length.
    #[must_use]
    pub fn derive_successor(token: &str, secret: &[u8; 32]) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
        mac.update(token.as_bytes());
        Self(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())))
    }

    /// The text for the client.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }

    /// Its hash, as the table keeps it.
    #[must_use]
    pub fn hash(&self) -> String {
        hash_token(&self.0)
    }
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}

/// SHA-256 of a token in hexadecimal digits. A fast hash is enough for 256 random bits.
#[must_use]
pub fn hash_token(token: &str) -> String {
    use std::fmt::Write;
    let digest = Sha256::digest(token.as_bytes());
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_needs_the_token_and_the_secret() {
        let successor =
            |token: &str, secret: u8| RefreshToken::derive_successor(token, &[secret; 32]).into_text();
        let token = RefreshToken::generate().into_text();
        assert_eq!(successor(&token, 1), successor(&token, 1));
        assert_ne!(successor(&token, 1), successor(&token, 2));
        assert_ne!(successor(&token, 1), successor(&RefreshToken::generate().into_text(), 1));
        assert_eq!(successor(&token, 1).len(), token.len(), "it looks like any other");
    }
}
