//! A refusal or failure of a dialect's call. The edge renders it in the dialect's shape.

use crate::http::problem::{Problem, kind};
use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use sale::Refusal;
use serde_json::{Map, Value};

/// The message of a request of which it is not known whether it was recorded.
const NOT_RECORDED: &str = "this request may or may not have been recorded; send the same request again, it is never carried out twice";

/// What a caller gets instead of a success.
#[derive(Debug, Clone)]
pub struct DialectError {
    pub status: StatusCode,
    /// The native code, for programs.
    pub code: Option<&'static str>,
    pub message: String,
    /// Fields beside those of the dialect's shape.
    pub fields: Map<String, Value>,
    /// Seconds for `Retry-After`.
    pub retry_after_s: Option<u32>,
    /// Whether the dialect has no such path or method.
    pub is_unknown_path: bool,
}

/// A field of a request that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {reason}")]
pub struct WrongField {
    pub field: &'static str,
    /// The rule that it breaks.
    pub reason: &'static str,
}

impl DialectError {
    #[must_use]
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            code: None,
            message: message.into(),
            fields: Map::new(),
            retry_after_s: None,
            is_unknown_path: false,
        }
    }

    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// The dialect has no such path, or not with this method.
    #[must_use]
    pub fn unknown_path() -> Self {
        let not_found =
            Self::new(StatusCode::NOT_FOUND, "there is no such path here, or not with this method");
        Self { is_unknown_path: true, ..not_found }
    }

    /// A refusal of the law in the dialect's own words.
    #[must_use]
    pub fn refused(status: StatusCode, refusal: Refusal, message: impl Into<String>) -> Self {
        Self::new(status, message).code(refusal.code())
    }

    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    #[must_use]
    pub fn field(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }
}

/// Puts the error into the extensions of the reply, from which the edge renders it.
impl IntoResponse for DialectError {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

/// Everything that the native API answers with a problem: refusals of the law, failures of the engine, of the tables.
impl<E> From<E> for DialectError
where
    Problem: From<E>,
{
    fn from(cause: E) -> Self {
        let problem = Problem::from(cause);
        let status = StatusCode::from_u16(problem.kind().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // The native text advises a key that these clients do not have.
        let message = match problem.kind() {
            known if std::ptr::eq(known, &kind::NOT_RECORDED) => NOT_RECORDED.to_owned(),
            _ => problem.message(),
        };
        Self { retry_after_s: problem.retry_after(), ..Self::new(status, message).code(problem.kind().code) }
    }
}

impl From<WrongField> for DialectError {
    fn from(wrong: WrongField) -> Self {
        Self::bad_request(wrong.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::EngineError;

    #[test]
    fn what_a_client_is_advised_to_do_is_something_that_it_can_do() {
        for error in [EngineError::NotRecorded, EngineError::StateUnknown, EngineError::Overloaded] {
            let error = DialectError::from(error);
            assert_eq!(error.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(error.message.contains("again") && !error.message.contains("Key"), "{}", error.message);
        }
    }
}
