//! The shared follower that writes the ledger into the tables that people query. It is slower than the pipeline by nature (rows
//! with random ids, and indexes), so it may fall behind during a rush; then it works at a low priority and for a small share of
//! a core, and catches up afterwards. Readers that must be exact ask [`FollowerProgress`] and the engine.
//!
//! Rows and offset are written in one transaction. Each process writes its own refused attempts, also where another projects.

use super::backoff::{BackoffLimits, RandomSource};
use super::follower::{Delivery, FollowerError, FollowerPace, SharedBatch, SharedFollower};
use super::rounds::FollowerThread;
use super::shared::{SharedDependencies, SharedSettings, start_shared};
use crate::shop::attempts::AttemptsInbox;
use crate::shop::follower_progress::FollowerProgress;
use crate::shop::projection::fold::fold;
use crate::shop::projection::refusals::RefusalWriter;
use crate::shop::projection::write_rows;
use crate::shop::tenancy::Tenancy;
use crate::store::Store;
use crate::store::counters::{self, CountersRow};
use crate::store::followers::{self, FollowerOffset};
use crate::telemetry::followers::FollowerMetrics;
use crate::telemetry::metrics::Counter;
use engine::Engine;
use sale::{EventSeq, SaleId, Timestamp};
use std::collections::HashMap;
use std::io;
use std::time::Duration;

pub use crate::shop::projection::FOLLOWER_NAME;

/// How the projector works.
#[derive(Clone, Copy, Debug)]
pub struct ProjectorSettings {
    /// Events a transaction, at most. A few hundred take a few milliseconds, which a registration may have to wait.
    pub events_max: usize,
    /// While the pipeline is busy, or requests wait to write into the tables, it rests so many times as long as it worked: 24 leaves it
    /// 4 % of a core, some 2,000 events a second. Buyers do not notice, because their reads come from the engine; the tables catch up when
    /// the rush is over.
    pub rest_factor: u32,
    /// False for a process that leaves the writing to others.
    pub may_write: bool,
}

impl Default for ProjectorSettings {
    fn default() -> Self {
        Self { events_max: 400, rest_factor: 24, may_write: true }
    }
}

impl ProjectorSettings {
    pub(super) fn shared(self) -> SharedSettings {
        let pace = FollowerPace {
            batch_len_max: self.events_max,
            rest_factor: self.rest_factor,
            rest_min: Duration::ZERO,
            // Refused attempts send no notification, so the follower polls for them.
            idle_max: Duration::from_millis(250),
            nice: 10,
            backoff: BackoffLimits::OWN_STORES,
        };
        SharedSettings { pace, may_deliver: self.may_write }
    }
}

/// The projector's own metrics; clones share them.
#[derive(Clone, Debug, Default)]
pub struct ProjectorMetrics {
    /// Events written into the tables.
    pub events: Counter,
    /// Sales whose rows were dropped and written again.
    pub rebuilds: Counter,
}

/// What the projector runs with.
pub struct ProjectorDependencies {
    pub engine: Engine,
    /// The tables that it writes.
    pub store: Store,
    pub tenancy: Tenancy,
    pub progress: FollowerProgress,
    /// The refused attempts to write.
    pub inbox: AttemptsInbox,
    pub metrics: ProjectorMetrics,
    pub follower_metrics: FollowerMetrics,
    pub random: RandomSource,
}

/// Starts the projector on a thread of its own.
///
/// # Errors
/// When the operating system gives no thread.
pub fn start_projector(
    dependencies: ProjectorDependencies,
    settings: ProjectorSettings,
) -> io::Result<FollowerThread> {
    let ProjectorDependencies { engine, store, tenancy, progress, inbox, metrics, .. } = dependencies;
    let ProjectorDependencies { follower_metrics, random, .. } = dependencies;
    let runner = SharedDependencies { engine, store, tenancy, progress, metrics: follower_metrics, random };
    start_shared(Projector::new(inbox, metrics), runner, settings.shared())
}

pub(super) struct Projector {
    /// The counters of each sale as they are in the tables, and the offset at which they are.
    counters: HashMap<SaleId, (FollowerOffset, Option<CountersRow>)>,
    refusals: RefusalWriter,
    metrics: ProjectorMetrics,
}

impl Projector {
    pub(super) fn new(inbox: AttemptsInbox, metrics: ProjectorMetrics) -> Self {
        Self { counters: HashMap::new(), refusals: RefusalWriter::new(inbox), metrics }
    }

    async fn load_counters(&self, batch: &SharedBatch<'_>) -> Result<Option<CountersRow>, FollowerError> {
        match self.counters.get(&batch.sale) {
            _ if batch.from().seq == EventSeq(0) => Ok(None),
            Some((offset, counters)) if offset == batch.from() => Ok(counters.clone()),
            _ => Ok(counters::find(batch.tables, batch.sale).await?),
        }
    }
}

impl SharedFollower for Projector {
    const NAME: &'static str = FOLLOWER_NAME;

    async fn deliver(&mut self, batch: &SharedBatch<'_>) -> Result<Delivery, FollowerError> {
        let rows = fold(batch.sale, self.load_counters(batch).await?, batch.entries);
        let (count, counters) = (rows.event_count, rows.counters.clone());
        let mut writing = batch.tables.begin().await?;
        batch.advance(&mut writing, count).await?;
        write_rows(&mut writing, batch.sale, rows).await?;
        writing.commit().await?;
        self.metrics.events.inc_by(count as u64);
        self.counters.insert(batch.sale, (batch.offset_after(count), counters));
        Ok(Delivery::Committed(count))
    }

    /// Deletes the sale's rows, because they are totals of all events.
    async fn restart_sale(&mut self, tables: &Store, sale: SaleId) -> Result<(), FollowerError> {
        let mut writing = tables.begin().await?;
        followers::delete_projected_rows(&mut writing, Self::NAME, sale).await?;
        writing.commit().await?;
        self.metrics.rebuilds.inc();
        Ok(())
    }

    async fn write_own_rows(
        &mut self,
        tables: &Store,
        now: Timestamp,
        is_last: bool,
    ) -> Result<bool, FollowerError> {
        Ok(self.refusals.write(tables, now, is_last).await?)
    }

    fn collect_own_rows(&mut self, now: Timestamp) {
        self.refusals.collect_due(now, false);
    }
}
