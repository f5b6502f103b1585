//! `POST /api/v1/queue/extend`: extend the admission.

use super::{LineRequest, find_listed_sale, place_problem};
use crate::http::AppState;
use crate::http::extract::{BuyerSession, Json};
use crate::http::problem::Problem;
use crate::shop::line;
use axum::extract::State;
use documents::PlaceDocument;

/// Extend the admission.
///
/// Each admission can be extended once, before it ends, if the sale has `admission.extensionSeconds`. A repeated request gets the
/// same end, so it is safe.
#[utoipa::path(
    post,
    path = "/api/v1/queue/extend",
    tag = "queue",
    request_body = LineRequest,
    responses(
        (status = 200, description = "The place with its later `admittedUntil`", body = PlaceDocument),
    ),
    security(("token" = []))
)]
pub(super) async fn extend(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Json(body): Json<LineRequest>,
) -> Result<Json<PlaceDocument>, Problem> {
    let sale = find_listed_sale(&app, body.flash_sale_id).await?;
    let extended = line::extend(&app.shop, sale, session.buyer).await?;
    extended.map(|status| Json(status.into())).map_err(place_problem)
}
