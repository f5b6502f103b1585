//! `POST /api/v1/admin/webhooks/{id}/rotate-secret`: a new secret for an endpoint.

use super::WebhookWithSecretJson;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, OptionalJson, Path};
use crate::http::problem::{FieldError, Problem, kind};
use crate::shop::webhooks::WebhookSecret;
use crate::shop::webhooks::endpoints;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The secret to use; a new one when it is absent.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SecretRotation)]
pub(super) struct RotationBody {
    /// `whsec_` and the base64 of 24 to 64 bytes.
    secret: Option<String>,
}

/// Rotate the secret of a webhook endpoint.
///
/// For 24 hours messages have a signature with each of both secrets. The reply is the only one with the new secret.
#[utoipa::path(
    post,
    path = "/api/v1/admin/webhooks/{id}/rotate-secret",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The endpoint")),
    request_body = Option<RotationBody>,
    responses(
        (status = 200, description = "The new secret signs from now on", body = WebhookWithSecretJson),
    ),
    security(("token" = []))
)]
pub(super) async fn rotate_secret(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<Uuid>,
    OptionalJson(body): OptionalJson<RotationBody>,
) -> Result<Json<WebhookWithSecretJson>, Problem> {
    let secret = body.unwrap_or_default().secret.map(WebhookSecret::try_from).transpose();
    let secret = secret.map_err(|error| {
        Problem::new(&kind::INVALID_BODY).errors(vec![FieldError::new("/secret", error.to_string())])
    })?;
    let rotated = endpoints::rotate_secret(&app.shop, id, secret).await??;
    Ok(Json(WebhookWithSecretJson::new(rotated, (app.shop.now)())))
}
