//! `POST /api/v1/auth/guest`: a buyer without an account, for one visit or, with a code from a mail, the same each time.

use super::{AccountReply, MailRequestedReply};
use crate::http::AppState;
use crate::http::extract::{FieldErrors, Json, PreferredLanguage};
use crate::http::problem::{Problem, kind};
use crate::shop::accounts::EmailAddress;
use crate::shop::mails::{self, tokens::TokenPurpose};
use crate::shop::native_guests::{self, GuestVisit};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where the guest can be reached.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GuestBody {
    /// Case does not matter. Only a code proves that it is the caller's.
    #[schema(format = Email, max_length = 254)]
    email: String,
    /// The code that was mailed to the address.
    #[schema(nullable = false, max_length = 40)]
    code: Option<String>,
}

/// A guest and its token. There is no refresh token: a guest who comes back later is a new one, or gives another code.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GuestReply {
    /// The guest has the address in place of a username.
    user: AccountReply,
    /// For `Authorization: Bearer …`.
    access_token: String,
    /// Seconds until the access token expires.
    expires_in: i64,
}

/// Makes a guest.
///
/// In a shop that sends no mail each call makes a new buyer, who sees nothing of others with the same address. In one that does
/// (`mail` of `/api/v1/features`), the address alone is answered with 202 and gets a code, and with the code the caller is the same buyer
/// each time. A sale's limit per buyer counts the orders of all guests of an address together. There is no such call unless the shop was
/// started with `--guests on`.
#[utoipa::path(post, path = "/api/v1/auth/guest", tag = "auth", request_body = GuestBody, responses(
    (status = 200, description = "A guest", body = GuestReply),
    (status = 202, description = "A code is mailed to the address", body = MailRequestedReply),
))]
pub(super) async fn begin_guest_visit(
    State(app): State<AppState>,
    PreferredLanguage(language): PreferredLanguage,
    Json(body): Json<GuestBody>,
) -> Result<Response, Problem> {
    if !app.shop.guest_limits.is_on {
        return Err(Problem::new(&kind::NOT_FOUND).detail("this shop sells to accounts alone"));
    }
    let (email, code) = body.validate()?;
    let shop = &app.shop;
    let visit = match (&shop.accounts.mails, code) {
        (Some(outbox), Some(code)) => {
            let visit = native_guests::return_with_code(shop, outbox, (email, language), &code).await?;
            visit.ok_or(Problem::new(&kind::BAD_MAIL_TOKEN))?
        }
        (Some(outbox), None) => {
            let (purpose, now) = (TokenPurpose::GuestCode, (shop.now)());
            mails::request_token(&shop.store, outbox, purpose, (&email, language), now).await?;
            let reply = MailRequestedReply::new(email.into_text());
            return Ok((StatusCode::ACCEPTED, Json(reply)).into_response());
        }
        (None, Some(_)) => return Err(Problem::mail_off()),
        (None, None) => native_guests::begin_visit(shop, email).await?,
    };
    let GuestVisit { guest, access_token, expires_in_s } = visit;
    Ok(Json(GuestReply { user: guest.into(), access_token, expires_in: expires_in_s }).into_response())
}

impl GuestBody {
    fn validate(self) -> Result<(EmailAddress, Option<String>), Problem> {
        let mut fields = FieldErrors::new();
        let email = fields.check("/email", self.email.parse());
        email.map(|email| (email, self.code)).ok_or_else(|| fields.into_problem())
    }
}
