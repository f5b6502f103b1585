//! `POST /api/v1/admin/webhooks/{id}/resend-failed`: send all failed deliveries since a moment again.

use crate::http::AppState;
use crate::http::admin::run_to_completion;
use crate::http::extract::{AdminSession, Json, Path};
use crate::http::problem::{Problem, kind};
use crate::http::valid_json::ValidJson;
use crate::http::valid_json::fields::{self, required};
use crate::shop::webhooks::deliveries;
use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use sale::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Which deliveries.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FailedSince)]
#[garde(allow_unvalidated)]
pub(super) struct FailedSinceBody {
    /// Those that failed at this moment or later.
    #[serde(default, deserialize_with = "fields::timestamp")]
    #[schema(value_type = String, format = DateTime, required = true)]
    #[garde(custom(required))]
    since: Option<Timestamp>,
}

/// How many deliveries are sent again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResentDeliveries)]
pub(super) struct ResentJson {
    count: u64,
}

/// Send all failed deliveries since a moment again.
///
/// Those whose last try failed, and whose schedule was over; what waits for its next try is not among them.
#[utoipa::path(
    post,
    path = "/api/v1/admin/webhooks/{id}/resend-failed",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The endpoint")),
    request_body = FailedSinceBody,
    responses(
        (status = 202, description = "They are sent as fast as the endpoint takes them", body = ResentJson),
    ),
    security(("token" = []))
)]
pub(super) async fn resend_failed(
    State(app): State<AppState>,
    _: AdminSession,
    Path(id): Path<Uuid>,
    ValidJson(body): ValidJson<FailedSinceBody>,
) -> Result<(StatusCode, Json<ResentJson>), Problem> {
    let since = body.since.ok_or(Problem::new(&kind::INVALID_BODY))?;
    let resent =
        run_to_completion(async move { deliveries::resend_failed(&app.shop, id, since).await }).await???;
    Ok((StatusCode::ACCEPTED, Json(ResentJson { count: resent })))
}
