//! What the tables show of a ledger: sales that were announced in it, and rows that were written from it. A ledger that is empty
//! beside them was lost. It never reads a ledger.

use super::{Store, StoreError};
use sale::SaleId;
use sqlx::Row;
use std::collections::HashSet;
use std::fmt;

/// Counts of what only a ledger can have caused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerTraces {
    /// Sales that were announced.
    pub sales: u64,
    pub orders: u64,
    pub payments: u64,
}

impl LedgerTraces {
    /// True when no ledger was ever followed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for LedgerTraces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sales, orders, payments } = self;
        let end = |count: u64| if count == 1 { "" } else { "s" };
        write!(f, "{sales} sale{}, ", end(*sales))?;
        write!(f, "{orders} order{} and {payments} payment{}", end(*orders), end(*payments))
    }
}

pub(super) const STATEMENTS: &[&str] = &[COUNT, LIST_SALES];

/// A sale that the projector has begun was announced, whatever its row says.
const COUNT: &str = "
SELECT
    (SELECT COUNT(*) FROM sales WHERE announced_at IS NOT NULL OR id IN (SELECT sale_id FROM followers)) AS sales,
    (SELECT COUNT(*) FROM orders) AS orders,
    (SELECT COUNT(*) FROM payments) AS payments";

const LIST_SALES: &str = "
SELECT id FROM sales";

/// Counts the traces.
///
/// # Errors
/// When the database fails.
pub async fn count(store: &Store) -> Result<LedgerTraces, StoreError> {
    let row = sqlx::query(COUNT).fetch_one(store.reader()).await?;
    let count = |column| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
    Ok(LedgerTraces { sales: count("sales")?, orders: count("orders")?, payments: count("payments")? })
}

/// Every sale that has a row, also unannounced and deleted ones.
///
/// # Errors
/// When the database fails.
pub async fn list_sales(store: &Store) -> Result<HashSet<SaleId>, StoreError> {
    let rows = sqlx::query(LIST_SALES).fetch_all(store.reader()).await?;
    let ids = rows.iter().map(|row| {
        let id: String = row.try_get("id")?;
        id.parse().map_err(|_| StoreError::Damaged { table: "sales", id, reason: "its id is not a UUID" })
    });
    ids.collect()
}
