//! `POST /api/v1/auth/register`: creates a buyer's account and signs it in.

use super::{SignedInReply, parse_language, sign_in_origin};
use crate::http::AppState;
use crate::http::caller::RequestCaller;
use crate::http::extract::{FieldErrors, Json, PreferredLanguage};
use crate::http::problem::Problem;
use crate::mail::language::BuyerLanguage;
use crate::shop::accounts::{self, AccountRegistration, PlainPassword};
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterBody {
    /// Case does not matter.
    #[schema(format = Email, max_length = 254)]
    email: String,
    /// Letters, digits, `_`, `.` and `-`. Unique without regard to case.
    #[schema(min_length = 3, max_length = 32, pattern = "^[A-Za-z0-9_.-]+$")]
    username: String,
    /// None of the most common passwords.
    #[schema(format = Password, min_length = 8, max_length = 256)]
    password: String,
    /// The language of the shop's mails: `en`, `de` or `ar`. Without it the one that `Accept-Language` prefers.
    #[schema(pattern = "^(en|de|ar)$", nullable = false)]
    language: Option<String>,
}

/// Creates a buyer's account and signs it in.
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "auth", request_body = RegisterBody, responses(
    (status = 201, description = "Signed in", body = SignedInReply),
))]
pub(super) async fn register(
    State(app): State<AppState>,
    Extension(caller): Extension<RequestCaller>,
    PreferredLanguage(preferred): PreferredLanguage,
    Json(body): Json<RegisterBody>,
) -> Result<(StatusCode, Json<SignedInReply>), Problem> {
    let (registration, network) = (body.validate(preferred)?, sign_in_origin(caller).network);
    let signed_in = accounts::register(&app.shop.accounts, registration, network).await??;
    Ok((StatusCode::CREATED, Json(signed_in.into())))
}

impl RegisterBody {
    fn validate(self, preferred: BuyerLanguage) -> Result<AccountRegistration, Problem> {
        let mut fields = FieldErrors::new();
        let email = fields.check("/email", self.email.parse());
        let username = fields.check("/username", self.username.parse());
        let password = fields.check("/password", PlainPassword::try_from(self.password));
        let language = match self.language {
            None => Some(preferred),
            Some(code) => fields.check("/language", parse_language(&code)),
        };
        match (email, username, password, language) {
            (Some(email), Some(username), Some(password), Some(language)) => {
                Ok(AccountRegistration { email, username, password, language })
            }
            _ => Err(fields.into_problem()),
        }
    }
}
