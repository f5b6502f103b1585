//! `/admin/flash-sales`: announce, edit, delete, and the course of a sale: pause, resume, close, restock.

use super::body::{
    BodyErrors, BodyObject, StrictJson, read_count, read_id, read_moment, read_money, read_object, read_text,
    read_typed,
};
use super::run_to_completion;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::idempotency::IdempotencyHeader;
use crate::http::problem::{Problem, ProblemSchema, policy_pointer};
use crate::http::v1::rfc3339;
use crate::shop::sales::{
    self, DeleteResult, HOLD_S_DEFAULT, ListedSale, PaymentMode, RestockRequest, SaleAction, SaleDraft,
    SaleEdit,
};
use crate::shop_documents::sale_document;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use documents::MoneyDocument as MoneyJson;
use documents::{AdmissionDocument as AdmissionJson, SaleDocument};
use sale::{AdmissionMode, Policy, SaleId, Timestamp};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

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
    sale: SaleDocument,
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
            sale: sale_document(&sale.listing, &sale.view, now),
            admitted: sale.view.counters.admitted,
            hold_seconds: sale.view.policy.hold_s,
            payment: PaymentMode::from_policy(&sale.view.policy).as_str(),
            created_at: rfc3339(sale.listing.created_at),
        }
    }
}

/// Whether a unit is to be paid before it is sold.
#[derive(ToSchema)]
#[schema(as = SalePayment, rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum SalePaymentJson {
    /// A unit is held for its payment.
    Required,
    /// A unit is sold at once.
    None,
}

/// A new sale.
#[derive(ToSchema)]
#[schema(as = NewSale, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used; the body is read field by field")]
struct SaleBody {
    /// What it sells.
    product_id: Uuid,
    /// Its name in addresses; made from the product's name when absent.
    #[schema(pattern = "^[a-z0-9-]{1,64}$")]
    slug: Option<String>,
    /// The price of one unit, in the currency of the product's list price.
    price: MoneyJson,
    /// Its units.
    #[schema(minimum = 1, maximum = 10_000_000)]
    quantity: u32,
    /// When it starts.
    #[schema(format = DateTime)]
    starts_at: String,
    /// When it ends.
    #[schema(format = DateTime)]
    ends_at: String,
    /// Units that one buyer may hold and own.
    #[schema(minimum = 1, maximum = 1_000_000, default = 1)]
    limit_per_buyer: Option<u32>,
    /// Seconds a unit is held for its payment; 0 sells at once.
    #[schema(maximum = 86400, default = 300)]
    hold_seconds: Option<u32>,
    /// `none` sells at once, whatever `holdSeconds` says.
    payment: Option<SalePaymentJson>,
    /// Who may buy; anyone when absent. Of `fifo`, `lineOpensSecondsBefore` and `extensionSeconds` may be absent (0).
    admission: Option<AdmissionJson>,
}

/// What is to be different; absent fields stay. A sale that buyers rely on takes only more units, a later end, a longer
/// extension and another hold length.
#[derive(ToSchema)]
#[schema(as = SaleEdit, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used; the body is read field by field")]
struct SalePatch {
    /// What it sells.
    #[schema(nullable = false)]
    product_id: Option<Uuid>,
    /// Its name in addresses.
    #[schema(pattern = "^[a-z0-9-]{1,64}$", nullable = false)]
    slug: Option<String>,
    /// The price of one unit.
    #[schema(nullable = false)]
    price: Option<MoneyJson>,
    /// Its units.
    #[schema(minimum = 1, maximum = 10_000_000, nullable = false)]
    quantity: Option<u32>,
    /// When it starts.
    #[schema(format = DateTime, nullable = false)]
    starts_at: Option<String>,
    /// When it ends.
    #[schema(format = DateTime, nullable = false)]
    ends_at: Option<String>,
    /// Units that one buyer may hold and own.
    #[schema(minimum = 1, maximum = 1_000_000, nullable = false)]
    limit_per_buyer: Option<u32>,
    /// Seconds a unit is held for its payment; 0 sells at once.
    #[schema(maximum = 86400, nullable = false)]
    hold_seconds: Option<u32>,
    /// `none` sells at once, whatever `holdSeconds` says.
    #[schema(nullable = false)]
    payment: Option<SalePaymentJson>,
    /// Who may buy.
    #[schema(nullable = false)]
    admission: Option<AdmissionJson>,
}

/// Units to add.
#[derive(ToSchema)]
#[schema(as = Restock)]
#[expect(dead_code, reason = "only its schema is used; the body is read field by field")]
struct RestockBody {
    /// How many.
    #[schema(minimum = 1, maximum = 10_000_000)]
    quantity: u32,
}

/// What both bodies have, as far as it is there.
fn read_fields(object: &mut BodyObject, wrong: &mut BodyErrors) -> SaleEdit {
    SaleEdit {
        product: object.take_optional("productId", wrong, read_id),
        slug: object.take_optional("slug", wrong, read_typed),
        price: object.take_optional("price", wrong, read_money),
        quantity: object.take_optional("quantity", wrong, read_count),
        starts_at: object.take_optional("startsAt", wrong, read_moment),
        ends_at: object.take_optional("endsAt", wrong, read_moment),
        limit_per_buyer: object.take_optional("limitPerBuyer", wrong, read_count),
        hold_s: object.take_optional("holdSeconds", wrong, read_count),
        payment: object.take_optional("payment", wrong, read_payment),
        admission: object.take_optional("admission", wrong, read_admission),
    }
}

fn read_draft(body: Value) -> Result<SaleDraft, Problem> {
    let wrong = &mut BodyErrors::default();
    let mut object = BodyObject::from_body(body, wrong);
    for name in ["productId", "price", "quantity", "startsAt", "endsAt"] {
        object.require_present(name, wrong);
    }
    let said = read_fields(&mut object, wrong);
    object.reject_unknown(wrong);
    let hold_s = PaymentMode::resolve_hold_s(said.payment, said.hold_s, HOLD_S_DEFAULT);
    let policy = (|| {
        Some(Policy {
            quantity: said.quantity?,
            unit_price: said.price?,
            starts_at: said.starts_at?,
            ends_at: said.ends_at?,
            limit_per_buyer: said.limit_per_buyer.unwrap_or(1),
            hold_s,
            admission: said.admission.unwrap_or(AdmissionMode::Open),
        })
    })();
    for problem in policy.iter().flat_map(Policy::problems) {
        wrong.push(policy_pointer(problem), problem.to_string());
    }
    let draft =
        said.product.zip(policy).map(|(product, policy)| SaleDraft { product, slug: said.slug, policy });
    std::mem::take(wrong).into_result(draft)
}

fn read_edit(body: Value) -> Result<SaleEdit, Problem> {
    let wrong = &mut BodyErrors::default();
    let mut object = BodyObject::from_body(body, wrong);
    let edit = read_fields(&mut object, wrong);
    object.reject_unknown(wrong);
    std::mem::take(wrong).into_result(Some(edit))
}

fn read_payment(at: &str, value: Value, wrong: &mut BodyErrors) -> Option<PaymentMode> {
    match read_text(at, value, wrong)?.as_str() {
        "required" => Some(PaymentMode::Required),
        "none" => Some(PaymentMode::Nothing),
        _ => {
            wrong.push(at, "must be required or none");
            None
        }
    }
}

fn read_admission(at: &str, value: Value, wrong: &mut BodyErrors) -> Option<AdmissionMode> {
    let mut object = read_object(at, value, wrong)?;
    let kind = object.take_required("type", wrong, read_text)?;
    let admission = match kind.as_str() {
        "open" => Some(AdmissionMode::Open),
        "fifo" => {
            let per_second = object.take_required("perSecond", wrong, read_count);
            let checkout_s = object.take_required("checkoutSeconds", wrong, read_count);
            let line_opens_s = object.take_optional("lineOpensSecondsBefore", wrong, read_count).unwrap_or(0);
            let extension_s = object.take_optional("extensionSeconds", wrong, read_count).unwrap_or(0);
            per_second.zip(checkout_s).map(|(per_second, checkout_s)| AdmissionMode::Fifo {
                per_second,
                checkout_s,
                line_opens_s,
                extension_s,
            })
        }
        _ => {
            wrong.push(format!("{at}/type"), "must be open or fifo");
            return None;
        }
    };
    object.reject_unknown(wrong);
    admission
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
    Json(StrictJson(body)): Json<StrictJson>,
) -> Result<Response, Problem> {
    let draft = read_draft(body)?;
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
    Json(StrictJson(body)): Json<StrictJson>,
) -> Result<Json<AdminSaleJson>, Problem> {
    let edit = read_edit(body)?;
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
    Json(StrictJson(body)): Json<StrictJson>,
) -> Result<Json<AdminSaleJson>, Problem> {
    let wrong = &mut BodyErrors::default();
    let mut object = BodyObject::from_body(body, wrong);
    let quantity = object.take_required("quantity", wrong, read_count);
    object.reject_unknown(wrong);
    if quantity == Some(0) {
        wrong.push("/quantity", "must be at least 1");
    }
    let quantity = std::mem::take(wrong).into_result(quantity)?;
    let request = RestockRequest { sale, quantity, key: key.owned_by(session.buyer) };
    let now = app.shop.engine.now();
    let sale = run_to_completion(async move { sales::restock(&app.shop, request).await }).await???;
    Ok(Json(AdminSaleJson::from_sale(&sale, now)))
}

async fn run_action(app: &AppState, id: SaleId, action: SaleAction) -> Result<Json<AdminSaleJson>, Problem> {
    let sale = sales::apply_action(&app.shop, id, action).await??;
    Ok(Json(AdminSaleJson::from_sale(&sale, app.shop.engine.now())))
}
