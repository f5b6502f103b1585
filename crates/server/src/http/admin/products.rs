//! `/admin/products`: make, edit, delete.

use super::price::PriceBody;
use super::run_to_completion;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::idempotency::IdempotencyHeader;
use crate::http::problem::{Problem, ProblemSchema, kind};
use crate::http::v1::money_json::MoneyJson;
use crate::http::v1::products::ProductJson;
use crate::http::valid_json::ValidJson;
use crate::http::valid_json::fields::{self, required};
use crate::shop::catalogue_text::{Category, Description, ImageUrl, ProductName};
use crate::shop::products::{self, ProductDraft, ProductEdit, ProductId};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create)).routes(routes!(edit, delete))
}

/// A new product.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewProduct)]
#[garde(allow_unvalidated)]
struct ProductBody {
    /// One line.
    #[serde(default, deserialize_with = "fields::text")]
    #[schema(value_type = String, min_length = 1, max_length = 200, required = true)]
    #[garde(custom(required))]
    name: Option<ProductName>,
    /// May be empty.
    #[serde(default, deserialize_with = "fields::text")]
    #[schema(value_type = String, max_length = 10000, required = true)]
    description: Option<Description>,
    /// The list price.
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = MoneyJson, required = true)]
    #[garde(custom(required), dive)]
    price: Option<PriceBody>,
    #[serde(default, deserialize_with = "fields::nullable")]
    #[schema(value_type = Option<String>, max_length = 100)]
    category: Option<Option<Category>>,
    /// An http(s) address, or a path of this site.
    #[serde(default, deserialize_with = "fields::nullable")]
    #[schema(value_type = Option<String>, max_length = 2000)]
    image_url: Option<Option<ImageUrl>>,
}

impl ProductBody {
    fn into_draft(self) -> Option<ProductDraft> {
        Some(ProductDraft {
            name: self.name?,
            description: self.description.or_else(|| Description::try_from(String::new()).ok())?,
            price: self.price?.into_money()?,
            category: self.category.flatten(),
            image_url: self.image_url.flatten(),
        })
    }
}

/// The changes. An absent field stays as it is; null empties `category` and `imageUrl`.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ProductEdit)]
#[garde(allow_unvalidated)]
struct ProductPatch {
    /// One line.
    #[serde(default, deserialize_with = "fields::text")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, nullable = false)]
    name: Option<ProductName>,
    #[serde(default, deserialize_with = "fields::text")]
    #[schema(value_type = Option<String>, max_length = 10000, nullable = false)]
    description: Option<Description>,
    /// The list price.
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<MoneyJson>, nullable = false)]
    #[garde(dive)]
    price: Option<PriceBody>,
    #[serde(default, deserialize_with = "fields::nullable")]
    #[schema(value_type = Option<String>, max_length = 100)]
    category: Option<Option<Category>>,
    /// An http(s) address, or a path of this site.
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

/// Make a product.
#[utoipa::path(
    post,
    path = "/api/v1/admin/products",
    tag = "admin",
    request_body = ProductBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters; the same key and body give the same product")),
    responses(
        (status = 201, description = "Made", body = ProductJson),
        (status = 404, description = "`product_unknown`: this key made a product that was deleted since", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 409, description = "`request_in_flight`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 422, description = "`key_reused`; `invalid_body`, with every field that is not valid", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn create(
    State(app): State<AppState>,
    AdminSession(session): AdminSession,
    key: IdempotencyHeader,
    ValidJson(body): ValidJson<ProductBody>,
) -> Result<impl IntoResponse, Problem> {
    let draft = body.into_draft().ok_or(Problem::new(&kind::INVALID_BODY))?;
    let product = products::create(&app.shop, draft, key.owned_by(session.buyer)).await??;
    let location = format!("/api/v1/products/{}", product.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(ProductJson::from(product))))
}

/// Edit a product.
///
/// Sales that are announced keep their own price. The currency cannot change while a sale of the product is not over.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/products/{id}",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The product")),
    request_body = ProductPatch,
    responses(
        (status = 200, description = "Edited", body = ProductJson),
        (status = 404, description = "`product_unknown`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_body`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn edit(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<ProductId>,
    ValidJson(body): ValidJson<ProductPatch>,
) -> Result<Json<ProductJson>, Problem> {
    let edit = body.into();
    let product = run_to_completion(async move { products::edit(&app.shop, id, edit).await }).await???;
    Ok(Json(product.into()))
}

/// Delete a product. Orders of old keep its name.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/products/{id}",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The product")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "`product_unknown`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 409, description = "`product_in_use`: a sale that is not over sells it", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn delete(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<ProductId>,
) -> Result<StatusCode, Problem> {
    run_to_completion(async move { products::delete(&app.shop, id).await }).await???;
    Ok(StatusCode::NO_CONTENT)
}
