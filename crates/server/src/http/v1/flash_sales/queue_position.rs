//! `GET /api/v1/flash-sales/{id}/queue-position`: the buyer's place in the line of this sale, by its id or slug.

use crate::http::AppState;
use crate::http::extract::{BuyerSession, Json, Path};
use crate::http::problem::{Problem, kind};
use crate::http::v1::queue::find_place;
use crate::shop::sales;
use axum::extract::State;
use documents::PlaceDocument;

/// The buyer's place in the line of this sale, as in `/queue/position`.
#[utoipa::path(
    get,
    path = "/api/v1/flash-sales/{id}/queue-position",
    tag = "flash-sales",
    params(("id" = String, Path, description = "Id or slug, also one that the sale had before")),
    responses(
        (status = 200, description = "The buyer's place, or how it ended", body = PlaceDocument),
    ),
    security(("token" = []))
)]
pub(super) async fn queue_position(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Path(name): Path<String>,
) -> Result<Json<PlaceDocument>, Problem> {
    // An id may be that of a sale that is not listed any more.
    let sale = match name.parse() {
        Ok(id) => id,
        Err(_) => sales::find_id_by_slug(&app.shop, &name).await.ok_or(Problem::new(&kind::SALE_UNKNOWN))?.0,
    };
    find_place(&app, sale, session.buyer).await
}
