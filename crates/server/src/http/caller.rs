//! Who makes a request: the edge resolves it once, and leaves it in the request's extensions for the extractors.

use super::problem::{Problem, kind};
use crate::auth::Session;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::net::IpAddr;

#[derive(Debug, Clone, Copy)]
pub struct RequestCaller {
    /// The client's address, behind any trusted proxies.
    pub address: IpAddr,
    /// The session of a valid access token.
    pub session: Option<Session>,
}

impl<S: Sync> FromRequestParts<S> for RequestCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // The edge has put it there.
        parts.extensions.get::<Self>().copied().ok_or(Problem::new(&kind::INTERNAL))
    }
}
