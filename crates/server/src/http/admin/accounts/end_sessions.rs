//! `POST /admin/accounts/{id}/end-sessions`: signs an account out everywhere.

use super::ManagedAccountReply;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::Problem;
use crate::shop::accounts;
use axum::extract::State;
use sale::BuyerId;

/// End the sessions of an account.
///
/// All its tokens and sockets end, on every instance within a second. The account can sign in again.
#[utoipa::path(
    post,
    path = "/api/v1/admin/accounts/{id}/end-sessions",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The account, which is a buyer's id too")),
    responses(
        (status = 200, description = "Signed out everywhere", body = ManagedAccountReply),
    ),
    security(("token" = []))
)]
pub(super) async fn end_sessions(
    State(app): State<AppState>,
    AdminSession(admin): AdminSession,
    Path(account): Path<BuyerId>,
) -> Result<Json<ManagedAccountReply>, Problem> {
    let (profile, ended) = accounts::end_sessions(&app.shop.accounts, account).await??;
    tracing::info!(admin = %admin.buyer, %account, ended, "an admin ended the sessions of an account");
    Ok(Json(ManagedAccountReply::new(profile, ended)))
}
