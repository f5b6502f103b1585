//! `GET /api/v1/admin/orders`: all buyers' orders, newest first.

use super::{OrderFilterInput, load_page};
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Query};
use crate::http::page::{Page, PageQuery};
use crate::http::problem::Problem;
use crate::shop::dashboard::BuyerSelector;
use axum::extract::State;
use documents::{AdminOrderDocument, OrderStatusDocument};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

/// A filter of orders.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OrdersQuery {
    /// `pending`, `confirmed`, `expired`, `cancelled`, `declined` or `refunded`.
    #[param(value_type = Option<OrderStatusDocument>)]
    status: Option<String>,
    /// Of one sale.
    flash_sale_id: Option<Uuid>,
    /// Of one buyer: an e-mail address or an id.
    #[param(value_type = Option<String>)]
    buyer: Option<BuyerSelector>,
    /// A part of the buyer's e-mail address or username, four or more characters of the order's id, or the whole id of either;
    /// at most 254 characters.
    q: Option<String>,
    /// Created at this time or later (RFC 3339).
    #[param(format = DateTime)]
    from: Option<String>,
    /// Created before this time (RFC 3339).
    #[param(format = DateTime)]
    to: Option<String>,
    /// Items in a page, 1 to 200. The default is 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `nextCursor` of the previous page. Keep the filters.
    cursor: Option<String>,
}

/// All buyers' orders, newest first.
///
/// A search that matches very many buyers reads a limited number of orders a page: a page may have fewer than `limit` items, or
/// none, and still a `nextCursor`, with which the search continues.
#[utoipa::path(
    get,
    path = "/api/v1/admin/orders",
    tag = "admin",
    params(OrdersQuery),
    responses(
        (status = 200, description = "A page of orders", body = Page<AdminOrderDocument>),
    ),
    security(("token" = []))
)]
pub(super) async fn list(
    State(app): State<AppState>,
    _: AdminSession,
    Query(filters): Query<OrdersQuery>,
) -> Result<Json<Page<AdminOrderDocument>>, Problem> {
    let OrdersQuery { status, flash_sale_id: sale, buyer, q, from, to, limit, cursor } = filters;
    let request = PageQuery { limit, cursor }.into_request()?;
    load_page(&app, OrderFilterInput { sale, buyer, status, q, from, to }, request).await
}
