//! Connections to an instance: plain or TLS, each driven by a task of its own.

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderValue;
use hyper::http::{self, request};
use hyper::rt::{Read, Write};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection, plain or TLS.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for S {}

/// Where an instance is.
#[derive(Clone)]
pub struct Target {
    host: String,
    port: u16,
    /// The prefix of each path: an instance may be served below a path.
    prefix: String,
    authority: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    url: String,
}

/// Why an address is none of an instance.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It is no address.
    #[error("write an address such as http://127.0.0.1:8080 or https://staging.example.com")]
    Url,
    /// It needs what this program cannot do.
    #[error("only http:// and https:// are spoken here")]
    Scheme,
    /// This machine knows no authority whose certificates it trusts.
    #[error("this machine has no certificates of authorities (on Debian: apt-get install ca-certificates)")]
    NoAuthorities,
}

impl Target {
    /// The instance at this address.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn new(url: &str) -> Result<Self, TargetError> {
        let uri: Uri = url.parse().map_err(|_| TargetError::Url)?;
        let host = uri.host().ok_or(TargetError::Url)?.to_owned();
        if uri.query().is_some() || uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err(TargetError::Url);
        }
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) => return Err(TargetError::Scheme),
            None => return Err(TargetError::Url),
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let authority = uri.authority().ok_or(TargetError::Url)?.as_str();
        let authority = HeaderValue::from_str(authority).map_err(|_| TargetError::Url)?;
        let tls = secure.then(|| tls_connector(&host)).transpose()?;
        let prefix = uri.path().trim_end_matches('/').to_owned();
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Self { host, port, prefix, authority, tls, url: url.trim_end_matches('/').to_owned() })
    }

    /// The address, as it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The beginning of a request for a path of the instance.
    pub fn request(&self, method: http::Method, path: &str) -> request::Builder {
        let path = if self.prefix.is_empty() { path.to_owned() } else { format!("{}{path}", self.prefix) };
        Request::builder().method(method).uri(path).header(hyper::header::HOST, self.authority.clone())
    }

    pub(super) async fn connect(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        tokio::time::timeout(CONNECT_TIMEOUT, self.handshake())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn handshake(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let stream = self.open_tcp().await?;
        match &self.tls {
            None => spawn_connection(TokioIo::new(stream)).await,
            Some((connector, name)) => {
                spawn_connection(TokioIo::new(connector.connect(name.clone(), stream).await?)).await
            }
        }
    }

    /// A connection of its own, for a socket.
    pub(super) async fn open_stream(&self) -> io::Result<Box<dyn ByteStream>> {
        let stream = self.open_tcp().await?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some((connector, name)) => Ok(Box::new(connector.connect(name.clone(), stream).await?)),
        }
    }

    /// The head of a request that asks for a WebSocket, from this address.
    pub(super) fn upgrade_head(&self, path: &str, address: &str) -> String {
        // The key only shows that the other side speaks the protocol.
        format!(
            "GET {}{path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Forwarded-For: {address}\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.prefix,
            self.authority.to_str().unwrap_or_default()
        )
    }

    async fn open_tcp(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

async fn spawn_connection(
    io: impl Read + Write + Unpin + Send + 'static,
) -> io::Result<SendRequest<Full<Bytes>>> {
    let (sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended");
        }
    });
    Ok(sender)
}

fn tls_connector(host: &str) -> Result<(TlsConnector, ServerName<'static>), TargetError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(TargetError::NoAuthorities);
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name =
        ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|_| TargetError::Url)?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_origin_with_or_without_a_folder() {
        let target = Target::new("http://127.0.0.1:8080/shop/").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            (target.port, target.prefix.as_str(), target.url()),
            (8080, "/shop", "http://127.0.0.1:8080/shop")
        );
        let request = target.request(http::Method::GET, "/livez").body(()).expect("a request");
        assert_eq!(request.uri().path(), "/shop/livez");
        assert_eq!(request.headers()["host"], "127.0.0.1:8080");
    }

    #[test]
    fn an_invalid_address_is_refused() {
        for wrong in
            ["", "localhost", "localhost:8080", "http://", "http://u:p@host/", "http://host/?q", "::"]
        {
            assert!(matches!(Target::new(wrong), Err(TargetError::Url | TargetError::Scheme)), "{wrong}");
        }
        assert!(matches!(Target::new("ftp://host"), Err(TargetError::Scheme)));
    }
}
