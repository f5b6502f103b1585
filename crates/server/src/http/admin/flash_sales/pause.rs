//! `POST /api/v1/admin/flash-sales/{id}/pause`: pause a sale.

use super::run_action;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::Problem;
use crate::shop::sales::SaleAction;
use axum::extract::State;
use documents::AdminSaleDocument;
use sale::SaleId;

/// Pause a sale. Nobody is admitted and nothing can be ordered. Orders may be paid, and the time of admissions stops.
#[utoipa::path(
    post,
    path = "/api/v1/admin/flash-sales/{id}/pause",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale")),
    responses(
        (status = 200, description = "Paused", body = AdminSaleDocument),
    ),
    security(("token" = []))
)]
pub(super) async fn pause(
    app: State<AppState>,
    _: AdminSession,
    id: Path<SaleId>,
) -> Result<Json<AdminSaleDocument>, Problem> {
    run_action(&app, id.0, SaleAction::Pause).await
}
