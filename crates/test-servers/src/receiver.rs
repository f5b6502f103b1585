//! A receiver of webhooks on a port of this machine: it keeps every request, and replies, stalls or hangs up as the test wants. It speaks
//! plain HTTP/1.1 and verifies no signature.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// Bytes of a request's head or body at most.
const PART_LEN_MAX: usize = 1 << 20;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    /// Counts connections from 0, so that a test sees which one was used again.
    pub connection: usize,
    pub path: String,
    /// By name in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

/// What the receiver does with a request.
#[derive(Clone, Debug)]
pub enum ReceiverAction {
    Reply {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Replies with this status after a while.
    Delay(Duration, u16),
    /// Never replies, and keeps the connection open.
    Stall,
    /// Closes the connection without a reply.
    HangUp,
}

impl ReceiverAction {
    /// A reply without a body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Reply { status, headers: Vec::new(), body: String::new() }
    }
}

type Behaviour = dyn Fn(&ReceivedRequest, usize) -> ReceiverAction + Send + Sync;

struct ReceiverState {
    behaviour: Mutex<Arc<Behaviour>>,
    requests: Mutex<Vec<ReceivedRequest>>,
    connections: Mutex<usize>,
}

/// A running receiver. Its connections are closed when it is dropped.
pub struct WebhookReceiver {
    address: SocketAddr,
    state: Arc<ReceiverState>,
    runtime: Option<Runtime>,
}

impl WebhookReceiver {
    /// Starts a receiver. `behaviour` gets each request with the number of requests before it.
    #[must_use]
    pub fn start(
        behaviour: impl Fn(&ReceivedRequest, usize) -> ReceiverAction + Send + Sync + 'static,
    ) -> Self {
        let state = Arc::new(ReceiverState {
            behaviour: Mutex::new(Arc::new(behaviour)),
            requests: Mutex::default(),
            connections: Mutex::default(),
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let accepting = Arc::clone(&state);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut connections = lock(&accepting.connections);
                    *connections += 1;
                    *connections - 1
                };
                tokio::spawn(serve(stream, number, Arc::clone(&accepting)));
            }
        });
        Self { address, state, runtime: Some(runtime) }
    }

    /// A receiver that always replies with this status.
    #[must_use]
    pub fn with_status(status: u16) -> Self {
        Self::start(move |_, _| ReceiverAction::status(status))
    }

    /// Replaces what it does with requests from now on.
    pub fn behave(
        &self,
        behaviour: impl Fn(&ReceivedRequest, usize) -> ReceiverAction + Send + Sync + 'static,
    ) {
        *lock(&self.state.behaviour) = Arc::new(behaviour);
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a path on it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        lock(&self.state.requests).clone()
    }

    #[must_use]
    pub fn count_requests(&self) -> usize {
        lock(&self.state.requests).len()
    }

    /// How many connections were opened to it.
    #[must_use]
    pub fn count_connections(&self) -> usize {
        *lock(&self.state.connections)
    }
}

impl Drop for WebhookReceiver {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(stream: TcpStream, connection: usize, state: Arc<ReceiverState>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream, connection).await {
        let behaviour = Arc::clone(&lock(&state.behaviour));
        let action = {
            let mut requests = lock(&state.requests);
            let action = behaviour(&request, requests.len());
            requests.push(request);
            action
        };
        let (status, headers, body) = match action {
            ReceiverAction::Reply { status, headers, body } => (status, headers, body),
            ReceiverAction::Delay(delay, status) => {
                tokio::time::sleep(delay).await;
                (status, Vec::new(), String::new())
            }
            ReceiverAction::Stall => std::future::pending().await,
            ReceiverAction::HangUp => return,
        };
        let mut reply = format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            reply.push_str(&format!("{name}: {value}\r\n"));
        }
        reply.push_str("\r\n");
        reply.push_str(&body);
        if stream.get_mut().write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The next request of a connection; `None` when it ends.
async fn read_request(stream: &mut BufReader<TcpStream>, connection: usize) -> Option<ReceivedRequest> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
        assert!(head.len() <= PART_LEN_MAX, "the head of a request is too long");
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let len = headers.get("content-length").map_or(0, |len| len.parse().unwrap());
    assert!(len <= PART_LEN_MAX, "the body of a request is too long");
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await.ok()?;
    Some(ReceivedRequest { connection, path, headers, body })
}
