//! A purchase at `drop`.

use super::super::DialectState;
use super::super::error::DialectError;
use super::super::fields::LenientBody;
use super::super::reply::DialectReply;
use super::chosen_sale::{find_sale, no_sale};
use crate::http::limits::{LimitClass, LimitKey};
use crate::shop::guests::{DialectGuest, GuestOrigin};
use crate::shop::sales::ListedSale;
use crate::shop::single_orders::{self, OtherOrders, SinglePurchase};
use axum::extract::State;
use axum::http::StatusCode;
use sale::Refusal;
use serde_json::json;

/// Sells one unit to the buyer who is named.
pub(super) async fn buy(
    State(state): State<DialectState>,
    LenientBody(fields): LenientBody,
) -> Result<DialectReply, DialectError> {
    let name = fields.text("userId")?.ok_or_else(|| DialectError::bad_request("userId is required"))?;
    let guest = DialectGuest::new(GuestOrigin::Drop, &name)
        .map_err(|error| DialectError::bad_request(error.to_string()))?;
    state.count_request(LimitClass::Drop, LimitKey::from_buyer(guest.buyer())).await?;
    let sale = find_sale(&state).await.ok_or_else(|| no_sale(&state))?;
    if !sale.sells_at_once() {
        let message = "this sale has a line or takes payments; it does not sell at once";
        return Err(DialectError::bad_request(message).field("remainingStock", sale.view.counters.unsold()));
    }
    let shop = &state.app.shop;
    let bought = single_orders::buy_one(shop, sale.view.id, guest.buyer(), OtherOrders::Impossible).await;
    if bought.is_err() {
        // The unit may be sold later all the same, and then admins look for its buyer.
        shop.guests.remember(&guest).await?;
    }
    match bought? {
        SinglePurchase::Bought(_) => {
            shop.guests.remember(&guest).await?;
            let message = "Purchase successful: the unit is yours";
            let remaining = remaining_units(&state, &sale);
            Ok(DialectReply::ok(&json!({"success": true, "message": message, "remainingStock": remaining})))
        }
        SinglePurchase::Owned(_) => {
            // The process may have ended between the purchase and this.
            shop.guests.remember(&guest).await?;
            Err(refuse(&state, &sale, Refusal::LimitReached, "you have already purchased this item"))
        }
        SinglePurchase::Refused(refusal) => {
            // That every unit is sold is said before that the sale is over or paused.
            let refusal = if remaining_units(&state, &sale) == 0 { Refusal::SoldOut } else { refusal };
            Err(refuse(&state, &sale, refusal, refusal_message(refusal)))
        }
    }
}

fn refuse(state: &DialectState, sale: &ListedSale, refusal: Refusal, message: &str) -> DialectError {
    let remaining = match refusal {
        Refusal::SoldOut => 0,
        _ => remaining_units(state, sale),
    };
    DialectError::refused(StatusCode::BAD_REQUEST, refusal, message).field("remainingStock", remaining)
}

/// What remains after the purchase: the view is published before the answer.
fn remaining_units(state: &DialectState, sale: &ListedSale) -> u32 {
    let view = state.app.shop.engine.views().get(sale.view.id);
    view.map_or(sale.view.counters.unsold(), |view| view.counters.unsold())
}

fn refusal_message(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::SoldOut | Refusal::AllHeld => "sold out: every unit has a buyer",
        Refusal::NotStarted => "the sale has not started yet",
        Refusal::Paused => "the sale is paused, as if it had not started; try again later",
        Refusal::Ended | Refusal::Closed => "the sale has ended",
        Refusal::LimitReached => "you have already purchased this item",
        _ => "the purchase was refused",
    }
}
