//! `/admin/orders`, of all sales and of one: everyone's orders, with filters and a search. Refunds are beside the payments.

use super::board::find_sale;
use super::body::{BAD_TIMESTAMP, parse_rfc3339 as moment};
use super::buyer_json::BuyerJson;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path, Query};
use crate::http::page::{Page, PageQuery, PageRequest, parse_time_cursor};
use crate::http::problem::{FieldError, Problem, ProblemSchema, kind};
use crate::http::v1::rfc3339;
use crate::shop::all_orders::{self, OrderFilter, OrderPage, OrderRow, STATUSES};
use crate::shop::dashboard::BuyerSelector;
use crate::shop::sales;
use axum::extract::State;
use documents::MoneyDocument as MoneyJson;
use documents::OrderStatusDocument as OrderStatusJson;
use sale::{Money, OrderStatus, SaleId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(of_sale))
}

/// Which orders.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OrdersQuery {
    /// `pending`, `confirmed`, `expired`, `cancelled`, `declined` or `refunded`.
    #[param(value_type = Option<OrderStatusJson>)]
    status: Option<String>,
    /// Of one sale.
    flash_sale_id: Option<Uuid>,
    /// Of one buyer: an e-mail address or an id.
    #[param(value_type = Option<String>)]
    buyer: Option<BuyerSelector>,
    /// A part of the buyer's e-mail address or username, four or more characters of the order's id, or the whole id of either;
    /// at most 254 characters.
    q: Option<String>,
    /// Made at this moment or later (RFC 3339).
    #[param(format = DateTime)]
    from: Option<String>,
    /// Made before this moment (RFC 3339).
    #[param(format = DateTime)]
    to: Option<String>,
    /// Items in a page, 1 to 200; 50 when not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `nextCursor` of the page before; only with the same filters.
    cursor: Option<String>,
}

/// Which orders of the sale.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SaleOrdersQuery {
    /// `pending`, `confirmed`, `expired`, `cancelled`, `declined` or `refunded`.
    #[param(value_type = Option<OrderStatusJson>)]
    status: Option<String>,
    /// As of `/api/v1/admin/orders`.
    q: Option<String>,
    /// Made at this moment or later (RFC 3339).
    #[param(format = DateTime)]
    from: Option<String>,
    /// Made before this moment (RFC 3339).
    #[param(format = DateTime)]
    to: Option<String>,
    /// Items in a page, 1 to 200; 50 when not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `nextCursor` of the page before; only with the same filters.
    cursor: Option<String>,
}

/// The words of a filter, as they came.
#[derive(Debug, Default)]
pub(super) struct OrderFilterInput {
    pub sale: Option<Uuid>,
    pub buyer: Option<BuyerSelector>,
    pub status: Option<String>,
    pub q: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
}

/// Characters of a search: the longest e-mail address.
const SEARCH_LEN_MAX: usize = 254;

/// An order as admins see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AdminOrderJson {
    /// Its id.
    id: Uuid,
    /// Of which sale.
    flash_sale_id: Uuid,
    /// What the sale sells.
    product: Option<String>,
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
    /// When it was paid, or sold at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    paid_at: Option<String>,
    /// The number of the event that last changed it, in the sale's ledger.
    version: u64,
}

/// Everyone's orders, newest first.
///
/// A search that fits very many buyers looks at so many orders a page and no more: a page may hold fewer than `limit`, or
/// none, and still have a `nextCursor`, with which the search goes on.
#[utoipa::path(
    get,
    path = "/api/v1/admin/orders",
    tag = "admin",
    params(OrdersQuery),
    responses(
        (status = 200, description = "A page of orders", body = Page<AdminOrderJson>),
        (status = 422, description = "`invalid_query`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn list(
    State(app): State<AppState>,
    _: AdminSession,
    Query(filters): Query<OrdersQuery>,
) -> Result<Json<Page<AdminOrderJson>>, Problem> {
    let OrdersQuery { status, flash_sale_id: sale, buyer, q, from, to, limit, cursor } = filters;
    let slice = PageQuery { limit, cursor }.into_request()?;
    load_page(&app, OrderFilterInput { sale, buyer, status, q, from, to }, slice).await
}

/// A sale's orders, newest first.
///
/// With `q`, pages are cut as those of `/api/v1/admin/orders`.
#[utoipa::path(
    get,
    path = "/api/v1/admin/flash-sales/{id}/orders",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale"), SaleOrdersQuery),
    responses(
        (status = 200, description = "A page of orders", body = Page<AdminOrderJson>),
        (status = 404, description = "`sale_unknown`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_query`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn of_sale(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<SaleId>,
    Query(filters): Query<SaleOrdersQuery>,
) -> Result<Json<Page<AdminOrderJson>>, Problem> {
    find_sale(&app, id).await?;
    let SaleOrdersQuery { status, q, from, to, limit, cursor } = filters;
    let slice = PageQuery { limit, cursor }.into_request()?;
    load_page(&app, OrderFilterInput { sale: Some(id.0), buyer: None, status, q, from, to }, slice).await
}

async fn load_page(
    app: &AppState,
    asked: OrderFilterInput,
    slice: PageRequest,
) -> Result<Json<Page<AdminOrderJson>>, Problem> {
    let after = slice.after.as_deref().map(parse_time_cursor).transpose()?;
    let query = all_orders::build_query(&app.shop, asked.into_filter()?).await?;
    let OrderPage { rows, people, next } = query.load_page(&app.shop, after, slice.limit).await?;
    let page = Page::from_parts(rows, next.map(|(at, id)| format!("{}/{id}", at.0)));
    Ok(Json(page.map(|row| {
        let sale = sales::find(&app.shop, row.sale);
        let product = sale.map(|sale| sale.listing.product.name.as_str().to_owned());
        AdminOrderJson::from_row(&row, product, BuyerJson::from_people(row.order.buyer, &people))
    })))
}

impl OrderFilterInput {
    /// The filter that is meant; every word that means nothing is told at once.
    pub(super) fn into_filter(self) -> Result<OrderFilter, Problem> {
        let mut errors = Vec::new();
        let status = self.status.and_then(|word| {
            let known = STATUSES.into_iter().find(|status| *status == word);
            if known.is_none() {
                let detail = "pending, confirmed, expired, cancelled, declined or refunded";
                errors.push(FieldError::new("/status", detail));
            }
            known
        });
        let mut at = |pointer: &str, text: Option<String>| -> Option<Timestamp> {
            let at = text.as_deref().map(moment)?;
            if at.is_none() {
                errors.push(FieldError::new(pointer, BAD_TIMESTAMP));
            }
            at
        };
        let (from, to) = (at("/from", self.from), at("/to", self.to));
        let search = self.q.map(|q| q.trim().to_owned()).filter(|q| !q.is_empty());
        if search.as_ref().is_some_and(|search| search.chars().count() > SEARCH_LEN_MAX) {
            errors.push(FieldError::new("/q", "at most 254 characters"));
        }
        if errors.is_empty() {
            Ok(OrderFilter { sale: self.sale.map(SaleId), buyer: self.buyer, status, search, from, to })
        } else {
            Err(Problem::new(&kind::INVALID_QUERY).errors(errors))
        }
    }
}

/// The price of a whole order.
pub(super) fn order_total(row: &OrderRow) -> Money {
    // The law bounds price and quantity so that this fits.
    row.unit_price.checked_mul(row.order.quantity).unwrap_or(Money { minor: i64::MAX, ..row.unit_price })
}

impl AdminOrderJson {
    fn from_row(row: &OrderRow, product: Option<String>, buyer: BuyerJson) -> Self {
        let OrderRow { sale, order, unit_price, seq, paid_at } = row;
        let (expires_at, restocked) = match order.status {
            OrderStatus::Pending { until } => (Some(rfc3339(until)), None),
            OrderStatus::Refunded { restocked } => (None, Some(restocked)),
            _ => (None, None),
        };
        Self {
            id: order.id.0,
            flash_sale_id: sale.0,
            product,
            buyer,
            quantity: order.quantity,
            unit_price: (*unit_price).into(),
            total: order_total(row).into(),
            status: order.status.as_str(),
            expires_at,
            restocked,
            created_at: rfc3339(order.made_at),
            updated_at: rfc3339(order.changed_at),
            paid_at: paid_at.map(rfc3339),
            version: seq.0,
        }
    }
}
