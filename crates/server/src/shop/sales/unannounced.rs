//! Brings sales to their end whose row was written and whose announcement was cut off, by a crash or an engine that did not answer.

use crate::shop::Shop;
use crate::shop::catalogue::CatalogueError;
use crate::shop::tenancy::Tenancy;
use crate::store::sales;
use sale::{EventSeq, SaleId, Timestamp};

/// A request that makes a sale has ended after this time, with or without an answer.
const ABANDONED_AFTER_S: i64 = 120;

/// Finishes unannounced sales: marks a sale that is in the ledger as announced, and removes the row of any other, because its request did
/// not succeed. A single process does this at its start with every such row, because no request makes a sale then. In a cluster another
/// process may be announcing a sale, so only rows that are older than any request are finished.
///
/// # Errors
/// When the tables or the ledger cannot be read.
pub async fn finish_unannounced(shop: &Shop) -> Result<(), CatalogueError> {
    let _lock = shop.catalogue.lock_for_edit(&shop.store).await?;
    let before = match shop.tenancy {
        Tenancy::Single => Timestamp::MAX,
        Tenancy::Cluster => abandoned_before((shop.now)()),
    };
    settle_rows(shop, before).await
}

/// No request still works on a row that was made before this.
pub(super) fn abandoned_before(now: Timestamp) -> Timestamp {
    now.plus_ms(-ABANDONED_AFTER_S * 1000)
}

pub(super) async fn settle_rows(shop: &Shop, before: Timestamp) -> Result<(), CatalogueError> {
    if !shop.engine.is_recording() {
        // The views may lack what is recorded.
        return Ok(());
    }
    let unannounced = sales::list_unannounced(&shop.store, before).await?;
    if unannounced.is_empty() {
        return Ok(());
    }
    for id in unannounced {
        if is_in_ledger(shop, id).await? {
            sales::set_announced(&shop.store, id, (shop.now)()).await?;
            tracing::info!(sale = %id, "a sale that was announced before an interruption is listed now");
        } else {
            sales::remove_unannounced(&shop.store, id).await?;
            tracing::info!(sale = %id, "a sale that was never announced is removed");
        }
    }
    Ok(shop.catalogue.refresh(&shop.store).await?)
}

/// Whether a sale was announced. In a cluster the views of this process may lack it.
async fn is_in_ledger(shop: &Shop, id: SaleId) -> Result<bool, CatalogueError> {
    if shop.engine.views().get(id).is_some() {
        return Ok(true);
    }
    Ok(shop.tenancy.is_cluster() && !shop.engine.ledger().read_entries(id, EventSeq(0), 1).await?.is_empty())
}
