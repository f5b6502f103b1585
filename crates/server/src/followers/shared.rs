//! The runner of shared followers. Of the processes that share the tables, the one that holds the follower's advisory lock
//! delivers; the others read its offsets, and try to take the lock each second. The lock ends with its connection.
//!
//! The lock saves work. What keeps deliveries right is that an offset moves only from where the delivery began: a process whose
//! lock was lost fails to move it, and reads the offsets again.

use super::backoff::RandomSource;
use super::follower::{Delivery, FollowerError, FollowerPace, LeaderRound, SharedBatch, SharedFollower};
use super::reader::read_batch;
use super::rounds::{FollowerRounds, FollowerThread, LoopDependencies, RoundResult};
use crate::shop::follower_progress::FollowerProgress;
use crate::shop::followers::{REWOUND, offset_fits};
use crate::shop::tenancy::Tenancy;
use crate::store::Store;
use crate::store::followers::{self, FollowerOffset};
use crate::telemetry::followers::FollowerMetrics;
use engine::Engine;
use engine::clock::start_stopwatch;
use engine::error_text::describe_error;
use sale::{EventSeq, SaleId};
use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

/// Rounds of an observer from one try for the lock to the next: about a second.
const ROUNDS_PER_TRY: u32 = 6;
/// How often the process that delivers compares its offsets with the tables: a rewind takes effect within that time.
const OFFSETS_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// What a shared follower runs with.
pub struct SharedDependencies {
    pub engine: Engine,
    /// The tables of its offsets.
    pub store: Store,
    pub tenancy: Tenancy,
    /// Where its progress is published.
    pub progress: FollowerProgress,
    pub metrics: FollowerMetrics,
    pub random: RandomSource,
}

/// How a shared follower runs in this process.
#[derive(Clone, Copy, Debug)]
pub struct SharedSettings {
    pub pace: FollowerPace,
    /// False for a process that leaves the delivering to others.
    pub may_deliver: bool,
}

/// Starts a shared follower on a thread of its own.
///
/// # Errors
/// When the operating system gives no thread.
pub fn start_shared<F: SharedFollower>(
    follower: F,
    dependencies: SharedDependencies,
    settings: SharedSettings,
) -> io::Result<FollowerThread> {
    let SharedDependencies { engine, store, tenancy, progress, metrics, random } = dependencies;
    let context = LoopDependencies {
        name: F::NAME,
        engine: engine.clone(),
        pace: settings.pace,
        metrics: metrics.clone(),
        random,
    };
    let runner = SharedContext { engine, store, tenancy, progress, metrics, settings };
    FollowerThread::start(SharedRounds::new(follower, runner), context)
}

pub(super) struct SharedContext {
    pub(super) engine: Engine,
    pub(super) store: Store,
    pub(super) tenancy: Tenancy,
    pub(super) progress: FollowerProgress,
    pub(super) metrics: FollowerMetrics,
    pub(super) settings: SharedSettings,
}

/// The state that a follower keeps between rounds.
pub(super) struct SharedRounds<F> {
    follower: F,
    context: SharedContext,
    session: Option<FollowerSession>,
    rounds_observed: u32,
    /// Whether the tables may say that its receiver takes no events.
    has_failed: bool,
}

/// A connection to the tables, and what this process is while it has it.
struct FollowerSession {
    tables: Store,
    role: FollowerRole,
}

enum FollowerRole {
    /// It delivers, from these offsets.
    Leader { offsets: HashMap<SaleId, FollowerOffset>, checked_at: Instant },
    /// It reads how far another process is.
    Observer,
}

impl<F: SharedFollower> FollowerRounds for SharedRounds<F> {
    const STOPS_IN_A_ROUND: bool = false;

    async fn run_round(&mut self) -> Result<RoundResult, FollowerError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => FollowerSession {
                tables: self.context.store.open_follower().await?,
                role: FollowerRole::Observer,
            },
        };
        let result = self.run_in(&mut session).await;
        let result = self.record_outcome(&session.tables, result).await;
        // After a failure the session is kept for `handle_failure`, which closes it.
        self.session = Some(session);
        let result = result?;
        if result == RoundResult::CaughtUp && self.has_stale_view() {
            self.step_down().await;
        }
        Ok(result)
    }

    async fn wait_for_work(&self) {
        std::future::pending().await
    }

    fn count_write_waits(&self) -> u64 {
        self.context.store.count_write_waits()
    }

    /// The tables, not the memory, say what was delivered; and the lock, if this process had it, ends with the connection.
    async fn handle_failure(&mut self) {
        self.follower.collect_own_rows(self.context.engine.now());
        if let Some(session) = self.session.take() {
            session.tables.close().await;
        }
        self.rounds_observed = 0;
    }

    /// The ledger can wait for the next start; what a process writes for itself exists nowhere else.
    async fn finish(mut self) {
        let tables = match self.session {
            Some(session) => Ok(session.tables),
            None => self.context.store.open_follower().await,
        };
        if let Ok(tables) = tables {
            let now = self.context.engine.now();
            while let Ok(true) = self.follower.write_own_rows(&tables, now, true).await {}
            tables.close().await;
        }
    }
}

impl<F: SharedFollower> SharedRounds<F> {
    pub(super) fn new(follower: F, context: SharedContext) -> Self {
        Self { follower, context, session: None, rounds_observed: 0, has_failed: true }
    }

    /// Writes how the receiver is when that has changed, for the operators. After a start the tables may have an outage that is over.
    async fn record_outcome(
        &mut self,
        tables: &Store,
        result: Result<RoundResult, FollowerError>,
    ) -> Result<RoundResult, FollowerError> {
        let now = self.context.engine.now();
        match &result {
            Err(failure @ FollowerError::Delivery(_)) => {
                self.has_failed = true;
                // The failure itself says more than that it could not be recorded.
                let _ = followers::record_failure(tables, F::NAME, &describe_error(failure), now).await;
            }
            Ok(RoundResult::More | RoundResult::CaughtUp) if self.has_failed => {
                followers::end_failure(tables, F::NAME, now).await?;
                self.has_failed = false;
            }
            _ => {}
        }
        result
    }

    async fn run_in(&mut self, session: &mut FollowerSession) -> Result<RoundResult, FollowerError> {
        let FollowerSession { tables, role } = session;
        if matches!(role, FollowerRole::Observer)
            && self.is_try_due()
            && tables.try_lock_follower(F::NAME).await?
        {
            self.follower.begin_delivery(tables, &self.context.engine).await?;
            let mut offsets = HashMap::new();
            self.read_offsets(tables, &mut offsets).await?;
            // Another process may have left an outage that is over.
            self.has_failed = true;
            *role = FollowerRole::Leader { offsets, checked_at: start_stopwatch() };
        }
        let (has_more, is_leader) = match role {
            FollowerRole::Leader { offsets, checked_at } => {
                if checked_at.elapsed() >= OFFSETS_CHECK_INTERVAL {
                    // The pool replaces a connection that was cut, and the lock has ended with the old one.
                    if !tables.try_lock_follower(F::NAME).await? {
                        return Err(FollowerError::Overtaken);
                    }
                    self.read_offsets(tables, offsets).await?;
                    *checked_at = start_stopwatch();
                }
                let has_more = self.deliver_round(tables, offsets).await?;
                let round = LeaderRound { tables, engine: &self.context.engine, offsets };
                (self.follower.deliver_due(&round).await? || has_more, true)
            }
            FollowerRole::Observer => {
                let offsets = followers::list_offsets(tables, F::NAME).await?;
                self.context.progress.set_all(offsets.into_iter().map(|(sale, offset)| (sale, offset.seq)));
                (false, false)
            }
        };
        let now = self.context.engine.now();
        let has_own_rows = self.follower.write_own_rows(tables, now, false).await?;
        Ok(match (has_more || has_own_rows, is_leader) {
            (true, _) => RoundResult::More,
            (false, true) => RoundResult::CaughtUp,
            (false, false) => RoundResult::Observed,
        })
    }

    /// Takes over the offsets of the tables where they are not those in memory. An offset that does not fit the ledger starts its
    /// sale again.
    async fn read_offsets(
        &mut self,
        tables: &Store,
        offsets: &mut HashMap<SaleId, FollowerOffset>,
    ) -> Result<(), FollowerError> {
        let SharedContext { engine, progress, .. } = &self.context;
        let stored: HashMap<SaleId, FollowerOffset> =
            followers::list_offsets(tables, F::NAME).await?.into_iter().collect();
        offsets.retain(|sale, _| {
            let is_stored = stored.contains_key(sale);
            if !is_stored {
                progress.set(*sale, EventSeq(0));
            }
            is_stored
        });
        for (sale, offset) in stored {
            if offsets.get(&sale) == Some(&offset) {
                continue;
            }
            if offset_fits(&**engine.ledger(), sale, &offset).await? {
                progress.set(sale, offset.seq);
                offsets.insert(sale, offset);
            } else {
                log_restart(F::NAME, sale, &offset);
                self.follower.restart_sale(tables, sale).await?;
                progress.set(sale, EventSeq(0));
                offsets.remove(&sale);
            }
        }
        Ok(())
    }

    /// Delivers a batch of each sale that lags. True when one lags still.
    async fn deliver_round(
        &mut self,
        tables: &Store,
        offsets: &mut HashMap<SaleId, FollowerOffset>,
    ) -> Result<bool, FollowerError> {
        let mut has_more = false;
        for view in self.context.engine.views().list() {
            let offset = offsets.get(&view.id).cloned().unwrap_or_default();
            if offset.seq >= view.seq {
                continue;
            }
            let reached = self.deliver_batch(tables, view.id, &offset).await?;
            has_more |= reached.seq < view.seq;
            offsets.insert(view.id, reached);
        }
        Ok(has_more)
    }

    async fn deliver_batch(
        &mut self,
        tables: &Store,
        sale: SaleId,
        from: &FollowerOffset,
    ) -> Result<FollowerOffset, FollowerError> {
        let SharedContext { engine, progress, metrics, settings, .. } = &self.context;
        let entries = read_batch(engine, sale, from.seq, settings.pace.batch_len_max).await?;
        if entries.is_empty() {
            return Ok(from.clone());
        }
        let batch = SharedBatch { name: F::NAME, from, tables, engine, sale, entries: &entries };
        let count = match self.follower.deliver(&batch).await? {
            Delivery::Committed(count) => count,
            Delivery::Delivered(count) => {
                let mut writing = tables.begin().await?;
                batch.advance(&mut writing, count).await?;
                writing.commit().await?;
                count
            }
        };
        debug_assert!(count > 0, "a follower that delivers nothing must fail");
        let reached = batch.offset_after(count);
        progress.set(sale, reached.seq);
        metrics.delivered.inc();
        Ok(reached)
    }

    /// Whether an observer tries for the lock: in its first round, and then about once a second.
    fn is_try_due(&mut self) -> bool {
        let is_time = self.rounds_observed.is_multiple_of(ROUNDS_PER_TRY);
        self.rounds_observed = self.rounds_observed.wrapping_add(1);
        is_time && self.context.settings.may_deliver && !self.context.engine.is_taken_over()
    }

    /// Whether others may see more of the ledger than is published here: then a follower here would wait for what it never sees.
    fn has_stale_view(&self) -> bool {
        let SharedContext { engine, tenancy, .. } = &self.context;
        tenancy.is_cluster() && (engine.is_taken_over() || !engine.is_recording())
    }

    /// Lets another process deliver.
    async fn step_down(&mut self) {
        if let Some(session) = self.session.take() {
            session.tables.close().await;
        }
        // The next try is a second from now, so that another process is first.
        self.rounds_observed = 1;
    }
}

#[cfg(test)]
impl<F: SharedFollower> SharedRounds<F> {
    /// Delivers without the lock, as a process does whose lock was lost.
    pub(super) async fn lead_without_lock(&mut self) -> Result<(), FollowerError> {
        let tables = self.context.store.open_follower().await?;
        self.follower.begin_delivery(&tables, &self.context.engine).await?;
        let mut offsets = HashMap::new();
        self.read_offsets(&tables, &mut offsets).await?;
        let role = FollowerRole::Leader { offsets, checked_at: start_stopwatch() };
        self.session = Some(FollowerSession { tables, role });
        Ok(())
    }
}

fn log_restart(name: &'static str, sale: SaleId, offset: &FollowerOffset) {
    let left_at_seq = offset.seq.0;
    if offset.event_digest == REWOUND {
        tracing::info!(follower = name, %sale, left_at_seq, "a follower was rewound; it starts the sale again");
    } else {
        tracing::warn!(
            follower = name,
            %sale,
            left_at_seq,
            "the ledger has another event at a follower's offset; the follower starts the sale again; unless a backup was \
             restored, find out who changed the ledger"
        );
    }
}
