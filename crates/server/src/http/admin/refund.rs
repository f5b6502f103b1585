//! `POST /admin/orders/{id}/refund`: refunds a confirmed order.

use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::idempotency::IdempotencyHeader;
use crate::http::problem::Problem;
use crate::shop::payments::RefundRequest;
use crate::shop_documents::paid_order_document;
use axum::extract::State;
use documents::OrderDocument;
use sale::OrderId;
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
    /// True: the units are sold again, to the next in line. False: they still count as sold.
    restock: bool,
}

/// Refund an order.
///
/// The whole amount is refunded. A repeated request changes nothing and returns the order.
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
    let request = RefundRequest { admin: session.buyer, order, restock: body.restock, key };
    let refunded = app.shop.payments.refund(request).await??;
    Ok(Json(paid_order_document(&app.shop, refunded)))
}
