//! A purchase at `drop`.

use super::super::DialectState;
use super::super::error::DialectError;
use super::super::fields::LenientBody;
use super::super::reply::DialectReply;
use super::chosen_sale::{find_sale, no_sale};
use crate::http::limits::{LimitClass, LimitKey};
use crate::shop::fresh_views::count_unsold;
use crate::shop::guests::{DialectGuest, GuestOrigin};
use crate::shop::sales::remaining_units;
use crate::shop::single_orders::{self, OtherOrders, SinglePurchase};
use axum::extract::State;
use axum::http::StatusCode;
use sale::{Refusal, SaleId};
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
    let sale = find_sale(&state).await?.ok_or_else(|| no_sale(&state))?;
    let (shop, id) = (&state.app.shop, sale.view.id);
    if !sale.sells_at_once() {
        let message = "this sale has a line or takes payments; it does not sell at once";
        let remaining = count_unsold(shop, id).await?;
        return Err(DialectError::bad_request(message).field("remainingStock", remaining));
    }
    let buying = single_orders::buy_one(shop, id, guest.buyer(), OtherOrders::Impossible);
    // Where everyone is refused, nobody is stored.
    let purchase = match sale.view.refusal_for_all(shop.engine.now()) {
        Some(_) => buying.await?,
        None => shop.guests.remember_during(&guest, buying).await??,
    };
    match purchase {
        SinglePurchase::Bought { unsold, .. } => {
            shop.guests.remember(&guest).await?;
            let message = "Purchase successful: the unit is yours";
            Ok(DialectReply::ok(&json!({"success": true, "message": message, "remainingStock": unsold})))
        }
        SinglePurchase::Owned(_) => {
            // The process may have ended between the purchase and this.
            shop.guests.remember(&guest).await?;
            Err(refuse(&state, id, Refusal::LimitReached, "you have already purchased this item"))
        }
        SinglePurchase::Refused(refusal) => {
            // That every unit is sold is said before that the sale is over or paused.
            let refusal = if remaining_units(shop, id) == 0 { Refusal::SoldOut } else { refusal };
            Err(refuse(&state, id, refusal, refusal_message(refusal)))
        }
    }
}

fn refuse(state: &DialectState, sale: SaleId, refusal: Refusal, message: &str) -> DialectError {
    let remaining = match refusal {
        Refusal::SoldOut => 0,
        _ => remaining_units(&state.app.shop, sale),
    };
    DialectError::refused(StatusCode::BAD_REQUEST, refusal, message).field("remainingStock", remaining)
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
