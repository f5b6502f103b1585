//! Checks the head of each request before hyper reads it, and follows the bodies in between, so that it knows where the next head
//! begins. hyper takes heads that proxies read in another way (lines that end with a bare LF, a length beside a transfer coding,
//! codings other than `chunked`), takes requests with no or two hosts, and answers what it refuses without a body. It refuses what
//! is not plain HTTP/1.1, and changes no byte.

use crate::http::problem::{Problem, kind};
use axum::http::Uri;
use axum::http::uri::Authority;
use std::mem::MaybeUninit;

/// Bytes of a request's head.
pub(super) const HEAD_LEN_MAX: usize = 16 << 10;

/// Headers of a request.
pub(super) const HEADERS_MAX: usize = 64;

/// Hexadecimal digits of a chunk's length: those of a `u64`.
const CHUNK_DIGITS_MAX: u8 = 16;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadViolation {
    BareLineFeed,
    Syntax,
    Host,
    ContentLength,
    TransferEncoding,
    /// A transfer coding other than `chunked`.
    UnknownCoding,
    TooLarge,
    TooManyHeaders,
    /// Of a body that hyper is reading already: the request's handler answers.
    Chunk,
}

impl HeadViolation {
    /// The answer; `None` when a handler gives one.
    pub(super) fn problem(self) -> Option<Problem> {
        let (kind, detail) = match self {
            Self::BareLineFeed => (&kind::BAD_REQUEST, "each line of a request's head ends with CR and LF"),
            Self::Syntax => (&kind::BAD_REQUEST, "the head of the request is not HTTP/1.1"),
            Self::Host => {
                (&kind::BAD_REQUEST, "a request has exactly one Host header, with a host and perhaps a port")
            }
            Self::ContentLength => {
                (&kind::BAD_REQUEST, "a request has at most one Content-Length, which is a number")
            }
            Self::TransferEncoding => (
                &kind::BAD_REQUEST,
                "a request has a Content-Length or a Transfer-Encoding, not both, and HTTP/1.0 has no Transfer-Encoding",
            ),
            Self::UnknownCoding => {
                (&kind::UNKNOWN_CODING, "the only transfer coding of requests here is chunked")
            }
            Self::TooLarge => (&kind::HEAD_TOO_LARGE, "the head of a request has at most 16 KiB"),
            Self::TooManyHeaders => (&kind::HEAD_TOO_LARGE, "a request has at most 64 headers"),
            Self::Chunk => return None,
        };
        Some(Problem::new(kind).detail(detail))
    }
}

/// Where in the stream of one connection the next byte is.
pub(super) struct HeadInspector {
    framing: BodyFraming,
    /// Bytes of an incomplete head that hold no end of it.
    scanned: usize,
    /// Where the last line of those bytes begins.
    line_start: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyFraming {
    Head,
    /// So many bytes of a body to come.
    Body(u64),
    Chunked(ChunkState),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    Size {
        len: u64,
        digits: u8,
    },
    /// Blanks or an extension behind the size.
    Extension {
        len: u64,
    },
    SizeEnd {
        len: u64,
    },
    Data {
        len: u64,
    },
    DataCr,
    DataLf,
    /// The first byte of a trailer or of the line that ends the body.
    TrailerStart,
    Trailer,
    TrailerLineEnd,
    LastLineEnd,
    BodyEnd,
}

impl HeadInspector {
    pub(super) fn new() -> Self {
        Self { framing: BodyFraming::Head, scanned: 0, line_start: 0 }
    }

    /// How many of these bytes hyper may read: whole heads, and what belongs to their bodies. The rest is the beginning of a head, and
    /// is given again, with more behind it.
    pub(super) fn inspect(&mut self, bytes: &[u8]) -> Result<usize, HeadViolation> {
        let mut passed = 0;
        loop {
            let rest = &bytes[passed..];
            let step = match self.framing {
                BodyFraming::Head => self.read_head(rest),
                BodyFraming::Body(len) => Ok(self.skip_body(len, rest)),
                BodyFraming::Chunked(state) => self.skip_chunks(state, rest),
            };
            match step {
                Ok(0) => return Ok(passed),
                Ok(len) => passed += len,
                // What came before it is read first.
                Err(_) if passed > 0 => return Ok(passed),
                Err(violation) => return Err(violation),
            }
        }
    }

    fn skip_body(&mut self, len: u64, bytes: &[u8]) -> usize {
        let taken = usize::try_from(len).map_or(bytes.len(), |len| len.min(bytes.len()));
        let left = len - taken as u64;
        self.framing = if left == 0 { BodyFraming::Head } else { BodyFraming::Body(left) };
        taken
    }

    fn skip_chunks(&mut self, mut state: ChunkState, bytes: &[u8]) -> Result<usize, HeadViolation> {
        let mut at = 0;
        while at < bytes.len() {
            if let ChunkState::Data { len } = state {
                let taken = usize::try_from(len).map_or(bytes.len() - at, |len| len.min(bytes.len() - at));
                at += taken;
                let left = len - taken as u64;
                state = if left == 0 { ChunkState::DataCr } else { ChunkState::Data { len: left } };
                continue;
            }
            match state.after(bytes[at]) {
                Some(next) => state = next,
                // Seen again when hyper has read what came before it.
                None if at > 0 => break,
                None => return Err(HeadViolation::Chunk),
            }
            at += 1;
            if state == ChunkState::BodyEnd {
                self.framing = BodyFraming::Head;
                return Ok(at);
            }
        }
        self.framing = BodyFraming::Chunked(state);
        Ok(at)
    }

    /// The length of the head, with empty lines before it; 0 when it is not complete.
    fn read_head(&mut self, bytes: &[u8]) -> Result<usize, HeadViolation> {
        let start = bytes.chunks(2).take_while(|line| line == b"\r\n").count() * 2;
        if bytes.get(start).is_some_and(|first| !first.is_ascii_alphabetic() && *first != b'\r') {
            return Err(HeadViolation::Syntax);
        }
        self.scanned = self.scanned.max(start);
        self.line_start = self.line_start.max(start);
        let end = self.find_head_end(bytes)?;
        if end.unwrap_or(bytes.len()) > HEAD_LEN_MAX {
            return Err(HeadViolation::TooLarge);
        }
        let Some(end) = end else { return Ok(0) };
        self.framing = check_head(&bytes[start..end])?;
        (self.scanned, self.line_start) = (0, 0);
        Ok(end)
    }

    /// The end of the empty line, which ends the head.
    fn find_head_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadViolation> {
        while let Some(found) = bytes[self.scanned..].iter().position(|byte| *byte == b'\n') {
            let line_feed = self.scanned + found;
            if line_feed == self.line_start || bytes[line_feed - 1] != b'\r' {
                return Err(HeadViolation::BareLineFeed);
            }
            if line_feed == self.line_start + 1 {
                return Ok(Some(line_feed + 1));
            }
            self.scanned = line_feed + 1;
            self.line_start = line_feed + 1;
        }
        self.scanned = bytes.len();
        Ok(None)
    }
}

/// Checks a whole head, and returns what follows it.
fn check_head(bytes: &[u8]) -> Result<BodyFraming, HeadViolation> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
        Ok(_) => return Err(HeadViolation::Syntax),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadViolation::TooManyHeaders),
        Err(_) => return Err(HeadViolation::Syntax),
    }
    if request.path.is_none_or(|path| !is_plain_path(path) && Uri::try_from(path).is_err()) {
        return Err(HeadViolation::Syntax);
    }
    let is_http_1_1 = request.version == Some(1);
    let (mut hosts, mut len, mut is_chunked) = (0, None, false);
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("host") {
            hosts += 1;
            if !is_host(header.value) {
                return Err(HeadViolation::Host);
            }
        } else if header.name.eq_ignore_ascii_case("content-length") {
            if len.is_some() {
                return Err(HeadViolation::ContentLength);
            }
            len = Some(parse_len(header.value).ok_or(HeadViolation::ContentLength)?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if is_chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
                return Err(HeadViolation::UnknownCoding);
            }
            is_chunked = true;
        }
    }
    if hosts > 1 || (hosts == 0 && is_http_1_1) {
        return Err(HeadViolation::Host);
    }
    match (is_chunked, len) {
        (true, Some(_)) => Err(HeadViolation::TransferEncoding),
        (true, None) if !is_http_1_1 => Err(HeadViolation::TransferEncoding),
        (true, None) => Ok(BodyFraming::Chunked(ChunkState::Size { len: 0, digits: 0 })),
        (false, Some(len @ 1..)) => Ok(BodyFraming::Body(len)),
        (false, _) => Ok(BodyFraming::Head),
    }
}

/// Whether a path has only characters that every path may have. Nearly each has; another one is parsed, for which it is copied.
fn is_plain_path(path: &str) -> bool {
    path.starts_with('/')
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~?=&".contains(&byte))
}

/// A host, perhaps with a port. It may be empty (RFC 9112, 3.2), and never has a user.
fn is_host(value: &[u8]) -> bool {
    value.is_empty() || is_plain_host(value) || (!value.contains(&b'@') && Authority::try_from(value).is_ok())
}

/// Whether a host is a name or an IPv4 address, and perhaps a port: nearly each is. Another one is parsed, for which it is copied.
fn is_plain_host(value: &[u8]) -> bool {
    let end = value.iter().position(|byte| *byte == b':').unwrap_or(value.len());
    let (name, port) = value.split_at(end);
    let is_port =
        port.is_empty() || (2..=6).contains(&port.len()) && port[1..].iter().all(u8::is_ascii_digit);
    !name.is_empty()
        && is_port
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(byte))
}

fn parse_len(value: &[u8]) -> Option<u64> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    // hyper takes the two highest values for something else.
    std::str::from_utf8(value).ok().filter(|_| is_number)?.parse().ok().filter(|len| *len < u64::MAX - 1)
}

impl ChunkState {
    /// The state behind a byte that is no data; `None` when it may not stand there.
    fn after(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Size { len, digits }, _) if byte.is_ascii_hexdigit() && digits < CHUNK_DIGITS_MAX => {
                let digit = char::from(byte).to_digit(16)?;
                Self::Size { len: len.checked_mul(16)?.checked_add(u64::from(digit))?, digits: digits + 1 }
            }
            (Self::Size { len, digits: 1.. }, b' ' | b'\t' | b';') => Self::Extension { len },
            (Self::Size { len, digits: 1.. } | Self::Extension { len }, b'\r') => Self::SizeEnd { len },
            (Self::Extension { len }, _) if byte != b'\n' => Self::Extension { len },
            (Self::SizeEnd { len: 0 }, b'\n') => Self::TrailerStart,
            (Self::SizeEnd { len }, b'\n') => Self::Data { len },
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size { len: 0, digits: 0 },
            (Self::TrailerStart, b'\r') => Self::LastLineEnd,
            (Self::TrailerStart | Self::Trailer, _) if byte != b'\r' && byte != b'\n' => Self::Trailer,
            (Self::Trailer, b'\r') => Self::TrailerLineEnd,
            (Self::TrailerLineEnd, b'\n') => Self::TrailerStart,
            (Self::LastLineEnd, b'\n') => Self::BodyEnd,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    fn inspect(bytes: &str) -> Result<usize, HeadViolation> {
        HeadInspector::new().inspect(bytes.as_bytes())
    }

    #[test]
    fn what_is_plain_would_also_be_parsed() {
        for path in ["/", "/api/v1/flash-sales/a-b_c.d~e", "/?a=b&c=d", "//"] {
            assert!(is_plain_path(path) && Uri::try_from(path).is_ok(), "{path}");
        }
        for path in ["", "*", "http://x/", "/ü", "/%zz", "/<", "/#a"] {
            assert!(!is_plain_path(path), "{path}");
        }
        for host in ["x", "shop.example.com", "127.0.0.1:8080", "a-b:65535", "-", ".", "x:99999"] {
            assert!(is_plain_host(host.as_bytes()) && Authority::try_from(host).is_ok(), "{host}");
        }
        for host in ["", ":80", "a@b", "[::1]:80", "x:", "x:123456", "x:8a", "a b", "ü", "x:80:80"] {
            assert!(!is_plain_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn a_plain_head_passes_and_any_other_is_refused() {
        for good in [
            GET,
            "GET / HTTP/1.0\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\nhost: [::1]:80\r\n\r\n",
            "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        ] {
            assert_eq!(inspect(good), Ok(good.len()), "{good}");
        }
        use HeadViolation::{BareLineFeed, ContentLength, Host, Syntax, TransferEncoding, UnknownCoding};
        for (head, violation) in [
            ("Host: x\nAccept: */*\r\n", BareLineFeed),
            ("Host: x\r\n\n", BareLineFeed),
            ("", Host),
            ("Host: x\r\nHost: x\r\n", Host),
            ("Host: a@b\r\n", Host),
            ("Host: a b\r\n", Host),
            ("Host: x\r\n folded\r\n", Syntax),
            ("Host : x\r\n", Syntax),
            ("Host: x\r\nA: b\rc\r\n", Syntax),
            ("Host: x\r\nTransfer-Encoding: gzip, chunked\r\n", UnknownCoding),
            ("Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", UnknownCoding),
            ("Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n", TransferEncoding),
            ("Host: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n", TransferEncoding),
            ("Host: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n", ContentLength),
            ("Host: x\r\nContent-Length: +3\r\n", ContentLength),
            ("Host: x\r\nContent-Length: 3, 3\r\n", ContentLength),
            ("Host: x\r\nContent-Length: 99999999999999999999\r\n", ContentLength),
        ] {
            assert_eq!(inspect(&format!("POST / HTTP/1.1\r\n{head}\r\n")), Err(violation), "{head}");
        }
        for head in [
            "GET / HTTP/9.9\r\n\r\n",
            "GET /\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
            "\0\u{1}",
            "\u{16}\u{3}\u{1}",
        ] {
            assert_eq!(inspect(head), Err(Syntax), "{head}");
        }
        assert_eq!(inspect("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(TransferEncoding));
    }

    #[test]
    fn a_head_has_a_limited_size() {
        let with = |more: &str| format!("GET / HTTP/1.1\r\nHost: x\r\n{more}\r\n");
        assert_eq!(inspect(&with(&"A: b\r\n".repeat(HEADERS_MAX))), Err(HeadViolation::TooManyHeaders));
        let long = with(&format!("A: {}\r\n", "b".repeat(HEAD_LEN_MAX)));
        assert_eq!(inspect(&long), Err(HeadViolation::TooLarge));
        assert_eq!(inspect(&long[..HEAD_LEN_MAX + 1]), Err(HeadViolation::TooLarge), "also before its end");
        assert_eq!(inspect(&long[..HEAD_LEN_MAX]), Ok(0));
    }

    /// Whatever the packets of a network, each head is found where it begins, and the same bytes pass.
    #[test]
    fn requests_are_told_apart_however_their_bytes_arrive() {
        let stream = [
            GET,
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nGET\n / \r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=\"b\"\r\n\n\n\n\n\n\r\n0A \r\n0123456789\r\n0\r\nA: b\r\nC: d\r\n\r\n",
            "\r\n",
            GET,
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            GET,
        ]
        .concat();
        let bad = "GET / HTTP/1.1\n\n";
        let bytes = [stream.as_bytes(), bad.as_bytes()].concat();
        for piece in 1..bytes.len() {
            let (mut inspector, mut held, mut passed) = (HeadInspector::new(), Vec::new(), 0);
            let mut violation = None;
            for part in bytes.chunks(piece) {
                held.extend_from_slice(part);
                loop {
                    match inspector.inspect(&held) {
                        Ok(0) => break,
                        Ok(len) => {
                            held.drain(..len);
                            passed += len;
                        }
                        Err(found) => {
                            violation = Some(found);
                            break;
                        }
                    }
                }
                if violation.is_some() {
                    break;
                }
            }
            assert_eq!((passed, violation), (stream.len(), Some(HeadViolation::BareLineFeed)), "by {piece}");
        }
    }

    #[test]
    fn a_body_whose_chunks_are_broken_ends_where_they_break() {
        let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        for broken in ["x", "3\n", "3\r\nabcd", "3;a\nb", "\r\n", "11111111111111111", "0\r\nA: b\n"] {
            let mut inspector = HeadInspector::new();
            let text = format!("{head}{broken}");
            let mut rest = text.as_bytes();
            let violation = loop {
                match inspector.inspect(rest) {
                    Ok(0) => panic!("{broken} passes"),
                    Ok(len) => rest = &rest[len..],
                    Err(violation) => break violation,
                }
            };
            assert_eq!(violation, HeadViolation::Chunk, "{broken}");
        }
    }
}
