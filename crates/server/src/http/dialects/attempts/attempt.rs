//! An attempt at one unit of a sale.

use super::super::DialectState;
use super::super::error::DialectError;
use super::super::fields::{LenientBody, PathId};
use super::super::reply::DialectReply;
use super::{parse_id, require_account, success};
use crate::http::caller::RequestCaller;
use crate::http::limits::LimitClass;
use crate::http::problem::kind;
use crate::http::v1::rfc3339;
use crate::shop::single_attempts;
use crate::shop::single_orders::SinglePurchase;
use crate::shop::{integer_ids, sales::ListedSale};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use sale::Refusal;
use serde_json::{Map, json};

/// Buys one unit for the account. The attempt of a buyer who has one sells nothing and succeeds.
pub(super) async fn attempt(
    State(state): State<DialectState>,
    PathId(sale): PathId,
    caller: RequestCaller,
    headers: HeaderMap,
    body: Result<LenientBody, DialectError>,
) -> Result<DialectReply, DialectError> {
    let (session, _) = require_account(&state, &caller, &headers, LimitClass::Buy).await?;
    let number = parse_id(&sale)?;
    let LenientBody(_) = body?;
    let shop = &state.app.shop;
    let Some(sale) = integer_ids::find_sale(shop, number).await else {
        let message = format!("the flash sale {number} was not found");
        return Err(DialectError::bad_request(message).code(kind::SALE_UNKNOWN.code));
    };
    match single_attempts::attempt_purchase(shop, &sale, session.buyer).await? {
        SinglePurchase::Bought { .. } | SinglePurchase::Owned(_) => {
            let message = json!("the purchase attempt was received; ask for the status of the order");
            Ok(success(StatusCode::OK, Map::from_iter([("message".to_owned(), message)])))
        }
        SinglePurchase::Refused(refusal) => {
            Err(DialectError::refused(StatusCode::BAD_REQUEST, refusal, describe_refusal(refusal, &sale)))
        }
    }
}

fn describe_refusal(refusal: Refusal, sale: &ListedSale) -> String {
    let policy = &sale.view.policy;
    match refusal {
        Refusal::SoldOut => "out of stock: every unit is sold".to_owned(),
        Refusal::AllHeld => "no unit is in stock at this moment: all are in other carts".to_owned(),
        Refusal::NotStarted => {
            format!("the flash sale is not yet active; it starts at {}", rfc3339(policy.starts_at))
        }
        Refusal::Ended => format!("the flash sale has ended at {}", rfc3339(policy.ends_at)),
        Refusal::Closed => {
            format!("the flash sale has ended before its end at {}", rfc3339(policy.ends_at))
        }
        Refusal::Paused => "the flash sale is paused; try again later".to_owned(),
        Refusal::NotInLine | Refusal::NotAdmitted { .. } => {
            "the flash sale sells only to buyers whom its line has admitted".to_owned()
        }
        Refusal::LimitReached => "another account of your mailbox has bought in this flash sale".to_owned(),
        other => format!("the attempt was refused: {}", other.code()),
    }
}
