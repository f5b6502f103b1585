//! The `sandbox_charges` table: the charges of the sandbox provider. It stands for another company's database; only the adapter in
//! `shop` that gives it to the sandbox may use it.

use super::{Store, StoreError, StoreTransaction};
use sale::Money;
use sqlx::Row;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRow {
    pub intent: Uuid,
    /// How much; `None` for an intent that was closed unseen.
    pub amount: Option<Money>,
    /// The provider's word for its status.
    pub status: String,
}

pub(super) const STATEMENTS: &[&str] = &[INSERT, FIND, CHANGE];

const INSERT: &str = "
INSERT INTO sandbox_charges (intent_id, amount_minor, currency, standing)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING intent_id";

const FIND: &str = "
SELECT amount_minor, currency, standing FROM sandbox_charges WHERE intent_id = $1";

const CHANGE: &str = "
UPDATE sandbox_charges SET standing = $1 WHERE intent_id = $2 AND standing = $3 RETURNING intent_id";

/// Adds a charge. `Ok(false)` when the intent has one.
///
/// # Errors
/// When the database fails.
pub async fn insert(writing: &mut StoreTransaction, line: &ChargeRow) -> Result<bool, StoreError> {
    let inserted = sqlx::query(INSERT)
        .bind(line.intent.to_string())
        .bind(line.amount.map_or(0, |amount| amount.minor))
        .bind(line.amount.map_or_else(String::new, |amount| amount.currency.to_string()))
        .bind(line.status.as_str())
        .fetch_optional(writing.connection())
        .await?;
    Ok(inserted.is_some())
}

/// The charge of an intent.
///
/// # Errors
/// When the database fails.
pub async fn find(store: &Store, intent: Uuid) -> Result<Option<ChargeRow>, StoreError> {
    let found = sqlx::query(FIND).bind(intent.to_string()).fetch_optional(store.reader()).await?;
    let Some(row) = found else { return Ok(None) };
    let currency: String = row.try_get("currency")?;
    let minor = row.try_get("amount_minor")?;
    Ok(Some(ChargeRow {
        intent,
        amount: currency.parse().ok().map(|currency| Money { minor, currency }),
        status: row.try_get("standing")?,
    }))
}

/// Changes a charge's status. `Ok(false)` when it is not `from`.
///
/// # Errors
/// When the database fails.
pub async fn change_status(
    writing: &mut StoreTransaction,
    intent: Uuid,
    from: &str,
    to: &str,
) -> Result<bool, StoreError> {
    let changed = sqlx::query(CHANGE)
        .bind(to)
        .bind(intent.to_string())
        .bind(from)
        .fetch_optional(writing.connection())
        .await?;
    Ok(changed.is_some())
}
