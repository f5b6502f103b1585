//! `POST /api/v1/auth/login`: signs in.

use super::{SignedInReply, guess_limits, sign_in_origin};
use crate::http::AppState;
use crate::http::caller::RequestCaller;
use crate::http::extract::{FieldErrors, Json};
use crate::http::problem::Problem;
use crate::shop::accounts::{self, AccountTextError, LoginName, PlainPassword};
use axum::extract::{Extension, State};
use serde::Deserialize;
use utoipa::ToSchema;

/// An e-mail address or a username, and the password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginBody {
    /// Either this or `username`.
    email: Option<String>,
    username: Option<String>,
    #[schema(format = Password)]
    password: String,
}

/// Signs in.
///
/// Wrong passwords for one account are limited, whatever addresses they come from. Those from an address from which the account has
/// signed in before, and those with an access token of the account, are counted on their own.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = LoginBody, responses(
    (status = 200, description = "Signed in", body = SignedInReply),
))]
pub(super) async fn login(
    State(app): State<AppState>,
    Extension(caller): Extension<RequestCaller>,
    Json(body): Json<LoginBody>,
) -> Result<Json<SignedInReply>, Problem> {
    let (name, password) = body.validate()?;
    let (limits, origin) = (guess_limits(&app), sign_in_origin(caller));
    let signed_in = accounts::login(&app.shop.accounts, limits, name, password, origin).await??;
    Ok(Json(signed_in.into()))
}

impl LoginBody {
    fn validate(self) -> Result<(LoginName, PlainPassword), Problem> {
        let mut fields = FieldErrors::new();
        let name = match (self.email, self.username) {
            (Some(email), None) => fields.check("/email", email.parse().map(LoginName::Email)),
            (None, Some(username)) => fields.check("/username", username.parse().map(LoginName::Username)),
            _ => fields.check("", Err(AccountTextError("give either email or username"))),
        };
        let password = fields.check("/password", PlainPassword::for_login(self.password));
        match (name, password) {
            (Some(name), Some(password)) => Ok((name, password)),
            _ => Err(fields.into_problem()),
        }
    }
}
