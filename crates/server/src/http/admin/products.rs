//! `/admin/products`: make, edit, delete.

use super::body::{BodyErrors, BodyObject, StrictJson, read_money, read_typed};
use super::run_to_completion;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::idempotency::IdempotencyHeader;
use crate::http::problem::{Problem, ProblemSchema};
use crate::http::v1::products::ProductJson;
use crate::shop::catalogue_text::Description;
use crate::shop::products::{self, ProductDraft, ProductEdit, ProductId};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use documents::MoneyDocument as MoneyJson;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create)).routes(routes!(edit, delete))
}

/// A new product.
#[derive(ToSchema)]
#[schema(as = NewProduct, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used; the body is read field by field")]
struct ProductBody {
    /// Its name, on one line.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What is told about it; may be empty.
    #[schema(max_length = 10000)]
    description: String,
    /// Its list price.
    price: MoneyJson,
    /// Its category.
    #[schema(max_length = 100)]
    category: Option<String>,
    /// Its picture: an http(s) address, or a path of this site.
    #[schema(max_length = 2000)]
    image_url: Option<String>,
}

/// What is to be different; absent fields stay, null empties `category` and `imageUrl`.
#[derive(ToSchema)]
#[schema(as = ProductEdit, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used; the body is read field by field")]
struct ProductPatch {
    /// Its name, on one line.
    #[schema(min_length = 1, max_length = 200, nullable = false)]
    name: Option<String>,
    /// What is told about it.
    #[schema(max_length = 10000, nullable = false)]
    description: Option<String>,
    /// Its list price.
    #[schema(nullable = false)]
    price: Option<MoneyJson>,
    /// Its category.
    #[schema(max_length = 100)]
    category: Option<String>,
    /// Its picture.
    #[schema(max_length = 2000)]
    image_url: Option<String>,
}

fn read_draft(body: Value) -> Result<ProductDraft, Problem> {
    let wrong = &mut BodyErrors::default();
    let mut object = BodyObject::from_body(body, wrong);
    let name = object.take_required("name", wrong, read_typed);
    let description = object.take_optional("description", wrong, read_typed::<Description>);
    let price = object.take_required("price", wrong, read_money);
    let category = object.take_nullable("category", wrong, read_typed).flatten();
    let image_url = object.take_nullable("imageUrl", wrong, read_typed).flatten();
    object.reject_unknown(wrong);
    let description = description.or_else(|| Description::try_from(String::new()).ok());
    let draft = name.zip(description).zip(price);
    let draft = draft.map(|((name, description), price)| ProductDraft {
        name,
        description,
        price,
        category,
        image_url,
    });
    std::mem::take(wrong).into_result(draft)
}

fn read_edit(body: Value) -> Result<ProductEdit, Problem> {
    let wrong = &mut BodyErrors::default();
    let mut object = BodyObject::from_body(body, wrong);
    let edit = ProductEdit {
        name: object.take_optional("name", wrong, read_typed),
        description: object.take_optional("description", wrong, read_typed),
        price: object.take_optional("price", wrong, read_money),
        category: object.take_nullable("category", wrong, read_typed),
        image_url: object.take_nullable("imageUrl", wrong, read_typed),
    };
    object.reject_unknown(wrong);
    std::mem::take(wrong).into_result(Some(edit))
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
    Json(StrictJson(body)): Json<StrictJson>,
) -> Result<impl IntoResponse, Problem> {
    let product = products::create(&app.shop, read_draft(body)?, key.owned_by(session.buyer)).await??;
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
    Json(StrictJson(body)): Json<StrictJson>,
) -> Result<Json<ProductJson>, Problem> {
    let edit = read_edit(body)?;
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
