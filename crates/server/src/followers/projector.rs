//! The projector: writes the ledger into the tables that people query. It is slower than the pipeline by nature (rows with
//! random ids and indexes), so it may fall behind while a sale runs; then it works at a low priority and for a small share of
//! a core, and catches up when the rush is over. Readers that must be exact ask [`Projected`] and the engine.
//!
//! Where processes share the tables, one of them writes: whoever has a lock of the database, which goes with its
//! connection. The others look how far it is, and try again each second; each writes its own refused attempts. The lock spares
//! work: what keeps the tables right is that every step moves the offset from where the step began, or does nothing.
//!
//! It decides when a step is made, and how fast; the steps themselves are in [`crate::shop::projection`].

use crate::shop::attempts::AttemptsInbox;
use crate::shop::projected_offsets::ProjectedOffsets;
use crate::shop::projection::refusals::RefusalWriter;
use crate::shop::projection::{ProjectionError, ProjectionWriter, Tables, TablesObserver};
use crate::shop::tenancy::Tenancy;
use engine::Engine;
use engine::clock::start_stopwatch;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

pub use crate::shop::projection::{FOLLOWER_NAME, ProjectorMetrics};

/// How the projector works.
#[derive(Clone, Copy, Debug)]
pub struct ProjectorSettings {
    /// Events a transaction, at most. A few hundred take a few milliseconds, and a registration waits no longer for the writer.
    pub events_max: usize,
    /// While the pipeline is busy it rests so many times as long as it worked: 24 leaves it 4 % of a core, some 2,000 events a
    /// second. Buyers do not notice (what lags is asked of the engine); the tables catch up when the rush is over.
    pub rest_factor: u32,
    /// False for a process that leaves the writing to others.
    pub may_write: bool,
}

impl Default for ProjectorSettings {
    fn default() -> Self {
        Self { events_max: 400, rest_factor: 24, may_write: true }
    }
}

/// How nice the projector's threads are: at +10 a thread gets about a tenth of what another gets that wants the same core.
const NICE: i32 = 10;
/// A rest is never longer, whatever the disk did to the work before it.
const REST_MAX: Duration = Duration::from_millis(500);
/// How often it looks for refused attempts when nothing else happens.
const ATTEMPTS_EVERY: Duration = Duration::from_millis(250);
/// How often a process that does not write looks how far the tables are.
const POLL_INTERVAL: Duration = Duration::from_millis(150);
/// How many looks there are from one try to be the one who writes to the next: about a second.
const POLLS_PER_TRY: u32 = 6;
/// How long it waits after a failure: doubled each time up to the maximum.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);

pub struct Projector {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// What it works with.
pub struct ProjectorDependencies {
    /// Whose ledger it reads.
    pub engine: Engine,
    /// Whose tables it writes.
    pub store: Tables,
    /// Who else works on them.
    pub tenancy: Tenancy,
    /// Where it tells how far it is.
    pub projected: ProjectedOffsets,
    /// The refused attempts to write.
    pub inbox: AttemptsInbox,
    pub metrics: ProjectorMetrics,
}

impl Projector {
    /// Starts it on a thread of its own.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(tools: ProjectorDependencies, settings: ProjectorSettings) -> io::Result<Self> {
        let (stop, stopping) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name(FOLLOWER_NAME.into()).spawn(move || {
            lower_priority();
            runtime.block_on(run(tools, settings, stopping));
        })?;
        Ok(Self { stop, thread })
    }

    /// Lets it finish the transaction it is in and write the attempts it has, and waits for that. Blocks.
    pub fn stop(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!("the projector had panicked");
        }
    }
}

/// For this thread and those it starts, such as the one that sqlx gives a SQLite connection.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE) {
        tracing::warn!(%error, "the projector runs at the common priority");
    }
}

/// What this process is at the moment.
enum ProjectorRole<'a> {
    /// It writes the tables.
    Writer(ProjectionWriter<'a>),
    /// It looks how far another is.
    Observer(TablesObserver<'a>),
}

/// How a round ended.
enum RoundResult {
    /// There is more to be written at once.
    More,
    /// All is written that was there.
    Done,
    Observed,
}

/// What goes on from round to round.
struct ProjectorLoop<'a> {
    context: &'a ProjectorContext,
    settings: ProjectorSettings,
    attempts: RefusalWriter,
    role: Option<ProjectorRole<'a>>,
    polls: u32,
}

/// The tools without what is used up.
struct ProjectorContext {
    engine: Engine,
    store: Tables,
    tenancy: Tenancy,
    projected: ProjectedOffsets,
    metrics: ProjectorMetrics,
}

impl<'a> ProjectorLoop<'a> {
    async fn run_round(&mut self) -> Result<RoundResult, ProjectionError> {
        let ProjectorContext { engine, store, projected, metrics: figures, .. } = self.context;
        let part = match self.role.take() {
            Some(part) => part,
            None => ProjectorRole::Observer(TablesObserver::open(store, projected).await?),
        };
        let part = match part {
            ProjectorRole::Observer(onlooker) if self.is_try_due() && onlooker.try_lock().await? => {
                ProjectorRole::Writer(
                    ProjectionWriter::begin(engine, onlooker, figures, self.settings.events_max).await?,
                )
            }
            part => part,
        };
        match self.role.insert(part) {
            ProjectorRole::Writer(follower) => {
                let events_wait = follower.project_round().await?;
                let attempts_wait = self.attempts.write(follower.tables(), engine.now(), false).await?;
                let more = events_wait || attempts_wait;
                if !more && self.has_stale_view() {
                    self.step_down().await;
                }
                Ok(if more { RoundResult::More } else { RoundResult::Done })
            }
            ProjectorRole::Observer(onlooker) => {
                onlooker.poll_offsets().await?;
                let attempts_wait = self.attempts.write(onlooker.tables(), engine.now(), false).await?;
                Ok(if attempts_wait { RoundResult::More } else { RoundResult::Observed })
            }
        }
    }

    /// Whether an onlooker tries to write: in its first round, and then about once a second.
    fn is_try_due(&mut self) -> bool {
        let is_time = self.polls.is_multiple_of(POLLS_PER_TRY);
        self.polls = self.polls.wrapping_add(1);
        is_time && self.settings.may_write && !self.context.engine.is_taken_over()
    }

    /// Whether others may see more of the ledger than is published here: then what is published here is no measure.
    fn has_stale_view(&self) -> bool {
        let engine = &self.context.engine;
        self.context.tenancy.is_cluster() && (engine.is_taken_over() || !engine.is_recording())
    }

    /// Lets another process write.
    async fn step_down(&mut self) {
        if let Some(ProjectorRole::Writer(follower)) = self.role.take() {
            follower.tables().close().await;
        }
        // The next try is a second from now, so that another is first.
        self.polls = 1;
    }

    /// What was written is told by the tables, not by memory; and the lock, if it was ours, goes with the connection.
    async fn handle_failure(&mut self) {
        self.context.metrics.failures.inc();
        self.attempts.collect_due(self.context.engine.now(), false);
        if let Some(part) = self.role.take() {
            part.tables().close().await;
        }
        self.polls = 0;
    }

    /// The ledger can wait for the next start, refused attempts cannot: they are nowhere else.
    async fn finish(mut self) {
        let last = match self.role {
            Some(part) => Ok(part.tables().clone()),
            None => self.context.store.open_follower().await,
        };
        if let Ok(store) = last {
            while let Ok(true) = self.attempts.write(&store, self.context.engine.now(), true).await {}
            store.close().await;
        }
    }
}

impl ProjectorRole<'_> {
    fn tables(&self) -> &Tables {
        match self {
            Self::Writer(follower) => follower.tables(),
            Self::Observer(onlooker) => onlooker.tables(),
        }
    }
}

async fn run(tools: ProjectorDependencies, settings: ProjectorSettings, mut stopping: watch::Receiver<bool>) {
    let ProjectorDependencies { engine, store, tenancy: sharing, projected, inbox, metrics: figures } = tools;
    let mut bell = engine.views().subscribe_changes();
    let kept = ProjectorContext { engine, store, tenancy: sharing, projected, metrics: figures };
    let mut work =
        ProjectorLoop { context: &kept, settings, attempts: RefusalWriter::new(inbox), role: None, polls: 0 };
    let mut retry = RETRY_FIRST;
    // A projector that was dropped is told to stop as well: its channel is closed.
    while stopping.has_changed().is_ok() && !*stopping.borrow() {
        bell.borrow_and_update();
        let started = start_stopwatch();
        let round = work.run_round().await;
        let is_busy = bell.has_changed().unwrap_or(false);
        let rest = match round {
            Ok(RoundResult::Observed) => POLL_INTERVAL,
            Ok(_) if is_busy => (started.elapsed() * settings.rest_factor).min(REST_MAX),
            Ok(RoundResult::More) => Duration::ZERO,
            Ok(RoundResult::Done) => {
                tokio::select! {
                    _ = bell.changed() => {}
                    _ = stopping.changed() => {}
                    () = tokio::time::sleep(ATTEMPTS_EVERY) => {}
                }
                Duration::ZERO
            }
            Err(failure) => {
                let error = &failure as &dyn std::error::Error;
                tracing::error!(error, "the tables fall behind; trying again");
                work.handle_failure().await;
                let rest = retry;
                retry = (retry * 2).min(RETRY_MAX);
                rest
            }
        };
        if work.role.is_some() {
            retry = RETRY_FIRST;
        }
        if !rest.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                _ = stopping.changed() => {}
            }
        }
    }
    work.finish().await;
}
