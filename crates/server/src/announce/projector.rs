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
use crate::shop::projected::Projected;
use crate::shop::projection::refusals::RefusalWriter;
use crate::shop::projection::{Failure, Follower, Onlooker, Tables};
use crate::shop::sharing::Sharing;
use engine::Engine;
use engine::clock::stopwatch;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

pub use crate::shop::projection::{Figures, NAME};

/// How the projector works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Events a transaction, at most. A few hundred take a few milliseconds, and a registration waits no longer for the writer.
    pub events_max: usize,
    /// While the pipeline is busy it rests so many times as long as it worked: 24 leaves it 4 % of a core, some 2,000 events a
    /// second. Buyers do not notice (what lags is asked of the engine); the tables catch up when the rush is over.
    pub rest_factor: u32,
    /// False for a process that leaves the writing to others.
    pub may_write: bool,
}

impl Default for Settings {
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
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// How many looks there are from one try to be the one who writes to the next: about a second.
const LOOKS_A_TRY: u32 = 6;
/// How long it waits after a failure: doubled each time up to the maximum.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// A running projector.
pub struct Projector {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// What it works with.
pub struct Tools {
    /// Whose ledger it reads.
    pub engine: Engine,
    /// Whose tables it writes.
    pub store: Tables,
    /// Who else works on them.
    pub sharing: Sharing,
    /// Where it tells how far it is.
    pub projected: Projected,
    /// The refused attempts to write.
    pub inbox: AttemptsInbox,
    /// Its figures.
    pub figures: Figures,
}

impl Projector {
    /// Starts it on a thread of its own.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(tools: Tools, settings: Settings) -> io::Result<Self> {
        let (stop, stopping) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name(NAME.into()).spawn(move || {
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
enum Part<'a> {
    /// It writes the tables.
    Writer(Follower<'a>),
    /// It looks how far another is.
    Onlooker(Onlooker<'a>),
}

/// How a round ended.
enum Round {
    /// There is more to be written at once.
    More,
    /// All is written that was there.
    Done,
    /// Somebody else writes.
    Looked,
}

/// What goes on from round to round.
struct Work<'a> {
    tools: &'a Kept,
    settings: Settings,
    attempts: RefusalWriter,
    part: Option<Part<'a>>,
    looks: u32,
}

/// The tools without what is used up.
struct Kept {
    engine: Engine,
    store: Tables,
    sharing: Sharing,
    projected: Projected,
    figures: Figures,
}

impl<'a> Work<'a> {
    async fn round(&mut self) -> Result<Round, Failure> {
        let Kept { engine, store, projected, figures, .. } = self.tools;
        let part = match self.part.take() {
            Some(part) => part,
            None => Part::Onlooker(Onlooker::begin(store, projected).await?),
        };
        let part = match part {
            Part::Onlooker(onlooker) if self.tries_now() && onlooker.may_write().await? => {
                Part::Writer(Follower::begin(engine, onlooker, figures, self.settings.events_max).await?)
            }
            part => part,
        };
        match self.part.insert(part) {
            Part::Writer(follower) => {
                let events_wait = follower.round().await?;
                let attempts_wait = self.attempts.write(follower.tables(), engine.now(), false).await?;
                let more = events_wait || attempts_wait;
                if !more && self.cannot_see() {
                    self.step_down().await;
                }
                Ok(if more { Round::More } else { Round::Done })
            }
            Part::Onlooker(onlooker) => {
                onlooker.look().await?;
                let attempts_wait = self.attempts.write(onlooker.tables(), engine.now(), false).await?;
                Ok(if attempts_wait { Round::More } else { Round::Looked })
            }
        }
    }

    /// Whether an onlooker tries to write: in its first round, and then about once a second.
    fn tries_now(&mut self) -> bool {
        let is_time = self.looks.is_multiple_of(LOOKS_A_TRY);
        self.looks = self.looks.wrapping_add(1);
        is_time && self.settings.may_write && !self.tools.engine.is_taken_over()
    }

    /// Whether others may see more of the ledger than is published here: then what is published here is no measure.
    fn cannot_see(&self) -> bool {
        let engine = &self.tools.engine;
        self.tools.sharing.is_shared() && (engine.is_taken_over() || !engine.is_recording())
    }

    /// Lets another process write.
    async fn step_down(&mut self) {
        if let Some(Part::Writer(follower)) = self.part.take() {
            follower.tables().close().await;
        }
        // The next try is a second from now, so that another is first.
        self.looks = 1;
    }

    /// What was written is told by the tables, not by memory; and the lock, if it was ours, goes with the connection.
    async fn fail(&mut self) {
        self.tools.figures.failures.inc();
        self.attempts.take(self.tools.engine.now(), false);
        if let Some(part) = self.part.take() {
            part.tables().close().await;
        }
        self.looks = 0;
    }

    /// The ledger can wait for the next start, refused attempts cannot: they are nowhere else.
    async fn end(mut self) {
        let last = match self.part {
            Some(part) => Ok(part.tables().clone()),
            None => self.tools.store.follower().await,
        };
        if let Ok(store) = last {
            while let Ok(true) = self.attempts.write(&store, self.tools.engine.now(), true).await {}
            store.close().await;
        }
    }
}

impl Part<'_> {
    fn tables(&self) -> &Tables {
        match self {
            Self::Writer(follower) => follower.tables(),
            Self::Onlooker(onlooker) => onlooker.tables(),
        }
    }
}

async fn run(tools: Tools, settings: Settings, mut stopping: watch::Receiver<bool>) {
    let Tools { engine, store, sharing, projected, inbox, figures } = tools;
    let mut bell = engine.views().bell();
    let kept = Kept { engine, store, sharing, projected, figures };
    let mut work = Work { tools: &kept, settings, attempts: RefusalWriter::new(inbox), part: None, looks: 0 };
    let mut retry = RETRY_FIRST;
    // A projector that was dropped is told to stop as well: its channel is closed.
    while stopping.has_changed().is_ok() && !*stopping.borrow() {
        bell.borrow_and_update();
        let started = stopwatch();
        let round = work.round().await;
        let is_busy = bell.has_changed().unwrap_or(false);
        let rest = match round {
            Ok(Round::Looked) => LOOK_EVERY,
            Ok(_) if is_busy => (started.elapsed() * settings.rest_factor).min(REST_MAX),
            Ok(Round::More) => Duration::ZERO,
            Ok(Round::Done) => {
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
                work.fail().await;
                let rest = retry;
                retry = (retry * 2).min(RETRY_MAX);
                rest
            }
        };
        if work.part.is_some() {
            retry = RETRY_FIRST;
        }
        if !rest.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                _ = stopping.changed() => {}
            }
        }
    }
    work.end().await;
}
