//! Deletes a sale that no buyer was ever in, and closes any other.

use super::{ListedSale, READ_BATCH_LEN, find_or_refresh};
use crate::shop::Shop;
use crate::shop::catalogue::{CatalogueError, CatalogueRefusal, CatalogueResult};
use crate::store::sales;
use sale::{Event, EventSeq, SaleId};

#[derive(Clone, Debug)]
pub enum DeleteResult {
    /// No buyer was ever in it.
    Gone,
    /// Buyers have places or orders in it: it is closed and stays listed.
    Closed(Box<ListedSale>),
}

/// Deletes a sale in which no buyer ever had a place or an order; closes any other. It is closed before the ledger is read, so no buyer
/// can join in between.
///
/// # Errors
/// When the tables, the engine or the ledger do not answer; deleting again is safe.
pub async fn delete(shop: &Shop, id: SaleId) -> CatalogueResult<DeleteResult> {
    let _lock = shop.catalogue.lock_for_edit(&shop.store).await?;
    if shop.catalogue.listing(id).is_none() {
        return Ok(Err(CatalogueRefusal::SaleUnknown));
    }
    if let Err(refusal) = shop.engine.close(id).await? {
        return Ok(Err(CatalogueRefusal::Law(refusal)));
    }
    if had_buyers(shop, id).await? {
        let closed = find_or_refresh(shop, id).await.map(|sale| DeleteResult::Closed(Box::new(sale)));
        return Ok(closed.ok_or(CatalogueRefusal::SaleUnknown));
    }
    sales::delete(&shop.store, id, (shop.now)()).await?;
    shop.catalogue.refresh(&shop.store).await?;
    Ok(Ok(DeleteResult::Gone))
}

/// Whether a buyer ever had a place or an order in the sale.
async fn had_buyers(shop: &Shop, id: SaleId) -> Result<bool, CatalogueError> {
    let mut after = EventSeq(0);
    loop {
        let entries = shop.engine.ledger().read_entries(id, after, READ_BATCH_LEN).await?;
        let Some(last) = entries.last() else { return Ok(false) };
        after = last.seq;
        if entries.iter().any(|entry| concerns_buyer(&entry.event)) {
            return Ok(true);
        }
    }
}

fn concerns_buyer(event: &Event) -> bool {
    match event {
        Event::Configured { .. }
        | Event::Paused
        | Event::Resumed
        | Event::Closed
        | Event::Restocked { .. } => false,
        Event::Joined { .. }
        | Event::Left { .. }
        | Event::Admitted { .. }
        | Event::Lapsed { .. }
        | Event::Held { .. }
        | Event::Confirmed { .. }
        | Event::Released { .. }
        | Event::Refunded { .. }
        | Event::Extended { .. }
        | Event::PaymentBegun { .. }
        | Event::PaymentEnded { .. } => true,
    }
}
