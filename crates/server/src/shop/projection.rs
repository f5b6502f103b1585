//! Bringing the tables up to the ledger: a batch of a sale's events is folded into rows, and the rows are written in one
//! transaction with the follower's offset. So the projector can be killed at any moment, and what it wrote can be dropped: the
//! ledger is all that it needs. When batches are written, and how fast, is decided in [`crate::followers`].

pub mod fold;

mod series;

pub mod refusals;

use self::fold::FoldedRows;
use crate::store::{self, StoreError, StoreTransaction, attempts, orders, queue};
use sale::SaleId;

/// The name of the follower that writes the tables.
pub const FOLLOWER_NAME: &str = "projector";

/// Writes the rows of a batch. The caller has moved the follower's offset in the same transaction.
///
/// # Errors
/// When the tables cannot be written.
pub(crate) async fn write_rows(
    writing: &mut StoreTransaction,
    sale: SaleId,
    rows: FoldedRows,
) -> Result<(), StoreError> {
    orders::upsert(writing, &rows.orders).await?;
    queue::upsert(writing, sale, &rows.queue).await?;
    if let Some(ms) = rows.extend_ms {
        queue::extend_admissions(writing, sale, ms).await?;
    }
    attempts::insert(writing, &rows.attempts).await?;
    store::series::add_rows(writing, sale, &rows.series.into_rows()).await?;
    if let Some(row) = &rows.counters {
        store::counters::upsert(writing, sale, row).await?;
    }
    Ok(())
}
