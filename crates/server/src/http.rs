//! The shop over HTTP. Requests are parsed into domain types here, and outcomes become replies; nothing is decided.
//!
//! The way of a request: [`server`] (connections) → [`edge`] (what all requests share) → the router → a handler in [`v1`],
//! [`admin`], [`ops`], [`docs`], [`web`] or [`dialects`]. A handler extracts ([`extract`]), makes one call into `shop`, and replies. Every failure
//! is a [`problem`].

pub mod server;

pub mod edge;
pub mod limits;
pub mod routes;

pub mod bounds;
pub mod operations;

pub mod admin;
pub mod dialects;
pub mod docs;
mod event_schemas;
pub mod ops;
pub mod v1;
pub mod web;

pub mod caller;
pub mod client_address;
pub mod content_coding;
pub mod cors;
pub mod extract;
pub mod failure_log;
pub mod idempotency;
pub mod load_shedding;
pub mod page;
mod payment_pages;
pub mod problem;
mod provider_notices;
mod reply;
pub mod sockets;
pub mod timestamp;
pub mod valid_json;

use crate::shop::Shop;
use crate::telemetry::metrics::ServerMetrics;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use problem::{Problem, kind};
use sale::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub type AppState = Arc<AppContext>;

/// What every handler may use.
pub struct AppContext {
    pub shop: Arc<Shop>,
    /// Replies about sales, complete except for the time.
    pub prepared: v1::flash_sales::PreparedSales,
    pub line_feeds: v1::flash_sales::PreparedLineFeeds,
    pub sale_pages: web::SalePages,
    pub edge: edge::EdgeSettings,
    pub started_at: Timestamp,
    /// `None` when the rate limits are off.
    pub limits: Option<limits::RateLimiter>,
    pub shedder: load_shedding::LoadShedder,
    pub metrics: ServerMetrics,
    pub ready: ReadinessFlag,
}

/// Whether a load balancer should send requests to this instance: not before it has started, not once it stops.
#[derive(Debug, Default)]
pub struct ReadinessFlag(AtomicBool);

impl ReadinessFlag {
    #[must_use]
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }
}

/// All routes, and their OpenAPI description. Each route has its whole path, because axum's `nest` rebuilds the URI of every
/// request.
pub fn router() -> (Router<AppState>, OpenApi) {
    let (router, mut openapi) = OpenApiRouter::with_openapi(docs::base_description())
        .merge(v1::router())
        .merge(admin::router())
        .merge(ops::router())
        .merge(event_schemas::router())
        .split_for_parts();
    docs::complete_description(&mut openapi);
    let router = router
        .merge(docs::router(&openapi))
        .merge(web::router())
        .merge(payment_pages::router())
        .merge(provider_notices::router())
        .fallback(web::answer_unknown_path)
        .method_not_allowed_fallback(async || Problem::new(&kind::METHOD_NOT_ALLOWED));
    (router, openapi)
}

/// 308 to another path of this site. Caches ask again each time, because a sale may go back to a slug that it had.
#[must_use]
pub fn redirect_for_good(path: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(path) = HeaderValue::try_from(path) {
        headers.insert(header::LOCATION, path);
    }
    response
}

/// The OpenAPI description, as in `docs/openapi.json`.
#[must_use]
pub fn openapi() -> OpenApi {
    router().1
}
