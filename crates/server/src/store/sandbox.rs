//! The `sandbox_charges` and `sandbox_refunds` tables: the charges of the sandbox provider. They stand for another company's database; only the adapter in
//! `shop` that gives it to the sandbox may use it.

use super::bulk_insert::BoundQuery;
use super::bulk_write::BulkWrite;
use super::{Store, StoreError, StoreTransaction};
use sale::{Money, OrderId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRow {
    pub intent: Uuid,
    /// How much; `None` for an intent that was closed unseen.
    pub amount: Option<Money>,
    /// The provider's word for its status.
    pub status: String,
    pub refunded_minor: i64,
    /// `None` for an intent that was closed unseen.
    pub order: Option<OrderId>,
    /// What the page of a redirect shows: the description and the language.
    pub page: Option<(String, String)>,
    pub captured_at: Option<Timestamp>,
}

/// A change of a charge's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeChange {
    pub intent: Uuid,
    /// The provider's words for the status that it has, and that it gets.
    pub from: &'static str,
    pub to: &'static str,
    /// When it was captured, if this is what happens.
    pub captured_at: Option<Timestamp>,
}

pub(super) const STATEMENTS: &[&str] = &[FIND, LIST_CAPTURED, INSERT_REFUND, REFUND, DELETE_REFUND];

pub(super) static INSERT: BulkWrite = BulkWrite::new(
    "INSERT INTO sandbox_charges (
    intent_id, amount_minor, currency, standing, refunded_minor, order_id, description, language
)",
    8,
    "ON CONFLICT DO NOTHING RETURNING intent_id",
);

pub(super) static CHANGE: BulkWrite = BulkWrite::new(
    "WITH change (intent, from_status, to_status, new_captured_at) AS (",
    4,
    ") UPDATE sandbox_charges
SET standing = change.to_status, captured_at = COALESCE(CAST(change.new_captured_at AS BIGINT), captured_at)
FROM change
WHERE intent_id = change.intent AND standing = change.from_status
RETURNING intent_id, amount_minor, currency, standing, refunded_minor, order_id, description, language, captured_at",
);

const FIND: &str = "
SELECT intent_id, amount_minor, currency, standing, refunded_minor, order_id, description, language, captured_at
FROM sandbox_charges
WHERE intent_id = $1";

const LIST_CAPTURED: &str = "
SELECT intent_id, amount_minor, currency, standing, refunded_minor, order_id, description, language, captured_at
FROM sandbox_charges
WHERE captured_at >= $1 AND captured_at < $2
ORDER BY captured_at";

const INSERT_REFUND: &str = "
INSERT INTO sandbox_refunds (refund_id, intent_id, amount_minor)
VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING
RETURNING refund_id";

const REFUND: &str = "
UPDATE sandbox_charges
SET
    refunded_minor = refunded_minor + $1,
    standing = CASE WHEN refunded_minor + $1 = amount_minor THEN 'refunded' ELSE standing END
WHERE intent_id = $2 AND standing = 'captured' AND refunded_minor + $1 <= amount_minor
RETURNING intent_id";

const DELETE_REFUND: &str = "
DELETE FROM sandbox_refunds WHERE refund_id = $1";

/// Adds charges of different intents. Returns the intents that had none.
///
/// # Errors
/// When the database fails.
pub async fn insert_charges(
    writing: &mut StoreTransaction,
    charges: &[&ChargeRow],
) -> Result<HashSet<Uuid>, StoreError> {
    let inserted = INSERT.write_rows(writing, charges, bind_charge).await?;
    inserted.iter().map(read_intent).collect()
}

fn bind_charge(query: BoundQuery, charge: &&ChargeRow) -> BoundQuery {
    let (description, language) = charge.page.clone().unzip();
    query
        .bind(charge.intent.to_string())
        .bind(charge.amount.map_or(0, |amount| amount.minor))
        .bind(charge.amount.map_or_else(String::new, |amount| amount.currency.to_string()))
        .bind(charge.status.clone())
        .bind(charge.refunded_minor)
        .bind(charge.order.map_or_else(String::new, |order| order.to_string()))
        .bind(description)
        .bind(language)
}

/// The charge of an intent.
///
/// # Errors
/// When the database fails.
pub async fn find(store: &Store, intent: Uuid) -> Result<Option<ChargeRow>, StoreError> {
    let found = sqlx::query(FIND).bind(intent.to_string()).fetch_optional(store.reader()).await?;
    found.map(|row| read(&row)).transpose()
}

/// The charges that were captured from `from` until before `to`.
///
/// # Errors
/// When the database fails.
pub async fn list_captured(
    store: &Store,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<ChargeRow>, StoreError> {
    let rows = sqlx::query(LIST_CAPTURED).bind(from.0).bind(to.0).fetch_all(store.reader()).await?;
    rows.iter().map(read).collect()
}

/// Changes the status of charges of different intents. Returns those that had the status that is changed, as they are now, by intent.
///
/// # Errors
/// When the database fails.
pub async fn change_charges(
    writing: &mut StoreTransaction,
    changes: &[&ChargeChange],
) -> Result<HashMap<Uuid, ChargeRow>, StoreError> {
    let bind = |query: BoundQuery, change: &&ChargeChange| {
        query
            .bind(change.intent.to_string())
            .bind(change.from)
            .bind(change.to)
            .bind(change.captured_at.map(|at| at.0))
    };
    let changed = CHANGE.write_rows(writing, changes, bind).await?;
    changed.iter().map(|row| read(row).map(|charge| (charge.intent, charge))).collect()
}

/// Refunds a part of a captured charge, or its rest. A refund that was made before is not made again. `false` when less is left.
///
/// # Errors
/// When the database fails.
pub async fn refund(
    writing: &mut StoreTransaction,
    intent: Uuid,
    refund: Uuid,
    minor: i64,
) -> Result<bool, StoreError> {
    let inserted = sqlx::query(INSERT_REFUND)
        .bind(refund.to_string())
        .bind(intent.to_string())
        .bind(minor)
        .fetch_optional(writing.connection())
        .await?;
    if inserted.is_none() {
        return Ok(true);
    }
    let refunded = sqlx::query(REFUND).bind(minor).bind(intent.to_string());
    let is_refunded = refunded.fetch_optional(writing.connection()).await?.is_some();
    if !is_refunded {
        // Others write in the same transaction, so it cannot be rolled back.
        sqlx::query(DELETE_REFUND).bind(refund.to_string()).execute(writing.connection()).await?;
    }
    Ok(is_refunded)
}

fn read_intent(row: &AnyRow) -> Result<Uuid, StoreError> {
    let id: String = row.try_get("intent_id")?;
    let reason = "its intent is not a UUID";
    id.parse().map_err(|_| StoreError::Damaged { table: "sandbox_charges", id, reason })
}

fn read(row: &AnyRow) -> Result<ChargeRow, StoreError> {
    let intent = read_intent(row)?;
    let currency: String = row.try_get("currency")?;
    let minor = row.try_get("amount_minor")?;
    let order: String = row.try_get("order_id")?;
    let description: Option<String> = row.try_get("description")?;
    Ok(ChargeRow {
        intent,
        amount: currency.parse().ok().map(|currency| Money { minor, currency }),
        status: row.try_get("standing")?,
        refunded_minor: row.try_get("refunded_minor")?,
        order: order.parse().ok(),
        page: description.zip(row.try_get::<Option<String>, _>("language")?),
        captured_at: row.try_get::<Option<i64>, _>("captured_at")?.map(Timestamp),
    })
}
