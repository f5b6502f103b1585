//! `POST /api/v1/auth/logout`: ends the session: its access and refresh tokens stop working.

use crate::http::AppState;
use crate::http::extract::BuyerSession;
use crate::http::problem::Problem;
use crate::shop::accounts;
use axum::extract::State;
use axum::http::StatusCode;

/// Ends the session: its access and refresh tokens stop working.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth", security(("token" = [])), responses(
    (status = 204, description = "Signed out"),
))]
pub(super) async fn logout(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
) -> Result<StatusCode, Problem> {
    accounts::logout(&app.shop.accounts, session).await?;
    Ok(StatusCode::NO_CONTENT)
}
