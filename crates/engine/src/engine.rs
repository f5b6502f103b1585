//! The handle to a running pipeline: it sends requests and reads the published views. It decides nothing itself.

mod operations;

pub use operations::{DecidedOrder, Decision, ExtendedAdmission, JoinedLine};

use crate::clock::Clock;
use crate::damage::DamageFlag;
use crate::decide::{Reply, Request};
use crate::job::{PipelineJob, WaitingCaller};
use crate::metrics::PipelineMetrics;
use crate::pipeline::JobSender;
use crate::record::LedgerReader;
use crate::view::{SaleView, SaleViews};
use sale::{
    BuyerId, BuyerView, Command, CommandOutcome, EventSeq, LineMember, OrderId, OrderView, SaleId, Ticket,
    Timestamp,
};
use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{oneshot, watch};

/// A handle to a running pipeline; clones share it.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<EngineShared>,
}

pub(crate) struct EngineShared {
    pub(crate) jobs: JobSender,
    pub(crate) views: Arc<SaleViews>,
    pub(crate) ledger: Arc<dyn LedgerReader>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stopping: watch::Sender<bool>,
    pub(crate) metrics: PipelineMetrics,
    pub(crate) damage: DamageFlag,
}

/// The law's answer to a command, durable.
#[derive(Clone, Debug)]
pub struct CommandReply {
    pub outcome: CommandOutcome,
    /// The sale's last event when it was decided.
    pub seq: EventSeq,
    pub at: Timestamp,
    /// Units that were not sold right after it.
    pub unsold: u32,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Nothing was done; a retry after a second is worthwhile.
    #[error("the engine's queue is full")]
    Overloaded,
    /// The request may be recorded or not; a repetition with the same idempotency key gets the result.
    #[error("the ledger does not take records at the moment")]
    NotRecorded,
    /// A query met a ledger that takes no records, or a state that is being rebuilt from it. Nothing was to be changed.
    #[error("the state cannot be read while the ledger does not take records")]
    StateUnknown,
    /// The pipeline has ended. A request that it took before may be recorded or not.
    #[error("the engine has stopped")]
    Stopped,
    /// The sale was never announced.
    #[error("there is no such sale")]
    NoSuchSale,
    /// The decider replied with something that this operation cannot have: a fault of the program. A command may be recorded.
    #[error("the decider sent a reply that {operation} cannot have")]
    UnexpectedReply { operation: &'static str },
}

impl Engine {
    pub(crate) fn new(shared: EngineShared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Decides any command and answers when it is durable: for tests and tools that run lists of commands. Callers of one operation
    /// use its method ([`Self::reserve`], [`Self::join`], …). Dropping the future does not take the command back.
    ///
    /// # Errors
    /// When there is no answer; a refusal of the law is an answer.
    pub async fn command(&self, sale: SaleId, command: Command) -> Result<CommandReply, EngineError> {
        match self.send_request(Request::Command { sale, command }).await? {
            Reply::Outcome { outcome, seq, at, unsold } => Ok(CommandReply { outcome, seq, at, unsold }),
            Reply::NoSuchSale => Err(EngineError::NoSuchSale),
            _ => Err(EngineError::UnexpectedReply { operation: "command" }),
        }
    }

    /// A sale as the decider has it, also one that another process has just announced. [`Engine::views`] is faster for a sale that
    /// it contains.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn sale(&self, sale: SaleId) -> Result<Arc<SaleView>, EngineError> {
        match self.query(Request::Sale { sale }).await? {
            Reply::Sale(view) => Ok(view),
            Reply::NoSuchSale => Err(EngineError::NoSuchSale),
            _ => Err(EngineError::UnexpectedReply { operation: "sale" }),
        }
    }

    /// A buyer's place, holds and units in a sale.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn buyer(&self, sale: SaleId, buyer: BuyerId) -> Result<BuyerView, EngineError> {
        match self.query(Request::Buyer { sale, buyer }).await? {
            Reply::Buyer(view) => Ok(view),
            Reply::NoSuchSale => Err(EngineError::NoSuchSale),
            _ => Err(EngineError::UnexpectedReply { operation: "buyer" }),
        }
    }

    /// An order and its sale, or `None` when there is none.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn order(&self, order: OrderId) -> Result<Option<(SaleId, OrderView)>, EngineError> {
        read_order(self.query(Request::Order { order }).await?)
    }

    /// [`Self::order`] for a payment that goes on: like its steps, it is decided before the requests of those who do not pay.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn order_to_pay(&self, order: OrderId) -> Result<Option<(SaleId, OrderView)>, EngineError> {
        let send = JobSender::try_send_for_payment;
        let reply = self.send_with(Request::Order { order }, send).await;
        read_order(reply.map_err(describe_query_error)?)
    }

    /// A buyer's orders in some sales, newest first within a sale.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn buyer_orders(
        &self,
        buyer: BuyerId,
        sales: Vec<SaleId>,
    ) -> Result<Vec<(SaleId, OrderView)>, EngineError> {
        match self.query(Request::OrdersOf { buyer, sales }).await? {
            Reply::Orders(orders) => Ok(orders),
            _ => Err(EngineError::UnexpectedReply { operation: "buyer_orders" }),
        }
    }

    /// Up to `limit` members of a line after a ticket, in ticket order.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn line_members(
        &self,
        sale: SaleId,
        after: Option<Ticket>,
        limit: usize,
    ) -> Result<Vec<LineMember>, EngineError> {
        match self.query(Request::Line { sale, after, limit }).await? {
            Reply::Line(members) => Ok(members),
            Reply::NoSuchSale => Err(EngineError::NoSuchSale),
            _ => Err(EngineError::UnexpectedReply { operation: "line_members" }),
        }
    }

    /// The published views; reading them never waits.
    #[must_use]
    pub fn views(&self) -> &SaleViews {
        &self.shared.views
    }

    /// The ledger, for followers and auditors.
    #[must_use]
    pub fn ledger(&self) -> &Arc<dyn LedgerReader> {
        &self.shared.ledger
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The engine's clock, for callers that wait for a moment.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    #[must_use]
    pub fn metrics(&self) -> &PipelineMetrics {
        &self.shared.metrics
    }

    /// False while the ledger does not take records.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.shared.metrics.recording.get() == 1 && !self.shared.jobs.is_closed() && !self.is_damaged()
    }

    /// True once damage of stored data was met: nothing is recorded until the next start.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.shared.damage.is_seen()
    }

    /// Where damage is reported that is met outside of the ledger: no purchase is confirmed after it.
    #[must_use]
    pub fn damage(&self) -> &DamageFlag {
        &self.shared.damage
    }

    /// False while the decision store does not answer. Memory always does.
    #[must_use]
    pub fn is_deciding(&self) -> bool {
        self.shared.metrics.deciding.get() == 1
    }

    /// True when another instance has claimed the ledger: this one decides nothing until it is started again.
    #[must_use]
    pub fn is_taken_over(&self) -> bool {
        self.shared.metrics.taken_over.get() == 1
    }

    /// Whether commands are decided and recorded here. While they are not, the published views may be old.
    #[must_use]
    pub fn is_working(&self) -> bool {
        self.is_recording() && self.is_deciding() && !self.is_taken_over()
    }

    /// Resolves when the pipeline takes no more requests: [`Self::begin_stop`] was called, or one of its stages has panicked.
    pub async fn wait_until_ended(&self) {
        self.shared.jobs.closed().await;
    }

    /// Takes no more requests; those that were taken are answered. [`crate::RunningEngine::stop`] waits for that.
    pub fn begin_stop(&self) {
        self.shared.stopping.send_replace(true);
    }

    /// Sends a request that changes nothing.
    async fn query(&self, request: Request) -> Result<Reply, EngineError> {
        self.send_request(request).await.map_err(describe_query_error)
    }

    async fn send_request(&self, request: Request) -> Result<Reply, EngineError> {
        self.send_with(request, JobSender::try_send).await
    }

    async fn send_with(
        &self,
        request: Request,
        send: fn(&JobSender, PipelineJob) -> Result<(), TrySendError<PipelineJob>>,
    ) -> Result<Reply, EngineError> {
        let (reply, received) = oneshot::channel();
        let job = PipelineJob { request, caller: WaitingCaller { reply, tries: 0 } };
        send(&self.shared.jobs, job).map_err(|error| match error {
            TrySendError::Full(_) => {
                self.shared.metrics.overloads.inc();
                EngineError::Overloaded
            }
            TrySendError::Closed(_) => EngineError::Stopped,
        })?;
        match received.await {
            Ok(Reply::Unavailable) => Err(EngineError::NotRecorded),
            Ok(reply) => Ok(reply),
            Err(_) => Err(EngineError::Stopped),
        }
    }
}

fn read_order(reply: Reply) -> Result<Option<(SaleId, OrderView)>, EngineError> {
    match reply {
        Reply::Order(found) => Ok(found),
        _ => Err(EngineError::UnexpectedReply { operation: "order" }),
    }
}

/// A request that changes nothing has nothing to be recorded.
fn describe_query_error(error: EngineError) -> EngineError {
    match error {
        EngineError::NotRecorded => EngineError::StateUnknown,
        other => other,
    }
}
