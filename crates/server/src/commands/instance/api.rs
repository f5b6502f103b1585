//! Opens what buyers and merchants connect to: the listener of the API, its request limits, and the sockets.

use super::super::CommandError;
use super::super::settings::Serve;
use super::dialects::DialectTasks;
use super::followers::FollowerStarter;
use super::followers::start_live_updates;
use crate::followers::live_updates::LiveUpdates;
use crate::followers::rounds::FollowerThread;
use crate::http::limits::{LimitClass, LimitKey, RateLimiter, shared};
use crate::http::load_shedding::SheddingClass;
use crate::http::problem::{ProblemKind, kind};
use crate::http::sockets::{PeerFunctions, SocketService};
use crate::http::{self, AppState, edge::HttpEdge, server};
use crate::realtime::{self, ChangeLimits, ConnectionLimiter, ProblemSummary, SocketPeer, SocketServer};
use crate::shop::Shop;
use crate::shop::live_updates::SubscriberCount;
use crate::telemetry::metrics::{Counter, ServerMetrics};
use crate::telemetry::sockets::SocketMetrics;
use futures::future::BoxFuture;
use sale::{BuyerId, Timestamp};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// The API of an instance that runs.
pub(super) struct ApiTasks {
    serving: JoinHandle<usize>,
    dialects: DialectTasks,
    realtime: SocketServer,
    live_updates: FollowerThread,
}

impl ApiTasks {
    /// Opens the listener, and the sockets of the same port.
    pub(super) fn start(
        app: &AppState,
        settings: &Serve,
        (socket, mut dialects): (TcpSocket, DialectTasks),
        starter: &mut FollowerStarter,
        stopping: watch::Receiver<bool>,
    ) -> Result<Self, CommandError> {
        let (router, openapi) = http::router();
        let (realtime, live_updates) = start_sockets(app, settings.sockets(), &dialects.limiter, starter)?;
        dialects.start_mounted_sockets(&realtime);
        let peers = PeerFunctions { connect: SocketPeer::from, buyer: SocketPeer::buyer };
        let service = SocketService::new(realtime.service(), peers);
        let mounted = std::mem::take(&mut dialects.mounted);
        let edge =
            HttpEdge::new(Arc::clone(app), router, &openapi).with_sockets(service).with_dialects(mounted);
        let edge = Arc::new(edge);
        // Not before it can be served: a client that could ask another instance does not wait for a start.
        let listener = listen("--listen", socket)?;
        let serving = tokio::spawn(server::serve(listener, edge, settings.server(), stopping));
        Ok(Self { serving, dialects, realtime, live_updates })
    }

    /// Closes the sockets and waits for the requests in flight. The follower for live updates ends after the engine.
    pub(super) async fn drain(self) -> FollowerThread {
        self.realtime.stop().await;
        let mut cut = self.dialects.drain().await;
        match self.serving.await {
            Ok(connections) => cut += connections,
            Err(error) => tracing::error!(%error, "the HTTP server panicked; report it"),
        }
        if cut > 0 {
            tracing::warn!(
                cut,
                "connections did not finish in time and were cut; a longer --drain-timeout gives them more"
            );
        }
        self.live_updates
    }
}

fn start_sockets(
    app: &AppState,
    settings: realtime::SocketSettings,
    limiter: &ConnectionLimiter,
    starter: &mut FollowerStarter,
) -> Result<(SocketServer, FollowerThread), CommandError> {
    let follower_metrics = starter.metrics(crate::followers::live_updates::FOLLOWER_NAME);
    let metrics = SocketMetrics::with_failures(follower_metrics.failed.clone());
    metrics.register(&app.metrics);
    let subscribers = SubscriberCount::default();
    let (sender, events) = mpsc::channel(realtime::SALE_EVENTS_MAX);
    let follower = LiveUpdates {
        engine: app.shop.engine.clone(),
        subscribers: subscribers.clone(),
        events: sender,
        followed: metrics.followed.clone(),
    };
    let dependencies = realtime::SocketDependencies {
        shop: Arc::clone(&app.shop),
        events,
        subscribers,
        problems: problem_summary,
        change_limits: Arc::new(HttpChangeLimits(Arc::clone(app))),
        limiter: limiter.clone(),
        metrics,
    };
    let realtime = SocketServer::start(dependencies, settings);
    Ok((realtime, start_live_updates(starter, follower)?))
}

/// What HTTP says of a code, for the sockets. Of two kinds with one code the last is meant: `not_in_line` as 404.
fn problem_summary(code: &str) -> Option<ProblemSummary> {
    let kind = kind::ALL.iter().rfind(|kind| kind.code == code)?;
    let &ProblemKind { code, status, title, detail, .. } = *kind;
    Some(ProblemSummary { code, title, detail, status, retry_after_seconds: None })
}

/// The bucket `buy` of the HTTP API, for the sockets.
struct HttpChangeLimits(AppState);

impl ChangeLimits for HttpChangeLimits {
    fn count_change(
        &self,
        buyer: Option<BuyerId>,
        address: IpAddr,
        now: Timestamp,
    ) -> BoxFuture<'_, Option<u32>> {
        let key = buyer.map_or_else(|| LimitKey::from_address(address), LimitKey::from_buyer);
        Box::pin(async move {
            let limits = self.0.limits.as_ref()?;
            limits.count_request(LimitClass::Buy, key, now).await.retry_after_s
        })
    }

    fn refuses_joins(&self) -> bool {
        self.0.shedder.refuses(SheddingClass::Join)
    }
}

/// The request limits, if they are on: shared by all who share a Valkey, where there is one.
pub(super) async fn open_limits(
    settings: &Serve,
    shop: &Shop,
    metrics: &ServerMetrics,
) -> Result<Option<RateLimiter>, CommandError> {
    let Some(rates) = settings.rates() else { return Ok(None) };
    let Some(address) = settings.valkey()? else {
        return Ok(Some(RateLimiter::new(rates).with_metrics(metrics)));
    };
    let counted_locally = Counter::default();
    metrics.register(
        "limits_local",
        "Requests that this instance counted alone, because Valkey did not answer",
        counted_locally.clone(),
    );
    let shared = shared::SharedLimiterSettings {
        address,
        timeouts: settings.limiter_timeouts,
        now: Arc::clone(&shop.now),
        counted_alone: counted_locally,
    };
    Ok(Some(RateLimiter::connect_shared(rates, shared).await.with_metrics(metrics)))
}

pub(super) fn bind(flag: &str, address: SocketAddr) -> Result<TcpSocket, CommandError> {
    server::bind(address)
        .map_err(|error| CommandError::Usage(format!("{flag}: cannot listen on {address}: {error}")))
}

pub(super) fn listen(flag: &str, socket: TcpSocket) -> Result<TcpListener, CommandError> {
    let address =
        socket.local_addr().map_or_else(|_| "its address".to_owned(), |address| address.to_string());
    server::listen(socket)
        .map_err(|error| CommandError::Usage(format!("{flag}: cannot listen on {address}: {error}")))
}
