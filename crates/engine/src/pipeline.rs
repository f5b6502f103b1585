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

use crate::clock::Clock;
use crate::decide::{Ask, Decide, Told};
use crate::engine::{Engine, Shared};
use crate::metrics::Metrics;
use crate::record::{Batch, Outdated, Read, Record};
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
    assemble_with(decider, recorder, ledger, clock, limits, Metrics::default())
}

/// The same with figures that are there already.
pub(crate) fn assemble_with<D: Decide, R: Record>(
    decider: D,
    recorder: R,
    ledger: Arc<dyn Read>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    metrics: Metrics,
) -> Pipeline<D, R> {
    let views = Arc::new(Views::default());
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
            inbox: decide_stage::Inbox {
                jobs: inbox,
                stopping: stopping_in,
                batch_len_max: limits.batch_len_max,
            },
            record,
            redo: redo_in,
            failed: failed_in,
            metrics: metrics.clone(),
        },
        record: RecordStage {
            recorder,
            batches,
            views: Arc::clone(&views),
            redo,
            failed,
            metrics: metrics.clone(),
        },
        engine: Engine::new(Shared { jobs, views, ledger, clock, stopping, metrics }),
    }
}

/// The way back to a caller, who may have gone.
pub(crate) type Reply = oneshot::Sender<Result<Told, NotDone>>;

/// A request and its caller.
pub(crate) struct Job {
    pub(crate) ask: Ask,
    pub(crate) caller: Caller,
}

/// Who asks.
pub(crate) struct Caller {
    pub(crate) reply: Reply,
    /// How often the request was decided in vain.
    pub(crate) tries: u8,
}

/// How often a request is decided in vain before its caller is told to come back.
const TRIES_MAX: u8 = 3;

/// What the deciding stage sends to the recording stage, in order.
enum ToRecord {
    Batch(Pending),
    /// Try whether the ledger takes records.
    Probe(oneshot::Sender<bool>),
}

/// What the recording stage sends back: requests to be decided again, because these sales' states are over.
struct Redo {
    outdated: Vec<Outdated>,
    jobs: Vec<Job>,
}

/// A decided batch with its callers.
struct Pending {
    /// Counts the rebuilds of the state it was decided from.
    generation: u64,
    batch: Batch,
    asks: Vec<Ask>,
    /// One an ask.
    callers: Vec<Caller>,
    /// One an ask.
    told: Vec<Told>,
    views: Vec<Arc<SaleView>>,
}

impl Caller {
    fn refuse(self) {
        let _gone = self.reply.send(Err(NotDone::NotRecorded));
    }
}

/// The other stage is gone, or the engine stops.
struct Lost;
