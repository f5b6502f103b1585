//! A success of a dialect's call.

use crate::http::reply::begin_reply;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;

/// A reply that is complete except for the headers that all replies have.
#[derive(Debug)]
pub struct DialectReply(Response<Body>);

impl DialectReply {
    /// 200 with a JSON document.
    #[must_use]
    pub fn ok(document: &impl Serialize) -> Self {
        Self::with_status(StatusCode::OK, document)
    }

    #[must_use]
    pub fn with_status(status: StatusCode, document: &impl Serialize) -> Self {
        Self(json_response(status, document))
    }

    /// 200 with a plain text.
    #[must_use]
    pub fn text(text: &'static str) -> Self {
        Self(text.into_response())
    }
}

impl IntoResponse for DialectReply {
    fn into_response(self) -> Response<Body> {
        self.0
    }
}

pub(in crate::http) fn json_response(status: StatusCode, document: &impl Serialize) -> Response<Body> {
    // The documents of dialects are plain: writing them to memory does not fail.
    let mut response = begin_reply(serde_json::to_vec(document).unwrap_or_default());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}
