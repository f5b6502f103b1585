//! `PATCH /api/v1/admin/products/{id}`: edit a product.

use crate::http::AppState;
use crate::http::admin::price::PriceBody;
use crate::http::admin::run_to_completion;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::Problem;
use crate::http::v1::products::ProductJson;
use crate::http::valid_json::{ValidJson, fields};
use crate::shop::catalogue_text::{Category, Description, ImageUrl, ProductName};
use crate::shop::products::{self, ProductEdit, ProductId};
use axum::extract::State;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

/// The changes. An absent field stays as it is; null empties `category` and `imageUrl`.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ProductEdit)]
#[garde(allow_unvalidated)]
pub(super) struct ProductPatch {
    /// One line.
    #[serde(default, deserialize_with = "fields::text")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, nullable = false)]
    name: Option<ProductName>,
    #[serde(default, deserialize_with = "fields::text")]
    #[schema(value_type = Option<String>, max_length = 10000, nullable = false)]
    description: Option<Description>,
    /// The list price.
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<PriceBody>, nullable = false)]
    #[garde(dive)]
    price: Option<PriceBody>,
    #[serde(default, deserialize_with = "fields::nullable")]
    #[schema(value_type = Option<String>, max_length = 100)]
    category: Option<Option<Category>>,
    /// An https address, or a path of this site.
    #[serde(default, deserialize_with = "fields::nullable")]
    #[schema(value_type = Option<String>, max_length = 2000)]
    image_url: Option<Option<ImageUrl>>,
}

impl From<ProductPatch> for ProductEdit {
    fn from(body: ProductPatch) -> Self {
        Self {
            name: body.name,
            description: body.description,
            price: body.price.and_then(PriceBody::into_money),
            category: body.category,
            image_url: body.image_url,
        }
    }
}

/// Edit a product.
///
/// Announced sales keep their price. The currency cannot change before all sales of the product are over.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/products/{id}",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The product")),
    request_body = ProductPatch,
    responses(
        (status = 200, description = "Edited", body = ProductJson),
    ),
    security(("token" = []))
)]
pub(super) async fn edit(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<ProductId>,
    ValidJson(body): ValidJson<ProductPatch>,
) -> Result<Json<ProductJson>, Problem> {
    let edit = body.into();
    let product = run_to_completion(async move { products::edit(&app.shop, id, edit).await }).await???;
    Ok(Json(product.into()))
}
