//! Refunds of confirmed orders. First the row changes, then the law decides, then the provider pays back: after a crash in between the
//! reconciler continues, and the buyer gets the money once.

use super::settle::{SettleResult, intent_id, log_store_failure, log_unsettled};
use super::{
    PaidOrder, PaymentError, PaymentRefusal, PaymentResult, PaymentService, outcome_label, run_to_end,
    with_engine_timeout,
};
use crate::payments::{PaymentProvider, PaymentStatus};
use crate::shop::idempotency_keys::{IdempotencyKey, KeyOperation};
use crate::shop::orders::PricedOrder;
use crate::store::StoreError;
use crate::store::payments::{self as rows, LeasedPayment, PaymentKeyRow, PaymentRow, PaymentState};
use engine::EngineError;
use sale::{BuyerId, OrderId, OrderStatus, OrderView};
use std::sync::Arc;

/// A request to give the money of an order back.
#[derive(Clone, Copy, Debug)]
pub struct RefundRequest {
    /// The owner of the key.
    pub admin: BuyerId,
    pub order: OrderId,
    /// True: its units are sold again. False: they stay out of the sale.
    pub restock: bool,
    pub key: Option<IdempotencyKey>,
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
    /// Refunds all of the money of a confirmed order. A repeat returns the order as it is and changes nothing.
    ///
    /// # Errors
    /// When there is no answer; after [`PaymentError::Unsettled`] the reconciler may finish the refund, and a repeat is safe.
    pub async fn refund(self: &Arc<Self>, request: RefundRequest) -> PaymentResult {
        let payments = Arc::clone(self);
        let result = run_to_end(async move { payments.refund_now(request).await }).await;
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
        let key = request
            .key
            .map(|key| self.key_row(request.admin, &key, KeyOperation::Refund, (request.order, restock)));
        if let Some(key) = &key
            && let Some(known) = rows::find_key(self.tables.store(), request.admin, &key.digest).await?
            && known.fingerprint != key.fingerprint
        {
            return Ok(Err(PaymentRefusal::KeyReused));
        }
        let payment = match self.settled_payment(request.order).await? {
            Ok(payment) => payment,
            Err(refused) => return Ok(Err(refused)),
        };
        let order = self.find_order(request.order).await?.unwrap_or(found);
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
            Some(PaymentRow { state: PaymentState::Authorised, .. }) => Err(PaymentError::Unsettled),
            settled => Ok(Ok(settled)),
        }
    }

    async fn begin_refund(
        &self,
        request: &RefundRequest,
        order: PricedOrder,
        payment: Option<PaymentRow>,
        key: Option<PaymentKeyRow>,
    ) -> PaymentResult {
        let mut writing = self.tables.store().begin().await?;
        if let Some(key) = key {
            let about = payment.as_ref().map_or(key.payment, |payment| payment.id);
            if !rows::claim_key(&mut writing, &PaymentKeyRow { payment: about, ..key }).await? {
                return Ok(Err(PaymentRefusal::KeyReused));
            }
        }
        let Some(payment) = payment else {
            writing.commit().await?;
            return self.refund_free_order(order, request.restock).await;
        };
        let (at, lease) = ((self.engine.now(), self.next_try_at()), self.new_lease());
        let begun = rows::begin_refund(&mut writing, payment, request.restock, at, lease).await?;
        let Some(refunding) = begun else { return Ok(Err(PaymentRefusal::InFlight)) };
        writing.commit().await?;
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
    async fn find_unsold_order(&self, payment: &LeasedPayment) -> Option<OrderView> {
        let order = self.find_order(payment.order).await.ok()??;
        let is_sold = matches!(order.view.status, OrderStatus::Confirmed | OrderStatus::Refunded { .. });
        (!is_sold).then_some(order.view)
    }

    /// Takes a payment from [`PaymentState::Refunding`] to its end.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub(super) async fn finish_refund(&self, payment: &LeasedPayment) -> Result<RefundProgress, StoreError> {
        let refunded = self.engine.refund(payment.sale, payment.order, payment.restock);
        let order = match with_engine_timeout(refunded).await {
            Ok(Ok(decided)) => decided.order,
            Ok(Err(_)) if let Some(view) = self.find_unsold_order(payment).await => view,
            Ok(Err(refusal)) => {
                tracing::error!(payment = %payment.id, order = %payment.order, %refusal, "the law refuses a refund; the payment stays captured");
                self.change_state(payment, PaymentState::Captured).await?;
                return Ok(RefundProgress::Refused);
            }
            Err(error) => {
                log_unsettled(payment, &error);
                return Ok(RefundProgress::Pending);
            }
        };
        match self.provider.refund(intent_id(payment)).await {
            Ok(PaymentStatus::Refunded) => {
                self.change_state(payment, PaymentState::Refunded).await?;
            }
            Ok(status) => tracing::error!(
                payment = %payment.id, order = %payment.order, status = status.as_str(),
                "an order is refunded, but the provider does not pay the money back; the reconciler retries; look it up at the provider"
            ),
            Err(error) => log_unsettled(payment, &error),
        }
        Ok(RefundProgress::Done(order))
    }
}

fn is_captured(payment: Option<&PaymentRow>) -> bool {
    payment.is_some_and(|payment| payment.state == PaymentState::Captured)
}
