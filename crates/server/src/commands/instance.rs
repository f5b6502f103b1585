//! An instance, put together and taken apart in the right order: the engine first (it locks the data folder), then the tables,
//! the followers, and the listener last. Stopping goes the other way round.

pub mod first_admin;

mod open_shop;
mod tables;

mod api;
mod background;
mod clock_check;
mod dialects;
mod file_watch;
mod followers;
#[cfg(feature = "kafka")]
mod kafka;
mod mail;
mod payments;
mod webhooks;

use super::database::{self, DatabaseUrl};
use super::settings::{Serve, ServeRoles};
use super::{CommandError, demo, disk, ledger_loss, rehearse};
use crate::clock::TimeSource;
use crate::followers::projector;
use crate::followers::rounds::FollowerThread;
use crate::http::dialects::Dialect;
use crate::http::load_shedding::LoadShedder;
use crate::http::v1::flash_sales::{PreparedLineFeeds, PreparedSales};
use crate::http::web::SalePages;
use crate::http::{AppContext, AppState, ReadinessFlag, ops};
use crate::shop::peer_changes::PeerChanges;
use crate::shop::sales;
use crate::telemetry::metrics::ServerMetrics;
use crate::telemetry::valkey::ValkeyMemoryGauges;
use api::{ApiTasks, bind, listen, open_limits};
use clock_check::{check_clock, read_kernel_sync};
use dialects::BoundDialects;
use engine::clock::{Clock, read_wall_clock};
use engine::record::{ReadError, RecordError};
use engine::{ClockOffset, ClockSkew, ClusterSettings, RunningEngine, StartError, StartMoment, pipeline};
use file_watch::{OpenedFiles, watch_files};
use first_admin::{FirstAdmin, make_first_admin};
use followers::{FollowerStarter, ReceiverSettings};
use open_shop::open_shop;
use sale::Timestamp;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use super::token_key::TOKEN_KEY_FILE;
pub(super) use clock_check::ClockSync;

/// An instance that runs, for `serve`, `worker` and tests.
pub struct ServerInstance {
    /// Where the API listens; of a worker, which has none, where the metrics are.
    pub address: SocketAddr,
    pub metrics_address: SocketAddr,
    /// Where each dialect with a listener of its own listens.
    pub dialect_addresses: Vec<(Dialect, SocketAddr)>,
    /// What the handlers work with.
    pub app: AppState,
    /// The admin that this start made, when its password was generated.
    pub first_admin: Option<FirstAdmin>,
    /// The sale of `--demo`.
    pub demo: Option<demo::DemoSale>,
    stop: watch::Sender<bool>,
    api: Option<ApiTasks>,
    tasks: Vec<JoinHandle<()>>,
    projector: FollowerThread,
    warmup: FollowerThread,
    receivers: Vec<FollowerThread>,
    engine: RunningEngine,
    drain_limit: Duration,
}

/// Which part of the shop an instance runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceKind {
    /// The API, and what its settings say.
    Serve,
    /// Only what is due by itself.
    Worker,
}

impl ServerInstance {
    /// Starts an instance with the API. `clock` gets the ledger's last moment, before which it shows no time, and the skew between
    /// the clock that sales run by and the machine's; the machine's own is off by `clock_offset`.
    ///
    /// # Errors
    /// Usage when a setting is wrong, failure when something cannot start.
    pub async fn start(
        settings: Serve,
        clock_offset: ClockOffset,
        clock: impl FnOnce(Timestamp, ClockSkew) -> Arc<dyn Clock>,
    ) -> Result<Self, CommandError> {
        Self::start_as(InstanceKind::Serve, settings, clock_offset, clock).await
    }

    /// Starts an instance of either kind.
    ///
    /// # Errors
    /// As [`ServerInstance::start`].
    pub(super) async fn start_as(
        kind: InstanceKind,
        settings: Serve,
        clock_offset: ClockOffset,
        clock: impl FnOnce(Timestamp, ClockSkew) -> Arc<dyn Clock>,
    ) -> Result<Self, CommandError> {
        let limits = pipeline::PipelineLimits::default();
        let database = settings.database.as_ref().map(DatabaseUrl::address).transpose()?;
        let valkey = settings.valkey()?;
        let ticks = kind.does_due_work(&settings);
        let sync = rehearse::clock::find_clock_sync(settings.rehearsal_clock.as_deref());
        let (sync, accept_clock) = (sync.unwrap_or_else(read_kernel_sync), settings.accept_clock);
        let machine_offset = Arc::clone(&clock_offset);
        let wall_clock: TimeSource = Arc::new(move || read_wall_clock().plus_ms(machine_offset()));
        let check = |moment: &StartMoment| check_clock(moment, wall_clock(), sync, accept_clock);
        match (database, valkey) {
            (Some(database), Some(valkey)) => {
                let cluster = ClusterSettings { database, valkey, ticks, clock_offset };
                let start = |_: &Path| {
                    engine::start_in_cluster(&cluster, limits, |skew| clock(Timestamp::default(), skew))
                };
                Self::start_kind((kind, settings), Arc::clone(&wall_clock), start).await
            }
            (Some(address), None) => {
                let start = |_: &Path| {
                    engine::start_on_postgres_checked(&address, limits, &check, |last| {
                        clock(last, ClockSkew::new(clock_offset))
                    })
                };
                Self::start_kind((kind, settings), Arc::clone(&wall_clock), start).await
            }
            (None, _) => {
                let start = |folder: &Path| {
                    engine::start_on_sqlite_checked(folder, limits, &check, |last| {
                        clock(last, ClockSkew::new(clock_offset))
                    })
                };
                Self::start_kind((kind, settings), Arc::clone(&wall_clock), start).await
            }
        }
    }

    /// Starts an instance on the engine that `engine` starts in the data folder, or beside the tables in a database.
    ///
    /// # Errors
    /// As [`ServerInstance::start`].
    pub async fn start_on(
        settings: Serve,
        engine: impl FnOnce(&Path) -> Result<RunningEngine, StartError>,
    ) -> Result<Self, CommandError> {
        Self::start_kind((InstanceKind::Serve, settings), Arc::new(read_wall_clock), engine).await
    }

    async fn start_kind(
        (kind, settings): (InstanceKind, Serve),
        wall_clock: TimeSource,
        engine: impl FnOnce(&Path) -> Result<RunningEngine, StartError>,
    ) -> Result<Self, CommandError> {
        if settings.database.is_some() {
            return Self::start_parts((kind, settings), wall_clock, engine).await;
        }
        let folder = settings.data.clone();
        let started = Self::start_parts((kind, settings), wall_clock, engine).await;
        started.map_err(|error| disk::name_full_disk(&folder, error))
    }

    async fn start_parts(
        (kind, settings): (InstanceKind, Serve),
        wall_clock: TimeSource,
        engine: impl FnOnce(&Path) -> Result<RunningEngine, StartError>,
    ) -> Result<Self, CommandError> {
        let edge = settings.edge()?;
        let receivers = ReceiverSettings::read(&settings)?;
        mail::check_settings(&settings)?;
        payments::check_settings(&settings)?;
        // Before anything is opened: an address that is in use fails the start at once.
        let api_socket = match kind {
            InstanceKind::Serve => Some(bind("--listen", settings.listen)?),
            InstanceKind::Worker => None,
        };
        let dialects = match kind {
            InstanceKind::Serve => Some(BoundDialects::bind(&settings)?),
            InstanceKind::Worker => None,
        };
        let metrics_listener =
            listen("--metrics-listen", bind("--metrics-listen", settings.metrics_listen)?)?;
        let metrics_address = metrics_listener.local_addr().map_err(anyhow::Error::from)?;
        let address = api_socket.as_ref().map(TcpSocket::local_addr).transpose();
        let address = address.map_err(anyhow::Error::from)?.unwrap_or(metrics_address);

        // A data folder is locked before anything in it is changed. A database may have another instance: what can fail is tried
        // before the engine takes the ledger over from it.
        let database = tables::open_database(&settings).await?;
        if database.is_none() {
            ledger_loss::refuse_in_folder(&settings.data, settings.accept_older_ledger).await?;
        }
        let engine = tokio::task::block_in_place(|| engine(&settings.data));
        let engine = engine.map_err(|error| start_error(error, &settings))?;
        let (store, files) = match database {
            Some(store) => (store, None),
            None => {
                let store = tables::open_folder(&settings).await?;
                (store, Some(OpenedFiles::note(&settings.data).map_err(anyhow::Error::from)?))
            }
        };
        let damage = engine.engine.damage().clone();
        store.on_damage(move |error| damage.report(error));
        let metrics = ServerMetrics::default();
        let mut starter = FollowerStarter::new(engine.engine.clone(), &metrics);
        let projector_metrics = starter.metrics(projector::FOLLOWER_NAME);
        let public_url = settings.public_url_at(address);
        let (shop, inbox) =
            open_shop(&settings, store, (&engine, wall_clock), &metrics, &projector_metrics, public_url)
                .await?;
        webhooks::require_public_url(&shop).await?;
        let first_admin = match kind {
            InstanceKind::Serve => make_first_admin(&settings, &shop.accounts).await?,
            InstanceKind::Worker => None,
        };
        let peers = PeerChanges::start(&shop).await.map_err(anyhow::Error::from)?;
        sales::finish_unannounced(&shop).await.map_err(anyhow::Error::from)?;
        sales::relist_lost_sales(&shop).await.map_err(anyhow::Error::from)?;
        sales::fill_payment_modes(&shop).await.map_err(anyhow::Error::from)?;
        let demo = if settings.demo && kind == InstanceKind::Serve {
            Some(demo::prepare_demo(&shop).await?)
        } else {
            None
        };
        let does_due_work = kind.does_due_work(&settings);
        let projector = followers::start_projector(&mut starter, &shop, inbox, &metrics, does_due_work)?;
        let limits = open_limits(&settings, &shop, &metrics).await?;
        let started_at = shop.engine.now();
        let shedder = LoadShedder::new(settings.connections_max, &metrics);
        let app = Arc::new(AppContext {
            shop: Arc::new(shop),
            prepared: PreparedSales::default(),
            line_feeds: PreparedLineFeeds::default(),
            sale_pages: SalePages::default(),
            edge,
            started_at,
            limits,
            shedder,
            metrics,
            ready: ReadinessFlag::default(),
        });

        let (stop, stopping) = watch::channel(false);
        let warmup = followers::start_warmup(&mut starter, &app.shop).await?;
        let receivers = followers::start_receivers(&mut starter, &app.shop, receivers, does_due_work).await?;
        let dialects = match dialects {
            Some(dialects) => Some(dialects.start(&app, &settings, &stopping).await?),
            None => None,
        };
        let dialect_addresses = dialects.as_ref().map(|tasks| tasks.addresses.clone()).unwrap_or_default();
        let api = match api_socket.zip(dialects) {
            Some((socket, dialects)) => {
                Some(ApiTasks::start(&app, &settings, (socket, dialects), &mut starter, stopping.clone())?)
            }
            None => None,
        };
        let mut tasks = Vec::new();
        tasks.extend(payments::start_notices(&app, &stopping));
        if let Some(valkey) = settings.valkey()? {
            let gauges = ValkeyMemoryGauges::default();
            gauges.register(&app.metrics);
            tasks.push(tokio::spawn(background::measure_valkey(valkey, gauges, stopping.clone())));
        }
        if does_due_work {
            tasks.push(webhooks::start_follower(&app, starter.fork(), &stopping));
            tasks.push(webhooks::start_sender(&app, &stopping));
        }
        tasks.extend([
            tokio::spawn(background::measure_lags(Arc::clone(&app), starter.meters, stopping.clone())),
            tokio::spawn(ops::serve_metrics(metrics_listener, Arc::clone(&app), stopping.clone())),
            tokio::spawn(background::sweep_expired(Arc::clone(&app), stopping.clone())),
        ]);
        if let Some(files) = files {
            tasks.push(tokio::spawn(watch_files(Arc::clone(&app), files, stopping.clone())));
        }
        if does_due_work {
            tasks.push(tokio::spawn(Arc::clone(&app.shop.payments).run_reconciler(stopping.clone())));
            tasks.extend(mail::start_dispatcher(&app, &settings, stopping.clone())?);
        }
        tasks.push(tokio::spawn(background::poll_peers(Arc::clone(&app), peers, stopping)));
        app.ready.set(true);
        let drain_limit = settings.drain_timeout;
        Ok(Self {
            address,
            metrics_address,
            dialect_addresses,
            app,
            first_admin,
            demo,
            stop,
            api,
            tasks,
            projector,
            warmup,
            receivers,
            engine,
            drain_limit,
        })
    }

    /// Stops: accepts no new connections, lets requests in flight finish, records what is decided, and closes the tables.
    pub async fn stop(self) {
        self.app.ready.set(false);
        let _ = self.stop.send(true);
        let live_updates = match self.api {
            Some(api) => Some(api.drain().await),
            None => None,
        };
        for task in self.tasks {
            let _ = task.await;
        }
        if !self.app.shop.payments.drain(self.drain_limit).await {
            tracing::warn!("payments were still under way; the next start settles them");
        }
        let (engine, projector, warmup, receivers) =
            (self.engine, self.projector, self.warmup, self.receivers);
        let stopped = tokio::task::spawn_blocking(move || {
            warmup.stop();
            engine.stop();
            projector.stop();
            for receiver in receivers {
                receiver.stop();
            }
            if let Some(live_updates) = live_updates {
                live_updates.stop();
            }
        });
        if let Err(error) = stopped.await {
            tracing::error!(%error, "stopping the engine panicked; run `doorbuster verify` and report it");
        }
        self.app.shop.store.close().await;
        tracing::info!("stopped");
    }
}

impl InstanceKind {
    /// Whether the instance does what is due by itself: expired holds, admissions, tables, payments left open.
    fn does_due_work(self, settings: &Serve) -> bool {
        self == Self::Worker || settings.roles == ServeRoles::All
    }
}

fn start_error(error: StartError, settings: &Serve) -> CommandError {
    match error {
        StartError::Folder { ref source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            CommandError::Failed(error.into())
        }
        StartError::Locked { .. } | StartError::Folder { .. } => {
            CommandError::Usage(format!("--data: {:#}", anyhow::Error::from(error)))
        }
        StartError::Record(error) if settings.database.is_some() => database::ledger_error(error),
        // Damage and a foreign file name their place themselves.
        error @ (StartError::Record(RecordError::Store(_)) | StartError::Read(ReadError::Store(_)))
            if settings.database.is_none() =>
        {
            let place = format!("the ledger in {} cannot be opened", settings.data.display());
            CommandError::Failed(anyhow::Error::from(error).context(place))
        }
        other => CommandError::Failed(other.into()),
    }
}
