//! `POST /api/v1/auth/logout`: ends the session: its access and refresh tokens stop working.

use crate::http::AppState;
use crate::http::extract::BuyerSession;
use crate::http::problem::{Problem, ProblemSchema};
use crate::shop::accounts;
use axum::extract::State;
use axum::http::StatusCode;

/// Ends the session: its access and refresh tokens stop working.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth", security(("token" = [])), responses(
    (status = 204, description = "Signed out"),
    (status = 401, description = "`unauthorized`", body = ProblemSchema, content_type = "application/problem+json"),
))]
pub(super) async fn logout(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
) -> Result<StatusCode, Problem> {
    accounts::logout(&app.shop.accounts, session).await?;
    Ok(StatusCode::NO_CONTENT)
}
