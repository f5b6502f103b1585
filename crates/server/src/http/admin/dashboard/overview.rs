//! `GET /api/v1/admin/flash-sales/{id}/overview`: units, orders, money, refusals and line of a sale.

use super::{find_sale, refusal_counts, sale_money, status_totals};
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::Problem;
use crate::shop::dashboard::{self, DashboardOverview};
use crate::shop_documents::admin_sale_document;
use axum::extract::State;
use documents::OverviewDocument;
use sale::SaleId;

/// The state of a sale: units, orders, money, refusals, line.
#[utoipa::path(
    get,
    path = "/api/v1/admin/flash-sales/{id}/overview",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale")),
    responses(
        (status = 200, description = "The numbers", body = OverviewDocument),
    ),
    security(("token" = []))
)]
pub(super) async fn overview(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<SaleId>,
) -> Result<Json<OverviewDocument>, Problem> {
    let DashboardOverview { sale, orders, refunded_parts_minor, orders_last_minute, refusals, projected } =
        dashboard::load_overview(&app.shop, find_sale(&app, id).await?).await?;
    let revenue = sale_money(&sale, dashboard::revenue_minor(&orders, refunded_parts_minor));
    Ok(Json(OverviewDocument {
        orders: status_totals(&sale, &orders),
        revenue,
        orders_last_minute,
        refusals: refusal_counts(refusals),
        projected_version: projected.0,
        projection_lag: sale.view.seq.0.saturating_sub(projected.0),
        sale: admin_sale_document(&sale, app.shop.engine.now()),
    }))
}
