//! The `followers` table: the offset of each shared follower in each sale. A follower that writes tables moves its offset in the
//! transaction of its rows, so rows and offset never differ; any other moves it after its delivery.

use super::{Store, StoreError, StoreTransaction, attempts, counters, orders, queue, series};
use sale::{EventSeq, SaleId};
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

pub(super) const STATEMENTS: &[&str] = &[BEGIN, MOVE, REWIND, MARK, DELETE, LIST, LIST_ALL];

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

/// Sets a follower back to an earlier offset; to the beginning when that is the default. False, and nothing is changed, when it
/// has not come that far.
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
    Ok(query.execute(store.writer()).await?.rows_affected() == 1)
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
