//! One rehearsal: prepares the sale, runs the crowd, waits until everything is settled, and gives the evidence to the judge.
//! It decides when things happen, and judges nothing.

mod faults;

mod ending;

mod instance;

mod sampler;
mod sources;

pub use faults::FaultPlan;
pub use instance::{TargetInstance, TokenSigner, TokenSource};

use crate::buyer;
use crate::client::{InstanceClient, Target, TargetError};
use crate::clock::{RunClock, wall_clock};
use crate::context::{BuyerCredentials, RunContext, SaleEndpoints, WatchMode};
use crate::crowd::{Crowd, CrowdMember, preset};
use crate::dialects::{self, DialectBuyers, DialectError, DialectPlan, DialectSale, RehearsedDialect};
use crate::events::EventCollector;
use crate::evidence::EvidenceStore;
use crate::merchant::{LiveSale, MerchantClient, MerchantError, OwnSale};
use crate::observations::RunInstant;
use crate::private_instance::{PrivateError, read_cpu_seconds};
use crate::report::{RehearsalReport, RunProgress, SettingRow};
use faults::FaultLog;
use sampler::StockSampler;
use sources::EvidenceSources;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;

/// From the end of the preparation to the crowd's first request.
const START_MARGIN: Duration = Duration::from_millis(1_500);
/// The sale lasts this much longer than the crowd; the rehearsal closes it.
const SALE_OVERRUN: Duration = Duration::from_secs(3600);
/// A buyer who is stopped has this long to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// The interval of progress reports.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// A rehearsal to be played.
pub struct RehearsalSetup {
    /// What is sold, and who comes.
    pub plan: preset::DropPlan,
    pub instance: TargetInstance,
    /// The dialect whose calls the buyers make; the native ones where there is none.
    pub dialect: Option<DialectPlan>,
    /// Where buyers' tokens come from.
    pub tokens: TokenSource,
    /// What is done to the instance.
    pub faults: FaultPlan,
    /// Where the evidence is read; over the API where there is none.
    pub evidence_store: Option<Arc<dyn EvidenceStore>>,
    /// Whether a receiver of webhooks collects the events, and is judged too.
    pub collects_events: bool,
    /// Connections at a time.
    pub connections: usize,
    /// How buyers watch their place in line.
    pub watch: WatchMode,
    /// Sockets at a time, where they watch by socket.
    pub sockets: usize,
    /// Run also beside a live sale of the instance.
    pub allow_live_sale: bool,
    /// The settings, for the report.
    pub settings: Vec<SettingRow>,
    /// The command that repeats it, for the report.
    pub command: String,
    /// Sentences for the report.
    pub notes: Vec<String>,
    /// The version of the program, for the report.
    pub program: String,
}

/// Why a rehearsal was not played.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// The address is none.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There is no private instance.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// The instance does not do what is needed.
    #[error(transparent)]
    Merchant(#[from] MerchantError),
    /// The dialect does not do what is needed.
    #[error(transparent)]
    Dialect(#[from] DialectError),
    /// Real buyers are there.
    #[error(
        "the sale {} is {} on this instance, and a rehearsal would stand in its buyers' way: choose another instance or another \
         time, or say --i-know-this-is-live", .0.slug, .0.status
    )]
    LiveSale(LiveSale),
    /// The instance allows no more accounts.
    #[error(
        "the instance let {made} of {wanted} buyers sign up and then limited it: give its --token-key, start it with --limits off, \
         or take fewer buyers"
    )]
    SignUpLimited {
        /// How many have signed up.
        made: u32,
        /// How many are needed.
        wanted: u32,
    },
    /// What the instance announced is not in the archive.
    #[error(
        "the sale that the instance has just announced is not in the ledger there: is it the database of this instance?"
    )]
    ForeignDatabase,
    /// The archive cannot be read.
    #[error("the database cannot be read")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The tokens are none of this instance.
    #[error("the instance does not know tokens signed with this key: give the one that it signs with")]
    ForeignTokenKey,
    /// There is no receiver of events.
    #[error("the receiver of events cannot start")]
    Collector(#[source] std::io::Error),
    /// The instance sends no events to a receiver on this machine.
    #[error(
        "the instance sends no events to {url}: start it with --public-url, --webhooks-allow-http and --webhooks-allow-private \
         127.0.0.0/8 on this machine"
    )]
    EventsRefused {
        url: String,
        #[source]
        source: MerchantError,
    },
    /// It was stopped before anything was played.
    #[error("stopped before the first buyer came")]
    Stopped,
}

/// Everything that runs at once while the crowd is active.
struct RehearsalRun {
    sources: EvidenceSources,
    context: Arc<RunContext>,
    sale: OwnSale,
    fault_log: FaultLog,
    sampler: StockSampler,
    crowd: Crowd,
    events: Option<EventStream>,
}

/// The receiver of events, and its endpoint in the instance.
struct EventStream {
    collector: EventCollector,
    endpoint: uuid::Uuid,
}

/// Runs a rehearsal. `cut` turns true when it is to be stopped; `report_progress` is called a few times a second.
///
/// # Errors
/// When it cannot start. Later failures are in the report.
pub async fn run_rehearsal(
    rehearsal: &mut RehearsalSetup,
    cut: watch::Receiver<bool>,
    report_progress: &mut dyn FnMut(&RunProgress),
) -> Result<RehearsalReport, RehearsalError> {
    let began = wall_clock();
    let cpu_before = read_cpu_seconds();
    let watch = RunClock::start();
    report_progress(&RunProgress { phase: "preparing", ..RunProgress::default() });
    let mut run = prepare_run(rehearsal, watch, cut.clone(), report_progress).await?;
    let cut_short = run_crowd(&mut run, rehearsal, cut.clone(), report_progress).await;
    let judged = ending::settle_and_judge(&mut run, rehearsal, (cut, cut_short), report_progress).await;
    let cpu_after = read_cpu_seconds();
    run.sampler.stop();
    Ok(ending::build_report(
        rehearsal,
        run,
        judged,
        ending::RunTimes { started_at: began.to_string(), cpu_before, cpu_after },
    ))
}

/// Signs in, makes the sale, and gets the crowd ready.
async fn prepare_run(
    rehearsal: &mut RehearsalSetup,
    watch: RunClock,
    cut: watch::Receiver<bool>,
    report_progress: &mut dyn FnMut(&RunProgress),
) -> Result<RehearsalRun, RehearsalError> {
    let target = Target::new(&rehearsal.instance.url())?;
    let merchant = MerchantClient::sign_in(target.clone(), &rehearsal.instance.admin()).await?;
    if !rehearsal.allow_live_sale
        && let Some(live) = merchant.list_live_sales().await?.into_iter().next()
    {
        return Err(RehearsalError::LiveSale(live));
    }
    let drop = &rehearsal.plan;
    let crowd = Crowd::draw(&drop.crowd);
    report_progress(&RunProgress {
        phase: "buyers sign in",
        people: crowd.people.len() as u64,
        ..RunProgress::default()
    });
    let buyers = create_buyers(rehearsal, &merchant, &target, &crowd, &cut).await?;
    let first_us = crowd.people.first().map_or(0, |person| person.opens_us.min(0).unsigned_abs());
    let lead = START_MARGIN + Duration::from_micros(first_us);
    let last_us =
        crowd.people.iter().map(|person| person.presses_us.max(0).unsigned_abs()).max().unwrap_or(0);
    let length = Duration::from_micros(last_us)
        + drop.give_up_after
        + ending::longest_promise(&drop.sale)
        + SALE_OVERRUN;
    let events = if rehearsal.collects_events { Some(collect_events(&merchant).await?) } else { None };
    let own = merchant.create_sale(&drop.sale, &watch, lead, length).await?;
    let BuyersReady { client, credentials, dialect } =
        find_own_sale(buyers, &merchant, &own, drop.sale.quantity).await?;
    let context = RunContext::new(
        (client, SaleEndpoints::new(own.id, drop.sale.admission, drop.sale.hold_s)),
        (watch, own.start, drop.give_up_after),
        credentials,
    )
    .with_dialect(dialect)
    .with_watch(rehearsal.watch, rehearsal.sockets);
    let (context, merchant) = (Arc::new(context), Arc::new(merchant));
    let sources =
        EvidenceSources { merchant: Arc::clone(&merchant), evidence_store: rehearsal.evidence_store.clone() };
    sources.check_same_database(&own).await?;
    let sampler = StockSampler::start(merchant, own.id, watch);
    Ok(RehearsalRun { sources, context, sale: own, fault_log: FaultLog::default(), sampler, crowd, events })
}

/// Starts a receiver of events and has the instance send them there, from now on.
async fn collect_events(merchant: &MerchantClient) -> Result<EventStream, RehearsalError> {
    let collector = EventCollector::start().await.map_err(RehearsalError::Collector)?;
    let url = collector.url().to_owned();
    match merchant.create_webhook(&url).await {
        Ok(endpoint) => Ok(EventStream { collector, endpoint }),
        Err(source @ MerchantError::Refused { .. }) => Err(RehearsalError::EventsRefused { url, source }),
        Err(error) => Err(error.into()),
    }
}

/// The buyers before there is a sale.
enum CreatedBuyers {
    Native(InstanceClient, Vec<BuyerCredentials>),
    OfDialect(InstanceClient, RehearsedDialect, DialectBuyers),
}

/// The buyers, the way to what they call, and the sale as a dialect names it.
struct BuyersReady {
    client: InstanceClient,
    credentials: Vec<BuyerCredentials>,
    dialect: Option<DialectSale>,
}

async fn create_buyers(
    rehearsal: &RehearsalSetup,
    merchant: &MerchantClient,
    target: &Target,
    crowd: &Crowd,
    cut: &watch::Receiver<bool>,
) -> Result<CreatedBuyers, RehearsalError> {
    if let Some(plan) = &rehearsal.dialect {
        let dialect_target = Target::new(&plan.choose_url(target.url()))?;
        let buyers =
            dialects::create_buyers(plan.dialect, (target, &dialect_target), crowd.accounts, cut).await?;
        let client = InstanceClient::new(dialect_target, rehearsal.connections);
        return Ok(CreatedBuyers::OfDialect(client, plan.dialect, buyers));
    }
    let seed = rehearsal.plan.crowd.seed;
    let credentials = instance::create_credentials(merchant, &rehearsal.tokens, crowd, seed, cut).await?;
    let client = InstanceClient::new(target.clone(), rehearsal.connections);
    if !instance::accepts_tokens(&client, &credentials).await {
        return Err(RehearsalError::ForeignTokenKey);
    }
    Ok(CreatedBuyers::Native(client, credentials))
}

/// Waits until the dialect shows the sale, if there is one.
async fn find_own_sale(
    buyers: CreatedBuyers,
    merchant: &MerchantClient,
    own: &OwnSale,
    quantity: u32,
) -> Result<BuyersReady, RehearsalError> {
    match buyers {
        CreatedBuyers::Native(client, credentials) => Ok(BuyersReady { client, credentials, dialect: None }),
        CreatedBuyers::OfDialect(client, dialect, buyers) => {
            match dialects::find_sale(dialect, client.target(), (own, quantity), buyers).await {
                Ok((sale, credentials)) => Ok(BuyersReady { client, credentials, dialect: Some(sale) }),
                Err(error) => {
                    let _an_open_sale_is_left = merchant.close_sale(own.id).await;
                    Err(error.into())
                }
            }
        }
    }
}

/// Why a rehearsal was not played to its end.
struct RunInterruption {
    reason: String,
    /// True when there is no source left for the ledger.
    is_instance_down: bool,
}

impl RunInterruption {
    fn instance_down(reason: String) -> Self {
        Self { reason, is_instance_down: true }
    }

    fn buyer_panicked(error: &JoinError) -> Self {
        Self {
            reason: format!("a simulated buyer broke down, which is a fault of the rehearsal: {error}"),
            is_instance_down: false,
        }
    }

    fn stopped() -> Self {
        Self { reason: "it was stopped in the middle".to_owned(), is_instance_down: false }
    }
}

/// Runs the crowd until every buyer has ended; returns the reason if it was cut short.
async fn run_crowd(
    run: &mut RehearsalRun,
    rehearsal: &mut RehearsalSetup,
    mut cut: watch::Receiver<bool>,
    report_progress: &mut dyn FnMut(&RunProgress),
) -> Option<RunInterruption> {
    let context = Arc::clone(&run.context);
    let people = run.crowd.people.clone();
    let mut arrivals = tokio::spawn(spawn_buyers(Arc::clone(&context), people));
    let mut faults = faults::FaultSchedule::new(&rehearsal.faults, run.sale.start);
    let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let why = loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = context.clock.sleep_until(faults.next_due()) => {
                if let Err(reason) = faults.inject_due(&mut rehearsal.instance, &context.clock, &mut run.fault_log).await {
                    break Some(RunInterruption::instance_down(reason));
                }
                run.sampler.reset_silence(context.clock.now());
                continue;
            }
            everyone = &mut arrivals => break everyone.err().map(|error| RunInterruption::buyer_panicked(&error)),
            _ = cut.wait_for(|cut| *cut) => break Some(RunInterruption::stopped()),
        }
        report_progress(&run.progress("on sale"));
        if let Some((reason, log)) = rehearsal.instance.poll_exit() {
            rehearsal.notes.push(format!("The end of its log:\n{log}"));
            break Some(RunInterruption::instance_down(reason));
        }
        if let Some(reason) = run.sampler.check_silence(context.clock.now(), context.metrics.last_reply_at())
        {
            break Some(RunInterruption::instance_down(reason));
        }
    };
    context.stop_buyers();
    if why.is_some() && tokio::time::timeout(STOP_TIMEOUT, &mut arrivals).await.is_err() {
        // Without this, a buyer would wait for a silent instance until the request's timeout.
        arrivals.abort();
    }
    context.outcomes.record_rest_as_stopped(run.crowd.people.len() as u64);
    faults.free_filled_disk(&mut rehearsal.instance, &context.clock, &mut run.fault_log).await;
    why
}

/// Starts each buyer when due, whether or not the instance keeps up, and waits until all have ended.
async fn spawn_buyers(context: Arc<RunContext>, people: Vec<CrowdMember>) {
    let mut everyone = JoinSet::new();
    for person in people {
        let opens = RunInstant(context.start.0.saturating_add_signed(person.opens_us));
        if !context.wait_until(opens).await {
            break;
        }
        everyone.spawn(buyer::run_buyer(Arc::clone(&context), person));
        while let Some(gone) = everyone.try_join_next() {
            propagate_panic(gone);
        }
    }
    while let Some(gone) = everyone.join_next().await {
        propagate_panic(gone);
    }
}

/// A panic of one buyer ends the rehearsal: otherwise the verdict would silently be that of a smaller crowd.
fn propagate_panic(gone: Result<(), JoinError>) {
    if let Err(error) = gone
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

impl RehearsalRun {
    fn progress(&self, phase: &'static str) -> RunProgress {
        let context = &self.context;
        let now = context.clock.now();
        let since_start_ms =
            (i64::try_from(now.0).unwrap_or(i64::MAX) - i64::try_from(context.start.0).unwrap_or(0)) / 1000;
        let (per_second, p50_ms, p99_ms) = context.metrics.summarize_recent(now);
        RunProgress {
            now_ms: now.0 / 1000,
            since_start_ms: Some(since_start_ms),
            phase: if since_start_ms < 0 && phase == "on sale" { "the crowd gathers" } else { phase },
            people: self.crowd.people.len() as u64,
            arrived: context.outcomes.arrived(),
            gone: context.outcomes.finished(),
            stock: self.sampler.latest(),
            requests: context.metrics.requests(),
            per_second,
            p50_ms,
            p99_ms,
            refusals: context.metrics.refusals(),
            faults: self.fault_log.list(),
        }
    }
}
