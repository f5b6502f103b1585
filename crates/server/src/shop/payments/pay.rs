//! Pays for an order. The payment's row is written before the provider is called, so that a crash leaves something to settle and a
//! repeated request never charges twice.

use super::settle::{SettleResult, log_store_failure};
use super::{
    PaidOrder, PaymentError, PaymentRefusal, PaymentResult, PaymentService, outcome_label,
    refusal_for_status, with_engine_timeout,
};
use crate::payments::{PaymentProvider, ProviderHealth};
use crate::shop::idempotency_keys::{IdempotencyKey, KeyOperation};
use crate::shop::ids;
use crate::shop::orders::PricedOrder;
use crate::store::StoreError;
use crate::store::payments::{
    self as rows, BeginResult, KeyClaim, LeasedPayment, NewPayment, PaymentKeyRow, PaymentRow, PaymentState,
};
use sale::{BuyerId, OrderId, OrderStatus};
use std::sync::Arc;
use uuid::Uuid;

/// A request to pay.
#[derive(Clone, Debug)]
pub struct PayRequest {
    pub buyer: BuyerId,
    pub order: OrderId,
    /// The provider's name for the way to pay. An order that costs nothing needs none.
    pub method: Option<String>,
    pub key: Option<IdempotencyKey>,
    /// `en`, `de` or `ar`: the language of the page from which the buyer pays; empty where it is not known.
    pub language: &'static str,
}

impl PaymentService {
    /// Pays for an order. The work runs to its end also when the caller goes away.
    ///
    /// # Errors
    /// When there is no answer; only [`PaymentError::Unsettled`] leaves open whether money has moved.
    pub async fn pay(self: &Arc<Self>, request: PayRequest) -> PaymentResult {
        let payments = Arc::clone(self);
        let result = self.run_to_end(async move { payments.pay_now(&request).await }).await;
        self.metrics.count_payment(outcome_label(&result, "paid"));
        result
    }

    async fn pay_now(&self, request: &PayRequest) -> PaymentResult {
        let is_known = |method: &String| self.providers.iter().any(|provider| provider.accepts(method));
        if !request.method.as_ref().is_none_or(is_known) {
            return Ok(Err(PaymentRefusal::UnknownMethod));
        }
        let PayRequest { buyer, order: id, .. } = *request;
        let _permit = match self.in_flight.begin(buyer, id)? {
            Some(permit) => permit,
            None => return Ok(Err(PaymentRefusal::InFlight)),
        };
        let Some(order) = self.find_order(id).await?.filter(|order| order.view.buyer == buyer) else {
            return Ok(Err(PaymentRefusal::OrderUnknown));
        };
        // Nothing here takes money of the sale, or not in this way.
        let Some(provider) = self.provider_of_sale(order.sale).await? else {
            return Ok(Err(PaymentRefusal::UnknownMethod));
        };
        if request.method.as_ref().is_some_and(|method| !provider.accepts(method)) {
            return Ok(Err(PaymentRefusal::UnknownMethod));
        }
        let method = request.method.as_deref().unwrap_or_default();
        let is_pending = matches!(order.view.status, OrderStatus::Pending { .. });
        if method.is_empty() && order.total().minor > 0 && is_pending {
            return Ok(Err(PaymentRefusal::MissingMethod));
        }
        let key = request.key.map(|key| self.key_row(buyer, &key, KeyOperation::Pay, (id, method)));
        // Nearly every payment is the first of its order, with a key of its own: it begins without reading the tables.
        if is_pending && order.total().minor > 0 {
            let claim = key.clone().map(|key| (key, KeyClaim::First));
            let payment = self.new_payment(&order, request, provider.name());
            if let BeginResult::Begun(held) = self.write_beginning(payment, claim).await? {
                return self.charge(order, &held).await;
            }
        }
        if let Some(key) = &key
            && let Some(known) = rows::find_key(self.tables.store(), buyer, &key.digest).await?
        {
            if known.fingerprint != key.fingerprint {
                return Ok(Err(PaymentRefusal::KeyReused));
            }
            if let Some(answer) = self.repeat_reply(order, known.payment).await? {
                return Ok(answer);
            }
        }
        if let Some(live) = rows::find_live(self.tables.store(), id).await? {
            // Another card has a payment of its own, unless the one before it turns out to be paid.
            let is_same = !matches!(live.state, PaymentState::Started | PaymentState::Open)
                || Some(&live.method) == request.method.as_ref();
            let key = key.as_ref().map(|key| PaymentKeyRow { payment: live.id, ..key.clone() });
            if let Some(key) = &key
                && is_same
                && !self.claim_key(key).await?
            {
                return Ok(Err(PaymentRefusal::KeyReused));
            }
            if let Some(answer) = self.continue_payment(request, order, live).await? {
                if let (Some(key), false, Ok(_)) = (&key, is_same, &answer)
                    && !self.claim_key(key).await.map_err(|_| PaymentError::Unsettled)?
                {
                    return Ok(Err(PaymentRefusal::KeyReused));
                }
                return Ok(answer);
            }
        }
        self.begin_payment(request, order, key, provider.name()).await
    }

    /// The reply to the first request with this key. `None` when it got none yet.
    async fn repeat_reply(
        &self,
        order: PricedOrder,
        payment: Uuid,
    ) -> Result<Option<Result<PaidOrder, PaymentRefusal>>, PaymentError> {
        let Some(payment) = rows::find(self.tables.store(), payment).await? else { return Ok(None) };
        Ok(match payment.state {
            PaymentState::Started | PaymentState::Open | PaymentState::Authorised => None,
            PaymentState::Captured | PaymentState::Refunding | PaymentState::Refunded
                if is_sold(order.view.status) =>
            {
                Some(Ok(PaidOrder { order, payment: Some(payment) }))
            }
            PaymentState::Captured | PaymentState::Refunding | PaymentState::Refunded => None,
            // The order has ended since: it cannot be paid in another way any more.
            PaymentState::Declined if has_ended(order.view.status) => None,
            PaymentState::Declined => Some(Err(PaymentRefusal::Declined { reason: payment.reason })),
            PaymentState::Voiding | PaymentState::Voided => match order.view.status {
                // Paid for by a later request, or closed for one in another way, which may not have ended: the order is not over.
                OrderStatus::Confirmed | OrderStatus::Pending { .. } => None,
                status => Some(Err(refusal_for_status(status))),
            },
        })
    }

    /// Continues a payment that was left between two steps. `None` when it was voided, or was one with another card and declined: then
    /// another may begin.
    async fn continue_payment(
        &self,
        request: &PayRequest,
        order: PricedOrder,
        live: PaymentRow,
    ) -> Result<Option<Result<PaidOrder, PaymentRefusal>>, PaymentError> {
        match live.state {
            PaymentState::Captured => return self.answer_captured(order, live).await.map(Some),
            PaymentState::Refunding | PaymentState::Refunded => {
                return Ok(Some(Err(PaymentRefusal::OrderState(order.view.status))));
            }
            _ => {}
        }
        let Some(held) = self.acquire_lease(live.id, self.engine.now()).await? else {
            return Ok(Some(Err(PaymentRefusal::InFlight)));
        };
        let is_same = Some(&held.method) == request.method.as_ref();
        let settled = self.with_lease(&held, async {
            let settled = match held.state {
                PaymentState::Started if is_same => self.retry_payment(&held).await?,
                _ => self.settle_payment(&held).await?,
            };
            match settled {
                // The buyer wants to pay in another way: the page is closed. If that comes too late, the money goes back.
                SettleResult::Open { payment, is_submitted: false, .. } if !is_same => {
                    self.void_unseen_payment(&held.moved(*payment)).await
                }
                settled => Ok(settled),
            }
        });
        match settled.await.map_err(log_store_failure)? {
            SettleResult::Voided => Ok(None),
            SettleResult::Declined { .. } if !is_same => Ok(None),
            // Another process has finished it meanwhile.
            SettleResult::Finished => Ok(Some(Err(PaymentRefusal::InFlight))),
            settled => self.build_reply(order, settled, (&held, is_same)).await.map(Some),
        }
    }

    /// The reply when the money was taken before. The ledger may not have the order as confirmed, because an older one was put back: then it
    /// is confirmed now, or the buyer learns that it is not sold; an admin's refund gives the money back.
    async fn answer_captured(
        &self,
        order: PricedOrder,
        payment: PaymentRow,
    ) -> Result<Result<PaidOrder, PaymentRefusal>, PaymentError> {
        if is_sold(order.view.status) {
            return Ok(Ok(PaidOrder { order, payment: Some(payment) }));
        }
        // A refund that begins in another process meanwhile would give the money of the confirmed order back.
        let Some(held) = self.acquire_lease(payment.id, self.engine.now()).await? else {
            return Ok(Err(PaymentRefusal::InFlight));
        };
        self.with_lease(&held, async {
            if held.state != PaymentState::Captured {
                return Ok(Err(PaymentRefusal::InFlight));
            }
            let confirmed = self.engine.confirm(order.sale, order.view.buyer, order.view.id);
            match with_engine_timeout(confirmed).await? {
                Ok(decided) => {
                    let order = PricedOrder { view: decided.order, ..order };
                    Ok(Ok(PaidOrder { order, payment: Some(payment) }))
                }
                Err(_) => Ok(Err(self.explain_refusal(order).await?)),
            }
        })
        .await
    }

    async fn begin_payment(
        &self,
        request: &PayRequest,
        order: PricedOrder,
        key: Option<PaymentKeyRow>,
        provider: &'static str,
    ) -> PaymentResult {
        match order.view.status {
            OrderStatus::Confirmed => return Ok(Ok(PaidOrder { order, payment: None })),
            status @ OrderStatus::Refunded { .. } => return Ok(Err(PaymentRefusal::OrderState(status))),
            status @ (OrderStatus::Expired | OrderStatus::Cancelled | OrderStatus::Declined) => {
                return Ok(Err(PaymentRefusal::OrderGone(status)));
            }
            OrderStatus::Pending { .. } => {}
        }
        if order.total().minor == 0 {
            return self.confirm_free_order(order, key).await;
        }
        if request.method.is_none() {
            return Ok(Err(PaymentRefusal::MissingMethod));
        }
        let payment = self.new_payment(&order, request, provider);
        match self.write_beginning(payment, key.map(|key| (key, KeyClaim::Again))).await? {
            BeginResult::Begun(held) => self.charge(order, &held).await,
            BeginResult::OrderTaken => Ok(Err(PaymentRefusal::InFlight)),
            BeginResult::KeyTaken => Ok(Err(PaymentRefusal::KeyReused)),
        }
    }

    async fn write_beginning(
        &self,
        payment: PaymentRow,
        key: Option<(PaymentKeyRow, KeyClaim)>,
    ) -> Result<BeginResult, StoreError> {
        let (try_at, lease) = (self.next_try_at(), self.new_lease());
        self.tables.begin_payment(NewPayment { payment, key, try_at, lease }).await
    }

    async fn charge(&self, order: PricedOrder, held: &LeasedPayment) -> PaymentResult {
        let settled = self.with_lease(held, self.authorise(held)).await.map_err(log_store_failure)?;
        self.build_reply(order, settled, (held, true)).await
    }

    async fn confirm_free_order(&self, order: PricedOrder, key: Option<PaymentKeyRow>) -> PaymentResult {
        if let Some(key) = &key
            && !self.claim_key(key).await?
        {
            return Ok(Err(PaymentRefusal::KeyReused));
        }
        let confirmed = self.engine.confirm(order.sale, order.view.buyer, order.view.id);
        match with_engine_timeout(confirmed).await? {
            Ok(decided) => {
                Ok(Ok(PaidOrder { order: PricedOrder { view: decided.order, ..order }, payment: None }))
            }
            Err(_) => Ok(Err(self.explain_refusal(order).await?)),
        }
    }

    /// The reply when the provider did not answer. The page of an open payment is the buyer's as before. Where a page was never opened, nothing
    /// can have been charged.
    async fn answer_silence(&self, order: PricedOrder, held: &PaymentRow, is_same: bool) -> PaymentResult {
        let now = rows::find(self.tables.store(), held.id).await.map_err(log_store_failure)?;
        let Some(now) = now else { return Err(PaymentError::Unsettled) };
        match (now.state, order.view.status) {
            (PaymentState::Open, OrderStatus::Pending { .. }) if is_same => {
                Ok(Ok(PaidOrder { order, payment: Some(now) }))
            }
            (PaymentState::Started, OrderStatus::Pending { until, paying_until: None })
                if self.is_redirect(&now) && self.is_provider_down(&now) =>
            {
                Err(PaymentError::Unavailable { until })
            }
            _ => Err(PaymentError::Unsettled),
        }
    }

    fn is_provider_down(&self, payment: &PaymentRow) -> bool {
        let provider = self.providers.get(&payment.provider);
        provider.is_some_and(|provider| provider.health() != ProviderHealth::Ok)
    }

    /// The reply for a payment after its last step; `is_same` when the request names the method of the payment.
    async fn build_reply(
        &self,
        order: PricedOrder,
        settled: SettleResult,
        (held, is_same): (&PaymentRow, bool),
    ) -> PaymentResult {
        match settled {
            SettleResult::Paid { order: view, payment } => {
                Ok(Ok(PaidOrder { order: PricedOrder { view, ..order }, payment: Some(*payment) }))
            }
            SettleResult::Open { order: view, payment, .. } => {
                Ok(Ok(PaidOrder { order: PricedOrder { view, ..order }, payment: Some(*payment) }))
            }
            SettleResult::Declined { reason } => Ok(Err(PaymentRefusal::Declined { reason })),
            SettleResult::Refused | SettleResult::Voided => Ok(Err(self.explain_refusal(order).await?)),
            SettleResult::Pending => self.answer_silence(order, held, is_same).await,
            SettleResult::Finished => Err(PaymentError::Unsettled),
        }
    }

    fn new_payment(&self, order: &PricedOrder, request: &PayRequest, provider: &str) -> PaymentRow {
        let now = self.engine.now();
        PaymentRow {
            id: ids::new(now),
            order: order.view.id,
            sale: order.sale,
            buyer: order.view.buyer,
            provider: provider.to_owned(),
            reference: None,
            method: request.method.clone().unwrap_or_default(),
            amount: order.total(),
            state: PaymentState::Started,
            action_url: None,
            language: request.language.to_owned(),
            reason: String::new(),
            restock: false,
            refunded_minor: 0,
            created_at: now,
            updated_at: now,
            tries: 0,
        }
    }
}

/// Whether the order ended without a sale.
fn has_ended(status: OrderStatus) -> bool {
    matches!(status, OrderStatus::Expired | OrderStatus::Cancelled | OrderStatus::Declined)
}

/// Whether the order's units are the buyer's, or were until their money went back.
fn is_sold(status: OrderStatus) -> bool {
    matches!(status, OrderStatus::Confirmed | OrderStatus::Refunded { .. })
}
