//! Totals of what the projector wrote for each sale, to compare with the ledger: its offset, the row of counters, and the totals
//! of the rows of orders and places, all read in one statement. It never writes.

use super::{Store, StoreError, counters};
use sale::{EventSeq, SaleCounters, SaleId};
use sqlx::Row;
use sqlx::any::AnyRow;

/// A sale as the tables show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectedTotals {
    pub sale: SaleId,
    /// The last event that was written.
    pub seq: EventSeq,
    /// The event and the counters of its row in `sale_counters`.
    pub counters: Option<(EventSeq, SaleCounters)>,
    /// The totals of its other rows.
    pub rows: RowTotals,
}

/// The totals of the rows of orders and places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowTotals {
    /// Units of pending orders.
    pub held: u64,
    /// Units of confirmed orders, and of refunded ones that were not restocked.
    pub sold: u64,
    /// Places of buyers who wait.
    pub waiting: u64,
    /// Places of buyers who are admitted, one unit each.
    pub admitted: u64,
}

pub(super) const STATEMENTS: &[&str] = &[LIST];

/// One statement, because a statement reads one snapshot.
const LIST: &str = "
SELECT
    followers.sale_id,
    followers.seq,
    sale_counters.seq AS counters_seq,
    quantity, available, admitted, held, sold, waiting, short,
    (
        SELECT CAST(COALESCE(SUM(orders.quantity), 0) AS BIGINT) FROM orders
        WHERE orders.sale_id = followers.sale_id AND status = 'pending'
    ) AS rows_held,
    (
        SELECT CAST(COALESCE(SUM(orders.quantity), 0) AS BIGINT) FROM orders
        WHERE orders.sale_id = followers.sale_id
            AND (status = 'confirmed' OR (status = 'refunded' AND restocked = 0))
    ) AS rows_sold,
    (
        SELECT COUNT(*) FROM queue_entries
        WHERE queue_entries.sale_id = followers.sale_id AND status = 'waiting'
    ) AS rows_waiting,
    (
        SELECT COUNT(*) FROM queue_entries
        WHERE queue_entries.sale_id = followers.sale_id AND status = 'admitted'
    ) AS rows_admitted
FROM followers
LEFT JOIN sale_counters ON sale_counters.sale_id = followers.sale_id
WHERE followers.name = $1";

/// The totals of every sale that the follower of this name has begun.
///
/// # Errors
/// When the database fails, or a row is damaged.
pub async fn list_totals(store: &Store, follower: &str) -> Result<Vec<ProjectedTotals>, StoreError> {
    sqlx::query(LIST).bind(follower).fetch_all(store.reader()).await?.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<ProjectedTotals, StoreError> {
    let id: String = row.try_get("sale_id")?;
    let sale = id.parse().map_err(|_| StoreError::Damaged {
        table: "followers",
        id,
        reason: "its sale is not a UUID",
    })?;
    let total = |column| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
    let seq = |seq: i64| EventSeq(seq.cast_unsigned());
    let counters = match row.try_get::<Option<i64>, _>("counters_seq")? {
        None => None,
        Some(at) => Some((seq(at), counters::read_counters(row, sale)?)),
    };
    Ok(ProjectedTotals {
        sale,
        seq: seq(row.try_get("seq")?),
        counters,
        rows: RowTotals {
            held: total("rows_held")?,
            sold: total("rows_sold")?,
            waiting: total("rows_waiting")?,
            admitted: total("rows_admitted")?,
        },
    })
}
