//! The merchant's list of orders.

use super::super::DialectState;
use super::super::error::DialectError;
use super::super::fields::LenientQuery;
use super::super::reply::DialectReply;
use super::documents::{OrderDocument, PageDocument};
use super::orders::{empty_page, read_sale_filter};
use super::request::{PageNumber, read_text, require_admin};
use crate::http::caller::RequestCaller;
use crate::shop::order_pages;
use axum::extract::State;

/// Orders of a page.
const LIMIT_DEFAULT: u32 = 20;
const LIMIT_MAX: u32 = 100;

pub(super) async fn list(
    State(state): State<DialectState>,
    caller: RequestCaller,
    LenientQuery(fields): LenientQuery,
) -> Result<DialectReply, DialectError> {
    require_admin(&state, &caller).await?;
    let page = PageNumber::read(&fields, "limit", LIMIT_DEFAULT, LIMIT_MAX)?;
    let Some(sale) = read_sale_filter(&fields)? else { return Ok(DialectReply::ok(&empty_page(page))) };
    let email = read_text(&fields, "userEmail")?;
    let shop = &state.app.shop;
    let found = order_pages::list_of_all(shop, sale, email.as_deref(), page.offset()).await?;
    let items = found.orders.iter().map(|row| {
        let email = found.people.get(&row.order.buyer).map(|person| person.email.clone());
        OrderDocument::new(shop, row, email)
    });
    let items: Vec<OrderDocument> = items.collect();
    Ok(DialectReply::ok(&PageDocument { items, total: found.total, page: page.page, limit: page.limit }))
}
