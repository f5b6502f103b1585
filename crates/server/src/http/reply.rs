//! What replies begin with, and replies that a client may have already.

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use std::convert::Infallible;

/// Headers of nearly every reply, with those that the edge adds: more than these cost an allocation.
const HEADERS: usize = 12;

/// A reply with this body, 200, and room for its headers.
pub fn begin_reply(body: impl Into<Body>) -> Response<Body> {
    let mut reply = Response::new(body.into());
    *reply.headers_mut() = HeaderMap::with_capacity(HEADERS);
    reply
}

/// 200 with a document in JSON.
pub fn json_reply(body: impl Into<Body>) -> Response<Body> {
    let mut reply = begin_reply(body);
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// The `If-None-Match` header.
pub struct IfNoneMatch(Option<HeaderValue>);

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}

impl IfNoneMatch {
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self(headers.get(header::IF_NONE_MATCH).cloned())
    }

    /// 304 for a client that knows the content with this entity tag, and `full_reply` for all others; both with the tag.
    pub fn reply_unless_known(
        &self,
        etag: &HeaderValue,
        full_reply: impl FnOnce() -> Response<Body>,
    ) -> Response<Body> {
        let mut reply = if self.matches_tag(etag) {
            let mut reply = begin_reply(Body::empty());
            *reply.status_mut() = StatusCode::NOT_MODIFIED;
            reply
        } else {
            full_reply()
        };
        reply.headers_mut().insert(header::ETAG, etag.clone());
        reply
    }

    /// By the weak comparison of RFC 9110.
    fn matches_tag(&self, etag: &HeaderValue) -> bool {
        let Some(known) = &self.0 else { return false };
        let (Ok(known), Ok(tag)) = (known.to_str(), etag.to_str()) else { return false };
        known == tag
            || known.trim() == "*"
            || known.split(',').any(|one| without_weakness(one) == without_weakness(tag))
    }
}

fn without_weakness(tag: &str) -> &str {
    tag.trim().trim_start_matches("W/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_knows_the_content_gets_no_body() {
        let etag = HeaderValue::from_static("W/\"7-open-1\"");
        for (known, status) in [
            (None, 200),
            (Some("W/\"7-open-1\""), 304),
            (Some("\"7-open-1\""), 304),
            (Some("\"6\", W/\"7-open-1\""), 304),
            (Some(" * "), 304),
            (Some("W/\"7-open-2\""), 200),
            (Some(""), 200),
        ] {
            let reply = IfNoneMatch(known.map(HeaderValue::from_static))
                .reply_unless_known(&etag, || json_reply("{}"));
            assert_eq!(reply.status(), status, "{known:?}");
            assert_eq!(reply.headers()[header::ETAG], etag, "{known:?}");
            assert_eq!(reply.headers().contains_key(header::CONTENT_TYPE), status == 200, "{known:?}");
        }
    }
}
