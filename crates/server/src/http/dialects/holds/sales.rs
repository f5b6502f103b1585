//! The sales of `holds` as buyers see them.

use super::super::error::DialectError;
use super::super::fields::{LenientQuery, PathId};
use super::super::reply::DialectReply;
use super::super::{DialectContext, DialectState};
use super::documents::{ItemDocument, PublicSaleDocument, ShownSale};
use super::request::{read_sale, read_text, sale_unknown};
use crate::shop::fresh_views::{read_now, refresh_listings};
use crate::shop::sales::{self, ListedSale};
use axum::extract::State;
use serde_json::{Value, json};

pub(super) async fn show_sale(
    State(state): State<DialectState>,
    PathId(id): PathId,
) -> Result<DialectReply, DialectError> {
    let sale = read_sale(&state, &id).await?;
    let sale = sale.ok_or_else(|| sale_unknown().field("item", Value::Null).field("meta", unknown_meta()))?;
    let shop = &state.app.shop;
    let sale = ShownSale::load(shop, sale).await?;
    Ok(DialectReply::ok(&PublicSaleDocument::new(&sale, shop.engine.now())))
}

/// The sale that is named, or the one that buyers come for.
pub(super) async fn show_current(
    State(state): State<DialectState>,
    LenientQuery(fields): LenientQuery,
) -> Result<DialectReply, DialectError> {
    let sale = match read_text(&fields, "flashSaleId")? {
        Some(id) => read_sale(&state, &id).await?,
        None => read_current(&state).await?,
    };
    Ok(match sale {
        Some(sale) => {
            let shop = &state.app.shop;
            let sale = ShownSale::load(shop, sale).await?;
            DialectReply::ok(&ItemDocument::new(&sale, shop.engine.now()))
        }
        None => DialectReply::ok(&json!({"item": null, "meta": unknown_meta()})),
    })
}

/// The running sale that started first, else the next one.
async fn read_current(state: &DialectContext) -> Result<Option<ListedSale>, DialectError> {
    let shop = &state.app.shop;
    refresh_listings(shop).await?;
    while let Some(known) = sales::find_running(shop).or_else(|| sales::find_next(shop)) {
        let sale = read_now(shop, known).await?;
        // One that another instance has closed a moment ago is not shown. It is known to be closed here from now on.
        if !sale.view.is_over(shop.engine.now()) {
            return Ok(Some(sale));
        }
    }
    Ok(None)
}

fn unknown_meta() -> Value {
    json!({"status": "not_found", "soldOut": false})
}
