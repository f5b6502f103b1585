//! Writes a reply as bytes, for a request that hyper never saw because its head is refused. It knows only replies without a stream.

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use bytes::{BufMut, Bytes, BytesMut};
use futures::FutureExt;
use jiff::fmt::rfc2822::DateTimePrinter;
use sale::Timestamp;

/// The name of the header with the site of a page, as it stands in a head.
const ORIGIN: &[u8] = b"origin:";

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

/// The path in the first line of a head.
pub(super) fn find_path(head: &[u8]) -> Option<&str> {
    let target = lines(head).next()?.split(|byte| *byte == b' ').nth(1)?;
    let path = target.split(|byte| *byte == b'?').next()?;
    std::str::from_utf8(path).ok()
}

/// The value of `Origin` in a head, as far as the head was read.
pub(super) fn find_origin(head: &[u8]) -> Option<HeaderValue> {
    let fields = lines(head).skip(1).take_while(|line| !line.is_empty());
    let mut values = fields.filter_map(|line| {
        let (name, value) = line.split_at_checked(ORIGIN.len())?;
        name.eq_ignore_ascii_case(ORIGIN).then(|| value.trim_ascii())
    });
    values.next().and_then(|value| HeaderValue::from_bytes(value).ok())
}

/// The lines of a head, without their ends; the last one may be incomplete.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let head = head.trim_ascii_start();
    head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
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
    fn path_and_origin_are_found_in_what_was_read_of_a_head() {
        let head = b"\r\nPOST /a/b?c=d HTTP/1.1\r\nHost: x\r\norigin:  http://a.test \r\nCookie: aaa";
        assert_eq!(find_path(head), Some("/a/b"));
        assert_eq!(find_origin(head), Some(HeaderValue::from_static("http://a.test")));
        let behind = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nOrigin: http://a.test\r\n";
        assert_eq!(find_origin(behind), None, "in the body");
        for broken in [&b""[..], b"\0\xff", b"GET", b"GET /\xff HTTP/1.1\r\nOrigin: \0\r\n"] {
            assert_eq!((find_path(broken), find_origin(broken)), (None, None), "{broken:?}");
        }
    }

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
