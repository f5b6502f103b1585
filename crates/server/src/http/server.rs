//! Connections: accepts them, bounds how many there are and how long each may dawdle, and lets those in flight finish when the
//! process is told to stop. It never looks into a request.

use super::edge::Edge;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// What the server goes by.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Connections at a time; further ones wait in the system's backlog.
    pub connections_max: u32,
    /// How long the head of a request may take from its first byte to its last.
    pub head_limit: Duration,
    /// How long a connection may wait for its next request.
    pub idle_limit: Duration,
    /// How long requests in flight may take after the process was told to stop.
    pub drain_limit: Duration,
}

/// Connections that the system keeps for us until we accept them: a drop begins with all of them at once.
const BACKLOG: u32 = 4096;

/// Bytes of a request's head, and of the buffer it is read into.
const HEAD_LEN_MAX: usize = 16 << 10;

/// Headers of a request.
const HEADERS_MAX: usize = 64;

/// How long accepting rests after the system refused it (usually: no file descriptor left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Opens a socket to accept on.
///
/// # Errors
/// When the address is taken or not ours.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop` turns true, then lets what is in flight finish. Returns the connections that had to be cut.
pub async fn serve(
    listener: TcpListener,
    edge: Arc<Edge>,
    settings: Settings,
    mut stop: watch::Receiver<bool>,
) -> usize {
    let slots = Arc::new(Semaphore::new(settings.connections_max as usize));
    let start = Instant::now();
    loop {
        let accept = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            accepted = accept => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let activity = Arc::new(Activity::new(start));
                let connection = Connection { edge: Arc::clone(&edge), activity, peer, settings };
                let stop = stop.clone();
                tokio::spawn(async move {
                    let _slot = slot;
                    connection.serve(stream, stop).await;
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all = slots.acquire_many(settings.connections_max);
    match tokio::time::timeout(settings.drain_limit, all).await {
        Ok(_) => 0,
        Err(_) => settings.connections_max as usize - slots.available_permits(),
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

struct Connection {
    edge: Arc<Edge>,
    activity: Arc<Activity>,
    peer: SocketAddr,
    settings: Settings,
}

impl Connection {
    async fn serve(self, stream: TcpStream, mut stop: watch::Receiver<bool>) {
        let Self { edge, activity, peer, settings } = self;
        let _open = Open::new(&edge);
        // Best effort: without it a reply may wait 40 ms for the next packet.
        let _ = stream.set_nodelay(true);
        let io = TokioIo::new(Watched { stream, activity: Arc::clone(&activity) });
        let service = service_fn(|request| answer(&edge, &activity, request, peer));
        let mut connection = pin!(builder().serve_connection(io, service));
        let mut alarm = pin!(tokio::time::sleep(settings.head_limit));
        let mut stopping = false;
        loop {
            tokio::select! {
                biased;
                // Why a connection broke is its client's business.
                _ = connection.as_mut() => return,
                () = alarm.as_mut() => match activity.deadline(&settings) {
                    Some(deadline) => alarm.as_mut().reset(deadline),
                    None => return,
                },
                _ = stop.wait_for(|stop| *stop), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // Our own alarm does this: hyper's would set up and tear down a timer for every request.
        .header_read_timeout(None)
        // A client that hangs up does not cancel what it asked for halfway; and we need not look for that at each request.
        .half_close(true)
        .pipeline_flush(true)
        .max_header_size(HEAD_LEN_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(4 * HEAD_LEN_MAX);
    builder
}

async fn answer(
    edge: &Edge,
    activity: &Activity,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Result<Response<Body>, Infallible> {
    activity.set(Phase::Answering);
    let response = edge.handle(request, peer.ip()).await;
    activity.set(Phase::Idle);
    Ok(response)
}

/// What a connection is doing and since when, in one word: two bits of phase, the rest milliseconds since `start`.
struct Activity {
    start: Instant,
    word: AtomicU64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waits for a request's first byte, or writes the reply before.
    Idle = 0,
    /// Has some of a request's head.
    Head = 1,
    /// Is being answered; the edge watches the time.
    Answering = 2,
}

impl Activity {
    fn new(start: Instant) -> Self {
        let activity = Self { start, word: AtomicU64::new(0) };
        // A connection that never says anything gets no more time than a slow head.
        activity.set(Phase::Head);
        activity
    }

    fn set(&self, phase: Phase) {
        let now_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX >> 2);
        self.word.store(now_ms << 2 | phase as u64, Ordering::Relaxed);
    }

    /// Bytes came.
    fn read(&self) {
        if self.word.load(Ordering::Relaxed) & 3 == Phase::Idle as u64 {
            self.set(Phase::Head);
        }
    }

    /// When to look again; `None` when the client has used up its time.
    fn deadline(&self, settings: &Settings) -> Option<Instant> {
        let word = self.word.load(Ordering::Relaxed);
        let since = self.start + Duration::from_millis(word >> 2);
        let now = Instant::now();
        let deadline = match word & 3 {
            0 => since + settings.idle_limit,
            1 => since + settings.head_limit,
            _ => return Some(now + settings.head_limit),
        };
        (deadline > now).then(|| deadline.min(now + settings.head_limit))
    }
}

/// The stream, telling when bytes come.
struct Watched {
    stream: TcpStream,
    activity: Arc<Activity>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.read();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Counts a connection for as long as it is open.
struct Open<'a>(&'a Edge);

impl<'a> Open<'a> {
    fn new(edge: &'a Edge) -> Self {
        edge.connections().inc();
        Self(edge)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections().dec();
    }
}
