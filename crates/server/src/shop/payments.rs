//! Paying for an order, and giving the money back: the one place where the law of a sale and a payment provider meet.
//!
//! A payment is a row that exists *before* the provider is asked, and moves on by itself whatever becomes of the client:
//!
//! ```text
//! started ──► authorised ──► captured ──► refunding ──► refunded
//!    │  └──────────┴──► voiding ──► voided
//!    └──► declined
//! ```
//!
//! `authorised` is where the law is asked: it confirms, and the money is taken, or it refuses, and the money is let go.
//! The step into `voiding` and `refunding` is durable before anything is done about it, so that a buyer who was told "you
//! were not charged" never is. Whatever a crash or a lost reply leaves between two steps, [`Payments::reconcile`] settles.
//! Nothing here decides about a unit: that is the engine's law, also for a payment that comes too late.

pub mod charge_table;

pub mod in_flight;

mod lease;

mod reconcile;

mod refund;

mod settle;

pub use reconcile::{ReconcileReport, ReconcileTiming};
pub use refund::RefundRequest;

use super::idempotency_keys::{IdempotencyKey, KeyOperation, format_hex};
use super::ids;
use super::orders::PricedOrder;
use crate::payments::{PaymentProvider, ProviderTimeouts, ProviderWithTimeout};
use crate::store::payments::{self as rows, PaymentKeyRow, PaymentRow, PaymentState};
use crate::store::{Store, StoreError};
use crate::telemetry::payments::PaymentMetrics;
use engine::{Engine, EngineError};
use in_flight::PaymentsInFlight;
use sale::{BuyerId, Money, OrderId, OrderStatus, Timestamp};
use settle::{SettleResult, log_store_failure};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long the engine may take before its answer is taken as lost. It answers within milliseconds, or its disk is ill.
const ENGINE_TIME_MAX: Duration = Duration::from_secs(5);

/// How often a confirmation is offered to an engine that is overloaded; the waits between add up to 0.6 s. The money is set
/// aside by then, so this buyer is worth more than the next one's first try.
const CONFIRM_TRIES: u32 = 6;

/// What takes payments, and settles what was left open.
pub struct PaymentService {
    store: Store,
    engine: Engine,
    provider: ProviderWithTimeout,
    in_flight: Arc<PaymentsInFlight>,
    timing: ReconcileTiming,
    metrics: PaymentMetrics,
}

/// A request to pay.
#[derive(Clone, Debug)]
pub struct PayRequest {
    pub buyer: BuyerId,
    pub order: OrderId,
    /// How, in the provider's words.
    pub method: String,
    pub key: Option<IdempotencyKey>,
}

/// An order with its payment, if money was needed.
#[derive(Clone, Debug)]
pub struct PaidOrder {
    /// The order as it is now.
    pub order: PricedOrder,
    pub payment: Option<PaymentRow>,
}

/// What became of a payment or of a refund: the order as it is now, or a refusal that moved no money.
pub type PaymentResult = Result<Result<PaidOrder, PaymentRefusal>, PaymentError>;

/// Why there is no payment, or no refund. In each case no money has moved for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentRefusal {
    /// The caller has no such order.
    OrderUnknown,
    /// The order's units are not the buyer's any more; this is what became of it. Money that was set aside is let go.
    OrderGone(OrderStatus),
    /// The order is in a state that does not allow this.
    OrderState(OrderStatus),
    /// The provider said no; the order's units were given back.
    Declined {
        /// Why, fit for the buyer's eyes.
        reason: String,
    },
    /// The provider does not know the method.
    UnknownMethod,
    /// The key was used for another request.
    KeyReused,
    /// The order is being paid, settled or refunded at this moment.
    InFlight,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// The engine did not answer; nothing was done.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The tables cannot be asked; nothing was done.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many payments are being worked on; nothing was done.
    #[error("too many payments at once")]
    Overloaded,
    /// Money may have been set aside or not. Asking again is safe and finds out; so does the reconciler.
    #[error("the outcome of the payment is not known yet")]
    Unsettled,
}

impl PaymentService {
    /// Payments over these tables, this engine and this provider.
    #[must_use]
    pub fn new(
        store: Store,
        engine: Engine,
        provider: Arc<dyn PaymentProvider>,
        limits: ProviderTimeouts,
        timing: ReconcileTiming,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            engine,
            provider: ProviderWithTimeout::new(provider, limits),
            in_flight: Arc::default(),
            timing,
            metrics: PaymentMetrics::default(),
        })
    }

    #[must_use]
    pub fn metrics(&self) -> &PaymentMetrics {
        &self.metrics
    }

    /// Pays for an order. The work goes on to its end when the caller goes away.
    ///
    /// # Errors
    /// When there is no answer; only [`PaymentError::Unsettled`] leaves open whether money has moved.
    pub async fn pay(self: &Arc<Self>, request: PayRequest) -> PaymentResult {
        let payments = Arc::clone(self);
        let answered = run_to_end(async move { payments.pay_now(&request).await }).await;
        self.metrics.count_payment(outcome_label(&answered, "paid"));
        answered
    }

    /// Waits until no payment is being worked on, at most `limit`. `false` when some still are; the reconciler of the next
    /// start settles them.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.in_flight.drain(limit).await
    }

    /// The order's payment, for whoever shows an order. `None` when it needed no money, or has not been paid for.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_by_order(&self, order: OrderId) -> Result<Option<PaymentRow>, StoreError> {
        rows::find_live(&self.store, order).await
    }

    async fn pay_now(&self, request: &PayRequest) -> PaymentResult {
        if !self.provider.accepts(&request.method) {
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
        let key = request.key.map(|key| self.key_row(buyer, &key, KeyOperation::Pay, (id, &request.method)));
        if let Some(key) = &key
            && let Some(known) = rows::find_key(&self.store, buyer, &key.digest).await?
        {
            if known.fingerprint != key.fingerprint {
                return Ok(Err(PaymentRefusal::KeyReused));
            }
            if let Some(answer) = self.repeat_reply(order, known.payment).await? {
                return Ok(answer);
            }
        }
        if let Some(live) = rows::find_live(&self.store, id).await? {
            if let Some(key) = &key
                && !self.claim_key(&PaymentKeyRow { payment: live.id, ..key.clone() }).await?
            {
                return Ok(Err(PaymentRefusal::KeyReused));
            }
            if let Some(answer) = self.continue_payment(request, order, live).await? {
                return Ok(answer);
            }
        }
        self.begin_payment(request, order, key).await
    }

    /// The reply that the payment of a known key has had. `None` when it has had none yet.
    async fn repeat_reply(
        &self,
        order: PricedOrder,
        payment: Uuid,
    ) -> Result<Option<Result<PaidOrder, PaymentRefusal>>, PaymentError> {
        let Some(payment) = rows::find(&self.store, payment).await? else { return Ok(None) };
        Ok(match payment.state {
            PaymentState::Started | PaymentState::Authorised => None,
            PaymentState::Captured | PaymentState::Refunding | PaymentState::Refunded => {
                Some(Ok(PaidOrder { order, payment: Some(payment) }))
            }
            PaymentState::Declined => Some(Err(PaymentRefusal::Declined { reason: payment.reason })),
            // Paid for by a later request.
            PaymentState::Voiding | PaymentState::Voided if order.view.status == OrderStatus::Confirmed => {
                None
            }
            PaymentState::Voiding | PaymentState::Voided => Some(Err(refusal_for_status(order.view.status))),
        })
    }

    /// Goes on with a payment that was left between two steps. `None` when nothing came of it and another may begin.
    async fn continue_payment(
        &self,
        request: &PayRequest,
        order: PricedOrder,
        live: PaymentRow,
    ) -> Result<Option<Result<PaidOrder, PaymentRefusal>>, PaymentError> {
        match live.state {
            PaymentState::Captured => return Ok(Some(Ok(PaidOrder { order, payment: Some(live) }))),
            PaymentState::Refunding | PaymentState::Refunded => {
                return Ok(Some(Err(PaymentRefusal::OrderState(order.view.status))));
            }
            _ => {}
        }
        let Some(held) = self.acquire_lease(live.id, self.engine.now()).await? else {
            return Ok(Some(Err(PaymentRefusal::InFlight)));
        };
        let settled = self.with_lease(&held, async {
            match held.state {
                PaymentState::Started if held.method == request.method => self.retry(&held, &order).await,
                _ => self.resume(&held).await.map_err(log_store_failure),
            }
        });
        match settled.await? {
            SettleResult::Voided => Ok(None),
            // Another process has brought it to its end meanwhile.
            SettleResult::Finished => Ok(Some(Err(PaymentRefusal::InFlight))),
            settled => self.build_reply(order, live.id, settled).await.map(Some),
        }
    }

    async fn begin_payment(
        &self,
        request: &PayRequest,
        order: PricedOrder,
        key: Option<PaymentKeyRow>,
    ) -> PaymentResult {
        match order.view.status {
            OrderStatus::Confirmed => return Ok(Ok(PaidOrder { order, payment: None })),
            status @ OrderStatus::Refunded { .. } => return Ok(Err(PaymentRefusal::OrderState(status))),
            status @ (OrderStatus::Cancelled | OrderStatus::Declined) => {
                return Ok(Err(PaymentRefusal::OrderGone(status)));
            }
            OrderStatus::Pending { .. } | OrderStatus::Expired => {}
        }
        if !self.may_still_pay(&order).await? {
            return Ok(Err(PaymentRefusal::OrderGone(OrderStatus::Expired)));
        }
        let amount = order.total();
        if amount.minor == 0 {
            return self.confirm_free_order(order, key).await;
        }
        let payment = self.new_payment(request, &order, amount);
        let mut writing = self.store.begin().await?;
        if let Some(key) = key
            && !rows::claim_key(&mut writing, &PaymentKeyRow { payment: payment.id, ..key }).await?
        {
            return Ok(Err(PaymentRefusal::KeyReused));
        }
        let inserted = rows::insert(&mut writing, payment, self.next_try_at(), self.new_lease()).await?;
        let Some(held) = inserted else { return Ok(Err(PaymentRefusal::InFlight)) };
        writing.commit().await?;
        let settled = self.with_lease(&held, self.authorise(&held)).await.map_err(log_store_failure)?;
        self.build_reply(order, held.id, settled).await
    }

    /// Whether the law could still confirm the order, as far as can be told without asking it. It decides all the same:
    /// this only spares a buyer the charge that would have to be let go.
    async fn may_still_pay(&self, order: &PricedOrder) -> Result<bool, PaymentError> {
        let view = &order.view;
        let held = match view.status {
            OrderStatus::Pending { until } if self.engine.now() < until => return Ok(true),
            OrderStatus::Pending { .. } => view.quantity,
            _ => 0,
        };
        let Some(sale) = self.engine.views().get(order.sale) else { return Ok(false) };
        let free =
            (u64::from(sale.counters.available) + u64::from(held)).saturating_sub(sale.counters.short.into());
        if free < u64::from(view.quantity) || sale.counters.waiting > 0 {
            return Ok(false);
        }
        let buyer = with_engine_timeout(self.engine.buyer(order.sale, view.buyer)).await?;
        let others = (u64::from(buyer.held) + u64::from(buyer.owned)).saturating_sub(held.into());
        Ok(others + u64::from(view.quantity) <= u64::from(sale.policy.limit_per_buyer))
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

    /// The reply to what a payment has come to.
    async fn build_reply(&self, order: PricedOrder, payment: Uuid, settled: SettleResult) -> PaymentResult {
        match settled {
            SettleResult::Paid(view) => {
                let payment = rows::find(&self.store, payment).await.map_err(log_store_failure)?;
                Ok(Ok(PaidOrder { order: PricedOrder { view, ..order }, payment }))
            }
            SettleResult::Declined { reason } => Ok(Err(PaymentRefusal::Declined { reason })),
            SettleResult::Refused | SettleResult::Voided => Ok(Err(self.explain_refusal(order).await?)),
            SettleResult::Finished | SettleResult::Pending => Err(PaymentError::Unsettled),
        }
    }

    /// What to say of an order that the law would not confirm.
    async fn explain_refusal(&self, order: PricedOrder) -> Result<PaymentRefusal, PaymentError> {
        let now = self.find_order(order.view.id).await?.unwrap_or(order);
        Ok(refusal_for_status(now.view.status))
    }

    /// An order with its price.
    async fn find_order(&self, order: OrderId) -> Result<Option<PricedOrder>, PaymentError> {
        let Some((sale, view)) = with_engine_timeout(self.engine.order(order)).await? else {
            return Ok(None);
        };
        let unit_price = self.engine.views().get(sale).map(|sale| sale.policy.unit_price);
        Ok(unit_price.map(|unit_price| PricedOrder { sale, view, unit_price }))
    }

    fn new_payment(&self, request: &PayRequest, order: &PricedOrder, amount: Money) -> PaymentRow {
        let now = self.engine.now();
        PaymentRow {
            id: ids::new(now),
            order: request.order,
            sale: order.sale,
            buyer: request.buyer,
            method: request.method.clone(),
            amount,
            state: PaymentState::Started,
            reason: String::new(),
            restock: false,
            created_at: now,
            updated_at: now,
            tries: 0,
        }
    }

    /// Keeps a key for a request. `false` when it belongs to another request.
    async fn claim_key(&self, key: &PaymentKeyRow) -> Result<bool, PaymentError> {
        let mut writing = self.store.begin().await?;
        let is_ours = rows::claim_key(&mut writing, key).await?;
        writing.commit().await?;
        Ok(is_ours)
    }

    fn key_row(
        &self,
        owner: BuyerId,
        key: &IdempotencyKey,
        operation: KeyOperation,
        (order, content): (OrderId, &str),
    ) -> PaymentKeyRow {
        PaymentKeyRow {
            owner,
            digest: key.row_digest(operation),
            fingerprint: format_hex(&Sha256::new().chain_update(order.0).chain_update(content).finalize()),
            payment: Uuid::nil(),
            created_at: self.engine.now(),
        }
    }

    /// When the reconciler may take a payment whose state has just changed.
    fn next_try_at(&self) -> Timestamp {
        self.engine.now().plus_ms(self.timing.settle_after_ms)
    }
}

fn refusal_for_status(status: OrderStatus) -> PaymentRefusal {
    match status {
        // Refused for want of a unit, though its hold is not over: the ledger lacks an event.
        OrderStatus::Pending { .. } => PaymentRefusal::OrderGone(OrderStatus::Expired),
        OrderStatus::Refunded { .. } | OrderStatus::Confirmed => PaymentRefusal::OrderState(status),
        OrderStatus::Expired | OrderStatus::Cancelled | OrderStatus::Declined => {
            PaymentRefusal::OrderGone(status)
        }
    }
}

/// The word for an answer in the metrics.
fn outcome_label(answered: &PaymentResult, done: &'static str) -> &'static str {
    match answered {
        Ok(Ok(_)) => done,
        Ok(Err(refused)) => match refused {
            PaymentRefusal::OrderUnknown => "order_unknown",
            PaymentRefusal::OrderGone(_) => "order_expired",
            PaymentRefusal::OrderState(_) => "order_state",
            PaymentRefusal::Declined { .. } => "payment_declined",
            PaymentRefusal::UnknownMethod => "unknown_method",
            PaymentRefusal::KeyReused => "key_reused",
            PaymentRefusal::InFlight => "request_in_flight",
        },
        Err(error) => match error {
            PaymentError::Engine(_) | PaymentError::Store(_) => "unavailable",
            PaymentError::Overloaded => "overloaded",
            PaymentError::Unsettled => "payment_unknown",
        },
    }
}

/// Runs to its end, whoever waits for it.
async fn run_to_end(work: impl Future<Output = PaymentResult> + Send + 'static) -> PaymentResult {
    tokio::spawn(work).await.unwrap_or_else(|failed| {
        tracing::error!(error = &failed as &dyn std::error::Error, "a payment broke off");
        Err(PaymentError::Unsettled)
    })
}

/// The engine's answer, in time.
async fn with_engine_timeout<T>(
    answer: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    tokio::time::timeout(ENGINE_TIME_MAX, answer).await.unwrap_or(Err(EngineError::NotRecorded))
}
