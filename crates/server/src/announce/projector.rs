//! The projector: writes the ledger into the tables that people query. It is slower than the pipeline by nature (rows with
//! random ids and indexes), so it may fall behind while a sale runs; then it works at a low priority and for a small share of
//! a core, and catches up when the rush is over. Readers that must be exact ask [`Projected`] and the engine.
//!
//! What it wrote and how far it came are committed together, so it can be killed at any moment; and the ledger is all it
//! needs, so what it wrote can be thrown away.

use super::attempts::Writer;
use super::fold::fold;
use crate::shop::attempts::AttemptsInbox;
use crate::shop::projected::Projected;
use crate::store::counters::{self, CountersRow};
use crate::store::followers::{self, Offset};
use crate::store::{Store, StoreError, attempts, orders, queue};
use engine::Engine;
use engine::clock::stopwatch;
use engine::record::{ReadError, encode_event};
use crate::telemetry::metrics::Counter;
use sale::{Entry, SaleId, Seq};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// Under which name it keeps its offsets.
pub const NAME: &str = "projector";

/// How the projector works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Events a transaction, at most. A few hundred take a few milliseconds, and a registration waits no longer for the writer.
    pub events_max: usize,
    /// While the pipeline is busy it rests so many times as long as it worked: 6 leaves it a seventh of a core.
    pub rest_factor: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { events_max: 400, rest_factor: 6 }
    }
}

/// How nice the projector's threads are: at +10 a thread gets about a tenth of what another gets that wants the same core.
const NICE: i32 = 10;
/// A rest is never longer, whatever the disk did to the work before it.
const REST_MAX: Duration = Duration::from_millis(100);
/// How often it looks for refused attempts when nothing else happens.
const ATTEMPTS_EVERY: Duration = Duration::from_millis(250);
/// How long it waits after a failure: doubled each time up to the maximum.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// The projector's figures; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Events written into the tables.
    pub events: Counter,
    /// Times that something could not be written, or the ledger not be read.
    pub failures: Counter,
    /// Sales whose tables were thrown away and written again, because the ledger was another one.
    pub rebuilds: Counter,
}

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
    pub store: Store,
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

/// Why a round was not finished.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the tables cannot be written")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] ReadError),
    #[error("someone else writes under the projector's name")]
    Overtaken,
}

async fn run(tools: Tools, settings: Settings, mut stopping: watch::Receiver<bool>) {
    let Tools { engine, store, projected, inbox, figures } = tools;
    let mut bell = engine.views().bell();
    let mut attempts = Writer::new(inbox);
    let mut retry = RETRY_FIRST;
    let mut follower = None;
    while !*stopping.borrow() {
        bell.borrow_and_update();
        let started = stopwatch();
        let round = async {
            if follower.is_none() {
                let fresh = Follower::begin(&engine, &store, &projected, &figures, settings).await?;
                follower = Some(fresh);
            }
            let Some(follower) = &mut follower else { return Ok(false) };
            let events_wait = follower.round().await?;
            let attempts_wait = attempts.write(&follower.store, engine.now(), false).await?;
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
                tracing::error!(error = &failure as &dyn std::error::Error, "the tables fall behind; trying again");
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
        Some(follower) => Ok(follower.store),
        None => store.follower().await,
    };
    if let Ok(store) = last {
        while let Ok(true) = attempts.write(&store, engine.now(), true).await {}
        store.close().await;
    }
}

/// One life of the projector: from reading its offsets to the first failure.
pub(super) struct Follower<'a> {
    engine: &'a Engine,
    projected: &'a Projected,
    figures: &'a Figures,
    settings: Settings,
    store: Store,
    sales: HashMap<SaleId, Tail>,
}

/// Where the tables of one sale stand.
#[derive(Clone, Debug, Default)]
struct Tail {
    offset: Offset,
    counters: Option<CountersRow>,
}

impl<'a> Follower<'a> {
    /// Reads the offsets, and compares them with the ledger.
    pub(super) async fn begin(
        engine: &'a Engine,
        store: &Store,
        projected: &'a Projected,
        figures: &'a Figures,
        settings: Settings,
    ) -> Result<Self, Failure> {
        let store = store.follower().await?;
        let mut follower = Self { engine, projected, figures, settings, store, sales: HashMap::new() };
        for (sale, offset) in followers::list(&follower.store, NAME).await? {
            if follower.is_of_this_ledger(sale, &offset).await? {
                projected.set(sale, offset.seq);
                let counters = counters::find(&follower.store, sale).await?;
                follower.sales.insert(sale, Tail { offset, counters });
            } else {
                follower.drop_sale(sale).await?;
            }
        }
        Ok(follower)
    }

    /// False when the event at the offset is not the one that was projected: an older copy of the ledger was restored, or it
    /// has gone another way since.
    async fn is_of_this_ledger(&self, sale: SaleId, offset: &Offset) -> Result<bool, Failure> {
        let before = Seq(offset.seq.0.saturating_sub(1));
        let entries = self.engine.ledger().read(sale, before, 1).await?;
        Ok(entries.first().is_some_and(|entry| entry.seq == offset.seq && mark(entry) == offset.mark))
    }

    async fn drop_sale(&mut self, sale: SaleId) -> Result<(), Failure> {
        tracing::warn!(%sale, "the tables of this sale follow another ledger; they are written again");
        let mut writing = self.store.begin().await?;
        followers::drop_projected(&mut writing, NAME, sale).await?;
        writing.commit().await?;
        self.projected.set(sale, Seq(0));
        self.figures.rebuilds.inc();
        Ok(())
    }

    /// One transaction for each sale that lags. True when a sale lags still.
    pub(super) async fn round(&mut self) -> Result<bool, Failure> {
        let mut more = false;
        for view in self.engine.views().all() {
            let applied = self.sales.get(&view.id).map_or(Seq(0), |tail| tail.offset.seq);
            if applied < view.seq {
                self.step(view.id).await?;
                more |= self.projected.applied(view.id) < view.seq;
            }
        }
        Ok(more)
    }

    /// Projects the next events of a sale, in one transaction.
    async fn step(&mut self, sale: SaleId) -> Result<(), Failure> {
        let tail = self.sales.get(&sale).cloned().unwrap_or_default();
        let entries = self.engine.ledger().read(sale, tail.offset.seq, self.settings.events_max).await?;
        let folded = fold(sale, tail.counters, &entries);
        let Some(last) = entries[..folded.taken].last() else { return Ok(()) };
        let offset = Offset { seq: last.seq, mark: mark(last) };
        let mut writing = self.store.begin().await?;
        // A write first: SQLite cannot turn a reading transaction into a writing one that was overtaken.
        if !followers::advance(&mut writing, NAME, sale, &tail.offset, &offset).await? {
            return Err(Failure::Overtaken);
        }
        orders::upsert(&mut writing, &folded.orders).await?;
        queue::upsert(&mut writing, sale, &folded.queue).await?;
        if let Some(ms) = folded.extend_ms {
            queue::extend_admissions(&mut writing, sale, ms).await?;
        }
        attempts::insert(&mut writing, &folded.attempts).await?;
        if let Some(row) = &folded.counters {
            counters::upsert(&mut writing, sale, row).await?;
        }
        writing.commit().await?;
        self.projected.set(sale, offset.seq);
        self.figures.events.inc_by(folded.taken as u64);
        self.sales.insert(sale, Tail { offset, counters: folded.counters });
        Ok(())
    }
}

/// Tells an event from any other of the same number.
fn mark(entry: &Entry) -> String {
    let mut bytes = entry.at.0.to_be_bytes().to_vec();
    encode_event(&entry.event, &mut bytes);
    Sha256::digest(&bytes)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
