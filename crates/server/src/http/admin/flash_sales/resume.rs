//! `POST /api/v1/admin/flash-sales/{id}/resume`: resume a paused sale.

use super::run_action;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::Problem;
use crate::shop::sales::SaleAction;
use axum::extract::State;
use documents::AdminSaleDocument;
use sale::SaleId;

/// Resume a paused sale.
#[utoipa::path(
    post,
    path = "/api/v1/admin/flash-sales/{id}/resume",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale")),
    responses(
        (status = 200, description = "Resumed", body = AdminSaleDocument),
    ),
    security(("token" = []))
)]
pub(super) async fn resume(
    app: State<AppState>,
    _: AdminSession,
    id: Path<SaleId>,
) -> Result<Json<AdminSaleDocument>, Problem> {
    run_action(&app, id.0, SaleAction::Resume).await
}
