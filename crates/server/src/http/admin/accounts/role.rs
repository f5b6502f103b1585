//! `POST /admin/accounts/{id}/role`: makes an account an admin, or a buyer again.

use super::ManagedAccountReply;
use crate::auth::Role;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::Problem;
use crate::shop::accounts;
use axum::extract::State;
use sale::BuyerId;
use serde::Deserialize;
use utoipa::ToSchema;

/// The role that the account gets.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleBody {
    role: Role,
}

/// Change the role of an account.
///
/// Its sessions end, because their tokens carry the old role. Nothing happens when it has the role already. The last admin keeps the
/// role.
#[utoipa::path(
    post,
    path = "/api/v1/admin/accounts/{id}/role",
    tag = "admin",
    request_body = RoleBody,
    params(("id" = Uuid, Path, description = "The account, which is a buyer's id too")),
    responses(
        (status = 200, description = "The account has the role", body = ManagedAccountReply),
    ),
    security(("token" = []))
)]
pub(super) async fn set_role(
    State(app): State<AppState>,
    AdminSession(admin): AdminSession,
    Path(account): Path<BuyerId>,
    Json(body): Json<RoleBody>,
) -> Result<Json<ManagedAccountReply>, Problem> {
    let change = accounts::set_role(&app.shop.accounts, account, body.role).await??;
    let (role, ended) = (body.role.as_str(), change.ended_count);
    tracing::info!(admin = %admin.buyer, %account, role, ended, "an admin set the role of an account");
    Ok(Json(ManagedAccountReply::new(change.account, ended)))
}
