//! Sales as the merchant has them: one file for each operation, and here how a sale is found. The law decides what is allowed; an
//! operation brings its decision and the catalogue's row together, so that a crash between them leaves nothing half-made.

mod create;

mod edit;

mod actions;

mod restock;

mod delete;

mod half_made;

mod payment_mode;

pub use actions::{SaleAction, apply_action};
pub use create::{SaleDraft, create};
pub use delete::{DeleteResult, delete};
pub use edit::{SaleEdit, edit};
pub use half_made::settle_half_made;
pub use payment_mode::{HOLD_S_DEFAULT, PaymentMode, fill_payment_modes, requires_payment};
pub use restock::{RestockRequest, restock};

pub use crate::store::sales::LimitScope;

use super::Shop;
use super::catalogue::SaleListing;
use engine::SaleView;
use sale::{SaleId, SalePhase, Timestamp};
use std::sync::Arc;

/// A sale's listing and its state.
#[derive(Clone, Debug)]
pub struct ListedSale {
    pub listing: Arc<SaleListing>,
    pub view: Arc<SaleView>,
}

/// Events of a sale that are read from the ledger at a time.
const READ_BATCH_LEN: usize = 1_024;

/// A sale that is announced and not deleted, as this process knows it.
#[must_use]
pub fn find(shop: &Shop, id: SaleId) -> Option<ListedSale> {
    let listing = shop.catalogue.listing(id)?;
    let view = shop.engine.views().get(id)?;
    Some(ListedSale { listing, view })
}

/// [`find`] by an id or a slug.
#[must_use]
pub fn find_named(shop: &Shop, id_or_slug: &str) -> Option<ListedSale> {
    let listing = shop.catalogue.find(id_or_slug)?;
    let view = shop.engine.views().get(listing.sale)?;
    Some(ListedSale { listing, view })
}

/// [`find`], also for a sale that another process has just made.
pub async fn find_or_refresh(shop: &Shop, id: SaleId) -> Option<ListedSale> {
    if let Some(sale) = find(shop, id) {
        return Some(sale);
    }
    if shop.catalogue.listing(id).is_none() {
        shop.catalogue.refresh_for_miss(&shop.store).await;
    }
    load_view(shop, shop.catalogue.listing(id)?).await
}

/// [`find_named`], also for a sale that another process has just made.
pub async fn find_named_or_refresh(shop: &Shop, id_or_slug: &str) -> Option<ListedSale> {
    if let Some(sale) = find_named(shop, id_or_slug) {
        return Some(sale);
    }
    if shop.catalogue.find(id_or_slug).is_none() {
        shop.catalogue.refresh_for_miss(&shop.store).await;
    }
    load_view(shop, shop.catalogue.find(id_or_slug)?).await
}

/// Whether the sale exists, also when another process has just made it. Cheap for a sale that this process knows.
pub async fn exists(shop: &Shop, id: SaleId) -> bool {
    if shop.catalogue.contains(id) && shop.engine.views().get(id).is_some() {
        return true;
    }
    find_or_refresh(shop, id).await.is_some()
}

/// A listed sale with its state. In a cluster the views of this process may lack a sale that another one has just announced: then
/// the engine reads it.
async fn load_view(shop: &Shop, listing: Arc<SaleListing>) -> Option<ListedSale> {
    let view = match shop.engine.views().get(listing.sale) {
        Some(view) => view,
        None if shop.tenancy.is_cluster() => shop.engine.sale(listing.sale).await.ok()?,
        None => return None,
    };
    Some(ListedSale { listing, view })
}

/// Up to `limit` sales, newest first, from the first behind `after` on; in one phase only, if one is given.
#[must_use]
pub fn list(
    shop: &Shop,
    phase: Option<SalePhase>,
    after: Option<(Timestamp, SaleId)>,
    limit: usize,
) -> Vec<ListedSale> {
    let now = shop.engine.now();
    let is_behind =
        |listing: &SaleListing| after.is_none_or(|after| (listing.created_at, listing.sale) < after);
    let listings = shop.catalogue.all().into_iter().filter(|listing| is_behind(listing));
    let sales = listings.filter_map(|listing| {
        let view = shop.engine.views().get(listing.sale)?;
        Some(ListedSale { listing, view })
    });
    sales.filter(|sale| phase.is_none_or(|phase| sale.view.phase(now) == phase)).take(limit).collect()
}
