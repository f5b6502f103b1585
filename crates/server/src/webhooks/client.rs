//! The HTTP client of webhooks. Each call resolves the name anew, checks every address that it leads to, and uses a connection to one of
//! those: a new one, or an idle one whose address is still among them. It follows no redirect, uses no proxy, and reads no more of a reply
//! than it keeps.

use super::address::{AddressPolicy, ForbiddenAddress, WebhookUrl};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How long a call may take, from the resolution of the name to the reply.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a failed reply that are kept.
pub const EXCERPT_LEN_MAX: usize = 4 << 10;

/// How long one of several addresses gets to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A successful reply is read up to here, so that its connection can be used again; with more it is closed.
const DRAIN_LEN_MAX: usize = 64 << 10;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// Idle connections to one host.
const IDLE_MAX: usize = 16;
/// Sweeps that an idle connection survives.
const IDLE_SWEEPS: u8 = 2;

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/cloudevents+json; charset=utf-8");
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("Doorbuster/", env!("CARGO_PKG_VERSION")));

/// Resolves names to addresses.
pub trait NameResolver: Send + Sync {
    /// The addresses of a name; an empty list when it has none.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the operating system.
#[derive(Clone, Copy, Debug)]
pub struct SystemResolver;

impl NameResolver for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(
            async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|found| found.ip()).collect()) },
        )
    }
}

/// A resolver that settings can hold.
#[derive(Clone)]
pub struct SharedResolver(pub Arc<dyn NameResolver>);

impl Default for SharedResolver {
    fn default() -> Self {
        Self(Arc::new(SystemResolver))
    }
}

impl std::fmt::Debug for SharedResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedResolver")
    }
}

/// A message that is signed.
#[derive(Clone, Debug)]
pub struct SignedMessage {
    pub id: String,
    pub timestamp_s: i64,
    /// The signatures, with spaces between.
    pub signature: String,
    pub body: Bytes,
}

/// What a receiver replied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverReply {
    pub status: u16,
    pub retry_after: Option<String>,
    /// The beginning of the body, when the status is no success.
    pub excerpt: String,
}

/// Why there is no reply. The texts are shown to the merchant.
#[derive(Debug, thiserror::Error)]
pub enum SendFailure {
    #[error("{0} is an internal address and may not be called")]
    Forbidden(IpAddr),
    #[error("http:// is not allowed here any more; give the endpoint an address with https://")]
    NotHttps,
    #[error("the name cannot be resolved")]
    Unresolved,
    #[error("no connection: {0}")]
    NotConnected(io::Error),
    #[error("no TLS connection: {0}")]
    NotSecured(io::Error),
    #[error("the connection ended before there was a reply")]
    Disconnected,
    #[error("no reply within 15 seconds")]
    Timeout,
}

/// Calls endpoints.
pub struct WebhookClient {
    policy: AddressPolicy,
    resolver: Arc<dyn NameResolver>,
    tls: TlsConnector,
    call_timeout: Duration,
    idle: Mutex<HashMap<HostKey, Vec<IdleConnection>>>,
}

/// Connections to the same host are alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct HostKey {
    authority: String,
    is_tls: bool,
}

struct IdleConnection {
    connection: HostConnection,
    sweeps: u8,
}

struct HostConnection {
    sender: SendRequest<Full<Bytes>>,
    /// Where it leads.
    address: IpAddr,
}

/// The settings of TLS: the authorities that this machine trusts.
#[must_use]
pub fn load_tls_config() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    tls_config(roots)
}

/// The settings of TLS with these authorities.
///
/// # Panics
/// Never: the provider knows the versions of TLS that are asked for.
#[must_use]
pub fn tls_config(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

impl WebhookClient {
    #[must_use]
    pub fn new(policy: AddressPolicy, resolver: Arc<dyn NameResolver>, tls: ClientConfig) -> Self {
        let tls = TlsConnector::from(Arc::new(tls));
        Self { policy, resolver, tls, call_timeout: CALL_TIMEOUT, idle: Mutex::default() }
    }

    /// Another limit than [`CALL_TIMEOUT`], for tests.
    #[must_use]
    pub fn with_call_timeout(self, call_timeout: Duration) -> Self {
        Self { call_timeout, ..self }
    }

    #[must_use]
    pub fn policy(&self) -> &AddressPolicy {
        &self.policy
    }

    /// Checks where the name of an endpoint leads now. A name that cannot be resolved is accepted: it leads nowhere, and each call checks it
    /// again.
    ///
    /// # Errors
    /// When one of its addresses may not be called.
    pub async fn check_name(&self, url: &WebhookUrl) -> Result<(), ForbiddenAddress> {
        let Ok(Ok(addresses)) = tokio::time::timeout(CONNECT_TIMEOUT, self.find_addresses(url)).await else {
            return Ok(());
        };
        addresses.into_iter().try_for_each(|address| self.policy.check_address(address))
    }

    /// Sends a message and waits for the reply.
    ///
    /// # Errors
    /// When there is no reply. The receiver may have got the message nevertheless.
    pub async fn send(
        &self,
        url: &WebhookUrl,
        message: &SignedMessage,
    ) -> Result<ReceiverReply, SendFailure> {
        let mut deadline = pin!(tokio::time::sleep(self.call_timeout));
        let (connection, response) = tokio::select! {
            exchanged = self.exchange(url, message) => exchanged?,
            () = &mut deadline => return Err(SendFailure::Timeout),
        };
        let (head, mut body) = response.into_parts();
        let is_success = head.status.is_success();
        let len_max = if is_success { DRAIN_LEN_MAX } else { EXCERPT_LEN_MAX };
        let mut read = Vec::new();
        let is_whole = tokio::select! {
            is_whole = read_body(&mut body, len_max, &mut read) => is_whole,
            () = tokio::time::sleep(DRAIN_TIMEOUT), if is_success => false,
            () = &mut deadline => false,
        };
        if is_whole {
            self.keep_connection(url, connection);
        }
        read.truncate(EXCERPT_LEN_MAX);
        // PostgreSQL stores no U+0000.
        let excerpt = String::from_utf8_lossy(&read).replace('\0', "\u{fffd}");
        let retry_after = head.headers.get(header::RETRY_AFTER);
        Ok(ReceiverReply {
            status: head.status.as_u16(),
            retry_after: retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned),
            excerpt: if is_success { String::new() } else { excerpt },
        })
    }

    /// Closes connections that have not been used for a while. Called now and then.
    pub fn sweep_idle(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|_, connections| {
            connections.retain_mut(|connection| {
                connection.sweeps += 1;
                connection.sweeps <= IDLE_SWEEPS && !connection.connection.sender.is_closed()
            });
            !connections.is_empty()
        });
    }

    async fn exchange(
        &self,
        url: &WebhookUrl,
        message: &SignedMessage,
    ) -> Result<(HostConnection, Response<Incoming>), SendFailure> {
        if !url.is_tls() && !self.policy.allow_http {
            return Err(SendFailure::NotHttps);
        }
        let addresses = self.find_addresses(url).await?;
        for address in &addresses {
            self.policy.check_address(*address).map_err(|refused| SendFailure::Forbidden(refused.0))?;
        }
        while let Some(mut connection) = self.take_idle(url, &addresses) {
            // One that was closed meanwhile, perhaps with this request in it, is replaced: a repeat is better than a wait.
            if connection.sender.ready().await.is_ok()
                && let Ok(response) = connection.sender.send_request(build_request(url, message)?).await
            {
                return Ok((connection, response));
            }
        }
        let mut connection = self.connect(url, &addresses).await?;
        let request = build_request(url, message)?;
        let response =
            connection.sender.send_request(request).await.map_err(|_| SendFailure::Disconnected)?;
        Ok((connection, response))
    }

    async fn find_addresses(&self, url: &WebhookUrl) -> Result<Vec<IpAddr>, SendFailure> {
        if let Some(address) = url.address() {
            return Ok(vec![address]);
        }
        let name = url.name().unwrap_or_default();
        match self.resolver.resolve(name).await {
            Ok(addresses) if !addresses.is_empty() => Ok(addresses),
            _ => Err(SendFailure::Unresolved),
        }
    }

    /// Connects to the first address that accepts. All of them were checked.
    async fn connect(&self, url: &WebhookUrl, addresses: &[IpAddr]) -> Result<HostConnection, SendFailure> {
        let mut failure = SendFailure::Unresolved;
        for address in addresses {
            let connecting = TcpStream::connect(SocketAddr::new(*address, url.port()));
            let stream = match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    failure = SendFailure::NotConnected(error);
                    continue;
                }
                Err(_) => {
                    failure = SendFailure::NotConnected(io::ErrorKind::TimedOut.into());
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            let sender = if url.is_tls() {
                let name = server_name(url)?;
                let secured = self.tls.connect(name, stream).await.map_err(SendFailure::NotSecured)?;
                start_connection(TokioIo::new(secured)).await
            } else {
                start_connection(TokioIo::new(stream)).await
            };
            return Ok(HostConnection { sender: sender?, address: *address });
        }
        Err(failure)
    }

    /// An idle connection to one of these addresses.
    fn take_idle(&self, url: &WebhookUrl, addresses: &[IpAddr]) -> Option<HostConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.get_mut(&HostKey::of(url))?;
        // The last one that was used is the last one that its host closes.
        let at = connections.iter().rposition(|idle| addresses.contains(&idle.connection.address))?;
        Some(connections.remove(at).connection)
    }

    fn keep_connection(&self, url: &WebhookUrl, connection: HostConnection) {
        if connection.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.entry(HostKey::of(url)).or_default();
        if connections.len() < IDLE_MAX {
            connections.push(IdleConnection { connection, sweeps: 0 });
        }
    }
}

impl HostKey {
    fn of(url: &WebhookUrl) -> Self {
        Self { authority: url.authority(), is_tls: url.is_tls() }
    }
}

fn server_name(url: &WebhookUrl) -> Result<ServerName<'static>, SendFailure> {
    match url.address() {
        Some(address) => Ok(ServerName::from(address)),
        None => {
            let name = url.name().unwrap_or_default().trim_end_matches('.').to_owned();
            ServerName::try_from(name).map_err(|_| SendFailure::Unresolved)
        }
    }
}

async fn start_connection(
    io: impl Read + Write + Unpin + Send + 'static,
) -> Result<SendRequest<Full<Bytes>>, SendFailure> {
    let (sender, connection) = http1::handshake(io).await.map_err(|_| SendFailure::Disconnected)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a receiver ended");
        }
    });
    Ok(sender)
}

fn build_request(url: &WebhookUrl, message: &SignedMessage) -> Result<Request<Full<Bytes>>, SendFailure> {
    let mut headers = HeaderMap::new();
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| SendFailure::Unresolved);
    headers.insert(header::HOST, value(&url.authority())?);
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    headers.insert(header::USER_AGENT, USER_AGENT);
    headers.insert("webhook-id", value(&message.id)?);
    headers.insert("webhook-timestamp", HeaderValue::from(message.timestamp_s));
    headers.insert("webhook-signature", value(&message.signature)?);
    let mut request = Request::new(Full::new(message.body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = url.path().parse().map_err(|_| SendFailure::Unresolved)?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// Reads a body into `read`, up to a length. True when that was all of it.
async fn read_body(body: &mut Incoming, len_max: usize, read: &mut Vec<u8>) -> bool {
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        let Some(data) = frame.data_ref() else { continue };
        let rest = len_max.saturating_sub(read.len());
        read.extend_from_slice(&data[..data.len().min(rest)]);
        if data.len() > rest {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests;
