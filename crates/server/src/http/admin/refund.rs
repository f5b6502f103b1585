//! `POST /admin/orders/{id}/refund`: refunds a confirmed order.

use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::idempotency::IdempotencyHeader;
use crate::http::problem::{FieldError, Problem, kind};
use crate::shop::payments::RefundRequest;
use crate::shop_documents::paid_order_document;
use axum::extract::State;
use documents::MoneyDocument;
use documents::OrderDocument;
use sale::{Money, OrderId};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(refund))
}

/// A refund.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefundBody {
    /// How much, in the currency of the order. Without it all that is left is refunded. A part leaves the order confirmed and its units
    /// sold; all that is left, given as an amount, is as without it.
    #[serde(default)]
    #[schema(nullable = false)]
    amount: Option<MoneyDocument>,
    /// True: the units are sold again, to the next in line. False: they still count as sold. A part cannot give units back.
    restock: bool,
}

/// Refund an order.
///
/// All that is left of the payment is refunded, or a part. A repeated request with the same key changes nothing and returns the order; a
/// part without a key is refunded again. More than is left is refused, also when several are asked for at once.
#[utoipa::path(
    post,
    path = "/api/v1/admin/orders/{id}/refund",
    tag = "admin",
    request_body = RefundBody,
    params(
        ("id" = Uuid, Path, description = "The order"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters; the same key and body give the same reply"),
    ),
    responses(
        (status = 200, description = "Refunded; `payment.status` is `refunding` while the provider has not answered yet", body = OrderDocument),
    ),
    security(("token" = []))
)]
async fn refund(
    State(app): State<AppState>,
    AdminSession(session): AdminSession,
    Path(order): Path<OrderId>,
    IdempotencyHeader(key): IdempotencyHeader,
    Json(body): Json<RefundBody>,
) -> Result<Json<OrderDocument>, Problem> {
    let amount = body.amount.map(Money::from);
    if amount.is_some_and(|amount| amount.minor <= 0) {
        let error = FieldError::new("/amount/amount", "must be more than 0");
        return Err(Problem::new(&kind::INVALID_BODY).errors(vec![error]));
    }
    let request = RefundRequest { admin: session.buyer, order, amount, restock: body.restock, key };
    let refunded = app.shop.payments.refund(request).await??;
    Ok(Json(paid_order_document(&app.shop, refunded)))
}
