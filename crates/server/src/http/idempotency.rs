//! The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header): 1 to 255 characters, in quotes as the draft demands,
//! or bare as most clients send it. It never checks where the key was used.

use super::problem::{Problem, kind};
use crate::shop::idempotency_keys::{IdempotencyKey, KEY_LEN_MAX, OwnedKey};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use sale::BuyerId;
use std::borrow::Cow;

pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

#[derive(Clone, Copy, Debug)]
pub struct IdempotencyHeader(pub Option<IdempotencyKey>);

impl IdempotencyHeader {
    /// The key as this account's.
    pub fn owned_by(self, owner: BuyerId) -> Option<OwnedKey> {
        self.0.map(|key| OwnedKey { owner, key })
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyHeader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parse_header(&parts.headers).map(Self)
    }
}

/// # Errors
/// 400 `bad_idempotency_key` when there are two, or when the key is empty, too long or not a string.
pub fn parse_header(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad_key("send one Idempotency-Key, not several"));
    }
    // A header may contain tabs.
    let value = value.to_str().ok().map(str::trim).filter(|value| !value.contains('\t'));
    let value = value.ok_or_else(|| bad_key("an Idempotency-Key has printable ASCII characters only"))?;
    let text = unquote_key(value)?;
    if text.is_empty() || text.len() > KEY_LEN_MAX {
        return Err(bad_key("an Idempotency-Key has 1 to 255 characters"));
    }
    Ok(Some(IdempotencyKey::from_text(&text)))
}

/// The text of a bare key, or of a quoted one (an `sf-string`, RFC 8941 §3.3.3). Both spellings are the same key.
fn unquote_key(value: &str) -> Result<Cow<'_, str>, Problem> {
    if !value.starts_with('"') {
        return Ok(Cow::Borrowed(value));
    }
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let inner = inner.ok_or_else(|| bad_key("a quoted Idempotency-Key ends with a quote"))?;
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('"' | '\\')) => text.push(escaped),
                _ => return Err(bad_key("in a quoted Idempotency-Key only \\\" and \\\\ are escapes")),
            },
            '"' => return Err(bad_key("a quoted Idempotency-Key has no quote inside")),
            plain => text.push(plain),
        }
    }
    Ok(Cow::Owned(text))
}

fn bad_key(detail: &'static str) -> Problem {
    Problem::new(&kind::BAD_IDEMPOTENCY_KEY).detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn key(value: &str) -> Result<Option<IdempotencyKey>, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        parse_header(&headers).map_err(|problem| problem.kind().code)
    }

    #[test]
    fn a_quoted_key_is_the_same_key_as_a_bare_one() {
        assert_eq!(parse_header(&HeaderMap::new()).unwrap(), None);
        assert_eq!(key("8e03978e"), Ok(Some(IdempotencyKey::from_text("8e03978e"))));
        assert_eq!(key("\"8e03978e\""), key("8e03978e"));
        assert_eq!(key(r#""a\"b\\c""#), Ok(Some(IdempotencyKey::from_text(r#"a"b\c"#))));
    }

    #[test]
    fn invalid_keys_are_refused() {
        let too_long = "x".repeat(256);
        for value in
            ["", "\"\"", "  ", "\"open", "\"", r#""a"b""#, r#""a\b""#, too_long.as_str(), "schlüssel", "a\tb"]
        {
            assert_eq!(key(value), Err("bad_idempotency_key"), "{value:?}");
        }
        assert!(key(&"x".repeat(255)).is_ok());
    }

    #[test]
    fn two_keys_are_refused() {
        let mut headers = HeaderMap::new();
        headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static("a"));
        headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static("b"));
        assert!(parse_header(&headers).is_err());
    }
}
