//! Live updates over Socket.IO (protocol 5 on Engine.IO 4): who connects, what they may ask, and what they are told. It asks
//! `shop`, as HTTP does, and is told what was recorded by a follower; it decides nothing, and no request waits for it.
//!
//! The way of a socket: [`door`] (token, limits) → [`requests`] (what a client asks, each one call into `shop`) → [`desk`]
//! (one task that knows every socket and sends all updates, so that they leave in order).

pub mod desk;
mod door;
mod gate;
mod guest;
mod line;
mod pace;
mod requests;
mod words;

pub use gate::Visitor;
pub use words::{Dictionary, Said};

use crate::shop::Shop;
use crate::shop::live::{Audience, Stretch};
use crate::telemetry::sockets::SocketMetrics;
use desk::{Desk, Note};
use engineioxide::service::NotFoundService;
use gate::Gate;
use socketioxide::service::SocketIoService;
use socketioxide::{ParserConfig, SocketIo};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What the sockets go by.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
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
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Notes to the desk that may wait: whoever writes one then waits as well.
const NOTES_MAX: usize = 4096;
/// Stretches of the ledger that may wait: then the follower waits, and reads on later.
pub const STRETCHES_MAX: usize = 64;

/// All that a request of a socket works with.
struct Hall<S> {
    shop: S,
    gate: Gate,
    desk: mpsc::Sender<Note>,
    dictionary: Dictionary,
    audience: Audience,
    metrics: SocketMetrics,
}

/// The sockets of this process.
pub struct Realtime {
    io: SocketIo,
    service: SocketIoService<NotFoundService>,
    desk: mpsc::Sender<Note>,
    working: JoinHandle<()>,
}

/// What a socket house is built of.
pub struct Tools<S> {
    /// The use cases' tools.
    pub shop: S,
    /// What was recorded, from the follower.
    pub news: mpsc::Receiver<Stretch>,
    /// Where it tells whether it wants to hear of single buyers.
    pub audience: Audience,
    /// Titles and details of problems.
    pub dictionary: Dictionary,
    /// Its figures.
    pub metrics: SocketMetrics,
}

impl Realtime {
    /// Opens the house.
    #[must_use]
    pub fn start<S>(tools: Tools<S>, settings: Settings) -> Self
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
            .connect_timeout(CONNECT_PATIENCE)
            .ping_interval(settings.ping_interval)
            .ping_timeout(settings.ping_timeout)
            .build_svc();
        let (desk, notes) = mpsc::channel(NOTES_MAX);
        let Tools { shop, news, audience, dictionary, metrics } = tools;
        let hall = Arc::new(Hall {
            shop: shop.clone(),
            gate: Gate::new(settings),
            desk: desk.clone(),
            dictionary,
            audience,
            metrics: metrics.clone(),
        });
        door::open(&io, &hall);
        let working = tokio::spawn(Desk::new(shop, io.clone(), metrics, dictionary).run(notes, news));
        Self { io, service, desk, working }
    }

    /// What answers the requests below the sockets' path.
    #[must_use]
    pub fn service(&self) -> SocketIoService<NotFoundService> {
        self.service.clone()
    }

    /// Tells everyone to come back in a while, and closes.
    pub async fn stop(self) {
        let (done, told) = tokio::sync::oneshot::channel();
        if self.desk.send(Note::GoodBye(done)).await.is_ok() {
            let _ = told.await;
        }
        // A client that does not read cannot keep us.
        let _ = tokio::time::timeout(CLOSE_PATIENCE, self.io.close()).await;
        self.working.abort();
    }
}

/// How long the last words to all sockets may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
