//! Bringing the tables up to the ledger: one step folds a stretch of a sale's events into rows and writes them in one transaction
//! with how far it came. So it can be killed at any moment, and what it wrote can be thrown away: the ledger is all it needs.
//! When steps are made, and how fast, is the business of [`crate::followers`].

pub mod fold;

mod series;

pub mod refusals;

use self::fold::fold;
use super::projected_offsets::ProjectedOffsets;
use crate::store::counters::{self, CountersRow};
use crate::store::followers::{self, FollowerOffset};
use crate::store::{StoreError, attempts, orders, queue, series as series_table};
use crate::telemetry::metrics::Counter;
use engine::Engine;
use engine::record::{ReadError, encode_event};
use sale::{EventSeq, LedgerEntry, SaleId};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// The tables, as whoever projects opens them.
pub use crate::store::Store as Tables;

/// Under which name it keeps its offsets.
pub const FOLLOWER_NAME: &str = "projector";

/// The projector's figures; clones share them.
#[derive(Clone, Debug, Default)]
pub struct ProjectorMetrics {
    /// Events written into the tables.
    pub events: Counter,
    /// Times that something could not be written, or the ledger not be read.
    pub failures: Counter,
    /// Sales whose tables were thrown away and written again, because the ledger was another one.
    pub rebuilds: Counter,
}

/// Why a round was not finished.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// The tables do not answer.
    #[error("the tables cannot be written")]
    Store(#[from] StoreError),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] ReadError),
    /// Another projector has moved the offset; it is read again.
    #[error("someone else writes under the projector's name")]
    Overtaken,
}

/// One who looks how far the tables are while another process writes them.
pub struct TablesObserver<'a> {
    projected: &'a ProjectedOffsets,
    tables: Tables,
}

impl<'a> TablesObserver<'a> {
    /// With a connection of its own.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn open(tables: &Tables, projected: &'a ProjectedOffsets) -> Result<Self, ProjectionError> {
        Ok(Self { projected, tables: tables.open_follower().await? })
    }

    /// The connection that it reads by; refused attempts are written by it too, for each process writes its own.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Tells how far the tables are.
    ///
    /// # Errors
    /// When they cannot be asked.
    pub async fn poll_offsets(&self) -> Result<(), ProjectionError> {
        let offsets = followers::list_offsets(&self.tables, FOLLOWER_NAME).await?;
        self.projected.set_all(offsets.into_iter().map(|(sale, offset)| (sale, offset.seq)));
        Ok(())
    }

    /// Tries to be the one who writes: `Ok` when nobody else does. It is so as long as the connection lives.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn try_lock(&self) -> Result<bool, ProjectionError> {
        Ok(self.tables.try_lock_followers().await?)
    }
}

/// One life of the projector: from reading its offsets to the first failure.
pub struct ProjectionWriter<'a> {
    engine: &'a Engine,
    projected: &'a ProjectedOffsets,
    metrics: &'a ProjectorMetrics,
    events_max: usize,
    tables: Tables,
    sales: HashMap<SaleId, SaleProgress>,
}

/// Where the tables of one sale stand.
#[derive(Clone, Debug, Default)]
struct SaleProgress {
    offset: FollowerOffset,
    counters: Option<CountersRow>,
}

impl<'a> ProjectionWriter<'a> {
    /// Goes on from an onlooker who may write: reads the offsets, and compares them with the ledger; drops the rows of a sale
    /// whose ledger is another one. A step takes at most `events_max` events.
    ///
    /// # Errors
    /// When the tables or the ledger cannot be asked.
    pub async fn begin(
        engine: &'a Engine,
        TablesObserver { projected, tables }: TablesObserver<'a>,
        figures: &'a ProjectorMetrics,
        events_max: usize,
    ) -> Result<Self, ProjectionError> {
        let mut follower =
            Self { engine, projected, metrics: figures, events_max, tables, sales: HashMap::new() };
        for (sale, offset) in followers::list_offsets(&follower.tables, FOLLOWER_NAME).await? {
            if follower.matches_ledger(sale, &offset).await? {
                projected.set(sale, offset.seq);
                let counters = counters::find(&follower.tables, sale).await?;
                follower.sales.insert(sale, SaleProgress { offset, counters });
            } else {
                follower.delete_sale_rows(sale).await?;
            }
        }
        Ok(follower)
    }

    /// The connection that it writes by.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// False when the event at the offset is not the one that was projected: an older copy of the ledger was restored, or it
    /// has gone another way since.
    async fn matches_ledger(&self, sale: SaleId, offset: &FollowerOffset) -> Result<bool, ProjectionError> {
        let before = EventSeq(offset.seq.0.saturating_sub(1));
        let entries = self.engine.ledger().read_entries(sale, before, 1).await?;
        Ok(entries
            .first()
            .is_some_and(|entry| entry.seq == offset.seq && event_digest(entry) == offset.event_digest))
    }

    async fn delete_sale_rows(&mut self, sale: SaleId) -> Result<(), ProjectionError> {
        tracing::warn!(%sale, "the tables of this sale follow another ledger; they are written again");
        let mut writing = self.tables.begin().await?;
        followers::delete_projected_rows(&mut writing, FOLLOWER_NAME, sale).await?;
        writing.commit().await?;
        self.projected.set(sale, EventSeq(0));
        self.metrics.rebuilds.inc();
        Ok(())
    }

    /// One transaction for each sale that lags. True when a sale lags still.
    ///
    /// # Errors
    /// When the tables cannot be written or the ledger not be read. Then begin anew: what was written is told by the tables.
    pub async fn project_round(&mut self) -> Result<bool, ProjectionError> {
        let mut more = false;
        for view in self.engine.views().list() {
            let applied = self.sales.get(&view.id).map_or(EventSeq(0), |tail| tail.offset.seq);
            if applied < view.seq {
                self.project_sale(view.id).await?;
                more |= self.projected.shown_seq(view.id) < view.seq;
            }
        }
        Ok(more)
    }

    /// Projects the next events of a sale, in one transaction.
    async fn project_sale(&mut self, sale: SaleId) -> Result<(), ProjectionError> {
        let tail = self.sales.get(&sale).cloned().unwrap_or_default();
        let entries = self.engine.ledger().read_entries(sale, tail.offset.seq, self.events_max).await?;
        let folded = fold(sale, tail.counters, &entries);
        let Some(last) = entries[..folded.event_count].last() else { return Ok(()) };
        let offset = FollowerOffset { seq: last.seq, event_digest: event_digest(last) };
        let mut writing = self.tables.begin().await?;
        // A write first: SQLite cannot turn a reading transaction into a writing one that was overtaken.
        if !followers::advance(&mut writing, FOLLOWER_NAME, sale, &tail.offset, &offset).await? {
            return Err(ProjectionError::Overtaken);
        }
        orders::upsert(&mut writing, &folded.orders).await?;
        queue::upsert(&mut writing, sale, &folded.queue).await?;
        if let Some(ms) = folded.extend_ms {
            queue::extend_admissions(&mut writing, sale, ms).await?;
        }
        attempts::insert(&mut writing, &folded.attempts).await?;
        series_table::add_rows(&mut writing, sale, &folded.series.into_rows()).await?;
        if let Some(row) = &folded.counters {
            counters::upsert(&mut writing, sale, row).await?;
        }
        writing.commit().await?;
        self.projected.set(sale, offset.seq);
        self.metrics.events.inc_by(folded.event_count as u64);
        self.sales.insert(sale, SaleProgress { offset, counters: folded.counters });
        Ok(())
    }
}

/// Tells an event from any other of the same number.
fn event_digest(entry: &LedgerEntry) -> String {
    let mut bytes = entry.at.0.to_be_bytes().to_vec();
    encode_event(&entry.event, &mut bytes);
    Sha256::digest(&bytes)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
