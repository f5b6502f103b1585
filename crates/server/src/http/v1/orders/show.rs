//! `GET /api/v1/orders/{id}`: one order of the buyer.

use crate::http::AppState;
use crate::http::extract::{BuyerSession, Json, Path};
use crate::http::problem::{Problem, kind};
use crate::shop::orders;
use crate::shop_documents::order_document;
use axum::extract::State;
use documents::OrderDocument;
use sale::{OrderId, OrderStatus};

/// One order of the buyer.
#[utoipa::path(
    get,
    path = "/api/v1/orders/{id}",
    tag = "orders",
    params(("id" = Uuid, Path, description = "The order")),
    responses(
        (status = 200, description = "The order", body = OrderDocument),
    ),
    security(("token" = []))
)]
pub(super) async fn show(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Path(order): Path<OrderId>,
) -> Result<Json<OrderDocument>, Problem> {
    let order = orders::find(&app.shop, session.buyer, order).await?;
    if let Some(order) = &order
        && order.requires_payment
        && matches!(order.view.status, OrderStatus::Pending { .. })
    {
        app.shop.payments.wake_viewed_order(order.view.id);
    }
    order.map(|order| Json(order_document(&app.shop, &order))).ok_or(Problem::new(&kind::ORDER_UNKNOWN))
}
