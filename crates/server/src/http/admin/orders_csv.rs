//! `GET /admin/orders.csv`: the orders of a filter as one table for a spreadsheet, however many they are. It is read and sent
//! page by page, as fast as the client takes it, so that no more than two pages are ever in memory.

use super::buyer_json::BuyerJson;
use super::csv::{self, BYTE_ORDER_MARK, CsvCell};
use super::orders::{OrderFilterInput, order_total};
use crate::http::AppState;
use crate::http::extract::{AdminSession, Query};
use crate::http::problem::{Problem, ProblemSchema};
use crate::http::v1::rfc3339;
use crate::shop::all_orders::{self, OrderPage, OrderQuery, OrderRow};
use crate::shop::catalogue_text::format_decimal;
use crate::shop::dashboard::BuyerSelector;
use crate::shop::{Shop, sales};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, header};
use documents::OrderStatusDocument as OrderStatusJson;
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
struct OrdersCsvQuery {
    /// `pending`, `confirmed`, `expired`, `cancelled`, `declined` or `refunded`.
    #[param(value_type = Option<OrderStatusJson>)]
    status: Option<String>,
    /// Of one sale.
    flash_sale_id: Option<Uuid>,
    /// Of one buyer: an e-mail address or an id.
    #[param(value_type = Option<String>)]
    buyer: Option<BuyerSelector>,
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
const ROWS_PER_PAGE: u32 = 1_000;
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
    params(OrdersCsvQuery),
    responses(
        (status = 200, description = "The table", body = String, content_type = "text/csv"),
        (status = 422, description = "`invalid_query`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn orders_csv(
    State(app): State<AppState>,
    _: AdminSession,
    Query(filters): Query<OrdersCsvQuery>,
) -> Result<Response<Body>, Problem> {
    let OrdersCsvQuery { status, flash_sale_id: sale, buyer, q, from, to } = filters;
    let query = all_orders::build_query(
        &app.shop,
        OrderFilterInput { sale, buyer, status, q, from, to }.into_filter()?,
    )
    .await?;
    // Read before the reply begins, so that a failure can still be told as one.
    let first = query.load_page(&app.shop, None, ROWS_PER_PAGE).await?;
    let name = sale.and_then(|sale| sales::find(&app.shop, SaleId(sale)));
    let name = name.map_or_else(String::new, |sale| format!("-{}", sale.listing.slug));
    let mut response = Response::new(Body::from_stream(stream_table(app, query, first)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"orders{name}.csv\""));
    let unnamed = HeaderValue::from_static("attachment; filename=\"orders.csv\"");
    headers.insert(header::CONTENT_DISPOSITION, disposition.unwrap_or(unnamed));
    Ok(response)
}

/// The table in pieces of a page each, with its head before the first.
fn stream_table(
    app: AppState,
    query: OrderQuery,
    first: OrderPage,
) -> impl Stream<Item = Result<String, io::Error>> {
    let mut head = String::from(BYTE_ORDER_MARK);
    csv::push_row(&mut head, COLUMNS.into_iter().map(CsvCell::Trusted));
    try_unfold((app, query, Some((head, first))), async |(app, query, piece)| {
        let Some((mut text, page)) = piece else { return Ok(None) };
        text.reserve(page.rows.len() * ROW_LEN);
        for row in &page.rows {
            push_order(&mut text, &app.shop, row, &BuyerJson::from_people(row.order.buyer, &page.people));
        }
        let next = match page.next {
            Some(after) => {
                let page = query.load_page(&app.shop, Some(after), ROWS_PER_PAGE).await;
                Some((String::new(), page.map_err(stream_error)?))
            }
            None => None,
        };
        Ok(Some((text, (app, query, next))))
    })
}

/// The reply has begun, so that all that can be told of a failure is the missing end; the log has the cause.
fn stream_error(error: impl Into<Problem>) -> io::Error {
    let problem: Problem = error.into();
    io::Error::other(problem.kind().code)
}

fn push_order(text: &mut String, shop: &Shop, row: &OrderRow, buyer: &BuyerJson) {
    let OrderRow { sale, order, unit_price, .. } = row;
    let listed = sales::find(shop, *sale);
    let listing = listed.as_ref().map(|sale| &sale.listing);
    let (email, username) = buyer.names();
    let total = order_total(row);
    let (restocked, expires_at) = match order.status {
        OrderStatus::Refunded { restocked: true } => ("yes", String::new()),
        OrderStatus::Refunded { restocked: false } => ("no", String::new()),
        OrderStatus::Pending { until } => ("", rfc3339(until)),
        _ => ("", String::new()),
    };
    csv::push_row(
        text,
        [
            CsvCell::Trusted(&order.id.to_string()),
            CsvCell::Trusted(&sale.to_string()),
            CsvCell::Untrusted(listing.map_or("", |listing| listing.slug.as_str())),
            CsvCell::Untrusted(listing.map_or("", |listing| listing.product.name.as_str())),
            CsvCell::Trusted(&order.buyer.to_string()),
            CsvCell::Untrusted(email.unwrap_or_default()),
            CsvCell::Untrusted(username.unwrap_or_default()),
            CsvCell::Trusted(order.status.as_str()),
            CsvCell::Trusted(restocked),
            CsvCell::Trusted(&order.quantity.to_string()),
            CsvCell::Trusted(unit_price.currency.as_str()),
            CsvCell::Trusted(&unit_price.minor.to_string()),
            CsvCell::Trusted(&format_decimal(*unit_price)),
            CsvCell::Trusted(&total.minor.to_string()),
            CsvCell::Trusted(&format_decimal(total)),
            CsvCell::Trusted(&rfc3339(order.made_at)),
            CsvCell::Trusted(&rfc3339(order.changed_at)),
            CsvCell::Trusted(&expires_at),
        ],
    );
}
