//! What replies begin with.

use axum::body::Body;
use axum::http::{HeaderMap, Response};

/// Headers of nearly every reply, with those that the edge adds: more than these cost an allocation.
const HEADERS: usize = 12;

/// A reply with this body, 200, and room for its headers.
pub fn begin_reply(body: impl Into<Body>) -> Response<Body> {
    let mut reply = Response::new(body.into());
    *reply.headers_mut() = HeaderMap::with_capacity(HEADERS);
    reply
}
