//! What happens in a sale: overview, line and attempts.

mod attempts;
mod overview;
mod queue;

use crate::http::AppState;
use crate::http::problem::{FieldError, Problem, kind};
use crate::shop::dashboard::StatusTotals;
use crate::shop::sales::{self, ListedSale};
use documents::MoneyDocument;
use documents::admin::{RefusalCountDocument, StatusTotalDocument};
use sale::{Money, SaleId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(overview::overview))
        .routes(routes!(queue::queue))
        .routes(routes!(attempts::attempts))
}

/// An amount in the sale's currency.
pub(super) fn sale_money(sale: &ListedSale, minor: i64) -> MoneyDocument {
    Money { minor, ..sale.view.policy.unit_price }.into()
}

pub(super) fn status_totals(sale: &ListedSale, orders: &[StatusTotals]) -> Vec<StatusTotalDocument> {
    let to_document = |totals: &StatusTotals| StatusTotalDocument {
        status: totals.status.clone(),
        orders: totals.orders,
        units: totals.units,
        total: sale_money(sale, totals.amount_minor),
    };
    orders.iter().map(to_document).collect()
}

pub(super) fn refusal_counts(refusals: Vec<(String, u64)>) -> Vec<RefusalCountDocument> {
    refusals.into_iter().map(|(code, count)| RefusalCountDocument { code, count }).collect()
}

pub(super) async fn find_sale(app: &AppState, id: SaleId) -> Result<ListedSale, Problem> {
    sales::find_or_refresh(&app.shop, id).await.ok_or(Problem::new(&kind::SALE_UNKNOWN))
}

/// Parses the key in a cursor.
pub(super) fn parse_cursor<T: std::str::FromStr>(key: &str) -> Result<T, Problem> {
    key.parse().map_err(|_| {
        let error = FieldError::new("/cursor", "not a cursor of this list");
        Problem::new(&kind::INVALID_QUERY).errors(vec![error])
    })
}
