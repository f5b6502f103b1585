//! `POST /orders/{id}/pay`: pays for a held order.

use crate::http::AppState;
use crate::http::extract::{BuyerSession, Json, Path};
use crate::http::idempotency::IdempotencyHeader;
use crate::http::problem::{FieldError, Problem, ProblemSchema, kind};
use crate::shop::payments::PayRequest;
use axum::extract::State;
use documents::OrderDocument;
use sale::OrderId;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Bytes of a method; the tokens of providers are far shorter.
const METHOD_LEN_MAX: usize = 255;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(pay))
}

/// A payment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayBody {
    /// The payment method, as the provider names it. The built-in sandbox has `sandbox:approve`, `sandbox:decline`, `sandbox:slow` (approves
    /// after 3 s) and `sandbox:lost` (charges, but its reply is lost; a retry settles it). An order that costs nothing needs none.
    #[serde(default)]
    #[schema(max_length = 255, example = "sandbox:approve", nullable = false)]
    method: Option<String>,
}

/// Pay for an order.
///
/// The order is confirmed if its units are still held; otherwise nothing is charged. While the payment is in progress, the order is
/// `pending` with `paying: true`, and does not expire before the payment has ended, or `holdSeconds` and a minute after `expiresAt`. A
/// repeated request never charges twice. A declined payment leaves the hold as it was: another method may be tried until `expiresAt`.
#[utoipa::path(
    post,
    path = "/api/v1/orders/{id}/pay",
    tag = "orders",
    request_body = PayBody,
    params(
        ("id" = Uuid, Path, description = "The order"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters; the same key and body give the same reply"),
    ),
    responses(
        (status = 200, description = "Paid", body = OrderDocument),
        (status = 402, description = "`payment_declined`: the order is held as long as before", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 404, description = "No such order of this buyer", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 409, description = "`request_in_flight`, `order_state`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 410, description = "`order_expired`: the units were released, nothing was charged", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 422, description = "`key_reused`, `invalid_body`", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 503, description = "`payment_unknown`: the outcome is not known yet; get the order, or repeat the request", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
async fn pay(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Path(order): Path<OrderId>,
    IdempotencyHeader(key): IdempotencyHeader,
    Json(body): Json<PayBody>,
) -> Result<Json<OrderDocument>, Problem> {
    if body.method.as_ref().is_some_and(|method| method.len() > METHOD_LEN_MAX) {
        let error = FieldError::new("/method", "a method has at most 255 bytes");
        return Err(Problem::new(&kind::INVALID_BODY).errors(vec![error]));
    }
    let request = PayRequest { buyer: session.buyer, order, method: body.method, key };
    Ok(Json(app.shop.payments.pay(request).await??.into()))
}
