//! The admin calls of `turnstile`: open and close are the native resume and pause, never the native close, which is final.

use super::super::error::DialectError;
use super::super::fields::LenientBody;
use super::super::reply::DialectReply;
use super::super::{DialectContext, DialectState};
use super::{find_sale, require_product};
use crate::http::caller::RequestCaller;
use crate::http::problem::kind;
use crate::shop::catalogue::CatalogueRefusal;
use crate::shop::sales::{self, ListedSale, SaleAction, describe_gate};
use axum::extract::State;
use axum::http::StatusCode;
use sale::policy::QUANTITY_MAX;
use sale::{Refusal, SalePhase};
use serde_json::json;

/// Units of a restock that names no number.
const AMOUNT_DEFAULT: u32 = 100;

pub(super) async fn set_status(
    State(state): State<DialectState>,
    caller: RequestCaller,
    body: Result<LenientBody, DialectError>,
) -> Result<DialectReply, DialectError> {
    state.require_admin(&caller).await?;
    let LenientBody(fields) = body?;
    let status = match fields.text("status")?.as_deref() {
        Some("open") => open_sale(&state).await?,
        Some("closed") => close_sale(&state).await?,
        _ => return Err(DialectError::bad_request("status must be open or closed")),
    };
    Ok(DialectReply::ok(&json!({"success": true, "status": status})))
}

pub(super) async fn open(
    State(state): State<DialectState>,
    caller: RequestCaller,
) -> Result<DialectReply, DialectError> {
    state.require_admin(&caller).await?;
    let status = open_sale(&state).await?;
    Ok(DialectReply::ok(&json!({"success": true, "message": "the sale is open", "status": status})))
}

pub(super) async fn close(
    State(state): State<DialectState>,
    caller: RequestCaller,
) -> Result<DialectReply, DialectError> {
    state.require_admin(&caller).await?;
    let status = close_sale(&state).await?;
    Ok(DialectReply::ok(&json!({"success": true, "message": "the sale is closed", "status": status})))
}

/// Brings what remains up to a number.
pub(super) async fn restock(
    State(state): State<DialectState>,
    caller: RequestCaller,
    body: Result<LenientBody, DialectError>,
) -> Result<DialectReply, DialectError> {
    state.require_admin(&caller).await?;
    let LenientBody(fields) = body?;
    let target = match fields.whole_number("amount")? {
        None | Some(0) => AMOUNT_DEFAULT,
        Some(amount) => {
            u32::try_from(amount).ok().filter(|amount| *amount <= QUANTITY_MAX).ok_or_else(|| {
                DialectError::bad_request(format!("amount must be a whole number from 1 to {QUANTITY_MAX}"))
            })?
        }
    };
    require_product(&state, fields.text("productId")?)?;
    let sale = require_sale(&state).await?;
    let sale = sales::restock_to(&state.app.shop, sale.view.id, target).await?.map_err(refuse)?;
    let remaining = sale.view.counters.unsold();
    let message = format!("{remaining} units remain");
    Ok(DialectReply::ok(&json!({"success": true, "message": message, "remainingStock": remaining})))
}

/// Resumes the sale. Returns its word then.
async fn open_sale(state: &DialectContext) -> Result<&'static str, DialectError> {
    let (sale, now) = (require_sale(state).await?, state.app.shop.engine.now());
    let phase = sale.view.phase(now);
    // A sale that ended in a pause could be resumed, and would still be closed.
    if let Some(refusal) = phase.refusal().filter(|_| phase != SalePhase::Paused) {
        return Err(refuse(CatalogueRefusal::Law(refusal)));
    }
    let opened =
        sales::apply_action(&state.app.shop, sale.view.id, SaleAction::Resume).await?.map_err(refuse)?;
    Ok(describe_gate(Some(&opened), state.app.shop.engine.now()))
}

/// Pauses the sale. A sale that is over is closed already.
async fn close_sale(state: &DialectContext) -> Result<&'static str, DialectError> {
    let (shop, now) = (&state.app.shop, state.app.shop.engine.now());
    let Some(sale) = find_sale(state).await.filter(|sale| !sale.view.phase(now).is_over()) else {
        return Ok(describe_gate(None, now));
    };
    // It could not be opened again here.
    check_is_sold_here(&sale)?;
    let closed = sales::apply_action(shop, sale.view.id, SaleAction::Pause).await?.map_err(refuse)?;
    Ok(describe_gate(Some(&closed), shop.engine.now()))
}

/// The sale, if it is one that the dialect sells.
async fn require_sale(state: &DialectContext) -> Result<ListedSale, DialectError> {
    let Some(sale) = find_sale(state).await else {
        let missing = DialectError::new(StatusCode::CONFLICT, "there is no sale");
        return Err(missing.code(kind::SALE_UNKNOWN.code));
    };
    check_is_sold_here(&sale)?;
    Ok(sale)
}

fn check_is_sold_here(sale: &ListedSale) -> Result<(), DialectError> {
    if sale.sells_at_once() {
        return Ok(());
    }
    let message = "the sale has a line or takes payments; the turnstile does not sell it";
    Err(DialectError::new(StatusCode::CONFLICT, message))
}

/// 409 for what the law refuses.
fn refuse(refusal: CatalogueRefusal) -> DialectError {
    let message = match &refusal {
        CatalogueRefusal::Law(Refusal::NotStarted) => "the sale has not started yet",
        CatalogueRefusal::Law(Refusal::Ended | Refusal::Closed) => "the sale is over",
        _ => return DialectError { status: StatusCode::CONFLICT, ..refusal.into() },
    };
    DialectError { status: StatusCode::CONFLICT, message: message.to_owned(), ..refusal.into() }
}
