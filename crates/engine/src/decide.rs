//! Who decides: the port, and what is asked through it. A decider applies the law ([`sale::State`]) to requests in
//! order of arrival. It never answers a caller and never records: what it decided does not count until it is recorded.

pub mod memory;
pub mod valkey;

use crate::batch::{Batch, StaleEpoch};
use crate::record::{LedgerReader, ReadError};
use crate::view::SaleView;
use sale::{
    BuyerId, BuyerView, Command, CommandOutcome, EventSeq, LineMember, OrderId, OrderView, SaleId, Ticket,
    Timestamp,
};
use std::future::Future;
use std::sync::Arc;

/// One request to the deciding stage. Questions are asked in line with commands, so that their answers are never older
/// than what the asker was told before, and never newer than what is durable.
#[derive(Clone, Debug)]
pub enum Request {
    /// Decide a command of the law. `Configure` announces a sale that is not known yet.
    Command { sale: SaleId, command: Command },
    /// Where does a buyer stand?
    Buyer { sale: SaleId, buyer: BuyerId },
    /// How does a sale stand?
    Sale { sale: SaleId },
    /// What has become of an order, of whichever sale?
    Order { order: OrderId },
    /// All orders of a buyer in these sales.
    OrdersOf { buyer: BuyerId, sales: Vec<SaleId> },
    /// Who stands in line?
    Line {
        sale: SaleId,
        /// Members after this ticket.
        after: Option<Ticket>,
        /// At most this many.
        limit: usize,
    },
}

impl Request {
    /// Whether the answer may rest on what has happened in a sale.
    #[must_use]
    pub fn concerns(&self, id: SaleId) -> bool {
        match self {
            Self::Command { sale, .. }
            | Self::Sale { sale }
            | Self::Buyer { sale, .. }
            | Self::Line { sale, .. } => *sale == id,
            Self::Order { .. } => true,
            Self::OrdersOf { sales, .. } => sales.contains(&id),
        }
    }
}

/// The answer to one [`Ask`].
#[derive(Clone, Debug)]
pub enum Reply {
    /// To [`Ask::Command`].
    Outcome {
        outcome: CommandOutcome,
        /// The sale's last event when it was given.
        seq: EventSeq,
        /// The moment of the decision.
        at: Timestamp,
    },
    /// To [`Ask::Buyer`].
    Buyer(BuyerView),
    /// To [`Ask::Sale`].
    Sale(Arc<SaleView>),
    /// To [`Ask::Order`].
    Order(Option<(SaleId, OrderView)>),
    /// To [`Ask::OrdersOf`], newest first within a sale.
    Orders(Vec<(SaleId, OrderView)>),
    /// To [`Ask::Line`], in ticket order.
    Line(Vec<LineMember>),
    /// The sale was never announced.
    NoSuchSale,
    /// The request is not known to be decided and recorded: the ledger takes no records, or the deciding server is away or lacks
    /// the state. A repetition with the same idempotency key tells.
    Unavailable,
}

/// What became of a batch of requests.
#[derive(Debug, Default)]
pub struct DecidedBatch {
    /// The events to record.
    pub batch: Batch,
    /// One answer a request, in order; due once the batch is recorded.
    pub replies: Vec<Reply>,
    /// The touched sales as they will be then.
    pub views: Vec<Arc<SaleView>>,
}

/// Decides. State that is ahead of the ledger is thrown away by [`Decide::rebuild`].
pub trait BatchDecider: Send + 'static {
    /// Decides `asks` in order at `now`, and whatever is due at `now` in any sale.
    ///
    /// # Errors
    /// When the place of decision cannot be reached; then nothing was decided.
    fn decide(
        &mut self,
        now: Timestamp,
        asks: &[Request],
    ) -> impl Future<Output = Result<DecidedBatch, DecideError>> + Send;

    /// Forgets everything and folds the ledger; afterwards [`Decide::views`] is what the ledger says. What it returns is to be
    /// recorded and shown, and has nobody to answer.
    ///
    /// # Errors
    /// When the ledger cannot be read, or is damaged; then nothing may be decided.
    fn rebuild(
        &mut self,
        ledger: &dyn LedgerReader,
    ) -> impl Future<Output = Result<DecidedBatch, ReadError>> + Send;

    /// Takes note that a sale's state is none to decide from. Those that keep their state to themselves are never told.
    fn invalidate(&mut self, _outdated: &StaleEpoch) {}

    /// True while the place of decision does not answer. Memory always does.
    fn is_unavailable(&self) -> bool {
        false
    }

    /// The next moment at which [`Decide::decide`] has something to do without being asked.
    fn next_due(&self) -> Option<Timestamp>;

    /// All sales as they are.
    fn views(&self) -> Vec<Arc<SaleView>>;
}

/// The place of decision cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The service that decides did not answer as it should.
    #[error("the deciding store failed")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}
