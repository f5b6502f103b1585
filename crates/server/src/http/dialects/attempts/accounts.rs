//! Accounts at `attempts`: the native ones, with shorter passwords.

use super::super::DialectState;
use super::super::error::{DialectError, WrongField};
use super::super::fields::{LenientBody, LenientFields};
use super::super::reply::DialectReply;
use super::success;
use crate::http::caller::RequestCaller;
use crate::http::limits::{LimitClass, LimitKey};
use crate::http::problem::{Problem, kind};
use crate::http::v1::auth::{guess_limits, sign_in_origin};
use crate::mail::language::BuyerLanguage;
use crate::shop::accounts::{
    self, AccountProfile, AccountRefusal, AccountRegistration, FullName, LoginName, PlainPassword,
};
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

/// Makes a buyer's account. It gets no token.
pub(super) async fn register(
    State(state): State<DialectState>,
    caller: RequestCaller,
    LenientBody(fields): LenientBody,
) -> Result<DialectReply, DialectError> {
    state.count_request(LimitClass::Auth, LimitKey::from_address(caller.address)).await?;
    let (registration, full_name) = read_registration(&fields)?;
    let network = sign_in_origin(caller).network;
    let created = accounts::create_account(&state.app.shop.accounts, registration, full_name, network).await;
    match created.map_err(Problem::from)? {
        Ok(account) => Ok(success(StatusCode::CREATED, describe_account(account))),
        Err(refusal) => Err(refuse(refusal)),
    }
}

/// Signs in.
pub(super) async fn login(
    State(state): State<DialectState>,
    caller: RequestCaller,
    LenientBody(fields): LenientBody,
) -> Result<DialectReply, DialectError> {
    state.count_request(LimitClass::Auth, LimitKey::from_address(caller.address)).await?;
    let (username, password) = (require_text(&fields, "username")?, require_password(&fields)?);
    // A text that no account can have is as wrong as any other.
    let wrong = || refuse(AccountRefusal::BadCredentials);
    let name = LoginName::Username(username.trim().parse().map_err(|_| wrong())?);
    let password = PlainPassword::for_login(password).map_err(|_| wrong())?;
    let (limits, origin) = (guess_limits(&state.app), sign_in_origin(caller));
    let signed_in = accounts::login(&state.app.shop.accounts, limits, name, password, origin).await;
    let signed_in = signed_in.map_err(Problem::from)?.map_err(refuse)?;
    let data = Map::from_iter([
        ("token".to_owned(), json!(signed_in.access_token)),
        ("userId".to_owned(), user_id(&signed_in.account)),
    ]);
    Ok(success(StatusCode::OK, data))
}

fn read_registration(
    fields: &LenientFields,
) -> Result<(AccountRegistration, Option<FullName>), DialectError> {
    let username = require_text(fields, "username")?;
    let email = require_text(fields, "email")?;
    let password = require_password(fields)?;
    let full_name = fields.text("fullName")?.filter(|name| !name.trim().is_empty());
    let registration = AccountRegistration {
        email: email.trim().parse().map_err(|_| wrong_field("email", "must be an e-mail address"))?,
        username: username
            .trim()
            .parse()
            .map_err(|_| wrong_field("username", "must be 3 to 32 letters, digits, '_', '.' or '-'"))?,
        password: PlainPassword::from_lenient_client(password)
            .map_err(|_| wrong_field("password", "must be 6 to 256 characters"))?,
        language: BuyerLanguage::default(),
    };
    let full_name = full_name.map(|name| name.parse()).transpose();
    let full_name = full_name.map_err(|_| wrong_field("fullName", "must be 1 to 200 characters"))?;
    Ok((registration, full_name))
}

fn require_text(fields: &LenientFields, name: &'static str) -> Result<String, DialectError> {
    let text = fields.text(name)?.filter(|text| !text.trim().is_empty());
    text.ok_or_else(|| wrong_field(name, "is required"))
}

/// Blanks are a password too.
fn require_password(fields: &LenientFields) -> Result<String, DialectError> {
    let password = fields.text("password")?.filter(|password| !password.is_empty());
    password.ok_or_else(|| wrong_field("password", "is required"))
}

fn wrong_field(field: &'static str, reason: &'static str) -> DialectError {
    WrongField { field, reason }.into()
}

fn describe_account(account: AccountProfile) -> Map<String, Value> {
    let user_id = user_id(&account);
    let AccountProfile { username, email, full_name, .. } = account;
    let mut data = Map::from_iter([
        ("userId".to_owned(), user_id),
        ("username".to_owned(), json!(username)),
        ("email".to_owned(), json!(email)),
    ]);
    if let Some(name) = full_name {
        data.insert("fullName".into(), json!(name));
    }
    data
}

/// The integer id as a text. Every account has one when it signs in or is made.
fn user_id(account: &AccountProfile) -> Value {
    json!(account.integer_id.map(|id| id.to_string()))
}

fn refuse(refusal: AccountRefusal) -> DialectError {
    match refusal {
        AccountRefusal::UsernameTaken => {
            DialectError::new(StatusCode::CONFLICT, "Username already exists").code(kind::USERNAME_TAKEN.code)
        }
        AccountRefusal::EmailTaken => {
            DialectError::new(StatusCode::CONFLICT, "Email already exists").code(kind::EMAIL_TAKEN.code)
        }
        AccountRefusal::BadCredentials => DialectError::new(StatusCode::UNAUTHORIZED, "Invalid credentials")
            .code(kind::BAD_CREDENTIALS.code),
        other => Problem::from(other).into(),
    }
}
