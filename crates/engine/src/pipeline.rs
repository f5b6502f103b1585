//! The two stages. The first decides batch *k+1* while the second records batch *k*; a caller gets its reply when its batch is
//! durable, and not before.
//!
//! When recording fails, the callers of that batch are refused, batches that were decided on top of it are discarded, and
//! nothing is decided until the ledger takes records again and the state is folded from it. When the epoch of single sales is
//! over (their state is kept in a server that has lost something), only their requests are decided again, from the state that
//! the ledger has. The stages know no thread and no runtime: [`crate::start_on_sqlite`] gives each a thread, and the simulation
//! runs both under its own scheduler.

mod decide_stage;
mod job_queue;
mod record_stage;

pub use decide_stage::DecideStage;
pub(crate) use job_queue::JobSender;
pub use record_stage::RecordStage;

use crate::batch::{Batch, StaleEpoch};
use crate::clock::Clock;
use crate::damage::{DamageFlag, WatchedLedger};
use crate::decide::{BatchDecider, Reply, Request};
use crate::engine::{Engine, EngineShared};
use crate::job::{PipelineJob, WaitingCaller};
use crate::metrics::PipelineMetrics;
use crate::record::{LedgerReader, LedgerRecorder};
use crate::view::{SaleView, SaleViews};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

#[derive(Clone, Copy, Debug)]
pub struct PipelineLimits {
    /// Requests that may wait to be decided, and as many steps of payments; the next one is refused at once.
    pub queue_len: usize,
    /// Requests in a batch, at most. Large enough that a disk of 1 ms still records a million events a second.
    pub batch_len_max: usize,
}

impl Default for PipelineLimits {
    fn default() -> Self {
        Self { queue_len: 16_384, batch_len_max: 1024 }
    }
}

/// Decided batches that wait for the recorder, beside the one being recorded.
const BATCHES_AHEAD: usize = 1;

/// A pipeline that does not run yet: each stage is a future for its own thread or scheduler.
pub struct Pipeline<D, R> {
    pub engine: Engine,
    pub decide: DecideStage<D>,
    pub record: RecordStage<R>,
}

/// Connects a decider and a recorder. `decider` has been folded from `ledger`, which is what `recorder` writes.
pub fn assemble_pipeline<D: BatchDecider, R: LedgerRecorder>(
    decider: D,
    recorder: R,
    ledger: Arc<dyn LedgerReader>,
    clock: Arc<dyn Clock>,
    limits: PipelineLimits,
) -> Pipeline<D, R> {
    assemble_with_metrics(decider, recorder, ledger, clock, limits, PipelineMetrics::default())
}

/// The same with existing metrics.
pub(crate) fn assemble_with_metrics<D: BatchDecider, R: LedgerRecorder>(
    decider: D,
    recorder: R,
    ledger: Arc<dyn LedgerReader>,
    clock: Arc<dyn Clock>,
    limits: PipelineLimits,
    metrics: PipelineMetrics,
) -> Pipeline<D, R> {
    let views = Arc::new(SaleViews::default());
    let damage = DamageFlag::new(metrics.damaged.clone(), metrics.recording.clone());
    let ledger: Arc<dyn LedgerReader> = Arc::new(WatchedLedger { ledger, damage: damage.clone() });
    let (record, batches) = mpsc::channel(BATCHES_AHEAD);
    let (failed, failed_in) = watch::channel(0);
    let (retries, retries_in) = mpsc::channel(BATCHES_AHEAD + 1);
    let (stopping, stopping_in) = watch::channel(false);
    let (jobs, inbox) = job_queue::open_queues(limits.queue_len, limits.batch_len_max, stopping_in);
    // The decider's state comes from the ledger: it is durable.
    views.publish(decider.views());
    metrics.recording.set(1);
    metrics.deciding.set(1);
    Pipeline {
        decide: DecideStage {
            decider,
            ledger: Arc::clone(&ledger),
            clock: Arc::clone(&clock),
            inbox,
            record,
            retries: retries_in,
            failed: failed_in,
            metrics: metrics.clone(),
            damage: damage.clone(),
        },
        record: RecordStage {
            recorder,
            batches,
            views: Arc::clone(&views),
            retries,
            failed,
            metrics: metrics.clone(),
            damage: damage.clone(),
        },
        engine: Engine::new(EngineShared { jobs, views, ledger, clock, stopping, metrics, damage }),
    }
}

/// How often a request is decided under an epoch that was over before its caller is refused.
const TRIES_MAX: u8 = 3;

/// What the deciding stage sends to the recording stage, in order.
enum RecorderMessage {
    Batch(PendingBatch),
    /// Try whether the ledger takes records.
    Probe(oneshot::Sender<bool>),
}

/// Requests that the recording stage sends back to be decided again, because the epochs of these sales are over.
struct RetryRequest {
    stale: Vec<StaleEpoch>,
    jobs: Vec<PipelineJob>,
}

/// A decided batch with its callers.
struct PendingBatch {
    /// How often the state was rebuilt before this batch was decided.
    generation: u64,
    batch: Batch,
    requests: Vec<Request>,
    callers: Vec<WaitingCaller>,
    replies: Vec<Reply>,
    views: Vec<Arc<SaleView>>,
}

/// The other stage has ended, or the engine stops.
struct StageInterrupted;
