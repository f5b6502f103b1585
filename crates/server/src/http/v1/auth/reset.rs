//! `POST /api/v1/auth/reset`: a new password, with a link from a mail.

use crate::http::AppState;
use crate::http::extract::{FieldErrors, Json};
use crate::http::problem::Problem;
use crate::shop::accounts::{self, MailedLink, PlainPassword};
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

/// What the link of the mail holds, and the password that the account gets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResetBody {
    /// The part of the link behind `#token=`. It can be used once, within an hour.
    token: String,
    /// None of the most common passwords.
    #[schema(format = Password, min_length = 8, max_length = 256)]
    password: String,
    /// The address of the account; a token of another account is refused.
    #[schema(format = Email, max_length = 254, nullable = false)]
    email: Option<String>,
}

/// Chooses a new password with a link from a mail.
///
/// All sessions of the account end. The link proves the address of the account, too.
#[utoipa::path(post, path = "/api/v1/auth/reset", tag = "auth", request_body = ResetBody, responses(
    (status = 204, description = "The password is changed; sign in with it"),
))]
pub(super) async fn reset_password(
    State(app): State<AppState>,
    Json(body): Json<ResetBody>,
) -> Result<StatusCode, Problem> {
    let (link, password) = body.validate()?;
    accounts::reset_password(&app.shop.accounts, link, password).await??;
    Ok(StatusCode::NO_CONTENT)
}

impl ResetBody {
    fn validate(self) -> Result<(MailedLink, PlainPassword), Problem> {
        let mut fields = FieldErrors::new();
        let password = fields.check("/password", PlainPassword::try_from(self.password));
        let email = match self.email {
            None => Some(None),
            Some(email) => fields.check("/email", email.parse()).map(Some),
        };
        match (password, email) {
            (Some(password), Some(email)) => Ok((MailedLink { token: self.token, email }, password)),
            _ => Err(fields.into_problem()),
        }
    }
}
