//! Giving the money of a confirmed order back. The row says so first, then the law, then the provider: whoever crashes in
//! between, the reconciler goes on, and the buyer gets the money once.

use super::settle::{Settled, intent, tell, unsettled};
use super::{Answered, PaidOrder, PaymentError, Payments, Refused, bounded, outcome, spawned};
use crate::payments::{Provider, Standing};
use crate::shop::keys::{IdempotencyKey, Operation};
use crate::shop::orders::Order;
use crate::store::StoreError;
use crate::store::payments::{self as rows, Held, KeyRow, Payment, State};
use engine::EngineError;
use sale::{BuyerId, Command, OrderId, OrderStatus, OrderView, Outcome};
use std::sync::Arc;

/// A request to give the money of an order back.
#[derive(Clone, Copy, Debug)]
pub struct Refund {
    /// Which admin asks; the key is theirs.
    pub admin: BuyerId,
    /// Which order.
    pub order: OrderId,
    /// True: its units are sold again. False: they stay out of the sale.
    pub restock: bool,
    /// The request's key.
    pub key: Option<IdempotencyKey>,
}

/// How far a refund has come.
#[derive(Debug)]
pub(super) enum Refunding {
    /// The law has it; the money is back, or will be.
    Done(OrderView),
    /// The law said no: the payment is as it was.
    Refused,
    /// Not known yet.
    Open,
}

impl Refunding {
    pub(super) fn settled(self) -> Settled {
        match self {
            Self::Done(_) | Self::Refused => Settled::Over,
            Self::Open => Settled::Open,
        }
    }
}

impl Payments {
    /// Gives the money of a confirmed order back, all of it. Asked again, it tells the order as it is and changes nothing.
    ///
    /// # Errors
    /// When there is no answer; after [`PaymentError::Unsettled`] the refund may go on by itself, and asking again is safe.
    pub async fn refund(self: &Arc<Self>, request: Refund) -> Answered {
        let payments = Arc::clone(self);
        let answered = spawned(async move { payments.refund_now(request).await }).await;
        self.metrics.refunded(outcome(&answered, "refunded"));
        answered
    }

    async fn refund_now(&self, request: Refund) -> Answered {
        let Some(found) = self.find(request.order).await? else { return Ok(Err(Refused::OrderUnknown)) };
        let _permit = match self.flights.begin(found.view.buyer, request.order)? {
            Some(permit) => permit,
            None => return Ok(Err(Refused::InFlight)),
        };
        let restock = if request.restock { "restock" } else { "keep" };
        let key = request
            .key
            .map(|key| self.key_row(request.admin, &key, Operation::Refund, (request.order, restock)));
        if let Some(key) = &key
            && let Some(known) = rows::find_key(&self.store, request.admin, &key.digest).await?
            && known.fingerprint != key.fingerprint
        {
            return Ok(Err(Refused::KeyReused));
        }
        let payment = match self.settled_payment(request.order).await? {
            Ok(payment) => payment,
            Err(refused) => return Ok(Err(refused)),
        };
        let order = self.find(request.order).await?.unwrap_or(found);
        match order.view.status {
            OrderStatus::Confirmed => self.begin_refund(&request, order, payment, key).await,
            OrderStatus::Refunded { .. } => Ok(Ok(PaidOrder { order, payment })),
            status => Ok(Err(Refused::OrderState(status))),
        }
    }

    /// The order's payment, settled first if it was left between two steps.
    async fn settled_payment(
        &self,
        order: OrderId,
    ) -> Result<Result<Option<Payment>, Refused>, PaymentError> {
        let Some(live) = rows::find_live(&self.store, order).await? else { return Ok(Ok(None)) };
        if matches!(live.state, State::Captured | State::Refunded) {
            return Ok(Ok(Some(live)));
        }
        let Some(held) = self.take(live.id, self.engine.now()).await? else {
            return Ok(Err(Refused::InFlight));
        };
        if let Settled::Open = self.holding(&held, self.resume(&held)).await.map_err(unsettled)? {
            return Err(PaymentError::Unsettled);
        }
        match rows::find_live(&self.store, order).await? {
            // Confirmed, but the provider did not answer when the money was to be taken.
            Some(Payment { state: State::Authorised, .. }) => Err(PaymentError::Unsettled),
            settled => Ok(Ok(settled)),
        }
    }

    async fn begin_refund(
        &self,
        request: &Refund,
        order: Order,
        payment: Option<Payment>,
        key: Option<KeyRow>,
    ) -> Answered {
        let mut writing = self.store.begin().await?;
        if let Some(key) = key {
            let about = payment.as_ref().map_or(key.payment, |payment| payment.id);
            if !rows::claim_key(&mut writing, &KeyRow { payment: about, ..key }).await? {
                return Ok(Err(Refused::KeyReused));
            }
        }
        let Some(payment) = payment else {
            writing.commit().await?;
            return self.refund_for_nothing(order, request.restock).await;
        };
        let (at, lease) = ((self.engine.now(), self.try_at()), self.lease());
        let begun = rows::begin_refund(&mut writing, payment, request.restock, at, lease).await?;
        let Some(refunding) = begun else { return Ok(Err(Refused::InFlight)) };
        writing.commit().await?;
        match self.holding(&refunding, self.finish_refund(&refunding)).await.map_err(unsettled)? {
            Refunding::Done(view) => {
                let payment = rows::find(&self.store, refunding.id).await.map_err(unsettled)?;
                Ok(Ok(PaidOrder { order: Order { view, ..order }, payment }))
            }
            Refunding::Refused => Ok(Err(Refused::OrderState(order.view.status))),
            Refunding::Open => Err(PaymentError::Unsettled),
        }
    }

    /// Orders that were sold at once, or for nothing, have no payment: only the law has something to give back.
    async fn refund_for_nothing(&self, order: Order, restock: bool) -> Answered {
        let command = Command::Refund { order: order.view.id, restock };
        match self.ask(&order, command).await {
            Ok(Ok(order)) => Ok(Ok(PaidOrder { order, payment: None })),
            Ok(Err(_)) => Ok(Err(Refused::OrderState(order.view.status))),
            Err(EngineError::NotRecorded) => Err(PaymentError::Unsettled),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a payment from [`State::Refunding`] to its end.
    ///
    /// # Errors
    /// When the tables cannot be asked.
    pub(super) async fn finish_refund(&self, payment: &Held) -> Result<Refunding, StoreError> {
        let command = Command::Refund { order: payment.order, restock: payment.restock };
        let order = match bounded(self.engine.command(payment.sale, command))
            .await
            .map(|answer| answer.outcome)
        {
            Ok(Outcome::Order { order, .. }) => order,
            Ok(Outcome::Refused(refusal)) => {
                tracing::error!(payment = %payment.id, order = %payment.order, %refusal, "a refund is against the law");
                self.step(payment, State::Captured).await?;
                return Ok(Refunding::Refused);
            }
            Ok(Outcome::Done | Outcome::Joined { .. } | Outcome::Left { .. } | Outcome::Extended { .. }) => {
                return Ok(Refunding::Open);
            }
            Err(error) => {
                tell(payment, &error);
                return Ok(Refunding::Open);
            }
        };
        match self.provider.refund(intent(payment)).await {
            Ok(Standing::Refunded) => {
                self.step(payment, State::Refunded).await?;
            }
            Ok(standing) => tracing::error!(
                payment = %payment.id, order = %payment.order, standing = standing.as_str(),
                "an order is refunded, but the provider does not give the money back"
            ),
            Err(error) => tell(payment, &error),
        }
        Ok(Refunding::Done(order))
    }
}
