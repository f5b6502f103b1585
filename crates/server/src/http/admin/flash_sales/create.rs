//! `POST /api/v1/admin/flash-sales`: create a sale and announce it.

use super::{limit_by, payment};
use crate::http::AppState;
use crate::http::admin::admission::AdmissionBody;
use crate::http::admin::price::PriceBody;
use crate::http::admin::rules::{holds_for_payment, in_range, later_than};
use crate::http::admin::run_to_completion;
use crate::http::extract::{AdminSession, Json};
use crate::http::idempotency::IdempotencyHeader;
use crate::http::problem::{FieldError, Problem, kind};
use crate::http::valid_json::ValidJson;
use crate::http::valid_json::fields::{self, required};
use crate::shop::catalogue_text::Slug;
use crate::shop::products::ProductId;
use crate::shop::sales::{self, HOLD_S_DEFAULT, PaymentMode, SaleDraft};
use crate::shop_documents::admin_sale_document;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use documents::flash_sale::{LimitScopeDocument, SalePaymentDocument};
use documents::{AdminSaleDocument, AdmissionDocument};
use garde::Validate;
use sale::policy::{LIMIT_PER_BUYER_MAX, QUANTITY_MAX, WINDOW_S_MAX};
use sale::{AdmissionMode, Policy, PolicyProblem, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

/// A new sale.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewSale)]
#[garde(allow_unvalidated)]
pub(super) struct SaleBody {
    /// The product that it sells.
    #[serde(default, deserialize_with = "fields::id")]
    #[schema(value_type = Uuid, required = true)]
    #[garde(custom(required))]
    product_id: Option<ProductId>,
    /// The sale's name in URLs. When absent, it is derived from the product's name.
    #[serde(default, deserialize_with = "fields::text")]
    #[schema(value_type = Option<String>, pattern = "^[a-z0-9-]{1,64}$", nullable = false)]
    slug: Option<Slug>,
    /// The price of one unit, in the currency of the product's list price.
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = PriceBody, required = true)]
    #[garde(custom(required), dive)]
    price: Option<PriceBody>,
    /// Units for sale.
    #[serde(default, deserialize_with = "fields::count")]
    #[schema(value_type = u32, minimum = 1, maximum = 10_000_000, required = true)]
    #[garde(custom(required), custom(in_range(1..=QUANTITY_MAX, PolicyProblem::Quantity)))]
    quantity: Option<u32>,
    #[serde(default, deserialize_with = "fields::timestamp")]
    #[schema(value_type = String, format = DateTime, required = true)]
    #[garde(custom(required))]
    starts_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "fields::timestamp")]
    #[schema(value_type = String, format = DateTime, required = true)]
    #[garde(custom(required), custom(later_than(self.starts_at)))]
    ends_at: Option<Timestamp>,
    /// Units that one buyer may hold and own.
    #[serde(default, deserialize_with = "fields::count")]
    #[schema(minimum = 1, maximum = 1_000_000, default = 1, nullable = false)]
    #[garde(custom(in_range(1..=LIMIT_PER_BUYER_MAX, PolicyProblem::LimitPerBuyer)))]
    limit_per_buyer: Option<u32>,
    /// Who is one buyer for that limit; it cannot be changed later.
    #[serde(default, deserialize_with = "limit_by")]
    #[schema(default = "account", nullable = false)]
    limit_by: Option<LimitScopeDocument>,
    /// Whether only buyers with a confirmed e-mail address may join the line and order; it cannot be changed later, and needs mail.
    #[serde(default, deserialize_with = "fields::flag")]
    #[schema(value_type = Option<bool>, default = false, nullable = false)]
    require_confirmed_email: Option<bool>,
    /// Seconds for which a unit is held for its payment. 0 sells at once, and is refused with `payment: required`.
    #[serde(default, deserialize_with = "fields::count")]
    #[schema(maximum = 86400, default = 300, nullable = false)]
    #[garde(if(
        cond = !matches!(self.payment, Some(SalePaymentDocument::None)),
        custom(in_range(0..=WINDOW_S_MAX, PolicyProblem::Hold))
    ), custom(holds_for_payment(self.payment)))]
    hold_seconds: Option<u32>,
    /// `none` sells at once, whatever `holdSeconds` is.
    #[serde(default, deserialize_with = "payment")]
    #[schema(nullable = false)]
    payment: Option<SalePaymentDocument>,
    /// Who may buy. When absent, everyone. In `fifo`, `lineOpensSecondsBefore` and `extensionSeconds` default to 0.
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<AdmissionDocument>, nullable = false)]
    #[garde(dive)]
    admission: Option<AdmissionBody>,
}

impl SaleBody {
    fn into_draft(self) -> Option<SaleDraft> {
        let payment = self.payment.map(PaymentMode::from);
        let policy = Policy {
            quantity: self.quantity?,
            unit_price: self.price?.into_money()?,
            starts_at: self.starts_at?,
            ends_at: self.ends_at?,
            limit_per_buyer: self.limit_per_buyer.unwrap_or(1),
            hold_s: PaymentMode::resolve_hold_s(payment, self.hold_seconds, HOLD_S_DEFAULT),
            admission: self.admission.map_or(Some(AdmissionMode::Open), AdmissionBody::into_mode)?,
        };
        let limit_by = self.limit_by.unwrap_or_default().into();
        Some(SaleDraft {
            product: self.product_id?,
            slug: self.slug,
            policy,
            limit_by,
            require_confirmed_email: self.require_confirmed_email.unwrap_or_default(),
            made_by: None,
        })
    }
}

/// Create a sale and announce it.
#[utoipa::path(
    post,
    path = "/api/v1/admin/flash-sales",
    tag = "admin",
    request_body = SaleBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters; the same key and body give the same sale")),
    responses(
        (status = 201, description = "Announced", body = AdminSaleDocument),
    ),
    security(("token" = []))
)]
pub(super) async fn create(
    State(app): State<AppState>,
    AdminSession(session): AdminSession,
    key: IdempotencyHeader,
    ValidJson(body): ValidJson<SaleBody>,
) -> Result<Response, Problem> {
    let draft = body.into_draft().ok_or(Problem::new(&kind::INVALID_BODY))?;
    if draft.require_confirmed_email && app.shop.accounts.mails.is_none() {
        let error = FieldError::new("/requireConfirmedEmail", "needs mail, and this shop sends none");
        return Err(Problem::new(&kind::INVALID_BODY).errors(vec![error]));
    }
    let (key, now) = (key.owned_by(session.buyer), app.shop.engine.now());
    let sale = run_to_completion(async move { sales::create(&app.shop, draft, key).await }).await???;
    let location = format!("/api/v1/flash-sales/{}", sale.listing.sale);
    let sale = admin_sale_document(&sale, now);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(sale)).into_response())
}
