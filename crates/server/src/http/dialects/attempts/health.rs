//! Whether the instance answers requests.

use super::super::DialectState;
use super::super::error::DialectError;
use super::super::reply::DialectReply;
use crate::http::ops;
use crate::http::problem::kind;
use crate::http::v1::rfc3339;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::json;

pub(super) async fn show_health(State(state): State<DialectState>) -> Result<DialectReply, DialectError> {
    ops::check_readiness(&state.app).map_err(|reason| DialectError {
        retry_after_s: kind::UNAVAILABLE.retry_after_s,
        ..DialectError::new(StatusCode::SERVICE_UNAVAILABLE, reason)
    })?;
    let now = rfc3339(state.app.shop.engine.now());
    Ok(DialectReply::ok(&json!({"status": "ok", "timestamp": now})))
}
