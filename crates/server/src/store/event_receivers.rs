//! The `event_receivers` and `event_states` tables: since when a receiver of events runs, how many steps of payments it has delivered,
//! and each sale as it was after the last delivered event. The offsets in the ledger are in `followers`.

use super::{Store, StoreError, StoreTransaction};
use sale::{SaleId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

/// A receiver that was switched on at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventReceiverRow {
    /// When it was switched on for the first time.
    pub begun_at: Timestamp,
    /// When it last ran, to ten minutes.
    pub seen_at: Timestamp,
    /// The last step of a payment that it has delivered.
    pub payment_no: i64,
}

/// Steps of payments that a receiver has not delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UndeliveredPayments {
    pub count: u64,
    /// When the one was written that is delivered next.
    pub since: Option<Timestamp>,
}

pub(super) const STATEMENTS: &[&str] = &[
    INSERT,
    FIND,
    MOVE,
    REWIND,
    FIND_UNDELIVERED,
    FIND_AT,
    LIST_SEEN,
    SET_SEEN,
    MIN_PAYMENT_NO,
    LIST_STATES,
    PUT_STATE,
    DELETE_STATE,
];

const INSERT: &str = "
INSERT INTO event_receivers (name, begun_at, seen_at, payment_no) VALUES ($1, $2, $2, $3)
ON CONFLICT DO NOTHING";

const FIND: &str = "
SELECT begun_at, seen_at, payment_no FROM event_receivers WHERE name = $1";

const MOVE: &str = "
UPDATE event_receivers SET payment_no = $2 WHERE name = $1 AND payment_no = $3";

// Without a kept step the comparison is with NULL, and nothing is changed.
const REWIND: &str = "
UPDATE event_receivers SET payment_no = (SELECT MIN(no) - 1 FROM payment_events WHERE sale_id = $2)
WHERE name = $1 AND payment_no >= (SELECT MIN(no) FROM payment_events WHERE sale_id = $2)";

// Numbers have no gaps, so steps with a number are counted without reading them. Those without one are many while no receiver takes them.
pub(super) const FIND_UNDELIVERED: &str = "
SELECT
    integer_id_counters.last_id - event_receivers.payment_no AS numbered,
    (SELECT COUNT(*) FROM (SELECT 1 FROM payment_events WHERE no IS NULL LIMIT $2) AS counted) AS fresh,
    (SELECT MIN(no) FROM payment_events WHERE no > event_receivers.payment_no) AS first_no,
    (SELECT at FROM payment_events WHERE no IS NULL ORDER BY step, at, payment_id LIMIT 1) AS fresh_since
FROM event_receivers
CROSS JOIN integer_id_counters
WHERE event_receivers.name = $1 AND integer_id_counters.name = 'payment_events'";

const FIND_AT: &str = "
SELECT at FROM payment_events WHERE no = $1";

const LIST_SEEN: &str = "
SELECT name, seen_at FROM event_receivers";

const SET_SEEN: &str = "
UPDATE event_receivers SET seen_at = $2 WHERE name = $1";

// A receiver whose deliveries fail runs, and waits for all of them.
const MIN_PAYMENT_NO: &str = "
SELECT MIN(payment_no) FROM event_receivers
WHERE
    seen_at >= $1
    OR EXISTS (SELECT 1 FROM follower_failures AS f WHERE f.name = event_receivers.name AND f.failed_at >= $1)";

const LIST_STATES: &str = "
SELECT sale_id, state FROM event_states WHERE receiver = $1";

const PUT_STATE: &str = "
INSERT INTO event_states (receiver, sale_id, seq, state) VALUES ($1, $2, $3, $4)
ON CONFLICT (receiver, sale_id) DO UPDATE SET seq = excluded.seq, state = excluded.state";

const DELETE_STATE: &str = "
DELETE FROM event_states WHERE receiver = $1 AND sale_id = $2";

/// Adds a receiver. False when it is known already.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    writing: &mut StoreTransaction,
    name: &str,
    now: Timestamp,
    payment_no: i64,
) -> Result<bool, StoreError> {
    let query = sqlx::query(INSERT).bind(name).bind(now.0).bind(payment_no);
    Ok(query.execute(writing.connection()).await?.rows_affected() == 1)
}

/// The receiver of this name.
///
/// # Errors
/// When the database fails.
pub async fn find(store: &Store, name: &str) -> Result<Option<EventReceiverRow>, StoreError> {
    let read = |row: AnyRow| {
        Ok(EventReceiverRow {
            begun_at: Timestamp(row.try_get("begun_at")?),
            seen_at: Timestamp(row.try_get("seen_at")?),
            payment_no: row.try_get("payment_no")?,
        })
    };
    sqlx::query(FIND).bind(name).fetch_optional(store.reader()).await?.map(read).transpose()
}

/// Moves a receiver from one step of a payment to a later one. False, and nothing is changed, when it is not at `from`.
///
/// # Errors
/// When the database fails.
pub async fn advance_payments(
    writing: &mut StoreTransaction,
    name: &str,
    from: i64,
    to: i64,
) -> Result<bool, StoreError> {
    let query = sqlx::query(MOVE).bind(name).bind(to).bind(from);
    Ok(query.execute(writing.connection()).await?.rows_affected() == 1)
}

/// The steps of payments that a receiver has not delivered; none for a receiver that has never run. Those without a number are counted up to
/// `limit`.
///
/// # Errors
/// When the database fails.
pub async fn find_undelivered(
    store: &Store,
    name: &str,
    limit: u32,
) -> Result<UndeliveredPayments, StoreError> {
    let query = sqlx::query(FIND_UNDELIVERED).bind(name).bind(i64::from(limit));
    let found = query.fetch_optional(store.reader()).await?;
    let Some(row) = found else { return Ok(UndeliveredPayments::default()) };
    let (numbered, fresh): (i64, i64) = (row.try_get("numbered")?, row.try_get("fresh")?);
    let first_no: Option<i64> = row.try_get("first_no")?;
    let since: Option<i64> = match first_no {
        Some(no) => sqlx::query_scalar(FIND_AT).bind(no).fetch_optional(store.reader()).await?,
        None => row.try_get("fresh_since")?,
    };
    // Steps that were deleted do not wait.
    let numbered = if first_no.is_some() { numbered.max(0) } else { 0 };
    Ok(UndeliveredPayments {
        count: numbered.unsigned_abs() + fresh.unsigned_abs(),
        since: since.map(Timestamp),
    })
}

/// Sets a receiver back to before the first step of a sale's payments that is kept, if it has delivered that.
///
/// # Errors
/// When the database fails.
pub(super) async fn rewind_payments(
    writing: &mut StoreTransaction,
    name: &str,
    sale: SaleId,
) -> Result<(), StoreError> {
    sqlx::query(REWIND).bind(name).bind(sale.to_string()).execute(writing.connection()).await?;
    Ok(())
}

/// When each receiver last ran, with its name.
///
/// # Errors
/// When the database fails.
pub async fn list_seen(store: &Store) -> Result<Vec<(String, Timestamp)>, StoreError> {
    let read = |row: &AnyRow| Ok((row.try_get("name")?, Timestamp(row.try_get("seen_at")?)));
    sqlx::query(LIST_SEEN).fetch_all(store.reader()).await?.iter().map(read).collect()
}

/// Notes that a receiver runs.
///
/// # Errors
/// When the database fails.
pub async fn set_seen(store: &Store, name: &str, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query(SET_SEEN).bind(name).bind(now.0).execute(store.writer()).await?;
    Ok(())
}

/// The step of a payment that every receiver which ran since `seen_since` has delivered; `None` without such a receiver.
///
/// # Errors
/// When the database fails.
pub async fn find_delivered_by_all(store: &Store, seen_since: Timestamp) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar(MIN_PAYMENT_NO).bind(seen_since.0).fetch_one(store.reader()).await?)
}

/// The stored state of each sale.
///
/// # Errors
/// When the database fails.
pub async fn list_states(store: &Store, receiver: &str) -> Result<Vec<(SaleId, String)>, StoreError> {
    let read = |row: &AnyRow| {
        let id: String = row.try_get("sale_id")?;
        match id.parse() {
            Ok(sale) => Ok((sale, row.try_get("state")?)),
            Err(_) => {
                Err(StoreError::Damaged { table: "event_states", id, reason: "its sale is not a UUID" })
            }
        }
    };
    sqlx::query(LIST_STATES).bind(receiver).fetch_all(store.reader()).await?.iter().map(read).collect()
}

/// Writes the state of a sale after the event `seq`. The caller has moved the offset in the same transaction.
///
/// # Errors
/// When the database fails.
pub async fn put_state(
    writing: &mut StoreTransaction,
    (receiver, sale): (&str, SaleId),
    seq: sale::EventSeq,
    state: &str,
) -> Result<(), StoreError> {
    sqlx::query(PUT_STATE)
        .bind(receiver)
        .bind(sale.to_string())
        .bind(seq.0.cast_signed())
        .bind(state)
        .execute(writing.connection())
        .await?;
    Ok(())
}

/// Drops the state of a sale that is delivered from its first event again.
///
/// # Errors
/// When the database fails.
pub async fn delete_state(
    writing: &mut StoreTransaction,
    receiver: &str,
    sale: SaleId,
) -> Result<(), StoreError> {
    sqlx::query(DELETE_STATE).bind(receiver).bind(sale.to_string()).execute(writing.connection()).await?;
    Ok(())
}
