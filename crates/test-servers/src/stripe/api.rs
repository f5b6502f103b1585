//! The API of the stand-in: key, version, idempotency, and the request itself.

use super::http::{StandInReply, StandInRequest};
use super::model::{StripeModel, read_expand, read_parameters};
use super::objects::ApiFailure;
use super::parameters::{
    CANCEL, CAPTURE, CREATE_REFUND, CREATE_SESSION, EXPAND_ONLY, LIST_CREATED, LIST_OF_INTENT,
};
use super::{API_VERSION, StandInState, TEST_KEY};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) fn answer(state: &Arc<StandInState>, request: &StandInRequest) -> StandInReply {
    let mut reply =
        state.change(|model| execute(model, request, &state.url).unwrap_or_else(|failure| failure.reply()));
    reply.headers.push(("request-id", "req_standin".to_owned()));
    reply
}

pub(super) fn too_many() -> StandInReply {
    let error =
        json!({"error": {"type": "rate_limit_error", "code": "rate_limit", "message": "Too many requests"}});
    StandInReply::json(429, &error)
}

pub(super) fn failure() -> StandInReply {
    StandInReply::json(500, &json!({"error": {"type": "api_error", "message": "An unknown error occurred"}}))
}

pub(super) fn conflict() -> StandInReply {
    let message = "There is currently another in-progress request using this Idempotency-Key.";
    StandInReply::json(
        409,
        &json!({"error": {"type": "idempotency_error", "code": "idempotency_key_in_use", "message": message}}),
    )
}

/// 500, which each repeat with the same key gets.
pub(super) fn keep_failure(state: &Arc<StandInState>, request: &StandInRequest) -> StandInReply {
    let body = json!({"error": {"type": "api_error", "message": "An unknown error occurred"}});
    if let Some(key) = request.header("idempotency-key") {
        state.change(|model| model.keep_reply(key, &describe(request), 500, &body));
    }
    StandInReply::json(500, &body)
}

fn execute(model: &mut StripeModel, request: &StandInRequest, url: &str) -> Result<StandInReply, ApiFailure> {
    check_key(model, request)?;
    if request.header("stripe-version") != Some(API_VERSION) {
        return Err(ApiFailure::invalid(
            "",
            "",
            "The stand-in has one version of the API, which clients must name.",
        ));
    }
    let is_form = request
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if request.method == "POST" && !request.body.is_empty() && !is_form {
        return Err(ApiFailure::invalid("", "", "Invalid request: send application/x-www-form-urlencoded."));
    }
    let key = request.header("idempotency-key").filter(|_| request.method == "POST");
    if let Some(key) = key {
        if key.len() > 255 {
            return Err(ApiFailure::invalid("", "", "Idempotency keys have at most 255 characters."));
        }
        if let Some(kept) = model.kept_reply(key) {
            if kept["request"] != describe(request) {
                return Err(ApiFailure::key_reused());
            }
            let status = kept["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(500);
            let mut reply = StandInReply::json(status, &kept["body"]);
            reply.headers.push(("idempotent-replayed", "true".to_owned()));
            return Ok(reply);
        }
    }
    let (status, body, is_kept) = match route(model, request, url) {
        Ok(body) => (200, body, true),
        Err(failure) => (failure.status, failure.body(), failure.is_kept),
    };
    if let Some(key) = key.filter(|_| is_kept) {
        model.keep_reply(key, &describe(request), status, &body);
    }
    Ok(StandInReply::json(status, &body))
}

fn check_key(model: &StripeModel, request: &StandInRequest) -> Result<(), ApiFailure> {
    let key = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    if key != Some(TEST_KEY) || model.is_key_revoked {
        return Err(ApiFailure::bad_key());
    }
    let verb = if request.method == "GET" { "read" } else { "write" };
    let kind = match request.path.split('/').nth(2).unwrap_or_default() {
        "checkout" => "checkout_session",
        "payment_intents" => "payment_intent",
        "refunds" => "charge",
        "disputes" => "dispute",
        _ => return Ok(()),
    };
    // A right to write is one to read, too.
    let right = format!("{kind}_{verb}");
    if model.missing_rights.contains(&right) { Err(ApiFailure::missing_right(&right)) } else { Ok(()) }
}

fn route(model: &mut StripeModel, request: &StandInRequest, url: &str) -> Result<Value, ApiFailure> {
    let pairs = request.parameters();
    let path: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    let read = |known: &[&str]| read_parameters(&pairs, known);
    let found = match (request.method.as_str(), path.as_slice()) {
        ("POST", ["v1", "checkout", "sessions"]) => model.create_session(&read(CREATE_SESSION)?, url)?,
        ("GET", ["v1", "checkout", "sessions"]) => {
            model.list("checkout.session", &read(LIST_CREATED)?, &request.path)?
        }
        ("GET", ["v1", "checkout", "sessions", id]) => {
            read(EXPAND_ONLY)?;
            model.retrieve("checkout.session", "checkout.session", id)?
        }
        ("POST", ["v1", "checkout", "sessions", id, "expire"]) => {
            read(EXPAND_ONLY)?;
            model.expire_session(id)?
        }
        ("GET", ["v1", "payment_intents"]) => {
            model.list("payment_intent", &read(LIST_CREATED)?, &request.path)?
        }
        ("GET", ["v1", "payment_intents", id]) => {
            read(EXPAND_ONLY)?;
            model.retrieve("payment_intent", "payment_intent", id)?
        }
        ("POST", ["v1", "payment_intents", id, "capture"]) => model.capture_intent(id, &read(CAPTURE)?)?,
        ("POST", ["v1", "payment_intents", id, "cancel"]) => {
            read(CANCEL)?;
            model.cancel_intent(id)?
        }
        ("POST", ["v1", "refunds"]) => model.create_refund(&read(CREATE_REFUND)?)?,
        ("GET", ["v1", "refunds"]) => model.list("refund", &read(LIST_OF_INTENT)?, &request.path)?,
        ("GET", ["v1", "disputes"]) => model.list("dispute", &read(LIST_OF_INTENT)?, &request.path)?,
        (method, _) => return Err(ApiFailure::unknown_path(method, &request.path)),
    };
    Ok(model.render(&found, &read_expand(&pairs)))
}

/// What a repeat with the same key must be the same in.
fn describe(request: &StandInRequest) -> Value {
    json!([request.method, request.path, request.parameters()])
}
