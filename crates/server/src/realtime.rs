//! Live updates over Socket.IO (protocol 5 on Engine.IO 4). It calls `shop`, as HTTP does, and a follower brings it recorded
//! events; it decides nothing, and no request waits for it.
//!
//! The way of a socket: [`handshake`] (token, limits) → [`requests`] (each one call into `shop`) → [`hub`] (one task that knows
//! every socket and sends all updates, so that they leave in order).

mod documents;
mod handshake;
pub mod hub;
mod limiter;
mod requests;
mod session;
mod throttle;
pub mod turnstile;

pub use documents::{ProblemCatalog, ProblemSummary};
pub use limiter::{ConnectionLimiter, SocketPeer};

use crate::shop::Shop;
use crate::shop::live_updates::{SaleEvents, SubscriberCount};
use crate::telemetry::sockets::SocketMetrics;
use engineioxide::service::NotFoundService;
use futures::future::BoxFuture;
use hub::{HubMessage, SocketHub};
use sale::{BuyerId, Timestamp};
use socketioxide::service::SocketIoService;
use socketioxide::{ParserConfig, SocketIo};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

#[derive(Clone, Copy, Debug)]
pub struct SocketSettings {
    /// Open sockets.
    pub sockets_max: u32,
    /// Open sockets of one buyer: tabs and devices.
    pub buyer_max: u32,
    /// Open sockets from one IPv4 address or /64 of IPv6.
    pub address_max: u32,
    pub ping_interval: Duration,
    /// How long a client may take to answer a ping.
    pub ping_timeout: Duration,
}

/// Packets in the buffer of one client. A client that lets it fill up does not read; the next ping finds it full and ends the
/// socket.
const PACKETS_MAX: usize = 32;
/// Bytes of one message of a client; the longest request has a hundred.
const PAYLOAD_LEN_MAX: usize = 16 << 10;
/// Bytes of a socket's read buffer: a message fits, and there are tens of thousands of sockets.
const READ_LEN: usize = 512;
/// From opening a connection to the connect packet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages in the queue of the hub; a sender waits while it is full.
const MESSAGES_MAX: usize = 4096;
/// Batches of events in the queue of the hub; the follower waits while it is full.
pub const SALE_EVENTS_MAX: usize = 64;

/// The request limits of the HTTP API, for requests of sockets that change something.
pub trait ChangeLimits: Send + Sync {
    /// Counts a change of a buyer or, without one, from an address. Returns the seconds until the next is allowed when this one
    /// is not.
    fn count_change(
        &self,
        buyer: Option<BuyerId>,
        address: IpAddr,
        now: Timestamp,
    ) -> BoxFuture<'_, Option<u32>>;

    /// Whether the server is so busy that nobody may join a line.
    fn refuses_joins(&self) -> bool;
}

/// What the handlers of a socket need.
struct SocketContext {
    shop: Arc<Shop>,
    limiter: ConnectionLimiter,
    change_limits: Arc<dyn ChangeLimits>,
    hub: mpsc::Sender<HubMessage>,
    problems: ProblemCatalog,
    subscribers: SubscriberCount,
    metrics: SocketMetrics,
}

/// The sockets of this process.
pub struct SocketServer {
    io: SocketIo,
    service: SocketIoService<NotFoundService>,
    hub: mpsc::Sender<HubMessage>,
    hub_task: JoinHandle<()>,
}

pub struct SocketDependencies {
    pub shop: Arc<Shop>,
    /// Recorded events, from the follower.
    pub events: mpsc::Receiver<SaleEvents>,
    /// Counts the signed-in sockets: without any, the follower leaves out events of single buyers.
    pub subscribers: SubscriberCount,
    /// Titles and details of problems.
    pub problems: ProblemCatalog,
    pub change_limits: Arc<dyn ChangeLimits>,
    /// Counts all sockets of the process.
    pub limiter: ConnectionLimiter,
    pub metrics: SocketMetrics,
}

impl SocketServer {
    #[must_use]
    pub fn start(dependencies: SocketDependencies, settings: SocketSettings) -> Self {
        let (service, io) = build_server(settings);
        let (hub, messages) = mpsc::channel(MESSAGES_MAX);
        let SocketDependencies { shop, events, subscribers, problems, change_limits, limiter, metrics } =
            dependencies;
        let context = Arc::new(SocketContext {
            shop: Arc::clone(&shop),
            limiter,
            change_limits,
            hub: hub.clone(),
            problems,
            subscribers,
            metrics: metrics.clone(),
        });
        handshake::register_namespace(&io, &context);
        let hub_task =
            tokio::spawn(SocketHub::new(shop, io.clone(), metrics, problems).run(messages, events));
        Self { io, service, hub, hub_task }
    }

    /// The service for requests below the sockets' path.
    #[must_use]
    pub fn service(&self) -> SocketIoService<NotFoundService> {
        self.service.clone()
    }

    /// Asks every client to reconnect in a while, and closes.
    pub async fn stop(self) {
        let (done, notified) = tokio::sync::oneshot::channel();
        if self.hub.send(HubMessage::Shutdown(done)).await.is_ok() {
            let _ = notified.await;
        }
        // A client that does not read cannot delay the stop.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.io.close()).await;
        self.hub_task.abort();
    }
}

/// How long closing all sockets may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A Socket.IO server with bounded buffers.
fn build_server(settings: SocketSettings) -> (SocketIoService<NotFoundService>, SocketIo) {
    let parser =
        ParserConfig::common().max_incoming_binaries(0).max_incoming_binary_buf_size(PAYLOAD_LEN_MAX);
    SocketIo::builder()
        .with_parser(parser)
        .max_buffer_size(PACKETS_MAX)
        .max_payload(PAYLOAD_LEN_MAX as u64)
        .ws_max_message_size(PAYLOAD_LEN_MAX)
        .ws_max_frame_size(PAYLOAD_LEN_MAX)
        .ws_read_buffer_size(READ_LEN)
        .connect_timeout(CONNECT_TIMEOUT)
        .ping_interval(settings.ping_interval)
        .ping_timeout(settings.ping_timeout)
        .build_svc()
}
