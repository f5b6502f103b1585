//! Which sale the dialect sells, and what it says of a sale.

use super::super::DialectContext;
use super::super::error::DialectError;
use crate::http::problem::kind;
use crate::shop::Shop;
use crate::shop::fresh_views::{read_now, refresh_listings};
use crate::shop::sales::{self, ListedSale};
use axum::http::StatusCode;
use sale::{SalePhase, Timestamp};

/// The word for it in the column `made_by` of the table `sales`.
pub(super) const MADE_BY: &str = "drop";

/// The sale of the setting; without it the newest that `init` made, also at another instance, else the active, the next or the most recent
/// one.
///
/// # Errors
/// When the tables or the engine do not answer.
pub(super) async fn find_sale(state: &DialectContext) -> Result<Option<ListedSale>, DialectError> {
    let shop = &state.app.shop;
    if let Some(name) = &state.settings.drop_sale {
        return Ok(sales::find_chosen_or_refresh(shop, Some(name)).await);
    }
    refresh_listings(shop).await?;
    Ok(find_made_sale(shop).or_else(|| sales::find_current(shop)))
}

/// [`find_sale`], with everything that any instance has answered.
///
/// # Errors
/// When there is no sale, and when the engine does not answer.
pub(super) async fn read_sale(state: &DialectContext) -> Result<ListedSale, DialectError> {
    let sale = find_sale(state).await?.ok_or_else(|| no_sale(state))?;
    Ok(read_now(&state.app.shop, sale).await?)
}

/// The newest sale that `init` made.
pub(super) fn find_made_sale(shop: &Shop) -> Option<ListedSale> {
    let listing = shop.catalogue.newest_made_by(MADE_BY)?;
    sales::find(shop, listing.sale)
}

/// The dialect's word for the state of a sale.
pub(super) fn status_word(sale: &ListedSale, now: Timestamp) -> &'static str {
    if sale.view.counters.unsold() == 0 {
        return "sold_out";
    }
    match sale.view.phase(now) {
        SalePhase::Upcoming | SalePhase::Paused => "upcoming",
        SalePhase::Active => "active",
        SalePhase::Ended | SalePhase::Closed => "ended",
    }
}

/// The reply when there is no sale.
pub(super) fn no_sale(state: &DialectContext) -> DialectError {
    let hint = match state.settings.drop_sale {
        Some(_) => "the server sells the sale of --drop-sale, which does not exist yet",
        None => "make one with POST /api/sale/init",
    };
    DialectError::new(StatusCode::SERVICE_UNAVAILABLE, "there is no sale yet")
        .code(kind::SALE_UNKNOWN.code)
        .field("hint", hint)
}
