//! `/auth`: register, log in, refresh, log out, change the password.

mod forgot;
mod guest;
mod login;
mod logout;
mod me;
mod password;
mod refresh;
mod register;
mod reset;
mod sign_out_everywhere;
mod verify;

use crate::auth::Role;
use crate::http::AppContext;
use crate::http::AppState;
use crate::http::caller::RequestCaller;
use crate::http::limits::LimitKey;
use crate::http::v1::rfc3339;
use crate::mail::language::BuyerLanguage;
use crate::shop::accounts::{AccountProfile, AccountTextError, GuessLimits, SignInOrigin, SignedInAccount};
use crate::shop::mails::tokens::TOKEN_MINUTES;
use crate::shop::native_guests::GuestProfile;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(register::register))
        .routes(routes!(login::login))
        .routes(routes!(guest::begin_guest_visit))
        .routes(routes!(refresh::refresh))
        .routes(routes!(logout::logout))
        .routes(routes!(sign_out_everywhere::sign_out_everywhere))
        .routes(routes!(password::change_password))
        .routes(routes!(forgot::forgot_password))
        .routes(routes!(reset::reset_password))
        .routes(routes!(verify::verify_address))
        .routes(routes!(me::me))
}

/// A session: the account and its tokens.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SignedInReply {
    user: AccountReply,
    /// For `Authorization: Bearer …`.
    access_token: String,
    /// For `POST /auth/refresh`. It can be used once, and again for 30 seconds while its successor is unused.
    refresh_token: String,
    /// Seconds until the access token expires.
    expires_in: i64,
}

/// An account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AccountReply {
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
}

/// Where the password of a request comes from.
pub(in crate::http) fn sign_in_origin(caller: RequestCaller) -> SignInOrigin {
    SignInOrigin { network: LimitKey::from_address(caller.address).as_u128(), session: caller.session }
}

/// A language of mails, by its code.
pub(super) fn parse_language(code: &str) -> Result<BuyerLanguage, AccountTextError> {
    code.parse().map_err(|_| AccountTextError("one of the languages en, de and ar"))
}

/// What is said of a mail that may have been sent: it is the same for every address.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MailRequestedReply {
    /// The address that was given.
    email: String,
    /// Seconds for which the link or the code of the mail is valid.
    expires_in: i64,
}

impl MailRequestedReply {
    fn new(email: String) -> Self {
        Self { email, expires_in: TOKEN_MINUTES * 60 }
    }
}

/// The limit of wrong passwords, if limits are on.
pub(in crate::http) fn guess_limits(app: &AppContext) -> Option<&dyn GuessLimits> {
    app.limits.as_ref().map(|limits| limits as &dyn GuessLimits)
}

impl From<SignedInAccount> for SignedInReply {
    fn from(signed_in: SignedInAccount) -> Self {
        Self {
            user: signed_in.account.into(),
            access_token: signed_in.access_token,
            refresh_token: signed_in.refresh_token.into_text(),
            expires_in: signed_in.expires_in_s,
        }
    }
}

impl From<GuestProfile> for AccountReply {
    fn from(guest: GuestProfile) -> Self {
        let GuestProfile { id, email, created_at } = guest;
        let created_at = rfc3339(created_at);
        Self {
            id,
            username: email.clone(),
            email,
            role: Role::Buyer,
            updated_at: created_at.clone(),
            created_at,
        }
    }
}

impl From<AccountProfile> for AccountReply {
    fn from(account: AccountProfile) -> Self {
        let AccountProfile { id, email, username, role, created_at, updated_at, .. } = account;
        let (created_at, updated_at) = (rfc3339(created_at), rfc3339(updated_at));
        Self { id, email, username, role, created_at, updated_at }
    }
}
