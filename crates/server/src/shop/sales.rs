//! Sales as the merchant has them: one file for each operation, and here how a sale is found. The law decides what is allowed; an
//! operation brings its decision and the catalogue's row together, so that a crash between them leaves no unannounced sale.

mod create;

mod edit;

mod actions;

mod restock;

mod delete;

mod unannounced;

mod relist;

mod payment_mode;

mod chosen;

pub use actions::{SaleAction, apply_action};
pub use chosen::{describe_gate, find_chosen, find_chosen_or_refresh};
pub use create::{ProductSaleDraft, SaleDraft, create, create_with_product};
pub use delete::{DeleteResult, DeleteRule, delete};
pub use edit::{SaleEdit, ShownEdit, edit, edit_and_close};
pub use payment_mode::{HOLD_S_DEFAULT, PaymentMode, fill_payment_modes, requires_payment};
pub use relist::relist_lost_sales;
pub use restock::{RestockRequest, restock, restock_to};
pub use unannounced::finish_unannounced;

pub use crate::store::sale_products::SoldProduct;
pub use crate::store::sales::LimitScope;

use super::Shop;
use super::catalogue::SaleListing;
use super::order_pages::PageOffset;
use crate::store::{StoreError, sale_slugs};
use engine::SaleView;
use sale::{SaleId, SalePhase, Timestamp};
use std::sync::Arc;
use uuid::Uuid;

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
    match find(shop, id) {
        Some(sale) => Some(sale),
        None => refresh_and_find(shop, || shop.catalogue.listing(id)).await,
    }
}

/// [`find_named`], also for a sale that another process has just made.
pub async fn find_named_or_refresh(shop: &Shop, id_or_slug: &str) -> Option<ListedSale> {
    match find_named(shop, id_or_slug) {
        Some(sale) => Some(sale),
        None => refresh_and_find(shop, || shop.catalogue.find(id_or_slug)).await,
    }
}

/// A sale of which this process lacks the listing, the view or both.
async fn refresh_and_find(
    shop: &Shop,
    find_listing: impl Fn() -> Option<Arc<SaleListing>>,
) -> Option<ListedSale> {
    let refreshed = async {
        if find_listing().is_none() {
            shop.catalogue.refresh_for_miss(&shop.store).await;
        }
        load_view(shop, find_listing()?).await
    };
    // Rare and large: in a box it does not enlarge what each request moves.
    Box::pin(refreshed).await
}

/// The slug of the sale that had this one before, while no sale has it now.
#[must_use]
pub fn find_moved(shop: &Shop, slug: &str) -> Option<String> {
    if shop.catalogue.find_by_slug(slug).is_some() {
        return None;
    }
    shop.catalogue.find_by_former_slug(slug).map(|listing| listing.slug.clone())
}

/// The sale that has this slug, or had it before; also one that another process has just made.
pub async fn find_id_by_slug(shop: &Shop, slug: &str) -> Option<SaleId> {
    if let Some(sale) = find_named_or_refresh(shop, slug).await {
        return Some(sale.listing.sale);
    }
    shop.catalogue.find_by_former_slug(slug).map(|listing| listing.sale)
}

/// Whether a new sale may get the slug: no sale has or had it.
///
/// # Errors
/// When the tables do not answer.
pub async fn is_slug_free(shop: &Shop, slug: &str) -> Result<bool, StoreError> {
    sale_slugs::is_free_for(&shop.store, slug, SaleId(Uuid::nil())).await
}

/// The sale that a shop with one sale at a time would show: the active one, else a paused one, else the one that starts next, else the
/// most recent. Of several active ones it is the one that was made last.
#[must_use]
pub fn find_current(shop: &Shop) -> Option<ListedSale> {
    let now = shop.engine.now();
    let sales = list(shop, None, None, usize::MAX);
    let newest_in = |phase| sales.iter().find(|sale| sale.view.phase(now) == phase);
    let active = newest_in(SalePhase::Active).or_else(|| newest_in(SalePhase::Paused));
    let next = || {
        let upcoming = sales.iter().filter(|sale| sale.view.phase(now) == SalePhase::Upcoming);
        upcoming.min_by_key(|sale| sale.view.policy.starts_at)
    };
    active.or_else(next).or(sales.first()).cloned()
}

/// Units of a sale that are not sold, as published here; 0 without such a sale. What the engine has answered this process is in it.
#[must_use]
pub fn remaining_units(shop: &Shop, sale: SaleId) -> u32 {
    shop.engine.views().get(sale).map_or(0, |view| view.counters.unsold())
}

/// What a sale showed of its product when an order was made.
#[must_use]
pub fn find_sold_product(shop: &Shop, sale: SaleId, made_at: Timestamp) -> Option<Arc<SoldProduct>> {
    shop.catalogue.listing(sale).map(|listing| Arc::clone(listing.product_at(made_at)))
}

/// Whether a buyer may have relied on what the sale promises and shows: it or its line is open, or a buyer is in it.
fn has_opened(view: &SaleView, now: Timestamp) -> bool {
    let counters = view.counters;
    now >= view.policy.opens_at() || counters.waiting + counters.admitted + counters.held + counters.sold > 0
}

/// Whether what a sale shows of its product follows its product.
pub(super) fn follows_product(shop: &Shop, id: SaleId) -> bool {
    shop.engine.views().get(id).is_some_and(|view| !has_opened(&view, shop.engine.now()))
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

/// The running sale that started first; a paused one runs too.
#[must_use]
pub fn find_running(shop: &Shop) -> Option<ListedSale> {
    find_first(shop, |phase| matches!(phase, SalePhase::Active | SalePhase::Paused))
}

/// The sale that starts next.
#[must_use]
pub fn find_next(shop: &Shop) -> Option<ListedSale> {
    find_first(shop, |phase| phase == SalePhase::Upcoming)
}

/// Of the sales in some phases, the one that starts first.
fn find_first(shop: &Shop, is_wanted: impl Fn(SalePhase) -> bool) -> Option<ListedSale> {
    let now = shop.engine.now();
    let sales = list(shop, None, None, usize::MAX).into_iter();
    let sales = sales.filter(|sale| is_wanted(sale.view.phase(now)));
    sales.min_by_key(|sale| (sale.view.policy.starts_at, sale.listing.created_at, sale.view.id))
}

/// A page of all sales, newest first, and how many there are.
#[must_use]
pub fn list_from_offset(shop: &Shop, page: PageOffset) -> (Vec<ListedSale>, u64) {
    let all = list(shop, None, None, usize::MAX);
    let total = all.len() as u64;
    let offset = usize::try_from(page.offset).unwrap_or(usize::MAX);
    (all.into_iter().skip(offset).take(page.limit as usize).collect(), total)
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
