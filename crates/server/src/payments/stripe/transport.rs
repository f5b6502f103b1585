//! HTTP to one origin, Stripe's API: a request out, a reply in, over connections that are kept. It knows no redirect and no proxy, reads no
//! reply past a limit, and never retries, except on an idle connection that its server has closed meanwhile.

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Url;

/// Bytes of a reply at most. A page of 100 intents with their charges has some 500 KB.
const REPLY_LEN_MAX: usize = 8 << 20;

/// Idle connections that are kept.
const IDLE_MAX: usize = 32;

/// Where the API is, such as `https://api.stripe.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiOrigin {
    host: String,
    port: u16,
    is_tls: bool,
}

/// The text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write an origin such as https://api.stripe.com; http:// is for a stand-in on this machine")]
pub struct ApiOriginError;

impl std::str::FromStr for ApiOrigin {
    type Err = ApiOriginError;

    fn from_str(text: &str) -> Result<Self, ApiOriginError> {
        let url = Url::parse(text).map_err(|_| ApiOriginError)?;
        let host = url.host_str().ok_or(ApiOriginError)?.to_owned();
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let is_anonymous = url.username().is_empty() && url.password().is_none();
        // The key goes with each request, so it leaves this machine only over TLS.
        let is_tls = url.scheme() == "https";
        let is_local = matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
        let is_allowed = is_tls || (url.scheme() == "http" && is_local);
        let port = url.port_or_known_default().ok_or(ApiOriginError)?;
        if is_bare && is_anonymous && is_allowed {
            Ok(Self { host, port, is_tls })
        } else {
            Err(ApiOriginError)
        }
    }
}

impl ApiOrigin {
    /// The value of the header `Host`.
    fn authority(&self) -> String {
        if self.port == if self.is_tls { 443 } else { 80 } {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

#[derive(Clone, Debug)]
pub struct HttpRequest {
    pub method: Method,
    /// Path and query.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Clone, Debug)]
pub struct HttpReply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl HttpReply {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    #[error("no connection: {0}")]
    NotConnected(io::Error),
    #[error("no TLS connection: {0}")]
    NotSecured(io::Error),
    #[error("the connection ended before there was a reply")]
    Disconnected,
    #[error("the reply is too long")]
    TooLong,
    #[error("the request cannot be written")]
    Unwritable,
}

pub struct HttpTransport {
    origin: ApiOrigin,
    tls: TlsConnector,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl HttpTransport {
    #[must_use]
    pub fn new(origin: ApiOrigin, tls: ClientConfig) -> Self {
        Self { origin, tls: TlsConnector::from(Arc::new(tls)), idle: Mutex::default() }
    }

    /// Sends a request and reads the reply. The caller limits how long it may take.
    ///
    /// # Errors
    /// When there is no reply. The request may have had its effect.
    pub async fn send(&self, request: &HttpRequest) -> Result<HttpReply, TransportError> {
        while let Some(mut connection) = self.take_idle() {
            // One that was closed meanwhile, perhaps with this request in it, is replaced: each request may be repeated.
            if connection.ready().await.is_ok()
                && let Ok(response) = connection.send_request(self.build_request(request)?).await
            {
                return self.read_reply(connection, response).await;
            }
        }
        let mut connection = self.connect().await?;
        let request = self.build_request(request)?;
        let response = connection.send_request(request).await.map_err(|_| TransportError::Disconnected)?;
        self.read_reply(connection, response).await
    }

    async fn read_reply(
        &self,
        connection: SendRequest<Full<Bytes>>,
        response: Response<Incoming>,
    ) -> Result<HttpReply, TransportError> {
        let (head, mut body) = response.into_parts();
        let mut read = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| TransportError::Disconnected)?;
            let Some(data) = frame.data_ref() else { continue };
            if read.len() + data.len() > REPLY_LEN_MAX {
                return Err(TransportError::TooLong);
            }
            read.extend_from_slice(data);
        }
        self.keep(connection);
        Ok(HttpReply { status: head.status.as_u16(), headers: head.headers, body: read.freeze() })
    }

    fn build_request(&self, request: &HttpRequest) -> Result<Request<Full<Bytes>>, TransportError> {
        let target: Uri = request.target.parse().map_err(|_| TransportError::Unwritable)?;
        let host = HeaderValue::from_str(&self.origin.authority()).map_err(|_| TransportError::Unwritable)?;
        let mut built = Request::new(Full::new(request.body.clone()));
        *built.method_mut() = request.method.clone();
        *built.uri_mut() = target;
        *built.headers_mut() = request.headers.clone();
        built.headers_mut().insert(header::HOST, host);
        Ok(built)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, TransportError> {
        let host = self.origin.host.trim_matches(['[', ']']);
        let stream =
            TcpStream::connect((host, self.origin.port)).await.map_err(TransportError::NotConnected)?;
        let _ = stream.set_nodelay(true);
        if !self.origin.is_tls {
            return start_connection(TokioIo::new(stream)).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TransportError::Unwritable)?;
        let secured = self.tls.connect(name, stream).await.map_err(TransportError::NotSecured)?;
        start_connection(TokioIo::new(secured)).await
    }

    fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        // The last one that was used is the last one that the server closes.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, connection: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.is_closed());
        if idle.len() < IDLE_MAX && !connection.is_closed() {
            idle.push(connection);
        }
    }
}

async fn start_connection(
    io: impl Read + Write + Unpin + Send + 'static,
) -> Result<SendRequest<Full<Bytes>>, TransportError> {
    let (sender, connection) = http1::handshake(io).await.map_err(|_| TransportError::Disconnected)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to Stripe ended");
        }
    });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_leaves_this_machine_only_over_tls() {
        for text in [
            "https://api.stripe.com",
            "https://api.stripe.com/",
            "http://127.0.0.1:4242",
            "http://localhost:1",
        ] {
            assert!(text.parse::<ApiOrigin>().is_ok(), "{text}");
        }
        for text in [
            "http://api.stripe.com",
            "ftp://localhost",
            "https://u:p@api.stripe.com",
            "https://a.example/v1",
            "api.stripe.com",
        ] {
            assert_eq!(text.parse::<ApiOrigin>(), Err(ApiOriginError), "{text}");
        }
    }

    #[test]
    fn a_usual_port_is_not_in_the_host() {
        let authority = |text: &str| text.parse::<ApiOrigin>().unwrap().authority();
        assert_eq!(authority("https://api.stripe.com"), "api.stripe.com");
        assert_eq!(authority("http://127.0.0.1:4242"), "127.0.0.1:4242");
    }
}
