//! `DELETE /api/v1/admin/products/{id}`: delete a product.

use crate::http::AppState;
use crate::http::admin::run_to_completion;
use crate::http::extract::{AdminSession, Path};
use crate::http::problem::Problem;
use crate::shop::products::{self, ProductId};
use axum::extract::State;
use axum::http::StatusCode;

/// Delete a product. Earlier orders keep its name.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/products/{id}",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The product")),
    responses(
        (status = 204, description = "Deleted"),
    ),
    security(("token" = []))
)]
pub(super) async fn delete(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<ProductId>,
) -> Result<StatusCode, Problem> {
    run_to_completion(async move { products::delete(&app.shop, id).await }).await???;
    Ok(StatusCode::NO_CONTENT)
}
