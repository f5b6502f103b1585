//! The merchant's accounts: sign up, sign in, sign out, who is signed in.

use super::super::error::DialectError;
use super::super::fields::{LenientBody, LenientFields};
use super::super::reply::DialectReply;
use super::super::{DialectAdmin, DialectContext, DialectState};
use super::documents::UserDocument;
use super::request::{invalid, read_text, require_session};
use crate::http::caller::RequestCaller;
use crate::http::limits::{LimitClass, LimitKey};
use crate::http::problem::kind;
use crate::http::v1::auth::{guess_limits, sign_in_origin};
use crate::shop::accounts::{
    self, AccountRefusal, EmailAddress, FullName, LoginName, PlainPassword, SignedInAccount,
};
use axum::extract::State;
use axum::http::StatusCode;
use documents::rfc3339;
use serde::Serialize;
use serde_json::json;

/// A session: its token and its account.
#[derive(Serialize)]
struct SignedInDocument {
    token: String,
    user: UserDocument,
}

/// Makes an admin, where the server allows everyone to be one.
pub(super) async fn sign_up(
    State(state): State<DialectState>,
    caller: RequestCaller,
    body: Result<LenientBody, DialectError>,
) -> Result<DialectReply, DialectError> {
    count_attempt(&state, &caller).await?;
    if state.settings.admin == DialectAdmin::Closed {
        let message = "Unauthorized: sign-ups are closed here; make an admin with `doorbuster admin create`";
        return Err(DialectError::new(StatusCode::UNAUTHORIZED, message).code(kind::UNAUTHORIZED.code));
    }
    let LenientBody(fields) = body?;
    let email = read_email(&fields)?;
    let password = fields.text("password")?.ok_or_else(|| invalid("password is required"))?;
    let password = PlainPassword::from_lenient_client(password)
        .map_err(|rule| invalid(format!("password must have {rule}")))?;
    let full_name = match read_text(&fields, "name")? {
        Some(name) => Some(name.parse::<FullName>().map_err(|rule| invalid(format!("name must be {rule}")))?),
        None => None,
    };
    let (service, network) = (&state.app.shop.accounts, sign_in_origin(caller).network);
    let made = accounts::register_admin(service, email, password, full_name, network).await;
    let signed_in = made?.map_err(refuse)?;
    Ok(DialectReply::with_status(StatusCode::CREATED, &SignedInDocument::from(signed_in)))
}

pub(super) async fn sign_in(
    State(state): State<DialectState>,
    caller: RequestCaller,
    LenientBody(fields): LenientBody,
) -> Result<DialectReply, DialectError> {
    count_attempt(&state, &caller).await?;
    let email = read_text(&fields, "email")?.ok_or_else(|| invalid("email is required"))?;
    let password = fields.text("password")?.ok_or_else(|| invalid("password is required"))?;
    // What cannot be an address or a password is no account's.
    let name = email.parse().map(LoginName::Email).map_err(|_| refuse(AccountRefusal::BadCredentials))?;
    let password = PlainPassword::for_login(password).map_err(|_| refuse(AccountRefusal::BadCredentials))?;
    let (limits, origin) = (guess_limits(&state.app), sign_in_origin(caller));
    let signed_in = accounts::login(&state.app.shop.accounts, limits, name, password, origin).await;
    let signed_in = signed_in?.map_err(refuse)?;
    Ok(DialectReply::ok(&SignedInDocument::from(signed_in)))
}

/// Ends the session of the token, if there is one. The body says nothing, but it must be one that can be read.
pub(super) async fn sign_out(
    State(state): State<DialectState>,
    caller: RequestCaller,
    _body: LenientBody,
) -> Result<DialectReply, DialectError> {
    if let Some(session) = caller.session {
        accounts::logout(&state.app.shop.accounts, session).await?;
    }
    Ok(DialectReply::ok(&json!({"ok": true})))
}

pub(super) async fn show_session(
    State(state): State<DialectState>,
    caller: RequestCaller,
) -> Result<DialectReply, DialectError> {
    let session = require_session(&caller)?;
    state.count_request(LimitClass::Read, LimitKey::from_buyer(session.buyer)).await?;
    let account = accounts::find_account(&state.app.shop.accounts, session).await?;
    // The account was deleted since.
    let account = account.ok_or_else(|| refuse(AccountRefusal::AccountUnknown))?;
    Ok(DialectReply::ok(&json!({
        "session": {"userId": session.buyer, "expiresAt": rfc3339(session.expires_at)},
        "user": UserDocument::from(account),
    })))
}

async fn count_attempt(state: &DialectContext, caller: &RequestCaller) -> Result<(), DialectError> {
    state.count_request(LimitClass::Auth, LimitKey::from_address(caller.address)).await
}

fn read_email(fields: &LenientFields) -> Result<EmailAddress, DialectError> {
    let email = read_text(fields, "email")?.ok_or_else(|| invalid("email is required"))?;
    email.parse().map_err(|rule| invalid(format!("email must be {rule}")))
}

fn refuse(refusal: AccountRefusal) -> DialectError {
    let error = DialectError::from(refusal);
    match refusal {
        AccountRefusal::BadCredentials => DialectError {
            status: StatusCode::UNAUTHORIZED,
            message: "Unauthorized: wrong e-mail or password".to_owned(),
            ..error
        },
        AccountRefusal::AccountUnknown => DialectError {
            status: StatusCode::UNAUTHORIZED,
            message: "Unauthorized: the account does not exist any more".to_owned(),
            ..error
        },
        _ => error,
    }
}

impl From<SignedInAccount> for SignedInDocument {
    fn from(signed_in: SignedInAccount) -> Self {
        Self { token: signed_in.access_token, user: signed_in.account.into() }
    }
}
