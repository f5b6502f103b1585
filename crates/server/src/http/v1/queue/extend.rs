//! `POST /api/v1/queue/extend`: extend the admission.

use super::{LineRequest, find_listed_sale, place_problem};
use crate::http::AppState;
use crate::http::extract::{BuyerSession, Json};
use crate::http::problem::{Problem, ProblemSchema};
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
        (status = 403, description = "`not_admitted`: it is not the buyer's turn yet", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 404, description = "`not_in_line`: the buyer has no place, or the admission has ended", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 409, description = "`no_extension`, `no_line`", body = ProblemSchema, content_type = "application/problem+json"),
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
