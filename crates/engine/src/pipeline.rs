//! The two stages. Batch *k+1* is decided while batch *k* is being recorded; a caller is answered when its batch is
//! durable, and not before.
//!
//! When recording fails, everyone whose answer depended on it is told so, what was decided ahead is thrown away, and
//! nothing is decided until the ledger takes records again and the state has been folded from it anew. Where the state of single
//! sales turns out to be over (it is kept elsewhere, and that place has lost something), their requests are decided again from the
//! state that the ledger has. The stages know no thread and no runtime: [`crate::start_embedded`] gives each a thread, the simulation runs both under its own
//! scheduler.

mod decide_stage;
mod record_stage;

pub use decide_stage::DecideStage;
pub use record_stage::RecordStage;

use crate::batch::{Batch, StaleEpoch};
use crate::clock::Clock;
use crate::decide::{BatchDecider, Reply, Request};
use crate::engine::{Engine, EngineShared};
use crate::job::{PipelineJob, WaitingCaller};
use crate::metrics::PipelineMetrics;
use crate::record::{LedgerReader, LedgerRecorder};
use crate::view::{SaleView, SaleViews};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// How the pipeline is bounded.
#[derive(Clone, Copy, Debug)]
pub struct PipelineLimits {
    /// Requests that may wait to be decided; the next one is refused at once.
    pub queue_len: usize,
    /// Requests a batch, at most. Large enough that a disk of 1 ms still records a million events a second.
    pub batch_len_max: usize,
}

impl Default for PipelineLimits {
    fn default() -> Self {
        Self { queue_len: 16_384, batch_len_max: 1024 }
    }
}

/// Decided batches that wait for the recorder, beside the one being recorded.
const BATCHES_AHEAD: usize = 1;

/// A pipeline that does not run yet: give each stage to whoever polls it.
pub struct Pipeline<D, R> {
    pub engine: Engine,
    pub decide: DecideStage<D>,
    pub record: RecordStage<R>,
}

/// Puts a pipeline together. `decider` has been folded from `ledger`, which is what `recorder` writes.
pub fn assemble_pipeline<D: BatchDecider, R: LedgerRecorder>(
    decider: D,
    recorder: R,
    ledger: Arc<dyn LedgerReader>,
    clock: Arc<dyn Clock>,
    limits: PipelineLimits,
) -> Pipeline<D, R> {
    assemble_with_metrics(decider, recorder, ledger, clock, limits, PipelineMetrics::default())
}

/// The same with figures that are there already.
pub(crate) fn assemble_with_metrics<D: BatchDecider, R: LedgerRecorder>(
    decider: D,
    recorder: R,
    ledger: Arc<dyn LedgerReader>,
    clock: Arc<dyn Clock>,
    limits: PipelineLimits,
    metrics: PipelineMetrics,
) -> Pipeline<D, R> {
    let views = Arc::new(SaleViews::default());
    let (jobs, inbox) = mpsc::channel(limits.queue_len);
    let (record, batches) = mpsc::channel(BATCHES_AHEAD);
    let (failed, failed_in) = watch::channel(0);
    let (redo, redo_in) = mpsc::channel(BATCHES_AHEAD + 1);
    let (stopping, stopping_in) = watch::channel(false);
    // The ledger said so: it is durable.
    views.publish(decider.views());
    metrics.recording.set(1);
    metrics.deciding.set(1);
    Pipeline {
        decide: DecideStage {
            decider,
            ledger: Arc::clone(&ledger),
            clock: Arc::clone(&clock),
            inbox: decide_stage::JobInbox {
                jobs: inbox,
                stopping: stopping_in,
                batch_len_max: limits.batch_len_max,
            },
            record,
            retries: redo_in,
            failed: failed_in,
            metrics: metrics.clone(),
        },
        record: RecordStage {
            recorder,
            batches,
            views: Arc::clone(&views),
            retries: redo,
            failed,
            metrics: metrics.clone(),
        },
        engine: Engine::new(EngineShared { jobs, views, ledger, clock, stopping, metrics }),
    }
}

/// How often a request is decided in vain before its caller is told to come back.
const ATTEMPTS_MAX: u8 = 3;

/// What the deciding stage sends to the recording stage, in order.
enum RecorderMessage {
    Batch(PendingBatch),
    /// Try whether the ledger takes records.
    Probe(oneshot::Sender<bool>),
}

/// What the recording stage sends back: requests to be decided again, because these sales' states are over.
struct RetryRequest {
    stale: Vec<StaleEpoch>,
    jobs: Vec<PipelineJob>,
}

/// A decided batch with its callers.
struct PendingBatch {
    /// Counts the rebuilds of the state it was decided from.
    generation: u64,
    batch: Batch,
    requests: Vec<Request>,
    callers: Vec<WaitingCaller>,
    replies: Vec<Reply>,
    views: Vec<Arc<SaleView>>,
}

/// The other stage is gone, or the engine stops.
struct StageInterrupted;
