//! The `followers` table: the offset of each follower of the ledger in each sale. A follower moves its offset in the transaction that
//! writes what it read, so the two never differ.

use super::{Store, StoreError, StoreTransaction, attempts, counters, orders, queue, series};
use sale::{EventSeq, SaleId};
use sqlx::Row;
use sqlx::any::AnyRow;

/// How far a follower has come in one sale.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowerOffset {
    /// The last event it has read; 0 before the first.
    pub seq: EventSeq,
    /// A checksum of that event, which differs in another ledger; empty before the first.
    pub event_digest: String,
}

pub(super) const STATEMENTS: &[&str] = &[BEGIN, MOVE, DELETE, LIST];

const BEGIN: &str = "
INSERT INTO followers (name, sale_id, seq, mark) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING";

const MOVE: &str = "
UPDATE followers SET seq = $3, mark = $4 WHERE name = $1 AND sale_id = $2 AND seq = $5 AND mark = $6";

const DELETE: &str = "
DELETE FROM followers WHERE name = $1 AND sale_id = $2";

const LIST: &str = "
SELECT sale_id, seq, mark FROM followers WHERE name = $1";

/// Moves a follower from one offset to the next. False, and nothing is changed, when its offset is not `from`: another
/// process follows under the same name.
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

/// How far a follower has come, in every sale that it has begun.
///
/// # Errors
/// When the database fails.
pub async fn list_offsets(store: &Store, name: &str) -> Result<Vec<(SaleId, FollowerOffset)>, StoreError> {
    sqlx::query(LIST).bind(name).fetch_all(store.reader()).await?.iter().map(read).collect()
}

/// Drops all that a follower of the tables wrote of a sale from its ledger, so that it can be written again. Refused attempts
/// stay: no ledger has them.
///
/// # Errors
/// When the database fails.
pub async fn delete_projected_rows(
    writing: &mut StoreTransaction,
    name: &str,
    sale: SaleId,
) -> Result<(), StoreError> {
    let sale = sale.to_string();
    sqlx::query(DELETE).bind(name).bind(sale.as_str()).execute(writing.connection()).await?;
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
