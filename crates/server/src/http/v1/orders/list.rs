//! `GET /api/v1/orders`: the buyer's orders, newest first.

use crate::http::AppState;
use crate::http::extract::{BuyerSession, Json, Query};
use crate::http::page::{Page, PageQuery, parse_time_cursor};
use crate::http::problem::Problem;
use crate::shop::orders;
use crate::shop_documents::order_document;
use axum::extract::State;
use documents::OrderDocument;

/// The buyer's orders, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/orders",
    tag = "orders",
    params(PageQuery),
    responses((status = 200, description = "A page of orders", body = Page<OrderDocument>)),
    security(("token" = []))
)]
pub(super) async fn list(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<OrderDocument>>, Problem> {
    let request = query.into_request()?;
    let after = request.after.as_deref().map(parse_time_cursor).transpose()?;
    let orders = orders::list(&app.shop, session.buyer, after, request.limit + 1).await?;
    let page =
        Page::new(orders, request.limit, |order| format!("{}/{}", order.view.made_at.0, order.view.id));
    Ok(Json(page.map(|order| order_document(&app.shop, &order))))
}
