//! `POST /api/v1/auth/sign-out-everywhere`: ends every session of the account.

use crate::http::AppState;
use crate::http::extract::BuyerSession;
use crate::http::problem::Problem;
use crate::shop::accounts;
use axum::extract::State;
use axum::http::StatusCode;

/// Ends every session of the account, on all devices.
#[utoipa::path(post, path = "/api/v1/auth/sign-out-everywhere", tag = "auth", security(("token" = [])), responses(
    (status = 204, description = "Signed out everywhere, here too"),
))]
pub(super) async fn sign_out_everywhere(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
) -> Result<StatusCode, Problem> {
    accounts::end_sessions(&app.shop.accounts, session.buyer).await??;
    // This one too when restored tables do not know it.
    accounts::logout(&app.shop.accounts, session).await?;
    Ok(StatusCode::NO_CONTENT)
}
