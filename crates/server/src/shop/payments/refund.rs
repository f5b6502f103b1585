//! Refunds of confirmed orders. First the row changes, then the law decides, then the provider pays back: after a crash in between the
//! reconciler continues, and the buyer gets the money once.

use super::disputes::DisputedMoney;
use super::settle::{SettleResult, log_store_failure, log_unsettled};
use super::{
    PaidOrder, PaymentError, PaymentRefusal, PaymentResult, PaymentService, outcome_label,
    with_engine_timeout,
};
use crate::payments::{PaymentStatus, ProviderAnswer, ProviderReply};
use crate::shop::idempotency_keys::{IdempotencyKey, KeyOperation};
use crate::shop::orders::PricedOrder;
use crate::store::StoreError;
use crate::store::payments::{
    self as rows, LeasedPayment, PaymentKeyRow, PaymentRow, PaymentState, RefundRow, WholeRefund,
};
use engine::EngineError;
use futures::FutureExt;
use sale::{BuyerId, Money, OrderId, OrderStatus, OrderView};
use std::sync::Arc;

/// A request to give the money of an order back.
#[derive(Clone, Copy, Debug)]
pub struct RefundRequest {
    /// The owner of the key.
    pub admin: BuyerId,
    pub order: OrderId,
    /// How much; `None` for all that is left. A part leaves the order as it is.
    pub amount: Option<Money>,
    /// True: its units are sold again. False: they stay out of the sale. A part never gives units back.
    pub restock: bool,
    pub key: Option<IdempotencyKey>,
}

/// What a request for an amount asks for.
#[derive(Debug)]
pub(super) enum ChosenRefund {
    /// All that is left: the order is refunded with it.
    Whole,
    Part(Box<RefundPart>),
    Refused(PaymentRefusal),
}

/// A part that is to be refunded.
#[derive(Debug)]
pub(super) struct RefundPart {
    pub(super) payment: PaymentRow,
    pub(super) refund: RefundRow,
}

/// What became of the refund of all that is left of a payment that was to begin.
enum RefundStart {
    Begun(Box<LeasedPayment>),
    /// The payment is in another state, or leased, or another amount is left, or a part is under way. The key is not kept.
    NotBegun,
    /// The key was used for another request.
    KeyTaken,
}

/// How far a refund has come.
#[derive(Debug)]
pub(super) enum RefundProgress {
    /// The refund is recorded; the money is back, or will be.
    Done(OrderView),
    /// The law refused: the payment is as it was.
    Refused,
    Pending,
}

impl RefundProgress {
    pub(super) fn into_settle_result(self) -> SettleResult {
        match self {
            Self::Done(_) | Self::Refused => SettleResult::Finished,
            Self::Pending => SettleResult::Pending,
        }
    }
}

impl PaymentService {
    /// Refunds all that is left of the money of a confirmed order, or a part. A repeat with the same key returns the order as it is and
    /// changes nothing; so does a repeat of a whole refund without a key.
    ///
    /// # Errors
    /// When there is no answer; after [`PaymentError::Unsettled`] the reconciler may finish the refund, and a repeat is safe.
    pub async fn refund(self: &Arc<Self>, request: RefundRequest) -> PaymentResult {
        let payments = Arc::clone(self);
        let result = self.run_to_end(async move { payments.refund_now(request).await }).await;
        self.metrics.count_refund(outcome_label(&result, "refunded"));
        result
    }

    async fn refund_now(&self, request: RefundRequest) -> PaymentResult {
        let Some(found) = self.find_order(request.order).await? else {
            return Ok(Err(PaymentRefusal::OrderUnknown));
        };
        let _permit = match self.in_flight.begin(found.view.buyer, request.order)? {
            Some(permit) => permit,
            None => return Ok(Err(PaymentRefusal::InFlight)),
        };
        let restock = if request.restock { "restock" } else { "keep" };
        let content = match request.amount {
            Some(amount) => format!("{restock} {} {}", amount.minor, amount.currency),
            None => restock.to_owned(),
        };
        let key = request.key.map(|key| {
            self.key_row(request.admin, &key, KeyOperation::Refund, (request.order, content.as_str()))
        });
        let known = match &key {
            Some(key) => rows::find_key(self.tables.store(), request.admin, &key.digest).await?,
            None => None,
        };
        if known.as_ref().zip(key.as_ref()).is_some_and(|(known, key)| known.fingerprint != key.fingerprint) {
            return Ok(Err(PaymentRefusal::KeyReused));
        }
        let payment = match self.settled_payment(request.order).await? {
            Ok(payment) => payment,
            Err(refused) => return Ok(Err(refused)),
        };
        let order = self.find_order(request.order).await?.unwrap_or(found);
        // The provider would refuse it after the law has refunded the order.
        if let Some(payment) = &payment
            && payment.state == PaymentState::Captured
            && self.is_disputed(payment).await?
        {
            return Ok(Err(PaymentRefusal::Disputed));
        }
        if let Some(amount) = request.amount {
            match self.choose_refund(&order, payment.as_ref(), amount, key.as_ref()).await? {
                ChosenRefund::Whole => {}
                // A repeat of a request that has refunded all that was left.
                ChosenRefund::Refused(_) if known.is_some() && is_refunded(&order) => {}
                ChosenRefund::Part(_) if request.restock => return Ok(Err(PaymentRefusal::PartRestock)),
                ChosenRefund::Part(part) => return self.refund_part(order, *part, key).await,
                ChosenRefund::Refused(refusal) => return Ok(Err(refusal)),
            }
        }
        match order.view.status {
            OrderStatus::Confirmed
                if payment.is_none() && order.requires_payment && order.total().minor > 0 =>
            {
                Ok(Err(PaymentRefusal::PaymentMissing))
            }
            OrderStatus::Confirmed => self.begin_refund(&request, order, payment, key).await,
            OrderStatus::Refunded { .. } => {
                if let Some(key) = key {
                    let about = payment.as_ref().map_or(key.payment, |payment| payment.id);
                    if !self.claim_key(&PaymentKeyRow { payment: about, ..key }).await? {
                        return Ok(Err(PaymentRefusal::KeyReused));
                    }
                }
                Ok(Ok(PaidOrder { order, payment }))
            }
            // Money was taken for an order that the ledger does not have as confirmed: an older ledger was put back.
            _ if is_captured(payment.as_ref()) => self.begin_refund(&request, order, payment, key).await,
            status => Ok(Err(PaymentRefusal::OrderState(status))),
        }
    }

    /// The order's payment, settled first if it was left between two steps.
    async fn settled_payment(
        &self,
        order: OrderId,
    ) -> Result<Result<Option<PaymentRow>, PaymentRefusal>, PaymentError> {
        let Some(live) = rows::find_live(self.tables.store(), order).await? else { return Ok(Ok(None)) };
        if matches!(live.state, PaymentState::Captured | PaymentState::Refunded) {
            return Ok(Ok(Some(live)));
        }
        let Some(held) = self.acquire_lease(live.id, self.engine.now()).await? else {
            return Ok(Err(PaymentRefusal::InFlight));
        };
        if let SettleResult::Pending =
            self.with_lease(&held, self.settle_payment(&held)).await.map_err(log_store_failure)?
        {
            return Err(PaymentError::Unsettled);
        }
        match rows::find_live(self.tables.store(), order).await? {
            // Confirmed, but the provider did not answer the capture.
            Some(authorised)
                if authorised.state == PaymentState::Authorised && !self.is_money_lost(&authorised).await =>
            {
                Err(PaymentError::Unsettled)
            }
            settled => Ok(Ok(settled)),
        }
    }

    /// Whether the money of an authorised payment can never be captured: it was let go at the provider, in its dashboard or after too long, or
    /// was captured and refunded there.
    async fn is_money_lost(&self, payment: &PaymentRow) -> bool {
        let answer = self.find_at_provider(payment).await;
        answer.is_ok_and(|answer| answer.is_some_and(|answer| has_no_money(answer.status)))
    }

    async fn begin_refund(
        &self,
        request: &RefundRequest,
        order: PricedOrder,
        payment: Option<PaymentRow>,
        key: Option<PaymentKeyRow>,
    ) -> PaymentResult {
        let Some(payment) = payment else {
            if let Some(key) = key
                && !self.claim_key(&key).await?
            {
                return Ok(Err(PaymentRefusal::KeyReused));
            }
            return self.refund_free_order(order, request.restock).await;
        };
        let (id, refunded_minor) = (payment.id, payment.refunded_minor);
        let refund = WholeRefund { restock: request.restock, is_exact: request.amount.is_some() };
        let refunding = match self.write_refund(payment, refund, key).await? {
            RefundStart::Begun(refunding) => *refunding,
            RefundStart::KeyTaken => return Ok(Err(PaymentRefusal::KeyReused)),
            RefundStart::NotBegun => {
                // Another request has refunded a part since, so the amount is more than is left.
                if request.amount.is_some()
                    && let Some(now) = rows::find(self.tables.store(), id).await?
                    && now.refunded_minor > refunded_minor
                {
                    return Ok(Err(PaymentRefusal::RefundTooHigh { left_minor: now.left_minor() }));
                }
                rows::hasten_parts(self.tables.store(), id, self.engine.now()).await?;
                return Ok(Err(PaymentRefusal::InFlight));
            }
        };
        match self.with_lease(&refunding, self.finish_refund(&refunding)).await.map_err(log_store_failure)? {
            RefundProgress::Done(view) => {
                let payment =
                    rows::find(self.tables.store(), refunding.id).await.map_err(log_store_failure)?;
                Ok(Ok(PaidOrder { order: PricedOrder { view, ..order }, payment }))
            }
            RefundProgress::Refused => Ok(Err(PaymentRefusal::OrderState(order.view.status))),
            RefundProgress::Pending => Err(PaymentError::Unsettled),
        }
    }

    /// Keeps the key of a refund, and begins the refund of all that is left of a payment: both, or neither.
    async fn write_refund(
        &self,
        payment: PaymentRow,
        refund: WholeRefund,
        key: Option<PaymentKeyRow>,
    ) -> Result<RefundStart, StoreError> {
        let key = key.map(|key| PaymentKeyRow { payment: payment.id, ..key });
        // What is left is known when the parts have ended.
        let at = (self.engine.now(), self.next_try_at());
        let lease = (self.new_lease(), self.lease_due(at.0));
        let begun = self.tables.write(payment.id, move |writing| {
            let (key, payment) = (key.clone(), payment.clone());
            async move {
                writing.set_savepoint().await?;
                if let Some(key) = key
                    && !rows::claim_key(writing, &key).await?
                {
                    return Ok(RefundStart::KeyTaken);
                }
                match rows::begin_refund(writing, payment, refund, at, lease).await? {
                    Some(refunding) => Ok(RefundStart::Begun(Box::new(refunding))),
                    None => {
                        writing.rollback_to_savepoint().await?;
                        Ok(RefundStart::NotBegun)
                    }
                }
            }
            .boxed()
        });
        begun.await
    }

    /// Refunds an order without a payment (sold at once, or free): only the law has something to change.
    async fn refund_free_order(&self, order: PricedOrder, restock: bool) -> PaymentResult {
        match with_engine_timeout(self.engine.refund(order.sale, order.view.id, restock)).await {
            Ok(Ok(decided)) => {
                Ok(Ok(PaidOrder { order: PricedOrder { view: decided.order, ..order }, payment: None }))
            }
            Ok(Err(_)) => Ok(Err(PaymentRefusal::OrderState(order.view.status))),
            Err(EngineError::NotRecorded) => Err(PaymentError::Unsettled),
            Err(error) => Err(error.into()),
        }
    }

    /// The order of a payment, if its units are not the buyer's: then the money goes back, whatever the law says of the order.
    ///
    /// # Errors
    /// When the engine does not answer.
    async fn find_unsold_order(&self, payment: &LeasedPayment) -> Result<Option<OrderView>, EngineError> {
        let found = with_engine_timeout(self.engine.order_to_pay(payment.order)).await?;
        let is_sold =
            |view: &OrderView| matches!(view.status, OrderStatus::Confirmed | OrderStatus::Refunded { .. });
        Ok(found.map(|(_, view)| view).filter(|view| !is_sold(view)))
    }

    /// Takes a payment from [`PaymentState::Refunding`] to its end.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub(super) async fn finish_refund(&self, payment: &LeasedPayment) -> Result<RefundProgress, StoreError> {
        let refunded = self.engine.refund(payment.sale, payment.order, payment.restock);
        let order = match with_engine_timeout(refunded).await {
            Ok(Ok(decided)) => decided.order,
            Ok(Err(refusal)) => match self.find_unsold_order(payment).await {
                Ok(Some(view)) => view,
                Ok(None) => {
                    tracing::error!(payment = %payment.id, order = %payment.order, %refusal, "the law refuses a refund; the payment stays captured");
                    self.change_state(payment, PaymentState::Captured).await?;
                    return Ok(RefundProgress::Refused);
                }
                Err(error) => {
                    log_unsettled(payment, &error);
                    return Ok(RefundProgress::Pending);
                }
            },
            Err(error) => {
                log_unsettled(payment, &error);
                return Ok(RefundProgress::Pending);
            }
        };
        let mut reply = self.refund_rest(payment).await?;
        // Somebody may have refunded a part at the provider, so that less is left.
        if reply.as_ref().is_ok_and(|answer| answer.is_refund_refused)
            && self.take_over_refunds(payment).await?
        {
            reply = self.refund_rest(payment).await?;
        }
        match reply {
            Ok(answer) if answer.status == PaymentStatus::Refunded => {
                self.change_state(payment, PaymentState::Refunded).await?;
            }
            // Its money was never captured, so there is nothing to give back.
            Ok(answer) if has_no_money(answer.status) => {
                self.change_state(payment, PaymentState::Voided).await?;
            }
            Ok(answer) if answer.is_refund_refused && self.settle_disputed_refund(payment).await? => {}
            Ok(answer) => tracing::error!(
                payment = %payment.id, order = %payment.order, status = answer.status.as_str(),
                "an order is refunded, but the provider does not pay the money back; the reconciler retries; look it up at the provider"
            ),
            Err(error) => log_unsettled(payment, &error),
        }
        Ok(RefundProgress::Done(order))
    }

    /// Ends the refund of an order whose money a lost dispute has given to the buyer; while a dispute is open, the refund waits. `false` when
    /// there is no such dispute, or the provider does not answer.
    async fn settle_disputed_refund(&self, payment: &LeasedPayment) -> Result<bool, StoreError> {
        match self.refresh_disputes(payment).await? {
            Ok(DisputedMoney::Lost) => {
                tracing::warn!(
                    payment = %payment.id, order = %payment.order,
                    "an order is refunded, and the bank has given its money to the buyer after a dispute; the shop pays nothing back; if the dispute was about less, pay the rest back in another way"
                );
                self.change_state(payment, PaymentState::Voided).await?;
                Ok(true)
            }
            Ok(DisputedMoney::Held) => {
                tracing::warn!(
                    payment = %payment.id, order = %payment.order,
                    "an order is refunded, and a dispute holds its money; the reconciler asks again until the bank has decided; do not pay by hand; to end it sooner, accept the dispute in the provider's dashboard"
                );
                Ok(true)
            }
            Ok(DisputedMoney::Free) | Err(_) => Ok(false),
        }
    }

    /// Has the provider refund all that is left.
    async fn refund_rest(&self, payment: &LeasedPayment) -> Result<ProviderReply, StoreError> {
        let whole = rows::find_refund(self.tables.store(), payment.id).await?;
        let rest_minor = whole.map_or(payment.amount.minor, |whole| whole.amount_minor);
        // Parts have given everything back already.
        if rest_minor == 0 {
            return Ok(Ok(ProviderAnswer::with_status(PaymentStatus::Refunded)));
        }
        Ok(self.refund_at_provider(payment, payment.id, rest_minor).await)
    }
}

/// Whether a payment in this status never brings money again.
pub(super) const fn has_no_money(status: PaymentStatus) -> bool {
    matches!(status, PaymentStatus::Voided | PaymentStatus::Declined | PaymentStatus::Refunded)
}

fn is_refunded(order: &PricedOrder) -> bool {
    matches!(order.view.status, OrderStatus::Refunded { .. })
}

fn is_captured(payment: Option<&PaymentRow>) -> bool {
    payment.is_some_and(|payment| payment.state == PaymentState::Captured)
}
