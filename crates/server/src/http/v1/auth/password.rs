//! `POST /api/v1/auth/password`: changes the password, and ends all other sessions.

use super::{SignedInReply, guess_limits, sign_in_origin};
use crate::http::AppState;
use crate::http::caller::RequestCaller;
use crate::http::extract::{BuyerSession, FieldErrors, Json};
use crate::http::problem::Problem;
use crate::shop::accounts::{self, PasswordChange, PlainPassword};
use axum::extract::{Extension, State};
use serde::Deserialize;
use utoipa::ToSchema;

/// The password that the account has, and the one that it gets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PasswordBody {
    #[schema(format = Password)]
    current_password: String,
    /// None of the most common passwords.
    #[schema(format = Password, min_length = 8, max_length = 256)]
    new_password: String,
}

/// Changes the password.
///
/// All sessions of the account end, also the one that asked, which gets new tokens.
#[utoipa::path(post, path = "/api/v1/auth/password", tag = "auth", request_body = PasswordBody, security(("token" = [])), responses(
    (status = 200, description = "The password is changed, and this is a new session", body = SignedInReply),
))]
pub(super) async fn change_password(
    State(app): State<AppState>,
    Extension(caller): Extension<RequestCaller>,
    BuyerSession(session): BuyerSession,
    Json(body): Json<PasswordBody>,
) -> Result<Json<SignedInReply>, Problem> {
    let (current, new) = body.validate()?;
    let change = PasswordChange { session, current, new, network: sign_in_origin(caller).network };
    let signed_in = accounts::change_password(&app.shop.accounts, guess_limits(&app), change).await??;
    Ok(Json(signed_in.into()))
}

impl PasswordBody {
    fn validate(self) -> Result<(PlainPassword, PlainPassword), Problem> {
        let mut fields = FieldErrors::new();
        let current = fields.check("/currentPassword", PlainPassword::for_login(self.current_password));
        let new = fields.check("/newPassword", PlainPassword::try_from(self.new_password));
        match (current, new) {
            (Some(current), Some(new)) => Ok((current, new)),
            _ => Err(fields.into_problem()),
        }
    }
}
