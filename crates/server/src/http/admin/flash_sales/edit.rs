//! `PATCH /api/v1/admin/flash-sales/{id}`: edit a sale.

use super::payment;
use crate::http::AppState;
use crate::http::admin::admission::AdmissionBody;
use crate::http::admin::price::PriceBody;
use crate::http::admin::run_to_completion;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::Problem;
use crate::http::valid_json::{ValidJson, fields};
use crate::shop::catalogue_text::{Category, Description, ImageUrl, ProductName, Slug};
use crate::shop::products::ProductId;
use crate::shop::sales::{self, PaymentMode, SaleEdit, ShownEdit};
use crate::shop_documents::admin_sale_document;
use axum::extract::State;
use documents::flash_sale::SalePaymentDocument;
use documents::{AdminSaleDocument, AdmissionDocument};
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
    #[schema(value_type = Option<PriceBody>, nullable = false)]
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
    /// What the sale shows of its product.
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(nullable = false)]
    #[garde(dive)]
    product: Option<ShownPatch>,
}

/// What a sale shows of its product. An absent field stays as it is; null empties `category` and `imageUrl`. The product itself and
/// earlier orders stay as they are.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ShownEdit)]
#[garde(allow_unvalidated)]
struct ShownPatch {
    /// One line.
    #[serde(default, deserialize_with = "fields::text")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, nullable = false)]
    name: Option<ProductName>,
    #[serde(default, deserialize_with = "fields::text")]
    #[schema(value_type = Option<String>, max_length = 10000, nullable = false)]
    description: Option<Description>,
    #[serde(default, deserialize_with = "fields::nullable")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    category: Option<Option<Category>>,
    #[serde(default, deserialize_with = "fields::nullable")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 2000)]
    image_url: Option<Option<ImageUrl>>,
    /// The price that the sale's price is compared with. It stays once buyers may rely on the sale.
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<PriceBody>, nullable = false)]
    #[garde(dive)]
    list_price: Option<PriceBody>,
}

impl From<ShownPatch> for ShownEdit {
    fn from(body: ShownPatch) -> Self {
        Self {
            name: body.name,
            description: body.description,
            category: body.category,
            image_url: body.image_url,
            list_price: body.list_price.and_then(PriceBody::into_money),
        }
    }
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
            shown: body.product.map(ShownEdit::from).unwrap_or_default(),
            edited_by: None,
        }
    }
}

/// Edit a sale.
///
/// Once buyers may rely on the sale (it or its line is open, or a buyer has a place), it accepts only more units, a later end, a
/// longer extension, and another hold length for new holds. Whether a unit is paid for never changes. What it shows of its product then
/// changes only here, and the list price not at all. A slug that the sale had leads to the sale for good.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/flash-sales/{id}",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale")),
    request_body = SalePatch,
    responses(
        (status = 200, description = "Edited", body = AdminSaleDocument),
    ),
    security(("token" = []))
)]
pub(super) async fn edit(
    State(app): State<AppState>,
    AdminSession(session): AdminSession,
    Path(id): Path<SaleId>,
    ValidJson(body): ValidJson<SalePatch>,
) -> Result<Json<AdminSaleDocument>, Problem> {
    let edit = SaleEdit { edited_by: Some(session.buyer), ..body.into() };
    let now = app.shop.engine.now();
    let sale = run_to_completion(async move { sales::edit(&app.shop, id, edit).await }).await???;
    Ok(Json(admin_sale_document(&sale, now)))
}
