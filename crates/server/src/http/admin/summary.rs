//! `GET /admin/flash-sales/{id}/summary`: the result of a sale.

use super::dashboard::{find_sale, refusal_counts, sale_money, status_totals};
use super::series::CountsJson;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::Problem;
use crate::http::v1::rfc3339;
use crate::shop::dashboard::revenue_minor;
use crate::shop::summary::{self, DurationStats, PeakSecond, SaleSummary};
use crate::shop_documents::admin_sale_document;
use axum::extract::State;
use documents::admin::{RefusalCountDocument, StatusTotalDocument};
use documents::{AdminSaleDocument, MoneyDocument};
use sale::SaleId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(sale_summary))
}

/// The result of a sale, so far.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SummaryJson {
    sale: AdminSaleDocument,
    /// Counts of events.
    totals: CountsJson,
    /// Orders by status.
    orders: Vec<StatusTotalDocument>,
    /// Payments minus refunds. What is sold without a payment is not in it.
    revenue: MoneyDocument,
    /// Buyers with a confirmed order.
    buyers: u64,
    /// Refused attempts by code.
    refusals: Vec<RefusalCountDocument>,
    /// The second of the first event of a buyer; null when there is none.
    #[schema(format = DateTime)]
    first_activity_at: Option<String>,
    /// The second of the last event of a buyer, without refunds.
    #[schema(format = DateTime)]
    last_activity_at: Option<String>,
    /// When no unit was free for the first time: each was sold, held or reserved.
    #[schema(format = DateTime)]
    taken_at: Option<String>,
    /// When every unit was sold for the first time.
    #[schema(format = DateTime)]
    sold_out_at: Option<String>,
    /// The second in which most buyers joined the line.
    joins_peak: Option<PeakJson>,
    /// The second in which most orders were made.
    orders_peak: Option<PeakJson>,
    /// How long buyers waited, from joining the line to being admitted.
    wait: Option<SpansJson>,
    /// From being admitted to the order.
    checkout: Option<SpansJson>,
    /// From the order to its payment, where units were held.
    payment: Option<SpansJson>,
    /// Buyers who were admitted after one with a later ticket. 0 unless a promise was broken.
    out_of_order: u64,
    /// The `version` of the sale to which the numbers belong.
    projected_version: u64,
    /// Events by which the numbers lag behind the sale.
    projection_lag: u64,
}

/// The busiest second.
#[derive(Debug, Serialize, ToSchema)]
struct PeakJson {
    /// Its start.
    #[schema(format = DateTime)]
    at: String,
    count: u64,
}

/// Durations, exact over all buyers so far.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SpansJson {
    /// Buyers.
    count: u64,
    /// The median, in milliseconds.
    p50_ms: i64,
    /// The 95th percentile, in milliseconds.
    p95_ms: i64,
}

impl From<PeakSecond> for PeakJson {
    fn from(PeakSecond { at, count }: PeakSecond) -> Self {
        Self { at: rfc3339(at), count }
    }
}

impl From<DurationStats> for SpansJson {
    fn from(DurationStats { count, p50_ms, p95_ms }: DurationStats) -> Self {
        Self { count, p50_ms, p95_ms }
    }
}

/// The result of a sale: totals, peaks, durations, and whether the order of the line was kept.
///
/// While the sale runs, the numbers are cached for some seconds, longer the more buyers it has; `projectedVersion` is the version to
/// which they belong.
#[utoipa::path(
    get,
    path = "/api/v1/admin/flash-sales/{id}/summary",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale")),
    responses(
        (status = 200, description = "The numbers", body = SummaryJson),
    ),
    security(("token" = []))
)]
async fn sale_summary(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<SaleId>,
) -> Result<Json<SummaryJson>, Problem> {
    let SaleSummary { sale, statistics, orders, refunded_parts_minor, refusals, projected } =
        summary::load_summary(&app.shop, find_sale(&app, id).await?).await?;
    Ok(Json(SummaryJson {
        totals: statistics.totals.into(),
        orders: status_totals(&sale, &orders),
        revenue: sale_money(&sale, revenue_minor(&orders, refunded_parts_minor)),
        buyers: statistics.buyers,
        refusals: refusal_counts(refusals),
        first_activity_at: statistics.activity.map(|(first, _)| rfc3339(first)),
        last_activity_at: statistics.activity.map(|(_, last)| rfc3339(last)),
        taken_at: statistics.taken_at.map(rfc3339),
        sold_out_at: statistics.sold_out_at.map(rfc3339),
        joins_peak: statistics.joins_peak.map(Into::into),
        orders_peak: statistics.orders_peak.map(Into::into),
        wait: statistics.wait.map(Into::into),
        checkout: statistics.checkout.map(Into::into),
        payment: statistics.payment.map(Into::into),
        out_of_order: statistics.out_of_order,
        projected_version: projected.0,
        projection_lag: sale.view.seq.0.saturating_sub(projected.0),
        sale: admin_sale_document(&sale, app.shop.engine.now()),
    }))
}
