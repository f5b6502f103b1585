//! `POST /api/v1/auth/refresh`: exchanges a refresh token for new tokens.

use super::SignedInReply;
use crate::http::AppState;
use crate::http::extract::Json;
use crate::http::problem::Problem;
use crate::shop::accounts;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RefreshBody {
    /// From the last login or refresh. It can be used once. For 30 seconds a second use gives the same successor again, as long as that
    /// is unused; any other second use ends the session.
    refresh_token: String,
}

/// Exchanges a refresh token for new tokens.
#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", request_body = RefreshBody, responses(
    (status = 200, description = "New tokens", body = SignedInReply),
))]
pub(super) async fn refresh(
    State(app): State<AppState>,
    Json(body): Json<RefreshBody>,
) -> Result<Json<SignedInReply>, Problem> {
    let signed_in = accounts::refresh(&app.shop.accounts, &body.refresh_token).await??;
    Ok(Json(signed_in.into()))
}
