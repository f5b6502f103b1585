//! The calls of `turnstile` that only read.

use super::super::error::DialectError;
use super::super::fields::{LenientQuery, decode_path_text};
use super::super::reply::DialectReply;
use super::super::{DialectContext, DialectState};
use super::{is_accepted, read_sale, resolve_product};
use crate::http::ops;
use crate::shop::sales;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use serde_json::json;

const STOCK: &str = "/stock/";

pub(super) async fn show_status(State(state): State<DialectState>) -> Result<DialectReply, DialectError> {
    let sale = read_sale(&state).await?;
    let now = state.app.shop.engine.now();
    Ok(DialectReply::ok(&json!({"status": sales::describe_gate(sale.as_ref(), now)})))
}

pub(super) async fn show_stock(
    State(state): State<DialectState>,
    LenientQuery(fields): LenientQuery,
) -> Result<DialectReply, DialectError> {
    let product = resolve_product(&state, fields.text("productId")?);
    describe_stock(&state, &product).await
}

/// All of the path behind `/stock/` is the id.
pub(super) async fn show_stock_of(
    State(state): State<DialectState>,
    uri: Uri,
) -> Result<DialectReply, DialectError> {
    let path = uri.path().strip_prefix("/api").unwrap_or(uri.path());
    let product = decode_path_text(path.strip_prefix(STOCK).unwrap_or_default());
    describe_stock(&state, &product).await
}

async fn describe_stock(state: &DialectContext, product: &str) -> Result<DialectReply, DialectError> {
    let sale = if is_accepted(state, product) { read_sale(state).await? } else { None };
    let remaining = sale.map_or(0, |sale| sale.view.counters.unsold());
    Ok(DialectReply::ok(&json!({"success": true, "remainingStock": remaining})))
}

pub(super) async fn show_health(State(state): State<DialectState>) -> Result<DialectReply, DialectError> {
    ops::check_readiness(&state.app)
        .map_err(|reason| DialectError::new(StatusCode::SERVICE_UNAVAILABLE, reason))?;
    Ok(DialectReply::text("the turnstile is running"))
}
