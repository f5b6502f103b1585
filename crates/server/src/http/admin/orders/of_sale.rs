//! `GET /api/v1/admin/flash-sales/{id}/orders`: a sale's orders, newest first.

use super::{OrderFilterInput, load_page};
use crate::http::AppState;
use crate::http::admin::dashboard::find_sale;
use crate::http::extract::{AdminSession, Json, Path, Query};
use crate::http::page::{Page, PageQuery};
use crate::http::problem::Problem;
use axum::extract::State;
use documents::{AdminOrderDocument, OrderStatusDocument};
use sale::SaleId;
use serde::Deserialize;
use utoipa::IntoParams;

/// A filter of the sale's orders.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SaleOrdersQuery {
    /// `pending`, `confirmed`, `expired`, `cancelled`, `declined` or `refunded`.
    #[param(value_type = Option<OrderStatusDocument>)]
    status: Option<String>,
    /// As in `/api/v1/admin/orders`.
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

/// A sale's orders, newest first.
///
/// With `q`, pages are limited as in `/api/v1/admin/orders`.
#[utoipa::path(
    get,
    path = "/api/v1/admin/flash-sales/{id}/orders",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale"), SaleOrdersQuery),
    responses(
        (status = 200, description = "A page of orders", body = Page<AdminOrderDocument>),
    ),
    security(("token" = []))
)]
pub(super) async fn of_sale(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<SaleId>,
    Query(filters): Query<SaleOrdersQuery>,
) -> Result<Json<Page<AdminOrderDocument>>, Problem> {
    find_sale(&app, id).await?;
    let SaleOrdersQuery { status, q, from, to, limit, cursor } = filters;
    let request = PageQuery { limit, cursor }.into_request()?;
    load_page(&app, OrderFilterInput { sale: Some(id.0), buyer: None, status, q, from, to }, request).await
}
