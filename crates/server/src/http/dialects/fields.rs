//! The fields of a dialect's request, read leniently: JSON, a form or a query; numbers as texts and texts as numbers.

use super::DialectState;
use super::error::{DialectError, WrongField};
use crate::http::extract;
use crate::http::problem::{Problem, kind};
use crate::http::timestamp::{BAD_TIMESTAMP, parse_rfc3339};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use sale::{Currency, Money, Timestamp};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::convert::Infallible;

/// The fields of a request, by name. A field that is `null` is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LenientFields(HashMap<String, FieldValue>);

/// A value as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
enum FieldValue {
    Text(String),
    /// A JSON number, digit by digit.
    Number(String),
    Flag(bool),
    /// An object or an array.
    Nested,
}

/// Digits of an amount at most, so that it fits.
const AMOUNT_LEN_MAX: usize = 16;

const NOT_TEXT: &str = "must be a text";
const NOT_WHOLE: &str = "must be a whole number";
const NOT_AMOUNT: &str = "must be an amount with at most two decimals, such as 99.99";
const NOT_FLAG: &str = "must be true or false";

impl LenientFields {
    /// The fields of a JSON object; `null` is an empty one.
    fn from_json(body: &[u8]) -> Result<Self, DialectError> {
        let body = body.trim_ascii();
        if body.is_empty() || body == b"null" {
            return Ok(Self::default());
        }
        let bad_json = || DialectError::from(Problem::new(&kind::BAD_JSON));
        if body[0] != b'{' {
            serde_json::from_slice::<&RawValue>(body).map_err(|_| bad_json())?;
            return Err(DialectError::bad_request("the body must be a JSON object"));
        }
        // The last of two equal names counts.
        let fields: HashMap<String, Box<RawValue>> = serde_json::from_slice(body).map_err(|_| bad_json())?;
        let mut read = HashMap::with_capacity(fields.len());
        for (name, value) in fields {
            if let Some(value) = FieldValue::from_json(value.get()).map_err(|()| bad_json())? {
                read.insert(name, value);
            }
        }
        Ok(Self(read))
    }

    /// The fields of a form or a query. The last of two equal names counts.
    fn from_form(form: &[u8]) -> Self {
        let fields = form_urlencoded::parse(form);
        Self(fields.map(|(name, value)| (name.into_owned(), FieldValue::Text(value.into_owned()))).collect())
    }

    /// Whether the field is there.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A field as a text; a number is its digits.
    ///
    /// # Errors
    /// When it is an object or an array.
    pub fn text(&self, name: &'static str) -> Result<Option<String>, WrongField> {
        match self.0.get(name) {
            None => Ok(None),
            Some(FieldValue::Text(text)) => Ok(Some(text.clone())),
            Some(FieldValue::Number(digits)) => Ok(Some(write_number(digits))),
            Some(FieldValue::Flag(flag)) => Ok(Some(flag.to_string())),
            Some(FieldValue::Nested) => Err(WrongField { field: name, reason: NOT_TEXT }),
        }
    }

    /// A field as a whole number. A blank text is absent.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn whole_number(&self, name: &'static str) -> Result<Option<i64>, WrongField> {
        let Some(digits) = self.digits(name, NOT_WHOLE)? else { return Ok(None) };
        let digits = &expand_exponent(digits);
        // `5.0` is a whole number too.
        let whole = match digits.split_once('.') {
            Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|digit| digit == b'0') => whole,
            Some(_) => "",
            None => digits.as_str(),
        };
        whole.parse().map(Some).map_err(|_| WrongField { field: name, reason: NOT_WHOLE })
    }

    /// A field as an amount of a currency with two decimals. A blank text is absent.
    ///
    /// # Errors
    /// When it is negative, has more than two decimals, or is no amount.
    pub fn money(&self, name: &'static str, currency: Currency) -> Result<Option<Money>, WrongField> {
        let Some(digits) = self.digits(name, NOT_AMOUNT)? else { return Ok(None) };
        let minor =
            parse_minor(&expand_exponent(digits)).ok_or(WrongField { field: name, reason: NOT_AMOUNT })?;
        Ok(Some(Money { minor, currency }))
    }

    /// A field as a moment: RFC 3339 with any offset. A blank text is absent.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn moment(&self, name: &'static str) -> Result<Option<Timestamp>, WrongField> {
        let wrong = WrongField { field: name, reason: BAD_TIMESTAMP };
        match self.0.get(name) {
            None => Ok(None),
            Some(FieldValue::Text(text)) if text.trim().is_empty() => Ok(None),
            Some(FieldValue::Text(text)) => parse_rfc3339(text.trim()).map(Some).ok_or(wrong),
            Some(_) => Err(wrong),
        }
    }

    /// A field as a flag; `"true"` and `"false"` are flags too.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn flag(&self, name: &'static str) -> Result<Option<bool>, WrongField> {
        match self.0.get(name) {
            None => Ok(None),
            Some(FieldValue::Flag(flag)) => Ok(Some(*flag)),
            Some(FieldValue::Text(text)) if text == "true" => Ok(Some(true)),
            Some(FieldValue::Text(text)) if text == "false" => Ok(Some(false)),
            Some(_) => Err(WrongField { field: name, reason: NOT_FLAG }),
        }
    }

    fn digits(&self, name: &'static str, reason: &'static str) -> Result<Option<&str>, WrongField> {
        match self.0.get(name) {
            None => Ok(None),
            Some(FieldValue::Text(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
            Some(FieldValue::Number(digits)) => Ok(Some(digits)),
            Some(FieldValue::Flag(_) | FieldValue::Nested) => Err(WrongField { field: name, reason }),
        }
    }
}

impl FieldValue {
    /// A JSON value; `None` for `null`.
    fn from_json(json: &str) -> Result<Option<Self>, ()> {
        Ok(match json.as_bytes().first() {
            Some(b'"') => Some(Self::Text(serde_json::from_str(json).map_err(|_| ())?)),
            Some(b'{' | b'[') => Some(Self::Nested),
            Some(b't') => Some(Self::Flag(true)),
            Some(b'f') => Some(Self::Flag(false)),
            Some(b'n') => None,
            _ => Some(Self::Number(json.to_owned())),
        })
    }
}

/// A JSON number as the clients, which are written in JavaScript, turn it into a text: `1e3` is `1000`.
fn write_number(digits: &str) -> String {
    let is_plain = digits.bytes().all(|digit| digit.is_ascii_digit() || digit == b'-');
    match digits.parse::<f64>() {
        Ok(number) if !is_plain => number.to_string(),
        _ => digits.to_owned(),
    }
}

/// A number such as `1e2` or `-0` as plain digits: `100`, `0`. Any other text is left as it is.
fn expand_exponent(text: &str) -> String {
    const EXPONENT_MAX: i32 = 20;
    if text == "-0" {
        return "0".to_owned();
    }
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return text.to_owned() };
    let exponent = exponent.parse().ok().filter(|exponent: &i32| exponent.abs() <= EXPONENT_MAX);
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_number = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
    let Some(exponent) = exponent.filter(|_| !whole.is_empty() && is_number(whole) && is_number(decimals))
    else {
        return text.to_owned();
    };
    let shift = usize::try_from(exponent.unsigned_abs()).unwrap_or_default();
    if exponent >= 0 {
        let moved = decimals.len().min(shift);
        let zeros = "0".repeat(shift - moved);
        format!("{whole}{}{zeros}.{}0", &decimals[..moved], &decimals[moved..])
    } else {
        let padded = format!("{}{whole}", "0".repeat(shift));
        let point = padded.len() - shift;
        format!("{}.{}{decimals}", &padded[..point], &padded[point..]).trim_end_matches('0').to_owned() + "0"
    }
}

/// The minor units of an amount such as `99.9`, which is 9990.
fn parse_minor(text: &str) -> Option<i64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    // A third decimal is no rounding: it is refused.
    if !is_number(whole) || !is_number(decimals) || whole.len() > AMOUNT_LEN_MAX || decimals.len() > 2 {
        return None;
    }
    let hundredths: i64 = format!("{decimals:0<2}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(hundredths)
}

/// What some clients write before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The fields of a body: JSON or a form, by its content type or, without one, by how it begins.
#[derive(Debug, Clone)]
pub struct LenientBody(pub LenientFields);

impl FromRequest<DialectState> for LenientBody {
    type Rejection = DialectError;

    async fn from_request(request: Request, state: &DialectState) -> Result<Self, DialectError> {
        let declared = BodyFormat::from_headers(request.headers());
        let body = extract::read_body(request.into_body(), state.app.edge.body_len_max).await?;
        let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&body);
        let format = declared.unwrap_or_else(|| BodyFormat::guess(body));
        match format {
            BodyFormat::Json => LenientFields::from_json(body).map(Self),
            BodyFormat::Form => Ok(Self(LenientFields::from_form(body))),
            BodyFormat::Empty => Ok(Self(LenientFields::default())),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyFormat {
    Json,
    Form,
    Empty,
}

impl BodyFormat {
    /// The format of the content type, if it is one of the two.
    fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let essence = value.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Some(Self::Form)
        } else {
            None
        }
    }

    fn guess(body: &[u8]) -> Self {
        if body.trim_ascii_start().first() == Some(&b'{') {
            Self::Json
        } else if body.contains(&b'=') {
            Self::Form
        } else {
            Self::Empty
        }
    }
}

/// The fields of a query.
#[derive(Debug, Clone)]
pub struct LenientQuery(pub LenientFields);

impl<S: Sync> FromRequestParts<S> for LenientQuery {
    type Rejection = DialectError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, DialectError> {
        Ok(Self(LenientFields::from_form(parts.uri.query().unwrap_or_default().as_bytes())))
    }
}

/// The text of a path that a client may have put there without encoding it. `%` sequences that stand for UTF-8 are decoded; all others are
/// kept as they were sent, so that two texts never become one.
#[must_use]
pub fn decode_path_text(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let bytes: Vec<u8> = leading_escapes(rest).collect();
        if bytes.is_empty() {
            text.push('%');
            rest = &rest[1..];
            continue;
        }
        let mut escapes = rest;
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            escapes = &escapes[chunk.valid().len() * ESCAPE_LEN..];
            let (kept, behind) = escapes.split_at(chunk.invalid().len() * ESCAPE_LEN);
            text.push_str(kept);
            escapes = behind;
        }
        rest = escapes;
    }
    text.push_str(rest);
    text
}

/// Characters of an escaped byte, such as `%2F`.
const ESCAPE_LEN: usize = 3;

/// The bytes of the escapes with which a text begins.
fn leading_escapes(text: &str) -> impl Iterator<Item = u8> {
    text.as_bytes().chunks_exact(ESCAPE_LEN).map_while(|escape| {
        let digit =
            |at: usize| char::from(escape[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        (escape[0] == b'%').then_some(digit(1)? << 4 | digit(2)?)
    })
}

/// The id in a path as it was sent; what cannot be decoded is the id of nothing.
#[derive(Debug, Clone)]
pub struct PathId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let id = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(id.map(|Path(id)| id).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> LenientFields {
        LenientFields::from_json(text.as_bytes()).unwrap()
    }

    #[test]
    fn numbers_are_texts_and_texts_are_numbers() {
        let fields =
            json(r#"{"a": 12, "b": "12", "c": 5.0, "d": 1e3, "e": true, "f": {}, "g": null, "h": " "}"#);
        assert_eq!(fields.text("a"), Ok(Some("12".into())));
        assert_eq!(fields.text("d"), Ok(Some("1000".into())));
        assert_eq!(fields.text("e"), Ok(Some("true".into())));
        assert!(fields.text("f").is_err());
        assert_eq!(fields.text("g"), Ok(None));
        assert_eq!(fields.text("none"), Ok(None));
        for name in ["a", "b"] {
            assert_eq!(fields.whole_number(name), Ok(Some(12)));
        }
        assert_eq!(fields.whole_number("c"), Ok(Some(5)));
        assert_eq!(fields.whole_number("h"), Ok(None));
        for name in ["e", "f"] {
            assert!(fields.whole_number(name).is_err());
        }
        for bad in ["1.5", "1.", "x", "0x10", "99999999999999999999"] {
            assert!(json(&format!(r#"{{"n": "{bad}"}}"#)).whole_number("n").is_err(), "{bad}");
        }
    }

    #[test]
    fn money_is_exact() {
        let currency: Currency = "USD".parse().unwrap();
        let minor = |text: &str| {
            json(&format!(r#"{{"price": {text}}}"#))
                .money("price", currency)
                .map(|money| money.map(|m| m.minor))
        };
        for (text, expected) in [
            ("99.99", 9999),
            ("0.1", 10),
            ("\"12.30\"", 1230),
            ("0", 0),
            ("1", 100),
            ("1234567.89", 123_456_789),
            ("1e2", 10_000),
            ("-0", 0),
            ("1.5E1", 1_500),
            ("250e-2", 250),
        ] {
            assert_eq!(minor(text), Ok(Some(expected)), "{text}");
        }
        for bad in [
            "-1",
            "0.001",
            "1e-3",
            "1e99",
            "\"1,5\"",
            "\"\\u0661\"",
            "99999999999999999",
            "true",
            "\"1.\"",
            "\".5\"",
        ] {
            assert!(minor(bad).is_err(), "{bad}");
        }
        assert_eq!(minor("null"), Ok(None));
    }

    #[test]
    fn a_path_is_decoded_where_it_is_text_and_else_kept() {
        for (path, text) in [
            ("plain", "plain"),
            ("a%20b%2Fc%3f", "a b/c?"),
            ("100%", "100%"),
            ("%2", "%2"),
            ("%zz%41", "%zzA"),
            ("%%41", "%A"),
            ("%C3%A4", "ä"),
            ("%E4", "%E4"),
            ("x%E4y", "x%E4y"),
            ("%C3%A4%e4%C3", "ä%e4%C3"),
            ("%F0%9F%94%94", "🔔"),
            ("%F0%9F%94", "%F0%9F%94"),
            ("%ED%A0%80", "%ED%A0%80"),
            ("ä%C3ä", "ä%C3ä"),
            ("%+1", "%+1"),
            ("%EF%BF%BD", "\u{fffd}"),
        ] {
            assert_eq!(decode_path_text(path), text, "{path}");
        }
    }

    #[test]
    fn a_body_without_a_type_is_read_by_its_beginning() {
        assert_eq!(BodyFormat::guess(b"  {\"a\": 1}"), BodyFormat::Json);
        assert_eq!(BodyFormat::guess(b"a=1&b=2"), BodyFormat::Form);
        assert_eq!(BodyFormat::guess(b"hello"), BodyFormat::Empty);
        assert_eq!(BodyFormat::guess(b""), BodyFormat::Empty);
    }

    #[test]
    fn the_last_of_two_fields_counts_and_what_is_no_object_is_refused() {
        assert_eq!(LenientFields::from_form(b"a=1&a=2").text("a"), Ok(Some("2".into())));
        assert_eq!(json(r#"{"a": "1", "a": "2"}"#).text("a"), Ok(Some("2".into())));
        for empty in ["", " ", "null"] {
            assert_eq!(json(empty), LenientFields::default());
        }
        for bad in ["[]", "1", "\"text\"", "{", "{\"a\": }", "{} {}", "{\"a\": \"\\ud800\"}"] {
            let error = LenientFields::from_json(bad.as_bytes()).unwrap_err();
            assert_eq!(error.status, axum::http::StatusCode::BAD_REQUEST, "{bad}");
        }
    }
}
