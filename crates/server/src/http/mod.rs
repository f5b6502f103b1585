//! The shop over HTTP. Outside words are turned into ours here, and our outcomes into replies; nothing is decided.
//!
//! The way of a request: [`server`] (connections) → [`edge`] (what all requests share) → the router → a handler in [`v1`],
//! [`ops`], [`docs`] or [`web`], which extracts ([`extract`]), makes one call into `shop`, and replies; what goes wrong on the way is a
//! [`problem`].

pub mod server;

pub mod edge;
pub mod limits;
pub mod routes;

pub mod admin;
pub mod docs;
pub mod ops;
pub mod v1;
pub mod web;

pub mod caller;
pub mod client_address;
pub mod cors;
pub mod extract;
pub mod idempotency;
pub mod page;
pub mod problem;
pub mod sockets;

use crate::shop::Shop;
use crate::telemetry::metrics::ServerMetrics;
use axum::Router;
use problem::{Problem, kind};
use sale::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// What every handler can ask for.
pub type AppState = Arc<AppContext>;

/// What every handler works with.
pub struct AppContext {
    /// The use cases' tools.
    pub shop: Shop,
    /// Replies about sales that are ready but for the time.
    pub prepared: v1::flash_sales::PreparedSales,
    /// What the edge goes by.
    pub edge: edge::EdgeSettings,
    /// When this process began to be a shop.
    pub started_at: Timestamp,
    /// The request limits; `None` when they are off.
    pub limits: Option<limits::RateLimiter>,
    /// The metrics.
    pub metrics: ServerMetrics,
    /// Whether a load balancer should send requests here.
    pub ready: ReadinessFlag,
}

/// Whether this instance wants requests. Not before it has started, not after it was told to stop.
#[derive(Debug, Default)]
pub struct ReadinessFlag(AtomicBool);

impl ReadinessFlag {
    /// Whether it does.
    #[must_use]
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// From now on it does, or does not.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }
}

/// All routes, with the description that they make up. Each names its whole path: axum's `nest` makes a new URI for every
/// request.
pub fn router() -> (Router<AppState>, OpenApi) {
    let (router, mut openapi) = OpenApiRouter::with_openapi(docs::base_description())
        .merge(v1::router())
        .merge(admin::router())
        .merge(ops::router())
        .split_for_parts();
    docs::name_operations(&mut openapi);
    let router = router
        .merge(docs::router(&openapi))
        .merge(web::router())
        .fallback(web::answer_unknown_path)
        .method_not_allowed_fallback(async || Problem::new(&kind::METHOD_NOT_ALLOWED));
    (router, openapi)
}

/// The description of the API, as `docs/openapi.json` has it.
#[must_use]
pub fn openapi() -> OpenApi {
    router().1
}
