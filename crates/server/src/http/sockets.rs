//! Forwards requests below one prefix to the Socket.IO service that `commands` provides, and stands between its session ids and
//! clients. The service uses one id for an Engine.IO session and for the public `socket.id`, so that anyone who reads a `socket.id`
//! could act as its buyer. Clients therefore get another id for the session ([`SessionIds`]), which is valid only from the network
//! that opened the session. It knows nothing of the events of a socket.

mod open_packet;
mod session_ids;

use crate::client_network::ClientNetwork;
use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use axum::response::IntoResponse;
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use open_packet::{MaskedStream, PACKET_LEN_MAX, replace_id};
use sale::BuyerId;
use session_ids::{EngineSession, SessionGuard, SessionId, SessionIds};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use tower::Service;

pub const PREFIX: &str = "/socket.io/";

/// The stream of a WebSocket that was opened as one.
pub type OpenedWebSocket = MaskedStream<TokioIo<Upgraded>>;

/// Headers that are forwarded. The service keeps the head of a request as long as its session, so any other would waste memory.
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

/// What `realtime` makes of a client's address, and the buyer that it knows later.
pub struct PeerFunctions<V> {
    pub connect: fn(IpAddr) -> V,
    pub buyer: fn(&V) -> Option<BuyerId>,
}

/// The session that a request belongs to.
pub enum SocketSession {
    /// None: the request opens one.
    Opening,
    Known(EngineSession),
    /// The id is unknown, or belongs to another network.
    Unknown,
}

impl SocketSession {
    #[must_use]
    pub fn is_opening(&self) -> bool {
        matches!(self, Self::Opening)
    }

    /// The buyer who signed in on it.
    #[must_use]
    pub fn buyer(&self) -> Option<BuyerId> {
        match self {
            Self::Known(session) => session.buyer(),
            Self::Opening | Self::Unknown => None,
        }
    }
}

pub struct SocketService {
    sessions: Arc<SessionIds>,
    opener: Box<SocketOpener>,
    forwarder: Box<SocketForwarder>,
}

type SocketOpener =
    dyn Fn(Request<Incoming>, IpAddr, Arc<SessionIds>) -> BoxFuture<'static, Response<Body>> + Send + Sync;
type SocketForwarder = dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<Body>> + Send + Sync;

impl SocketService {
    /// Forwards to `service`. Each request that opens a session carries its peer in its extensions, which the service keeps as
    /// long as the session.
    pub fn new<S, B, E, V>(service: S, peers: PeerFunctions<V>) -> Self
    where
        V: Clone + Send + Sync + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Service<(OpenedWebSocket, Request<()>), Response = (), Error = E>,
        S: Clone + Send + Sync + 'static,
        <S as Service<Request<Incoming>>>::Future: Send + 'static,
        <S as Service<(OpenedWebSocket, Request<()>)>>::Future: Send + 'static,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let PeerFunctions { connect, buyer } = peers;
        let opening = service.clone();
        let opener = move |mut request: Request<Incoming>, address: IpAddr, sessions: Arc<SessionIds>| {
            let peer = connect(address);
            request.extensions_mut().insert(peer.clone());
            if let Some(key) = websocket_key(&request) {
                return open_websocket(opening.clone(), request, &key);
            }
            let guard = SessionGuard::new(sessions, address.into(), move || buyer(&peer));
            request.extensions_mut().insert(Arc::clone(&guard));
            let answer = Service::<Request<Incoming>>::call(&mut opening.clone(), request);
            let opened: BoxFuture<'static, Response<Body>> = Box::pin(async move {
                match answer.await {
                    Ok(response) => mask_session(response.map(Body::new), &guard).await,
                    Err(never) => match never {},
                }
            });
            opened
        };
        let forwarder = move |request| {
            let answer = Service::<Request<Incoming>>::call(&mut service.clone(), request);
            let answered: BoxFuture<'static, Response<Body>> = Box::pin(async move {
                match answer.await {
                    Ok(response) => response.map(Body::new),
                    Err(never) => match never {},
                }
            });
            answered
        };
        Self { sessions: Arc::default(), opener: Box::new(opener), forwarder: Box::new(forwarder) }
    }

    /// The session of a request from this address.
    #[must_use]
    pub fn find_session(&self, uri: &Uri, address: IpAddr) -> SocketSession {
        let Some(id) = session_id(uri) else { return SocketSession::Opening };
        let session = self.sessions.find(id, ClientNetwork::from(address));
        session.map_or(SocketSession::Unknown, SocketSession::Known)
    }

    pub fn handle_request(
        &self,
        mut request: Request<Incoming>,
        session: &SocketSession,
        address: IpAddr,
    ) -> BoxFuture<'static, Response<Body>> {
        let headers = std::mem::take(request.headers_mut());
        *request.headers_mut() = copy_kept_headers(&headers);
        drop(headers);
        let id = match session {
            SocketSession::Opening => {
                *request.uri_mut() = copy_uri(request.uri());
                return (self.opener)(request, address, Arc::clone(&self.sessions));
            }
            SocketSession::Known(session) => session.engine_id().as_str().to_owned(),
            // The service knows no session with an empty id, and says so.
            SocketSession::Unknown => String::new(),
        };
        *request.uri_mut() = with_session_id(request.uri(), &id);
        (self.forwarder)(request)
    }
}

/// The headers that are forwarded, in memory of their own: hyper's are parts of the buffer that the head was read into, and would keep
/// its 8 KiB as long as the session.
fn copy_kept_headers(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(KEPT_HEADERS.len());
    for name in KEPT_HEADERS {
        let value = headers.get(&name).map(|value| HeaderValue::from_bytes(value.as_bytes()));
        if let Some(Ok(value)) = value {
            kept.insert(name, value);
        }
    }
    kept
}

/// The address in memory of its own, for the same reason.
fn copy_uri(uri: &Uri) -> Uri {
    Uri::try_from(uri.to_string()).unwrap_or_default()
}

/// The value of the first `sid` in the query: the service reads the first, too.
fn session_id(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("sid="))
}

/// The address with one session id, and no other.
fn with_session_id(uri: &Uri, id: &str) -> Uri {
    let others = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.starts_with("sid="));
    let query: Vec<&str> = others.collect();
    let text = format!("{}?{}&sid={id}", uri.path(), query.join("&"));
    text.parse().unwrap_or_default()
}

/// The key of a request that opens a session as WebSocket. `None` for any other, and for one that the service will refuse.
fn websocket_key(request: &Request<Incoming>) -> Option<HeaderValue> {
    let has =
        |wanted: &str| request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == wanted));
    let is_websocket = *request.method() == Method::GET && has("transport=websocket") && has("EIO=4");
    is_websocket.then(|| request.headers().get(header::SEC_WEBSOCKET_KEY).cloned()).flatten()
}

/// Switches to WebSocket, and gives the service a stream that hides the session's id: it has no use, since no second connection
/// can join a WebSocket.
fn open_websocket<S>(
    mut service: S,
    mut request: Request<Incoming>,
    key: &HeaderValue,
) -> BoxFuture<'static, Response<Body>>
where
    S: Service<(OpenedWebSocket, Request<()>), Response = ()> + Send + 'static,
    S::Future: Send + 'static,
{
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    let upgrade = hyper::upgrade::on(&mut request);
    let mut request = request.map(|_empty| ());
    // The service reads the address alone, and would keep the headers as long as the socket.
    *request.headers_mut() = HeaderMap::new();
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let stream = MaskedStream::new(TokioIo::new(upgraded), SessionId::random());
        // It was checked before that the service takes it.
        let _taken = service.call((stream, request)).await;
    });
    let headers = [
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(accept).unwrap_or(HeaderValue::from_static(""))),
    ];
    Box::pin(std::future::ready((StatusCode::SWITCHING_PROTOCOLS, headers).into_response()))
}

/// Replaces the session's id in the reply that opens it, and registers the one that the client gets.
async fn mask_session(response: Response<Body>, guard: &SessionGuard) -> Response<Body> {
    if response.status() != StatusCode::OK {
        return response;
    }
    let (parts, body) = response.into_parts();
    let packet = axum::body::to_bytes(body, PACKET_LEN_MAX).await.map(Vec::from);
    let (Ok(mut packet), id) = (packet, SessionId::random()) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    match replace_id(&mut packet, id) {
        Some(engine_id) => {
            guard.register(id, engine_id);
            Response::from_parts(parts, Body::from(packet))
        }
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_session_keeps_of_a_head_does_not_keep_the_buffer_of_the_connection() {
        let (target, origin) = ("/socket.io/?EIO=4&transport=websocket", "https://shop.example");
        let buffer = Bytes::from(format!("{target}{origin}").into_bytes());
        let uri = Uri::from_maybe_shared(buffer.slice(..target.len())).unwrap();
        let value = HeaderValue::from_maybe_shared(buffer.slice(target.len()..)).unwrap();
        let headers = HeaderMap::from_iter([(header::ORIGIN, value.clone()), (header::COOKIE, value)]);
        let kept = (copy_uri(&uri), copy_kept_headers(&headers));
        drop((uri, headers));
        assert!(buffer.is_unique());
        assert_eq!(kept.0, target);
        assert_eq!(kept.1, HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))]));
    }

    #[test]
    fn the_first_session_id_counts_and_is_replaced() {
        let uri: Uri = "/socket.io/?EIO=4&sid=mine&transport=polling&sid=other".parse().unwrap();
        assert_eq!(session_id(&uri), Some("mine"));
        assert_eq!(with_session_id(&uri, "real"), "/socket.io/?EIO=4&transport=polling&sid=real");
        for none in ["/socket.io/", "/socket.io/?EIO=4", "/socket.io/?xsid=1"] {
            assert_eq!(session_id(&none.parse().unwrap()), None, "{none}");
        }
    }
}
