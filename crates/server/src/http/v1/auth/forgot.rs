//! `POST /api/v1/auth/forgot`: mails a link for a new password.

use super::MailRequestedReply;
use crate::http::AppState;
use crate::http::extract::{FieldErrors, Json, PreferredLanguage};
use crate::http::problem::Problem;
use crate::shop::accounts::{self, EmailAddress};
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

/// The address of the account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ForgotBody {
    /// Case does not matter.
    #[schema(format = Email, max_length = 254)]
    email: String,
}

/// Mails a link with which the owner of an account chooses a new password.
///
/// The reply is the same whether or not there is an account of the address. An address gets at most five such mails an hour. There is no such
/// call unless the shop sends mail (`mail` of `/api/v1/features`).
#[utoipa::path(post, path = "/api/v1/auth/forgot", tag = "auth", request_body = ForgotBody, responses(
    (status = 202, description = "If there is an account of the address, a link is mailed to it", body = MailRequestedReply),
))]
pub(super) async fn forgot_password(
    State(app): State<AppState>,
    PreferredLanguage(language): PreferredLanguage,
    Json(body): Json<ForgotBody>,
) -> Result<(StatusCode, Json<MailRequestedReply>), Problem> {
    let email = body.validate()?;
    accounts::forgot_password(&app.shop.accounts, &email, language).await??;
    Ok((StatusCode::ACCEPTED, Json(MailRequestedReply::new(email.into_text()))))
}

impl ForgotBody {
    fn validate(self) -> Result<EmailAddress, Problem> {
        let mut fields = FieldErrors::new();
        fields.check("/email", self.email.parse()).ok_or_else(|| fields.into_problem())
    }
}
