//! `/products`: the catalogue.

mod list;
mod show;

use super::rfc3339;
use crate::http::AppState;
use crate::shop::products::Product;
use documents::MoneyDocument;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(show::show))
}

/// A product.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductJson {
    pub id: Uuid,
    pub name: String,
    /// The description.
    pub description: String,
    pub price: MoneyDocument,
    pub category: Option<String>,
    pub image_url: Option<String>,
    #[schema(format = DateTime)]
    pub created_at: String,
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
