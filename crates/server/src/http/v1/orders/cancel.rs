//! `DELETE /api/v1/orders/{id}`: cancel a pending order.

use crate::http::AppState;
use crate::http::extract::{BuyerSession, Json, Path};
use crate::http::problem::{Problem, ProblemSchema};
use crate::shop::orders;
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
        (status = 404, description = "No such order of this buyer", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 409, description = "`order_state`: it is paid; `order_paying`: a payment is in progress", body = ProblemSchema, content_type = "application/problem+json"),
        (status = 410, description = "`order_expired`: its hold has ended", body = ProblemSchema, content_type = "application/problem+json"),
    ),
    security(("token" = []))
)]
pub(super) async fn cancel(
    State(app): State<AppState>,
    BuyerSession(session): BuyerSession,
    Path(order): Path<OrderId>,
) -> Result<Json<OrderDocument>, Problem> {
    Ok(Json(orders::cancel(&app.shop, session.buyer, order).await??.into()))
}
