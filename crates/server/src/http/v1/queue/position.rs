//! `GET /api/v1/queue/position`: the buyer's place in line.

use super::{LineRequest, find_place};
use crate::http::AppState;
use crate::http::extract::{BuyerSession, Json, Query};
use crate::http::problem::Problem;
use axum::extract::State;
use documents::PlaceDocument;

/// The buyer's place in line, or how it ended.
///
/// `lapsed` and `left` are answered until the buyer joins again, or a day after the end of the sale.
#[utoipa::path(
    get,
    path = "/api/v1/queue/position",
    tag = "queue",
    params(LineRequest),
    responses(
        (status = 200, description = "The buyer's place, or how it ended", body = PlaceDocument),
    ),
    security(("token" = []))
)]
pub(super) async fn position(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Query(query): Query<LineRequest>,
) -> Result<Json<PlaceDocument>, Problem> {
    find_place(&app, query.flash_sale_id, session.buyer).await
}
