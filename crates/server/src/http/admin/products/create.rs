//! `POST /api/v1/admin/products`: create a product.

use crate::http::AppState;
use crate::http::admin::price::PriceBody;
use crate::http::extract::{AdminSession, Json};
use crate::http::idempotency::IdempotencyHeader;
use crate::http::problem::{Problem, kind};
use crate::http::v1::products::ProductJson;
use crate::http::valid_json::ValidJson;
use crate::http::valid_json::fields::{self, required};
use crate::shop::catalogue_text::{Category, Description, ImageUrl, ProductName};
use crate::shop::products::{self, ProductDraft};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

/// A new product.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewProduct)]
#[garde(allow_unvalidated)]
pub(super) struct ProductBody {
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
    #[schema(value_type = PriceBody, required = true)]
    #[garde(custom(required), dive)]
    price: Option<PriceBody>,
    #[serde(default, deserialize_with = "fields::nullable")]
    #[schema(value_type = Option<String>, max_length = 100)]
    category: Option<Option<Category>>,
    /// An https address, or a path of this site.
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

/// Create a product.
#[utoipa::path(
    post,
    path = "/api/v1/admin/products",
    tag = "admin",
    request_body = ProductBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters; the same key and body give the same product")),
    responses(
        (status = 201, description = "Created", body = ProductJson),
    ),
    security(("token" = []))
)]
pub(super) async fn create(
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
