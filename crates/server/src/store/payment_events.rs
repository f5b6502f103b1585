//! The `payment_events` table: the outbox of payments. A row is written in the transaction of its step and has no number. Receivers give
//! numbers to the rows that have none, one at a time: what has a number is committed, so no receiver passes a row that it has not seen.

use super::bulk_insert::BoundQuery;
use super::bulk_write::BulkWrite;
use super::payments::{PARTS_MAX, PaymentRow, PaymentState};
use super::{Store, StoreError, StoreTransaction};
use sale::{BuyerId, Money, OrderId, SaleId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;
use uuid::Uuid;

/// A step of a payment that is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentEventRow {
    /// Its number in the order of delivery.
    pub no: i64,
    pub payment: Uuid,
    pub state: PaymentEventState,
    /// The refund of a part; `None` for every other step.
    pub part: Option<Uuid>,
    /// Its place among the steps of its payment.
    pub step: i64,
    pub order: OrderId,
    pub sale: SaleId,
    pub buyer: BuyerId,
    /// The provider's name for the way to pay.
    pub method: String,
    pub amount: Money,
    /// Why it was declined, as the buyer read it; empty otherwise.
    pub reason: String,
    pub at: Timestamp,
}

/// A state of a payment that is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentEventState {
    Captured,
    Declined,
    Refunded,
    Disputed,
}

impl PaymentEventState {
    const ALL: [Self; 4] = [Self::Captured, Self::Declined, Self::Refunded, Self::Disputed];

    /// The published state of a payment in this state; `None` when the step is not published.
    #[must_use]
    pub fn from_state(state: PaymentState) -> Option<Self> {
        match state {
            PaymentState::Captured => Some(Self::Captured),
            PaymentState::Declined => Some(Self::Declined),
            PaymentState::Refunded => Some(Self::Refunded),
            PaymentState::Started
            | PaymentState::Open
            | PaymentState::Authorised
            | PaymentState::Voiding
            | PaymentState::Voided
            | PaymentState::Refunding => None,
        }
    }

    /// The word for it in the table and in the event's id.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::Declined => "declined",
            Self::Refunded => "refunded",
            Self::Disputed => "disputed",
        }
    }

    /// Its place among the steps of a payment. Refunds come one after the other, so theirs is at least this.
    #[must_use]
    pub fn step(self) -> i64 {
        match self {
            Self::Captured | Self::Declined => 1,
            Self::Refunded => 2,
            Self::Disputed => 3,
        }
    }
}

pub(super) const STATEMENTS: &[&str] = &[
    INSERT,
    INSERT_REFUND,
    HAS_NEW,
    LOCK,
    NUMBER,
    ADVANCE,
    LAST_NO,
    LIST,
    FIND,
    DELETE_DELIVERED,
    DELETE_WITHOUT_NO,
];

/// Steps of one payment, at most: captured, its parts, the rest, and a dispute.
const STEPS_MAX: i64 = PARTS_MAX + 3;

/// The counter of numbers.
const COUNTER: &str = "payment_events";

const INSERT: &str = "
INSERT INTO payment_events (
    payment_id, state, part, step, no, order_id, sale_id, buyer_id, method, amount_minor, currency, reason, at
)
SELECT id, $1, '', $2, NULL, order_id, sale_id, buyer_id, method, amount_minor, currency, reason, updated_at
FROM payments
WHERE id = $3
ON CONFLICT DO NOTHING";

/// The same for the payments of many callers.
pub(super) static INSERT_STEPS: BulkWrite = BulkWrite::new(
    "INSERT INTO payment_events (
    payment_id, state, part, step, no, order_id, sale_id, buyer_id, method, amount_minor, currency, reason, at
)",
    13,
    "ON CONFLICT DO NOTHING",
);

// The refund is marked as done already, so the first one is the second step.
const INSERT_REFUND: &str = "
INSERT INTO payment_events (
    payment_id, state, part, step, no, order_id, sale_id, buyer_id, method, amount_minor, currency, reason, at
)
SELECT
    p.id,
    'refunded',
    CASE WHEN r.whole = 1 THEN '' ELSE r.id END,
    1 + (SELECT COUNT(*) FROM payment_refunds AS d WHERE d.payment_id = p.id AND d.state = 'done'),
    NULL,
    p.order_id,
    p.sale_id,
    p.buyer_id,
    p.method,
    r.amount_minor,
    p.currency,
    p.reason,
    r.updated_at
FROM payment_refunds AS r
INNER JOIN payments AS p ON p.id = r.payment_id
WHERE r.id = $1 AND r.amount_minor > 0
ON CONFLICT DO NOTHING";

const HAS_NEW: &str = "
SELECT payment_id FROM payment_events WHERE no IS NULL LIMIT 1";

// Writes what is there already: the row is locked until the transaction ends.
const LOCK: &str = "
UPDATE integer_id_counters SET last_id = last_id WHERE name = $1 RETURNING last_id";

const NUMBER: &str = "
UPDATE payment_events SET no = numbered.number
FROM (
    SELECT payment_id, state, part, CAST($1 AS BIGINT) + ROW_NUMBER() OVER (ORDER BY step, at, payment_id, state, part) AS number
    FROM (
        SELECT payment_id, state, part, step, at
        FROM payment_events
        WHERE no IS NULL
        ORDER BY step, at, payment_id
        LIMIT $2
    ) AS fresh
) AS numbered
WHERE
    numbered.payment_id = payment_events.payment_id
    AND numbered.state = payment_events.state
    AND numbered.part = payment_events.part";

const ADVANCE: &str = "
UPDATE integer_id_counters SET last_id = last_id + $1 WHERE name = $2";

const LAST_NO: &str = "
SELECT last_id FROM integer_id_counters WHERE name = $1";

const LIST: &str = "
SELECT payment_id, state, part, step, no, order_id, sale_id, buyer_id, method, amount_minor, currency, reason, at
FROM payment_events
WHERE no > $1
ORDER BY no
LIMIT $2";

const FIND: &str = "
SELECT payment_id, state, part, step, no, order_id, sale_id, buyer_id, method, amount_minor, currency, reason, at
FROM payment_events
WHERE payment_id = $1 AND state = $2 AND part = ''";

const DELETE_DELIVERED: &str = "
DELETE FROM payment_events
WHERE at < $1 AND no IN (SELECT no FROM payment_events WHERE no <= $2 ORDER BY no LIMIT $3)";

const DELETE_WITHOUT_NO: &str = "
DELETE FROM payment_events
WHERE (payment_id, state, part) IN (
    SELECT payment_id, state, part FROM payment_events WHERE no IS NULL AND step = $1 AND at < $2 ORDER BY at LIMIT $3
)";

/// Writes a step of a payment whose row is in this state already.
///
/// # Errors
/// When the database fails.
pub(super) async fn insert(
    writing: &mut StoreTransaction,
    payment: Uuid,
    state: PaymentEventState,
) -> Result<(), StoreError> {
    sqlx::query(INSERT)
        .bind(state.as_str())
        .bind(state.step())
        .bind(payment.to_string())
        .execute(writing.connection())
        .await?;
    Ok(())
}

/// Writes the steps that different payments have just taken.
///
/// # Errors
/// When the database fails.
pub(super) async fn insert_steps(
    writing: &mut StoreTransaction,
    steps: &[(PaymentRow, PaymentEventState)],
) -> Result<(), StoreError> {
    INSERT_STEPS.write_rows(writing, steps, bind_step).await?;
    Ok(())
}

fn bind_step(query: BoundQuery, (payment, state): &(PaymentRow, PaymentEventState)) -> BoundQuery {
    query
        .bind(payment.id.to_string())
        .bind(state.as_str())
        .bind("")
        .bind(state.step())
        .bind(None::<i64>)
        .bind(payment.order.to_string())
        .bind(payment.sale.to_string())
        .bind(payment.buyer.to_string())
        .bind(payment.method.clone())
        .bind(payment.amount.minor)
        .bind(payment.amount.currency.to_string())
        .bind(payment.reason.clone())
        .bind(payment.updated_at.0)
}

/// Writes a refund that is done: of a part, or of all that was left.
///
/// # Errors
/// When the database fails.
pub(super) async fn insert_refund(writing: &mut StoreTransaction, refund: Uuid) -> Result<(), StoreError> {
    sqlx::query(INSERT_REFUND).bind(refund.to_string()).execute(writing.connection()).await?;
    Ok(())
}

/// Gives numbers to at most `limit` steps that have none. One process at a time does that.
///
/// # Errors
/// When the database fails.
pub async fn number_new(store: &Store, limit: u32) -> Result<(), StoreError> {
    if sqlx::query(HAS_NEW).fetch_optional(store.reader()).await?.is_none() {
        return Ok(());
    }
    let mut writing = store.begin().await?;
    let last: i64 = sqlx::query_scalar(LOCK).bind(COUNTER).fetch_one(writing.connection()).await?;
    let numbered = sqlx::query(NUMBER)
        .bind(last)
        .bind(i64::from(limit))
        .execute(writing.connection())
        .await?
        .rows_affected();
    sqlx::query(ADVANCE).bind(numbered.cast_signed()).bind(COUNTER).execute(writing.connection()).await?;
    writing.commit().await
}

/// The last number that was given.
///
/// # Errors
/// When the database fails.
pub async fn find_last_no(store: &Store) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(LAST_NO).bind(COUNTER).fetch_one(store.reader()).await?)
}

/// At most `limit` steps behind a number, in the order of their numbers.
///
/// # Errors
/// When the database fails.
pub async fn list_after(store: &Store, no: i64, limit: u32) -> Result<Vec<PaymentEventRow>, StoreError> {
    let rows = sqlx::query(LIST).bind(no).bind(i64::from(limit)).fetch_all(store.reader()).await?;
    rows.iter().map(read).collect()
}

/// A step that was published, for as long as it is kept.
///
/// # Errors
/// When the database fails.
pub async fn find(
    store: &Store,
    payment: Uuid,
    state: PaymentEventState,
) -> Result<Option<PaymentEventRow>, StoreError> {
    let query = sqlx::query(FIND).bind(payment.to_string()).bind(state.as_str());
    query.fetch_optional(store.reader()).await?.map(|row| read(&row)).transpose()
}

/// Deletes steps from before `before`: those up to the number `delivered`, or all of them where no receiver waits for any (`None`). At most
/// `limit` of each kind.
///
/// # Errors
/// When the database fails.
pub async fn delete_old(
    store: &Store,
    before: Timestamp,
    delivered: Option<i64>,
    limit: u32,
) -> Result<u64, StoreError> {
    let limit = i64::from(limit);
    let query = sqlx::query(DELETE_DELIVERED).bind(before.0).bind(delivered.unwrap_or(i64::MAX)).bind(limit);
    let mut deleted = query.execute(store.writer()).await?.rows_affected();
    if delivered.is_some() {
        // What has no number yet is delivered to none of them.
        return Ok(deleted);
    }
    for step in 1..=STEPS_MAX {
        let query = sqlx::query(DELETE_WITHOUT_NO).bind(step).bind(before.0).bind(limit);
        deleted += query.execute(store.writer()).await?.rows_affected();
    }
    Ok(deleted)
}

fn read(row: &AnyRow) -> Result<PaymentEventRow, StoreError> {
    let id: String = row.try_get("payment_id")?;
    let text = |column: &str| row.try_get::<String, _>(column);
    let damaged = |reason| StoreError::Damaged { table: "payment_events", id: id.clone(), reason };
    let state = text("state")?;
    let known = PaymentEventState::ALL.into_iter().find(|known| known.as_str() == state);
    Ok(PaymentEventRow {
        no: row.try_get::<Option<i64>, _>("no")?.unwrap_or_default(),
        payment: id.parse().map_err(|_| damaged("its payment is not a UUID"))?,
        state: known.ok_or_else(|| damaged("its state is unknown"))?,
        part: match text("part")? {
            part if part.is_empty() => None,
            part => Some(part.parse().map_err(|_| damaged("its refund is not a UUID"))?),
        },
        step: row.try_get("step")?,
        order: text("order_id")?.parse().map_err(|_| damaged("its order is not a UUID"))?,
        sale: text("sale_id")?.parse().map_err(|_| damaged("its sale is not a UUID"))?,
        buyer: text("buyer_id")?.parse().map_err(|_| damaged("its buyer is not a UUID"))?,
        method: text("method")?,
        amount: Money {
            minor: row.try_get("amount_minor")?,
            currency: text("currency")?.parse().map_err(|_| damaged("its currency is not one"))?,
        },
        reason: text("reason")?,
        at: Timestamp(row.try_get("at")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::event_receivers;
    use sqlx::AssertSqlSafe;

    #[tokio::test]
    async fn steps_without_a_number_are_read_in_their_order_and_no_further_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        for statement in [NUMBER, event_receivers::FIND_UNDELIVERED] {
            let explain = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")));
            let rows = explain.bind(0_i64).bind(10_i64).fetch_all(store.reader()).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.try_get("detail").unwrap()).collect();
            let ordered = plan.iter().filter(|line| line.contains("INDEX payment_events_without_no"));
            let unordered = plan.iter().filter(|line| line.contains("payment_events_by_no (no=?)"));
            assert!(ordered.count() > 0 && unordered.count() == 0, "{plan:?}");
        }
    }
}
