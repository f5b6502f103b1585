//! The `users` table. It never sees a password: only hashes come here.

use super::changes::{self, ChangeCounter};
use super::{Store, StoreError, StoreTransaction};
use crate::auth::Role;
use sale::id::BuyerId;
use sale::time::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

#[derive(Debug, Clone)]
pub struct UserRow {
    /// The account's id, which is also its buyer id in every sale.
    pub id: BuyerId,
    /// The address, in lower case.
    pub email: String,
    /// The name, as it was given.
    pub username: String,
    /// argon2id, or bcrypt when imported and not seen since.
    pub password_hash: String,
    /// What the account may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Which unique name of a new account another account has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenName {
    Email,
    /// The username, whatever its case.
    Username,
}

pub(super) const STATEMENTS: &[&str] = &[
    INSERT,
    TAKEN,
    FIND,
    FIND_BY_EMAIL,
    FIND_BY_USERNAME,
    SET_PASSWORD_HASH,
    UPGRADE_PASSWORD_HASH,
    SET_ROLE,
    PROMOTE,
    COUNT_ADMINS,
];

const INSERT: &str = "
INSERT INTO users (id, email, username, username_key, password_hash, role, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING
RETURNING id";

const TAKEN: &str = "
SELECT email FROM users WHERE email = $1 OR username_key = $2";

const FIND: &str = "
SELECT id, email, username, password_hash, role, created_at FROM users WHERE id = $1";

const FIND_BY_EMAIL: &str = "
SELECT id, email, username, password_hash, role, created_at FROM users WHERE email = $1";

const FIND_BY_USERNAME: &str = "
SELECT id, email, username, password_hash, role, created_at FROM users WHERE username_key = $1";

const SET_PASSWORD_HASH: &str = "
UPDATE users SET password_hash = $1 WHERE id = $2";

const UPGRADE_PASSWORD_HASH: &str = "
UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3";

const SET_ROLE: &str = "
UPDATE users SET role = $1 WHERE id = $2";

const PROMOTE: &str = "
UPDATE users SET password_hash = $1, role = 'admin' WHERE email = $2
RETURNING id, email, username, password_hash, role, created_at";

const COUNT_ADMINS: &str = "
SELECT COUNT(*) FROM users WHERE role = 'admin'";

/// Adds an account. `Ok(false)` when another has its address or its name; see [`find_taken_name`] for which.
///
/// # Errors
/// When the database fails.
pub async fn insert(writing: &mut StoreTransaction, user: &UserRow) -> Result<bool, StoreError> {
    let inserted = sqlx::query(INSERT)
        .bind(user.id.to_string())
        .bind(user.email.as_str())
        .bind(user.username.as_str())
        .bind(user.username.to_ascii_lowercase())
        .bind(user.password_hash.as_str())
        .bind(user.role.as_str())
        .bind(user.created_at.0)
        .fetch_optional(writing.connection())
        .await?;
    Ok(inserted.is_some())
}

/// Which of the two names is taken, if any; in one query, so that a new account is seen whole or not at all.
///
/// # Errors
/// When the database fails.
pub async fn find_taken_name(
    store: &Store,
    email: &str,
    username: &str,
) -> Result<Option<TakenName>, StoreError> {
    let rows =
        sqlx::query(TAKEN).bind(email).bind(username.to_ascii_lowercase()).fetch_all(store.reader()).await?;
    let mut taken = None;
    for row in rows {
        let other: &str = row.try_get("email")?;
        taken = Some(if other == email { TakenName::Email } else { taken.unwrap_or(TakenName::Username) });
    }
    Ok(taken)
}

/// The account with this id.
///
/// # Errors
/// When the database fails.
pub async fn find(store: &Store, id: BuyerId) -> Result<Option<UserRow>, StoreError> {
    sqlx::query(FIND).bind(id.to_string()).fetch_optional(store.reader()).await?.map(read).transpose()
}

/// The account with this address, in lower case.
///
/// # Errors
/// When the database fails.
pub async fn find_by_email(store: &Store, email: &str) -> Result<Option<UserRow>, StoreError> {
    sqlx::query(FIND_BY_EMAIL).bind(email).fetch_optional(store.reader()).await?.map(read).transpose()
}

/// The account with this name, in any case.
///
/// # Errors
/// When the database fails.
pub async fn find_by_username(store: &Store, username: &str) -> Result<Option<UserRow>, StoreError> {
    let key = username.to_ascii_lowercase();
    sqlx::query(FIND_BY_USERNAME).bind(key).fetch_optional(store.reader()).await?.map(read).transpose()
}

/// Gives the account another password.
///
/// # Errors
/// When the database fails.
pub async fn set_password_hash(store: &Store, id: BuyerId, hash: &str) -> Result<(), StoreError> {
    sqlx::query(SET_PASSWORD_HASH).bind(hash).bind(id.to_string()).execute(store.writer()).await?;
    Ok(())
}

/// Replaces the hash `old` of the same password by a better one; does nothing when the password was changed meanwhile.
///
/// # Errors
/// When the database fails.
pub async fn upgrade_password_hash(
    store: &Store,
    id: BuyerId,
    old: &str,
    new: &str,
) -> Result<(), StoreError> {
    sqlx::query(UPGRADE_PASSWORD_HASH)
        .bind(new)
        .bind(id.to_string())
        .bind(old)
        .execute(store.writer())
        .await?;
    Ok(())
}

/// Gives the account another role.
///
/// # Errors
/// When the database fails.
pub async fn set_role(store: &Store, id: BuyerId, role: Role) -> Result<(), StoreError> {
    sqlx::query(SET_ROLE).bind(role.as_str()).bind(id.to_string()).execute(store.writer()).await?;
    Ok(())
}

/// Makes the account with this address an admin, with another password. `Ok(None)` when there is none.
///
/// # Errors
/// When the database fails.
pub async fn promote_to_admin(
    writing: &mut StoreTransaction,
    email: &str,
    hash: &str,
) -> Result<Option<UserRow>, StoreError> {
    sqlx::query(PROMOTE)
        .bind(hash)
        .bind(email)
        .fetch_optional(writing.connection())
        .await?
        .map(read)
        .transpose()
}

/// Whether there is an admin. Until the transaction ends, other processes that would make the first one wait.
///
/// # Errors
/// When the database fails.
pub async fn has_admin_locked(writing: &mut StoreTransaction) -> Result<bool, StoreError> {
    changes::increment(writing, ChangeCounter::Admins).await?;
    let admins: i64 = sqlx::query_scalar(COUNT_ADMINS).fetch_one(writing.connection()).await?;
    Ok(admins > 0)
}

/// Whether anyone is an admin.
///
/// # Errors
/// When the database fails.
pub async fn has_admin(store: &Store) -> Result<bool, StoreError> {
    let admins: i64 = sqlx::query_scalar(COUNT_ADMINS).fetch_one(store.reader()).await?;
    Ok(admins > 0)
}

fn read(row: AnyRow) -> Result<UserRow, StoreError> {
    let id: String = row.try_get("id")?;
    let role: String = row.try_get("role")?;
    let damaged = |reason| StoreError::Damaged { table: "users", id: id.clone(), reason };
    Ok(UserRow {
        id: id.parse().map_err(|_| damaged("its id is not a UUID"))?,
        email: row.try_get("email")?,
        username: row.try_get("username")?,
        password_hash: row.try_get("password_hash")?,
        role: role.parse().map_err(|_| damaged("its role is unknown"))?,
        created_at: Timestamp(row.try_get("created_at")?),
    })
}
