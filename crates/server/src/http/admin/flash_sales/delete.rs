//! `DELETE /api/v1/admin/flash-sales/{id}`: delete a sale, or close it when buyers were in it.

use crate::http::AppState;
use crate::http::admin::run_to_completion;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::Problem;
use crate::shop::sales::{self, DeleteResult, DeleteRule};
use crate::shop_documents::admin_sale_document;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use documents::AdminSaleDocument;
use sale::SaleId;

/// Delete a sale without places and orders. Any other sale is closed instead.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/flash-sales/{id}",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale")),
    responses(
        (status = 200, description = "The sale had places or orders, and is closed", body = AdminSaleDocument),
        (status = 204, description = "Deleted"),
    ),
    security(("token" = []))
)]
pub(super) async fn delete(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<SaleId>,
) -> Result<Response, Problem> {
    let now = app.shop.engine.now();
    let deleting = async move { sales::delete(&app.shop, id, DeleteRule::NeverEntered).await };
    Ok(match run_to_completion(deleting).await??? {
        DeleteResult::Gone => StatusCode::NO_CONTENT.into_response(),
        DeleteResult::Closed(sale) => Json(admin_sale_document(&sale, now)).into_response(),
    })
}
