//! `/admin/orders` and the orders of one sale: all buyers' orders, with filters and a search.

mod list;
mod of_sale;

use crate::http::AppState;
use crate::http::bounds::SEARCH_LEN_MAX;
use crate::http::extract::Json;
use crate::http::page::{Page, PageRequest, parse_time_cursor};
use crate::http::problem::{FieldError, Problem, kind};
use crate::http::timestamp::{BAD_TIMESTAMP, parse_rfc3339};
use crate::shop::all_orders::{self, OrderFilter, OrderPage, OrderRow, STATUSES};
use crate::shop::dashboard::BuyerSelector;
use crate::shop::sales;
use crate::shop_documents::buyer_document;
use documents::{AdminOrderDocument, BuyerDocument};
use sale::{Money, OrderStatus, SaleId, Timestamp};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(of_sale::of_sale))
}

/// The unparsed values of a filter.
#[derive(Debug, Default)]
pub(super) struct OrderFilterInput {
    pub sale: Option<Uuid>,
    pub buyer: Option<BuyerSelector>,
    pub status: Option<String>,
    pub q: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
}

async fn load_page(
    app: &AppState,
    asked: OrderFilterInput,
    request: PageRequest,
) -> Result<Json<Page<AdminOrderDocument>>, Problem> {
    let after = request.after.as_deref().map(parse_time_cursor).transpose()?;
    let query = all_orders::build_query(&app.shop, asked.into_filter()?).await?;
    let OrderPage { rows, people, next } = query.load_page(&app.shop, after, request.limit).await?;
    let page = Page::from_parts(rows, next.map(|(at, id)| format!("{}/{id}", at.0)));
    Ok(Json(page.map(|row| {
        let product = sales::find_sold_product(&app.shop, row.sale, row.order.made_at);
        let product = product.map(|product| product.name.clone());
        let payment_required = sales::requires_payment(&app.shop, row.sale);
        admin_order_document(&row, product, payment_required, buyer_document(row.order.buyer, &people))
    })))
}

impl OrderFilterInput {
    /// Parses the filter; the error lists every invalid value.
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
            let at = text.as_deref().map(parse_rfc3339)?;
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
    // The law limits price and quantity so that the product fits.
    row.unit_price.checked_mul(row.order.quantity).unwrap_or(Money { minor: i64::MAX, ..row.unit_price })
}

fn admin_order_document(
    row: &OrderRow,
    product: Option<String>,
    payment_required: bool,
    buyer: BuyerDocument,
) -> AdminOrderDocument {
    let OrderRow { sale, order, unit_price, seq, paid_at, made_seq: _ } = row;
    let (expires_at, restocked) = match order.status {
        OrderStatus::Pending { until, .. } => (Some(until), None),
        OrderStatus::Refunded { restocked } => (None, Some(restocked)),
        _ => (None, None),
    };
    AdminOrderDocument {
        id: order.id,
        flash_sale_id: *sale,
        product,
        buyer,
        quantity: order.quantity,
        unit_price: (*unit_price).into(),
        total: order_total(row).into(),
        status: order.status.into(),
        paying: order.status.is_paying(),
        payment_required,
        expires_at,
        restocked,
        created_at: order.made_at,
        updated_at: order.changed_at,
        paid_at: *paid_at,
        version: seq.0,
    }
}
