//! `DELETE /api/v1/orders/{id}`: cancel a pending order.

use crate::http::AppState;
use crate::http::extract::{BuyerSession, Json, Path};
use crate::http::problem::Problem;
use crate::shop::orders;
use crate::shop_documents::order_document;
use axum::extract::State;
use documents::OrderDocument;
use sale::OrderId;

/// Cancel a pending order.
#[utoipa::path(
    delete,
    path = "/api/v1/orders/{id}",
    tag = "orders",
    params(("id" = Uuid, Path, description = "The order")),
    responses(
        (status = 200, description = "Cancelled", body = OrderDocument),
    ),
    security(("token" = []))
)]
pub(super) async fn cancel(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Path(order): Path<OrderId>,
) -> Result<Json<OrderDocument>, Problem> {
    let order = orders::cancel(&app.shop, session.buyer, order).await??;
    Ok(Json(order_document(&app.shop, &order)))
}
