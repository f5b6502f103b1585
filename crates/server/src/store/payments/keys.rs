//! The `payment_keys` table: idempotency keys of requests that move money, with what each was used for.

use super::read_id;
use crate::store::bulk_insert::BoundQuery;
use crate::store::bulk_write::BulkWrite;
use crate::store::{Store, StoreError, StoreTransaction};
use sale::{BuyerId, Timestamp};
use sqlx::Row;
use std::collections::HashSet;
use uuid::Uuid;

/// An idempotency key and what it was first used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentKeyRow {
    pub owner: BuyerId,
    /// SHA-256 of the key and the operation, in hexadecimal digits.
    pub digest: String,
    /// SHA-256 of the request's content, in hexadecimal digits.
    pub fingerprint: String,
    /// The payment that the request was about; nil where no money moved.
    pub payment: Uuid,
    /// When it was first used.
    pub created_at: Timestamp,
}

pub(super) const STATEMENTS: &[&str] = &[CLAIM_KEY, FIND_KEY, DELETE_KEYS_OF_PAYMENT, DELETE_KEYS];

const CLAIM_KEY: &str = "
INSERT INTO payment_keys (owner_id, key_digest, fingerprint, payment_id, created_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (owner_id, key_digest) DO UPDATE
SET payment_id = excluded.payment_id
WHERE payment_keys.fingerprint = excluded.fingerprint
RETURNING owner_id";

pub(in crate::store) static INSERT: BulkWrite = BulkWrite::new(
    "INSERT INTO payment_keys (owner_id, key_digest, fingerprint, payment_id, created_at)",
    5,
    "ON CONFLICT DO NOTHING RETURNING payment_id",
);

const FIND_KEY: &str = "
SELECT fingerprint, payment_id, created_at FROM payment_keys WHERE owner_id = $1 AND key_digest = $2";

const DELETE_KEYS_OF_PAYMENT: &str = "
DELETE FROM payment_keys WHERE payment_id = $1";

const DELETE_KEYS: &str = "
DELETE FROM payment_keys
WHERE (owner_id, key_digest) IN (
    SELECT owner_id, key_digest FROM payment_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2
)";

/// Keeps a key, or sets the payment that its request continues with. `Ok(false)` when its owner has used it for
/// another request.
///
/// # Errors
/// When the database fails.
pub async fn claim_key(writing: &mut StoreTransaction, key: &PaymentKeyRow) -> Result<bool, StoreError> {
    let claimed = bind_key(sqlx::query(CLAIM_KEY), key).fetch_optional(writing.connection()).await?;
    Ok(claimed.is_some())
}

/// Keeps keys of different payments, and returns the payments whose keys their owners had not used before.
pub(super) async fn insert_keys(
    writing: &mut StoreTransaction,
    keys: &[PaymentKeyRow],
) -> Result<HashSet<Uuid>, StoreError> {
    let inserted = INSERT.write_rows(writing, keys, bind_key).await?;
    inserted.iter().map(|row| read_id(row, "payment_id")).collect()
}

fn bind_key(query: BoundQuery, key: &PaymentKeyRow) -> BoundQuery {
    query
        .bind(key.owner.to_string())
        .bind(key.digest.clone())
        .bind(key.fingerprint.clone())
        .bind(key.payment.to_string())
        .bind(key.created_at.0)
}

/// What a key was first used for.
///
/// # Errors
/// When the database fails.
pub async fn find_key(
    store: &Store,
    owner: BuyerId,
    digest: &str,
) -> Result<Option<PaymentKeyRow>, StoreError> {
    let found =
        sqlx::query(FIND_KEY).bind(owner.to_string()).bind(digest).fetch_optional(store.reader()).await?;
    let Some(row) = found else { return Ok(None) };
    let payment: String = row.try_get("payment_id")?;
    Ok(Some(PaymentKeyRow {
        owner,
        digest: digest.to_owned(),
        fingerprint: row.try_get("fingerprint")?,
        payment: payment.parse().map_err(|_| StoreError::Damaged {
            table: "payment_keys",
            id: payment,
            reason: "its payment is not a UUID",
        })?,
        created_at: Timestamp(row.try_get("created_at")?),
    }))
}

/// Forgets at most `limit` keys that were first used before `before`. Returns how many.
///
/// # Errors
/// When the database fails.
pub async fn delete_keys(store: &Store, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let done = sqlx::query(DELETE_KEYS).bind(before.0).bind(i64::from(limit)).execute(store.writer()).await?;
    Ok(done.rows_affected())
}

/// Frees the keys of a payment under which nothing was done.
pub(super) async fn delete_keys_of_payment(
    writing: &mut StoreTransaction,
    payment: Uuid,
) -> Result<(), StoreError> {
    sqlx::query(DELETE_KEYS_OF_PAYMENT).bind(payment.to_string()).execute(writing.connection()).await?;
    Ok(())
}
