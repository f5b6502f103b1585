//! What a follower of the ledger is: a name, a pace, and a way to deliver events. Who reads, wakes, retries and measures is not
//! its concern: the runners in [`super::shared`] and [`super::local`] do that.

use super::backoff::BackoffLimits;
use crate::shop::followers::digest_event;
use crate::store::followers::{self, FollowerOffset};
use crate::store::{Store, StoreError, StoreTransaction};
use engine::record::ReadError;
use engine::{Engine, SaleView};
use sale::{EventSeq, LedgerEntry, SaleId, Timestamp};
use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

/// A follower that runs in one process at a time, with an offset for each sale in the tables. Delivery is at least once.
pub trait SharedFollower: Send + 'static {
    /// The name of its offsets, its lock and its metrics.
    const NAME: &'static str;

    /// Delivers the first events of a batch, as many as it likes.
    ///
    /// # Errors
    /// When they are not delivered. The runner reads the offsets again and retries.
    fn deliver(&mut self, batch: &SharedBatch<'_>) -> impl Future<Output = Result<Delivery, FollowerError>>;

    /// Goes back to before the first event of a sale, because the ledger was set back or the follower was rewound to there.
    ///
    /// # Errors
    /// When the tables cannot be written.
    fn restart_sale(
        &mut self,
        tables: &Store,
        sale: SaleId,
    ) -> impl Future<Output = Result<(), FollowerError>> {
        async move {
            let mut writing = tables.begin().await?;
            followers::delete_offset(&mut writing, Self::NAME, sale).await?;
            Ok(writing.commit().await?)
        }
    }

    /// Called when this process becomes the one that delivers, before it reads the offsets.
    ///
    /// # Errors
    /// When the tables or the ledger cannot be read or written.
    fn begin_delivery(
        &mut self,
        _tables: &Store,
        _engine: &Engine,
    ) -> impl Future<Output = Result<(), FollowerError>> {
        async { Ok(()) }
    }

    /// Delivers what is due without a new event of the ledger. Called in the process that delivers, after each round. True when more
    /// waits.
    ///
    /// # Errors
    /// When it is not delivered.
    fn deliver_due(&mut self, _round: &LeaderRound<'_>) -> impl Future<Output = Result<bool, FollowerError>> {
        async { Ok(false) }
    }

    /// Writes what each process writes for itself, whichever of them delivers. True when more waits. Called after every round,
    /// and with `is_last` until nothing waits when the process stops.
    ///
    /// # Errors
    /// When the tables cannot be written.
    fn write_own_rows(
        &mut self,
        _tables: &Store,
        _now: Timestamp,
        _is_last: bool,
    ) -> impl Future<Output = Result<bool, FollowerError>> {
        async { Ok(false) }
    }

    /// Called after a failure, so that what [`Self::write_own_rows`] would have written does not pile up without a bound.
    fn collect_own_rows(&mut self, _now: Timestamp) {}
}

/// The process that delivers, after a round.
pub struct LeaderRound<'a> {
    /// The tables, by the follower's own connection.
    pub tables: &'a Store,
    pub engine: &'a Engine,
    /// What is delivered of each sale.
    pub offsets: &'a HashMap<SaleId, FollowerOffset>,
}

/// Events of one sale for a shared follower.
pub struct SharedBatch<'a> {
    pub(super) name: &'static str,
    pub(super) from: &'a FollowerOffset,
    /// The tables, by the follower's own connection.
    pub tables: &'a Store,
    pub engine: &'a Engine,
    pub sale: SaleId,
    /// The events after the offset, in order; at least one.
    pub entries: &'a [LedgerEntry],
}

/// What a shared follower did with a batch: how many events it delivered, from the first one; at least one. A follower that can
/// deliver none fails, so that the runner waits before it tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The runner is to commit the offset.
    Delivered(usize),
    /// The follower committed the offset with its rows.
    Committed(usize),
}

impl SharedBatch<'_> {
    /// The offset from which the batch starts.
    #[must_use]
    pub fn from(&self) -> &FollowerOffset {
        self.from
    }

    /// The offset after the first `count` events.
    #[must_use]
    pub fn offset_after(&self, count: usize) -> FollowerOffset {
        match self.entries[..count].last() {
            Some(last) => FollowerOffset { seq: last.seq, event_digest: digest_event(last) },
            None => self.from.clone(),
        }
    }

    /// Moves the offset behind the first `count` events, in the transaction of the follower's own rows. Call it first in the
    /// transaction: SQLite cannot upgrade a read that another process overtook.
    ///
    /// # Errors
    /// When the offset was moved meanwhile, or the tables cannot be written.
    pub async fn advance(&self, writing: &mut StoreTransaction, count: usize) -> Result<(), FollowerError> {
        let to = self.offset_after(count);
        if followers::advance(writing, self.name, self.sale, self.from, &to).await? {
            Ok(())
        } else {
            Err(FollowerError::Overtaken)
        }
    }
}

/// A follower that runs in every process, with its offsets in memory.
pub trait LocalFollower: Send + 'static {
    /// The name of its metrics.
    const NAME: &'static str;

    /// After which event it begins in a sale. `is_startup` is false for a sale that appeared after the first round.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn find_start(
        &mut self,
        view: &SaleView,
        is_startup: bool,
    ) -> impl Future<Output = Result<EventSeq, ReadError>>;

    /// Whether it wants the events of a sale now.
    fn filter_sale(&self, _view: &SaleView) -> SaleInterest {
        SaleInterest::Read
    }

    /// Resolves when it wants events that it did not want before.
    fn wait_for_interest(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }

    /// Delivers consecutive events of one sale.
    ///
    /// # Errors
    /// [`FollowerError::ReceiverGone`] ends the follower.
    fn deliver(
        &mut self,
        sale: SaleId,
        entries: Vec<LedgerEntry>,
    ) -> impl Future<Output = Result<(), FollowerError>>;

    /// Called when it has delivered everything that was published when the round began.
    fn handle_catch_up(&mut self) {}
}

/// What a local follower wants of a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaleInterest {
    /// Its events.
    Read,
    /// Nothing, and not later either: the offset moves to the present.
    Skip,
    /// Nothing yet: the offset stays.
    Defer,
}

/// How a follower works.
#[derive(Clone, Copy, Debug)]
pub struct FollowerPace {
    /// Events a batch, at most: this bounds the memory.
    pub batch_len_max: usize,
    /// While the pipeline is busy, or writers of the tables wait while it catches up, it rests so many times as long as it worked.
    pub rest_factor: u32,
    /// It rests at least so long once it has caught up, so that a rush is read in long batches.
    pub rest_min: Duration,
    /// It looks again after so long when nothing wakes it.
    pub idle_max: Duration,
    /// How nice its thread is: at 10 a thread gets about a tenth of what another gets that wants the same core.
    pub nice: i32,
    pub backoff: BackoffLimits,
}

/// Why a round of a follower was not finished.
#[derive(Debug, thiserror::Error)]
pub enum FollowerError {
    #[error("the tables cannot be read or written")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] ReadError),
    /// The offset is not where this process left it.
    #[error("the offset was moved by another process or by a rewind")]
    Overtaken,
    /// What the receiver said, or why it cannot be reached.
    #[error("the receiver did not take the events")]
    Delivery(#[source] Box<dyn Error + Send + Sync>),
    /// Nothing reads what a local follower delivers; it ends.
    #[error("the receiver has ended")]
    ReceiverGone,
}
