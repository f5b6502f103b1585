//! The shop's pages, which `scripts/web.sh` builds from `web/` and compresses, served from this binary: one HTML page for every
//! address of the browser's router, and assets whose names change with their content. It knows no buyer and no sale; the pages
//! call the API like any other client.

use super::AppState;
use super::extract::Path;
use super::problem::{Problem, kind};
use super::redirect_for_good;
use crate::shop::sales;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// The addresses that the browser's router knows (`web/src/App.tsx`).
const PAGES: [&str; 7] =
    ["/", "/orders", "/orders/{id}", "/sign-in", "/register", "/admin", "/admin/{*page}"];
/// The page of a sale, whose reply has a preload link for the sale.
const SALE_PAGE: &str = "/s/{slug}";
const ASSETS: &str = "/assets/{file}";

/// All paths of this module, for the route table of the edge.
pub fn paths() -> impl Iterator<Item = &'static str> {
    PAGES.into_iter().chain([SALE_PAGE, ASSETS])
}

pub fn router() -> Router<AppState> {
    let router = Router::new().route(ASSETS, get(send_asset)).route(SALE_PAGE, get(send_sale_page));
    PAGES.into_iter().fold(router, |router, path| router.route(path, get(send_page)))
}

/// Answers an unknown path: with the page to a browser that follows a link, with a problem document to a program.
pub async fn answer_unknown_path(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let wants_page = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let is_ours = ["/api", "/docs", "/assets", "/problems"].iter().any(|place| uri.path().starts_with(place));
    if !wants_page || is_ours || !matches!(method, Method::GET | Method::HEAD) {
        return Problem::new(&kind::NOT_FOUND).into_response();
    }
    let mut response = send_page(headers).await;
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

/// A file of `web/dist`, with its compressed forms.
struct WebFile {
    path: &'static str,
    plain: &'static [u8],
    br: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

/// All files of `web/dist` at build time. `build.rs` generates the table.
static FILES: &[WebFile] = include!(concat!(env!("OUT_DIR"), "/web_files.rs"));

/// The HTML page and its entity tag; `None` in a build without pages.
static INDEX: LazyLock<Option<(&WebFile, HeaderValue)>> = LazyLock::new(|| {
    let file = FILES.iter().find(|file| file.path == "index.html")?;
    let digest = Sha256::digest(file.plain);
    let tag = format!("W/\"{}\"", URL_SAFE_NO_PAD.encode(digest.get(..12)?));
    Some((file, HeaderValue::from_str(&tag).ok()?))
});

/// The page of a build without pages. It needs no script and no file.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><title>Doorbuster without its pages</title>\
<h1>This server was built without its pages</h1>\
<p>The API works as always: <a href=\"/docs/\">try it here</a>.</p>\
<p>To see the shop, build the pages and then the server again: <code>make run</code> does both, and \
<code>scripts/web.sh</code> builds only the pages. They need Node 20.19 or newer.</p></html>";

/// Scripts, styles and requests only from this origin; product images also from other sites.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https:; font-src 'self'; \
     connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// A name with a hash never gets another content. RFC 9111 caches keep a reply for a year at most.
const CACHE_IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const CACHE_REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

async fn send_page(headers: HeaderMap) -> Response {
    let Some((file, tag)) = INDEX.as_ref() else {
        let kind = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, POLICY),
        ];
        return (StatusCode::SERVICE_UNAVAILABLE, kind, NOT_BUILT).into_response();
    };
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let is_known =
        known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag || one.trim() == "*"));
    let mut response = if is_known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        response
    } else {
        send_file(file, &headers)
    };
    let own = response.headers_mut();
    own.insert(header::ETAG, HeaderValue::clone(tag));
    own.insert(header::CACHE_CONTROL, CACHE_REVALIDATE);
    own.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    response
}

/// The page, with a preload link so that the browser requests the sale while it loads the script.
async fn send_sale_page(
    State(app): State<AppState>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Some(slug) = sales::find_moved(&app.shop, &slug) {
        return redirect_for_good(&format!("/s/{slug}"));
    }
    let mut response = send_page(headers).await;
    let is_slug = slug.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let link = format!("</api/v1/flash-sales/{slug}>; rel=preload; as=fetch; crossorigin=anonymous");
    if let (true, Ok(link)) = (is_slug, HeaderValue::try_from(link)) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

async fn send_asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let found = FILES.iter().find(|file| file.path.strip_prefix("assets/") == Some(name.as_str()));
    let Some(file) = found else { return Problem::new(&kind::NOT_FOUND).into_response() };
    let mut response = send_file(file, &headers);
    response.headers_mut().insert(header::CACHE_CONTROL, CACHE_IMMUTABLE);
    response
}

/// The file in the smallest form that the client accepts.
fn send_file(file: &'static WebFile, headers: &HeaderMap) -> Response {
    let (bytes, encoding) = match (file.br, file.gzip) {
        (Some(br), _) if accepts_encoding(headers, "br") => (br, Some("br")),
        (_, Some(gzip)) if accepts_encoding(headers, "gzip") => (gzip, Some("gzip")),
        _ => (file.plain, None),
    };
    let mut response = Response::new(Body::from(Bytes::from_static(bytes)));
    let own = response.headers_mut();
    own.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(file.path)));
    own.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        own.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// Whether `Accept-Encoding` names the coding with a weight above 0.
fn accepts_encoding(headers: &HeaderMap, coding: &str) -> bool {
    const NAME: HeaderName = header::ACCEPT_ENCODING;
    let values = headers.get_all(NAME).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let is_named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        is_named && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
    })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json" | "webmanifest") => "application/json",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_that_is_ruled_out_is_not_sent() {
        for (accept, br, gzip) in [
            ("gzip, deflate, br, zstd", true, true),
            ("gzip;q=1.0, br;q=0", false, true),
            ("BR", true, false),
            ("identity", false, false),
            ("brotli", false, false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accept))]);
            assert_eq!(
                (accepts_encoding(&headers, "br"), accepts_encoding(&headers, "gzip")),
                (br, gzip),
                "{accept}"
            );
        }
    }

    #[test]
    fn every_file_has_a_type_that_a_browser_takes() {
        for file in FILES {
            assert_ne!(content_type(file.path), "application/octet-stream", "{}", file.path);
        }
    }
}
