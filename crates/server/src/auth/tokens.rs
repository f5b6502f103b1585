//! Access tokens: JWTs signed with Ed25519, checked once and then known. It never asks the time and never reads a table.
//!
//! Why not a JWT library: a token is ours or it is nothing, so its header is compared as text with the one we write. The
//! algorithm is never chosen by the token (`none`, HS256 with the public key and foreign `kid`s end there), and the time is
//! an argument. Checking a signature costs some 20 µs, finding a known token 0.06 µs (design §6): hence the cache.

use super::revocation::RevokedSessions;
use super::{Role, Session};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use ed25519_dalek::{Signer, VerifyingKey};
use quick_cache::sync::Cache;
use sale::id::BuyerId;
use sale::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use subtle::ConstantTimeEq;
use uuid::Uuid;

pub use ed25519_dalek::SigningKey;

/// Who signs our tokens.
const ISSUER: &str = "doorbuster";

/// Tokens longer than this are not ours: ours have some 400 characters.
const TOKEN_LEN_MAX: usize = 1024;

/// Issues and checks access tokens.
#[derive(Debug)]
pub struct AccessTokens {
    key: SigningKey,
    public: VerifyingKey,
    kid: String,
    /// The first part of every token of ours, with its dot.
    header: String,
    ttl_ms: i64,
    known: Cache<Box<str>, Session>,
    revoked: RevokedSessions,
    revocation_count: AtomicU64,
}

/// Why a token is refused. The caller is told the same for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of ours: broken, another algorithm, another key, or changed after it was signed.
    #[error("the access token is not valid")]
    NotOurs,
    /// It was ours, and its time is over.
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

    /// A new token; it is known from now on.
    #[must_use]
    pub fn issue(&self, buyer: BuyerId, role: Role, session: Uuid, now: Timestamp) -> String {
        let iat = now.0.div_euclid(1000);
        let exp = iat + self.ttl_ms / 1000;
        let claims = TokenClaims { iss: Cow::Borrowed(ISSUER), sub: buyer, role, sid: session, iat, exp };
        let mut token = self.header.clone();
        BASE64.encode_string(serde_json::to_vec(&claims).unwrap_or_default(), &mut token);
        let signature = self.key.sign(token.as_bytes());
        token.push('.');
        BASE64.encode_string(signature.to_bytes(), &mut token);
        self.known.insert(token.as_str().into(), claims.session());
        token
    }

    /// What a token says, if it is ours, not expired at `now` and not revoked.
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

    /// Whether what a token said when it was checked still holds at `now`: for those who go on after the request in which it
    /// was shown, and need not keep the token for that.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check_session(&self, session: &Session, now: Timestamp) -> Result<(), TokenError> {
        if session.expires_at <= now {
            return Err(TokenError::Expired);
        }
        if self.revoked.contains(session.id) {
            return Err(TokenError::Revoked);
        }
        Ok(())
    }

    /// How many sessions were ended here so far. Whoever finds the number changed looks again at those it knows.
    #[must_use]
    pub fn revocation_count(&self) -> u64 {
        self.revocation_count.load(Ordering::Acquire)
    }

    /// Whether a session was ended, as far as it is known here.
    #[must_use]
    pub fn is_revoked(&self, session: Uuid) -> bool {
        self.revoked.contains(session)
    }

    /// Voids all tokens of a session, here and at once. To outlive a restart it must be in the `sessions` table too.
    pub fn revoke(&self, session: Uuid, revoked_at: Timestamp, now: Timestamp) {
        self.revoked.insert(session, revoked_at.plus_ms(self.ttl_ms), now);
        self.revocation_count.fetch_add(1, Ordering::Release);
    }

    /// A secret of this shop for another purpose, derived from the signing key: whoever has the one key has all of them, and
    /// there is one file to keep.
    #[must_use]
    pub fn secret_for(&self, purpose: &str) -> [u8; 32] {
        Sha256::new()
            .chain_update(purpose)
            .chain_update([0])
            .chain_update(self.key.to_bytes())
            .finalize()
            .into()
    }

    /// Forgets revocations that no longer matter.
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
        // Ed25519 gives the same signature each time (RFC 8032), so whoever has the key can sign again and compare, in about half
        // the time that checking takes: it counts when an instance has just started and a whole crowd asks.
        let due = self.key.sign(signed.as_bytes()).to_bytes();
        if !bool::from(due.ct_eq(&signature)) {
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

/// The signing key cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the token key {} cannot be read or written", .path.display())]
    File {
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("{} is not an Ed25519 private key in PKCS#8 PEM", .path.display())]
    NotAKey { path: PathBuf },
    /// The key cannot be written as text.
    #[error("the token key cannot be written as text")]
    NotEncodable,
    /// The machine has no randomness to make a key from.
    #[error("the machine gives no random bytes")]
    Random(#[from] getrandom::Error),
}

/// Reads the key in `path` (PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes it).
///
/// # Errors
/// When there is no such key.
pub fn read_key(path: &Path) -> Result<SigningKey, KeyError> {
    let pem =
        std::fs::read_to_string(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
    parse_key(&pem).ok_or(KeyError::NotAKey { path: path.to_owned() })
}

/// The key that a text is (PKCS#8 PEM), if it is one. Empty lines around it, as a program adds that prints it, are no harm.
#[must_use]
pub fn parse_key(pem: &str) -> Option<SigningKey> {
    SigningKey::from_pkcs8_pem(pem.trim()).ok()
}

/// A key as text: PKCS#8 PEM. Whoever reads it can sign.
///
/// # Errors
/// Never for a key that was made here.
pub fn key_to_pem(key: &SigningKey) -> Result<String, KeyError> {
    Ok(key.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::NotEncodable)?.to_string())
}

/// Reads the key in `path`, or makes one there that only this user can read (0600), if there is none.
///
/// # Errors
/// When there is a file that is no key, or none can be made.
pub fn read_or_create_key(path: &Path) -> Result<SigningKey, KeyError> {
    if path.exists() {
        return read_key(path);
    }
    let key = generate_key()?;
    let pem = key_to_pem(&key)?;
    match write_private(path, pem.as_bytes()) {
        Ok(()) => Ok(key),
        // Another process was first: its key counts.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => read_key(path),
        Err(source) => Err(KeyError::File { path: path.to_owned(), source }),
    }
}

/// A new key, kept nowhere.
///
/// # Errors
/// When the system gives no random bits.
pub fn generate_key() -> Result<SigningKey, KeyError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(SigningKey::from_bytes(&seed))
}

/// Writes to a file beside and links it into place, so that a crash leaves a whole key or none, and never replaces one.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&beside, path);
    std::fs::remove_file(&beside)?;
    linked?;
    path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
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
    fn a_key_is_read_from_what_a_program_printed() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let pem = key_to_pem(&key).unwrap();
        let read = parse_key(&format!("\n{}\n\n", pem.trim_end()));
        assert_eq!(read.map(|read| read.to_bytes()), Some(key.to_bytes()));
        assert!(parse_key("no key").is_none());
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
        tokens.forget_expired(NOW.plus_s(3599));
        assert_eq!(tokens.verify(&token, NOW), Err(TokenError::Revoked));
    }

    #[test]
    fn the_key_file_is_private_made_once_and_read_back() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token-key.pem");
        let made = read_or_create_key(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_or_create_key(&path).unwrap().to_bytes(), made.to_bytes());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        std::fs::write(&path, "not a key").unwrap();
        assert!(matches!(read_or_create_key(&path), Err(KeyError::NotAKey { .. })));
    }
}
