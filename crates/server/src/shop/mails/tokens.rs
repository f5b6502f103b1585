//! The links and codes of mails. Each is computed from its id and a secret of the shop when its mail is sent, so that no table ever has one:
//! neither that of the mails nor that of the tokens, which keeps digests.

use crate::auth::refresh::hash_token;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt::Write;
use uuid::Uuid;

/// Secret scanners and readers of logs recognise a token by it.
const PREFIX: &str = "dbm_";
/// Minutes for which a link or a code is valid.
pub const TOKEN_MINUTES: i64 = 60;
/// Codes have eight digits, which are easy to type: few tries are allowed.
const CODES: u64 = 100_000_000;
/// Times that a code may be tried.
pub const CODE_TRIES_MAX: u32 = 5;
/// Longer texts are no tokens of this shop.
const TOKEN_LEN_MAX: usize = 100;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenPurpose {
    ConfirmAddress,
    ResetPassword,
    GuestCode,
}

impl TokenPurpose {
    /// The word for it in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfirmAddress => "confirm_address",
            Self::ResetPassword => "reset_password",
            Self::GuestCode => "guest_code",
        }
    }
}

/// Computes tokens. Its `Debug` does not tell the secret.
#[derive(Clone)]
pub struct MailTokens {
    secret: [u8; 32],
}

impl std::fmt::Debug for MailTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MailTokens(…)")
    }
}

impl MailTokens {
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// The token of a link: 256 bits that only a holder of the secret can compute.
    #[must_use]
    pub fn link_token(&self, purpose: TokenPurpose, id: Uuid) -> String {
        let bits = self.compute_mac(&[b"link", purpose.as_str().as_bytes(), id.as_bytes()]);
        format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bits))
    }

    /// The digest of a link's token, as the table has it; `None` for a text that is none.
    #[must_use]
    pub fn digest_link(&self, token: &str) -> Option<String> {
        (token.starts_with(PREFIX) && token.len() <= TOKEN_LEN_MAX).then(|| hash_token(token))
    }

    /// The token of the links that end a subscription.
    #[must_use]
    pub fn unsubscribe_token(&self, subscription: Uuid) -> String {
        let bits = self.compute_mac(&[b"unsubscribe", subscription.as_bytes()]);
        format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bits))
    }

    /// A code of eight digits.
    #[must_use]
    pub fn code(&self, id: Uuid) -> String {
        let bits = self.compute_mac(&[b"code", id.as_bytes()]);
        let number = bits.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        format!("{:08}", number % CODES)
    }

    /// The digest of a code, as the table has it. It is keyed, because there are few codes. Blanks and hyphens in a code do not count.
    #[must_use]
    pub fn digest_code(&self, email: &str, code: &str) -> String {
        let code: String = code.chars().filter(|c| !c.is_whitespace() && *c != '-').take(16).collect();
        let bits = self.compute_mac(&[b"code digest", email.as_bytes(), code.as_bytes()]);
        bits.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The id of the guest who has proved an address.
    #[must_use]
    pub fn guest_bytes(&self, email: &str) -> [u8; 16] {
        let bits = self.compute_mac(&[b"guest", email.as_bytes()]);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&bits[..16]);
        bytes
    }

    fn compute_mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(part);
            mac.update(&[0]);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_needs_the_secret_the_id_and_the_purpose() {
        let tokens = MailTokens::new([1; 32]);
        let id = Uuid::from_u128(1);
        let link = tokens.link_token(TokenPurpose::ResetPassword, id);
        assert_eq!(link, MailTokens::new([1; 32]).link_token(TokenPurpose::ResetPassword, id));
        assert_eq!(link.len(), 47);
        for other in [
            MailTokens::new([2; 32]).link_token(TokenPurpose::ResetPassword, id),
            tokens.link_token(TokenPurpose::ConfirmAddress, id),
            tokens.link_token(TokenPurpose::ResetPassword, Uuid::from_u128(2)),
        ] {
            assert_ne!(link, other);
        }
        assert!(
            tokens.digest_link(&link).is_some_and(|digest| digest.len() == 64 && !digest.contains(&link))
        );
        assert_eq!(tokens.digest_link("dbr_of-another-kind"), None);
        assert_eq!(tokens.digest_link(&format!("dbm_{}", "x".repeat(5_000))), None);
    }

    #[test]
    fn a_code_has_eight_digits_and_is_of_one_address() {
        let tokens = MailTokens::new([1; 32]);
        let code = tokens.code(Uuid::from_u128(1));
        assert!(code.len() == 8 && code.bytes().all(|digit| digit.is_ascii_digit()), "{code}");
        let digest = tokens.digest_code("ada@example.com", &code);
        let spaced = format!(" {} {}\n", &code[..4], &code[4..]);
        assert_eq!(digest, tokens.digest_code("ada@example.com", &spaced));
        assert_ne!(digest, tokens.digest_code("eve@example.com", &code));
        assert_ne!(digest, MailTokens::new([2; 32]).digest_code("ada@example.com", &code));
    }
}
