//! Payments that are not settled: what the reconciler takes up, and how many there are.

use super::{PaymentRow, PaymentState, read};
use crate::store::{Store, StoreError};
use sale::Timestamp;
use sqlx::Row;
use uuid::Uuid;

/// How many payments are not settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnsettledCounts {
    /// All of them, leased or not.
    pub all: i64,
    /// Those whose state has not changed for long.
    pub stuck: i64,
}

pub(super) const STATEMENTS: &[&str] = &[POSTPONE, LIST_UNSETTLED, COUNT_UNSETTLED];

const POSTPONE: &str = "
UPDATE payments SET tries = tries + 1, try_at = $1 WHERE id = $2 AND state = $3";

const LIST_UNSETTLED: &str = "
SELECT
    id, order_id, sale_id, buyer_id, method, amount_minor, currency, state, reason, restock, created_at, updated_at,
    tries
FROM payments
WHERE
    state IN ('started', 'authorised', 'voiding', 'refunding')
    AND try_at <= $1
    AND (lease IS NULL OR lease_until <= $1)
ORDER BY try_at
LIMIT $2";

const COUNT_UNSETTLED: &str = "
SELECT
    COUNT(*) AS everything,
    COUNT(CASE WHEN updated_at < $1 THEN 1 END) AS stuck
FROM payments
WHERE state IN ('started', 'authorised', 'voiding', 'refunding')";

/// Counts a try that did not settle a payment, and sets when to try again.
///
/// # Errors
/// When the database fails.
pub async fn postpone(
    store: &Store,
    id: Uuid,
    state: PaymentState,
    try_at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(POSTPONE)
        .bind(try_at.0)
        .bind(id.to_string())
        .bind(state.as_str())
        .execute(store.writer())
        .await?;
    Ok(())
}

/// At most `limit` payments that are not settled, due at `due` and without a lease then, the longest waiting first.
///
/// # Errors
/// When the database fails.
pub async fn list_unsettled(
    store: &Store,
    due: Timestamp,
    limit: u32,
) -> Result<Vec<PaymentRow>, StoreError> {
    let rows =
        sqlx::query(LIST_UNSETTLED).bind(due.0).bind(i64::from(limit)).fetch_all(store.reader()).await?;
    rows.iter().map(read).collect()
}

/// How many payments are not settled; stuck are those that have not moved since `stuck_before`.
///
/// # Errors
/// When the database fails.
pub async fn count_unsettled(store: &Store, stuck_before: Timestamp) -> Result<UnsettledCounts, StoreError> {
    let row = sqlx::query(COUNT_UNSETTLED).bind(stuck_before.0).fetch_one(store.reader()).await?;
    Ok(UnsettledCounts { all: row.try_get("everything")?, stuck: row.try_get("stuck")? })
}
