//! `DELETE /api/v1/admin/webhooks/{id}`: delete an endpoint.

use crate::http::AppState;
use crate::http::extract::{AdminSession, Path};
use crate::http::problem::Problem;
use crate::shop::webhooks::endpoints;
use axum::extract::State;
use axum::http::StatusCode;
use uuid::Uuid;

/// Delete a webhook endpoint with its deliveries. What waits for a try is not sent.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/webhooks/{id}",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The endpoint")),
    responses(
        (status = 204, description = "Deleted"),
    ),
    security(("token" = []))
)]
pub(super) async fn delete(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    endpoints::delete(&app.shop, id).await??;
    Ok(StatusCode::NO_CONTENT)
}
