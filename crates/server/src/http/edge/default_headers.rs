//! Headers that every reply gets unless it has them itself: security headers, a content security policy, no caching.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// The headers that Helmet 8 sets.
static SECURITY_HEADERS: [(HeaderName, HeaderValue); 11] = [
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000; includeSubDomains")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::X_XSS_PROTECTION, HeaderValue::from_static("0")),
    (header::X_DNS_PREFETCH_CONTROL, HeaderValue::from_static("off")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("origin-agent-cluster"), HeaderValue::from_static("?1")),
    (HeaderName::from_static("x-download-options"), HeaderValue::from_static("noopen")),
    (HeaderName::from_static("x-permitted-cross-domain-policies"), HeaderValue::from_static("none")),
];

pub(super) const API_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
pub(super) const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The default headers of every reply: these, the content security policy, and `Cache-Control: no-store`.
pub(super) fn security_headers(policy: HeaderValue) -> HeaderMap {
    let mut headers: HeaderMap = SECURITY_HEADERS.iter().cloned().collect();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers
}

/// Adds the defaults to a reply's own headers, which win. Copying the defaults and inserting the few own headers costs half
/// as much as inserting each default.
pub(super) fn apply_default_headers(headers: &mut HeaderMap, defaults: &HeaderMap) {
    let own = std::mem::replace(headers, defaults.clone());
    let mut last = None;
    for (name, value) in own {
        match (name, &last) {
            (Some(name), _) => {
                headers.insert(name.clone(), value);
                last = Some(name);
            }
            // `HeaderMap` yields further values of the same name without it.
            (None, Some(name)) => drop(headers.append(name, value)),
            (None, None) => {}
        }
    }
}
