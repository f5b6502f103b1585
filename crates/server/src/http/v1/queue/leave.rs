//! `DELETE /api/v1/queue/leave`: leave the line, or give up an admission.

use super::{LineRequest, find_listed_sale, place_problem};
use crate::http::AppState;
use crate::http::extract::{BuyerSession, Query};
use crate::http::problem::Problem;
use crate::shop::line;
use axum::extract::State;
use axum::http::StatusCode;

/// Leave the line, or give up an admission.
#[utoipa::path(
    delete,
    path = "/api/v1/queue/leave",
    tag = "queue",
    params(LineRequest),
    responses(
        (status = 204, description = "Left"),
    ),
    security(("token" = []))
)]
pub(super) async fn leave(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Query(query): Query<LineRequest>,
) -> Result<StatusCode, Problem> {
    let sale = find_listed_sale(&app, query.flash_sale_id).await?;
    let left = line::leave(&app.shop, sale, session.buyer).await?;
    left.map(|_ticket| StatusCode::NO_CONTENT).map_err(place_problem)
}
