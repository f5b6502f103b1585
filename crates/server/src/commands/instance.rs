//! A whole shop, put together and taken apart in the right order: the engine first (it locks the data folder), then the
//! tables, the followers, and the door last. Stopping goes the other way round.

use super::database::{self, DatabaseUrl};
use super::settings::{OnOff, Serve, ServeRoles};
use super::token_key::load_token_key;
use super::{CommandError, admin, demo};
use crate::auth::passwords::PasswordPool;
use crate::auth::tokens::AccessTokens;
use crate::clock::TimeSource;
use crate::followers::live::{self, LiveFollower};
use crate::followers::{self, Projector, projector};
use crate::http::limits::{RateLimiter, shared};
use crate::http::problem::kind;
use crate::http::sockets::SocketService;
use crate::http::v1::flash_sales::PreparedSales;
use crate::http::{self, AppContext, AppState, ReadinessFlag, edge::HttpEdge, ops, server};
use crate::payments::ProviderTimeouts;
use crate::payments::sandbox::{SLOW_DELAY, SandboxProvider};
use crate::realtime::{self, ProblemSummary, SocketServer};
use crate::shop::accounts::{self, AccountService};
use crate::shop::attempts::{self, AttemptsInbox};
use crate::shop::catalogue::SaleCatalogue;
use crate::shop::live_updates::SubscriberCount;
use crate::shop::orders::IdempotencyWarmup;
use crate::shop::payments::charge_table::ChargeTable;
use crate::shop::payments::{PaymentService, ReconcileTiming};
use crate::shop::peer_changes::{self, PeerChanges};
use crate::shop::projected_offsets::ProjectedOffsets;
use crate::shop::receipts::ReceiptSigner;
use crate::shop::summary::SummaryCache;
use crate::shop::table_lag::TableLag;
use crate::shop::tenancy::Tenancy;
use crate::shop::{Shop, sales, table_lag};
use crate::store::Store;
use crate::telemetry::metrics::{Counter, ServerMetrics};
use crate::telemetry::sales::SaleGauges;
use crate::telemetry::sockets::SocketMetrics;
use anyhow::Context;
use engine::clock::Clock;
use engine::pipeline;
use engine::record::sqlite::FILE as LEDGER_FILE;
use engine::{ClockOffset, ClockSkew, ClusterSettings, RunningEngine, SaleView, StartError};
use sale::Timestamp;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// The file of the token key in the data folder.
pub const TOKEN_KEY_FILE: &str = "token-key.pem";

/// The admin's address when the first start is given none.
const ADMIN_EMAIL: &str = "admin@doorbuster.local";

/// How long the start waits until the keys of earlier orders are known.
const WARMUP_TIMEOUT: Duration = Duration::from_millis(500);

/// How often what has expired is forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// A shop that runs, for `serve` and for tests.
pub struct ServerInstance {
    /// Where the API listens; of a worker, which has none, where the metrics are.
    pub address: SocketAddr,
    /// Where the metrics are.
    pub metrics_address: SocketAddr,
    /// What the handlers work with.
    pub app: AppState,
    /// The admin that this start made, when its password was generated.
    pub first_admin: Option<FirstAdmin>,
    /// The sale of `--demo`.
    pub demo: Option<demo::DemoSale>,
    stop: watch::Sender<bool>,
    api: Option<ApiTasks>,
    tasks: Vec<JoinHandle<()>>,
    projector: Projector,
    engine: RunningEngine,
    drain_limit: Duration,
}

/// What an instance is to the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceKind {
    /// It has a door, and does what its settings say.
    Serve,
    /// It works behind the others.
    Worker,
}

/// What buyers and merchants see of an instance.
struct ApiTasks {
    serving: JoinHandle<usize>,
    realtime: SocketServer,
    live: LiveFollower,
}

/// An admin with a generated password. Its `Display` is the only place where the password is ever shown.
pub struct FirstAdmin {
    /// The address to sign in with.
    pub email: String,
    /// The password to sign in with.
    pub password: String,
}

impl std::fmt::Display for FirstAdmin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "First start: made the admin {} with the password {} (shown only now).",
            self.email, self.password
        )
    }
}

impl ServerInstance {
    /// Starts a shop. `clock` is given the ledger's last moment, and tells no earlier one, and by how much the clock that sales run by
    /// differs from the machine's, whose own is to be taken for wrong by `wrong_by` milliseconds.
    ///
    /// # Errors
    /// Usage when a setting is wrong, failure when something cannot start.
    pub async fn start(
        settings: Serve,
        wrong_by: ClockOffset,
        clock: impl FnOnce(Timestamp, ClockSkew) -> Arc<dyn Clock>,
    ) -> Result<Self, CommandError> {
        Self::start_as(InstanceKind::Serve, settings, wrong_by, clock).await
    }

    /// Starts a part of a shop.
    ///
    /// # Errors
    /// As [`Instance::start`].
    pub(super) async fn start_as(
        part: InstanceKind,
        settings: Serve,
        wrong_by: ClockOffset,
        clock: impl FnOnce(Timestamp, ClockSkew) -> Arc<dyn Clock>,
    ) -> Result<Self, CommandError> {
        let limits = pipeline::PipelineLimits::default();
        let database = settings.database.as_ref().map(DatabaseUrl::address).transpose()?;
        let valkey = settings.valkey()?;
        let ticks = part == InstanceKind::Worker || settings.roles == ServeRoles::All;
        match (database, valkey) {
            (Some(database), Some(valkey)) => {
                let cluster = ClusterSettings { database, valkey, ticks, clock_offset: wrong_by };
                let start = |_: &Path| {
                    engine::start_in_cluster(&cluster, limits, |skew| clock(Timestamp::default(), skew))
                };
                Self::start_kind(part, settings, start).await
            }
            (Some(address), None) => {
                let start = |_: &Path| {
                    engine::start_on_postgres(&address, limits, |last| clock(last, ClockSkew::new(wrong_by)))
                };
                Self::start_kind(part, settings, start).await
            }
            (None, _) => {
                let start = |folder: &Path| {
                    engine::start_on_sqlite(folder, limits, |last| clock(last, ClockSkew::new(wrong_by)))
                };
                Self::start_kind(part, settings, start).await
            }
        }
    }

    /// Starts a shop on the engine that `engine` starts in the data folder, or beside the tables in a database.
    ///
    /// # Errors
    /// As [`Instance::start`].
    pub async fn start_on(
        settings: Serve,
        engine: impl FnOnce(&Path) -> Result<RunningEngine, StartError>,
    ) -> Result<Self, CommandError> {
        Self::start_kind(InstanceKind::Serve, settings, engine).await
    }

    async fn start_kind(
        part: InstanceKind,
        settings: Serve,
        engine: impl FnOnce(&Path) -> Result<RunningEngine, StartError>,
    ) -> Result<Self, CommandError> {
        let edge = settings.edge()?;
        // Before anything is opened: a door that is taken is told at once.
        let place = match part {
            InstanceKind::Serve => Some(bind("--listen", settings.listen)?),
            InstanceKind::Worker => None,
        };
        let metrics_listener =
            listen("--metrics-listen", bind("--metrics-listen", settings.metrics_listen)?)?;
        let metrics_address = metrics_listener.local_addr().map_err(anyhow::Error::from)?;
        let address = place.as_ref().map(TcpSocket::local_addr).transpose();
        let address = address.map_err(anyhow::Error::from)?.unwrap_or(metrics_address);

        // A data folder is locked before anything in it is changed. A database is no one's alone: what can fail is tried
        // before the engine takes the ledger over from the instance that has it.
        let database = open_database(&settings).await?;
        let engine = tokio::task::block_in_place(|| engine(&settings.data)).map_err(start_error)?;
        let store = match database {
            Some(store) => store,
            None => open_folder(&settings).await?,
        };
        let metrics = ServerMetrics::default();
        let (shop, inbox) = open_shop(&settings, store, &engine, &metrics).await?;
        let first_admin = match part {
            InstanceKind::Serve => make_first_admin(&settings, &shop.accounts).await?,
            InstanceKind::Worker => None,
        };
        let neighbours = PeerChanges::start(&shop).await.map_err(anyhow::Error::from)?;
        sales::settle_half_made(&shop).await.map_err(anyhow::Error::from)?;
        let demo = if settings.demo && part == InstanceKind::Serve {
            Some(demo::prepare_demo(&shop).await?)
        } else {
            None
        };
        let works = part == InstanceKind::Worker || settings.roles == ServeRoles::All;
        let projector = start_projector(&shop, inbox, &metrics, works)?;
        let limits = open_limits(&settings, &shop, &metrics).await?;
        let (prepared, started_at) = (PreparedSales::default(), shop.engine.now());
        let app = Arc::new(AppContext {
            shop,
            prepared,
            edge,
            started_at,
            limits,
            metrics,
            ready: ReadinessFlag::default(),
        });

        let (stop, stopping) = watch::channel(false);
        let recalling = warm_up_keys(&app, stopping.clone()).await;
        let front = match place {
            Some(place) => Some(open_api(&app, &settings, place, stopping.clone())?),
            None => None,
        };
        let mut tasks = vec![
            recalling,
            tokio::spawn(measure_lag(Arc::clone(&app), stopping.clone())),
            tokio::spawn(ops::serve_metrics(metrics_listener, Arc::clone(&app), stopping.clone())),
            tokio::spawn(sweep_expired(Arc::clone(&app), stopping.clone())),
        ];
        if works {
            tasks.push(tokio::spawn(Arc::clone(&app.shop.payments).run_reconciler(stopping.clone())));
        }
        if app.shop.tenancy.is_cluster() {
            tasks.push(tokio::spawn(poll_peers(Arc::clone(&app), neighbours, stopping)));
        }
        app.ready.set(true);
        let drain_limit = settings.drain_timeout;
        Ok(Self {
            address,
            metrics_address,
            app,
            first_admin,
            demo,
            stop,
            api: front,
            tasks,
            projector,
            engine,
            drain_limit,
        })
    }

    /// Stops: no new connections, what is in flight finishes, what was decided is recorded, and the tables are closed.
    pub async fn stop(self) {
        self.app.ready.set(false);
        let _ = self.stop.send(true);
        let live = match self.api {
            Some(ApiTasks { serving, realtime, live }) => {
                realtime.stop().await;
                match serving.await {
                    Ok(0) => {}
                    Ok(cut) => tracing::warn!(cut, "connections did not finish in time and were cut"),
                    Err(error) => tracing::error!(%error, "the server broke"),
                }
                Some(live)
            }
            None => None,
        };
        for task in self.tasks {
            let _ = task.await;
        }
        if !self.app.shop.payments.drain(self.drain_limit).await {
            tracing::warn!("payments were still under way; the next start settles them");
        }
        let (engine, projector) = (self.engine, self.projector);
        let stopped = tokio::task::spawn_blocking(move || {
            engine.stop();
            projector.stop();
            if let Some(live) = live {
                live.stop();
            }
        });
        if let Err(error) = stopped.await {
            tracing::error!(%error, "the engine did not stop in good order");
        }
        self.app.shop.store.close().await;
        tracing::info!("stopped");
    }
}

/// Opens the door, and the sockets behind it.
fn open_api(
    app: &AppState,
    settings: &Serve,
    place: TcpSocket,
    stopping: watch::Receiver<bool>,
) -> Result<ApiTasks, CommandError> {
    let (router, openapi) = http::router();
    let (realtime, live) = open_sockets(app, settings.sockets())?;
    let door = SocketService::new(realtime.service(), realtime::SocketPeer::from);
    let edge = Arc::new(HttpEdge::new(Arc::clone(app), router, &openapi).with_sockets(door));
    // Not before it can be served: nobody waits for a start who could ask another instance.
    let listener = listen("--listen", place)?;
    let serving = tokio::spawn(server::serve(listener, edge, settings.server(), stopping));
    Ok(ApiTasks { serving, realtime, live })
}

/// Tells the guard of the keys what the ledger knows of them. A large ledger takes its time: the start does not wait for it.
/// Where others make orders too, it goes on with theirs, until told to stop.
async fn warm_up_keys(app: &AppState, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
    let app = Arc::clone(app);
    let (recalled, waiting) = oneshot::channel();
    let recalling = tokio::spawn(async move {
        let (engine, guard) = (&app.shop.engine, &app.shop.keys);
        let mut recall = IdempotencyWarmup::default();
        let read = tokio::select! {
            read = recall.read_new_keys(engine, guard) => read,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        if let Err(error) = read {
            tracing::warn!(%error, "the keys of earlier orders cannot be read; a key that is reused for another sale is not noticed");
        }
        let _too_late = recalled.send(());
        if app.shop.tenancy.is_cluster() {
            followers::idempotency_keys::follow_keys(engine.clone(), Arc::clone(guard), recall, stop).await;
        }
    });
    let _late = tokio::time::timeout(WARMUP_TIMEOUT, waiting).await;
    recalling
}

fn start_error(error: StartError) -> CommandError {
    match error {
        StartError::Locked { .. } | StartError::Folder { .. } => {
            CommandError::Usage(format!("--data: {:#}", anyhow::Error::from(error)))
        }
        StartError::Record(error) => database::ledger_error(error),
        other => CommandError::Failed(other.into()),
    }
}

/// The tables in a database, up to date; nothing where there is none.
async fn open_database(settings: &Serve) -> Result<Option<Store>, CommandError> {
    let Some(database) = &settings.database else { return Ok(None) };
    if settings.data.join(LEDGER_FILE).exists() {
        tracing::warn!(
            "the data folder holds a {LEDGER_FILE}, which is not looked at: with --database the ledger is in the database"
        );
    }
    if settings.migrate == OnOff::On {
        database.prepare().await?;
    } else {
        drop(database.open_ledger().await?);
    }
    let store = database.open_tables().await?;
    refuse_outdated_tables(&store).await?;
    let now = super::start_clock(Timestamp::default(), ClockSkew::default()).now();
    load_token_key(settings, &store, now).await?;
    Ok(Some(store))
}

/// The tables in the data folder, up to date.
async fn open_folder(settings: &Serve) -> Result<Store, CommandError> {
    let store = Store::open(&settings.data).await.map_err(anyhow::Error::from)?;
    if settings.migrate == OnOff::On {
        store.migrate().await.map_err(anyhow::Error::from)?;
    }
    refuse_outdated_tables(&store).await?;
    Ok(store)
}

async fn refuse_outdated_tables(store: &Store) -> Result<(), CommandError> {
    if !store.is_current().await.map_err(anyhow::Error::from)? {
        let sentence =
            "--migrate off: the tables are not those of this version, run `doorbuster migrate` first";
        return Err(CommandError::Usage(sentence.to_owned()));
    }
    Ok(())
}

async fn open_shop(
    settings: &Serve,
    store: Store,
    running: &RunningEngine,
    metrics: &ServerMetrics,
) -> Result<(Shop, AttemptsInbox), CommandError> {
    let sharing = tenancy(settings);
    let engine = running.engine.clone();
    let clock = Arc::clone(engine.clock());
    let now: TimeSource = Arc::new(move || clock.now());
    let ttl_s = u32::try_from(settings.token_ttl.as_secs()).unwrap_or(u32::MAX);
    let tokens = AccessTokens::new(
        load_token_key(settings, &store, now()).await?,
        ttl_s,
        settings.token_cache as usize,
    );
    let receipts = ReceiptSigner::new(&tokens.secret_for("receipts"));
    let passwords =
        PasswordPool::start(settings.password_threads()).context("the password threads cannot start")?;
    let sandbox = Arc::new(SandboxProvider::new(Arc::new(ChargeTable(store.clone())), SLOW_DELAY));
    let timing = ReconcileTiming { tenancy: sharing, ..ReconcileTiming::default() };
    let payments =
        PaymentService::new(store.clone(), engine.clone(), sandbox, ProviderTimeouts::default(), timing);
    let dropped = Counter::default();
    let (attempts, inbox) = attempts::buffer(dropped.clone());

    metrics.register("attempts_dropped", "Refused attempts that could be neither kept nor counted", dropped);
    metrics.with_registry(|registry| engine.metrics().register(registry));
    payments.metrics().register(metrics);
    let watched = engine.clone();
    metrics
        .register_sale_gauges(move || watched.views().list().iter().map(|view| sale_gauges(view)).collect());

    let catalogue = SaleCatalogue::load(&store, sharing).await.map_err(anyhow::Error::from)?;
    let refresh_ttl_ms = i64::try_from(settings.refresh_ttl.as_millis()).unwrap_or(i64::MAX);
    let accounts =
        AccountService { now: Arc::clone(&now), store: store.clone(), tokens, passwords, refresh_ttl_ms };
    let shop = Shop {
        now,
        engine,
        store,
        tenancy: sharing,
        catalogue,
        projected: ProjectedOffsets::default(),
        lag: TableLag::default(),
        attempts,
        payments,
        keys: Arc::default(),
        receipts,
        summaries: SummaryCache::default(),
        accounts,
    };
    Ok((shop, inbox))
}

/// The request limits, if they are on: shared by all who share a Valkey, where there is one.
async fn open_limits(
    settings: &Serve,
    shop: &Shop,
    metrics: &ServerMetrics,
) -> Result<Option<RateLimiter>, CommandError> {
    let Some(rates) = settings.rates() else { return Ok(None) };
    let Some(address) = settings.valkey()? else { return Ok(Some(RateLimiter::new(rates))) };
    let counted_alone = Counter::default();
    metrics.register(
        "limits_local",
        "Requests that this instance counted alone, because Valkey did not answer",
        counted_alone.clone(),
    );
    let shared = shared::SharedLimiterSettings {
        address,
        timeouts: settings.limiter_timeouts,
        now: Arc::clone(&shop.now),
        counted_alone,
    };
    Ok(Some(RateLimiter::connect_shared(rates, shared).await))
}

/// Who else may work on the tables. A folder is locked; a database is no one's alone, not even where one instance decides: the
/// one whose ledger was taken over may still be at work.
fn tenancy(settings: &Serve) -> Tenancy {
    if settings.database.is_some() { Tenancy::Cluster } else { Tenancy::Single }
}

fn sale_gauges(view: &SaleView) -> SaleGauges {
    let units = view.counters;
    let version = i64::try_from(view.seq.0).unwrap_or(i64::MAX);
    let figures = [units.quantity, units.available, units.admitted, units.held, units.sold, units.waiting]
        .map(i64::from);
    let [quantity, available, admitted, held, sold, waiting] = figures;
    SaleGauges {
        sale: view.id.to_string(),
        values: [quantity, available, admitted, held, sold, waiting, version],
    }
}

fn start_projector(
    shop: &Shop,
    inbox: AttemptsInbox,
    metrics: &ServerMetrics,
    may_write: bool,
) -> Result<Projector, CommandError> {
    let figures = projector::ProjectorMetrics::default();
    metrics.register("projector_events", "Events written into the tables", figures.events.clone());
    metrics.register(
        "projector_failures",
        "Times that the tables could not be written",
        figures.failures.clone(),
    );
    metrics.register("projector_rebuilds", "Sales whose tables were written anew", figures.rebuilds.clone());
    metrics.register(
        "projector_lag_events",
        "Events that the tables do not show yet",
        shop.lag.events.clone(),
    );
    metrics.register(
        "projector_lag_seconds",
        "Time since the tables showed everything",
        shop.lag.seconds.clone(),
    );
    let tools = projector::ProjectorDependencies {
        engine: shop.engine.clone(),
        store: shop.store.clone(),
        tenancy: shop.tenancy,
        projected: shop.projected.clone(),
        inbox,
        metrics: figures,
    };
    Ok(Projector::start(
        tools,
        projector::ProjectorSettings { may_write, ..projector::ProjectorSettings::default() },
    )
    .context("the projector cannot start")?)
}

/// The shop, for those who look after sockets.
#[derive(Clone)]
struct ShopHandle(AppState);

impl std::ops::Deref for ShopHandle {
    type Target = Shop;
    fn deref(&self) -> &Shop {
        &self.0.shop
    }
}

fn open_sockets(
    app: &AppState,
    settings: realtime::SocketSettings,
) -> Result<(SocketServer, LiveFollower), CommandError> {
    let metrics = SocketMetrics::default();
    metrics.register(&app.metrics);
    let audience = SubscriberCount::default();
    let (sender, news) = mpsc::channel(realtime::SALE_EVENTS_MAX);
    let follower = live::LiveDependencies {
        engine: app.shop.engine.clone(),
        subscribers: audience.clone(),
        events: sender,
        followed: metrics.followed.clone(),
        failures: metrics.failures.clone(),
    };
    let shop = ShopHandle(Arc::clone(app));
    let tools = realtime::SocketDependencies {
        shop,
        events: news,
        subscribers: audience,
        problems: problem_summary,
        metrics,
    };
    let realtime = SocketServer::start(tools, settings);
    Ok((realtime, LiveFollower::start(follower).context("the follower for live updates cannot start")?))
}

/// What HTTP says of a code, for the sockets. Of two kinds with one code the last is meant: `not_in_line` as 404.
fn problem_summary(code: &str) -> Option<ProblemSummary> {
    let kind = kind::ALL.iter().rfind(|kind| kind.code == code)?;
    Some(ProblemSummary { code: kind.code, title: kind.title, detail: kind.detail, status: kind.status })
}

/// While nobody is an admin, this start makes one.
async fn make_first_admin(
    settings: &Serve,
    desk: &AccountService,
) -> Result<Option<FirstAdmin>, CommandError> {
    if accounts::has_admin(&desk.store).await.map_err(anyhow::Error::from)? {
        return Ok(None);
    }
    let email = settings.admin_email.clone().unwrap_or_else(|| ADMIN_EMAIL.to_owned());
    let (password, generated) = match &settings.admin_password {
        Some(password) => (password.clone(), false),
        None => (admin::generate_password()?, true),
    };
    let registration = admin::parse_registration("admin-", email.clone(), None, password.clone())?;
    match accounts::create_first_admin(desk, registration).await.map_err(anyhow::Error::from)? {
        Ok(Some(_)) => Ok(generated.then_some(FirstAdmin { email, password })),
        // Another first start was first: its password counts.
        Ok(None) => Ok(None),
        Err(_) => Err(CommandError::Usage("--admin-email: another account has its username".to_owned())),
    }
}

fn bind(flag: &str, address: SocketAddr) -> Result<TcpSocket, CommandError> {
    server::bind(address)
        .map_err(|error| CommandError::Usage(format!("{flag}: cannot listen on {address}: {error}")))
}

/// Looks at what other processes do, until told to stop.
async fn poll_peers(app: AppState, mut neighbours: PeerChanges, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(peer_changes::POLL_INTERVAL) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        neighbours.poll(&app.shop).await;
    }
}

/// Measures how far the tables are behind, until told to stop.
async fn measure_lag(app: AppState, mut stop: watch::Receiver<bool>) {
    let shop = &app.shop;
    loop {
        shop.lag.measure(shop.engine.views(), &shop.projected, (shop.now)());
        tokio::select! {
            () = tokio::time::sleep(table_lag::MEASURE_EVERY) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

fn listen(flag: &str, socket: TcpSocket) -> Result<TcpListener, CommandError> {
    server::listen(socket).map_err(|error| CommandError::Usage(format!("{flag}: cannot listen: {error}")))
}

async fn sweep_expired(app: AppState, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP_INTERVAL) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        if let Err(error) = accounts::forget_expired_sessions(&app.shop.accounts).await {
            tracing::warn!(%error, "expired sessions could not be forgotten; trying again later");
        }
        // At the start they may have been another's work still.
        if app.shop.tenancy.is_cluster()
            && let Err(error) = sales::settle_half_made(&app.shop).await
        {
            tracing::warn!(%error, "sales that were left half-made cannot be settled; trying again later");
        }
    }
}
