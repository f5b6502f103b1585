//! Writes a reply as bytes, for a request that hyper never saw because its head is refused. It knows only replies without a stream.

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use bytes::{BufMut, Bytes, BytesMut};
use futures::FutureExt;
use jiff::fmt::rfc2822::DateTimePrinter;
use sale::Timestamp;

/// The reply as HTTP/1.1, after which the connection is closed.
pub(super) fn encode(response: Response<Body>, now: Timestamp) -> Bytes {
    let (mut parts, body) = response.into_parts();
    // The body of a problem document is complete.
    let body = axum::body::to_bytes(body, usize::MAX).now_or_never().and_then(Result::ok).unwrap_or_default();
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    if let Some(date) = http_date(now) {
        parts.headers.insert(header::DATE, date);
    }
    let mut text = BytesMut::with_capacity(1024 + body.len());
    text.put_slice(format!("HTTP/1.1 {}\r\n", parts.status).as_bytes());
    for (name, value) in &parts.headers {
        text.put_slice(name.as_str().as_bytes());
        text.put_slice(b": ");
        text.put_slice(value.as_bytes());
        text.put_slice(b"\r\n");
    }
    text.put_slice(b"\r\n");
    text.put_slice(&body);
    text.freeze()
}

fn http_date(now: Timestamp) -> Option<HeaderValue> {
    const PRINTER: DateTimePrinter = DateTimePrinter::new();
    let now = jiff::Timestamp::from_millisecond(now.0).ok()?;
    let text = PRINTER.timestamp_to_rfc9110_string(&now).ok()?;
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_written_whole() {
        let response = Response::builder().status(431).header("x-a", "b").body(Body::from("gone")).unwrap();
        let text = encode(response, Timestamp(784_111_777_000));
        assert_eq!(
            String::from_utf8_lossy(&text),
            "HTTP/1.1 431 Request Header Fields Too Large\r\nx-a: b\r\nconnection: close\r\ncontent-length: 4\r\n\
             date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\ngone"
        );
    }
}
