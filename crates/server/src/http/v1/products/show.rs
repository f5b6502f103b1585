//! `GET /api/v1/products/{id}`: one product.

use super::ProductJson;
use crate::http::AppState;
use crate::http::extract::{Json, Path};
use crate::http::problem::{Problem, kind};
use crate::shop::products::{self, ProductId};
use axum::extract::State;

/// One product.
#[utoipa::path(
    get,
    path = "/api/v1/products/{id}",
    tag = "products",
    params(("id" = Uuid, Path, description = "The product")),
    responses(
        (status = 200, description = "The product", body = ProductJson),
    )
)]
pub(super) async fn show(
    State(app): State<AppState>,
    Path(id): Path<ProductId>,
) -> Result<Json<ProductJson>, Problem> {
    let product = products::find(&app.shop, id).await?;
    product.map(|product| Json(product.into())).ok_or(Problem::new(&kind::PRODUCT_UNKNOWN))
}
