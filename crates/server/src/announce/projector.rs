//! The projector: writes the ledger into the tables that people query. It is slower than the pipeline by nature (rows with
//! random ids and indexes), so it may fall behind while a sale runs; then it works at a low priority and for a small share of
//! a core, and catches up when the rush is over. Readers that must be exact ask [`Projected`] and the engine.
//!
//! It decides when a step is made, and how fast; the steps themselves are in [`crate::shop::projection`].

use crate::shop::attempts::AttemptsInbox;
use crate::shop::projected::Projected;
use crate::shop::projection::refusals::RefusalWriter;
use crate::shop::projection::{Failure, Follower, Tables};
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
}

impl Default for Settings {
    fn default() -> Self {
        Self { events_max: 400, rest_factor: 24 }
    }
}

/// How nice the projector's threads are: at +10 a thread gets about a tenth of what another gets that wants the same core.
const NICE: i32 = 10;
/// A rest is never longer, whatever the disk did to the work before it.
const REST_MAX: Duration = Duration::from_millis(500);
/// How often it looks for refused attempts when nothing else happens.
const ATTEMPTS_EVERY: Duration = Duration::from_millis(250);
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

async fn run(tools: Tools, settings: Settings, mut stopping: watch::Receiver<bool>) {
    let Tools { engine, store, projected, inbox, figures } = tools;
    let mut bell = engine.views().bell();
    let mut attempts = RefusalWriter::new(inbox);
    let mut retry = RETRY_FIRST;
    let mut follower = None;
    // A projector that was dropped is told to stop as well: its channel is closed.
    while stopping.has_changed().is_ok() && !*stopping.borrow() {
        bell.borrow_and_update();
        let started = stopwatch();
        let round = async {
            if follower.is_none() {
                let fresh =
                    Follower::begin(&engine, &store, &projected, &figures, settings.events_max).await?;
                follower = Some(fresh);
            }
            let Some(follower) = &mut follower else { return Ok(false) };
            let events_wait = follower.round().await?;
            let attempts_wait = attempts.write(follower.tables(), engine.now(), false).await?;
            Ok::<bool, Failure>(events_wait || attempts_wait)
        };
        let rest = match round.await {
            Ok(more) => {
                retry = RETRY_FIRST;
                let is_busy = bell.has_changed().unwrap_or(false);
                match (is_busy, more) {
                    (true, _) => (started.elapsed() * settings.rest_factor).min(REST_MAX),
                    (false, true) => Duration::ZERO,
                    (false, false) => {
                        tokio::select! {
                            _ = bell.changed() => {}
                            _ = stopping.changed() => {}
                            () = tokio::time::sleep(ATTEMPTS_EVERY) => {}
                        }
                        Duration::ZERO
                    }
                }
            }
            Err(failure) => {
                figures.failures.inc();
                attempts.take(engine.now(), false);
                tracing::error!(
                    error = &failure as &dyn std::error::Error,
                    "the tables fall behind; trying again"
                );
                // What was written is told by the tables, not by memory.
                follower = None;
                let rest = retry;
                retry = (retry * 2).min(RETRY_MAX);
                rest
            }
        };
        if !rest.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                _ = stopping.changed() => {}
            }
        }
    }
    // The ledger can wait for the next start, refused attempts cannot: they are nowhere else.
    let last = match follower {
        Some(follower) => Ok(follower.tables().clone()),
        None => store.follower().await,
    };
    if let Ok(store) = last {
        while let Ok(true) = attempts.write(&store, engine.now(), true).await {}
        store.close().await;
    }
}
