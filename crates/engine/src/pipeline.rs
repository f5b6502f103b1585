//! The two stages. Batch *k+1* is decided while batch *k* is being recorded; a caller is answered when its batch is
//! durable, and not before.
//!
//! When recording fails, everyone whose answer depended on it is told so, what was decided ahead is thrown away, and
//! nothing is decided until the ledger takes records again and the state has been folded from it anew. The stages know
//! no thread and no runtime: [`crate::start_embedded`] gives each a thread, the simulation runs both under its own
//! scheduler.

mod decide_stage;
mod record_stage;

pub use decide_stage::DecideStage;
pub use record_stage::RecordStage;

use crate::clock::Clock;
use crate::decide::{Ask, Decide, Told};
use crate::engine::{Engine, Shared};
use crate::metrics::Metrics;
use crate::record::{Batch, Read, Record};
use crate::view::{SaleView, Views};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// How the pipeline is bounded.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that may wait to be decided; the next one is refused at once.
    pub queue_len: usize,
    /// Requests a batch, at most. Large enough that a disk of 1 ms still records a million events a second.
    pub batch_len_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queue_len: 16_384, batch_len_max: 1024 }
    }
}

/// Decided batches that wait for the recorder, beside the one being recorded.
const BATCHES_AHEAD: usize = 1;

/// Why a request got no answer of the law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// The ledger does not take records. The request may or may not have been kept; asking again with the same key tells.
    #[error("the ledger does not take records at the moment")]
    NotRecorded,
}

/// A pipeline that does not run yet: give each stage to whoever polls it.
pub struct Pipeline<D, R> {
    /// The handle.
    pub engine: Engine,
    /// Decides.
    pub decide: DecideStage<D>,
    /// Records and answers.
    pub record: RecordStage<R>,
}

/// Puts a pipeline together. `decider` has been folded from `ledger`, which is what `recorder` writes.
pub fn assemble<D: Decide, R: Record>(
    decider: D,
    recorder: R,
    ledger: Arc<dyn Read>,
    clock: Arc<dyn Clock>,
    limits: Limits,
) -> Pipeline<D, R> {
    let metrics = Metrics::default();
    let views = Arc::new(Views::default());
    let (jobs, inbox) = mpsc::channel(limits.queue_len);
    let (record, batches) = mpsc::channel(BATCHES_AHEAD);
    let (failed, failed_in) = watch::channel(0);
    let (stopping, stopping_in) = watch::channel(false);
    // The ledger said so: it is durable.
    views.publish(decider.views());
    metrics.recording.set(1);
    Pipeline {
        decide: DecideStage {
            decider,
            ledger: Arc::clone(&ledger),
            clock: Arc::clone(&clock),
            inbox: decide_stage::Inbox {
                jobs: inbox,
                stopping: stopping_in,
                batch_len_max: limits.batch_len_max,
            },
            record,
            failed: failed_in,
            metrics: metrics.clone(),
        },
        record: RecordStage {
            recorder,
            batches,
            views: Arc::clone(&views),
            failed,
            metrics: metrics.clone(),
        },
        engine: Engine::new(Shared { jobs, views, ledger, clock, stopping, metrics }),
    }
}

/// The way back to a caller, who may have gone.
pub(crate) type Reply = oneshot::Sender<Result<Told, NotDone>>;

/// A request and the way back to its caller.
pub(crate) struct Job {
    pub(crate) ask: Ask,
    pub(crate) reply: Reply,
}

/// What the deciding stage sends to the recording stage, in order.
enum ToRecord {
    Batch(Pending),
    /// Try whether the ledger takes records.
    Probe(oneshot::Sender<bool>),
}

/// A decided batch with its callers.
struct Pending {
    /// Counts the rebuilds of the state it was decided from.
    generation: u64,
    batch: Batch,
    replies: Vec<Reply>,
    /// One a reply.
    told: Vec<Told>,
    views: Vec<Arc<SaleView>>,
}

/// The other stage is gone, or the engine stops.
struct Lost;
