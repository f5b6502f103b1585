//! The runner of local followers: one in every process, with its offsets in memory. It starts again from the follower's own
//! beginning when the process does.

use super::backoff::RandomSource;
use super::follower::{FollowerError, FollowerPace, LocalFollower, SaleInterest};
use super::reader::read_batch;
use super::rounds::{FollowerRounds, FollowerThread, LoopDependencies, RoundResult};
use crate::shop::follower_progress::FollowerProgress;
use crate::telemetry::followers::FollowerMetrics;
use engine::{Engine, SaleView};
use sale::{EventSeq, SaleId};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

/// What a local follower runs with.
pub struct LocalDependencies {
    pub engine: Engine,
    /// Where its progress is published. A sale that it does not want counts as delivered.
    pub progress: FollowerProgress,
    pub metrics: FollowerMetrics,
    pub random: RandomSource,
}

/// Starts a local follower on a thread of its own.
///
/// # Errors
/// When the operating system gives no thread.
pub fn start_local<F: LocalFollower>(
    follower: F,
    dependencies: LocalDependencies,
    pace: FollowerPace,
) -> io::Result<FollowerThread> {
    let LocalDependencies { engine, progress, metrics, random } = dependencies;
    let context =
        LoopDependencies { name: F::NAME, engine: engine.clone(), pace, metrics: metrics.clone(), random };
    let (batch_len_max, offsets) = (pace.batch_len_max, HashMap::new());
    let rounds =
        LocalRounds { follower, engine, progress, metrics, batch_len_max, offsets, is_startup: true };
    FollowerThread::start(rounds, context)
}

struct LocalRounds<F> {
    follower: F,
    engine: Engine,
    progress: FollowerProgress,
    metrics: FollowerMetrics,
    batch_len_max: usize,
    offsets: HashMap<SaleId, EventSeq>,
    is_startup: bool,
}

impl<F: LocalFollower> FollowerRounds for LocalRounds<F> {
    const STOPS_IN_A_ROUND: bool = true;

    async fn run_round(&mut self) -> Result<RoundResult, FollowerError> {
        let mut has_more = false;
        for view in self.engine.views().list() {
            has_more |= self.follow_sale(&view).await?;
        }
        self.is_startup = false;
        if has_more {
            return Ok(RoundResult::More);
        }
        self.follower.handle_catch_up();
        Ok(RoundResult::CaughtUp)
    }

    async fn wait_for_work(&self) {
        self.follower.wait_for_interest().await;
    }

    async fn handle_failure(&mut self) {}

    async fn finish(self) {}
}

impl<F: LocalFollower> LocalRounds<F> {
    /// Delivers one batch of a sale. True when more of it is published.
    async fn follow_sale(&mut self, view: &Arc<SaleView>) -> Result<bool, FollowerError> {
        let mut offset = match self.offsets.get(&view.id) {
            Some(offset) => *offset,
            None => self.follower.find_start(view, self.is_startup).await?,
        };
        let interest = self.follower.filter_sale(view);
        match interest {
            SaleInterest::Skip => offset = view.seq,
            SaleInterest::Defer => {}
            SaleInterest::Read if offset >= view.seq => {}
            SaleInterest::Read => {
                let entries = read_batch(&self.engine, view.id, offset, self.batch_len_max).await?;
                if let Some(last) = entries.last() {
                    let reached = last.seq;
                    self.follower.deliver(view.id, entries).await?;
                    self.metrics.delivered.inc();
                    offset = reached;
                }
            }
        }
        self.offsets.insert(view.id, offset);
        let is_wanted = interest == SaleInterest::Read;
        self.progress.set(view.id, if is_wanted { offset } else { view.seq });
        Ok(is_wanted && offset < view.seq)
    }
}
