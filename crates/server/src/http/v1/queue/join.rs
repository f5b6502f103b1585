//! `POST /api/v1/queue/join`: join the line.

use super::{LineRequest, find_listed_sale};
use crate::http::AppState;
use crate::http::extract::{BuyerSession, Json};
use crate::http::problem::Problem;
use crate::shop::line;
use axum::extract::State;
use axum::http::StatusCode;
use documents::PlaceDocument;

/// Join the line.
///
/// A buyer who is in line already keeps the place and gets it again (200), so a repeated request or a second tab is safe.
#[utoipa::path(
    post,
    path = "/api/v1/queue/join",
    tag = "queue",
    request_body = LineRequest,
    responses(
        (status = 201, description = "In line", body = PlaceDocument),
        (status = 200, description = "In line already", body = PlaceDocument),
    ),
    security(("token" = []))
)]
pub(super) async fn join(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Json(body): Json<LineRequest>,
) -> Result<(StatusCode, Json<PlaceDocument>), Problem> {
    let sale = find_listed_sale(&app, body.flash_sale_id).await?;
    let joined = line::join(&app.shop, sale, session.buyer).await??;
    let status = if joined.fresh { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(joined.status.into())))
}
