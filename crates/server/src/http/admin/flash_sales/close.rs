//! `POST /api/v1/admin/flash-sales/{id}/close`: close a sale for good.

use super::run_action;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::Problem;
use crate::shop::sales::SaleAction;
use axum::extract::State;
use documents::AdminSaleDocument;
use sale::SaleId;

/// Close a sale for good. Admitted buyers may still order, and orders may be paid.
#[utoipa::path(
    post,
    path = "/api/v1/admin/flash-sales/{id}/close",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale")),
    responses(
        (status = 200, description = "Closed", body = AdminSaleDocument),
    ),
    security(("token" = []))
)]
pub(super) async fn close(
    app: State<AppState>,
    _: AdminSession,
    id: Path<SaleId>,
) -> Result<Json<AdminSaleDocument>, Problem> {
    run_action(&app, id.0, SaleAction::Close).await
}
