//! Who makes a request: the edge resolves it once, and leaves it in the request's extensions for the extractors.

use crate::auth::Session;
use std::net::IpAddr;

#[derive(Debug, Clone, Copy)]
pub struct RequestCaller {
    /// The client's address, behind any trusted proxies.
    pub address: IpAddr,
    /// The session of a valid access token.
    pub session: Option<Session>,
}
