//! `POST /api/v1/auth/verify`: confirms the address of an account with a link from a mail, or mails another link.

use super::MailRequestedReply;
use crate::http::AppState;
use crate::http::extract::{FieldErrors, Json, PreferredLanguage};
use crate::http::problem::Problem;
use crate::shop::accounts::{self, AccountTextError, EmailAddress, MailedLink};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

/// What the link of the mail holds; or, for another link, the address alone.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyBody {
    /// The part of the link behind `#token=`. It can be used once, within an hour.
    #[schema(nullable = false)]
    token: Option<String>,
    /// The address of the account. With a token, one of another account is refused.
    #[schema(format = Email, max_length = 254, nullable = false)]
    email: Option<String>,
}

/// What the caller wants.
enum VerifyRequest {
    Confirm(MailedLink),
    SendLink(EmailAddress),
}

/// Confirms the address of an account.
///
/// With a token from a mail the address is confirmed. With an address alone, another link is mailed if there is an account of it that is
/// not confirmed; the reply is the same for every address. A new account gets the first link by itself.
#[utoipa::path(post, path = "/api/v1/auth/verify", tag = "auth", request_body = VerifyBody, responses(
    (status = 202, description = "If there is such an account, a link is mailed to it", body = MailRequestedReply),
    (status = 204, description = "The address is confirmed"),
))]
pub(super) async fn verify_address(
    State(app): State<AppState>,
    PreferredLanguage(language): PreferredLanguage,
    Json(body): Json<VerifyBody>,
) -> Result<Response, Problem> {
    let accounts = &app.shop.accounts;
    match body.validate()? {
        VerifyRequest::Confirm(link) => {
            accounts::confirm_address(accounts, link).await??;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        VerifyRequest::SendLink(email) => {
            accounts::request_confirmation(accounts, &email, language).await??;
            let reply = MailRequestedReply::new(email.into_text());
            Ok((StatusCode::ACCEPTED, Json(reply)).into_response())
        }
    }
}

impl VerifyBody {
    fn validate(self) -> Result<VerifyRequest, Problem> {
        let mut fields = FieldErrors::new();
        let email = match self.email {
            None => Some(None),
            Some(email) => fields.check("/email", email.parse()).map(Some),
        };
        let request = match (self.token, email) {
            (_, None) => None,
            (Some(token), Some(email)) => Some(VerifyRequest::Confirm(MailedLink { token, email })),
            (None, Some(Some(email))) => Some(VerifyRequest::SendLink(email)),
            (None, Some(None)) => fields.check("", Err(AccountTextError("give a token or an address"))),
        };
        request.ok_or_else(|| fields.into_problem())
    }
}
