//! The port of a decider. A decider applies the law ([`sale::SaleState`]) to requests in order of arrival. It never replies to a
//! caller and never records: a decision does not count until it is recorded.

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

/// One request to the deciding stage. Queries take the same queue as commands: a reply is never older than an earlier reply to
/// the same caller, and never newer than the ledger.
#[derive(Clone, Debug)]
pub enum Request {
    /// Decides a command of the law. `Configure` announces a sale that is not known yet.
    Command {
        sale: SaleId,
        command: Command,
    },
    /// A buyer's place, holds and units.
    Buyer {
        sale: SaleId,
        buyer: BuyerId,
    },
    Sale {
        sale: SaleId,
    },
    /// An order of any sale.
    Order {
        order: OrderId,
    },
    /// All orders of a buyer in these sales.
    OrdersOf {
        buyer: BuyerId,
        sales: Vec<SaleId>,
    },
    /// The members of a line.
    Line {
        sale: SaleId,
        /// Members after this ticket.
        after: Option<Ticket>,
        /// At most this many.
        limit: usize,
    },
}

impl Request {
    /// Whether the reply may depend on events of a sale.
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

/// The reply to one [`Request`].
#[derive(Clone, Debug)]
pub enum Reply {
    /// To [`Request::Command`].
    Outcome {
        outcome: CommandOutcome,
        /// The sale's last event at the decision.
        seq: EventSeq,
        /// The moment of the decision.
        at: Timestamp,
        /// Units that were not sold right after it.
        unsold: u32,
    },
    /// To [`Request::Buyer`].
    Buyer(BuyerView),
    /// To [`Request::Sale`].
    Sale(Arc<SaleView>),
    /// To [`Request::Order`].
    Order(Option<(SaleId, OrderView)>),
    /// To [`Request::OrdersOf`], newest first within a sale.
    Orders(Vec<(SaleId, OrderView)>),
    /// To [`Request::Line`], in ticket order.
    Line(Vec<LineMember>),
    /// The sale was never announced.
    NoSuchSale,
    /// The request is not known to be decided and recorded: the ledger takes no records, or the decision store is unreachable or
    /// lacks the state. A repetition with the same idempotency key gets the result.
    Unavailable,
}

/// The result of a batch of requests.
#[derive(Debug, Default)]
pub struct DecidedBatch {
    /// The events to record.
    pub batch: Batch,
    /// One reply for each request, in order; the replies are sent once the batch is recorded.
    pub replies: Vec<Reply>,
    /// The changed sales as they are once the batch is recorded.
    pub views: Vec<Arc<SaleView>>,
}

/// Decides. [`BatchDecider::rebuild`] discards state that is ahead of the ledger.
pub trait BatchDecider: Send + 'static {
    /// Decides `requests` in order at `now`, and everything that is due at `now` in any sale.
    ///
    /// # Errors
    /// When the decider cannot be reached; then nothing was decided.
    fn decide(
        &mut self,
        now: Timestamp,
        requests: &[Request],
    ) -> impl Future<Output = Result<DecidedBatch, DecideError>> + Send;

    /// Discards all state and folds the ledger; afterwards [`BatchDecider::views`] shows what the ledger has. The returned
    /// batch is to be recorded and published; it has no replies.
    ///
    /// # Errors
    /// When the ledger cannot be read, or is damaged; then nothing may be decided.
    fn rebuild(
        &mut self,
        ledger: &dyn LedgerReader,
    ) -> impl Future<Output = Result<DecidedBatch, ReadError>> + Send;

    /// Notes that a sale's state must not be decided from any more. Only deciders that share their state get this call.
    fn invalidate(&mut self, _stale: &StaleEpoch) {}

    /// True while the decision store does not answer. Memory always does.
    fn is_unavailable(&self) -> bool {
        false
    }

    /// The next moment at which [`BatchDecider::decide`] has something to do without a request.
    fn next_due(&self) -> Option<Timestamp>;

    fn views(&self) -> Vec<Arc<SaleView>>;
}

/// The decider cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The decision store failed.
    #[error("the deciding store failed")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}
