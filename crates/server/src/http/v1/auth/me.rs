//! `GET /api/v1/auth/me`: the account of the session.

use super::AccountReply;
use crate::http::AppState;
use crate::http::extract::{BuyerSession, Json};
use crate::http::problem::{Problem, kind};
use crate::shop::{accounts, native_guests};
use axum::extract::State;

/// The account of the session. A guest has the address in place of a username.
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "auth", security(("token" = [])), responses(
    (status = 200, description = "The account", body = AccountReply),
))]
pub(super) async fn me(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
) -> Result<Json<AccountReply>, Problem> {
    if let Some(account) = accounts::find_account(&app.shop.accounts, session).await? {
        return Ok(Json(account.into()));
    }
    let guest = native_guests::find_guest(&app.shop, session.buyer).await?;
    Ok(Json(guest.ok_or(Problem::new(&kind::UNAUTHORIZED))?.into()))
}
