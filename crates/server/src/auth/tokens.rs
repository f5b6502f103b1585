//! Access tokens: JWTs signed with Ed25519, checked once and then cached. It never reads the clock and never reads a table.
//!
//! Why not a JWT library: every valid token was issued here, so its header is compared as text with the one that is written here. The
//! token never chooses the algorithm (`none`, HS256 with the public key and foreign `kid`s fail there), and the time is an argument.
//! Checking a signature costs some 20 µs, finding a cached token 0.06 µs: hence the cache.

mod signing_key;

pub use ed25519_dalek::SigningKey;
pub use signing_key::{KeyError, generate_key, key_to_pem, parse_key, read_key, read_or_create_key};

use super::revocation::RevokedSessions;
use super::{Role, Session};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::{Signer, VerifyingKey};
use quick_cache::sync::Cache;
use sale::id::BuyerId;
use sale::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// `iss` of every token.
const ISSUER: &str = "doorbuster";

/// A revocation is remembered so much longer than the access tokens of its session can be valid: the clocks of instances differ, and a
/// token may be issued while its session is being ended.
pub const REVOCATION_MARGIN_MS: i64 = 60_000;

/// Longer tokens were not issued here: issued tokens have some 500 characters.
const TOKEN_LEN_MAX: usize = 1024;

/// Issues and checks access tokens.
#[derive(Debug)]
pub struct AccessTokens {
    key: SigningKey,
    public: VerifyingKey,
    kid: String,
    /// The first part of every token, with its dot.
    header: String,
    ttl_ms: i64,
    /// The longest lifetime of any token that may still be valid, also of those that other settings gave.
    longest_ttl_ms: AtomicI64,
    known: Cache<Box<str>, Session>,
    revoked: RevokedSessions,
    revocation_count: AtomicU64,
}

/// Why a token is refused. Callers get the same reply for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not issued here: broken, another algorithm, another key, or changed after it was signed.
    #[error("the access token is not valid")]
    NotOurs,
    #[error("the access token has expired")]
    Expired,
    /// Its session was ended by a logout, or because a refresh token was used twice.
    #[error("the access token's session has ended")]
    Revoked,
}

#[derive(Serialize, Deserialize)]
struct TokenClaims<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    sub: BuyerId,
    role: Role,
    sid: Uuid,
    /// Seconds since 1970, as RFC 7519 wants it.
    iat: i64,
    exp: i64,
    /// The integer id of the account, for programs that know no UUIDs.
    #[serde(rename = "userId", default, skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    username: Option<Cow<'a, str>>,
}

/// What the token of an account says of it for other programs. Nothing here reads it.
#[derive(Clone, Copy, Debug)]
pub struct TokenAccount<'a> {
    /// The integer id; `None` for an account that has none yet.
    pub user_id: Option<i64>,
    pub username: &'a str,
}

impl AccessTokens {
    /// Tokens signed with `key`, each valid for `ttl_s` seconds; `known_max` of them are remembered as checked.
    #[must_use]
    pub fn new(key: SigningKey, ttl_s: u32, known_max: usize) -> Self {
        let public = key.verifying_key();
        let kid = BASE64.encode(&Sha256::digest(public.as_bytes())[..9]);
        let header = format!("{}.", BASE64.encode(format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}"}}"#)));
        let known = Cache::new(known_max);
        Self {
            key,
            public,
            kid,
            header,
            ttl_ms: i64::from(ttl_s) * 1000,
            longest_ttl_ms: AtomicI64::new(i64::from(ttl_s) * 1000),
            known,
            revoked: RevokedSessions::default(),
            revocation_count: AtomicU64::new(0),
        }
    }

    /// How long a token is valid, in milliseconds.
    #[must_use]
    pub fn ttl_ms(&self) -> i64 {
        self.ttl_ms
    }

    /// The longest lifetime of any token that may still be valid, in milliseconds.
    #[must_use]
    pub fn longest_ttl_ms(&self) -> i64 {
        self.longest_ttl_ms.load(Ordering::Acquire)
    }

    /// Learns of a longer lifetime that other settings gave or give: so long revocations are remembered.
    pub fn extend_longest_ttl(&self, ms: i64) {
        self.longest_ttl_ms.fetch_max(ms, Ordering::AcqRel);
    }

    /// Issues a token to a buyer without an account and caches it.
    #[must_use]
    pub fn issue(&self, buyer: BuyerId, role: Role, session: Uuid, now: Timestamp) -> String {
        self.issue_claims(buyer, role, None, session, now)
    }

    /// Issues a token to an account and caches it.
    #[must_use]
    pub fn issue_for_account(
        &self,
        buyer: BuyerId,
        role: Role,
        account: TokenAccount<'_>,
        session: Uuid,
        now: Timestamp,
    ) -> String {
        self.issue_claims(buyer, role, Some(account), session, now)
    }

    fn issue_claims(
        &self,
        buyer: BuyerId,
        role: Role,
        account: Option<TokenAccount<'_>>,
        session: Uuid,
        now: Timestamp,
    ) -> String {
        let iat = now.0.div_euclid(1000);
        let exp = iat + self.ttl_ms / 1000;
        let claims = TokenClaims {
            iss: Cow::Borrowed(ISSUER),
            sub: buyer,
            role,
            sid: session,
            iat,
            exp,
            user_id: account.and_then(|account| account.user_id).map(|id| id.to_string()),
            username: account.map(|account| Cow::Borrowed(account.username)),
        };
        let mut token = self.header.clone();
        BASE64.encode_string(serde_json::to_vec(&claims).unwrap_or_default(), &mut token);
        let signature = self.key.sign(token.as_bytes());
        token.push('.');
        BASE64.encode_string(signature.to_bytes(), &mut token);
        self.known.insert(token.as_str().into(), claims.session());
        token
    }

    /// The session of a token that was issued here, is not expired at `now` and not revoked.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Session, TokenError> {
        let session = match self.known.get(token) {
            Some(session) => session,
            None => self.verify_uncached(token)?,
        };
        self.check_session(&session, now)?;
        Ok(session)
    }

    /// Checks a session again at `now`, for connections that outlive the request that carried the token.
    ///
    /// # Errors
    /// Why the token would be refused now.
    pub fn check_session(&self, session: &Session, now: Timestamp) -> Result<(), TokenError> {
        if session.expires_at <= now {
            return Err(TokenError::Expired);
        }
        if self.revoked.contains(session.id) {
            return Err(TokenError::Revoked);
        }
        Ok(())
    }

    /// How many sessions this process has revoked. When the number changes, holders of sessions check theirs again.
    #[must_use]
    pub fn revocation_count(&self) -> u64 {
        self.revocation_count.load(Ordering::Acquire)
    }

    /// Whether a session is revoked, as far as this process knows.
    #[must_use]
    pub fn is_revoked(&self, session: Uuid) -> bool {
        self.revoked.contains(session)
    }

    /// Revokes all tokens of a session, in this process and at once. To outlive a restart it must be in the `sessions` table too.
    pub fn revoke(&self, session: Uuid, revoked_at: Timestamp, now: Timestamp) {
        self.revoked.insert(session, revoked_at.plus_ms(self.longest_ttl_ms() + REVOCATION_MARGIN_MS), now);
        self.revocation_count.fetch_add(1, Ordering::Release);
    }

    /// A secret for another purpose, derived from the signing key, so that there is one secret to keep.
    #[must_use]
    pub fn secret_for(&self, purpose: &str) -> [u8; 32] {
        Sha256::new()
            .chain_update(purpose)
            .chain_update([0])
            .chain_update(self.key.to_bytes())
            .finalize()
            .into()
    }

    /// Forgets revocations of tokens that have expired.
    pub fn forget_expired(&self, now: Timestamp) {
        self.revoked.forget_expired(now);
    }

    /// The public key as a JSON Web Key Set (RFC 7517, RFC 8037).
    #[must_use]
    pub fn jwks(&self) -> serde_json::Value {
        serde_json::json!({"keys": [{
            "kty": "OKP",
            "crv": "Ed25519",
            "use": "sig",
            "alg": "EdDSA",
            "kid": self.kid,
            "x": BASE64.encode(self.public.as_bytes()),
        }]})
    }

    #[cold]
    fn verify_uncached(&self, token: &str) -> Result<Session, TokenError> {
        let session = self.check_signature(token).ok_or(TokenError::NotOurs)?;
        self.known.insert(token.into(), session);
        Ok(session)
    }

    fn check_signature(&self, token: &str) -> Option<Session> {
        if token.len() > TOKEN_LEN_MAX {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let payload = signed.strip_prefix(self.header.as_str())?;
        let signature: [u8; 64] = BASE64.decode(signature).ok()?.try_into().ok()?;
        // Ed25519 is deterministic (RFC 8032), so the signature is made again and compared, in about half the time of a check. It counts
        // when an instance has just started and every token is new to it.
        let expected = self.key.sign(signed.as_bytes()).to_bytes();
        if !bool::from(expected.ct_eq(&signature)) {
            return None;
        }
        let claims = BASE64.decode(payload).ok()?;
        let claims: TokenClaims<'_> = serde_json::from_slice(&claims).ok()?;
        (claims.iss == ISSUER).then(|| claims.session())
    }
}

impl TokenClaims<'_> {
    fn session(&self) -> Session {
        let expires_at = Timestamp(self.exp.saturating_mul(1000));
        Session { buyer: self.sub, role: self.role, id: self.sid, expires_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn tokens(seed: u8) -> AccessTokens {
        AccessTokens::new(SigningKey::from_bytes(&[seed; 32]), 3600, 100)
    }

    fn issue(tokens: &AccessTokens) -> String {
        tokens.issue(BuyerId(Uuid::from_u128(1)), Role::Buyer, Uuid::from_u128(2), NOW)
    }

    #[test]
    fn a_revocation_is_remembered_as_long_as_the_longest_token_lives() {
        let tokens = tokens(1);
        tokens.extend_longest_ttl(86_400_000);
        tokens.extend_longest_ttl(5_000);
        tokens.revoke(Uuid::from_u128(2), NOW, NOW);
        tokens.forget_expired(NOW.plus_ms(86_400_000));
        assert!(tokens.is_revoked(Uuid::from_u128(2)), "a token of a day may still be valid");
        tokens.forget_expired(NOW.plus_ms(86_400_000 + REVOCATION_MARGIN_MS));
        assert!(!tokens.is_revoked(Uuid::from_u128(2)));
    }

    #[test]
    fn a_token_is_valid_until_it_expires_known_or_not() {
        let (issuer, other) = (tokens(1), tokens(1));
        let token = issue(&issuer);
        for tokens in [&issuer, &other, &other] {
            assert_eq!(tokens.verify(&token, NOW).unwrap().buyer, BuyerId(Uuid::from_u128(1)));
            assert_eq!(tokens.verify(&token, NOW.plus_s(3599)), tokens.verify(&token, NOW));
            assert_eq!(tokens.verify(&token, NOW.plus_s(3600)), Err(TokenError::Expired));
        }
    }

    #[test]
    fn the_token_of_an_account_names_it() {
        let tokens = tokens(1);
        let account = TokenAccount { user_id: Some(7), username: "ada" };
        let buyer = BuyerId(Uuid::from_u128(1));
        let token = tokens.issue_for_account(buyer, Role::Buyer, account, Uuid::from_u128(2), NOW);
        let payload = BASE64.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!((&claims["userId"], &claims["username"]), (&"7".into(), &"ada".into()));
        assert_eq!(AccessTokens::new(tokens.key.clone(), 3600, 1).verify(&token, NOW).unwrap().buyer, buyer);
    }

    #[test]
    fn a_token_of_another_key_is_refused() {
        assert_eq!(tokens(1).verify(&issue(&tokens(2)), NOW), Err(TokenError::NotOurs));
    }

    #[test]
    fn the_algorithm_is_not_chosen_by_the_token() {
        let tokens = tokens(1);
        let token = issue(&tokens);
        let (_, rest) = token.split_once('.').unwrap();
        let (payload, _) = rest.split_once('.').unwrap();
        for header in
            [r#"{"alg":"none"}"#, r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"alg":"EdDSA","typ":"JWT"}"#, "", "{"]
        {
            let header = BASE64.encode(header);
            let signature =
                BASE64.encode(tokens.key.sign(format!("{header}.{payload}").as_bytes()).to_bytes());
            for token in [format!("{header}.{payload}."), format!("{header}.{payload}.{signature}")] {
                assert_eq!(tokens.verify(&token, NOW), Err(TokenError::NotOurs), "{token}");
            }
        }
    }

    #[test]
    fn any_changed_character_voids_a_token() {
        let tokens = tokens(1);
        let token = issue(&tokens);
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(tokens.verify(&changed, NOW), Err(TokenError::NotOurs), "at {at}");
        }
    }

    #[test]
    fn garbage_is_refused_and_not_remembered() {
        let tokens = tokens(1);
        let long = "a".repeat(100_000);
        for garbage in ["", ".", "..", "a.b.c", "\u{0}", &tokens.header, &long] {
            assert_eq!(tokens.verify(garbage, NOW), Err(TokenError::NotOurs));
        }
        assert_eq!(tokens.known.len(), 0);
    }

    #[test]
    fn revoking_a_session_voids_its_known_tokens() {
        let tokens = tokens(1);
        let token = issue(&tokens);
        assert_eq!(tokens.revocation_count(), 0);
        tokens.revoke(Uuid::from_u128(2), NOW, NOW);
        assert_eq!(tokens.revocation_count(), 1);
        assert_eq!(tokens.verify(&token, NOW), Err(TokenError::Revoked));
        tokens.forget_expired(NOW.plus_s(3600));
        assert_eq!(tokens.verify(&token, NOW), Err(TokenError::Revoked));
        tokens.forget_expired(NOW.plus_ms(3_600_000 + REVOCATION_MARGIN_MS));
        assert_eq!(tokens.verify(&token, NOW.plus_s(3600)), Err(TokenError::Expired), "it is over by itself");
    }
}
