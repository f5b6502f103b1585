//! The sockets of the dialect `turnstile`: a namespace without a handshake payload, rooms for buyers, and one task that sends what becomes
//! of jobs, what remains, and whether the sale is open. It decides nothing, and no request waits for it.
//!
//! Room names are not authenticated, so no event contains private data.

mod hub;

use super::limiter::{CapacityReached, ConnectionLimiter, socket_peer};
use super::session::{Permission, RequestBudget};
use super::{SocketServer, SocketSettings, build_server};
use crate::shop::Shop;
use crate::shop::purchase_jobs::job_guest;
use crate::telemetry::sockets::SocketMetrics;
use engineioxide::service::NotFoundService;
use hub::TurnstileHub;
use sale::BuyerId;
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use socketioxide::service::SocketIoService;
use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;

/// The namespace on the main Socket.IO server.
const MAIN_NAMESPACE: &str = "/dialects/turnstile";
/// The namespace on a server of its own.
const OWN_NAMESPACE: &str = "/";
/// Rooms of one socket at most.
const ROOMS_MAX: usize = 32;
/// Joins that a socket may send at once, then per second: all its rooms again and again, and no flood.
const JOINS_BURST: i64 = 8 * ROOMS_MAX as i64;
const JOINS_PER_SECOND: i64 = 10;

/// What the sockets need.
pub struct TurnstileDependencies {
    pub shop: Arc<Shop>,
    /// Id or slug of the sale that the dialect sells.
    pub sale: Option<String>,
    /// The limiter of all sockets of the process.
    pub limiter: ConnectionLimiter,
    pub metrics: SocketMetrics,
}

/// The sockets of the dialect in this process.
pub struct TurnstileSockets {
    /// The server of its own; `None` in a namespace of the main one.
    own: Option<(SocketIoService<NotFoundService>, SocketIo)>,
    hub: JoinHandle<()>,
}

/// What the handlers of a socket need.
struct TurnstileContext {
    shop: Arc<Shop>,
    limiter: ConnectionLimiter,
    metrics: SocketMetrics,
    has_members: MemberFlag,
}

/// Whether a socket may be in a room: without any, jobs are not read.
#[derive(Clone, Debug, Default)]
struct MemberFlag(Arc<AtomicBool>);

impl MemberFlag {
    fn set(&self, has_members: bool) {
        self.0.store(has_members, Ordering::SeqCst);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl TurnstileSockets {
    /// Starts a Socket.IO server of its own.
    #[must_use]
    pub fn start_own(dependencies: TurnstileDependencies, settings: SocketSettings) -> Self {
        let (service, io) = build_server(settings);
        let hub = start_namespace(&io, OWN_NAMESPACE, dependencies);
        Self { own: Some((service, io)), hub }
    }

    /// Starts a namespace of the main Socket.IO server.
    #[must_use]
    pub fn start_within(server: &SocketServer, dependencies: TurnstileDependencies) -> Self {
        Self { own: None, hub: start_namespace(&server.io, MAIN_NAMESPACE, dependencies) }
    }

    /// The service for requests below the sockets' path, of a server of its own.
    #[must_use]
    pub fn service(&self) -> Option<SocketIoService<NotFoundService>> {
        self.own.as_ref().map(|(service, _)| service.clone())
    }

    /// Sends nothing more, and closes the sockets of a server of its own.
    pub async fn stop(self) {
        self.hub.abort();
        if let Some((_, io)) = self.own {
            // A client that does not read cannot delay the stop.
            let _ = tokio::time::timeout(super::CLOSE_TIMEOUT, io.close()).await;
        }
    }
}

fn start_namespace(io: &SocketIo, path: &'static str, dependencies: TurnstileDependencies) -> JoinHandle<()> {
    let TurnstileDependencies { shop, sale, limiter, metrics } = dependencies;
    let has_members = MemberFlag::default();
    let context = Arc::new(TurnstileContext {
        shop: Arc::clone(&shop),
        limiter,
        metrics: metrics.clone(),
        has_members: has_members.clone(),
    });
    register_namespace(io, path, &context);
    tokio::spawn(TurnstileHub::new(shop, io.clone(), path, sale, metrics, has_members).run())
}

fn register_namespace(io: &SocketIo, path: &'static str, context: &Arc<TurnstileContext>) {
    let check_context = Arc::clone(context);
    let check = move |socket: SocketRef| {
        let context = Arc::clone(&check_context);
        async move {
            socket_peer(&socket)
                .require_permit(&context.limiter)
                .inspect_err(|capacity| context.metrics.count_refused(capacity.code()))?;
            register_handlers(&context, &socket);
            Ok::<(), CapacityReached>(())
        }
    };
    let welcome = async |_: SocketRef| {};
    io.ns(path, welcome.with(check));
}

/// Registers `join`, whose argument is the buyer's name alone. The library runs the future of each message as a task of its own, in no
/// order, so all work is done before the future is made: joins count in the order in which the socket sent them.
fn register_handlers(context: &Arc<TurnstileContext>, socket: &SocketRef) {
    let budget = Arc::new(RequestBudget::new(JOINS_BURST, JOINS_PER_SECOND, (context.shop.now)()));
    let context = Arc::clone(context);
    socket.on("join", move |socket: SocketRef, TryData(data): TryData<Value>| {
        join_room(&context, &budget, &socket, data.ok());
        future::ready(())
    });
}

/// Adds a socket to a buyer's room, unless it is in too many or asks too often.
fn join_room(context: &TurnstileContext, budget: &RequestBudget, socket: &SocketRef, data: Option<Value>) {
    match budget.spend_request((context.shop.now)()) {
        Permission::Granted => {}
        Permission::RateLimited => return,
        Permission::Disconnect => {
            let _gone = socket.clone().disconnect();
            return;
        }
    }
    let name = match data {
        Some(Value::String(name)) => name,
        Some(Value::Number(number)) => number.to_string(),
        _ => return,
    };
    let Ok(guest) = job_guest(Some(&name)) else { return };
    let (room, rooms) = (buyer_room(guest.buyer()), socket.rooms());
    if rooms.len() < ROOMS_MAX || rooms.iter().any(|known| *known == room) {
        // Before the room: a job that is written once the socket is in it must be read.
        context.has_members.set(true);
        socket.join(room);
    }
}

/// The room of a buyer. Names may be long; their buyers' ids are not.
fn buyer_room(buyer: BuyerId) -> String {
    format!("u{}", buyer.0.simple())
}
