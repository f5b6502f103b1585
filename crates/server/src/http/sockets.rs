//! Forwards requests below one prefix to a service that `commands` provides. It knows nothing of Socket.IO.

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderName, Request, Response, Uri, header};
use futures::future::BoxFuture;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::net::IpAddr;
use tower::Service;

pub const PREFIX: &str = "/socket.io/";

/// Whether a request opens a socket. A request of an open one has its session id in the query.
#[must_use]
pub fn opens_socket(uri: &Uri) -> bool {
    uri.query().is_none_or(|query| !query.split('&').any(|pair| pair.starts_with("sid=")))
}

/// Headers that are forwarded. The service keeps the head of a request as long as its socket, so any other would waste memory.
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

pub struct SocketService(Box<SocketHandler>);

type SocketHandler = dyn Fn(Request<Incoming>, IpAddr) -> BoxFuture<'static, Response<Body>> + Send + Sync;

impl SocketService {
    /// Forwards to `service`. Each request carries what `peer` makes of the client's address in its extensions, which the service
    /// keeps as long as the socket.
    pub fn new<S, B, V>(service: S, peer: fn(IpAddr) -> V) -> Self
    where
        V: Clone + Send + Sync + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Box::new(move |mut request, address| {
            request.extensions_mut().insert(peer(address));
            let answer = service.clone().call(request);
            Box::pin(async move {
                match answer.await {
                    Ok(response) => response.map(Body::new),
                    Err(never) => match never {},
                }
            })
        }))
    }

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
