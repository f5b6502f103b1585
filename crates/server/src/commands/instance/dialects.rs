//! Opens what the clients of other systems connect to: the listeners of the dialects, and the dialects on the main listener.

use super::super::CommandError;
use super::super::settings::{DialectMount, Serve};
use super::api::{bind, listen};
use super::background;
use crate::http::AppState;
use crate::http::dialects::{Dialect, DialectAdmin, DialectContext, DialectSettings, holds};
use crate::http::edge::HttpEdge;
use crate::http::server;
use crate::http::sockets::{PeerFunctions, SocketService};
use crate::realtime::turnstile::{TurnstileDependencies, TurnstileSockets};
use crate::realtime::{ConnectionLimiter, SocketPeer, SocketServer};
use crate::shop::purchase_jobs;
use crate::shop::sales;
use crate::telemetry::sockets::SocketMetrics;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The dialects of an instance, with the addresses that they have bound.
pub(super) struct BoundDialects {
    settings: Arc<DialectSettings>,
    dialects: Vec<(Dialect, Vec<TcpSocket>)>,
}

/// The listeners of dialects that are open.
pub(super) struct DialectTasks {
    serving: Vec<JoinHandle<usize>>,
    /// Where each dialect with a listener of its own listens.
    pub(super) addresses: Vec<(Dialect, SocketAddr)>,
    /// Those that the main listener serves below their prefix.
    pub(super) mounted: Vec<Arc<HttpEdge>>,
    /// Counts the sockets of all listeners.
    pub(super) limiter: ConnectionLimiter,
    /// The sockets of `turnstile`.
    turnstile: Option<TurnstileSockets>,
    /// What they need, when they are a namespace of the main Socket.IO server.
    mounted_turnstile: Option<TurnstileDependencies>,
    /// Settles purchases of `turnstile`.
    settling: Option<JoinHandle<()>>,
}

impl BoundDialects {
    /// Binds the addresses of the dialects, so that one in use fails the start at once.
    pub(super) fn bind(settings: &Serve) -> Result<Self, CommandError> {
        let mut dialects = Vec::new();
        for mount in settings.dialects.mounts(settings.listen)? {
            let sockets = bind_listeners(&mount)?;
            dialects.push((mount.dialect, sockets));
        }
        let settings = Arc::new(settings.dialects.settings(&settings.cors_origins)?);
        Ok(Self { settings, dialects })
    }

    /// Opens the listeners.
    pub(super) async fn start(
        self,
        app: &AppState,
        settings: &Serve,
        stopping: &watch::Receiver<bool>,
    ) -> Result<DialectTasks, CommandError> {
        let mut tasks = DialectTasks {
            serving: Vec::new(),
            addresses: Vec::new(),
            mounted: Vec::new(),
            limiter: ConnectionLimiter::new(settings.sockets()),
            turnstile: None,
            mounted_turnstile: None,
            settling: None,
        };
        for (dialect, sockets) in self.dialects {
            if dialect == Dialect::Holds {
                holds::check_payments(&app.shop).map_err(CommandError::Usage)?;
            }
            let context =
                DialectContext { app: AppState::clone(app), dialect, settings: Arc::clone(&self.settings) };
            let mut edge = HttpEdge::for_dialect(Arc::new(context));
            if dialect == Dialect::Turnstile {
                let dependencies = prepare_turnstile(app, &self.settings, &tasks.limiter).await?;
                let settling = background::settle_jobs(Arc::clone(&app.shop), stopping.clone());
                tasks.settling = Some(tokio::spawn(settling));
                if sockets.is_empty() {
                    tasks.mounted_turnstile = Some(dependencies);
                } else {
                    let turnstile = TurnstileSockets::start_own(dependencies, settings.sockets());
                    if let Some(service) = turnstile.service() {
                        let peers = PeerFunctions { connect: SocketPeer::from, buyer: SocketPeer::buyer };
                        edge = edge.with_sockets(SocketService::new(service, peers));
                    }
                    tasks.turnstile = Some(turnstile);
                }
            }
            let edge = Arc::new(edge);
            log_start(app, dialect, &self.settings, &sockets).await;
            if sockets.is_empty() {
                tasks.mounted.push(edge);
                continue;
            }
            for socket in sockets {
                let listener = listen("--dialects", socket)?;
                let address = listener.local_addr().map_err(anyhow::Error::from)?;
                tasks.addresses.push((dialect, address));
                let serving = server::serve(listener, Arc::clone(&edge), settings.server(), stopping.clone());
                tasks.serving.push(tokio::spawn(serving));
            }
        }
        Ok(tasks)
    }
}

impl DialectTasks {
    /// Opens the sockets of dialects that are served on the main listener.
    pub(super) fn start_mounted_sockets(&mut self, server: &SocketServer) {
        if let Some(dependencies) = self.mounted_turnstile.take() {
            self.turnstile = Some(TurnstileSockets::start_within(server, dependencies));
        }
    }

    /// Waits for the requests in flight. Returns how many connections were cut.
    pub(super) async fn drain(self) -> usize {
        if let Some(turnstile) = self.turnstile {
            turnstile.stop().await;
        }
        if let Some(settling) = self.settling {
            // What it writes is in transactions, and what it leaves is settled by another instance or by a repeated request.
            settling.abort();
        }
        let mut cut = 0;
        for serving in self.serving {
            match serving.await {
                Ok(connections) => cut += connections,
                Err(error) => tracing::error!(%error, "the listener of a dialect panicked; report it"),
            }
        }
        cut
    }
}

/// What the sockets of `turnstile` need. It reads the used keys while the instance serves.
async fn prepare_turnstile(
    app: &AppState,
    settings: &DialectSettings,
    limiter: &ConnectionLimiter,
) -> Result<TurnstileDependencies, CommandError> {
    let (shop, sale) = (Arc::clone(&app.shop), settings.turnstile_sale.clone());
    let written = purchase_jobs::write_settings(&shop, &settings.turnstile_products, sale.as_deref()).await;
    written.map_err(anyhow::Error::from)?;
    let loading = Arc::clone(&shop);
    tokio::spawn(async move {
        purchase_jobs::return_stray_units(&loading).await;
        if let Err(error) = purchase_jobs::load_keys(&loading).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "the used keys of the turnstile could not be read; each key is looked up in the table"
            );
        }
    });
    let metrics = SocketMetrics::default();
    metrics.register_turnstile(&app.metrics);
    Ok(TurnstileDependencies { shop, sale, limiter: limiter.clone(), metrics })
}

fn bind_listeners(mount: &DialectMount) -> Result<Vec<TcpSocket>, CommandError> {
    let mut sockets: Vec<TcpSocket> = Vec::new();
    for address in &mount.listeners {
        match server::bind(*address) {
            Ok(socket) => sockets.push(socket),
            // The name means both, and one is enough.
            Err(error) if mount.is_localhost && !sockets.is_empty() && lacks_ipv6(&error) => {}
            Err(_) => sockets.push(bind("--dialects", *address)?),
        }
    }
    Ok(sockets)
}

fn lacks_ipv6(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

/// Says where a dialect is served, and what a merchant should know of it.
async fn log_start(app: &AppState, dialect: Dialect, settings: &DialectSettings, sockets: &[TcpSocket]) {
    let name = dialect.name();
    if sockets.is_empty() {
        tracing::info!(dialect = name, path = dialect.prefix(), "a dialect is served on the main listener");
    }
    for address in sockets.iter().filter_map(|socket| socket.local_addr().ok()) {
        tracing::info!(dialect = name, %address, "a dialect is served");
    }
    // `attempts` has no admin calls.
    if settings.admin == DialectAdmin::Open && dialect != Dialect::Attempts {
        tracing::warn!(
            dialect = name,
            "everyone may make the admin calls of a dialect (--dialect-admin open); keep its address private"
        );
    }
    if dialect.has_guests() {
        tracing::warn!(
            dialect = name,
            "buyers of a dialect are not authenticated: a client that sends a name can buy and read for it"
        );
    }
    let sale = match dialect {
        Dialect::Turnstile => settings.turnstile_sale.as_deref(),
        Dialect::Drop => settings.drop_sale.as_deref(),
        Dialect::Attempts | Dialect::Holds => None,
    };
    if let Some(sale) = sale
        && sales::find_chosen_or_refresh(&app.shop, Some(sale)).await.is_none()
    {
        tracing::warn!(
            dialect = name,
            sale,
            "a dialect is to sell a sale that does not exist; it sells nothing until a sale of this name is made"
        );
    }
}
