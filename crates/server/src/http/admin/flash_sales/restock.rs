//! `POST /api/v1/admin/flash-sales/{id}/restock`: add units to a sale.

use crate::http::AppState;
use crate::http::admin::run_to_completion;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::idempotency::IdempotencyHeader;
use crate::http::problem::{Problem, kind};
use crate::http::valid_json::ValidJson;
use crate::http::valid_json::fields::{self, required};
use crate::shop::sales::{self, RestockRequest};
use crate::shop_documents::admin_sale_document;
use axum::extract::State;
use documents::AdminSaleDocument;
use garde::Validate;
use sale::SaleId;
use serde::Deserialize;
use utoipa::ToSchema;

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Restock)]
pub(super) struct RestockBody {
    /// Units to add.
    #[serde(default, deserialize_with = "fields::count")]
    #[schema(value_type = u32, minimum = 1, maximum = 10_000_000, required = true)]
    #[garde(custom(required), custom(require_units))]
    quantity: Option<u32>,
}

fn require_units(quantity: &Option<u32>, (): &()) -> garde::Result {
    if *quantity == Some(0) { Err(garde::Error::new("must be at least 1")) } else { Ok(()) }
}

/// Add units to a sale.
#[utoipa::path(
    post,
    path = "/api/v1/admin/flash-sales/{id}/restock",
    tag = "admin",
    params(
        ("id" = Uuid, Path, description = "The sale"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters; the same key and body add units once"),
    ),
    request_body = RestockBody,
    responses(
        (status = 200, description = "Added", body = AdminSaleDocument),
    ),
    security(("token" = []))
)]
pub(super) async fn restock(
    State(app): State<AppState>,
    AdminSession(session): AdminSession,
    Path(sale): Path<SaleId>,
    key: IdempotencyHeader,
    ValidJson(body): ValidJson<RestockBody>,
) -> Result<Json<AdminSaleDocument>, Problem> {
    let quantity = body.quantity.ok_or(Problem::new(&kind::INVALID_BODY))?;
    let request = RestockRequest { sale, quantity, key: key.owned_by(session.buyer) };
    let now = app.shop.engine.now();
    let sale = run_to_completion(async move { sales::restock(&app.shop, request).await }).await???;
    Ok(Json(admin_sale_document(&sale, now)))
}
