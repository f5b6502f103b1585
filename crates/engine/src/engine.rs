//! The handle that the rest of the house holds: ask the pipeline, or look at what it has published.

use crate::clock::Clock;
use crate::decide::{Ask, Told};
use crate::metrics::Metrics;
use crate::pipeline::{Caller, Job, NotDone};
use crate::record::Read;
use crate::view::{SaleView, Views};
use sale::{
    BuyerId, BuyerView, Command, LineMember, OrderId, OrderView, Outcome, SaleId, Seq, Ticket, Timestamp,
};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// A handle to a running pipeline; clones share it.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) jobs: mpsc::Sender<Job>,
    pub(crate) views: Arc<Views>,
    pub(crate) ledger: Arc<dyn Read>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stopping: watch::Sender<bool>,
    pub(crate) metrics: Metrics,
}

/// The law's answer to a command, durable.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What the law says.
    pub outcome: Outcome,
    /// The sale's last event when it said so.
    pub seq: Seq,
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
    Unreadable,
    /// The pipeline has ended. A request that was already taken may have been kept or not.
    #[error("the engine has stopped")]
    Stopped,
    /// No such sale was ever announced.
    #[error("there is no such sale")]
    NoSuchSale,
}

impl From<NotDone> for EngineError {
    fn from(not_done: NotDone) -> Self {
        match not_done {
            NotDone::NotRecorded => Self::NotRecorded,
        }
    }
}

impl Engine {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Decides a command and answers when it is durable. Dropping the future does not take the command back.
    ///
    /// # Errors
    /// When there is no answer; a refusal of the law is an answer.
    pub async fn command(&self, sale: SaleId, command: Command) -> Result<Answer, EngineError> {
        match self.ask(Ask::Command { sale, command }).await? {
            Told::Outcome { outcome, seq, at } => Ok(Answer { outcome, seq, at }),
            _ => Err(EngineError::NoSuchSale),
        }
    }

    /// How a sale stands, asked of the place where it is decided: also of one that another process has announced a moment ago. Where
    /// [`Engine::views`] has the sale, that is quicker.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn sale(&self, sale: SaleId) -> Result<Arc<SaleView>, EngineError> {
        match self.look(Ask::Sale { sale }).await? {
            Told::Sale(view) => Ok(view),
            _ => Err(EngineError::NoSuchSale),
        }
    }

    /// Where a buyer stands.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn buyer(&self, sale: SaleId, buyer: BuyerId) -> Result<BuyerView, EngineError> {
        match self.look(Ask::Buyer { sale, buyer }).await? {
            Told::Buyer(view) => Ok(view),
            _ => Err(EngineError::NoSuchSale),
        }
    }

    /// An order and its sale, or `None` when there is none.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn order(&self, order: OrderId) -> Result<Option<(SaleId, OrderView)>, EngineError> {
        match self.look(Ask::Order { order }).await? {
            Told::Order(found) => Ok(found),
            _ => Err(EngineError::NoSuchSale),
        }
    }

    /// A buyer's orders in some sales, newest first within a sale.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn orders_of(
        &self,
        buyer: BuyerId,
        sales: Vec<SaleId>,
    ) -> Result<Vec<(SaleId, OrderView)>, EngineError> {
        match self.look(Ask::OrdersOf { buyer, sales }).await? {
            Told::Orders(orders) => Ok(orders),
            _ => Err(EngineError::NoSuchSale),
        }
    }

    /// Who stands in line after a ticket, at most `limit` of them.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn line(
        &self,
        sale: SaleId,
        after: Option<Ticket>,
        limit: usize,
    ) -> Result<Vec<LineMember>, EngineError> {
        match self.look(Ask::Line { sale, after, limit }).await? {
            Told::Line(members) => Ok(members),
            _ => Err(EngineError::NoSuchSale),
        }
    }

    /// What is published; never waits.
    #[must_use]
    pub fn views(&self) -> &Views {
        &self.shared.views
    }

    /// The ledger, for followers and auditors.
    #[must_use]
    pub fn ledger(&self) -> &Arc<dyn Read> {
        &self.shared.ledger
    }

    /// The engine's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The engine's clock, for whoever has to wait for a moment.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// The pipeline's figures.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
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
    pub async fn ended(&self) {
        self.shared.jobs.closed().await;
    }

    /// Takes no more requests; those that were taken are answered. See [`crate::Embedded::stop`] to wait for that.
    pub fn begin_stop(&self) {
        self.shared.stopping.send_replace(true);
    }

    /// Asks for what changes nothing.
    async fn look(&self, ask: Ask) -> Result<Told, EngineError> {
        self.ask(ask).await.map_err(|error| match error {
            EngineError::NotRecorded => EngineError::Unreadable,
            other => other,
        })
    }

    async fn ask(&self, ask: Ask) -> Result<Told, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.shared.jobs.try_send(Job { ask, caller: Caller { reply, tries: 0 } }).map_err(|error| {
            match error {
                mpsc::error::TrySendError::Full(_) => {
                    self.shared.metrics.overloads.inc();
                    EngineError::Overloaded
                }
                mpsc::error::TrySendError::Closed(_) => EngineError::Stopped,
            }
        })?;
        match answer.await {
            Ok(Ok(Told::Unavailable)) => Err(EngineError::NotRecorded),
            Ok(told) => Ok(told?),
            Err(_) => Err(EngineError::Stopped),
        }
    }
}
