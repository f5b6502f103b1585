//! `GET /api/v1/admin/webhooks/{id}`: one endpoint.

use super::WebhookJson;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::Problem;
use crate::shop::webhooks::endpoints;
use axum::extract::State;
use uuid::Uuid;

/// Show a webhook endpoint.
#[utoipa::path(
    get,
    path = "/api/v1/admin/webhooks/{id}",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The endpoint")),
    responses(
        (status = 200, description = "The endpoint", body = WebhookJson),
    ),
    security(("token" = []))
)]
pub(super) async fn show(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<Uuid>,
) -> Result<Json<WebhookJson>, Problem> {
    let endpoint = endpoints::find(&app.shop, id).await??;
    Ok(Json(WebhookJson::new(endpoint, (app.shop.now)())))
}
