//! The calls of `drop` that only read.

use super::super::error::DialectError;
use super::super::fields::decode_path_text;
use super::super::reply::DialectReply;
use super::super::{DialectContext, DialectState};
use super::USER;
use super::chosen_sale::{find_sale, read_sale, status_word};
use crate::http::caller::RequestCaller;
use crate::http::ops;
use crate::shop::guests::{DialectGuest, GuestOrigin};
use crate::shop::sales::ListedSale;
use crate::shop::single_orders;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use documents::moment::rfc3339;
use sale::{OrderStatus, Timestamp};
use serde_json::{Map, Value, json};

pub(super) async fn show_status(State(state): State<DialectState>) -> Result<DialectReply, DialectError> {
    Ok(DialectReply::ok(&describe_sale(&state).await?.1))
}

/// The state of the sale and, as texts, how much of it is sold.
pub(super) async fn show_statistics(
    State(state): State<DialectState>,
    caller: RequestCaller,
) -> Result<DialectReply, DialectError> {
    state.require_admin(&caller).await?;
    let (sale, mut document) = describe_sale(&state).await?;
    let (sold, quantity) = (sale.view.counters.sold, sale.view.counters.quantity);
    document.insert("totalPurchases".into(), json!(sold));
    document.insert("soldPercentage".into(), json!(percentage(sold, quantity)));
    Ok(DialectReply::ok(&document))
}

async fn describe_sale(state: &DialectContext) -> Result<(ListedSale, Map<String, Value>), DialectError> {
    let sale = read_sale(state).await?;
    let policy = &sale.view.policy;
    let document = Map::from_iter([
        ("status".to_owned(), json!(status_word(&sale, state.app.shop.engine.now()))),
        ("startTime".to_owned(), json!(rfc3339(policy.starts_at))),
        ("endTime".to_owned(), json!(rfc3339(policy.ends_at))),
        ("totalStock".to_owned(), json!(sale.view.counters.quantity)),
        ("remainingStock".to_owned(), json!(sale.view.counters.unsold())),
        ("productName".to_owned(), json!(sale.listing.product.name)),
    ]);
    Ok((sale, document))
}

/// Per cent with two decimals, rounded.
fn percentage(sold: u32, quantity: u32) -> String {
    let quantity = u64::from(quantity.max(1));
    let hundredths = (u64::from(sold) * 10_000 + quantity / 2) / quantity;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// Whether a buyer has bought. All of the path behind `/user/` is the id, because a page puts it there as it was typed.
pub(super) async fn show_user(
    State(state): State<DialectState>,
    uri: Uri,
) -> Result<DialectReply, DialectError> {
    let name = decode_path_text(uri.path().strip_prefix(USER).unwrap_or_default());
    let guest = DialectGuest::new(GuestOrigin::Drop, &name)
        .map_err(|error| DialectError::bad_request(error.to_string()))?;
    let Some(sale) = find_sale(&state).await? else {
        return Ok(DialectReply::ok(&json!({"hasPurchased": false})));
    };
    let owned = single_orders::find_owned(&state.app.shop, sale.view.id, guest.buyer()).await?;
    let bought = owned.filter(|order| order.view.status == OrderStatus::Confirmed);
    Ok(DialectReply::ok(&match bought {
        Some(order) => json!({"hasPurchased": true, "purchaseTime": rfc3339(order.view.made_at)}),
        None => json!({"hasPurchased": false}),
    }))
}

pub(super) async fn show_health(State(state): State<DialectState>) -> Result<DialectReply, DialectError> {
    let now = state.app.shop.engine.now();
    ops::check_readiness(&state.app)
        .map_err(|reason| DialectError::new(StatusCode::SERVICE_UNAVAILABLE, reason))?;
    Ok(DialectReply::ok(&json!({
        "status": "healthy",
        "timestamp": rfc3339(now),
        "uptime": uptime_s(state.app.started_at, now),
    })))
}

fn uptime_s(started_at: Timestamp, now: Timestamp) -> i64 {
    (now.0 - started_at.0).max(0) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_has_two_decimals() {
        for (sold, quantity, expected) in [
            (0, 100, "0.00"),
            (45, 100, "45.00"),
            (1, 3, "33.33"),
            (2, 3, "66.67"),
            (9_999, 100_000, "10.00"),
            (7, 7, "100.00"),
        ] {
            assert_eq!(percentage(sold, quantity), expected);
        }
    }
}
