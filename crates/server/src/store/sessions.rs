//! The `sessions` and `refresh_tokens` tables. A session is a family of refresh tokens, each used once; it never holds a
//! token itself, only its SHA-256.

use super::changes::{self, ChangeCounter};
use super::{Store, StoreError, StoreTransaction};
use sale::id::BuyerId;
use sale::time::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;
use uuid::Uuid;

pub(super) const STATEMENTS: &[&str] = &[
    INSERT_SESSION,
    INSERT_TOKEN,
    USE_TOKEN,
    FIND_TOKEN,
    FIND_SESSION,
    REVOKE,
    REVOKED_SINCE,
    REVOKED_AFTER,
    DELETE_EXPIRED,
];

const INSERT_SESSION: &str = "
INSERT INTO sessions (id, user_id, created_at, expires_at, revoked_at) VALUES ($1, $2, $3, $4, NULL)";

const INSERT_TOKEN: &str = "
INSERT INTO refresh_tokens (token_hash, session_id, created_at, expires_at, used_at) VALUES ($1, $2, $3, $4, NULL)";

const USE_TOKEN: &str = "
UPDATE refresh_tokens SET used_at = $1 WHERE token_hash = $2 AND used_at IS NULL RETURNING session_id, expires_at";

const FIND_TOKEN: &str = "
SELECT session_id FROM refresh_tokens WHERE token_hash = $1";

const FIND_SESSION: &str = "
SELECT user_id FROM sessions WHERE id = $1 AND revoked_at IS NULL";

const REVOKE: &str = "
UPDATE sessions SET revoked_at = $1, revoked_as = $2 WHERE id = $3 AND revoked_at IS NULL";

const REVOKED_SINCE: &str = "
SELECT id, revoked_at FROM sessions WHERE revoked_at > $1 ORDER BY revoked_at DESC LIMIT $2";

const REVOKED_AFTER: &str = "
SELECT id, revoked_at, revoked_as FROM sessions WHERE revoked_as > $1 ORDER BY revoked_as LIMIT $2";

const DELETE_EXPIRED: &str = "
DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1 LIMIT $2)";

/// A new session, or the next token of one.
#[derive(Debug)]
pub struct NewRefreshToken<'a> {
    pub session: Uuid,
    /// SHA-256 of the token, in hexadecimal digits.
    pub hash: &'a str,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it can be used.
    pub expires_at: Timestamp,
}

/// What became of an attempt to use a refresh token.
#[derive(Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// It was unused and is used now.
    Fresh {
        session: Uuid,
        /// Whose session it is.
        user: BuyerId,
    },
    /// It was used before: someone has a copy.
    Reused { session: Uuid },
    /// Unknown, expired, or its session was revoked.
    Invalid,
}

/// Begins a session with its first refresh token.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    writing: &mut StoreTransaction,
    user: BuyerId,
    token: &NewRefreshToken<'_>,
) -> Result<(), StoreError> {
    sqlx::query(INSERT_SESSION)
        .bind(token.session.to_string())
        .bind(user.to_string())
        .bind(token.created_at.0)
        .bind(token.expires_at.0)
        .execute(writing.connection())
        .await?;
    insert_token(writing, token).await
}

/// Adds the next refresh token of a session.
///
/// # Errors
/// When the database fails.
pub async fn insert_token(
    writing: &mut StoreTransaction,
    token: &NewRefreshToken<'_>,
) -> Result<(), StoreError> {
    sqlx::query(INSERT_TOKEN)
        .bind(token.hash)
        .bind(token.session.to_string())
        .bind(token.created_at.0)
        .bind(token.expires_at.0)
        .execute(writing.connection())
        .await?;
    Ok(())
}

/// Marks a refresh token as used. Only one of many callers gets [`TokenUse::Fresh`].
///
/// # Errors
/// When the database fails.
pub async fn use_token(
    writing: &mut StoreTransaction,
    hash: &str,
    now: Timestamp,
) -> Result<TokenUse, StoreError> {
    let used = sqlx::query(USE_TOKEN).bind(now.0).bind(hash).fetch_optional(writing.connection()).await?;
    let Some(row) = used else {
        let known = sqlx::query(FIND_TOKEN).bind(hash).fetch_optional(writing.connection()).await?;
        return Ok(match known {
            Some(row) => TokenUse::Reused { session: read_uuid(&row, "session_id")? },
            None => TokenUse::Invalid,
        });
    };
    let session = read_uuid(&row, "session_id")?;
    let expires_at: i64 = row.try_get("expires_at")?;
    if expires_at <= now.0 {
        return Ok(TokenUse::Invalid);
    }
    let owner =
        sqlx::query(FIND_SESSION).bind(session.to_string()).fetch_optional(writing.connection()).await?;
    Ok(match owner {
        Some(row) => TokenUse::Fresh { session, user: BuyerId(read_uuid(&row, "user_id")?) },
        None => TokenUse::Invalid,
    })
}

/// Ends a session: none of its refresh tokens works any more.
///
/// # Errors
/// When the database fails.
pub async fn revoke(writing: &mut StoreTransaction, session: Uuid, now: Timestamp) -> Result<(), StoreError> {
    let number = changes::increment(writing, ChangeCounter::Sessions).await?;
    sqlx::query(REVOKE)
        .bind(now.0)
        .bind(number)
        .bind(session.to_string())
        .execute(writing.connection())
        .await?;
    Ok(())
}

/// The sessions revoked after `since`, with the moment, the latest first, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn list_revoked_since(
    store: &Store,
    since: Timestamp,
    limit: u32,
) -> Result<Vec<(Uuid, Timestamp)>, StoreError> {
    let rows =
        sqlx::query(REVOKED_SINCE).bind(since.0).bind(i64::from(limit)).fetch_all(store.reader()).await?;
    rows.iter().map(|row| Ok((read_uuid(row, "id")?, Timestamp(row.try_get("revoked_at")?)))).collect()
}

/// Up to `limit` sessions that were revoked after the one with this number, each with its number and moment, in the order of
/// revocation.
///
/// # Errors
/// When the database fails.
pub async fn list_revoked_after(
    store: &Store,
    number: i64,
    limit: u32,
) -> Result<Vec<(Uuid, Timestamp, i64)>, StoreError> {
    let rows =
        sqlx::query(REVOKED_AFTER).bind(number).bind(i64::from(limit)).fetch_all(store.reader()).await?;
    let read = |row: &AnyRow| {
        Ok((read_uuid(row, "id")?, Timestamp(row.try_get("revoked_at")?), row.try_get("revoked_as")?))
    };
    rows.iter().map(read).collect()
}

/// Forgets at most `limit` sessions that ended before `now`, with their tokens. Returns how many.
///
/// # Errors
/// When the database fails.
pub async fn delete_expired(store: &Store, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let done = sqlx::query(DELETE_EXPIRED).bind(now.0).bind(i64::from(limit)).execute(store.writer()).await?;
    Ok(done.rows_affected())
}

fn read_uuid(row: &AnyRow, column: &'static str) -> Result<Uuid, StoreError> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|_| StoreError::Damaged {
        table: "sessions",
        id: text,
        reason: "an id is not a UUID",
    })
}
