//! The sale that `attempts` shows: the active one, or the newest.

use super::super::DialectState;
use super::super::error::DialectError;
use super::super::reply::DialectReply;
use super::{require_session, success};
use crate::http::caller::RequestCaller;
use crate::http::limits::LimitClass;
use crate::http::v1::rfc3339;
use crate::shop::Shop;
use crate::shop::sales::{self, ListedSale};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use engine::SaleView;
use sale::{SalePhase, Timestamp};
use serde_json::{Map, json};

/// The state of the sale.
pub(super) async fn show_sale(
    State(state): State<DialectState>,
    caller: RequestCaller,
    headers: HeaderMap,
) -> Result<DialectReply, DialectError> {
    require_session(&state, &caller, &headers, LimitClass::Read).await?;
    let shop = &state.app.shop;
    let now = shop.engine.now();
    let Some(sale) = find_shown_sale(shop) else {
        let moment = json!(rfc3339(now));
        let data = Map::from_iter([
            ("status".to_owned(), json!("ENDED")),
            ("startTime".to_owned(), moment.clone()),
            ("endTime".to_owned(), moment.clone()),
            ("currentTime".to_owned(), moment),
        ]);
        return Ok(success(StatusCode::OK, data));
    };
    let ListedSale { listing, view } = sale;
    let ids = shop.catalogue.integer_ids(listing.sale);
    let data = Map::from_iter([
        ("id".to_owned(), json!(ids.map(|ids| ids.sale))),
        ("status".to_owned(), json!(status_word(&view, now))),
        ("startTime".to_owned(), json!(rfc3339(view.policy.starts_at))),
        ("endTime".to_owned(), json!(rfc3339(view.policy.ends_at))),
        ("currentTime".to_owned(), json!(rfc3339(now))),
        ("productId".to_owned(), json!(ids.map(|ids| ids.product))),
        ("productName".to_owned(), json!(listing.product.name)),
        ("productDescription".to_owned(), json!(listing.product.description)),
    ]);
    Ok(success(StatusCode::OK, data))
}

/// The active sale that was made last; where none is active, the one that was made last.
fn find_shown_sale(shop: &Shop) -> Option<ListedSale> {
    let newest = |phase| sales::list(shop, phase, None, 1).pop();
    newest(Some(SalePhase::Active)).or_else(|| newest(None))
}

/// A paused sale goes by its times alone.
fn status_word(view: &SaleView, now: Timestamp) -> &'static str {
    match view.phase(now) {
        SalePhase::Upcoming => "UPCOMING",
        SalePhase::Active | SalePhase::Paused => "ACTIVE",
        SalePhase::Ended | SalePhase::Closed => "ENDED",
    }
}
