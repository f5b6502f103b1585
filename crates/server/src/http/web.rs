//! The shop's pages, which `scripts/web.sh` builds from `web/` and compresses, served from this binary: one HTML page for every
//! address of the browser's router, and assets whose names change with their content. Of what a page shows it knows only whether there
//! is such a page, and what a preview of a sale shows; the pages call the API like any other client.

mod sale_pages;

use super::AppState;
use super::content_coding::ContentCoding;
use super::extract::Path;
use super::problem::{Problem, kind};
use super::redirect_for_good;
use super::reply::IfNoneMatch;
use crate::shop::sales;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;
use uuid::Uuid;

pub use sale_pages::SalePages;

/// What the server can know of a page's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageKind {
    Plain,
    /// Its `{id}` is a UUID. Whether it exists is for its owner to see.
    WithId,
    /// A sale by its slug: there is one or not.
    Sale,
}

/// The addresses that the browser's router knows (`web/src/App.tsx` and `web/src/admin/AdminApp.tsx`; a test compares).
const PAGES: [(&str, PageKind); 31] = [
    ("/", PageKind::Plain),
    ("/s/{slug}", PageKind::Sale),
    ("/orders", PageKind::Plain),
    ("/orders/find", PageKind::Plain),
    ("/orders/{id}", PageKind::WithId),
    ("/sign-in", PageKind::Plain),
    ("/register", PageKind::Plain),
    ("/forgot-password", PageKind::Plain),
    ("/reset-password", PageKind::Plain),
    ("/confirm-address", PageKind::Plain),
    ("/guest", PageKind::Plain),
    ("/unsubscribe", PageKind::Plain),
    ("/account", PageKind::Plain),
    ("/admin", PageKind::Plain),
    ("/admin/products", PageKind::Plain),
    ("/admin/products/new", PageKind::Plain),
    ("/admin/products/{id}", PageKind::WithId),
    ("/admin/sales", PageKind::Plain),
    ("/admin/sales/new", PageKind::Plain),
    ("/admin/sales/{id}", PageKind::WithId),
    ("/admin/sales/{id}/edit", PageKind::WithId),
    ("/admin/sales/{id}/line", PageKind::WithId),
    ("/admin/sales/{id}/orders", PageKind::WithId),
    ("/admin/sales/{id}/attempts", PageKind::WithId),
    ("/admin/sales/{id}/ledger", PageKind::WithId),
    ("/admin/sales/{id}/summary", PageKind::WithId),
    ("/admin/orders", PageKind::Plain),
    ("/admin/webhooks", PageKind::Plain),
    ("/admin/webhooks/new", PageKind::Plain),
    ("/admin/webhooks/{id}", PageKind::WithId),
    ("/admin/integrations", PageKind::Plain),
];
const ASSETS: &str = "/assets/{file}";
const FAVICON: &str = "/favicon.ico";
const ROBOTS: &str = "/robots.txt";

/// All paths of this module, for the route table of the edge.
pub fn paths() -> impl Iterator<Item = &'static str> {
    PAGES.into_iter().map(|(path, _)| path).chain([ASSETS, FAVICON, ROBOTS])
}

pub fn router() -> Router<AppState> {
    let router = Router::new()
        .route(ASSETS, get(send_asset))
        .route(FAVICON, get(send_favicon))
        .route(ROBOTS, get(send_robots));
    PAGES.into_iter().fold(router, |router, (path, kind)| match kind {
        PageKind::Plain => router.route(path, get(send_page)),
        PageKind::WithId => router.route(path, get(send_page_with_id)),
        PageKind::Sale => router.route(path, get(send_sale_page)),
    })
}

/// Answers an unknown path: redirects one that is a page's but for a slash at its end; otherwise with the page to a browser that
/// follows a link, with a problem document to a program.
pub async fn answer_unknown_path(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if !matches!(method, Method::GET | Method::HEAD) {
        return Problem::new(&kind::NOT_FOUND).into_response();
    }
    if let Some(page) = page_without_slash(&uri) {
        return (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, page)]).into_response();
    }
    let wants_page = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let is_ours = ["/api", "/docs", "/assets", "/problems"].iter().any(|place| uri.path().starts_with(place));
    if !wants_page || is_ours {
        return Problem::new(&kind::NOT_FOUND).into_response();
    }
    send_lost_page(&headers)
}

/// The page's address for an address with slashes at its end. Only a page of the table is redirected to, never another site.
fn page_without_slash(uri: &Uri) -> Option<HeaderValue> {
    static ROUTES: LazyLock<matchit::Router<()>> = LazyLock::new(|| {
        let mut routes = matchit::Router::new();
        for (path, _) in PAGES {
            routes.insert(path, ()).expect("pages have paths of their own");
        }
        routes
    });
    let path = uri.path().trim_end_matches('/');
    if path.len() == uri.path().len() || ROUTES.at(path).is_err() {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    HeaderValue::try_from(format!("{path}{query}")).ok()
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

/// The HTML page; `None` in a build without pages.
static INDEX: LazyLock<Option<PageContent>> = LazyLock::new(|| {
    let file = FILES.iter().find(|file| file.path == "index.html")?;
    let etag = compute_etag(file.plain);
    let [plain, br, gzip] = [Some(file.plain), file.br, file.gzip].map(|bytes| bytes.map(Bytes::from_static));
    Some(PageContent { etag, plain: plain?, br, gzip })
});

/// An HTML page in all forms.
#[derive(Clone)]
struct PageContent {
    etag: HeaderValue,
    plain: Bytes,
    br: Option<Bytes>,
    gzip: Option<Bytes>,
}

/// A weak tag, which is one for all forms of a content.
fn compute_etag(content: &[u8]) -> HeaderValue {
    let digest = Sha256::digest(content);
    let tag = format!("W/\"{}\"", URL_SAFE_NO_PAD.encode(&digest[..12]));
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("W/\"\""))
}

/// The page of a build without pages. It needs no script and no file.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><title>Doorbuster without its pages</title>\
<h1>This server was built without its pages</h1>\
<p>The API works as always: <a href=\"/docs/\">try it here</a>.</p>\
<p>To see the shop, build the pages and then the server again: <code>make run</code> does both, and \
<code>scripts/web.sh</code> builds only the pages. They need Node 20.19 or newer.</p></html>";

/// Programs may look at the sales, and find nothing in the pages of buyers and merchants.
const ROBOTS_TEXT: &str = "User-agent: *\nDisallow: /admin\nDisallow: /account\nDisallow: /api/\nDisallow: /confirm-address\nDisallow: /forgot-password\nDisallow: /orders\nDisallow: /pay/\nDisallow: /register\nDisallow: /reset-password\n\
                           Disallow: /sandbox/\nDisallow: /sign-in\nDisallow: /socket.io/\nDisallow: /unsubscribe\n";

static FAVICON_BYTES: &[u8] = include_bytes!("web/favicon.ico");

/// Scripts, styles and requests only from this origin; product images also from other sites.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https:; font-src 'self'; \
     connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// A name with a hash never gets another content. RFC 9111 caches keep a reply for a year at most.
const CACHE_IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const CACHE_REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");
const CACHE_A_DAY: HeaderValue = HeaderValue::from_static("public, max-age=86400");

async fn send_page(headers: HeaderMap) -> Response {
    match INDEX.as_ref() {
        Some(page) => send_content(page, &headers),
        None => send_not_built(),
    }
}

async fn send_page_with_id(uri: Uri, headers: HeaderMap) -> Response {
    // The id is the only part of these paths that can be one.
    let has_id = uri.path().split('/').any(|part| Uuid::try_parse(part).is_ok());
    if has_id { send_page(headers).await } else { send_lost_page(&headers) }
}

/// The page of a sale, with what a preview of it shows, and with a preload link so that the browser requests the sale while it loads
/// the script.
async fn send_sale_page(
    State(app): State<AppState>,
    Path(slug): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if let Some(slug) = sales::find_moved(&app.shop, &slug) {
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        return redirect_for_good(&format!("/s/{slug}{query}"));
    }
    let Some(index) = INDEX.as_ref() else { return send_not_built() };
    let Some(sale) = sales::find_named_or_refresh(&app.shop, &slug).await else {
        return send_lost_page(&headers);
    };
    let page = app.sale_pages.prepare_page(&sale, app.shop.public_url.as_ref(), index);
    let mut response = send_content(&page, &headers);
    let is_slug = slug.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let link = format!("</api/v1/flash-sales/{slug}>; rel=preload; as=fetch; crossorigin=anonymous");
    if let (true, Ok(link)) = (is_slug, HeaderValue::try_from(link)) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// The page with the status 404: its script shows a way out. It has no tag, so that a browser that has the page sees the status.
fn send_lost_page(headers: &HeaderMap) -> Response {
    let Some(page) = INDEX.as_ref() else { return send_not_built() };
    let mut response = encode_content(page, headers);
    *response.status_mut() = StatusCode::NOT_FOUND;
    set_page_headers(response.headers_mut());
    response
}

fn send_not_built() -> Response {
    let kind = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (StatusCode::SERVICE_UNAVAILABLE, kind, NOT_BUILT).into_response()
}

fn send_content(page: &PageContent, headers: &HeaderMap) -> Response {
    let mut response =
        IfNoneMatch::from_headers(headers).reply_unless_known(&page.etag, || encode_content(page, headers));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    set_page_headers(response.headers_mut());
    response
}

fn encode_content(page: &PageContent, headers: &HeaderMap) -> Response {
    let forms = (page.plain.clone(), page.br.clone(), page.gzip.clone());
    encode_reply(forms, "text/html; charset=utf-8", headers)
}

fn set_page_headers(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, CACHE_REVALIDATE);
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
}

async fn send_asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let found = FILES.iter().find(|file| file.path.strip_prefix("assets/") == Some(name.as_str()));
    let Some(file) = found else { return Problem::new(&kind::NOT_FOUND).into_response() };
    let compressed = [file.br, file.gzip].map(|bytes| bytes.map(Bytes::from_static));
    let [br, gzip] = compressed;
    let mut response =
        encode_reply((Bytes::from_static(file.plain), br, gzip), content_type(file.path), &headers);
    response.headers_mut().insert(header::CACHE_CONTROL, CACHE_IMMUTABLE);
    response
}

async fn send_favicon() -> Response {
    let kind = HeaderValue::from_static(content_type(FAVICON));
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, CACHE_A_DAY)], FAVICON_BYTES).into_response()
}

async fn send_robots() -> Response {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, CACHE_A_DAY)], ROBOTS_TEXT).into_response()
}

/// A content in the smallest form that the client accepts: plain, brotli, gzip.
fn encode_reply(
    (plain, br, gzip): (Bytes, Option<Bytes>, Option<Bytes>),
    kind: &'static str,
    headers: &HeaderMap,
) -> Response {
    let accept =
        headers.get(header::ACCEPT_ENCODING).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let accepts = |coding: ContentCoding| coding.is_accepted(accept);
    let (bytes, coding) = match (br, gzip) {
        (Some(br), _) if accepts(ContentCoding::Brotli) => (br, Some(ContentCoding::Brotli)),
        (_, Some(gzip)) if accepts(ContentCoding::Gzip) => (gzip, Some(ContentCoding::Gzip)),
        _ => (plain, None),
    };
    let mut response = Response::new(Body::from(bytes));
    let own = response.headers_mut();
    own.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    own.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(coding) = coding {
        own.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    response
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json" | "webmanifest") => "application/json",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("mp3") => "audio/mpeg",
        Some("ogg") => "audio/ogg",
        Some("wav") => "audio/wav",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_type_that_a_browser_takes() {
        for file in FILES {
            assert_ne!(content_type(file.path), "application/octet-stream", "{}", file.path);
        }
    }

    #[test]
    fn a_slash_at_the_end_leads_to_the_page_and_never_to_another_site() {
        let redirected = |path: &str| {
            let location = page_without_slash(&path.parse().unwrap())?;
            Some(location.to_str().unwrap().to_owned())
        };
        for (path, page) in [
            ("/s/demo/", "/s/demo"),
            ("/admin/", "/admin"),
            ("/orders/?a=b", "/orders?a=b"),
            ("/s/demo//", "/s/demo"),
            ("/admin/sales/1/edit/", "/admin/sales/1/edit"),
        ] {
            assert_eq!(redirected(path).as_deref(), Some(page), "{path}");
        }
        for path in
            ["/", "/s/demo", "/nowhere/", "/api/v1/flash-sales/", "//evil.example/", "//evil.example/s/"]
        {
            assert_eq!(redirected(path), None, "{path}");
        }
    }

    /// The server answers 404 for a page that the browser's router does not know, and the other way round.
    #[test]
    fn the_server_knows_the_pages_of_the_browser() {
        let sources = [
            include_str!("../../../../web/src/App.tsx"),
            include_str!("../../../../web/src/admin/AdminApp.tsx"),
        ];
        let routes = sources.iter().flat_map(|source| source.split("path=\"").skip(1));
        let mut theirs: Vec<String> = routes
            .map(|rest| rest.split('"').next().unwrap_or_default())
            .filter(|path| !path.contains('*'))
            .map(|path| {
                let part =
                    |part: &str| part.strip_prefix(':').map_or(part.to_owned(), |name| format!("{{{name}}}"));
                path.split('/').map(part).collect::<Vec<_>>().join("/")
            })
            .collect();
        let mut ours: Vec<&str> = PAGES.into_iter().map(|(path, _)| path).collect();
        theirs.sort();
        ours.sort_unstable();
        assert_eq!(ours, theirs);
    }
}
