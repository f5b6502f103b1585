//! `GET /buy/{jobId}`: a job, with what the engine knows of its unit now.

use super::super::DialectState;
use super::super::error::DialectError;
use super::super::reply::DialectReply;
use crate::shop::fresh_views;
use crate::shop::purchase_jobs::{self, ATTEMPTS_MAX, BACKOFF_MS};
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use serde_json::json;
use uuid::Uuid;

pub(super) async fn show_job(
    State(state): State<DialectState>,
    uri: Uri,
) -> Result<DialectReply, DialectError> {
    let shop = &state.app.shop;
    let id = uri.path().rsplit('/').next().unwrap_or_default();
    let job = match id.parse::<Uuid>() {
        Ok(id) => purchase_jobs::find(shop, id).await?,
        Err(_) => None,
    };
    let Some(job) = job else {
        return Err(DialectError::new(StatusCode::NOT_FOUND, "there is no such job"));
    };
    let order_status = if purchase_jobs::is_sold(shop, &job).await? { "COMPLETED" } else { "CANCELLED" };
    Ok(DialectReply::ok(&json!({
        "jobId": job.id,
        "name": "purchase-job",
        "state": job.result.as_str(),
        "orderStatus": order_status,
        "data": {
            "userId": job.user,
            "productId": job.product,
            "timestamp": job.created_at.0,
            "idempotencyKey": job.key,
        },
        "opts": {"attempts": ATTEMPTS_MAX, "backoff": BACKOFF_MS},
        "attemptsMade": job.attempts,
        "remainingStock": fresh_views::count_unsold(shop, job.sale).await?,
        "message": purchase_jobs::describe_result(&job.result),
        "code": job.result.code(),
    })))
}
