//! `/admin/orders`: everyone's orders, with filters. Refunds are beside the payments.

use super::buyer_json::BuyerJson;
use crate::http::AppState;
use crate::http::extract::{Admin, Json, Query};
use crate::http::page::{Page, PageQuery, Slice, time_and_id};
use crate::http::problem::{FieldError, Problem, ProblemSchema, kind};
use crate::http::v1::money_json::MoneyJson;
use crate::http::v1::order_json::OrderStatusJson;
use crate::http::v1::rfc3339;
use crate::shop::board::{self, OrderFilter, OrderRow, STATUSES, Who, WithPeople};
use axum::extract::State;
use sale::{Money, OrderStatus, SaleId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Which orders.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filters {
    /// `pending`, `confirmed`, `expired`, `cancelled`, `declined` or `refunded`.
    status: Option<String>,
    /// Of one sale.
    flash_sale_id: Option<Uuid>,
    /// Of one buyer: an e-mail address or an id.
    #[param(value_type = Option<String>)]
    buyer: Option<Who>,
    /// Items in a page, 1 to 200; 50 when not given.
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// An order as admins see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AdminOrderJson {
    /// Its id.
    id: Uuid,
    /// Of which sale.
    flash_sale_id: Uuid,
    /// Whose.
    buyer: BuyerJson,
    /// Its units.
    quantity: u32,
    /// The price of one unit.
    unit_price: MoneyJson,
    /// The price of all of it.
    total: MoneyJson,
    /// What has become of it.
    #[schema(value_type = OrderStatusJson)]
    status: &'static str,
    /// Until when a pending order's units are held.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// Of a refunded order: whether its units went back into the sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    restocked: Option<bool>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// Everyone's orders, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/orders",
    tag = "admin",
    params(Filters),
    responses(
        (status = 200, description = "A page of orders", body = Page<AdminOrderJson>),
        (status = 422, description = "`invalid_query`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn list(
    State(app): State<AppState>,
    _: Admin,
    Query(filters): Query<Filters>,
) -> Result<Json<Page<AdminOrderJson>>, Problem> {
    let slice = PageQuery { limit: filters.limit, cursor: filters.cursor }.slice()?;
    let status = filters.status.as_deref().map(status).transpose()?;
    let filter =
        OrderFilter { sale: filters.flash_sale_id.map(SaleId), buyer: filters.buyer, status, after: None };
    page(&app, filter, slice).await
}

/// A page of orders that pass a filter.
pub(super) async fn page(
    app: &AppState,
    filter: OrderFilter,
    slice: Slice,
) -> Result<Json<Page<AdminOrderJson>>, Problem> {
    let after = slice.after.as_deref().map(time_and_id).transpose()?;
    let found = board::orders(&app.shop, OrderFilter { after, ..filter }, slice.limit + 1).await?;
    let WithPeople { rows, people } = found;
    let page = Page::new(rows, slice.limit, |row| format!("{}/{}", row.order.made_at.0, row.order.id));
    Ok(Json(page.map(|row| AdminOrderJson::of(&row, BuyerJson::of(row.order.buyer, &people)))))
}

/// A word of a query that has to be a status.
pub(super) fn status(text: &str) -> Result<&'static str, Problem> {
    STATUSES.into_iter().find(|status| *status == text).ok_or_else(|| {
        let wrong =
            FieldError::new("/status", "pending, confirmed, expired, cancelled, declined or refunded");
        Problem::new(&kind::INVALID_QUERY).errors(vec![wrong])
    })
}

impl AdminOrderJson {
    fn of(row: &OrderRow, buyer: BuyerJson) -> Self {
        let OrderRow { sale, order, unit_price, .. } = row;
        let total = unit_price.times(order.quantity).unwrap_or(Money { minor: i64::MAX, ..*unit_price });
        let (expires_at, restocked) = match order.status {
            OrderStatus::Pending { until } => (Some(rfc3339(until)), None),
            OrderStatus::Refunded { restocked } => (None, Some(restocked)),
            _ => (None, None),
        };
        Self {
            id: order.id.0,
            flash_sale_id: sale.0,
            buyer,
            quantity: order.quantity,
            unit_price: (*unit_price).into(),
            total: total.into(),
            status: order.status.as_str(),
            expires_at,
            restocked,
            created_at: rfc3339(order.made_at),
            updated_at: rfc3339(order.changed_at),
        }
    }
}
