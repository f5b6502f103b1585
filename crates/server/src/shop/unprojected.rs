//! The events of a sale that the tables do not show yet, read from the ledger.

use super::Shop;
use super::catalogue::CatalogueError;
use engine::EngineError;
use sale::{EventSeq, LedgerEntry, SaleId};

/// Events that are read at a time.
const READ_BATCH_LEN: usize = 1_024;

/// Calls `apply` for each event behind `after` that is published.
///
/// # Errors
/// When the ledger cannot be read, or the engine does not know the sale.
pub(super) async fn read_unprojected(
    shop: &Shop,
    sale: SaleId,
    mut after: EventSeq,
    mut apply: impl FnMut(&LedgerEntry),
) -> Result<(), CatalogueError> {
    let Some(view) = shop.engine.views().get(sale) else { return Err(EngineError::NoSuchSale.into()) };
    while after < view.seq {
        let entries = shop.engine.ledger().read_entries(sale, after, READ_BATCH_LEN).await?;
        let Some(last) = entries.last() else { break };
        after = last.seq;
        entries.iter().for_each(&mut apply);
        tokio::task::yield_now().await;
    }
    Ok(())
}
