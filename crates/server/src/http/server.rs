//! Connections: accepts them, bounds how many there are and how long each may dawdle, and lets those in flight finish when the
//! process is told to stop. It never looks into a request.

use super::edge::HttpEdge;
use axum::body::Body;
use axum::http::{Request, Response};
use futures::task::AtomicWaker;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::MissedTickBehavior;

/// What the server goes by.
#[derive(Debug, Clone, Copy)]
pub struct ServerSettings {
    /// Connections at a time; further ones wait in the system's backlog.
    pub connections_max: u32,
    /// How long the head of a request may take from its first byte to its last.
    pub head_limit: Duration,
    /// How long a connection may wait for its next request.
    pub idle_limit: Duration,
    /// How long a request may take to be answered.
    pub answer_limit: Duration,
    /// How long the peer of a connection that a socket has taken over may be behind with reading.
    pub behind_limit: Duration,
    /// How long requests in flight may take after the process was told to stop.
    pub drain_limit: Duration,
}

/// Connections that the system keeps for us until we accept them: a drop begins with all of them at once.
const BACKLOG: u32 = 4096;

/// Bytes of a request's head, and of the buffer it is read into.
const HEAD_LEN_MAX: usize = 16 << 10;

/// Headers of a request.
const HEADERS_MAX: usize = 64;

/// How often the minder looks: an eighth of the shortest limit, within these bounds.
const SWEEP_PERIOD_MIN: Duration = Duration::from_millis(5);
const SWEEP_PERIOD_MAX: Duration = Duration::from_millis(250);

/// Milliseconds in which a peer must take something of what is sent to it: more than any phone needs to come out of a tunnel.
#[cfg(target_os = "linux")]
const TCP_USER_TIMEOUT_MS: u32 = 30_000;

/// How long accepting rests after the system refused it (usually: no file descriptor left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Takes an address. Whoever connects to it before [`listen`] is refused at once, and asks another instance.
///
/// # Errors
/// When the address is taken or not ours.
pub fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Opens a socket to accept on. The system now lets clients connect, and they wait until somebody [`serve`]s.
///
/// # Errors
/// When another process that had bound the address has listened first.
pub fn listen(socket: TcpSocket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)
}

/// Serves until `stop` turns true, then lets what is in flight finish. Returns the connections that had to be cut.
pub async fn serve(
    listener: TcpListener,
    edge: Arc<HttpEdge>,
    settings: ServerSettings,
    mut stop: watch::Receiver<bool>,
) -> usize {
    let slots = Arc::new(Semaphore::new(settings.connections_max as usize));
    let minder = Arc::new(DeadlineSweeper::new(settings));
    let minding = tokio::spawn(Arc::clone(&minder).run());
    loop {
        let accept = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            accepted = accept => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        // Nobody closes the semaphore.
        let Ok(slot) = slot else { break };
        match accepted {
            Ok((stream, peer)) => {
                let control = minder.track_connection();
                let edge = Arc::clone(&edge);
                tokio::spawn(async move {
                    serve_connection(stream, peer, slot, &edge, &control).await;
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
    minder.finish_connections();
    let all = slots.acquire_many(settings.connections_max);
    let cut = match tokio::time::timeout(settings.drain_limit, all).await {
        Ok(_) => 0,
        Err(_) => settings.connections_max as usize - slots.available_permits(),
    };
    minding.abort();
    cut
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection until either side ends it, or the minder does.
async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    slot: ConnectionSlot,
    edge: &Arc<HttpEdge>,
    control: &Arc<ConnectionHandle>,
) {
    // Best effort: without it a reply may wait 40 ms for the next packet.
    let _ = stream.set_nodelay(true);
    set_tcp_user_timeout(&stream);
    let open = OpenConnection::new(Arc::clone(edge));
    let io = TokioIo::new(TrackedStream { stream, handle: Arc::clone(control), _slot: slot, _open: open });
    let service = service_fn(|request| answer_request(edge, control, request, peer));
    let mut connection = pin!(http1_builder().serve_connection(io, service).with_upgrades());
    let mut finishing = false;
    poll_fn(|cx| {
        // Registered before the look, so that no order is missed between the two.
        control.waker.register(cx.waker());
        match control.command() {
            ConnectionCommand::Continue => {}
            ConnectionCommand::Finish if finishing => {}
            ConnectionCommand::Finish => {
                finishing = true;
                connection.as_mut().graceful_shutdown();
            }
            ConnectionCommand::Close => return Poll::Ready(()),
        }
        // Why a connection broke is its client's business.
        connection.as_mut().poll(cx).map(|_broken| ())
    })
    .await;
    // Where it still lives, a socket has taken it over.
    control.set_phase(ConnectionPhase::Socket);
}

/// A peer that takes nothing for so long, while something is on its way to it, is gone, or wants our memory. The system looks
/// after that, also for connections that have become sockets.
#[cfg(target_os = "linux")]
fn set_tcp_user_timeout(stream: &TcpStream) {
    // Best effort: without it the system's own patience holds, which is some minutes.
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, TCP_USER_TIMEOUT_MS);
}

#[cfg(not(target_os = "linux"))]
fn give_up_on_deaf_peers(_stream: &TcpStream) {}

fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // The minder does this: hyper would set up and tear down a timer for every request.
        .header_read_timeout(None)
        // A client that hangs up does not cancel what it asked for halfway; and we need not look for that at each request.
        .half_close(true)
        .max_header_size(HEAD_LEN_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(4 * HEAD_LEN_MAX);
    builder
}

async fn answer_request(
    edge: &HttpEdge,
    control: &ConnectionHandle,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Result<Response<Body>, Infallible> {
    control.set_phase(ConnectionPhase::Answering);
    let response = edge.handle(request, peer.ip(), &|| control.is_late()).await;
    control.set_phase(ConnectionPhase::Idle);
    Ok(response)
}

/// Looks after all connections at once, a few times a second: ends those that dawdle, and tells all of them when the process
/// stops. A timer for each connection would cost more than all the rest of a connection's upkeep.
struct DeadlineSweeper {
    period: Duration,
    deadlines: Arc<PhaseDeadlines>,
    connections: Mutex<Vec<Weak<ConnectionHandle>>>,
}

impl DeadlineSweeper {
    fn new(settings: ServerSettings) -> Self {
        let ServerSettings { head_limit, idle_limit, answer_limit, behind_limit, .. } = settings;
        let shortest = head_limit.min(idle_limit).min(answer_limit).min(behind_limit);
        let period = (shortest / 8).clamp(SWEEP_PERIOD_MIN, SWEEP_PERIOD_MAX);
        // One more than the limit: the first tick comes at some moment of its period.
        let ticks = |limit: Duration| {
            u64::try_from(limit.as_nanos().div_ceil(period.as_nanos())).unwrap_or(u64::MAX) + 1
        };
        let watch = PhaseDeadlines {
            ticks: AtomicU64::new(0),
            head: ticks(head_limit),
            idle: ticks(idle_limit),
            answer: ticks(answer_limit),
            behind: ticks(behind_limit),
        };
        Self { period, deadlines: Arc::new(watch), connections: Mutex::default() }
    }

    fn track_connection(&self) -> Arc<ConnectionHandle> {
        let control = Arc::new(ConnectionHandle::new(Arc::clone(&self.deadlines)));
        self.lock().push(Arc::downgrade(&control));
        control
    }

    async fn run(self: Arc<Self>) {
        let mut tick = tokio::time::interval(self.period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tick.tick().await;
            self.deadlines.ticks.fetch_add(1, Ordering::Relaxed);
            self.lock().retain(|connection| {
                let Some(control) = connection.upgrade() else { return false };
                if control.is_late() {
                    control.enforce_deadline();
                }
                true
            });
        }
    }

    fn finish_connections(&self) {
        for connection in self.lock().iter().filter_map(Weak::upgrade) {
            connection.send_command(ConnectionCommand::Finish);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<ConnectionHandle>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The minder's clock, and how many of its ticks each phase may last.
struct PhaseDeadlines {
    ticks: AtomicU64,
    head: u64,
    idle: u64,
    answer: u64,
    behind: u64,
}

/// What the minder and a connection tell each other.
struct ConnectionHandle {
    deadlines: Arc<PhaseDeadlines>,
    /// What the connection is doing and since when: three bits of [`Phase`], the rest the minder's tick.
    activity: AtomicU64,
    command: AtomicU8,
    waker: AtomicWaker,
}

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ConnectionPhase {
    /// Waits for a request's first byte, or writes the reply before.
    Idle = 0,
    /// Has some of a request's head.
    Head = 1,
    Answering = 2,
    /// Belongs to a socket, whose peer has read what there was, as far as the system knows.
    Socket = 3,
    /// Belongs to a socket whose peer does not take all that is written to it.
    Backpressured = 4,
}

/// What a connection is to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ConnectionCommand {
    Continue = 0,
    /// Answer what it has, then end.
    Finish = 1,
    Close = 2,
}

impl ConnectionHandle {
    fn new(watch: Arc<PhaseDeadlines>) -> Self {
        let control = Self {
            deadlines: watch,
            activity: AtomicU64::new(0),
            command: AtomicU8::new(0),
            waker: AtomicWaker::new(),
        };
        // A connection that never says anything gets no more time than a slow head.
        control.set_phase(ConnectionPhase::Head);
        control
    }

    fn set_phase(&self, phase: ConnectionPhase) {
        let tick = self.deadlines.ticks.load(Ordering::Relaxed);
        self.activity.store(tick << 3 | phase as u64, Ordering::Relaxed);
    }

    fn phase(&self) -> (ConnectionPhase, u64) {
        let activity = self.activity.load(Ordering::Relaxed);
        let phase = match activity & 7 {
            0 => ConnectionPhase::Idle,
            1 => ConnectionPhase::Head,
            2 => ConnectionPhase::Answering,
            3 => ConnectionPhase::Socket,
            _ => ConnectionPhase::Backpressured,
        };
        (phase, activity >> 3)
    }

    /// Whether its phase lasts longer than it may.
    fn is_late(&self) -> bool {
        let (phase, since) = self.phase();
        let limit = match phase {
            ConnectionPhase::Idle => self.deadlines.idle,
            ConnectionPhase::Head => self.deadlines.head,
            ConnectionPhase::Answering => self.deadlines.answer,
            // Its own pings look after it.
            ConnectionPhase::Socket => return false,
            ConnectionPhase::Backpressured => self.deadlines.behind,
        };
        self.deadlines.ticks.load(Ordering::Relaxed).saturating_sub(since) > limit
    }

    /// Ends a connection that dawdles. A request that takes too long is only woken: it sees for itself that it is late, and
    /// says so.
    fn enforce_deadline(&self) {
        match self.phase().0 {
            ConnectionPhase::Idle | ConnectionPhase::Head | ConnectionPhase::Backpressured => {
                self.send_command(ConnectionCommand::Close)
            }
            ConnectionPhase::Answering => self.waker.wake(),
            ConnectionPhase::Socket => {}
        }
    }

    /// Bytes came.
    fn record_read(&self) {
        if self.phase().0 == ConnectionPhase::Idle {
            self.set_phase(ConnectionPhase::Head);
        }
    }

    /// Bytes of a reply went. A long one may take longer than a connection may idle, as long as it moves.
    fn record_write(&self) {
        if self.phase().0 == ConnectionPhase::Idle {
            self.set_phase(ConnectionPhase::Idle);
        }
    }

    /// There was no room for bytes that were to be written.
    fn record_backpressure(&self, cx: &Context<'_>) {
        if self.phase().0 == ConnectionPhase::Socket {
            self.set_phase(ConnectionPhase::Backpressured);
        }
        if self.phase().0 == ConnectionPhase::Backpressured {
            self.waker.register(cx.waker());
        }
    }

    /// All that was to be written was taken.
    fn record_flush(&self) {
        if self.phase().0 == ConnectionPhase::Backpressured {
            self.set_phase(ConnectionPhase::Socket);
        }
    }

    /// Whether it was cut while it belonged to a socket: nobody but the stream itself can tell the socket.
    fn must_close(&self) -> bool {
        self.command() == ConnectionCommand::Close
            && matches!(self.phase().0, ConnectionPhase::Socket | ConnectionPhase::Backpressured)
    }

    fn command(&self) -> ConnectionCommand {
        match self.command.load(Ordering::Acquire) {
            0 => ConnectionCommand::Continue,
            1 => ConnectionCommand::Finish,
            _ => ConnectionCommand::Close,
        }
    }

    fn send_command(&self, order: ConnectionCommand) {
        self.command.fetch_max(order as u8, Ordering::AcqRel);
        self.waker.wake();
    }
}

/// A place among the connections.
type ConnectionSlot = OwnedSemaphorePermit;

/// The stream, telling when bytes come, and when they do not leave. It keeps its place until it is closed, also when a socket has
/// taken it over; and it is cut when the peer of that socket lets so much wait, for so long, that it only costs memory.
struct TrackedStream {
    stream: TcpStream,
    handle: Arc<ConnectionHandle>,
    _slot: ConnectionSlot,
    _open: OpenConnection,
}

impl TrackedStream {
    fn track_write(&self, cx: &Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_pending() {
            // Registered before the look, so that no order is missed between the two.
            self.handle.record_backpressure(cx);
        } else if matches!(written, Poll::Ready(Ok(1..))) {
            self.handle.record_write();
        }
        if self.handle.must_close() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.handle.must_close() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.handle.record_read();
        }
        read
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.track_write(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A WebSocket asks for this when it has written all it had, and a TCP stream has nothing to flush itself.
        self.handle.record_flush();
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
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.track_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Counts a connection for as long as it is open.
struct OpenConnection(Arc<HttpEdge>);

impl OpenConnection {
    fn new(edge: Arc<HttpEdge>) -> Self {
        edge.connections().inc();
        Self(edge)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections().dec();
    }
}
