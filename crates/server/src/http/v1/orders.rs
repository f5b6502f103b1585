//! Orders over HTTP: reserve, look, give back. Paying is in `pay.rs`.

use super::queue::find_listed_sale;
use crate::http::AppState;
use crate::http::extract::{BuyerSession, Json, Path, Query};
use crate::http::idempotency::IdempotencyHeader;
use crate::http::page::{Page, PageQuery, parse_time_cursor};
use crate::http::problem::{PrebuiltProblem, Problem, ProblemKind, ProblemSchema, kind};
use crate::shop::orders::{self, PricedOrder, ReservationRefusal, ReservationRequest};
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use documents::OrderDocument as OrderJson;
use sale::OrderId;
use serde::Deserialize;
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::LazyLock;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes of orders.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(show, cancel))
}

/// What to buy.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewOrder)]
pub struct OrderBody {
    /// In which sale.
    flash_sale_id: Uuid,
    /// Units; 1 when not given.
    #[serde(default = "one")]
    #[schema(value_type = u32, minimum = 1, default = 1)]
    quantity: NonZeroU32,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

/// Reserve units.
///
/// The reply comes when the order is durable. With `Prefer: respond-async` it is 202 and says where the order is; it is no
/// less durable then. A refusal is told at once either way, and does not use up the `Idempotency-Key`.
#[utoipa::path(
    post,
    path = "/api/v1/orders",
    tag = "orders",
    request_body = OrderBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters; the same key and body give the same order"),
        ("Prefer" = Option<String>, Header, description = "`respond-async` for 202"),
    ),
    responses(
        (status = 201, description = "Held until `expiresAt`, or sold at once", body = OrderJson),
        (status = 202, description = "As 201, for `Prefer: respond-async`", body = OrderJson),
        (status = 403, description = "`not_admitted` with `position`, `not_in_line`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 409, description = "`sold_out`, `all_held`, `limit_reached`, `paused`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 410, description = "`ended`, `closed`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 422, description = "`key_reused`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 425, description = "`not_started`", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn create(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    IdempotencyHeader(key): IdempotencyHeader,
    prefer: PreferHeader,
    Json(body): Json<OrderBody>,
) -> Result<Response, Problem> {
    let sale = find_listed_sale(&app, body.flash_sale_id).await?;
    let request = ReservationRequest { sale, buyer: session.buyer, quantity: body.quantity.get(), key };
    Ok(reserve_reply(orders::reserve(&app.shop, request).await?, prefer))
}

fn reserve_reply(reserved: Result<PricedOrder, ReservationRefusal>, prefer: PreferHeader) -> Response {
    match reserved {
        Ok(order) => created_reply(order, prefer),
        Err(refusal) => refused_reply(refusal),
    }
}

/// In a rush nearly every answer is a refusal, and the same one: its bytes are written once.
fn refused_reply(refusal: ReservationRefusal) -> Response {
    static WRITTEN: LazyLock<Vec<(&ProblemKind, PrebuiltProblem)>> = LazyLock::new(|| {
        kind::ALL.iter().map(|kind| (*kind, Problem::new(kind).prebuilt("/api/v1/orders"))).collect()
    });
    let problem = Problem::from(refusal);
    let written = WRITTEN.iter().find(|(kind, _)| std::ptr::eq(*kind, problem.kind()));
    match written {
        Some((_, prebuilt)) if problem.is_plain() => prebuilt.clone().into_response(),
        _ => problem.into_response(),
    }
}

fn created_reply(order: PricedOrder, prefer: PreferHeader) -> Response {
    const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
    const RESPOND_ASYNC: HeaderValue = HeaderValue::from_static("respond-async");
    let location = HeaderValue::from_str(&format!("/api/v1/orders/{}", order.view.id));
    let mut response = (StatusCode::CREATED, Json(OrderJson::from(order))).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    if prefer.respond_async {
        *response.status_mut() = StatusCode::ACCEPTED;
        response.headers_mut().insert(PREFERENCE_APPLIED, RESPOND_ASYNC);
    }
    response
}

/// What the `Prefer` header (RFC 7240) asks for; what it does not know, it passes over.
#[derive(Clone, Copy)]
struct PreferHeader {
    respond_async: bool,
}

impl<S: Sync> FromRequestParts<S> for PreferHeader {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let values = parts.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let mut preferences = values.flat_map(|value| value.split([',', ';']));
        let respond_async = preferences.any(|one| one.trim().eq_ignore_ascii_case("respond-async"));
        Ok(Self { respond_async })
    }
}

/// Own orders, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/orders",
    tag = "orders",
    params(PageQuery),
    responses((status = 200, description = "A page of orders", body = Page<OrderJson>)),
    security(("token" = []))
)]
async fn list(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<OrderJson>>, Problem> {
    let slice = query.into_request()?;
    let after = slice.after.as_deref().map(parse_time_cursor).transpose()?;
    let orders = orders::list(&app.shop, session.buyer, after, slice.limit + 1).await?;
    let page = Page::new(orders, slice.limit, |order| format!("{}/{}", order.view.made_at.0, order.view.id));
    Ok(Json(page.map(OrderJson::from)))
}

/// One of the buyer's own orders.
#[utoipa::path(
    get,
    path = "/api/v1/orders/{id}",
    tag = "orders",
    params(("id" = Uuid, Path, description = "The order")),
    responses(
        (status = 200, description = "The order", body = OrderJson),
        (status = 404, description = "No such order of this buyer", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn show(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Path(order): Path<OrderId>,
) -> Result<Json<OrderJson>, Problem> {
    let order = orders::find(&app.shop, session.buyer, order).await?;
    order.map(|order| Json(order.into())).ok_or(Problem::new(&kind::ORDER_UNKNOWN))
}

/// Give a pending order's units back.
#[utoipa::path(
    delete,
    path = "/api/v1/orders/{id}",
    tag = "orders",
    params(("id" = Uuid, Path, description = "The order")),
    responses(
        (status = 200, description = "Cancelled", body = OrderJson),
        (status = 404, description = "No such order of this buyer", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 409, description = "`order_state`: it is paid already", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 410, description = "`order_expired`: it is over already", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn cancel(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Path(order): Path<OrderId>,
) -> Result<Json<OrderJson>, Problem> {
    Ok(Json(orders::cancel(&app.shop, session.buyer, order).await??.into()))
}
