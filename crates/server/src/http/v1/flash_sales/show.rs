//! `GET /api/v1/flash-sales/{id}`: one sale, by id or slug.

use super::IfNoneMatch;
use crate::http::AppState;
use crate::http::extract::Path;
use crate::http::problem::{Problem, ProblemSchema, kind};
use crate::shop::sales::{self, ListedSale};
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use documents::SaleDocument;

/// One sale, by id or slug.
///
/// The reply has an `ETag`; with `If-None-Match`, an unchanged sale is a 304 without a body.
#[utoipa::path(
    get,
    path = "/api/v1/flash-sales/{id}",
    tag = "flash-sales",
    params(("id" = String, Path, description = "Id or slug")),
    responses(
        (status = 200, description = "The sale", body = SaleDocument),
        (status = 304, description = "Not changed since `If-None-Match`"),
        (status = 404, description = "`sale_unknown`", body = ProblemSchema, content_type = "application/problem+json"),
    )
)]
pub(super) async fn show(
    State(app): State<AppState>,
    Path(name): Path<String>,
    known: IfNoneMatch,
) -> Result<Response<Body>, Problem> {
    let ListedSale { listing, view } =
        sales::find_named_or_refresh(&app.shop, &name).await.ok_or(Problem::new(&kind::SALE_UNKNOWN))?;
    let now = app.shop.engine.now();
    Ok(app.prepared.prepare_sale(&listing, &view, now).to_reply(&known, now))
}
