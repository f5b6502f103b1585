//! `GET /api/v1/flash-sales/{id}/queue-position`: the buyer's place in the line of this sale.

use crate::http::AppState;
use crate::http::extract::{BuyerSession, Json, Path};
use crate::http::problem::Problem;
use crate::http::v1::queue::find_place;
use axum::extract::State;
use documents::PlaceDocument;
use uuid::Uuid;

/// The buyer's place in the line of this sale, as in `/queue/position`.
#[utoipa::path(
    get,
    path = "/api/v1/flash-sales/{id}/queue-position",
    tag = "flash-sales",
    params(("id" = Uuid, Path, description = "The sale's id")),
    responses(
        (status = 200, description = "The buyer's place, or how it ended", body = PlaceDocument),
    ),
    security(("token" = []))
)]
pub(super) async fn queue_position(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Path(sale): Path<Uuid>,
) -> Result<Json<PlaceDocument>, Problem> {
    find_place(&app, sale, session.buyer).await
}
