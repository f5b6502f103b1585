//! Live updates over Socket.IO (protocol 5 on Engine.IO 4): who connects, what they may ask, and what they are told. It asks
//! `shop`, as HTTP does, and is told what was recorded by a follower; it decides nothing, and no request waits for it.
//!
//! The way of a socket: [`door`] (token, limits) → [`requests`] (what a client asks, each one call into `shop`) → [`desk`]
//! (one task that knows every socket and sends all updates, so that they leave in order).

mod documents;
mod handshake;
pub mod hub;
mod limiter;
mod requests;
mod session;
mod throttle;

pub use documents::{ProblemCatalog, ProblemSummary};
pub use limiter::SocketPeer;

use crate::shop::Shop;
use crate::shop::live_updates::{SaleEvents, SubscriberCount};
use crate::telemetry::sockets::SocketMetrics;
use engineioxide::service::NotFoundService;
use hub::{HubMessage, SocketHub};
use limiter::ConnectionLimiter;
use socketioxide::service::SocketIoService;
use socketioxide::{ParserConfig, SocketIo};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What the sockets go by.
#[derive(Clone, Copy, Debug)]
pub struct SocketSettings {
    /// Sockets at a time.
    pub sockets_max: u32,
    /// Sockets of one buyer at a time: tabs and devices.
    pub buyer_max: u32,
    /// Sockets from one address at a time.
    pub address_max: u32,
    /// How often a client is asked whether it is there.
    pub ping_interval: Duration,
    /// How long it may take to say yes.
    pub ping_timeout: Duration,
}

/// Packets that wait for one client. Who lets so many come together does not read; the next ping finds no room, and ends it.
const PACKETS_MAX: usize = 32;
/// Bytes that a client may send at once: the longest request has a hundred.
const PAYLOAD_LEN_MAX: usize = 16 << 10;
/// A socket's buffer for reading, in bytes: a message of a client fits, and there are tens of thousands of them.
const READ_LEN: usize = 512;
/// Who has opened a connection but does not say for what, is shown out.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Notes to the desk that may wait: whoever writes one then waits as well.
const MESSAGES_MAX: usize = 4096;
/// Stretches of the ledger that may wait: then the follower waits, and reads on later.
pub const SALE_EVENTS_MAX: usize = 64;

/// All that a request of a socket works with.
struct SocketContext<S> {
    shop: S,
    limiter: ConnectionLimiter,
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

/// What a socket house is built of.
pub struct SocketDependencies<S> {
    /// The use cases' tools.
    pub shop: S,
    /// What was recorded, from the follower.
    pub events: mpsc::Receiver<SaleEvents>,
    /// Where it tells whether it wants to hear of single buyers.
    pub subscribers: SubscriberCount,
    /// Titles and details of problems.
    pub problems: ProblemCatalog,
    pub metrics: SocketMetrics,
}

impl SocketServer {
    #[must_use]
    pub fn start<S>(tools: SocketDependencies<S>, settings: SocketSettings) -> Self
    where
        S: Deref<Target = Shop> + Clone + Send + Sync + 'static,
    {
        let parser =
            ParserConfig::common().max_incoming_binaries(0).max_incoming_binary_buf_size(PAYLOAD_LEN_MAX);
        let (service, io) = SocketIo::builder()
            .with_parser(parser)
            .max_buffer_size(PACKETS_MAX)
            .max_payload(PAYLOAD_LEN_MAX as u64)
            .ws_max_message_size(PAYLOAD_LEN_MAX)
            .ws_max_frame_size(PAYLOAD_LEN_MAX)
            .ws_read_buffer_size(READ_LEN)
            .connect_timeout(CONNECT_TIMEOUT)
            .ping_interval(settings.ping_interval)
            .ping_timeout(settings.ping_timeout)
            .build_svc();
        let (hub, messages) = mpsc::channel(MESSAGES_MAX);
        let SocketDependencies { shop, events: news, subscribers: audience, problems: dictionary, metrics } =
            tools;
        let hall = Arc::new(SocketContext {
            shop: shop.clone(),
            limiter: ConnectionLimiter::new(settings),
            hub: hub.clone(),
            problems: dictionary,
            subscribers: audience,
            metrics: metrics.clone(),
        });
        handshake::register_namespace(&io, &hall);
        let working = tokio::spawn(SocketHub::new(shop, io.clone(), metrics, dictionary).run(messages, news));
        Self { io, service, hub, hub_task: working }
    }

    /// What answers the requests below the sockets' path.
    #[must_use]
    pub fn service(&self) -> SocketIoService<NotFoundService> {
        self.service.clone()
    }

    /// Tells everyone to come back in a while, and closes.
    pub async fn stop(self) {
        let (done, told) = tokio::sync::oneshot::channel();
        if self.hub.send(HubMessage::Shutdown(done)).await.is_ok() {
            let _ = told.await;
        }
        // A client that does not read cannot keep us.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.io.close()).await;
        self.hub_task.abort();
    }
}

/// How long the last words to all sockets may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
