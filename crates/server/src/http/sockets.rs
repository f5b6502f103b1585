//! The way from HTTP to the sockets: requests below one prefix go through a door that `commands` hangs in. It knows neither
//! what is behind it nor a word of Socket.IO.

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderName, Request, Response, Uri, header};
use futures::future::BoxFuture;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::net::IpAddr;
use tower::Service;

/// Where the sockets are.
pub const PREFIX: &str = "/socket.io/";

/// Whether a request opens a socket: one that exists is named in the query.
#[must_use]
pub fn opens_socket(uri: &Uri) -> bool {
    uri.query().is_none_or(|query| !query.split('&').any(|pair| pair.starts_with("sid=")))
}

/// What is kept of a request's head for as long as its socket lives: the rest would be memory for nothing.
const KEPT_HEADERS: [HeaderName; 8] = [
    header::CONNECTION,
    header::UPGRADE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::ORIGIN,
];

/// A service behind the door.
pub struct SocketService(Box<SocketHandler>);

type SocketHandler = dyn Fn(Request<Incoming>, IpAddr) -> BoxFuture<'static, Response<Body>> + Send + Sync;

impl SocketService {
    /// A door to `service`, which finds what `visitor` makes of the client's address in the extensions of each request. A
    /// service that keeps a request's head for as long as its socket lives keeps that as well.
    pub fn new<S, B, V>(service: S, visitor: fn(IpAddr) -> V) -> Self
    where
        V: Clone + Send + Sync + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Box::new(move |mut request, address| {
            request.extensions_mut().insert(visitor(address));
            let answer = service.clone().call(request);
            Box::pin(async move {
                match answer.await {
                    Ok(response) => response.map(Body::new),
                    Err(never) => match never {},
                }
            })
        }))
    }

    /// Has a request from this address answered.
    pub fn handle_request(
        &self,
        mut request: Request<Incoming>,
        address: IpAddr,
    ) -> BoxFuture<'static, Response<Body>> {
        let headers = std::mem::take(request.headers_mut());
        let mut kept = HeaderMap::with_capacity(KEPT_HEADERS.len());
        for name in KEPT_HEADERS {
            if let Some(value) = headers.get(&name) {
                kept.insert(name, value.clone());
            }
        }
        *request.headers_mut() = kept;
        (self.0)(request, address)
    }
}
