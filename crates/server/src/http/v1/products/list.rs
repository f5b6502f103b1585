//! `GET /api/v1/products`: all products, newest first.

use super::ProductJson;
use crate::http::AppState;
use crate::http::extract::{Json, Query};
use crate::http::page::{Page, PageQuery, parse_time_cursor};
use crate::http::problem::Problem;
use crate::shop::products;
use axum::extract::State;

/// All products, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/products",
    tag = "products",
    params(PageQuery),
    responses((status = 200, description = "A page of products", body = Page<ProductJson>))
)]
pub(super) async fn list(
    State(app): State<AppState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ProductJson>>, Problem> {
    let request = query.into_request()?;
    let after = request.after.as_deref().map(parse_time_cursor).transpose()?;
    let products = products::list(&app.shop, after, request.limit + 1).await?;
    let page =
        Page::new(products, request.limit, |product| format!("{}/{}", product.created_at.0, product.id));
    Ok(Json(page.map(ProductJson::from)))
}
