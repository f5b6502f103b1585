//! `GET /admin/orders.csv`: all orders of a filter as one table for a spreadsheet. It is read and sent page by page, as fast as
//! the client reads, so that at most two pages are in memory.

use super::csv::{CsvCell, CsvWriter};
use super::orders::{OrderFilterInput, order_total};
use crate::http::AppState;
use crate::http::extract::{AdminSession, Query};
use crate::http::problem::Problem;
use crate::http::v1::rfc3339;
use crate::shop::all_orders::{self, OrderPage, OrderQuery, OrderRow};
use crate::shop::catalogue_text::format_decimal;
use crate::shop::dashboard::BuyerSelector;
use crate::shop::{Shop, sales};
use crate::shop_documents::buyer_document;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, header};
use documents::{BuyerDocument, OrderStatusDocument};
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

/// A filter of orders.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OrdersCsvQuery {
    /// `pending`, `confirmed`, `expired`, `cancelled`, `declined` or `refunded`.
    #[param(value_type = Option<OrderStatusDocument>)]
    status: Option<String>,
    /// Of one sale.
    flash_sale_id: Option<Uuid>,
    /// Of one buyer: an e-mail address or an id.
    #[param(value_type = Option<String>)]
    buyer: Option<BuyerSelector>,
    /// As in `/api/v1/admin/orders`.
    q: Option<String>,
    /// Created at this time or later (RFC 3339).
    #[param(format = DateTime)]
    from: Option<String>,
    /// Created before this time (RFC 3339).
    #[param(format = DateTime)]
    to: Option<String>,
}

/// Orders of one page; some 300 KiB of text.
const ROWS_PER_PAGE: u32 = 1_000;
/// Usual bytes of a row.
const ROW_LEN: usize = 424;

const COLUMNS: [&str; 21] = [
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
    "payment",
    "paying",
    "paid_at",
];

/// All buyers' orders as CSV, newest first.
///
/// RFC 4180 in UTF-8 with a byte order mark; amounts in minor units and as decimals, times in UTC. An order without `paid_at` was not
/// paid here: its amount is no revenue. A text that a spreadsheet
/// would run as a formula has a `'` before it. Orders that are created during the export are not in it. An export that fails ends
/// without the end of its chunked body.
#[utoipa::path(
    get,
    path = "/api/v1/admin/orders.csv",
    tag = "admin",
    params(OrdersCsvQuery),
    responses(
        (status = 200, description = "The table", body = String, content_type = "text/csv"),
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
    // The first page is read before the reply begins, so that a failure is still a problem document.
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

/// The table in pieces of one page each; the first piece starts with the column names.
fn stream_table(
    app: AppState,
    query: OrderQuery,
    first: OrderPage,
) -> impl Stream<Item = Result<Vec<u8>, io::Error>> {
    try_unfold((app, query, Some((true, first))), async |(app, query, piece)| {
        let Some((is_first, page)) = piece else { return Ok(None) };
        let mut table = if is_first {
            let mut table = CsvWriter::with_byte_order_mark();
            table.push_row(COLUMNS.into_iter().map(CsvCell::Trusted))?;
            table
        } else {
            CsvWriter::with_capacity(page.rows.len() * ROW_LEN)
        };
        for row in &page.rows {
            push_order(&mut table, &app.shop, row, &buyer_document(row.order.buyer, &page.people))?;
        }
        let next = match page.next {
            Some(after) => {
                let page = query.load_page(&app.shop, Some(after), ROWS_PER_PAGE).await;
                Some((false, page.map_err(stream_error)?))
            }
            None => None,
        };
        Ok(Some((table.into_bytes()?, (app, query, next))))
    })
}

/// The reply has begun: the client sees a failure only by the missing end of the body, and the log has the cause.
fn stream_error(error: impl Into<Problem>) -> io::Error {
    let problem: Problem = error.into();
    io::Error::other(problem.kind().code)
}

fn push_order(table: &mut CsvWriter, shop: &Shop, row: &OrderRow, buyer: &BuyerDocument) -> io::Result<()> {
    let OrderRow { sale, order, unit_price, paid_at, .. } = row;
    let payment = if sales::requires_payment(shop, *sale) { "required" } else { "none" };
    let paid_at = paid_at.map(rfc3339).unwrap_or_default();
    let listed = sales::find(shop, *sale);
    let listing = listed.as_ref().map(|sale| &sale.listing);
    let product = listing.map(|listing| listing.product_at(order.made_at));
    let total = order_total(row);
    let (restocked, expires_at) = match order.status {
        OrderStatus::Refunded { restocked: true } => ("yes", String::new()),
        OrderStatus::Refunded { restocked: false } => ("no", String::new()),
        OrderStatus::Pending { until, .. } => ("", rfc3339(until)),
        _ => ("", String::new()),
    };
    table.push_row([
        CsvCell::Trusted(&order.id.to_string()),
        CsvCell::Trusted(&sale.to_string()),
        CsvCell::Untrusted(listing.map_or("", |listing| listing.slug.as_str())),
        CsvCell::Untrusted(product.map_or("", |product| product.name.as_str())),
        CsvCell::Trusted(&order.buyer.to_string()),
        CsvCell::Untrusted(buyer.email.as_deref().unwrap_or_default()),
        CsvCell::Untrusted(buyer.username.as_deref().unwrap_or_default()),
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
        CsvCell::Trusted(payment),
        CsvCell::Trusted(if order.status.is_paying() { "yes" } else { "" }),
        CsvCell::Trusted(&paid_at),
    ])
}
