//! The conductor: sets the stage, lets the crowd play, waits until everything is settled, and hands the evidence to the judge.
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
use crate::context::{RunContext, SaleEndpoints};
use crate::crowd::{Crowd, CrowdMember, preset};
use crate::evidence::EvidenceStore;
use crate::merchant::{LiveSale, MerchantClient, MerchantError, OwnSale};
use crate::observations::RunInstant;
use crate::private_instance::{PrivateError, read_cpu_seconds};
use crate::report::{RehearsalReport, RunProgress, SettingRow};
use faults::FaultLog;
use sale::AdmissionMode;
use sampler::StockSampler;
use sources::EvidenceSources;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;

/// From everything being ready to the crowd's first look.
const START_MARGIN: Duration = Duration::from_millis(1_500);
/// The sale could go on for this long when everyone should be gone; the rehearsal closes it.
const SALE_OVERRUN: Duration = Duration::from_secs(3600);
/// Whoever is sent home has this long to go.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// How often the one who watches is told how it goes.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// A rehearsal to be played.
pub struct RehearsalSetup {
    /// What is sold, and who comes.
    pub plan: preset::DropPlan,
    pub instance: TargetInstance,
    /// Where buyers' tokens come from.
    pub tokens: TokenSource,
    /// What is done to the instance.
    pub faults: FaultPlan,
    /// Where the evidence is read; over the API where there is none.
    pub evidence_store: Option<Arc<dyn EvidenceStore>>,
    /// Connections at a time.
    pub connections: usize,
    /// Play also beside somebody else's sale.
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
    /// It was stopped before anything was played.
    #[error("stopped before the first buyer came")]
    Stopped,
}

/// Everything that goes on at once while the crowd plays.
struct RehearsalRun {
    sources: EvidenceSources,
    context: Arc<RunContext>,
    sale: OwnSale,
    fault_log: FaultLog,
    sampler: StockSampler,
    crowd: Crowd,
}

/// Plays a rehearsal. `cut` turns true when it is to be stopped; `tell` is called a few times a second.
///
/// # Errors
/// When it could not be begun. What goes wrong later is in the report.
pub async fn run_rehearsal(
    rehearsal: &mut RehearsalSetup,
    cut: watch::Receiver<bool>,
    tell: &mut dyn FnMut(&RunProgress),
) -> Result<RehearsalReport, RehearsalError> {
    let began = wall_clock();
    let cpu_before = read_cpu_seconds();
    let watch = RunClock::start();
    tell(&RunProgress { phase: "setting the stage", ..RunProgress::default() });
    let mut show = prepare_run(rehearsal, watch, cut.clone(), tell).await?;
    let cut_short = run_crowd(&mut show, rehearsal, cut.clone(), tell).await;
    let judged = ending::settle_and_judge(&mut show, rehearsal, (cut, cut_short), tell).await;
    let cpu_after = read_cpu_seconds();
    show.sampler.stop();
    Ok(ending::build_report(
        rehearsal,
        show,
        judged,
        ending::RunTimes { started_at: began.to_string(), cpu_before, cpu_after },
    ))
}

/// Signs in, makes the sale, and gets the crowd ready.
async fn prepare_run(
    rehearsal: &mut RehearsalSetup,
    watch: RunClock,
    cut: watch::Receiver<bool>,
    tell: &mut dyn FnMut(&RunProgress),
) -> Result<RehearsalRun, RehearsalError> {
    let target = Target::new(&rehearsal.instance.url())?;
    let stage = MerchantClient::sign_in(target.clone(), &rehearsal.instance.admin()).await?;
    if !rehearsal.allow_live_sale
        && let Some(live) = stage.list_live_sales().await?.into_iter().next()
    {
        return Err(RehearsalError::LiveSale(live));
    }
    let drop = &rehearsal.plan;
    let crowd = Crowd::draw(&drop.crowd);
    tell(&RunProgress {
        phase: "buyers sign in",
        people: crowd.people.len() as u64,
        ..RunProgress::default()
    });
    let credentials =
        instance::create_credentials(&stage, &rehearsal.tokens, &crowd, drop.crowd.seed, &cut).await?;
    let scene_client = InstanceClient::new(target, rehearsal.connections);
    if !instance::accepts_tokens(&scene_client, &credentials).await {
        return Err(RehearsalError::ForeignTokenKey);
    }
    let first_us = crowd.people.first().map_or(0, |person| person.opens_us.min(0).unsigned_abs());
    let lead = START_MARGIN + Duration::from_micros(first_us);
    let last_us =
        crowd.people.iter().map(|person| person.presses_us.max(0).unsigned_abs()).max().unwrap_or(0);
    let length =
        Duration::from_micros(last_us) + drop.patience + ending::longest_promise(&drop.sale) + SALE_OVERRUN;
    let own = stage.create_sale(&drop.sale, &watch, lead, length).await?;
    let admissions_per_s = match drop.sale.admission {
        AdmissionMode::Open => None,
        AdmissionMode::Fifo { per_second, .. } => Some(per_second),
    };
    let scene = RunContext::new(
        (scene_client, SaleEndpoints::new(own.id, admissions_per_s, drop.sale.hold_s)),
        (watch, own.start, drop.patience),
        credentials,
    );
    let (scene, stage) = (Arc::new(scene), Arc::new(stage));
    let sources =
        EvidenceSources { merchant: Arc::clone(&stage), evidence_store: rehearsal.evidence_store.clone() };
    sources.check_same_database(&own).await?;
    let watcher = StockSampler::start(stage, own.id, watch);
    Ok(RehearsalRun {
        sources,
        context: scene,
        sale: own,
        fault_log: FaultLog::default(),
        sampler: watcher,
        crowd,
    })
}

/// Why a rehearsal was not played to its end.
struct RunInterruption {
    reason: String,
    /// True when nobody is there who could be asked for the ledger.
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

/// Lets the crowd come and play until everyone is gone; why not, if it was cut short.
async fn run_crowd(
    show: &mut RehearsalRun,
    rehearsal: &mut RehearsalSetup,
    mut cut: watch::Receiver<bool>,
    tell: &mut dyn FnMut(&RunProgress),
) -> Option<RunInterruption> {
    let scene = Arc::clone(&show.context);
    let people = show.crowd.people.clone();
    let mut arrivals = tokio::spawn(spawn_buyers(Arc::clone(&scene), people));
    let mut faults = faults::FaultSchedule::new(&rehearsal.faults, show.sale.start);
    let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let why = loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = scene.clock.sleep_until(faults.next_due()) => {
                if let Err(reason) = faults.inject_due(&mut rehearsal.instance, &scene.clock, &mut show.fault_log).await {
                    break Some(RunInterruption::instance_down(reason));
                }
                show.sampler.reset_silence(scene.clock.now());
                continue;
            }
            everyone = &mut arrivals => break everyone.err().map(|error| RunInterruption::buyer_panicked(&error)),
            _ = cut.wait_for(|cut| *cut) => break Some(RunInterruption::stopped()),
        }
        tell(&show.progress("on sale"));
        if let Some((reason, log)) = rehearsal.instance.poll_exit() {
            rehearsal.notes.push(format!("The end of its log:\n{log}"));
            break Some(RunInterruption::instance_down(reason));
        }
        if let Some(reason) = show.sampler.check_silence(scene.clock.now(), scene.metrics.last_reply_at()) {
            break Some(RunInterruption::instance_down(reason));
        }
    };
    scene.stop_buyers();
    if why.is_some() && tokio::time::timeout(STOP_TIMEOUT, &mut arrivals).await.is_err() {
        // Whoever waits for an instance that does not answer would wait for as long as a request may take.
        arrivals.abort();
    }
    scene.outcomes.record_rest_as_stopped(show.crowd.people.len() as u64);
    faults.free_filled_disk(&mut rehearsal.instance, &scene.clock, &mut show.fault_log).await;
    why
}

/// Brings everyone when they are due, whether or not the instance keeps up, and waits until all are gone.
async fn spawn_buyers(scene: Arc<RunContext>, people: Vec<CrowdMember>) {
    let mut everyone = JoinSet::new();
    for person in people {
        let opens = RunInstant(scene.start.0.saturating_add_signed(person.opens_us));
        if !scene.wait_until(opens).await {
            break;
        }
        everyone.spawn(buyer::run_buyer(Arc::clone(&scene), person));
        while let Some(gone) = everyone.try_join_next() {
            propagate_panic(gone);
        }
    }
    while let Some(gone) = everyone.join_next().await {
        propagate_panic(gone);
    }
}

/// A buyer who breaks breaks the rehearsal: without a word, the others' verdict would be that of a smaller crowd.
fn propagate_panic(gone: Result<(), JoinError>) {
    if let Err(error) = gone
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

impl RehearsalRun {
    fn progress(&self, phase: &'static str) -> RunProgress {
        let scene = &self.context;
        let now = scene.clock.now();
        let since_start_ms =
            (i64::try_from(now.0).unwrap_or(i64::MAX) - i64::try_from(scene.start.0).unwrap_or(0)) / 1000;
        let (per_second, p50_ms, p99_ms) = scene.metrics.summarize_recent(now);
        RunProgress {
            now_ms: now.0 / 1000,
            since_start_ms: Some(since_start_ms),
            phase: if since_start_ms < 0 && phase == "on sale" { "the crowd gathers" } else { phase },
            people: self.crowd.people.len() as u64,
            arrived: scene.outcomes.arrived(),
            gone: scene.outcomes.finished(),
            stock: self.sampler.latest(),
            requests: scene.metrics.requests(),
            per_second,
            p50_ms,
            p99_ms,
            refusals: scene.metrics.refusals(),
            faults: self.fault_log.list(),
        }
    }
}
