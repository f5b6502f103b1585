//! `GET /api/v1/admin/webhooks`: all endpoints.

use super::WebhookJson;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json};
use crate::http::problem::Problem;
use crate::shop::webhooks::endpoints;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// The endpoints of the shop.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhooks)]
pub(super) struct WebhooksJson {
    /// The oldest first; at most 64.
    items: Vec<WebhookJson>,
}

/// List the webhook endpoints.
#[utoipa::path(
    get,
    path = "/api/v1/admin/webhooks",
    tag = "admin",
    responses((status = 200, description = "The endpoints", body = WebhooksJson)),
    security(("token" = []))
)]
pub(super) async fn list(
    State(app): State<AppState>,
    _: AdminSession,
) -> Result<Json<WebhooksJson>, Problem> {
    let now = (app.shop.now)();
    let endpoints = endpoints::list(&app.shop).await?;
    let items = endpoints.into_iter().map(|endpoint| WebhookJson::new(endpoint, now)).collect();
    Ok(Json(WebhooksJson { items }))
}
