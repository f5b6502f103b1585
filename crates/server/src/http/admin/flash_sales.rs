//! `/admin/flash-sales`: announce, edit, delete, and the course of a sale: pause, resume, close, restock.

use super::admission::AdmissionBody;
use super::price::PriceBody;
use super::rules::{in_range, later_than};
use super::run_to_completion;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::idempotency::IdempotencyHeader;
use crate::http::problem::{Problem, ProblemSchema, kind};
use crate::http::v1::money_json::MoneyJson;
use crate::http::v1::rfc3339;
use crate::http::v1::sale_json::{AdmissionJson, SaleJson};
use crate::http::valid_json::ValidJson;
use crate::http::valid_json::fields::{self, required};
use crate::shop::catalogue_text::Slug;
use crate::shop::products::ProductId;
use crate::shop::sales::{
    self, DeleteResult, HOLD_S_DEFAULT, ListedSale, PaymentMode, RestockRequest, SaleAction, SaleDraft,
    SaleEdit,
};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use garde::Validate;
use sale::policy::{LIMIT_PER_BUYER_MAX, QUANTITY_MAX, WINDOW_S_MAX};
use sale::{AdmissionMode, Policy, PolicyProblem, SaleId, Timestamp};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(edit, delete))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(close))
        .routes(routes!(restock))
}

/// A sale as admins see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AdminSaleJson {
    #[serde(flatten)]
    sale: SaleJson,
    /// Units set aside for buyers who may buy now, one each.
    admitted: u32,
    /// Seconds a unit is held for its payment; 0 sells at once.
    hold_seconds: u32,
    /// `none` sells at once.
    #[schema(value_type = SalePaymentJson)]
    payment: &'static str,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
}

impl AdminSaleJson {
    pub(super) fn from_sale(sale: &ListedSale, now: Timestamp) -> Self {
        Self {
            sale: SaleJson::from_view(&sale.listing, &sale.view, now),
            admitted: sale.view.counters.admitted,
            hold_seconds: sale.view.policy.hold_s,
            payment: PaymentMode::from_policy(&sale.view.policy).as_str(),
            created_at: rfc3339(sale.listing.created_at),
        }
    }
}

/// Whether a unit is to be paid before it is sold.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SalePayment)]
enum SalePaymentJson {
    /// A unit is held for its payment.
    Required,
    /// A unit is sold at once.
    None,
}

impl From<SalePaymentJson> for PaymentMode {
    fn from(payment: SalePaymentJson) -> Self {
        match payment {
            SalePaymentJson::Required => Self::Required,
            SalePaymentJson::None => Self::Nothing,
        }
    }
}

/// A new sale.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewSale)]
#[garde(allow_unvalidated)]
struct SaleBody {
    /// The product that it sells.
    #[serde(default, deserialize_with = "fields::id")]
    #[schema(value_type = Uuid, required = true)]
    #[garde(custom(required))]
    product_id: Option<ProductId>,
    /// The sale's name in URLs. When absent, it is derived from the product's name.
    #[serde(default, deserialize_with = "fields::text")]
    #[schema(value_type = Option<String>, pattern = "^[a-z0-9-]{1,64}$")]
    slug: Option<Slug>,
    /// The price of one unit, in the currency of the product's list price.
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = MoneyJson, required = true)]
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
    #[schema(minimum = 1, maximum = 1_000_000, default = 1)]
    #[garde(custom(in_range(1..=LIMIT_PER_BUYER_MAX, PolicyProblem::LimitPerBuyer)))]
    limit_per_buyer: Option<u32>,
    /// Seconds for which a unit is held for its payment. 0 sells at once.
    #[serde(default, deserialize_with = "fields::count")]
    #[schema(maximum = 86400, default = 300)]
    #[garde(if(
        cond = !matches!(self.payment, Some(SalePaymentJson::None)),
        custom(in_range(0..=WINDOW_S_MAX, PolicyProblem::Hold))
    ))]
    hold_seconds: Option<u32>,
    /// `none` sells at once, whatever `holdSeconds` is.
    #[serde(default, deserialize_with = "payment")]
    payment: Option<SalePaymentJson>,
    /// Who may buy. When absent, everyone. In `fifo`, `lineOpensSecondsBefore` and `extensionSeconds` default to 0.
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<AdmissionJson>)]
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
        Some(SaleDraft { product: self.product_id?, slug: self.slug, policy })
    }
}

/// The changes. An absent field stays as it is. A sale that buyers rely on accepts only more units, a later end, a longer
/// extension and another hold length.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SaleEdit)]
#[garde(allow_unvalidated)]
struct SalePatch {
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
    #[schema(value_type = Option<MoneyJson>, nullable = false)]
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
    /// Seconds for which a unit is held for its payment. 0 sells at once.
    #[serde(default, deserialize_with = "fields::count")]
    #[schema(maximum = 86400, nullable = false)]
    hold_seconds: Option<u32>,
    /// `none` sells at once, whatever `holdSeconds` is.
    #[serde(default, deserialize_with = "payment")]
    #[schema(nullable = false)]
    payment: Option<SalePaymentJson>,
    /// Who may buy.
    #[serde(default, deserialize_with = "fields::object")]
    #[schema(value_type = Option<AdmissionJson>, nullable = false)]
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

fn payment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SalePaymentJson>, D::Error> {
    SalePaymentJson::deserialize(deserializer)
        .map(Some)
        .map_err(|_| D::Error::custom("must be required or none"))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Restock)]
struct RestockBody {
    /// Units to add.
    #[serde(default, deserialize_with = "fields::count")]
    #[schema(value_type = u32, minimum = 1, maximum = 10_000_000, required = true)]
    #[garde(custom(required), custom(at_least_one))]
    quantity: Option<u32>,
}

fn at_least_one(quantity: &Option<u32>, (): &()) -> garde::Result {
    if *quantity == Some(0) { Err(garde::Error::new("must be at least 1")) } else { Ok(()) }
}

/// Make a sale and announce it.
#[utoipa::path(
    post,
    path = "/api/v1/admin/flash-sales",
    tag = "admin",
    request_body = SaleBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters; the same key and body give the same sale")),
    responses(
        (status = 201, description = "Announced", body = AdminSaleJson),
        (status = 404, description = "`sale_unknown`: this key made a sale that was deleted since", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 409, description = "`slug_taken`, `request_in_flight`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 422, description = "`key_reused`; `invalid_body`, with every field that is not valid", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn create(
    State(app): State<AppState>,
    AdminSession(session): AdminSession,
    key: IdempotencyHeader,
    ValidJson(body): ValidJson<SaleBody>,
) -> Result<Response, Problem> {
    let draft = body.into_draft().ok_or(Problem::new(&kind::INVALID_BODY))?;
    let (key, now) = (key.owned_by(session.buyer), app.shop.engine.now());
    let sale = run_to_completion(async move { sales::create(&app.shop, draft, key).await }).await???;
    let location = format!("/api/v1/flash-sales/{}", sale.listing.sale);
    let sale = AdminSaleJson::from_sale(&sale, now);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(sale)).into_response())
}

/// Edit a sale.
///
/// Once buyers may rely on it (its line or the sale is open, or somebody has a place), only what adds to the promise may
/// change: more units, a later end, another hold length for new holds.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/flash-sales/{id}",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale")),
    request_body = SalePatch,
    responses(
        (status = 200, description = "Edited", body = AdminSaleJson),
        (status = 404, description = "`sale_unknown`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 409, description = "`promise_made`, `slug_taken`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 410, description = "`closed`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_body`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn edit(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<SaleId>,
    ValidJson(body): ValidJson<SalePatch>,
) -> Result<Json<AdminSaleJson>, Problem> {
    let edit = body.into();
    let now = app.shop.engine.now();
    let sale = run_to_completion(async move { sales::edit(&app.shop, id, edit).await }).await???;
    Ok(Json(AdminSaleJson::from_sale(&sale, now)))
}

/// Delete a sale that nobody ever had a place or an order in. Any other is closed, and stays.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/flash-sales/{id}",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale")),
    responses(
        (status = 200, description = "Buyers were in it: it is closed", body = AdminSaleJson),
        (status = 204, description = "Deleted"),
        (status = 404, description = "`sale_unknown`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn delete(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<SaleId>,
) -> Result<Response, Problem> {
    let now = app.shop.engine.now();
    Ok(match run_to_completion(async move { sales::delete(&app.shop, id).await }).await??? {
        DeleteResult::Gone => StatusCode::NO_CONTENT.into_response(),
        DeleteResult::Closed(sale) => Json(AdminSaleJson::from_sale(&sale, now)).into_response(),
    })
}

/// Stop a sale for a while. Nobody is admitted and nothing can be ordered; orders may be paid, admissions stand still.
#[utoipa::path(
    post,
    path = "/api/v1/admin/flash-sales/{id}/pause",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale")),
    responses(
        (status = 200, description = "Paused", body = AdminSaleJson),
        (status = 404, description = "`sale_unknown`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 410, description = "`ended`, `closed`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn pause(
    app: State<AppState>,
    _: AdminSession,
    id: Path<SaleId>,
) -> Result<Json<AdminSaleJson>, Problem> {
    run_action(&app, id.0, SaleAction::Pause).await
}

/// Go on with a paused sale.
#[utoipa::path(
    post,
    path = "/api/v1/admin/flash-sales/{id}/resume",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale")),
    responses(
        (status = 200, description = "Goes on", body = AdminSaleJson),
        (status = 404, description = "`sale_unknown`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 410, description = "`closed`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn resume(
    app: State<AppState>,
    _: AdminSession,
    id: Path<SaleId>,
) -> Result<Json<AdminSaleJson>, Problem> {
    run_action(&app, id.0, SaleAction::Resume).await
}

/// End a sale now, for good. What was promised is kept: the admitted may buy, orders may be paid.
#[utoipa::path(
    post,
    path = "/api/v1/admin/flash-sales/{id}/close",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The sale")),
    responses(
        (status = 200, description = "Closed", body = AdminSaleJson),
        (status = 404, description = "`sale_unknown`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn close(
    app: State<AppState>,
    _: AdminSession,
    id: Path<SaleId>,
) -> Result<Json<AdminSaleJson>, Problem> {
    run_action(&app, id.0, SaleAction::Close).await
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
        (status = 200, description = "Added", body = AdminSaleJson),
        (status = 404, description = "`sale_unknown`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 409, description = "`request_in_flight`: another restock of the sale got no answer yet", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 410, description = "`ended`, `closed`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 422, description = "`key_reused`, `invalid_body`, `bad_policy`: more units than a sale may have", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn restock(
    State(app): State<AppState>,
    AdminSession(session): AdminSession,
    Path(sale): Path<SaleId>,
    key: IdempotencyHeader,
    ValidJson(body): ValidJson<RestockBody>,
) -> Result<Json<AdminSaleJson>, Problem> {
    let quantity = body.quantity.ok_or(Problem::new(&kind::INVALID_BODY))?;
    let request = RestockRequest { sale, quantity, key: key.owned_by(session.buyer) };
    let now = app.shop.engine.now();
    let sale = run_to_completion(async move { sales::restock(&app.shop, request).await }).await???;
    Ok(Json(AdminSaleJson::from_sale(&sale, now)))
}

async fn run_action(app: &AppState, id: SaleId, action: SaleAction) -> Result<Json<AdminSaleJson>, Problem> {
    let sale = sales::apply_action(&app.shop, id, action).await??;
    Ok(Json(AdminSaleJson::from_sale(&sale, app.shop.engine.now())))
}
