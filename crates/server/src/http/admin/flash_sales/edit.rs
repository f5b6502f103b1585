//! `PATCH /api/v1/admin/flash-sales/{id}`: edit a sale.

use super::payment;
use crate::http::AppState;
use crate::http::admin::admission::AdmissionBody;
use crate::http::admin::price::PriceBody;
use crate::http::admin::run_to_completion;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::{Problem, ProblemSchema};
use crate::http::valid_json::{ValidJson, fields};
use crate::shop::catalogue_text::Slug;
use crate::shop::products::ProductId;
use crate::shop::sales::{self, PaymentMode, SaleEdit};
use crate::shop_documents::admin_sale_document;
use axum::extract::State;
use documents::flash_sale::SalePaymentDocument;
use documents::{AdminSaleDocument, AdmissionDocument, MoneyDocument};
use garde::Validate;
use sale::{SaleId, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

/// The changes. An absent field stays as it is. A sale that buyers rely on accepts only more units, a later end, a longer
/// extension and another hold length.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SaleEdit)]
#[garde(allow_unvalidated)]
pub(super) struct SalePatch {
    /// The product that it sells.
    #[serde(default, deserialize_with = "fields::id")]
    #[schema(value_type = Option<Uuid>, nullable = false)]
    product_id: Option<ProductId>,
    /// The sale's name in URLs.
    #[serde(default, deserialize_with = "fields::text")]
    #[schema(value_type = Option<String>, pattern = "^[a-z0-9-]{1,64}$", nullable = false)]
    slug: Option<Slug>,
    /// The price of one unit.
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<MoneyDocument>, nullable = false)]
    #[garde(dive)]
    price: Option<PriceBody>,
    /// Units for sale.
    #[serde(default, deserialize_with = "fields::count")]
    #[schema(minimum = 1, maximum = 10_000_000, nullable = false)]
    quantity: Option<u32>,
    #[serde(default, deserialize_with = "fields::timestamp")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    starts_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "fields::timestamp")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    ends_at: Option<Timestamp>,
    /// Units that one buyer may hold and own.
    #[serde(default, deserialize_with = "fields::count")]
    #[schema(minimum = 1, maximum = 1_000_000, nullable = false)]
    limit_per_buyer: Option<u32>,
    /// Seconds for which a unit is held for its payment. From 0 and to 0 it does not change.
    #[serde(default, deserialize_with = "fields::count")]
    #[schema(maximum = 86400, nullable = false)]
    hold_seconds: Option<u32>,
    /// What it is already: it does not change.
    #[serde(default, deserialize_with = "payment")]
    #[schema(nullable = false)]
    payment: Option<SalePaymentDocument>,
    /// Who may buy.
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<AdmissionDocument>, nullable = false)]
    #[garde(dive)]
    admission: Option<AdmissionBody>,
}

impl From<SalePatch> for SaleEdit {
    fn from(body: SalePatch) -> Self {
        Self {
            product: body.product_id,
            slug: body.slug,
            price: body.price.and_then(PriceBody::into_money),
            quantity: body.quantity,
            starts_at: body.starts_at,
            ends_at: body.ends_at,
            limit_per_buyer: body.limit_per_buyer,
            hold_s: body.hold_seconds,
            payment: body.payment.map(PaymentMode::from),
            admission: body.admission.and_then(AdmissionBody::into_mode),
        }
    }
}

/// Edit a sale.
///
/// Once buyers may rely on the sale (it or its line is open, or a buyer has a place), it accepts only more units, a later end, a
/// longer extension, and another hold length for new holds. Whether a unit is paid for never changes.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/flash-sales/{id}",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale")),
    request_body = SalePatch,
    responses(
        (status = 200, description = "Edited", body = AdminSaleDocument),
        (status = 404, description = "`sale_unknown`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 409, description = "`promise_made`, `slug_taken`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 410, description = "`closed`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_body`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
pub(super) async fn edit(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<SaleId>,
    ValidJson(body): ValidJson<SalePatch>,
) -> Result<Json<AdminSaleDocument>, Problem> {
    let edit = body.into();
    let now = app.shop.engine.now();
    let sale = run_to_completion(async move { sales::edit(&app.shop, id, edit).await }).await???;
    Ok(Json(admin_sale_document(&sale, now)))
}
