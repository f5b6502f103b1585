//! `GET /admin/server`: how this one process answers. It says nothing of other instances.

use crate::http::AppState;
use crate::http::extract::{AdminSession, Json};
use crate::http::v1::rfc3339;
use crate::telemetry::latency::BOUNDS_S;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What a buyer waits for.
const SHOWN_ROUTES: [(&str, &str); 3] =
    [("POST", "/api/v1/queue/join"), ("POST", "/api/v1/orders"), ("POST", "/api/v1/orders/{id}/pay")];

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(server))
}

/// How this process answers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ServerJson {
    /// When this process started: another one when this differs, and its counts begin anew.
    #[schema(format = DateTime)]
    started_at: String,
    /// The server's time.
    #[schema(format = DateTime)]
    server_time: String,
    /// Connections open now.
    connections: i64,
    /// Requests being answered now, this one among them.
    in_flight: i64,
    /// Upper bounds of the latencies below, in seconds.
    bounds_seconds: Vec<f64>,
    /// How long answers took since the start.
    latencies: Vec<LatencyJson>,
}

/// How long the answers of one route took.
#[derive(Debug, Serialize, ToSchema)]
struct LatencyJson {
    /// The route's method.
    method: &'static str,
    /// The route.
    route: &'static str,
    /// Answers by length: one count for each of `boundsSeconds`, and one for what took longer.
    counts: Vec<u64>,
}

/// How this process answers, since it started.
///
/// The counts only grow: what happened between two looks is their difference. Behind a load balancer the next look may meet
/// another process; `startedAt` tells.
#[utoipa::path(
    get,
    path = "/api/v1/admin/server",
    tag = "admin",
    responses((status = 200, description = "The figures", body = ServerJson)),
    security(("token" = []))
)]
async fn server(State(app): State<AppState>, _: AdminSession) -> Json<ServerJson> {
    let shown = SHOWN_ROUTES.into_iter().filter_map(|(method, route)| {
        let counts = app.metrics.route_latency(method, route)?.counts().to_vec();
        Some(LatencyJson { method, route, counts })
    });
    Json(ServerJson {
        started_at: rfc3339(app.started_at),
        server_time: rfc3339(app.shop.engine.now()),
        connections: app.metrics.connections.get(),
        in_flight: app.metrics.in_flight.get(),
        bounds_seconds: BOUNDS_S.to_vec(),
        latencies: shown.collect(),
    })
}
