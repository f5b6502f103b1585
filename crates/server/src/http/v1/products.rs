//! `/products`: what is or was sold, for everyone.

use super::rfc3339;
use crate::http::AppState;
use crate::http::extract::{Json, Path, Query};
use crate::http::page::{Page, PageQuery, parse_time_cursor};
use crate::http::problem::{Problem, ProblemSchema, kind};
use crate::shop::products::{self, Product, ProductId};
use axum::extract::State;
use documents::MoneyDocument as MoneyJson;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes of products.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// A product.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductJson {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What is told about it.
    pub description: String,
    /// Its list price.
    pub price: MoneyJson,
    /// Its category.
    pub category: Option<String>,
    /// Its picture.
    pub image_url: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was last edited.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

impl From<Product> for ProductJson {
    fn from(product: Product) -> Self {
        Self {
            id: product.id.0,
            name: product.name,
            description: product.description,
            price: product.price.into(),
            category: product.category,
            image_url: product.image_url,
            created_at: rfc3339(product.created_at),
            updated_at: rfc3339(product.updated_at),
        }
    }
}

/// All products, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/products",
    tag = "products",
    params(PageQuery),
    responses((status = 200, description = "A page of products", body = Page<ProductJson>))
)]
async fn list(
    State(app): State<AppState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ProductJson>>, Problem> {
    let slice = query.into_request()?;
    let after = slice.after.as_deref().map(parse_time_cursor).transpose()?;
    let products = products::list(&app.shop, after, slice.limit + 1).await?;
    let page = Page::new(products, slice.limit, |product| format!("{}/{}", product.created_at.0, product.id));
    Ok(Json(page.map(ProductJson::from)))
}

/// One product.
#[utoipa::path(
    get,
    path = "/api/v1/products/{id}",
    tag = "products",
    params(("id" = Uuid, Path, description = "The product")),
    responses(
        (status = 200, description = "The product", body = ProductJson),
        (status = 404, description = "`product_unknown`", body = ProblemSchema, content_type = "application/problem+json"),
    )
)]
async fn show(State(app): State<AppState>, Path(id): Path<ProductId>) -> Result<Json<ProductJson>, Problem> {
    let product = products::find(&app.shop, id).await?;
    product.map(|product| Json(product.into())).ok_or(Problem::new(&kind::PRODUCT_UNKNOWN))
}
