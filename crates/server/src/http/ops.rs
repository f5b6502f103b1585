//! What load balancers, orchestrators and the person on call ask: is it alive, does it want requests, what is wrong, how much.
//! It never needs a token and is never limited.

use super::AppState;
use super::extract::Json;
use super::problem::{Problem, ProblemSchema, kind};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The probes, and the public key of our tokens.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(livez))
        .routes(routes!(readyz))
        .routes(routes!(health))
        .routes(routes!(jwks))
}

/// The routes of the metrics' own address. The probes are there too: a worker has no other.
pub fn metrics_router() -> Router<AppState> {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .fallback(async || StatusCode::NOT_FOUND)
}

/// Whether the process answers at all. If not, start it again.
#[utoipa::path(get, path = "/livez", tag = "ops", responses((status = 200, description = "It answers", body = String)))]
async fn livez() -> &'static str {
    "ok"
}

/// Whether it wants requests. Not while it starts, not after it was told to stop, not while the ledger cannot be written.
#[utoipa::path(get, path = "/readyz", tag = "ops", responses(
    (status = 200, description = "Send requests", body = String),
    (status = 503, description = "Send none", body = ProblemSchema, content_type = "application/problem+json"),
))]
async fn readyz(State(app): State<AppState>) -> Result<String, Problem> {
    if !app.ready.get() {
        return Err(Problem::new(&kind::UNAVAILABLE).detail("starting or stopping"));
    }
    if app.shop.engine.is_taken_over() {
        return Err(Problem::new(&kind::UNAVAILABLE).detail("another instance has taken over the ledger"));
    }
    if !app.shop.engine.is_recording() {
        return Err(Problem::new(&kind::UNAVAILABLE).detail("the ledger does not take records"));
    }
    if !app.shop.engine.is_deciding() {
        return Err(Problem::new(&kind::UNAVAILABLE).detail("the Valkey that decides does not answer"));
    }
    // How far the tables lag is told, and is no reason to send no requests: buying does not need them.
    let lag = &app.shop.lag;
    Ok(format!("ready; tables are {} events and {} s behind", lag.events.get(), lag.seconds.get()))
}

/// How the parts are. 503 when one that buyers need does not work.
#[utoipa::path(get, path = "/health", tag = "ops", responses(
    (status = 200, description = "All parts work", body = HealthReport),
    (status = 503, description = "Some part does not", body = HealthReport),
))]
async fn health(State(app): State<AppState>) -> Response {
    let database = app.shop.store.ping().await;
    if let Err(error) = &database {
        tracing::warn!(%error, "the shop's database does not answer");
    }
    let components = vec![
        ComponentHealth { name: "ready", ok: app.ready.get() },
        ComponentHealth { name: "ledger", ok: app.shop.engine.is_recording() },
        ComponentHealth { name: "decisions", ok: app.shop.engine.is_deciding() },
        ComponentHealth { name: "shop database", ok: database.is_ok() },
    ];
    let ok = components.iter().all(|component| component.ok);
    let lag = &app.shop.lag;
    let tables = TablesLag { events_behind: lag.events.get(), seconds_behind: lag.seconds.get() };
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(HealthReport { ok, version: env!("CARGO_PKG_VERSION"), components, tables }))
        .into_response()
}

/// How the parts are.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthReport {
    /// Whether all of them work.
    ok: bool,
    /// The version that runs.
    version: &'static str,
    /// Each of them.
    components: Vec<ComponentHealth>,
    /// How far the tables behind lists lag; it does not count as not working, because nobody needs them to buy.
    tables: TablesLag,
}

/// How far the tables are behind the ledger.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TablesLag)]
struct TablesLag {
    /// Events that they do not show yet.
    events_behind: i64,
    /// Seconds since they showed everything.
    seconds_behind: i64,
}

/// How one part is.
#[derive(Serialize, ToSchema)]
#[schema(as = Component)]
struct ComponentHealth {
    /// Its name.
    name: &'static str,
    /// Whether it works.
    ok: bool,
}

/// The public key of our access tokens, as a JSON Web Key Set.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "ops",
    responses((status = 200, description = "The key set", body = Object)))]
async fn jwks(State(app): State<AppState>) -> Response {
    let cache = [(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"))];
    (cache, Json(app.shop.accounts.tokens.jwks())).into_response()
}

async fn metrics(State(app): State<AppState>) -> Response {
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], app.metrics.encode()).into_response()
}

/// Serves the metrics until told to stop.
pub async fn serve_metrics(listener: TcpListener, app: AppState, mut stop: watch::Receiver<bool>) {
    let router = metrics_router().with_state(app);
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let serving = axum::serve(listener, router).with_graceful_shutdown(stopped);
    if let Err(error) = serving.await {
        tracing::error!(%error, "the metrics server broke");
    }
}
