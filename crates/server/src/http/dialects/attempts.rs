//! The dialect `attempts`: one unit for each account and sale, with integer ids.

mod accounts;
mod api_docs;
mod attempt;
mod health;
mod order_status;
mod sale_status;

use super::DialectState;
use super::error::DialectError;
use super::reply::DialectReply;
use super::routes::DialectRoutes;
use crate::auth::Session;
use crate::http::caller::RequestCaller;
use crate::http::limits::{LimitClass, LimitKey};
use crate::http::problem::kind;
use crate::shop::integer_ids;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

const REGISTER: &str = "/api/auth/register";
const LOGIN: &str = "/api/auth/login";
const SALE_STATUS: &str = "/api/flash-sale/status";
const ATTEMPT: &str = "/api/flash-sale/attempt/{saleId}";
const ORDER_STATUS: &str = "/api/orders/status/{productId}";
const HEALTH: &str = "/health";
const API_DOCS: &str = "/api-docs";
const API_DOCS_JSON: &str = "/api-docs.json";

#[must_use]
pub fn routes() -> DialectRoutes {
    DialectRoutes::new()
        .post(REGISTER, accounts::register)
        .post(LOGIN, accounts::login)
        .get(SALE_STATUS, sale_status::show_sale)
        .post(ATTEMPT, attempt::attempt)
        .get(ORDER_STATUS, order_status::show_order)
        .get(HEALTH, health::show_health)
        .page(API_DOCS, api_docs::show_page)
        .page("/api-docs/", api_docs::redirect_to_page)
        .page("/api-docs/{*file}", api_docs::show_file)
        .get(API_DOCS_JSON, api_docs::show_description)
}

/// An error: `success` is false, and `error` names the kind.
#[must_use]
pub fn render_error(error: &DialectError, _path: &str) -> Value {
    let mut document = Map::from_iter([
        ("success".to_owned(), json!(false)),
        ("error".to_owned(), json!(error_name(error.status))),
        ("message".to_owned(), json!(error.message)),
    ]);
    if let Some(code) = error.code {
        document.insert("code".into(), json!(code));
    }
    document.extend(error.fields.clone());
    Value::Object(document)
}

fn error_name(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "Unauthorized",
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::CONFLICT => "Conflict",
        StatusCode::PAYLOAD_TOO_LARGE => "Payload too large",
        StatusCode::TOO_MANY_REQUESTS => "Too many requests",
        StatusCode::INTERNAL_SERVER_ERROR => "Internal server error",
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => "Service unavailable",
        _ => "Validation error",
    }
}

/// A success: `data`, and its fields beside it.
fn success(status: StatusCode, data: Map<String, Value>) -> DialectReply {
    let mut document = Map::from_iter([("success".to_owned(), json!(true))]);
    document.extend(data.clone());
    document.insert("data".into(), Value::Object(data));
    DialectReply::with_status(status, &document)
}

/// The session of the caller, counted in a limit of the account.
async fn require_session(
    state: &DialectState,
    caller: &RequestCaller,
    headers: &HeaderMap,
    class: LimitClass,
) -> Result<Session, DialectError> {
    let Some(session) = caller.session else {
        return Err(if has_token(headers) {
            unauthorized("Invalid or expired token: sign in again")
        } else {
            unauthorized("No token: send the header Authorization: Bearer TOKEN")
        });
    };
    state.count_request(class, LimitKey::from_buyer(session.buyer)).await?;
    Ok(session)
}

/// Whether a request brings a token, valid or not. The scheme alone is none.
fn has_token(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::AUTHORIZATION).iter();
    let mut words = values.flat_map(|value| value.as_bytes().split(u8::is_ascii_whitespace));
    words.any(|word| !word.is_empty() && !word.eq_ignore_ascii_case(b"Bearer"))
}

/// [`require_session`] of an account, with its integer id: guests of the native API have none.
async fn require_account(
    state: &DialectState,
    caller: &RequestCaller,
    headers: &HeaderMap,
    class: LimitClass,
) -> Result<(Session, i64), DialectError> {
    let session = require_session(state, caller, headers, class).await?;
    let number = integer_ids::find_user_number(&state.app.shop, session.buyer).await?;
    let missing = || unauthorized("Invalid or expired token: it is not that of an account");
    Ok((session, number.ok_or_else(missing)?))
}

fn unauthorized(message: &'static str) -> DialectError {
    DialectError::new(StatusCode::UNAUTHORIZED, message).code(kind::UNAUTHORIZED.code)
}

/// An id in a path. It is a positive integer of decimal digits.
fn parse_id(text: &str) -> Result<i64, DialectError> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| is_number && *number > 0);
    number.ok_or_else(|| DialectError::bad_request("the id in the path must be a positive integer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_without_a_token_brings_none() {
        for (value, expected) in [
            ("Bearer", false),
            ("bearer  ", false),
            ("Bearer Bearer", false),
            ("", false),
            ("Bearer x", true),
            ("Bearer Bearer x", true),
            ("Basic x", true),
            ("x", true),
        ] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            assert_eq!(has_token(&headers), expected, "{value:?}");
        }
        assert!(!has_token(&HeaderMap::new()));
    }

    #[test]
    fn an_id_is_a_positive_integer() {
        assert_eq!(parse_id("17").unwrap(), 17);
        for bad in ["0", "-1", "+1", "1.5", "", "abc", "0x1", "99999999999999999999", "1 "] {
            assert_eq!(parse_id(bad).unwrap_err().status, StatusCode::BAD_REQUEST, "{bad}");
        }
    }

    #[test]
    fn a_success_has_its_fields_twice_and_an_error_has_a_name() {
        let error = DialectError::bad_request("why").code("sold_out");
        let expected =
            json!({"success": false, "error": "Validation error", "message": "why", "code": "sold_out"});
        assert_eq!(render_error(&error, ""), expected);
        assert_eq!(render_error(&DialectError::unknown_path(), "")["error"], "Not found");
    }
}
