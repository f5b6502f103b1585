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
    IS_UNUSED,
    EXTEND,
    REVOKE,
    REVOKE_ALL,
    INSERT_REVOKED,
    FIND_ROLE,
    COUNT_OPEN,
    REVOKED_SINCE,
    REVOKED_AFTER,
    DELETE_EXPIRED,
    DELETE_EXPIRED_TOKENS,
];

const INSERT_SESSION: &str = "
INSERT INTO sessions (id, user_id, created_at, expires_at, revoked_at) VALUES ($1, $2, $3, $4, NULL)";

const INSERT_TOKEN: &str = "
INSERT INTO refresh_tokens (token_hash, session_id, created_at, expires_at, used_at) VALUES ($1, $2, $3, $4, NULL)";

const USE_TOKEN: &str = "
UPDATE refresh_tokens SET used_at = $1
WHERE token_hash = $2 AND used_at IS NULL AND expires_at > $1
RETURNING session_id";

const FIND_TOKEN: &str = "
SELECT session_id, used_at FROM refresh_tokens WHERE token_hash = $1 AND used_at IS NOT NULL AND expires_at > $2";

const IS_UNUSED: &str = "
SELECT COUNT(*) FROM refresh_tokens
WHERE token_hash = $1 AND session_id = $2 AND used_at IS NULL AND expires_at > $3";

const EXTEND: &str = "
UPDATE sessions SET expires_at = CASE WHEN expires_at < $1 THEN $1 ELSE expires_at END
WHERE id = $2 AND revoked_at IS NULL
RETURNING user_id";

const REVOKE: &str = "
UPDATE sessions SET revoked_at = $1, revoked_as = $2 WHERE id = $3 AND revoked_at IS NULL RETURNING id";

const REVOKE_ALL: &str = "
UPDATE sessions SET revoked_at = $1, revoked_as = $2 WHERE user_id = $3 AND revoked_at IS NULL
RETURNING id";

// A session that a restored copy of the tables does not know.
const INSERT_REVOKED: &str = "
INSERT INTO sessions (id, user_id, created_at, expires_at, revoked_at, revoked_as)
SELECT $1, id, $2, $3, $2, $4 FROM users WHERE id = $5
ON CONFLICT (id) DO NOTHING";

const FIND_ROLE: &str = "
SELECT users.role AS role FROM sessions JOIN users ON users.id = sessions.user_id
WHERE sessions.id = $1 AND sessions.user_id = $2 AND sessions.revoked_at IS NULL";

const COUNT_OPEN: &str = "
SELECT COUNT(*) FROM sessions WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2";

const REVOKED_SINCE: &str = "
SELECT id, revoked_at FROM sessions WHERE revoked_at > $1 ORDER BY revoked_at DESC LIMIT $2";

// Sessions that were ended together have one number.
const REVOKED_AFTER: &str = "
SELECT id, revoked_at, revoked_as FROM sessions
WHERE revoked_as >= $1 AND (revoked_as > $1 OR id > $2)
ORDER BY revoked_as, id LIMIT $3";

const DELETE_EXPIRED: &str = "
DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1 LIMIT $2)";

const DELETE_EXPIRED_TOKENS: &str = "
DELETE FROM refresh_tokens
WHERE token_hash IN (SELECT token_hash FROM refresh_tokens WHERE expires_at < $1 LIMIT $2)";

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
    Fresh { session: Uuid },
    /// It was used before: its reply was lost, or someone has a copy.
    Reused { session: Uuid, used_at: Timestamp },
    /// Unknown or expired.
    Invalid,
}

/// The place of a revocation in the order in which sessions were ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationCursor {
    /// The number of the change that ended the session.
    number: i64,
    /// The session's id as the table writes it; after every id at the start.
    session: String,
}

impl RevocationCursor {
    /// Behind all sessions that the change with this number ended.
    #[must_use]
    pub fn after_change(number: i64) -> Self {
        // An id is hexadecimal digits and hyphens, which sort before it in every collation.
        Self { number, session: "g".to_owned() }
    }
}

/// A session that was ended.
#[derive(Debug, Clone)]
pub struct RevokedSession {
    pub session: Uuid,
    pub revoked_at: Timestamp,
    /// Where the next ones begin.
    pub cursor: RevocationCursor,
}

/// Begins a session with its first refresh token. The session is kept until `lives_until`.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    writing: &mut StoreTransaction,
    user: BuyerId,
    token: &NewRefreshToken<'_>,
    lives_until: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(INSERT_SESSION)
        .bind(token.session.to_string())
        .bind(user.to_string())
        .bind(token.created_at.0)
        .bind(lives_until.0)
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
    if let Some(row) = used {
        return Ok(TokenUse::Fresh { session: read_uuid(&row, "session_id")? });
    }
    let known = sqlx::query(FIND_TOKEN).bind(hash).bind(now.0).fetch_optional(writing.connection()).await?;
    let Some(row) = known else { return Ok(TokenUse::Invalid) };
    let used_at = Timestamp(row.try_get("used_at")?);
    Ok(TokenUse::Reused { session: read_uuid(&row, "session_id")?, used_at })
}

/// Whether this refresh token belongs to the session and can still be used.
///
/// # Errors
/// When the database fails.
pub async fn is_unused(
    writing: &mut StoreTransaction,
    hash: &str,
    session: Uuid,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let query = sqlx::query_scalar(IS_UNUSED).bind(hash).bind(session.to_string()).bind(now.0);
    let count: i64 = query.fetch_one(writing.connection()).await?;
    Ok(count > 0)
}

/// Keeps a session at least until `until`, and returns whose it is; `None` when it has ended. Until the transaction ends, another
/// that would end the session waits.
///
/// # Errors
/// When the database fails.
pub async fn extend(
    writing: &mut StoreTransaction,
    session: Uuid,
    until: Timestamp,
) -> Result<Option<BuyerId>, StoreError> {
    let query = sqlx::query(EXTEND).bind(until.0).bind(session.to_string());
    let owner = query.fetch_optional(writing.connection()).await?;
    owner.map(|row| read_uuid(&row, "user_id").map(BuyerId)).transpose()
}

/// Ends a session: none of its refresh tokens works any more. False when it had ended before.
///
/// # Errors
/// When the database fails.
pub async fn revoke(
    writing: &mut StoreTransaction,
    session: Uuid,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let number = changes::increment(writing, ChangeCounter::Sessions).await?;
    let revoked = sqlx::query(REVOKE)
        .bind(now.0)
        .bind(number)
        .bind(session.to_string())
        .fetch_optional(writing.connection())
        .await?;
    Ok(revoked.is_some())
}

/// Ends a session that the tables may not know, because they are an older copy: an account's own wish to end it must not be lost. The
/// session is kept until `lives_until`.
///
/// # Errors
/// When the database fails.
pub async fn revoke_known_or_not(
    writing: &mut StoreTransaction,
    (session, user): (Uuid, BuyerId),
    now: Timestamp,
    lives_until: Timestamp,
) -> Result<(), StoreError> {
    if revoke(writing, session, now).await? {
        return Ok(());
    }
    let number = changes::increment(writing, ChangeCounter::Sessions).await?;
    sqlx::query(INSERT_REVOKED)
        .bind(session.to_string())
        .bind(now.0)
        .bind(lives_until.0)
        .bind(number)
        .bind(user.to_string())
        .execute(writing.connection())
        .await?;
    Ok(())
}

/// The role of a session's account now; `None` when the session has ended or is unknown.
///
/// # Errors
/// When the database fails.
pub async fn find_role(store: &Store, session: Uuid, user: BuyerId) -> Result<Option<String>, StoreError> {
    let query = sqlx::query_scalar(FIND_ROLE).bind(session.to_string()).bind(user.to_string());
    Ok(query.fetch_optional(store.reader()).await?)
}

/// Ends every session of an account, and returns which.
///
/// # Errors
/// When the database fails.
pub async fn revoke_all(
    writing: &mut StoreTransaction,
    user: BuyerId,
    now: Timestamp,
) -> Result<Vec<Uuid>, StoreError> {
    let number = changes::increment(writing, ChangeCounter::Sessions).await?;
    let rows = sqlx::query(REVOKE_ALL)
        .bind(now.0)
        .bind(number)
        .bind(user.to_string())
        .fetch_all(writing.connection())
        .await?;
    rows.iter().map(|row| read_uuid(row, "id")).collect()
}

/// The account's sessions that go on.
///
/// # Errors
/// When the database fails.
pub async fn count_open(store: &Store, user: BuyerId, now: Timestamp) -> Result<u64, StoreError> {
    let query = sqlx::query_scalar(COUNT_OPEN).bind(user.to_string()).bind(now.0);
    let count: i64 = query.fetch_one(store.reader()).await?;
    Ok(u64::try_from(count).unwrap_or(0))
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

/// Up to `limit` sessions that were ended behind `cursor`, in the order in which they were ended.
///
/// # Errors
/// When the database fails.
pub async fn list_revoked_after(
    store: &Store,
    cursor: &RevocationCursor,
    limit: u32,
) -> Result<Vec<RevokedSession>, StoreError> {
    let rows = sqlx::query(REVOKED_AFTER)
        .bind(cursor.number)
        .bind(cursor.session.as_str())
        .bind(i64::from(limit))
        .fetch_all(store.reader())
        .await?;
    let read = |row: &AnyRow| {
        let session = read_uuid(row, "id")?;
        let cursor = RevocationCursor { number: row.try_get("revoked_as")?, session: session.to_string() };
        Ok(RevokedSession { session, revoked_at: Timestamp(row.try_get("revoked_at")?), cursor })
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

/// Forgets at most `limit` refresh tokens that expired before `now`, of sessions that go on. Returns how many.
///
/// # Errors
/// When the database fails.
pub async fn delete_expired_tokens(store: &Store, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let query = sqlx::query(DELETE_EXPIRED_TOKENS).bind(now.0).bind(i64::from(limit));
    Ok(query.execute(store.writer()).await?.rows_affected())
}

fn read_uuid(row: &AnyRow, column: &'static str) -> Result<Uuid, StoreError> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|_| StoreError::Damaged {
        table: "sessions",
        id: text,
        reason: "an id is not a UUID",
    })
}
