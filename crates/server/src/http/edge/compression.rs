//! Compresses JSON replies. It leaves alone what is small, what is compressed already, and what is not JSON.

use crate::http::content_coding::{CompressionEffort, ContentCoding};
use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;

/// Smaller replies fit into one packet with their head.
const LEN_MIN: usize = 1024;

/// Larger replies are compressed on another thread: this many bytes take about half a millisecond.
const INLINE_LEN_MAX: usize = 64 << 10;

/// Longer ones are sent as they are, because they would have to be held in memory twice.
const LEN_MAX: usize = 8 << 20;

const VARY: HeaderValue = HeaderValue::from_static("accept-encoding");

/// The reply in the coding that `accept` prefers, if compressing it is worth it.
pub(super) async fn compress_json(response: Response<Body>, accept: Option<HeaderValue>) -> Response<Body> {
    if response.status() == StatusCode::NOT_MODIFIED {
        return vary(response);
    }
    let len = response.body().size_hint().exact().and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
    if !(LEN_MIN..=LEN_MAX).contains(&len) || !is_plain_json(response.headers()) {
        return response;
    }
    // Also where it is sent as it is, so that a cache does not give it to other clients.
    let mut response = vary(response);
    let coding = accept.as_ref().and_then(|accept| ContentCoding::preferred(accept.to_str().ok()?));
    let Some(coding) = coding else { return response };
    let (mut parts, body) = response.into_parts();
    let Ok(content) = axum::body::to_bytes(body, LEN_MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let compress = move || coding.compress(&content, CompressionEffort::Once);
    let compressed = if len <= INLINE_LEN_MAX {
        compress()
    } else {
        match tokio::task::spawn_blocking(compress).await {
            Ok(compressed) => compressed,
            Err(_panic) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    weaken_etag(&mut parts.headers);
    response = Response::from_parts(parts, Body::from(compressed));
    response
}

fn vary(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().append(header::VARY, VARY);
    response
}

fn is_plain_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    let is_json = kind == b"application/json" || kind == b"application/problem+json";
    is_json && !headers.contains_key(header::CONTENT_ENCODING)
}

/// A strong entity tag promises the same bytes, which a compressed reply does not have.
fn weaken_etag(headers: &mut HeaderMap) {
    let strong =
        headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| tag.starts_with('"'));
    let weak = strong.and_then(|tag| HeaderValue::try_from(format!("W/{tag}")).ok());
    if let Some(weak) = weak {
        headers.insert(header::ETAG, weak);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BR: Option<HeaderValue> = Some(HeaderValue::from_static("br"));

    fn reply(kind: &'static str, len: usize) -> Response<Body> {
        let reply = Response::builder().header(header::CONTENT_TYPE, kind).header(header::ETAG, "\"one\"");
        reply.body(Body::from("x".repeat(len))).unwrap()
    }

    #[tokio::test]
    async fn json_above_a_kibibyte_is_compressed_for_who_accepts_it() {
        let header = |response: &Response<Body>, name| {
            response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        for len in [1024, INLINE_LEN_MAX + 1] {
            let sent = compress_json(reply("application/json", len), BR).await;
            assert_eq!(header(&sent, header::CONTENT_ENCODING).as_deref(), Some("br"));
            assert_eq!(header(&sent, header::VARY).as_deref(), Some("accept-encoding"));
            assert_eq!(header(&sent, header::ETAG).as_deref(), Some("W/\"one\""));
            assert!(sent.body().size_hint().exact().unwrap() < 100);
        }
        let sent = compress_json(reply("application/json; charset=utf-8", 2000), None).await;
        assert_eq!(
            (header(&sent, header::CONTENT_ENCODING), sent.body().size_hint().exact()),
            (None, Some(2000))
        );
        assert_eq!(
            header(&sent, header::VARY).as_deref(),
            Some("accept-encoding"),
            "a cache keeps them apart"
        );
        assert_eq!(header(&sent, header::ETAG).as_deref(), Some("\"one\""));
        for (kind, len) in [("application/json", 1023), ("text/csv", 5000)] {
            let sent = compress_json(reply(kind, len), BR).await;
            assert_eq!(header(&sent, header::CONTENT_ENCODING), None, "{kind}");
        }
    }
}
