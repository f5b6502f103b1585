//! `GET /api/v1/flash-sales/{id}`: one sale, by id or slug.

use crate::http::AppState;
use crate::http::extract::Path;
use crate::http::problem::{Problem, kind};
use crate::http::redirect_for_good;
use crate::http::reply::IfNoneMatch;
use crate::shop::sales::{self, ListedSale};
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use documents::SaleDocument;

/// One sale, by id or slug.
///
/// A slug that the sale had before leads to the current one. The reply has an `ETag`; with `If-None-Match`, an unchanged sale is a 304 without a body.
#[utoipa::path(
    get,
    path = "/api/v1/flash-sales/{id}",
    tag = "flash-sales",
    params(("id" = String, Path, description = "Id or slug")),
    responses(
        (status = 200, description = "The sale", body = SaleDocument),
        (status = 304, description = "Not changed since `If-None-Match`"),
        (status = 308, description = "The sale has another slug now: see `Location`"),
    )
)]
pub(super) async fn show(
    State(app): State<AppState>,
    Path(name): Path<String>,
    known: IfNoneMatch,
) -> Result<Response<Body>, Problem> {
    let Some(ListedSale { listing, view }) = sales::find_named_or_refresh(&app.shop, &name).await else {
        let slug = sales::find_moved(&app.shop, &name).ok_or(Problem::new(&kind::SALE_UNKNOWN))?;
        return Ok(redirect_for_good(&format!("/api/v1/flash-sales/{slug}")));
    };
    let now = app.shop.engine.now();
    Ok(app.prepared.prepare_sale(&listing, &view, now).to_reply(&known, now))
}
