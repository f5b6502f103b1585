//! `POST /api/v1/admin/webhooks/{id}/deliveries/{deliveryId}/resend`: send a delivery again.

use super::DeliveryJson;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, PathPair};
use crate::http::problem::Problem;
use crate::shop::webhooks::deliveries;
use axum::extract::State;
use axum::http::StatusCode;
use uuid::Uuid;

/// Send a delivery again.
///
/// It is sent at once, also when it has arrived or waits for its next try, and then has its whole schedule before it. The event keeps
/// its id.
#[utoipa::path(
    post,
    path = "/api/v1/admin/webhooks/{id}/deliveries/{deliveryId}/resend",
    tag = "admin",
    params(
        ("id" = Uuid, Path, description = "The endpoint"),
        ("deliveryId" = Uuid, Path, description = "The delivery"),
    ),
    responses(
        (status = 202, description = "It is sent at once", body = DeliveryJson),
    ),
    security(("token" = []))
)]
pub(super) async fn resend(
    State(app): State<AppState>,
    _: AdminSession,
    PathPair(id, delivery): PathPair<Uuid, Uuid>,
) -> Result<(StatusCode, Json<DeliveryJson>), Problem> {
    let delivery = deliveries::resend(&app.shop, id, delivery).await??;
    Ok((StatusCode::ACCEPTED, Json(delivery.into())))
}
