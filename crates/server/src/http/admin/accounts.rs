//! `/admin/accounts`: what an admin may do with an account. It never shows a password or a token.

mod end_sessions;
mod role;

use crate::auth::Role;
use crate::http::AppState;
use crate::http::v1::rfc3339;
use crate::shop::accounts::AccountProfile;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(end_sessions::end_sessions)).routes(routes!(role::set_role))
}

/// An account after its sessions were ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ManagedAccountReply {
    #[schema(value_type = uuid::Uuid)]
    id: sale::id::BuyerId,
    email: String,
    username: String,
    role: Role,
    #[schema(format = DateTime)]
    created_at: String,
    /// When its address, name, role or password last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// Sessions that this request ended.
    ended_sessions: u64,
}

impl ManagedAccountReply {
    fn new(account: AccountProfile, ended_sessions: u64) -> Self {
        let AccountProfile { id, email, username, role, created_at, updated_at, .. } = account;
        let (created_at, updated_at) = (rfc3339(created_at), rfc3339(updated_at));
        Self { id, email, username, role, created_at, updated_at, ended_sessions }
    }
}
