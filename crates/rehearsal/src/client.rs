//! HTTP/1.1 to one instance over a bounded number of connections that buyers share, as they do behind a load balancer.
//! It never repeats a request that may have reached the instance: the buyer decides about retries.

mod connect;

mod live_socket;

pub use connect::{Target, TargetError};
pub use live_socket::LiveSocket;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// A request without a reply after this is given up.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a reply at most; the largest is a page of the ledger.
const REPLY_LEN_MAX: usize = 4 << 20;

/// The HTTP client of one instance.
pub struct InstanceClient {
    target: Target,
    /// Open connections that no request uses.
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    permits: Semaphore,
}

/// The right to use a connection, until it is dropped.
pub struct ConnectionPermit<'a>(#[expect(dead_code, reason = "held, not read")] Option<SemaphorePermit<'a>>);

#[derive(Debug)]
pub struct InstanceReply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There is no connection: nothing was sent.
    #[error("no connection")]
    Connect(#[source] std::io::Error),
    /// The connection broke, before or after the instance read the request.
    #[error("the connection was cut")]
    Disconnected(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("no reply in time")]
    Timeout,
}

impl InstanceClient {
    /// A client with so many connections at most.
    #[must_use]
    pub fn new(target: Target, connections: usize) -> Self {
        Self { target, idle: Mutex::default(), permits: Semaphore::new(connections) }
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Waits for the right to use a connection. The caller should hold little memory: in a spike most buyers wait here.
    pub async fn acquire_connection(&self) -> ConnectionPermit<'_> {
        ConnectionPermit(self.permits.acquire().await.ok())
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Errors
    /// When no reply came. Unless it is [`RequestError::Connect`], the instance may have carried out the request.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        _turn: ConnectionPermit<'_>,
    ) -> Result<InstanceReply, RequestError> {
        match tokio::time::timeout(REPLY_TIMEOUT, self.exchange(request)).await {
            Ok(reply) => reply,
            Err(_) => Err(RequestError::Timeout),
        }
    }

    async fn exchange(&self, mut request: Request<Full<Bytes>>) -> Result<InstanceReply, RequestError> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let used = idle.is_some();
            let mut connection = match idle {
                Some(connection) => connection,
                None => self.target.connect().await.map_err(RequestError::Connect)?,
            };
            if connection.ready().await.is_err() {
                // The connection was closed while idle: nothing was sent.
                continue;
            }
            let response = match connection.try_send_request(request).await {
                Ok(response) => response,
                Err(mut error) => match error.take_message() {
                    // It was closed in the same moment: this was not sent either.
                    Some(unsent) if used => {
                        request = unsent;
                        continue;
                    }
                    _ => return Err(RequestError::Disconnected(Box::new(error.into_error()))),
                },
            };
            let (head, body) = response.into_parts();
            let body =
                Limited::new(body, REPLY_LEN_MAX).collect().await.map_err(RequestError::Disconnected)?;
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            return Ok(InstanceReply { status: head.status, headers: head.headers, body: body.to_bytes() });
        }
    }
}
