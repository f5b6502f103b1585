//! The sales of `holds` as buyers see them.

use super::super::error::DialectError;
use super::super::fields::{LenientQuery, PathId};
use super::super::reply::DialectReply;
use super::super::{DialectContext, DialectState};
use super::documents::{ItemDocument, PublicSaleDocument};
use super::request::{find_sale, read_text, sale_unknown};
use crate::shop::sales::{self, ListedSale};
use axum::extract::State;
use serde_json::{Value, json};

pub(super) async fn show_sale(
    State(state): State<DialectState>,
    PathId(id): PathId,
) -> Result<DialectReply, DialectError> {
    let sale = find_sale(&state, &id).await;
    let sale = sale.ok_or_else(|| sale_unknown().field("item", Value::Null).field("meta", unknown_meta()))?;
    Ok(DialectReply::ok(&PublicSaleDocument::new(&sale, state.app.shop.engine.now())))
}

/// The sale that is named, or the one that buyers come for.
pub(super) async fn show_current(
    State(state): State<DialectState>,
    LenientQuery(fields): LenientQuery,
) -> Result<DialectReply, DialectError> {
    let sale = match read_text(&fields, "flashSaleId")? {
        Some(id) => find_sale(&state, &id).await,
        None => find_current(&state),
    };
    Ok(match sale {
        Some(sale) => DialectReply::ok(&ItemDocument::new(&sale, state.app.shop.engine.now())),
        None => DialectReply::ok(&json!({"item": null, "meta": unknown_meta()})),
    })
}

/// The running sale that started first, else the next one.
fn find_current(state: &DialectContext) -> Option<ListedSale> {
    sales::find_running(&state.app.shop).or_else(|| sales::find_next(&state.app.shop))
}

fn unknown_meta() -> Value {
    json!({"status": "not_found", "soldOut": false})
}
