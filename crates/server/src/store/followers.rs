//! The `followers` table: the offset of each shared follower in each sale; and `follower_failures`, the last outage of each receiver. A follower that writes tables moves its offset in the
//! transaction of its rows, so rows and offset never differ; any other moves it after its delivery.

use super::{
    Store, StoreError, StoreTransaction, attempts, counters, event_receivers, orders, queue, series,
};
use sale::{EventSeq, SaleId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

/// How far a follower has come in one sale.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowerOffset {
    /// The last event it has delivered; 0 before the first.
    pub seq: EventSeq,
    /// A digest of that event, which differs when another ledger has another event of the same number; empty before the first.
    pub event_digest: String,
}

/// The last outage of a follower's receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowerFailure {
    /// When it first did not take events.
    pub began_at: Timestamp,
    /// When it last did not.
    pub failed_at: Timestamp,
    /// What it said, or why it could not be reached.
    pub reason: String,
    /// When it took events again; `None` while it takes none.
    pub ended_at: Option<Timestamp>,
}

pub(super) const STATEMENTS: &[&str] =
    &[BEGIN, MOVE, REWIND, MARK, DELETE, LIST, LIST_ALL, RECORD_FAILURE, END_FAILURE, LIST_FAILURES];

const BEGIN: &str = "
INSERT INTO followers (name, sale_id, seq, mark) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING";

const MOVE: &str = "
UPDATE followers SET seq = $3, mark = $4 WHERE name = $1 AND sale_id = $2 AND seq = $5 AND mark = $6";

const REWIND: &str = "
UPDATE followers SET seq = $3, mark = $4 WHERE name = $1 AND sale_id = $2 AND seq >= $3";

const MARK: &str = "
UPDATE followers SET mark = $3 WHERE name = $1 AND sale_id = $2";

const DELETE: &str = "
DELETE FROM followers WHERE name = $1 AND sale_id = $2";

const LIST: &str = "
SELECT sale_id, seq, mark FROM followers WHERE name = $1";

const LIST_ALL: &str = "
SELECT name, sale_id, seq, mark FROM followers ORDER BY name, sale_id";

// A failure after an outage has ended begins another one.
const RECORD_FAILURE: &str = "
INSERT INTO follower_failures (name, began_at, failed_at, reason, ended_at) VALUES ($1, $2, $2, $3, NULL)
ON CONFLICT (name) DO UPDATE
SET
    began_at = CASE WHEN follower_failures.ended_at IS NULL THEN follower_failures.began_at ELSE excluded.began_at END,
    failed_at = excluded.failed_at,
    reason = excluded.reason,
    ended_at = NULL";

const END_FAILURE: &str = "
UPDATE follower_failures SET ended_at = $2 WHERE name = $1 AND ended_at IS NULL";

const LIST_FAILURES: &str = "
SELECT name, began_at, failed_at, reason, ended_at FROM follower_failures";

/// Records that a follower's receiver did not take events.
///
/// # Errors
/// When the database fails.
pub async fn record_failure(
    store: &Store,
    name: &str,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let query = sqlx::query(RECORD_FAILURE).bind(name).bind(now.0).bind(reason);
    query.execute(store.writer()).await?;
    Ok(())
}

/// Records that a follower's receiver takes events, if the last that is known is that it did not.
///
/// # Errors
/// When the database fails.
pub async fn end_failure(store: &Store, name: &str, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query(END_FAILURE).bind(name).bind(now.0).execute(store.writer()).await?;
    Ok(())
}

/// The last outage of each follower that had one, with its name.
///
/// # Errors
/// When the database fails.
pub async fn list_failures(store: &Store) -> Result<Vec<(String, FollowerFailure)>, StoreError> {
    let read = |row: &AnyRow| {
        let failure = FollowerFailure {
            began_at: Timestamp(row.try_get("began_at")?),
            failed_at: Timestamp(row.try_get("failed_at")?),
            reason: row.try_get("reason")?,
            ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(Timestamp),
        };
        Ok((row.try_get("name")?, failure))
    };
    sqlx::query(LIST_FAILURES).fetch_all(store.reader()).await?.iter().map(read).collect()
}

/// Moves a follower from one offset to the next. False, and nothing is changed, when its offset is not `from`: another process
/// delivers under the same name, or the follower was rewound.
///
/// # Errors
/// When the database fails.
pub async fn advance(
    writing: &mut StoreTransaction,
    name: &str,
    sale: SaleId,
    from: &FollowerOffset,
    to: &FollowerOffset,
) -> Result<bool, StoreError> {
    let is_first = from.seq == EventSeq(0);
    let query = sqlx::query(if is_first { BEGIN } else { MOVE })
        .bind(name)
        .bind(sale.to_string())
        .bind(to.seq.0.cast_signed())
        .bind(to.event_digest.as_str());
    let query =
        if is_first { query } else { query.bind(from.seq.0.cast_signed()).bind(from.event_digest.as_str()) };
    Ok(query.execute(writing.connection()).await?.rows_affected() == 1)
}

/// The offsets of a follower, in every sale that it has begun.
///
/// # Errors
/// When the database fails.
pub async fn list_offsets(store: &Store, name: &str) -> Result<Vec<(SaleId, FollowerOffset)>, StoreError> {
    sqlx::query(LIST).bind(name).fetch_all(store.reader()).await?.iter().map(read).collect()
}

/// The offsets of all followers, with their names.
///
/// # Errors
/// When the database fails.
pub async fn list_all(store: &Store) -> Result<Vec<(String, SaleId, FollowerOffset)>, StoreError> {
    let rows = sqlx::query(LIST_ALL).fetch_all(store.reader()).await?;
    let with_name = |row: &AnyRow| {
        let (sale, offset) = read(row)?;
        Ok((row.try_get("name")?, sale, offset))
    };
    rows.iter().map(with_name).collect()
}

/// Sets a follower back to an earlier offset; to the beginning when that is the default. A receiver of events is set back to before the
/// sale's first kept step of a payment, too. False, and nothing is changed, when the follower has not come that far.
///
/// # Errors
/// When the database fails.
pub async fn rewind(
    store: &Store,
    name: &str,
    sale: SaleId,
    to: &FollowerOffset,
) -> Result<bool, StoreError> {
    let is_start = to.seq == EventSeq(0);
    let query = sqlx::query(if is_start { DELETE } else { REWIND }).bind(name).bind(sale.to_string());
    let query =
        if is_start { query } else { query.bind(to.seq.0.cast_signed()).bind(to.event_digest.as_str()) };
    let mut writing = store.begin().await?;
    if query.execute(writing.connection()).await?.rows_affected() != 1 {
        writing.rollback().await?;
        return Ok(false);
    }
    event_receivers::rewind_payments(&mut writing, name, sale).await?;
    writing.commit().await?;
    Ok(true)
}

/// Replaces the digest at a follower's offset, so that the offset fits no ledger. False when it has not begun the sale.
///
/// # Errors
/// When the database fails.
pub async fn invalidate(store: &Store, name: &str, sale: SaleId, digest: &str) -> Result<bool, StoreError> {
    let query = sqlx::query(MARK).bind(name).bind(sale.to_string()).bind(digest);
    Ok(query.execute(store.writer()).await?.rows_affected() == 1)
}

/// Drops a follower's offset in a sale: it delivers the sale again from the first event on.
///
/// # Errors
/// When the database fails.
pub async fn delete_offset(
    writing: &mut StoreTransaction,
    name: &str,
    sale: SaleId,
) -> Result<(), StoreError> {
    sqlx::query(DELETE).bind(name).bind(sale.to_string()).execute(writing.connection()).await?;
    Ok(())
}

/// Drops a follower's offset and all rows that it wrote of a sale from the ledger, so that they can be written again. Refused
/// attempts stay: no ledger has them.
///
/// # Errors
/// When the database fails.
pub async fn delete_projected_rows(
    writing: &mut StoreTransaction,
    name: &str,
    sale: SaleId,
) -> Result<(), StoreError> {
    delete_offset(writing, name, sale).await?;
    let sale = sale.to_string();
    for statement in [orders::DROP, queue::DROP, counters::DROP, series::DROP, attempts::DROP_ACCEPTED] {
        sqlx::query(statement).bind(sale.as_str()).execute(writing.connection()).await?;
    }
    Ok(())
}

fn read(row: &AnyRow) -> Result<(SaleId, FollowerOffset), StoreError> {
    let sale: String = row.try_get("sale_id")?;
    let seq = EventSeq(row.try_get::<i64, _>("seq")?.cast_unsigned());
    let offset = FollowerOffset { seq, event_digest: row.try_get("mark")? };
    match sale.parse() {
        Ok(sale) => Ok((sale, offset)),
        Err(_) => Err(StoreError::Damaged { table: "followers", id: sale, reason: "its sale is not a UUID" }),
    }
}
