//! `POST /buy`: a purchase job. The checks come in the order that the clients rely on: key, product, a used key, the limit, the sale.

use super::super::error::DialectError;
use super::super::fields::{LenientBody, LenientFields};
use super::super::reply::DialectReply;
use super::super::{DialectContext, DialectState};
use super::{find_sale, require_product};
use crate::http::idempotency::IDEMPOTENCY_KEY;
use crate::http::limits::{LimitClass, LimitKey};
use crate::http::problem::kind;
use crate::shop::group_commit::RowNotWritten;
use crate::shop::guests::DialectGuest;
use crate::shop::purchase_jobs::{self, JobError, JobKey, JobReply, JobRequest, JobRow, KeyPermit, KeyState};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use sale::{BuyerId, Refusal};
use serde_json::json;
use std::time::Duration;

/// Seconds after which a request without an answer may be sent again.
const RETRY_AFTER_S: u32 = 1;
/// How often and how long a request that is over the limit waits for the job of another instance that has its key.
const PEER_CHECKS: u32 = 3;
const PEER_CHECK_INTERVAL: Duration = Duration::from_millis(100);

pub(super) async fn buy(
    State(state): State<DialectState>,
    headers: HeaderMap,
    LenientBody(fields): LenientBody,
) -> Result<DialectReply, DialectError> {
    let key = read_key(&headers)?;
    let product = require_product(&state, fields.text("productId")?)?;
    let guest = read_guest(&fields)?;
    let claimed = purchase_jobs::claim_key(&state.app.shop, &key, guest.buyer()).await;
    let permit = match claimed.map_err(no_answer)? {
        KeyState::Unused(permit) => permit,
        KeyState::Used(job) => return Err(key_used(&job, guest.buyer())),
    };
    // A client that hangs up leaves no request counted that is not acknowledged.
    let counted = tokio::spawn(async move { run_counted_job(&state, permit, guest, product).await });
    // A panic was logged.
    counted.await.unwrap_or_else(|_| Err(no_answer(RowNotWritten.into())))
}

/// Counts the request; only an acknowledged one stays counted.
async fn run_counted_job(
    state: &DialectContext,
    permit: KeyPermit,
    guest: DialectGuest,
    product: String,
) -> Result<DialectReply, DialectError> {
    let (buyer, limit_key) = (guest.buyer(), LimitKey::from_buyer(guest.buyer()));
    if let Err(too_fast) = state.count_request(LimitClass::Turnstile, limit_key).await {
        let peer_job = wait_for_peer_job(state, permit.key()).await?;
        return Err(peer_job.map_or(too_fast, |job| key_used(&job, buyer)));
    }
    let reply = run_job(state, permit, guest, product).await;
    if reply.is_err() {
        state.return_request(LimitClass::Turnstile, limit_key).await;
    }
    reply
}

async fn run_job(
    state: &DialectContext,
    permit: KeyPermit,
    guest: DialectGuest,
    product: String,
) -> Result<DialectReply, DialectError> {
    let buyer = guest.buyer();
    let Some(sale) = find_sale(state).await else {
        let none = DialectError::new(StatusCode::FORBIDDEN, "the sale is closed: there is no sale");
        return Err(none.code(kind::SALE_UNKNOWN.code));
    };
    if !sale.sells_at_once() {
        let message = "the sale is closed here: it has a line or takes payments, and does not sell at once";
        return Err(DialectError::new(StatusCode::FORBIDDEN, message));
    }
    let request = JobRequest { sale: sale.view.id, guest, product };
    match purchase_jobs::run(&state.app.shop, permit, request).await {
        Ok(JobReply::Acknowledged(job)) => Ok(acknowledge(&job)),
        Ok(JobReply::KeyUsed(job)) => Err(key_used(&job, buyer)),
        Ok(JobReply::NotOpen(refusal)) => {
            Err(DialectError::refused(StatusCode::FORBIDDEN, refusal, closed_message(refusal)))
        }
        Err(error) => Err(no_answer(error)),
    }
}

/// 503.
fn no_answer(_: JobError) -> DialectError {
    let message = "the purchase got no answer; send the same request again, it never buys twice";
    let error = DialectError::new(StatusCode::SERVICE_UNAVAILABLE, message);
    DialectError { retry_after_s: Some(RETRY_AFTER_S), ..error.code(kind::UNAVAILABLE.code) }
}

fn acknowledge(job: &JobRow) -> DialectReply {
    DialectReply::ok(&json!({
        "success": true,
        "acknowledged": true,
        "message": format!("the purchase is acknowledged; {}", purchase_jobs::describe_result(&job.result)),
        "jobId": job.id,
        "state": job.result.as_str(),
        "code": job.result.code(),
    }))
}

/// 409. Only the buyer of a job learns of it.
fn key_used(job: &JobRow, buyer: BuyerId) -> DialectError {
    let message = "this Idempotency-Key was used before; its purchase is not made again";
    let error = DialectError::new(StatusCode::CONFLICT, message).code(kind::KEY_REUSED.code);
    if job.buyer == buyer {
        error.field("jobId", job.id.to_string()).field("state", job.result.as_str())
    } else {
        error
    }
}

fn closed_message(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NotStarted => "the sale is closed: it has not started yet",
        Refusal::Paused => "the sale is closed: it is paused",
        _ => "the sale is closed: it has ended",
    }
}

fn read_key(headers: &HeaderMap) -> Result<JobKey, DialectError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let missing = || {
        let message = "the header Idempotency-Key is required: 1 to 255 printable ASCII characters";
        DialectError::bad_request(message).code(kind::BAD_IDEMPOTENCY_KEY.code)
    };
    let value = values.next().ok_or_else(missing)?;
    if values.next().is_some() {
        let message = "send one Idempotency-Key, not several";
        return Err(DialectError::bad_request(message).code(kind::BAD_IDEMPOTENCY_KEY.code));
    }
    value.to_str().ok().and_then(|text| JobKey::new(text.trim()).ok()).ok_or_else(missing)
}

fn read_guest(fields: &LenientFields) -> Result<DialectGuest, DialectError> {
    let name = fields.text("userId")?;
    purchase_jobs::job_guest(name.as_deref())
        .map_err(|error| DialectError::bad_request(format!("userId: {error}")))
}

/// The job of another instance that has this key and counts for the same limit. It may be a moment from being written.
async fn wait_for_peer_job(state: &DialectContext, key: &JobKey) -> Result<Option<JobRow>, DialectError> {
    let shop = &state.app.shop;
    if !shop.tenancy.is_cluster() {
        return Ok(None);
    }
    for _ in 0..PEER_CHECKS {
        if let Some(job) = purchase_jobs::find_by_key(shop, key).await? {
            return Ok(Some(job));
        }
        tokio::time::sleep(PEER_CHECK_INTERVAL).await;
    }
    Ok(purchase_jobs::find_by_key(shop, key).await?)
}
