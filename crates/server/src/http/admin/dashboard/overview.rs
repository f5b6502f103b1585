//! `GET /api/v1/admin/flash-sales/{id}/overview`: units, orders, money, refusals and line of a sale.

use super::{RefusalsJson, StatusSumJson, find_sale, refusal_counts, sale_money, status_totals};
use crate::http::AppState;
use crate::http::admin::flash_sales::AdminSaleJson;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::{Problem, ProblemSchema};
use crate::shop::dashboard::{self, DashboardOverview};
use axum::extract::State;
use documents::MoneyDocument;
use sale::SaleId;
use serde::Serialize;
use utoipa::ToSchema;

/// The state of a sale.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OverviewJson {
    /// The sale with its current counters.
    sale: AdminSaleJson,
    /// Orders by status.
    orders: Vec<StatusSumJson>,
    /// Payments minus refunds.
    revenue: MoneyDocument,
    /// Orders made in the last 60 seconds.
    orders_last_minute: u64,
    /// Refused attempts by code.
    refusals: Vec<RefusalsJson>,
    /// The `version` of the sale to which orders, revenue and attempts belong.
    projected_version: u64,
    /// Events by which the tables lag behind `sale`.
    projection_lag: u64,
}

/// The state of a sale: units, orders, money, refusals, line.
#[utoipa::path(
    get,
    path = "/api/v1/admin/flash-sales/{id}/overview",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale")),
    responses(
        (status = 200, description = "The numbers", body = OverviewJson),
        (status = 404, description = "`sale_unknown`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
pub(super) async fn overview(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<SaleId>,
) -> Result<Json<OverviewJson>, Problem> {
    let DashboardOverview { sale, orders, orders_last_minute, refusals, projected } =
        dashboard::load_overview(&app.shop, find_sale(&app, id).await?).await?;
    let revenue = sale_money(&sale, dashboard::revenue_minor(&orders));
    Ok(Json(OverviewJson {
        orders: status_totals(&sale, &orders),
        revenue,
        orders_last_minute,
        refusals: refusal_counts(refusals),
        projected_version: projected.0,
        projection_lag: sale.view.seq.0.saturating_sub(projected.0),
        sale: AdminSaleJson::from_sale(&sale, app.shop.engine.now()),
    }))
}
