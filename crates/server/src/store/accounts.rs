//! The `users` table, and `known_networks`, from which accounts have signed in. It never sees a password or an address: only hashes come
//! here.

use super::changes::{self, ChangeCounter};
use super::integer_ids::{self, IntegerIdKind};
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
    /// When its address, name, role or password last changed.
    pub updated_at: Timestamp,
    /// How often all its sessions were ended.
    pub session_epoch: i64,
    /// Its integer id, which [`insert`] gives. `None` for a row of an older version or of an import, until the next start.
    pub integer_id: Option<i64>,
    /// The name of the person, if the account has one.
    pub full_name: Option<String>,
    /// The code of the language in which its owner reads the shop.
    pub language: String,
}

/// Where an admin gets mails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminAddress {
    /// In lower case.
    pub email: String,
    /// The code of the admin's language.
    pub language: String,
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
    BEGIN_SESSION_EPOCH,
    LOCK_SESSION_EPOCH,
    PROMOTE,
    COUNT_ADMINS,
    NETWORK_SEEN_AT,
    REMEMBER_NETWORK,
    TRIM_NETWORKS,
    DELETE_OLD_NETWORKS,
    CONFIRM_EMAIL,
    IS_EMAIL_CONFIRMED,
    LIST_ADMIN_ADDRESSES,
];

const INSERT: &str = "
INSERT INTO users
    (id, email, username, username_key, password_hash, role, created_at, updated_at, full_name, integer_id, language)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT DO NOTHING
RETURNING id";

const TAKEN: &str = "
SELECT email FROM users WHERE email = $1 OR username_key = $2";

const FIND: &str = "
SELECT id, email, username, password_hash, role, created_at, updated_at, session_epoch, integer_id, full_name, language
FROM users WHERE id = $1";

const FIND_BY_EMAIL: &str = "
SELECT id, email, username, password_hash, role, created_at, updated_at, session_epoch, integer_id, full_name, language
FROM users WHERE email = $1";

const FIND_BY_USERNAME: &str = "
SELECT id, email, username, password_hash, role, created_at, updated_at, session_epoch, integer_id, full_name, language
FROM users WHERE username_key = $1";

const SET_PASSWORD_HASH: &str = "
UPDATE users SET password_hash = $1, updated_at = $2 WHERE id = $3";

const UPGRADE_PASSWORD_HASH: &str = "
UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3";

const SET_ROLE: &str = "
UPDATE users SET role = $1, updated_at = $2 WHERE id = $3";

const BEGIN_SESSION_EPOCH: &str = "
UPDATE users SET session_epoch = session_epoch + 1 WHERE id = $1 RETURNING session_epoch";

// Writes what is there already: the row is locked until the transaction ends.
const LOCK_SESSION_EPOCH: &str = "
UPDATE users SET session_epoch = session_epoch WHERE id = $1 AND session_epoch = $2 RETURNING id";

const PROMOTE: &str = "
UPDATE users SET password_hash = $1, role = 'admin', updated_at = $2 WHERE email = $3
RETURNING id, email, username, password_hash, role, created_at, updated_at, session_epoch, integer_id, full_name, language";

const COUNT_ADMINS: &str = "
SELECT COUNT(*) FROM users WHERE role = 'admin'";

const NETWORK_SEEN_AT: &str = "
SELECT seen_at FROM known_networks WHERE user_id = $1 AND network_digest = $2";

const REMEMBER_NETWORK: &str = "
INSERT INTO known_networks (user_id, network_digest, seen_at) VALUES ($1, $2, $3)
ON CONFLICT (user_id, network_digest) DO UPDATE SET seen_at = excluded.seen_at";

const TRIM_NETWORKS: &str = "
DELETE FROM known_networks WHERE user_id = $1 AND network_digest NOT IN (
    SELECT network_digest FROM known_networks WHERE user_id = $1 ORDER BY seen_at DESC, network_digest LIMIT $2
)";

const DELETE_OLD_NETWORKS: &str = "
DELETE FROM known_networks WHERE seen_at < $1";

const CONFIRM_EMAIL: &str = "
UPDATE users SET email_confirmed_at = COALESCE(email_confirmed_at, $1) WHERE email = $2 RETURNING id";

const IS_EMAIL_CONFIRMED: &str = "
SELECT COUNT(*) FROM users WHERE id = $1 AND email_confirmed_at IS NOT NULL";

const LIST_ADMIN_ADDRESSES: &str = "
SELECT email, language FROM users WHERE role = 'admin' ORDER BY created_at, id LIMIT $1";

/// The addresses of up to `limit` admins, the oldest accounts first.
///
/// # Errors
/// When the database fails.
pub async fn list_admin_addresses(store: &Store, limit: u32) -> Result<Vec<AdminAddress>, StoreError> {
    let rows = sqlx::query(LIST_ADMIN_ADDRESSES).bind(i64::from(limit)).fetch_all(store.reader()).await?;
    let read =
        |row: &AnyRow| Ok(AdminAddress { email: row.try_get("email")?, language: row.try_get("language")? });
    rows.iter().map(read).collect()
}

/// Notes that the owner of the account with this address reads its mails. `Ok(false)` when there is no such account.
///
/// # Errors
/// When the database fails.
pub async fn confirm_email(
    writing: &mut StoreTransaction,
    email: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let query = sqlx::query(CONFIRM_EMAIL).bind(now.0).bind(email);
    Ok(query.fetch_optional(writing.connection()).await?.is_some())
}

/// Whether the owner of an account has proved to read the mails of its address.
///
/// # Errors
/// When the database fails.
pub async fn is_email_confirmed(store: &Store, id: BuyerId) -> Result<bool, StoreError> {
    let query = sqlx::query_scalar(IS_EMAIL_CONFIRMED).bind(id.to_string());
    let confirmed: i64 = query.fetch_one(store.reader()).await?;
    Ok(confirmed > 0)
}

/// Adds an account and gives it its integer id. `Ok(false)` when another has its address or its name; see [`find_taken_name`] for which.
/// Roll back then: the id is taken.
///
/// # Errors
/// When the database fails.
pub async fn insert(writing: &mut StoreTransaction, user: &UserRow) -> Result<bool, StoreError> {
    let integer_id = integer_ids::take_next(writing, IntegerIdKind::Users).await?;
    let inserted = sqlx::query(INSERT)
        .bind(user.id.to_string())
        .bind(user.email.as_str())
        .bind(user.username.as_str())
        .bind(user.username.to_ascii_lowercase())
        .bind(user.password_hash.as_str())
        .bind(user.role.as_str())
        .bind(user.created_at.0)
        .bind(user.updated_at.0)
        .bind(user.full_name.as_deref())
        .bind(integer_id)
        .bind(user.language.as_str())
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
    let rows = sqlx::query(TAKEN).bind(email).bind(username.to_ascii_lowercase());
    read_taken_name(&rows.fetch_all(store.reader()).await?, email)
}

/// As [`find_taken_name`], as the transaction sees it.
///
/// # Errors
/// When the database fails.
pub async fn find_taken_name_within(
    writing: &mut StoreTransaction,
    email: &str,
    username: &str,
) -> Result<Option<TakenName>, StoreError> {
    let rows = sqlx::query(TAKEN).bind(email).bind(username.to_ascii_lowercase());
    read_taken_name(&rows.fetch_all(writing.connection()).await?, email)
}

fn read_taken_name(rows: &[AnyRow], email: &str) -> Result<Option<TakenName>, StoreError> {
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

/// The account with this id, as the transaction sees it.
///
/// # Errors
/// When the database fails.
pub async fn find_within(writing: &mut StoreTransaction, id: BuyerId) -> Result<Option<UserRow>, StoreError> {
    let query = sqlx::query(FIND).bind(id.to_string());
    query.fetch_optional(writing.connection()).await?.map(read).transpose()
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

/// The account with this address, in lower case, as the transaction sees it.
///
/// # Errors
/// When the database fails.
pub async fn find_by_email_within(
    writing: &mut StoreTransaction,
    email: &str,
) -> Result<Option<UserRow>, StoreError> {
    let query = sqlx::query(FIND_BY_EMAIL).bind(email);
    query.fetch_optional(writing.connection()).await?.map(read).transpose()
}

/// Gives the account another password. Its sessions must end in the same transaction.
///
/// # Errors
/// When the database fails.
pub async fn set_password_hash(
    writing: &mut StoreTransaction,
    id: BuyerId,
    hash: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(SET_PASSWORD_HASH)
        .bind(hash)
        .bind(now.0)
        .bind(id.to_string())
        .execute(writing.connection())
        .await?;
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

/// Gives the account another role. Its sessions must end in the same transaction.
///
/// # Errors
/// When the database fails.
pub async fn set_role(
    writing: &mut StoreTransaction,
    id: BuyerId,
    role: Role,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(SET_ROLE)
        .bind(role.as_str())
        .bind(now.0)
        .bind(id.to_string())
        .execute(writing.connection())
        .await?;
    Ok(())
}

/// Begins a new epoch of the account's sessions, so that a sign-in that is under way begins none. Returns the epoch; `None` when
/// there is no such account.
///
/// # Errors
/// When the database fails.
pub async fn begin_session_epoch(
    writing: &mut StoreTransaction,
    id: BuyerId,
) -> Result<Option<i64>, StoreError> {
    let query = sqlx::query_scalar(BEGIN_SESSION_EPOCH).bind(id.to_string());
    Ok(query.fetch_optional(writing.connection()).await?)
}

/// Whether the account is still in this epoch. If so it stays in it until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn lock_session_epoch(
    writing: &mut StoreTransaction,
    id: BuyerId,
    epoch: i64,
) -> Result<bool, StoreError> {
    let query = sqlx::query(LOCK_SESSION_EPOCH).bind(id.to_string()).bind(epoch);
    Ok(query.fetch_optional(writing.connection()).await?.is_some())
}

/// Makes the account with this address an admin, with another password. `Ok(None)` when there is none.
///
/// # Errors
/// When the database fails.
pub async fn promote_to_admin(
    writing: &mut StoreTransaction,
    email: &str,
    hash: &str,
    now: Timestamp,
) -> Result<Option<UserRow>, StoreError> {
    sqlx::query(PROMOTE)
        .bind(hash)
        .bind(now.0)
        .bind(email)
        .fetch_optional(writing.connection())
        .await?
        .map(read)
        .transpose()
}

/// Waits until no other process makes the first admin or takes the role away from one. Others wait until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn lock_admins(writing: &mut StoreTransaction) -> Result<(), StoreError> {
    changes::increment(writing, ChangeCounter::Admins).await?;
    Ok(())
}

/// Whether there is an admin, as the transaction sees it. Call [`lock_admins`] first.
///
/// # Errors
/// When the database fails.
pub async fn has_admin_locked(writing: &mut StoreTransaction) -> Result<bool, StoreError> {
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

/// When the account last signed in from a network, to the day; `None` when it is not remembered.
///
/// # Errors
/// When the database fails.
pub async fn network_seen_at(
    store: &Store,
    id: BuyerId,
    digest: &str,
) -> Result<Option<Timestamp>, StoreError> {
    let query = sqlx::query_scalar(NETWORK_SEEN_AT).bind(id.to_string()).bind(digest);
    let seen_at: Option<i64> = query.fetch_optional(store.reader()).await?;
    Ok(seen_at.map(Timestamp))
}

/// Remembers a network of the account, and forgets all but the last `networks_max`.
///
/// # Errors
/// When the database fails.
pub async fn remember_network(
    writing: &mut StoreTransaction,
    id: BuyerId,
    digest: &str,
    now: Timestamp,
    networks_max: u32,
) -> Result<(), StoreError> {
    sqlx::query(REMEMBER_NETWORK)
        .bind(id.to_string())
        .bind(digest)
        .bind(now.0)
        .execute(writing.connection())
        .await?;
    sqlx::query(TRIM_NETWORKS)
        .bind(id.to_string())
        .bind(i64::from(networks_max))
        .execute(writing.connection())
        .await?;
    Ok(())
}

/// Forgets networks that were last seen before `before`.
///
/// # Errors
/// When the database fails.
pub async fn delete_old_networks(store: &Store, before: Timestamp) -> Result<(), StoreError> {
    sqlx::query(DELETE_OLD_NETWORKS).bind(before.0).execute(store.writer()).await?;
    Ok(())
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
        updated_at: Timestamp(row.try_get("updated_at")?),
        session_epoch: row.try_get("session_epoch")?,
        integer_id: row.try_get("integer_id")?,
        full_name: row.try_get("full_name")?,
        language: row.try_get("language")?,
    })
}
