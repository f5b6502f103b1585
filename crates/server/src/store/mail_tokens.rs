//! The `mail_tokens` table: links and codes that were mailed to an address, each usable once. It never holds one of them, only a digest.

use super::{Store, StoreError, StoreTransaction};
use sale::Timestamp;
use sqlx::Row;
use uuid::Uuid;

/// A token that is about to be mailed.
#[derive(Clone, Debug)]
pub struct NewMailToken<'a> {
    pub id: Uuid,
    pub purpose: &'static str,
    /// The address that gets it, in lower case.
    pub email: &'a str,
    pub digest: &'a str,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

pub(super) const STATEMENTS: &[&str] = &[INSERT, FIND, USE, USE_ALL, COUNT_TRY, USE_ONE, DELETE_EXPIRED];

const INSERT: &str = "
INSERT INTO mail_tokens (id, purpose, email, digest, created_at, expires_at, used_at, wrong_tries)
VALUES ($1, $2, $3, $4, $5, $6, NULL, 0)";

const FIND: &str = "
SELECT email FROM mail_tokens WHERE digest = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3";

const USE: &str = "
UPDATE mail_tokens SET used_at = $3
WHERE digest = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3
RETURNING email";

const USE_ALL: &str = "
UPDATE mail_tokens SET used_at = $3
WHERE email = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3";

// Counted before the code is compared, so that many tries at once get no more than one after the other.
const COUNT_TRY: &str = "
UPDATE mail_tokens SET wrong_tries = wrong_tries + 1
WHERE email = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3 AND wrong_tries < $4
RETURNING id, digest";

const USE_ONE: &str = "
UPDATE mail_tokens SET used_at = $2 WHERE id = $1 AND used_at IS NULL RETURNING id";

const DELETE_EXPIRED: &str = "
DELETE FROM mail_tokens WHERE id IN (
    SELECT id FROM mail_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2
)";

/// Adds a token.
///
/// # Errors
/// When the database fails.
pub async fn insert(writing: &mut StoreTransaction, token: &NewMailToken<'_>) -> Result<(), StoreError> {
    sqlx::query(INSERT)
        .bind(token.id.to_string())
        .bind(token.purpose)
        .bind(token.email)
        .bind(token.digest)
        .bind(token.created_at.0)
        .bind(token.expires_at.0)
        .execute(writing.connection())
        .await?;
    Ok(())
}

/// The address that a token was mailed to, if it can be used at `now`.
///
/// # Errors
/// When the database fails.
pub async fn find(
    store: &Store,
    (digest, purpose): (&str, &str),
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let query = sqlx::query_scalar(FIND).bind(digest).bind(purpose).bind(now.0);
    Ok(query.fetch_optional(store.reader()).await?)
}

/// Uses a token. Returns the address that it was mailed to; `None` when it is unknown, used or late.
///
/// # Errors
/// When the database fails.
pub async fn use_token(
    writing: &mut StoreTransaction,
    (digest, purpose): (&str, &str),
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let query = sqlx::query_scalar(USE).bind(digest).bind(purpose).bind(now.0);
    Ok(query.fetch_optional(writing.connection()).await?)
}

/// Uses up all tokens of an address for a purpose.
///
/// # Errors
/// When the database fails.
pub async fn use_all(
    writing: &mut StoreTransaction,
    (email, purpose): (&str, &str),
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(USE_ALL).bind(email).bind(purpose).bind(now.0).execute(writing.connection()).await?;
    Ok(())
}

/// Counts a try of a code for an address. Returns the ids and digests of the codes that may still be tried.
///
/// # Errors
/// When the database fails.
pub async fn count_try(
    writing: &mut StoreTransaction,
    (email, purpose): (&str, &str),
    now: Timestamp,
    tries_max: u32,
) -> Result<Vec<(String, String)>, StoreError> {
    let query = sqlx::query(COUNT_TRY).bind(email).bind(purpose).bind(now.0).bind(i64::from(tries_max));
    let rows = query.fetch_all(writing.connection()).await?;
    rows.iter().map(|row| Ok((row.try_get("id")?, row.try_get("digest")?))).collect()
}

/// Uses the code with this id. `Ok(false)` when it was used meanwhile.
///
/// # Errors
/// When the database fails.
pub async fn use_code(writing: &mut StoreTransaction, id: &str, now: Timestamp) -> Result<bool, StoreError> {
    let query = sqlx::query(USE_ONE).bind(id).bind(now.0);
    Ok(query.fetch_optional(writing.connection()).await?.is_some())
}

/// Deletes up to `limit` tokens that had expired at `before`.
///
/// # Errors
/// When the database fails.
pub async fn delete_expired(store: &Store, before: Timestamp, limit: u32) -> Result<(), StoreError> {
    sqlx::query(DELETE_EXPIRED).bind(before.0).bind(i64::from(limit)).execute(store.writer()).await?;
    Ok(())
}
