//! `GET /admin/orders.csv`: the orders of a filter as one table for a spreadsheet, however many they are. It is read and sent
//! page by page, as fast as the client takes it, so that no more than two pages are ever in memory.

use super::buyer_json::BuyerJson;
use super::cells::{self, BYTE_ORDER_MARK, Cell};
use super::orders::{Asked, total};
use crate::http::AppState;
use crate::http::extract::{Admin, Query};
use crate::http::problem::{Problem, ProblemSchema};
use crate::http::v1::order_json::OrderStatusJson;
use crate::http::v1::rfc3339;
use crate::shop::all_orders::{self, OrderPage, OrderQuery, OrderRow};
use crate::shop::board::Who;
use crate::shop::words::decimal;
use crate::shop::{Shop, sales};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, header};
use futures::Stream;
use futures::stream::try_unfold;
use sale::{OrderStatus, SaleId};
use serde::Deserialize;
use std::io;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(orders_csv))
}

/// Which orders.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CsvFilters {
    /// `pending`, `confirmed`, `expired`, `cancelled`, `declined` or `refunded`.
    #[param(value_type = Option<OrderStatusJson>)]
    status: Option<String>,
    /// Of one sale.
    flash_sale_id: Option<Uuid>,
    /// Of one buyer: an e-mail address or an id.
    #[param(value_type = Option<String>)]
    buyer: Option<Who>,
    /// As of `/api/v1/admin/orders`.
    q: Option<String>,
    /// Made at this moment or later (RFC 3339).
    #[param(format = DateTime)]
    from: Option<String>,
    /// Made before this moment (RFC 3339).
    #[param(format = DateTime)]
    to: Option<String>,
}

/// Orders read at a time; as text some 300 KiB.
const ROWS_AT_ONCE: u32 = 1_000;
/// Bytes of a row of the usual length.
const ROW_LEN: usize = 384;

const COLUMNS: [&str; 18] = [
    "order_id",
    "sale_id",
    "sale",
    "product",
    "buyer_id",
    "email",
    "username",
    "status",
    "restocked",
    "quantity",
    "currency",
    "unit_price_minor",
    "unit_price",
    "total_minor",
    "total",
    "created_at",
    "updated_at",
    "expires_at",
];

/// Everyone's orders as CSV, newest first.
///
/// RFC 4180 in UTF-8 with a byte order mark; amounts in minor units and as decimals, times in UTC. A text that a spreadsheet
/// would take for a formula has a `'` before it. Orders that are made during the export are not in it. An export that breaks
/// off ends without the end of its chunked body.
#[utoipa::path(
    get,
    path = "/api/v1/admin/orders.csv",
    tag = "admin",
    params(CsvFilters),
    responses(
        (status = 200, description = "The table", body = String, content_type = "text/csv"),
        (status = 422, description = "`invalid_query`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn orders_csv(
    State(app): State<AppState>,
    _: Admin,
    Query(filters): Query<CsvFilters>,
) -> Result<Response<Body>, Problem> {
    let CsvFilters { status, flash_sale_id: sale, buyer, q, from, to } = filters;
    let query = all_orders::query(&app.shop, Asked { sale, buyer, status, q, from, to }.filter()?).await?;
    // Read before the reply begins, so that a failure can still be told as one.
    let first = query.page(&app.shop, None, ROWS_AT_ONCE).await?;
    let name = sale.and_then(|sale| sales::find(&app.shop, SaleId(sale)));
    let name = name.map_or_else(String::new, |sale| format!("-{}", sale.listing.slug));
    let mut response = Response::new(Body::from_stream(table(app, query, first)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"orders{name}.csv\""));
    let unnamed = HeaderValue::from_static("attachment; filename=\"orders.csv\"");
    headers.insert(header::CONTENT_DISPOSITION, disposition.unwrap_or(unnamed));
    Ok(response)
}

/// The table in pieces of a page each, with its head before the first.
fn table(
    app: AppState,
    query: OrderQuery,
    first: OrderPage,
) -> impl Stream<Item = Result<String, io::Error>> {
    let mut head = String::from(BYTE_ORDER_MARK);
    cells::row(&mut head, COLUMNS.into_iter().map(Cell::Ours));
    try_unfold((app, query, Some((head, first))), async |(app, query, piece)| {
        let Some((mut text, page)) = piece else { return Ok(None) };
        text.reserve(page.rows.len() * ROW_LEN);
        for row in &page.rows {
            push(&mut text, &app.shop, row, &BuyerJson::of(row.order.buyer, &page.people));
        }
        let next = match page.next {
            Some(after) => {
                let page = query.page(&app.shop, Some(after), ROWS_AT_ONCE).await;
                Some((String::new(), page.map_err(broken)?))
            }
            None => None,
        };
        Ok(Some((text, (app, query, next))))
    })
}

/// The reply has begun, so that all that can be told of a failure is the missing end; the log has the cause.
fn broken(error: impl Into<Problem>) -> io::Error {
    let problem: Problem = error.into();
    io::Error::other(problem.kind().code)
}

fn push(text: &mut String, shop: &Shop, row: &OrderRow, buyer: &BuyerJson) {
    let OrderRow { sale, order, unit_price, .. } = row;
    let listed = sales::find(shop, *sale);
    let listing = listed.as_ref().map(|sale| &sale.listing);
    let (email, username) = buyer.names();
    let total = total(row);
    let (restocked, expires_at) = match order.status {
        OrderStatus::Refunded { restocked: true } => ("yes", String::new()),
        OrderStatus::Refunded { restocked: false } => ("no", String::new()),
        OrderStatus::Pending { until } => ("", rfc3339(until)),
        _ => ("", String::new()),
    };
    cells::row(
        text,
        [
            Cell::Ours(&order.id.to_string()),
            Cell::Ours(&sale.to_string()),
            Cell::Theirs(listing.map_or("", |listing| listing.slug.as_str())),
            Cell::Theirs(listing.map_or("", |listing| listing.product.name.as_str())),
            Cell::Ours(&order.buyer.to_string()),
            Cell::Theirs(email.unwrap_or_default()),
            Cell::Theirs(username.unwrap_or_default()),
            Cell::Ours(order.status.as_str()),
            Cell::Ours(restocked),
            Cell::Ours(&order.quantity.to_string()),
            Cell::Ours(unit_price.currency.as_str()),
            Cell::Ours(&unit_price.minor.to_string()),
            Cell::Ours(&decimal(*unit_price)),
            Cell::Ours(&total.minor.to_string()),
            Cell::Ours(&decimal(total)),
            Cell::Ours(&rfc3339(order.made_at)),
            Cell::Ours(&rfc3339(order.changed_at)),
            Cell::Ours(&expires_at),
        ],
    );
}
