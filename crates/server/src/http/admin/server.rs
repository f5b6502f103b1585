//! `GET /admin/server`: the latencies of this process. It knows nothing of other instances.

use crate::http::AppState;
use crate::http::extract::{AdminSession, Json};
use crate::http::v1::rfc3339;
use crate::telemetry::latency::BOUNDS_S;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes that a buyer waits for.
const SHOWN_ROUTES: [(&str, &str); 3] =
    [("POST", "/api/v1/queue/join"), ("POST", "/api/v1/orders"), ("POST", "/api/v1/orders/{id}/pay")];

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(server))
}

/// The latencies of this process.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ServerJson {
    /// When this process started. When it differs, another process answered, whose counts are its own.
    #[schema(format = DateTime)]
    started_at: String,
    /// The server's time.
    #[schema(format = DateTime)]
    server_time: String,
    /// Connections open now.
    connections: i64,
    /// Requests in flight, this one included.
    in_flight: i64,
    /// Upper bounds of the latencies below, in seconds.
    bounds_seconds: Vec<f64>,
    /// Latencies since the start, by route.
    latencies: Vec<LatencyJson>,
}

/// The latencies of one route.
#[derive(Debug, Serialize, ToSchema)]
struct LatencyJson {
    method: &'static str,
    route: &'static str,
    /// A count for each of `boundsSeconds`, and one for all above.
    counts: Vec<u64>,
}

/// The latencies of this process since it started.
///
/// The counts only grow; subtract two replies to get the time between them. Behind a load balancer, the next reply may come from
/// another process, which `startedAt` shows.
#[utoipa::path(
    get,
    path = "/api/v1/admin/server",
    tag = "admin",
    responses((status = 200, description = "The numbers", body = ServerJson)),
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
