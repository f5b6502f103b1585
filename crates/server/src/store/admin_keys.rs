//! The `admin_keys` table: idempotency keys of what admins create and add, with what each request did. It never decides whether a
//! request is carried out: that is `shop`.

use super::{Store, StoreError, StoreTransaction};
use sale::{BuyerId, EventSeq, SaleId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;
use uuid::Uuid;

/// An admin's key and what it was first used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminKeyRow {
    pub owner: BuyerId,
    /// SHA-256 of the key and the operation, in hexadecimal digits.
    pub digest: String,
    /// SHA-256 of the request's content, in hexadecimal digits.
    pub fingerprint: String,
    /// The product or the sale that the request creates or changes.
    pub subject: Uuid,
    /// A restock whose outcome has not been noted yet.
    pub pending: Option<PendingRestock>,
    pub created_at: Timestamp,
}

/// A restock that may be in the ledger or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingRestock {
    /// Units to add.
    pub quantity: u32,
    /// The sale's last event before it.
    pub after: EventSeq,
    /// Until then the process that wrote the row works on it.
    pub until: Timestamp,
}

pub(super) const STATEMENTS: &[&str] =
    &[INSERT, FIND, LIST_PENDING, SETTLE, DELETE, DELETE_BY_SUBJECT, DELETE_OLD];

const INSERT: &str = "
INSERT INTO admin_keys (
    owner_id, key_digest, fingerprint, subject_id, quantity, after_seq, pending_until, created_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO NOTHING
RETURNING owner_id";

const FIND: &str = "
SELECT owner_id, key_digest, fingerprint, subject_id, quantity, after_seq, pending_until, created_at
FROM admin_keys
WHERE owner_id = $1 AND key_digest = $2";

const LIST_PENDING: &str = "
SELECT owner_id, key_digest, fingerprint, subject_id, quantity, after_seq, pending_until, created_at
FROM admin_keys
WHERE subject_id = $1 AND pending_until IS NOT NULL";

const SETTLE: &str = "
UPDATE admin_keys SET pending_until = NULL WHERE owner_id = $1 AND key_digest = $2";

const DELETE: &str = "
DELETE FROM admin_keys WHERE owner_id = $1 AND key_digest = $2";

const DELETE_BY_SUBJECT: &str = "
DELETE FROM admin_keys WHERE subject_id = $1";

const DELETE_OLD: &str = "
DELETE FROM admin_keys
WHERE (owner_id, key_digest) IN (
    SELECT owner_id, key_digest FROM admin_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2
)";

/// Adds a key. `Ok(false)` when its owner has used it before.
///
/// # Errors
/// When the database fails.
pub async fn insert(writing: &mut StoreTransaction, key: &AdminKeyRow) -> Result<bool, StoreError> {
    let inserted = sqlx::query(INSERT)
        .bind(key.owner.to_string())
        .bind(key.digest.as_str())
        .bind(key.fingerprint.as_str())
        .bind(key.subject.to_string())
        .bind(key.pending.map(|pending| i64::from(pending.quantity)))
        .bind(key.pending.map(|pending| pending.after.0.cast_signed()))
        .bind(key.pending.map(|pending| pending.until.0))
        .bind(key.created_at.0)
        .fetch_optional(writing.connection())
        .await?;
    Ok(inserted.is_some())
}

/// What a key was first used for.
///
/// # Errors
/// When the database fails.
pub async fn find(store: &Store, owner: BuyerId, digest: &str) -> Result<Option<AdminKeyRow>, StoreError> {
    let found = sqlx::query(FIND).bind(owner.to_string()).bind(digest).fetch_optional(store.reader()).await?;
    found.map(|row| read(&row)).transpose()
}

/// The keys of a sale's restocks whose outcome has not been noted.
///
/// # Errors
/// When the database fails.
pub async fn list_pending(store: &Store, sale: SaleId) -> Result<Vec<AdminKeyRow>, StoreError> {
    let rows = sqlx::query(LIST_PENDING).bind(sale.to_string()).fetch_all(store.reader()).await?;
    rows.iter().map(read).collect()
}

/// Notes that a key's restock is in the ledger.
///
/// # Errors
/// When the database fails.
pub async fn settle(store: &Store, key: &AdminKeyRow) -> Result<(), StoreError> {
    let settle = sqlx::query(SETTLE).bind(key.owner.to_string()).bind(key.digest.as_str());
    settle.execute(store.writer()).await?;
    Ok(())
}

/// Frees a key under which nothing was done.
///
/// # Errors
/// When the database fails.
pub async fn delete(store: &Store, key: &AdminKeyRow) -> Result<(), StoreError> {
    let delete = sqlx::query(DELETE).bind(key.owner.to_string()).bind(key.digest.as_str());
    delete.execute(store.writer()).await?;
    Ok(())
}

/// Frees the keys of a product or a sale that was never made.
///
/// # Errors
/// When the database fails.
pub(super) async fn delete_by_subject(
    writing: &mut StoreTransaction,
    subject: Uuid,
) -> Result<(), StoreError> {
    sqlx::query(DELETE_BY_SUBJECT).bind(subject.to_string()).execute(writing.connection()).await?;
    Ok(())
}

/// Forgets at most `limit` keys that were first used before `before`. Returns how many.
///
/// # Errors
/// When the database fails.
pub async fn delete_old(store: &Store, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let done = sqlx::query(DELETE_OLD).bind(before.0).bind(i64::from(limit)).execute(store.writer()).await?;
    Ok(done.rows_affected())
}

fn read(row: &AnyRow) -> Result<AdminKeyRow, StoreError> {
    let digest: String = row.try_get("key_digest")?;
    let damaged = |reason| StoreError::Damaged { table: "admin_keys", id: digest.clone(), reason };
    let (owner, subject): (String, String) = (row.try_get("owner_id")?, row.try_get("subject_id")?);
    let number = |column: &str| row.try_get::<Option<i64>, _>(column);
    let pending = match (number("pending_until")?, number("quantity")?, number("after_seq")?) {
        (None, ..) => None,
        (Some(until), Some(quantity), Some(after)) => Some(PendingRestock {
            quantity: u32::try_from(quantity).map_err(|_| damaged("its quantity is out of range"))?,
            after: EventSeq(after.cast_unsigned()),
            until: Timestamp(until),
        }),
        (Some(_), ..) => {
            return Err(damaged("a pending restock lacks its quantity or its place in the ledger"));
        }
    };
    Ok(AdminKeyRow {
        owner: owner.parse().map_err(|_| damaged("its owner is not a UUID"))?,
        fingerprint: row.try_get("fingerprint")?,
        subject: subject.parse().map_err(|_| damaged("its subject is not a UUID"))?,
        pending,
        created_at: Timestamp(row.try_get("created_at")?),
        digest,
    })
}
