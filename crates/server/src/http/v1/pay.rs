//! `POST /orders/{id}/pay`: pays for a held order.

use crate::http::AppState;
use crate::http::bounds::METHOD_LEN_MAX;
use crate::http::extract::{BuyerSession, Json, Path, PreferredLanguage};
use crate::http::idempotency::IdempotencyHeader;
use crate::http::problem::{FieldError, Problem, kind};
use crate::shop::payments::PayRequest;
use crate::shop_documents::paid_order_document;
use axum::extract::State;
use documents::OrderDocument;
use sale::OrderId;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(pay))
}

/// A payment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayBody {
    /// The payment method, as the provider names it. The built-in sandbox has `sandbox:approve`, `sandbox:decline`, `sandbox:slow` (approves
    /// after 3 s), `sandbox:lost` (charges, but its reply is lost; a retry settles it) and `sandbox:redirect` (a page that approves or
    /// declines). An order that costs nothing needs none.
    #[serde(default)]
    #[schema(max_length = 255, example = "sandbox:approve", nullable = false)]
    method: Option<String>,
}

/// Pay for an order.
///
/// The order is confirmed if its units are still held; otherwise nothing is charged. While the payment is in progress, the order is
/// `pending` with `paying: true`, and does not expire before the payment has ended, or `holdSeconds` and a minute after `expiresAt`. A
/// repeated request never charges twice. With a method that leads to a page of the provider the reply is `pending` with `nextAction`, and
/// the order is held as long as before, until the buyer has paid there; asked again, it gives the same page. A declined payment leaves the hold as it was: another method may be tried until `expiresAt`.
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
        (status = 200, description = "Paid; or `pending` with `nextAction` when the buyer is to pay on a page of the provider", body = OrderDocument),
    ),
    security(("token" = []))
)]
async fn pay(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    PreferredLanguage(language): PreferredLanguage,
    Path(order): Path<OrderId>,
    IdempotencyHeader(key): IdempotencyHeader,
    Json(body): Json<PayBody>,
) -> Result<Json<OrderDocument>, Problem> {
    if body.method.as_ref().is_some_and(|method| method.len() > METHOD_LEN_MAX) {
        let error = FieldError::new("/method", "a method has at most 255 bytes");
        return Err(Problem::new(&kind::INVALID_BODY).errors(vec![error]));
    }
    let language = language.as_str();
    let request = PayRequest { buyer: session.buyer, order, method: body.method, key, language };
    let paid = app.shop.payments.pay(request).await??;
    Ok(Json(paid_order_document(&app.shop, paid)))
}
