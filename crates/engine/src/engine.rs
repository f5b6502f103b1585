//! The handle that the rest of the house holds: ask the pipeline, or look at what it has published.

use crate::clock::Clock;
use crate::decide::{Reply, Request};
use crate::metrics::PipelineMetrics;
use crate::pipeline::{PipelineError, PipelineJob, WaitingCaller};
use crate::record::LedgerReader;
use crate::view::{SaleView, SaleViews};
use sale::{
    BuyerId, BuyerView, Command, CommandOutcome, EventSeq, LineMember, OrderId, OrderView, SaleId, Ticket,
    Timestamp,
};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// A handle to a running pipeline; clones share it.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<EngineShared>,
}

pub(crate) struct EngineShared {
    pub(crate) jobs: mpsc::Sender<PipelineJob>,
    pub(crate) views: Arc<SaleViews>,
    pub(crate) ledger: Arc<dyn LedgerReader>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stopping: watch::Sender<bool>,
    pub(crate) metrics: PipelineMetrics,
}

/// The law's answer to a command, durable.
#[derive(Clone, Debug)]
pub struct CommandReply {
    /// What the law says.
    pub outcome: CommandOutcome,
    /// The sale's last event when it said so.
    pub seq: EventSeq,
    /// When it said so.
    pub at: Timestamp,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Too many requests wait already. Nothing was done; come back in a second.
    #[error("too many requests wait to be decided")]
    Overloaded,
    /// See [`NotDone::NotRecorded`].
    #[error("the ledger does not take records at the moment")]
    NotRecorded,
    /// The state is not known for certain at the moment: the ledger does not take records, or the state is folded anew from
    /// it. Nothing was to be changed, and nothing was.
    #[error("the state cannot be looked at while the ledger does not take records")]
    StateUnknown,
    /// The pipeline has ended. A request that was already taken may have been kept or not.
    #[error("the engine has stopped")]
    Stopped,
    /// No such sale was ever announced.
    #[error("there is no such sale")]
    NoSuchSale,
}

impl From<PipelineError> for EngineError {
    fn from(not_done: PipelineError) -> Self {
        match not_done {
            PipelineError::NotRecorded => Self::NotRecorded,
        }
    }
}

impl Engine {
    pub(crate) fn new(shared: EngineShared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Decides a command and answers when it is durable. Dropping the future does not take the command back.
    ///
    /// # Errors
    /// When there is no answer; a refusal of the law is an answer.
    pub async fn command(&self, sale: SaleId, command: Command) -> Result<CommandReply, EngineError> {
        match self.send_request(Request::Command { sale, command }).await? {
            Reply::Outcome { outcome, seq, at } => Ok(CommandReply { outcome, seq, at }),
            _ => Err(EngineError::NoSuchSale),
        }
    }

    /// How a sale stands, asked of the place where it is decided: also of one that another process has announced a moment ago. Where
    /// [`Engine::views`] has the sale, that is quicker.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn sale(&self, sale: SaleId) -> Result<Arc<SaleView>, EngineError> {
        match self.query(Request::Sale { sale }).await? {
            Reply::Sale(view) => Ok(view),
            _ => Err(EngineError::NoSuchSale),
        }
    }

    /// Where a buyer stands.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn buyer(&self, sale: SaleId, buyer: BuyerId) -> Result<BuyerView, EngineError> {
        match self.query(Request::Buyer { sale, buyer }).await? {
            Reply::Buyer(view) => Ok(view),
            _ => Err(EngineError::NoSuchSale),
        }
    }

    /// An order and its sale, or `None` when there is none.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn order(&self, order: OrderId) -> Result<Option<(SaleId, OrderView)>, EngineError> {
        match self.query(Request::Order { order }).await? {
            Reply::Order(found) => Ok(found),
            _ => Err(EngineError::NoSuchSale),
        }
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
            _ => Err(EngineError::NoSuchSale),
        }
    }

    /// Who stands in line after a ticket, at most `limit` of them.
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
            _ => Err(EngineError::NoSuchSale),
        }
    }

    /// What is published; never waits.
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

    /// The engine's clock, for whoever has to wait for a moment.
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
        self.shared.metrics.recording.get() == 1 && !self.shared.jobs.is_closed()
    }

    /// False while the place of decision does not answer. Memory always does.
    #[must_use]
    pub fn is_deciding(&self) -> bool {
        self.shared.metrics.deciding.get() == 1
    }

    /// True when another instance has taken over the ledger: this one decides nothing any more, until it is started again.
    #[must_use]
    pub fn is_taken_over(&self) -> bool {
        self.shared.metrics.taken_over.get() == 1
    }

    /// Resolves when the pipeline takes no more requests: it was told to stop, or one of its stages has panicked.
    pub async fn wait_until_ended(&self) {
        self.shared.jobs.closed().await;
    }

    /// Takes no more requests; those that were taken are answered. See [`crate::Embedded::stop`] to wait for that.
    pub fn begin_stop(&self) {
        self.shared.stopping.send_replace(true);
    }

    /// Asks for what changes nothing.
    async fn query(&self, ask: Request) -> Result<Reply, EngineError> {
        self.send_request(ask).await.map_err(|error| match error {
            EngineError::NotRecorded => EngineError::StateUnknown,
            other => other,
        })
    }

    async fn send_request(&self, ask: Request) -> Result<Reply, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.shared
            .jobs
            .try_send(PipelineJob { request: ask, caller: WaitingCaller { reply, tries: 0 } })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => {
                    self.shared.metrics.overloads.inc();
                    EngineError::Overloaded
                }
                mpsc::error::TrySendError::Closed(_) => EngineError::Stopped,
            })?;
        match answer.await {
            Ok(Ok(Reply::Unavailable)) => Err(EngineError::NotRecorded),
            Ok(told) => Ok(told?),
            Err(_) => Err(EngineError::Stopped),
        }
    }
}
