//! Liveness, readiness, health, metrics and the public key of the access tokens. None of it needs a token or has a rate limit.

use super::extract::Json;
use super::problem::{Problem, kind};
use super::{AppContext, AppState};
use crate::shop::payments::ProviderHealth;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use documents::rfc3339;
use engine::error_text::describe_error;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(livez))
        .routes(routes!(readyz))
        .routes(routes!(health))
        .routes(routes!(jwks))
}

/// The routes of the metrics listener. It has the probes too, because a worker has no other listener.
pub fn metrics_router() -> Router<AppState> {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .fallback(async || StatusCode::NOT_FOUND)
}

/// Whether the process answers. If it does not, restart it.
#[utoipa::path(get, path = "/livez", tag = "ops", responses((status = 200, description = "It answers", body = String)))]
async fn livez() -> &'static str {
    "ok"
}

/// Whether this instance accepts requests: not while it starts or stops, not while the ledger cannot be written.
#[utoipa::path(get, path = "/readyz", tag = "ops", responses(
    (status = 200, description = "Send requests", body = String),
))]
async fn readyz(State(app): State<AppState>) -> Result<String, Problem> {
    check_readiness(&app).map_err(|reason| Problem::new(&kind::UNAVAILABLE).detail(reason))?;
    // A lag of the tables does not make the instance unready: buying does not need them.
    let lag = &app.shop.lag;
    Ok(format!("ready; tables are {} events and {} s behind", lag.events.get(), lag.seconds.get()))
}

/// Whether this instance accepts requests.
///
/// # Errors
/// The reason when it does not.
pub fn check_readiness(app: &AppContext) -> Result<(), &'static str> {
    if !app.ready.get() {
        return Err("starting or stopping");
    }
    let engine = &app.shop.engine;
    if engine.is_damaged() {
        return Err("stored data is damaged or gone; nothing is recorded until the next start");
    }
    if engine.is_taken_over() {
        return Err("another instance has taken over the ledger");
    }
    if !engine.is_recording() {
        return Err("the ledger does not take records");
    }
    if !engine.is_deciding() {
        return Err("the Valkey that decides does not answer");
    }
    Ok(())
}

/// The health of the components. 503 when one that buyers need does not work.
#[utoipa::path(get, path = "/health", tag = "ops", responses(
    (status = 200, description = "All components work", body = HealthReport),
    (status = 503, description = "A component does not work", body = HealthReport),
))]
async fn health(State(app): State<AppState>) -> Response {
    let database = app.shop.store.check_database().await;
    if let Err(error) = &database {
        let error = describe_error(error);
        tracing::warn!(
            error,
            "the shop's database cannot be read or written; /health answers 503; check its disk and the database"
        );
    }
    let mut components = vec![
        ComponentHealth::of_part("ready", app.ready.get()),
        ComponentHealth::of_part("ledger", app.shop.engine.is_recording()),
        ComponentHealth::of_part("decisions", app.shop.engine.is_deciding()),
        ComponentHealth::of_part("shop database", database.is_ok()),
    ];
    let providers = app.shop.payments.list_health();
    components.extend(providers.iter().map(|(name, health)| ComponentHealth::of_provider(name, health)));
    let ok = components.iter().all(|component| component.ok);
    let lag = &app.shop.lag;
    let tables = TablesLag { events_behind: lag.events.get(), seconds_behind: lag.seconds.get() };
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(HealthReport { ok, version: env!("CARGO_PKG_VERSION"), components, tables }))
        .into_response()
}

#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthReport {
    /// Whether all components work.
    ok: bool,
    /// The version of the program.
    version: &'static str,
    components: Vec<ComponentHealth>,
    /// How far the tables of the lists lag behind the ledger. A lag does not count as unhealthy, because buying does not need them.
    tables: TablesLag,
}

/// How far the tables lag behind the ledger.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TablesLag)]
struct TablesLag {
    /// Events that the tables do not have yet.
    events_behind: i64,
    /// Seconds since the tables had all events.
    seconds_behind: i64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Component)]
struct ComponentHealth {
    name: &'static str,
    /// Whether it works.
    ok: bool,
    /// Why a payment provider cannot be used, for programs; missing otherwise. `provider_unknown`: this process has just started, and the
    /// provider has not answered it yet. `provider_unavailable`: it does not answer. `provider_key_invalid`: it does not know the key.
    /// `provider_rights_missing`: the key lacks rights.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^provider_(unknown|unavailable|key_invalid|rights_missing)$")]
    code: Option<&'static str>,
    /// What is wrong with it, for people, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<String>,
    /// Since when a provider has not answered; with `provider_unavailable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    since: Option<String>,
    /// The rights that the key lacks, in the provider's words; with `provider_rights_missing`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    missing_rights: Vec<String>,
}

impl ComponentHealth {
    const fn of_part(name: &'static str, ok: bool) -> Self {
        Self { name, ok, code: None, detail: None, since: None, missing_rights: Vec::new() }
    }

    /// Without a provider orders are taken nevertheless, and keep their units as long as their holds last.
    fn of_provider(name: &'static str, health: &ProviderHealth) -> Self {
        let failed = |code, detail: String| Self {
            code: Some(code),
            detail: Some(detail),
            ..Self::of_part(name, false)
        };
        match health {
            ProviderHealth::Ok => Self::of_part(name, true),
            ProviderHealth::Unknown => failed("provider_unknown", "it has not answered yet".to_owned()),
            ProviderHealth::Unavailable { since } => {
                let since = rfc3339(*since);
                let detail = format!("it has not answered since {since}");
                Self { since: Some(since), ..failed("provider_unavailable", detail) }
            }
            ProviderHealth::KeyRefused { missing } if missing.is_empty() => {
                failed("provider_key_invalid", "it does not know the key any more".to_owned())
            }
            ProviderHealth::KeyRefused { missing } => Self {
                missing_rights: missing.clone(),
                ..failed("provider_rights_missing", format!("the key lacks rights: {}", missing.join(", ")))
            },
        }
    }
}

/// The public key of the access tokens, as a JSON Web Key Set.
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

/// Serves the metrics until `stop` is true.
pub async fn serve_metrics(listener: TcpListener, app: AppState, mut stop: watch::Receiver<bool>) {
    let router = metrics_router().with_state(app);
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let serving = axum::serve(listener, router).with_graceful_shutdown(stopped);
    if let Err(error) = serving.await {
        tracing::error!(%error, "the metrics listener failed; metrics are gone until the next start; restart this instance");
    }
}
