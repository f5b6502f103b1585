//! Errors in Stripe's shape.

use super::http::StandInReply;
use serde_json::{Value, json};

/// Why a request is refused.
#[derive(Clone, Debug)]
pub(crate) struct ApiFailure {
    pub(crate) status: u16,
    kind: &'static str,
    code: Option<String>,
    param: Option<String>,
    message: String,
    /// Whether the request was executed: then the reply is kept under its key.
    pub(crate) is_kept: bool,
}

impl ApiFailure {
    /// Refused before anything was executed.
    pub(super) fn invalid(code: &str, param: &str, message: &str) -> Self {
        Self {
            status: 400,
            kind: "invalid_request_error",
            code: (!code.is_empty()).then(|| code.to_owned()),
            param: (!param.is_empty()).then(|| param.to_owned()),
            message: message.to_owned(),
            is_kept: false,
        }
    }

    /// Refused because of the state of an object.
    pub(super) fn state(code: &str, message: &str) -> Self {
        Self { is_kept: true, ..Self::invalid(code, "", message) }
    }

    pub(super) fn missing(kind: &str, id: &str) -> Self {
        let message = format!("No such {kind}: '{id}'");
        Self { status: 404, ..Self::invalid("resource_missing", "id", &message) }
    }

    pub(super) fn unknown_path(method: &str, path: &str) -> Self {
        let message = format!("Unrecognized request URL ({method}: {path}).");
        Self { status: 404, ..Self::invalid("", "", &message) }
    }

    pub(super) fn bad_key() -> Self {
        let message = "Invalid API Key provided: rk_test_*****0000";
        Self { status: 401, ..Self::invalid("api_key_expired", "", message) }
    }

    pub(super) fn missing_right(right: &str) -> Self {
        let message = format!(
            "The provided key 'rk_test_*****0000' does not have the required permissions for this endpoint on account \
            'acct_standin'. Having the 'rak_{right}' permission would allow this request to continue."
        );
        Self { status: 403, ..Self::invalid("", "", &message) }
    }

    pub(super) fn key_reused() -> Self {
        let message = "Keys for idempotent requests can only be used with the same parameters they were first used with.";
        Self { kind: "idempotency_error", ..Self::invalid("", "", message) }
    }

    pub(super) fn body(&self) -> Value {
        let Self { kind, code, param, message, .. } = self;
        let mut error = json!({"type": kind, "message": message});
        if let Some(code) = code {
            error["code"] = code.clone().into();
        }
        if let Some(param) = param {
            error["param"] = param.clone().into();
        }
        json!({ "error": error })
    }

    pub(super) fn reply(&self) -> StandInReply {
        StandInReply::json(self.status, &self.body())
    }
}
