//! Bringing the tables up to the ledger: one step folds a stretch of a sale's events into rows and writes them in one transaction
//! with how far it came. So it can be killed at any moment, and what it wrote can be thrown away: the ledger is all it needs.
//! When steps are made, and how fast, is the business of [`crate::announce`].

pub mod fold;

mod series;

pub mod refusals;

use self::fold::fold;
use super::projected::Projected;
use crate::store::counters::{self, CountersRow};
use crate::store::followers::{self, Offset};
use crate::store::{StoreError, attempts, orders, queue, series as series_table};
use crate::telemetry::metrics::Counter;
use engine::Engine;
use engine::record::{ReadError, encode_event};
use sale::{Entry, SaleId, Seq};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// The tables, as whoever projects opens them.
pub use crate::store::Store as Tables;

/// Under which name it keeps its offsets.
pub const NAME: &str = "projector";

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

/// Why a round was not finished.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The tables cannot be asked.
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
pub struct Onlooker<'a> {
    projected: &'a Projected,
    tables: Tables,
}

impl<'a> Onlooker<'a> {
    /// With a connection of its own.
    ///
    /// # Errors
    /// When the tables cannot be asked.
    pub async fn begin(tables: &Tables, projected: &'a Projected) -> Result<Self, Failure> {
        Ok(Self { projected, tables: tables.follower().await? })
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
    pub async fn look(&self) -> Result<(), Failure> {
        let offsets = followers::list(&self.tables, NAME).await?;
        self.projected.set_all(offsets.into_iter().map(|(sale, offset)| (sale, offset.seq)));
        Ok(())
    }

    /// Tries to be the one who writes: `Ok` when nobody else does. It is so as long as the connection lives.
    ///
    /// # Errors
    /// When the tables cannot be asked.
    pub async fn may_write(&self) -> Result<bool, Failure> {
        Ok(self.tables.may_follow().await?)
    }
}

/// One life of the projector: from reading its offsets to the first failure.
pub struct Follower<'a> {
    engine: &'a Engine,
    projected: &'a Projected,
    figures: &'a Figures,
    events_max: usize,
    tables: Tables,
    sales: HashMap<SaleId, Tail>,
}

/// Where the tables of one sale stand.
#[derive(Clone, Debug, Default)]
struct Tail {
    offset: Offset,
    counters: Option<CountersRow>,
}

impl<'a> Follower<'a> {
    /// Goes on from an onlooker who may write: reads the offsets, and compares them with the ledger; drops the rows of a sale
    /// whose ledger is another one. A step takes at most `events_max` events.
    ///
    /// # Errors
    /// When the tables or the ledger cannot be asked.
    pub async fn begin(
        engine: &'a Engine,
        Onlooker { projected, tables }: Onlooker<'a>,
        figures: &'a Figures,
        events_max: usize,
    ) -> Result<Self, Failure> {
        let mut follower = Self { engine, projected, figures, events_max, tables, sales: HashMap::new() };
        for (sale, offset) in followers::list(&follower.tables, NAME).await? {
            if follower.is_of_this_ledger(sale, &offset).await? {
                projected.set(sale, offset.seq);
                let counters = counters::find(&follower.tables, sale).await?;
                follower.sales.insert(sale, Tail { offset, counters });
            } else {
                follower.drop_sale(sale).await?;
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
    async fn is_of_this_ledger(&self, sale: SaleId, offset: &Offset) -> Result<bool, Failure> {
        let before = Seq(offset.seq.0.saturating_sub(1));
        let entries = self.engine.ledger().read(sale, before, 1).await?;
        Ok(entries.first().is_some_and(|entry| entry.seq == offset.seq && mark(entry) == offset.mark))
    }

    async fn drop_sale(&mut self, sale: SaleId) -> Result<(), Failure> {
        tracing::warn!(%sale, "the tables of this sale follow another ledger; they are written again");
        let mut writing = self.tables.begin().await?;
        followers::drop_projected(&mut writing, NAME, sale).await?;
        writing.commit().await?;
        self.projected.set(sale, Seq(0));
        self.figures.rebuilds.inc();
        Ok(())
    }

    /// One transaction for each sale that lags. True when a sale lags still.
    ///
    /// # Errors
    /// When the tables cannot be written or the ledger not be read. Then begin anew: what was written is told by the tables.
    pub async fn round(&mut self) -> Result<bool, Failure> {
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
        let entries = self.engine.ledger().read(sale, tail.offset.seq, self.events_max).await?;
        let folded = fold(sale, tail.counters, &entries);
        let Some(last) = entries[..folded.taken].last() else { return Ok(()) };
        let offset = Offset { seq: last.seq, mark: mark(last) };
        let mut writing = self.tables.begin().await?;
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
        series_table::add(&mut writing, sale, &folded.series.into_rows()).await?;
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
