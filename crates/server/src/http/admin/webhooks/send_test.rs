//! `POST /api/v1/admin/webhooks/{id}/test`: send a test to an endpoint.

use super::DeliveryJson;
use crate::http::AppState;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::Problem;
use crate::shop::webhooks::deliveries;
use axum::extract::State;
use axum::http::StatusCode;
use uuid::Uuid;

/// Send a test to a webhook endpoint.
///
/// The test is a delivery of type `webhook.test`, whatever types the endpoint has. The list of deliveries shows what came of it.
#[utoipa::path(
    post,
    path = "/api/v1/admin/webhooks/{id}/test",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The endpoint")),
    responses(
        (status = 202, description = "It is sent at once", body = DeliveryJson),
    ),
    security(("token" = []))
)]
pub(super) async fn send_test(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<Uuid>,
) -> Result<(StatusCode, Json<DeliveryJson>), Problem> {
    let delivery = deliveries::send_test(&app.shop, id).await??;
    Ok((StatusCode::ACCEPTED, Json(delivery.into())))
}
