//! `POST /api/v1/orders`: reserve units.

use crate::http::AppState;
use crate::http::extract::{BuyerSession, Json};
use crate::http::idempotency::IdempotencyHeader;
use crate::http::problem::{PrebuiltProblem, Problem, ProblemKind, kind};
use crate::http::v1::queue::find_listed_sale;
use crate::shop::orders::{self, ReservationRefusal, ReservationRequest};
use crate::shop_documents::order_document;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use documents::OrderDocument;
use serde::Deserialize;
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::LazyLock;
use utoipa::ToSchema;
use uuid::Uuid;

/// A new order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewOrder)]
pub(super) struct OrderBody {
    flash_sale_id: Uuid,
    /// Units. The default is 1.
    #[serde(default = "default_quantity")]
    #[schema(value_type = u32, minimum = 1, default = 1)]
    quantity: NonZeroU32,
}

fn default_quantity() -> NonZeroU32 {
    NonZeroU32::MIN
}

/// Reserve units.
///
/// The reply comes when the order is durable. With `Prefer: respond-async` it is 202 with the `Location` of the order, which is as
/// durable. A refusal comes at once in both cases, and does not use up the `Idempotency-Key`.
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
        (status = 201, description = "Held until `expiresAt`, or sold at once", body = OrderDocument),
        (status = 202, description = "As 201, for `Prefer: respond-async`", body = OrderDocument),
    ),
    security(("token" = []))
)]
pub(super) async fn create(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    IdempotencyHeader(key): IdempotencyHeader,
    prefer: PreferHeader,
    Json(body): Json<OrderBody>,
) -> Result<Response, Problem> {
    let sale = find_listed_sale(&app, body.flash_sale_id).await?;
    let request = ReservationRequest { sale, buyer: session.buyer, quantity: body.quantity.get(), key };
    Ok(match orders::reserve(&app.shop, request).await? {
        Ok(order) => created_reply(order_document(&app.shop, &order), prefer),
        Err(refusal) => refused_reply(refusal),
    })
}

/// In a rush nearly every reply is the same refusal, so its document is built once.
fn refused_reply(refusal: ReservationRefusal) -> Response {
    static WRITTEN: LazyLock<Vec<(&ProblemKind, PrebuiltProblem)>> = LazyLock::new(|| {
        kind::ALL.iter().map(|kind| (*kind, Problem::new(kind).prebuilt("/api/v1/orders"))).collect()
    });
    let problem = Problem::from(refusal);
    let written = WRITTEN.iter().find(|(kind, _)| std::ptr::eq(*kind, problem.kind()));
    match written {
        Some((_, prebuilt)) if problem.has_plain_body() => {
            prebuilt.clone().with_retry_after_s(problem.retry_after()).into_response()
        }
        _ => problem.into_response(),
    }
}

fn created_reply(order: OrderDocument, prefer: PreferHeader) -> Response {
    const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
    const RESPOND_ASYNC: HeaderValue = HeaderValue::from_static("respond-async");
    let location = HeaderValue::try_from(format!("/api/v1/orders/{}", order.id));
    let mut response = (StatusCode::CREATED, Json(order)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    if prefer.respond_async {
        *response.status_mut() = StatusCode::ACCEPTED;
        response.headers_mut().insert(PREFERENCE_APPLIED, RESPOND_ASYNC);
    }
    response
}

/// The `Prefer` header (RFC 7240). Unknown preferences are ignored.
#[derive(Clone, Copy)]
pub(super) struct PreferHeader {
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
