//! Payments that are not settled: what the reconciler takes up, and how many there are.

use super::{PaymentRow, PaymentState, read, read_id};
use crate::store::{Store, StoreError};
use sale::{OrderId, Timestamp};
use sqlx::Row;
use uuid::Uuid;

/// How many payments are not settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnsettledCounts {
    /// All of them, leased or not.
    pub all: i64,
    /// Those whose state has not changed for long, without those that wait for their buyers or for the end of a dispute.
    pub stuck: i64,
}

/// The payments that count as stuck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StuckPayments {
    pub count: i64,
    /// The one that has waited longest, its order, and its state.
    pub oldest: Uuid,
    pub order: OrderId,
    pub state: String,
    /// The one that became stuck last, and its state: they say whether there is a new one.
    pub newest: Uuid,
    pub newest_state: String,
}

pub(super) const STATEMENTS: &[&str] =
    &[POSTPONE, HASTEN, LIST_UNSETTLED, COUNT_UNSETTLED, FIND_OLDEST_STUCK, FIND_NEWEST_STUCK, FIND_NEXT_TRY];

/// What a stuck payment is: its state has not changed since `$1`, and it waits neither for its buyer nor for the end of a dispute that holds
/// money which is to go back.
macro_rules! is_stuck {
    () => {
        "updated_at < $1
    AND state <> 'open'
    AND NOT (
        state IN ('voiding', 'refunding')
        AND EXISTS (
            SELECT 1
            FROM payment_findings f
            WHERE f.payment_id = payments.id AND f.kind = 'dispute' AND f.status IN ('needs_response', 'under_review')
        )
    )"
    };
}

const POSTPONE: &str = "
UPDATE payments SET tries = tries + 1, try_at = $1 WHERE id = $2 AND state = $3";

const HASTEN: &str = "
UPDATE payments SET try_at = $1 WHERE id = $2 AND try_at > $1";

const LIST_UNSETTLED: &str = "
SELECT
    id, order_id, sale_id, buyer_id, provider, reference, method, amount_minor, currency, state, action_url, language,
    reason, restock, refunded_minor, created_at, updated_at, tries
FROM payments
WHERE
    state IN ('started', 'open', 'authorised', 'voiding', 'refunding')
    AND try_at <= $1
    AND (lease IS NULL OR lease_until <= $1)
ORDER BY try_at
LIMIT $2";

const COUNT_UNSETTLED: &str = concat!(
    "
SELECT COUNT(*) AS everything, COUNT(CASE WHEN ",
    is_stuck!(),
    " THEN 1 END) AS stuck
FROM payments
WHERE state IN ('started', 'open', 'authorised', 'voiding', 'refunding')"
);

// The states are those of the index of unsettled payments: SQLite uses it for no other list.
const FIND_OLDEST_STUCK: &str = concat!(
    "
SELECT id, order_id, state
FROM payments
WHERE state IN ('started', 'open', 'authorised', 'voiding', 'refunding') AND ",
    is_stuck!(),
    "
ORDER BY updated_at, id
LIMIT 1"
);

const FIND_NEWEST_STUCK: &str = concat!(
    "
SELECT id, state
FROM payments
WHERE state IN ('started', 'open', 'authorised', 'voiding', 'refunding') AND ",
    is_stuck!(),
    "
ORDER BY updated_at DESC, id DESC
LIMIT 1"
);

// As the lists of what the reconciler takes up: a leased payment waits for the end of its lease.
const FIND_NEXT_TRY: &str = "
SELECT MIN(due.try_at) AS next_try_at
FROM (
    SELECT CASE WHEN lease IS NOT NULL AND lease_until > try_at THEN lease_until ELSE try_at END AS try_at
    FROM payments
    WHERE id = $1 AND state IN ('started', 'open', 'authorised', 'voiding', 'refunding')
    UNION ALL
    SELECT try_at
    FROM payment_refunds
    WHERE payment_id = $1 AND state = 'pending' AND whole = 0
) AS due";

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

/// Has the reconciler look at a payment at `at`, if it would have done so later.
///
/// # Errors
/// When the database fails.
pub async fn hasten(store: &Store, id: Uuid, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query(HASTEN).bind(at.0).bind(id.to_string()).execute(store.writer()).await?;
    Ok(())
}

/// When the reconciler takes up a payment or the refund of a part of it; `None` when nothing is left to do. A moment that has passed means its
/// next pass.
///
/// # Errors
/// When the database fails.
pub async fn find_next_try(store: &Store, id: Uuid) -> Result<Option<Timestamp>, StoreError> {
    let row = sqlx::query(FIND_NEXT_TRY).bind(id.to_string()).fetch_one(store.reader()).await?;
    Ok(row.try_get::<Option<i64>, _>("next_try_at")?.map(Timestamp))
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

/// The payments that have not moved since `stuck_before`; `None` when there are none.
///
/// # Errors
/// When the database fails.
pub async fn find_stuck(store: &Store, stuck_before: Timestamp) -> Result<Option<StuckPayments>, StoreError> {
    let oldest = sqlx::query(FIND_OLDEST_STUCK).bind(stuck_before.0).fetch_optional(store.reader()).await?;
    let newest = sqlx::query(FIND_NEWEST_STUCK).bind(stuck_before.0).fetch_optional(store.reader()).await?;
    let Some((oldest, newest)) = oldest.zip(newest) else { return Ok(None) };
    let (id, order): (String, String) = (oldest.try_get("id")?, oldest.try_get("order_id")?);
    let damaged = |reason| StoreError::Damaged { table: "payments", id, reason };
    let order: OrderId = order.parse().map_err(|_| damaged("its order is not a UUID"))?;
    let count = count_unsettled(store, stuck_before).await?.stuck;
    Ok(Some(StuckPayments {
        // The count is read later, and the payment may have moved on meanwhile.
        count: count.max(1),
        oldest: read_id(&oldest, "id")?,
        order,
        state: oldest.try_get("state")?,
        newest: read_id(&newest, "id")?,
        newest_state: newest.try_get("state")?,
    }))
}
