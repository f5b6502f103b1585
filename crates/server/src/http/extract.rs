//! Extractors: JSON bodies, queries, ids in paths, and the session. Each failure is a [`Problem`] with a pointer. A body is never
//! read past its limit, and no input makes an extractor panic.

use super::AppState;
use super::caller::RequestCaller;
use super::problem::{FieldError, Problem, kind};
use super::reply::json_reply;
use crate::auth::{Role, Session};
use crate::mail::language::BuyerLanguage;
use crate::shop::accounts;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

/// A JSON body of a request or a reply. Types of requests need `#[serde(deny_unknown_fields)]`.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<AppState> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Problem> {
        let body = read_json_body(request, app).await?;
        let errors = find_nul_fields(&body);
        if errors.is_empty() {
            parse_json(&body).map(Self)
        } else {
            Err(Problem::new(&kind::INVALID_BODY).errors(errors))
        }
    }
}

/// A JSON body that a request may leave out: an empty one is none, whatever its declared type.
#[derive(Debug, Clone, Copy)]
pub struct OptionalJson<T>(pub Option<T>);

impl<T: DeserializeOwned> FromRequest<AppState> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = read_body(body, app.edge.body_len_max).await?;
        if body.is_empty() || body.trim_ascii() == b"null" {
            return Ok(Self(None));
        }
        let Json(body) = Json::from_request(Request::from_parts(parts, Body::from(body)), app).await?;
        Ok(Self(Some(body)))
    }
}

/// Reads the bytes of a JSON body.
///
/// # Errors
/// 415 when it is declared as something else or is compressed, and those of [`read_body`].
pub(super) async fn read_json_body(request: Request, app: &AppState) -> Result<Bytes, Problem> {
    if !is_json(request.headers()) {
        return Err(Problem::new(&kind::UNSUPPORTED_MEDIA_TYPE));
    }
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        let detail = "send the body as it is, without Content-Encoding";
        return Err(Problem::new(&kind::UNSUPPORTED_MEDIA_TYPE).detail(detail));
    }
    read_body(request.into_body(), app.edge.body_len_max).await
}

/// What is wrong with a text that one database stores and the other does not: PostgreSQL has no character U+0000.
const HAS_NUL: &str = "must not have the character U+0000";

/// An error for each text or name in a body that has the character U+0000. A JSON text can hold it only as an escape, so almost
/// every body is searched and not parsed.
pub(super) fn find_nul_fields(body: &[u8]) -> Vec<FieldError> {
    const ESCAPED_NUL: &[u8] = br"\u0000";
    let mut errors = Vec::new();
    if body.windows(ESCAPED_NUL.len()).any(|part| part == ESCAPED_NUL)
        // What is not JSON is refused by those who parse it.
        && let Ok(tree) = serde_json::from_slice::<Value>(body)
    {
        find_nul(&tree, &mut String::new(), &mut errors);
    }
    errors
}

fn find_nul(tree: &Value, pointer: &mut String, errors: &mut Vec<FieldError>) {
    let len = pointer.len();
    match tree {
        Value::String(text) if text.contains('\0') => {
            errors.push(FieldError::new(pointer.clone(), HAS_NUL));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointer.push_str(&format!("/{index}"));
                find_nul(item, pointer, errors);
                pointer.truncate(len);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                if name.contains('\0') {
                    errors.push(FieldError::new(pointer.clone(), HAS_NUL));
                    continue;
                }
                pointer.push('/');
                pointer.push_str(&truncate_message(escape_pointer(name)));
                find_nul(field, pointer, errors);
                pointer.truncate(len);
            }
        }
        _ => {}
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        // An order or a sale fits, so that the buffer is not reallocated.
        let mut text = Vec::with_capacity(1024);
        match serde_json::to_writer(&mut text, &self.0) {
            Ok(()) => json_reply(text),
            Err(error) => Problem::from_failure(&kind::INTERNAL, &error).into_response(),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) else { return false };
    if value == "application/json" {
        return true;
    }
    let essence = value.split(';').next().unwrap_or_default().trim();
    let Some((r#type, subtype)) = essence.split_once('/') else { return false };
    let subtype = subtype.to_ascii_lowercase();
    r#type.eq_ignore_ascii_case("application") && (subtype == "json" || subtype.ends_with("+json"))
}

/// Reads a body of at most `len_max` bytes.
///
/// # Errors
/// 413 when it is larger, 408 when it takes too long, 400 when the connection breaks.
pub async fn read_body(mut body: Body, len_max: usize) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(BODY_TIME_LIMIT, collect_body(&mut body, len_max)).await;
    let read = read.unwrap_or(Err(Problem::new(&kind::REQUEST_TIMEOUT)));
    if read.as_ref().is_err_and(|problem| problem.kind() == &kind::BODY_TOO_LARGE) {
        discard_body(body).await;
    }
    read
}

async fn collect_body(body: &mut Body, len_max: usize) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|_| Problem::new(&kind::BAD_REQUEST).detail("the body of the request broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + all.len() + data.len() > len_max {
            return Err(body_too_large(len_max));
        }
        // Almost every body is one frame, which is used without a copy.
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Whether a body is declared to be longer than this.
#[must_use]
pub fn is_longer_than(headers: &HeaderMap, len_max: usize) -> bool {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else { return false };
    let len = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
    len.is_some_and(|len| len > len_max as u64)
}

/// The problem of a body that is larger than `len_max`.
#[must_use]
pub fn body_too_large(len_max: usize) -> Problem {
    Problem::new(&kind::BODY_TOO_LARGE).detail(format!("a body may have {len_max} bytes"))
}

/// Reads and discards the rest of a body, within limits. A connection that is closed with unread bytes is reset, and the client
/// would not see the reply.
pub async fn discard_body(mut body: Body) {
    let reading = async {
        let mut len = 0;
        while let Some(Ok(frame)) = body.frame().await {
            len += frame.data_ref().map_or(0, Bytes::len);
            if len > DISCARDED_LEN_MAX {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(BODY_TIME_LIMIT, reading).await;
}

/// 64 KiB in ten seconds is slower than any network that people use.
const BODY_TIME_LIMIT: Duration = Duration::from_secs(10);

/// Bytes of an oversized body that are read and discarded.
const DISCARDED_LEN_MAX: usize = 16 << 20;

/// Reads a value from a JSON text.
///
/// # Errors
/// 400 when it is not JSON, 422 with a JSON pointer when a field is unknown or has the wrong type.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if is_json_array(body) {
        return Err(Problem::new(&kind::INVALID_BODY).errors(vec![FieldError::new("", MUST_BE_OBJECT)]));
    }
    serde_json::from_slice(body).map_err(|error| json_problem::<T>(body, &error))
}

/// serde would read an array as the fields of a struct in their order.
pub(super) fn is_json_array(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'[')
}

/// The problem of a body that serde refuses to read as `T`.
#[cold]
pub(super) fn json_problem<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> Problem {
    if error.is_data() {
        return locate_error::<T>(body, error);
    }
    let at = format!("the body is not valid JSON at line {}, column {}", error.line(), error.column());
    Problem::new(&kind::BAD_JSON).detail(at)
}

/// Reads the body again to find the pointer, which only a refused body pays for.
fn locate_error<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> Problem {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let located = serde_path_to_error::deserialize::<_, T>(&mut deserializer);
    let pointer = located.err().map(|located| json_pointer(located.path())).unwrap_or_default();
    Problem::new(&kind::INVALID_BODY).errors(vec![field_error(pointer, error.to_string())])
}

/// The error of serde with the pointer to the field: serde reports a missing or duplicate field at its object. The names of Rust
/// types are left out.
fn field_error(pointer: String, message: String) -> FieldError {
    let named = |prefix: &str| message.strip_prefix(prefix)?.split('`').next();
    let missing = named("missing field `").map(|name| (name, "is required"));
    let twice = || named("duplicate field `").map(|name| (name, "is there twice"));
    if let Some((name, detail)) = missing.or_else(twice) {
        return FieldError::new(format!("{pointer}/{}", truncate_message(escape_pointer(name))), detail);
    }
    FieldError::new(pointer, field_rule(&truncate_message(message)))
}

/// The rule behind a message of serde, or of the parser of a parameter, in the words of the other rules. A message that a type of ours has
/// written is such a rule already.
fn field_rule(message: &str) -> Cow<'static, str> {
    if message.starts_with("unknown field ") {
        return "is not a field here".into();
    }
    if message.contains("UUID") {
        return MUST_BE_ID.into();
    }
    match message {
        "number would be zero for non-zero type" => return MUST_BE_POSITIVE.into(),
        "invalid digit found in string"
        | "cannot parse integer from empty string"
        | "number too large to fit in target type"
        | "number too small to fit in target type" => return MUST_BE_WHOLE.into(),
        "provided string was not `true` or `false`" => return MUST_BE_FLAG.into(),
        _ => {}
    }
    let is_of_serde = ["invalid type: ", "invalid value: ", "unknown variant "]
        .iter()
        .any(|prefix| message.starts_with(prefix));
    let expected = message.rsplit_once(", expected ").filter(|_| is_of_serde).map(|(_, expected)| expected);
    match expected {
        None => message.to_owned().into(),
        Some(expected) if expected.starts_with("a nonzero ") => MUST_BE_POSITIVE.into(),
        Some("u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize") => {
            MUST_BE_WHOLE.into()
        }
        Some("a string" | "a borrowed string" | "string") => "must be a text".into(),
        Some("a boolean") => MUST_BE_FLAG.into(),
        Some("a map" | "an object") => MUST_BE_OBJECT.into(),
        Some(expected) if expected.starts_with("struct ") => MUST_BE_OBJECT.into(),
        Some(expected) => format!("must be {expected}").into(),
    }
}

const MUST_BE_ID: &str = "must be an id (a UUID)";
const MUST_BE_OBJECT: &str = "must be an object";
const MUST_BE_POSITIVE: &str = "must be a whole number from 1 up";
const MUST_BE_WHOLE: &str = "must be a whole number within its bounds";
const MUST_BE_FLAG: &str = "must be true or false";

/// A name as a segment of a JSON pointer.
fn escape_pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Messages of serde repeat the input, which can be a large body.
fn truncate_message(mut message: String) -> String {
    const LEN_MAX: usize = 200;
    if let Some(at) = message.rfind(" at line ") {
        message.truncate(at);
    }
    if message.len() > LEN_MAX {
        let end = message.floor_char_boundary(LEN_MAX);
        message.truncate(end);
        message.push('…');
    }
    message
}

/// The path as a JSON pointer (RFC 6901).
pub(super) fn json_pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |mut pointer, segment| {
        let segment = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => escape_pointer(key),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => String::from("?"),
        };
        pointer.push('/');
        pointer.push_str(&truncate_message(segment));
        pointer
    })
}

/// Collects the errors of a body's fields, so that the caller gets all of them at once.
#[derive(Debug, Default)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The valid value; otherwise adds an error for the field at `pointer`.
    pub fn check<T, E: std::fmt::Display>(
        &mut self,
        pointer: &'static str,
        value: Result<T, E>,
    ) -> Option<T> {
        value.map_err(|error| self.add_error(pointer, error.to_string())).ok()
    }

    pub fn add_error(&mut self, pointer: &'static str, detail: impl Into<Cow<'static, str>>) {
        self.0.push(FieldError::new(pointer, detail));
    }

    #[must_use]
    pub fn into_problem(self) -> Problem {
        Problem::new(&kind::INVALID_BODY).errors(self.0)
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if name.contains('\0') || value.contains('\0') {
                let pointer = format!("/{}", truncate_message(escape_pointer(&name.replace('\0', "?"))));
                return Err(
                    Problem::new(&kind::INVALID_QUERY).errors(vec![FieldError::new(pointer, HAS_NUL)])
                );
            }
        }
        let deserializer = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(deserializer).map(Self).map_err(|error| {
            let pointer = json_pointer(error.path());
            let errors = vec![field_error(pointer, error.into_inner().to_string())];
            Problem::new(&kind::INVALID_QUERY).errors(errors)
        })
    }
}

/// The only variable of a path, such as an id. An invalid id is a 404, like an unknown one.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: FromStr + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_found = || Problem::new(&kind::NOT_FOUND);
        let text =
            axum::extract::Path::<String>::from_request_parts(parts, state).await.map_err(|_| not_found())?;
        // No name has the character U+0000, which one database would refuse.
        let text = Some(text.0).filter(|text| !text.contains('\0')).ok_or_else(not_found)?;
        text.parse().map(Self).map_err(|_| not_found())
    }
}

/// Two ids in the path. What is none has no page.
#[derive(Debug, Clone, Copy)]
pub struct PathPair<A, B>(pub A, pub B);

impl<A: FromStr + Send, B: FromStr + Send, S: Send + Sync> FromRequestParts<S> for PathPair<A, B> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_found = || Problem::new(&kind::NOT_FOUND);
        let texts = axum::extract::Path::<(String, String)>::from_request_parts(parts, state).await;
        let axum::extract::Path((first, second)) = texts.map_err(|_| not_found())?;
        match (first.parse(), second.parse()) {
            (Ok(first), Ok(second)) => Ok(Self(first, second)),
            _ => Err(not_found()),
        }
    }
}

/// The session of a valid access token.
#[derive(Debug, Clone, Copy)]
pub struct BuyerSession(pub Session);

impl<S: Send + Sync> FromRequestParts<S> for BuyerSession {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        require_session(parts).map(Self)
    }
}

/// The language of the shop that a client's `Accept-Language` prefers.
#[derive(Debug, Clone, Copy)]
pub struct PreferredLanguage(pub BuyerLanguage);

impl<S: Send + Sync> FromRequestParts<S> for PreferredLanguage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let header = parts.headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Ok(Self(header.map(BuyerLanguage::from_accept_language).unwrap_or_default()))
    }
}

/// The session of an access token with the role `admin`, which the tables confirm: admin calls are few, and what they do is not undone.
#[derive(Debug, Clone, Copy)]
pub struct AdminSession(pub Session);

impl FromRequestParts<AppState> for AdminSession {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
        let session = require_session(parts)?;
        if session.role == Role::Buyer {
            return Err(Problem::new(&kind::FORBIDDEN).detail("this is for admins"));
        }
        if accounts::is_admin_session(&app.shop.accounts, session).await? {
            Ok(Self(session))
        } else {
            Err(Problem::new(&kind::UNAUTHORIZED))
        }
    }
}

fn require_session(parts: &Parts) -> Result<Session, Problem> {
    parts
        .extensions
        .get::<RequestCaller>()
        .and_then(|caller| caller.session)
        .ok_or(Problem::new(&kind::UNAUTHORIZED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sale::SaleId;
    use serde::Deserialize;
    use std::num::NonZeroU32;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct TestBody {
        sale: SaleId,
        quantity: Option<NonZeroU32>,
        count: Option<u32>,
        name: Option<String>,
        restock: Option<bool>,
        role: Option<TestRole>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum TestRole {
        Admin,
        Buyer,
    }

    #[test]
    fn no_library_words_the_error_of_a_field() {
        for (field, pointer, detail) in [
            (r#""quantity":0"#, "/quantity", "must be a whole number from 1 up"),
            (r#""quantity":-1"#, "/quantity", "must be a whole number from 1 up"),
            (r#""quantity":1.5"#, "/quantity", "must be a whole number from 1 up"),
            (r#""quantity":"1""#, "/quantity", "must be a whole number from 1 up"),
            (r#""count":-1"#, "/count", "must be a whole number within its bounds"),
            (r#""name":7"#, "/name", "must be a text"),
            (r#""restock":"yes""#, "/restock", "must be true or false"),
            (r#""role":"boss""#, "/role", "must be `admin` or `buyer`"),
            (r#""quantiy":1"#, "/quantiy", "is not a field here"),
        ] {
            let body = format!(r#"{{"sale":"0190f3a4-0000-7000-8000-000000000000",{field}}}"#);
            let problem = parse_json::<TestBody>(body.as_bytes()).unwrap_err();
            let document: Value = serde_json::from_slice(&problem.body("/")).unwrap();
            let expected = serde_json::json!([{"pointer": pointer, "detail": detail}]);
            assert_eq!(document["errors"], expected, "{body}");
        }
        for body in [r#"{"sale":"demo"}"#, r#"{"sale":7}"#] {
            let message = parse_json::<TestBody>(body.as_bytes()).unwrap_err().message();
            assert_eq!(message, "sale must be an id (a UUID)", "{body}");
        }
    }
}
