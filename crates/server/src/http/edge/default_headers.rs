//! Headers that every reply gets unless it has them itself: security headers, a content security policy, no caching.

use axum::http::header::Entry;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// What a reply needs that is no page: those of OWASP's REST Security Cheat Sheet. It also gets a content security policy and
/// `Cache-Control`.
static API_HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000; includeSubDomains")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];

/// What Helmet 8 sets besides: browsers heed them for pages and what pages load.
static PAGE_HEADERS: [(HeaderName, HeaderValue); 8] = [
    (header::X_XSS_PROTECTION, HeaderValue::from_static("0")),
    (header::X_DNS_PREFETCH_CONTROL, HeaderValue::from_static("off")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("origin-agent-cluster"), HeaderValue::from_static("?1")),
    (HeaderName::from_static("x-download-options"), HeaderValue::from_static("noopen")),
    (HeaderName::from_static("x-permitted-cross-domain-policies"), HeaderValue::from_static("none")),
];

const API_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Headers that a reply gets after these: two of its limit, and its id.
const LATER_HEADERS: usize = 3;

/// The default headers of each kind of reply.
pub(super) struct DefaultHeaders {
    api: HeaderMap,
    file: HeaderMap,
    page: HeaderMap,
}

impl DefaultHeaders {
    pub(super) fn new() -> Self {
        let api = collect(&[&API_HEADERS], API_POLICY);
        let file = collect(&[&API_HEADERS, &PAGE_HEADERS], API_POLICY);
        let page = collect(&[&API_HEADERS, &PAGE_HEADERS], PAGE_POLICY);
        Self { api, file, page }
    }

    /// Adds them to a reply's own headers, which win. A page is one that needs scripts.
    pub(super) fn apply(&self, headers: &mut HeaderMap, is_page: bool) {
        let defaults = match headers.get(header::CONTENT_TYPE) {
            _ if is_page => &self.page,
            Some(media_type) if !is_json(media_type) => &self.file,
            _ => &self.api,
        };
        apply_default_headers(headers, defaults);
    }
}

/// Whether a media type is JSON or a problem document.
fn is_json(media_type: &HeaderValue) -> bool {
    let media_type = media_type.as_bytes();
    media_type.starts_with(b"application/json") || media_type.starts_with(b"application/problem+json")
}

fn collect(parts: &[&[(HeaderName, HeaderValue)]], policy: HeaderValue) -> HeaderMap {
    let mut headers: HeaderMap = parts.iter().flat_map(|part| part.iter().cloned()).collect();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers
}

fn apply_default_headers(headers: &mut HeaderMap, defaults: &HeaderMap) {
    headers.reserve(defaults.len() + LATER_HEADERS);
    for (name, value) in defaults {
        if let Entry::Vacant(missing) = headers.entry(name) {
            missing.insert(value.clone());
        }
    }
}
