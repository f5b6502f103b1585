//! CORS: the sites whose pages may call the API; without the setting, none. The native API never allows credentials, because tokens are
//! sent in a header, not in cookies. Clients of dialects send them all the same, so there sites can be named that may.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

#[derive(Debug, Clone, Default)]
pub struct Cors {
    any: bool,
    origins: Vec<HeaderValue>,
    /// Origins whose pages may send credentials.
    credentialed: Vec<HeaderValue>,
}

/// An origin that may read a reply.
#[derive(Debug, Clone)]
pub struct AllowedOrigin {
    /// The value of `Access-Control-Allow-Origin`.
    value: HeaderValue,
    with_credentials: bool,
}

/// The text is not an origin.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("an origin is * or scheme://host[:port] without a path, such as https://shop.example")]
pub struct OriginError;

const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, idempotency-key, if-none-match, prefer, x-request-id, x-requested-with",
);
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "date, etag, location, preference-applied, ratelimit, ratelimit-policy, retry-after, x-request-id",
);
/// How long a browser may cache a preflight, in seconds. Chromium caches for two hours at most.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("7200");

impl Cors {
    /// Parses a list such as `https://shop.example,http://localhost:5173`, or `*`.
    ///
    /// # Errors
    /// When an item is not an origin.
    pub fn new<'a>(origins: impl IntoIterator<Item = &'a str>) -> Result<Self, OriginError> {
        let mut cors = Self::default();
        for origin in origins {
            if origin == "*" {
                cors.any = true;
                continue;
            }
            cors.origins.push(parse_origin(origin)?);
        }
        Ok(cors)
    }

    /// Allows the pages of these origins to send credentials as well.
    ///
    /// # Errors
    /// When an item is not an origin; `*` is none here.
    pub fn with_credentials<'a>(
        mut self,
        origins: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, OriginError> {
        self.credentialed = origins.into_iter().map(parse_origin).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// The reply to a preflight of an allowed site. `None` for any other request.
    #[must_use]
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
        let is_preflight =
            *method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight || self.allowed_origin(headers).is_none() {
            return None;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let reply = response.headers_mut();
        reply.insert(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
        reply.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
        reply.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
        Some(response)
    }

    /// Lets the page read the reply. `origin` is the result of [`Cors::allowed_origin`] for the request.
    pub fn write_headers(&self, origin: Option<AllowedOrigin>, reply: &mut HeaderMap) {
        if !self.credentialed.is_empty() || !self.any && !self.origins.is_empty() {
            reply.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = origin {
            reply.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.value);
            if origin.with_credentials {
                reply.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
            reply.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        }
    }

    /// The origin of a request's page; `None` when the request is not from a page of an allowed site.
    #[must_use]
    pub fn allowed_origin(&self, headers: &HeaderMap) -> Option<AllowedOrigin> {
        if !self.any && self.origins.is_empty() && self.credentialed.is_empty() {
            return None;
        }
        let origin = headers.get(header::ORIGIN)?;
        if self.credentialed.contains(origin) {
            return Some(AllowedOrigin { value: origin.clone(), with_credentials: true });
        }
        let value = if self.any {
            HeaderValue::from_static("*")
        } else {
            self.origins.contains(origin).then(|| origin.clone())?
        };
        Some(AllowedOrigin { value, with_credentials: false })
    }
}

fn parse_origin(origin: &str) -> Result<HeaderValue, OriginError> {
    let host = origin.split_once("://").map(|(_, host)| host).ok_or(OriginError)?;
    if host.is_empty() || host.contains(['/', '?', '#', '*', '@']) {
        return Err(OriginError);
    }
    HeaderValue::from_str(origin).map_err(|_| OriginError)
}
