//! One method per operation of a sale, each with its own result: a success carries its data, a refusal is a value. A reply that an
//! operation cannot have is an internal error here, never a refusal and never an unknown sale.

use super::{Engine, EngineError};
use sale::{
    BuyerId, Command, CommandOutcome, OrderId, OrderView, Policy, Refusal, ReleaseReason, RequestKey, SaleId,
    Ticket, Timestamp,
};

/// The outer result says whether there is an answer, the inner one is the answer. It is durable when it is returned.
pub type Decision<T> = Result<Result<T, Refusal>, EngineError>;

/// An order as an operation left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecidedOrder {
    pub order: OrderView,
    /// True when the operation repeats an earlier one and changed nothing.
    pub repeated: bool,
    /// Units of the sale that were not sold right after the operation, whatever was decided since.
    pub unsold: u32,
}

/// A new member of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinedLine {
    pub ticket: Ticket,
    /// Waiting buyers ahead, plus one.
    pub position: u32,
}

/// An admission after its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedAdmission {
    pub ticket: Ticket,
    /// The moment at which the right to buy ends now.
    pub until: Timestamp,
    /// True when the admission had its extension before: nothing was changed.
    pub repeated: bool,
}

/// Every operation fails with an [`EngineError`] when there is no answer. After [`EngineError::NotRecorded`],
/// [`EngineError::Stopped`] and [`EngineError::UnexpectedReply`] the operation may have been carried out all the same.
#[expect(clippy::missing_errors_doc, reason = "the errors are the same for every operation and stand above")]
impl Engine {
    /// Announces a sale, or changes what it promises.
    pub async fn configure(&self, sale: SaleId, policy: Policy) -> Decision<()> {
        self.decide_merchant_command(sale, "configure", Command::Configure { policy: Box::new(policy) }).await
    }

    pub async fn pause(&self, sale: SaleId) -> Decision<()> {
        self.decide_merchant_command(sale, "pause", Command::Pause).await
    }

    pub async fn resume(&self, sale: SaleId) -> Decision<()> {
        self.decide_merchant_command(sale, "resume", Command::Resume).await
    }

    /// Ends a sale for good.
    pub async fn close(&self, sale: SaleId) -> Decision<()> {
        self.decide_merchant_command(sale, "close", Command::Close).await
    }

    pub async fn restock(&self, sale: SaleId, quantity: u32) -> Decision<()> {
        self.decide_merchant_command(sale, "restock", Command::Restock { quantity }).await
    }

    /// Joins a line. A buyer who is in it gets [`Refusal::AlreadyInLine`] with the place.
    pub async fn join(&self, sale: SaleId, buyer: BuyerId) -> Decision<JoinedLine> {
        self.decide_command(sale, "join", Command::Join { buyer }, |outcome| match outcome {
            CommandOutcome::Joined { ticket, position } => Some(JoinedLine { ticket, position }),
            _ => None,
        })
        .await
    }

    /// Leaves a line, or gives an admission back.
    pub async fn leave(&self, sale: SaleId, buyer: BuyerId) -> Decision<Ticket> {
        self.decide_command(sale, "leave", Command::Leave { buyer }, |outcome| match outcome {
            CommandOutcome::Left { ticket } => Some(ticket),
            _ => None,
        })
        .await
    }

    /// Adds the admission's one extension.
    pub async fn extend(&self, sale: SaleId, buyer: BuyerId) -> Decision<ExtendedAdmission> {
        self.decide_command(sale, "extend", Command::Extend { buyer }, |outcome| match outcome {
            CommandOutcome::Extended { ticket, until, repeated } => {
                Some(ExtendedAdmission { ticket, until, repeated })
            }
            _ => None,
        })
        .await
    }

    /// Holds units, or sells them at once where the policy says so. `order` is the id of the order that is made; with a `key`
    /// that the buyer used before, the reply is the order of that first request.
    pub async fn reserve(
        &self,
        sale: SaleId,
        buyer: BuyerId,
        order: OrderId,
        quantity: u32,
        key: Option<RequestKey>,
    ) -> Decision<DecidedOrder> {
        self.decide_order_command(sale, "reserve", Command::Reserve { buyer, order, quantity, key }).await
    }

    /// Prolongs a pending order's hold for a payment that is about to be authorised. Repeating it changes nothing.
    pub async fn begin_payment(
        &self,
        sale: SaleId,
        buyer: BuyerId,
        order: OrderId,
    ) -> Decision<DecidedOrder> {
        self.decide_order_command(sale, "begin_payment", Command::BeginPayment { buyer, order }).await
    }

    /// Ends the payment of an order that was declined or voided. Repeating it changes nothing.
    pub async fn end_payment(&self, sale: SaleId, buyer: BuyerId, order: OrderId) -> Decision<DecidedOrder> {
        self.decide_order_command(sale, "end_payment", Command::EndPayment { buyer, order }).await
    }

    /// Marks an order as paid.
    pub async fn confirm(&self, sale: SaleId, buyer: BuyerId, order: OrderId) -> Decision<DecidedOrder> {
        self.decide_order_command(sale, "confirm", Command::Confirm { buyer, order }).await
    }

    /// Gives a pending order's units back.
    pub async fn release(
        &self,
        sale: SaleId,
        buyer: BuyerId,
        order: OrderId,
        reason: ReleaseReason,
    ) -> Decision<DecidedOrder> {
        self.decide_order_command(sale, "release", Command::Release { buyer, order, reason }).await
    }

    /// Marks a paid order as refunded; with `restock` its units are sold again.
    pub async fn refund(&self, sale: SaleId, order: OrderId, restock: bool) -> Decision<DecidedOrder> {
        self.decide_order_command(sale, "refund", Command::Refund { order, restock }).await
    }

    async fn decide_order_command(
        &self,
        sale: SaleId,
        operation: &'static str,
        command: Command,
    ) -> Decision<DecidedOrder> {
        let reply = self.command(sale, command).await?;
        match reply.outcome {
            CommandOutcome::Order { order, repeated } => {
                Ok(Ok(DecidedOrder { order, repeated, unsold: reply.unsold }))
            }
            CommandOutcome::Refused(refusal) => Ok(Err(refusal)),
            _ => Err(EngineError::UnexpectedReply { operation }),
        }
    }

    async fn decide_merchant_command(
        &self,
        sale: SaleId,
        operation: &'static str,
        command: Command,
    ) -> Decision<()> {
        self.decide_command(sale, operation, command, |outcome| match outcome {
            CommandOutcome::Done => Some(()),
            _ => None,
        })
        .await
    }

    /// Sends a command; `success` reads the only outcome, besides a refusal, that the operation can have.
    async fn decide_command<T>(
        &self,
        sale: SaleId,
        operation: &'static str,
        command: Command,
        success: impl FnOnce(CommandOutcome) -> Option<T>,
    ) -> Decision<T> {
        match self.command(sale, command).await?.outcome {
            CommandOutcome::Refused(refusal) => Ok(Err(refusal)),
            outcome => success(outcome).map(Ok).ok_or(EngineError::UnexpectedReply { operation }),
        }
    }
}
