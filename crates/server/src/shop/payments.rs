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

pub mod books;

pub mod flights;

mod lease;

mod reconcile;

mod refund;

mod settle;

pub use reconcile::{Reconciled, Timing};
pub use refund::Refund;

use super::ids;
use super::keys::{IdempotencyKey, Operation};
use super::orders::Order;
use crate::payments::{Limited, Provider, TimeLimits};
use crate::store::payments::{self as rows, KeyRow, Payment, State};
use crate::store::{Store, StoreError};
use crate::telemetry::payments::PaymentMetrics;
use engine::{Engine, EngineError};
use flights::Flights;
use sale::{BuyerId, Command, Money, OrderId, OrderStatus, Outcome, Refusal, Timestamp};
use settle::{Settled, unsettled};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long the engine may take before its answer is taken as lost. It answers within milliseconds, or its disk is ill.
const ENGINE_TIME_MAX: Duration = Duration::from_secs(5);

/// How often a confirmation is offered to an engine that is overloaded; the waits between add up to 0.6 s. The money is set
/// aside by then, so this buyer is worth more than the next one's first try.
const CONFIRM_TRIES: u32 = 6;

/// What takes payments, and settles what was left open.
pub struct Payments {
    store: Store,
    engine: Engine,
    provider: Limited,
    flights: Arc<Flights>,
    timing: Timing,
    metrics: PaymentMetrics,
}

/// A request to pay.
#[derive(Clone, Debug)]
pub struct Pay {
    /// Who.
    pub buyer: BuyerId,
    /// For which order.
    pub order: OrderId,
    /// How, in the provider's words.
    pub method: String,
    /// The request's key.
    pub key: Option<IdempotencyKey>,
}

/// An order with its payment, if money was needed.
#[derive(Clone, Debug)]
pub struct PaidOrder {
    /// The order as it is now.
    pub order: Order,
    /// Its payment.
    pub payment: Option<Payment>,
}

/// What became of a payment or of a refund: the order as it is now, or a refusal that moved no money.
pub type Answered = Result<Result<PaidOrder, Refused>, PaymentError>;

/// Why there is no payment, or no refund. In each case no money has moved for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
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

impl Payments {
    /// Payments over these tables, this engine and this provider.
    #[must_use]
    pub fn new(
        store: Store,
        engine: Engine,
        provider: Arc<dyn Provider>,
        limits: TimeLimits,
        timing: Timing,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            engine,
            provider: Limited::new(provider, limits),
            flights: Arc::default(),
            timing,
            metrics: PaymentMetrics::default(),
        })
    }

    /// The figures.
    #[must_use]
    pub fn metrics(&self) -> &PaymentMetrics {
        &self.metrics
    }

    /// Pays for an order. The work goes on to its end when the caller goes away.
    ///
    /// # Errors
    /// When there is no answer; only [`PaymentError::Unsettled`] leaves open whether money has moved.
    pub async fn pay(self: &Arc<Self>, request: Pay) -> Answered {
        let payments = Arc::clone(self);
        let answered = spawned(async move { payments.pay_now(&request).await }).await;
        self.metrics.paid(outcome(&answered, "paid"));
        answered
    }

    /// Waits until no payment is being worked on, at most `limit`. `false` when some still are; the reconciler of the next
    /// start settles them.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.flights.drain(limit).await
    }

    /// The order's payment, for whoever shows an order. `None` when it needed no money, or has not been paid for.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_order(&self, order: OrderId) -> Result<Option<Payment>, StoreError> {
        rows::find_live(&self.store, order).await
    }

    async fn pay_now(&self, request: &Pay) -> Answered {
        if !self.provider.accepts(&request.method) {
            return Ok(Err(Refused::UnknownMethod));
        }
        let Pay { buyer, order: id, .. } = *request;
        let _permit = match self.flights.begin(buyer, id)? {
            Some(permit) => permit,
            None => return Ok(Err(Refused::InFlight)),
        };
        let Some(order) = self.find(id).await?.filter(|order| order.view.buyer == buyer) else {
            return Ok(Err(Refused::OrderUnknown));
        };
        let key = request.key.map(|key| self.key_row(buyer, &key, Operation::Pay, (id, &request.method)));
        if let Some(key) = &key
            && let Some(known) = rows::find_key(&self.store, buyer, &key.digest).await?
        {
            if known.fingerprint != key.fingerprint {
                return Ok(Err(Refused::KeyReused));
            }
            if let Some(answer) = self.repeat(order, known.payment).await? {
                return Ok(answer);
            }
        }
        if let Some(live) = rows::find_live(&self.store, id).await? {
            if let Some(key) = &key
                && !self.claim(&KeyRow { payment: live.id, ..key.clone() }).await?
            {
                return Ok(Err(Refused::KeyReused));
            }
            if let Some(answer) = self.go_on(request, order, live).await? {
                return Ok(answer);
            }
        }
        self.begin(request, order, key).await
    }

    /// The reply that the payment of a known key has had. `None` when it has had none yet.
    async fn repeat(
        &self,
        order: Order,
        payment: Uuid,
    ) -> Result<Option<Result<PaidOrder, Refused>>, PaymentError> {
        let Some(payment) = rows::find(&self.store, payment).await? else { return Ok(None) };
        Ok(match payment.state {
            State::Started | State::Authorised => None,
            State::Captured | State::Refunding | State::Refunded => {
                Some(Ok(PaidOrder { order, payment: Some(payment) }))
            }
            State::Declined => Some(Err(Refused::Declined { reason: payment.reason })),
            // Paid for by a later request.
            State::Voiding | State::Voided if order.view.status == OrderStatus::Confirmed => None,
            State::Voiding | State::Voided => Some(Err(gone(order.view.status))),
        })
    }

    /// Goes on with a payment that was left between two steps. `None` when nothing came of it and another may begin.
    async fn go_on(
        &self,
        request: &Pay,
        order: Order,
        live: Payment,
    ) -> Result<Option<Result<PaidOrder, Refused>>, PaymentError> {
        match live.state {
            State::Captured => return Ok(Some(Ok(PaidOrder { order, payment: Some(live) }))),
            State::Refunding | State::Refunded => {
                return Ok(Some(Err(Refused::OrderState(order.view.status))));
            }
            _ => {}
        }
        let Some(held) = self.take(live.id, self.engine.now()).await? else {
            return Ok(Some(Err(Refused::InFlight)));
        };
        let settled = self.holding(&held, async {
            match held.state {
                State::Started if held.method == request.method => self.retry(&held, &order).await,
                _ => self.resume(&held).await.map_err(unsettled),
            }
        });
        match settled.await? {
            Settled::Voided => Ok(None),
            // Another process has brought it to its end meanwhile.
            Settled::Over => Ok(Some(Err(Refused::InFlight))),
            settled => self.answer(order, live.id, settled).await.map(Some),
        }
    }

    /// Begins a payment.
    async fn begin(&self, request: &Pay, order: Order, key: Option<KeyRow>) -> Answered {
        match order.view.status {
            OrderStatus::Confirmed => return Ok(Ok(PaidOrder { order, payment: None })),
            status @ OrderStatus::Refunded { .. } => return Ok(Err(Refused::OrderState(status))),
            status @ (OrderStatus::Cancelled | OrderStatus::Declined) => {
                return Ok(Err(Refused::OrderGone(status)));
            }
            OrderStatus::Pending { .. } | OrderStatus::Expired => {}
        }
        if !self.may_still_pay(&order).await? {
            return Ok(Err(Refused::OrderGone(OrderStatus::Expired)));
        }
        let amount = order.total();
        if amount.minor == 0 {
            return self.confirm_for_nothing(order, key).await;
        }
        let payment = self.new_payment(request, &order, amount);
        let mut writing = self.store.begin().await?;
        if let Some(key) = key
            && !rows::claim_key(&mut writing, &KeyRow { payment: payment.id, ..key }).await?
        {
            return Ok(Err(Refused::KeyReused));
        }
        let inserted = rows::insert(&mut writing, payment, self.try_at(), self.lease()).await?;
        let Some(held) = inserted else { return Ok(Err(Refused::InFlight)) };
        writing.commit().await?;
        let settled = self.holding(&held, self.authorise(&held)).await.map_err(unsettled)?;
        self.answer(order, held.id, settled).await
    }

    /// Whether the law could still confirm the order, as far as can be told without asking it. It decides all the same:
    /// this only spares a buyer the charge that would have to be let go.
    async fn may_still_pay(&self, order: &Order) -> Result<bool, PaymentError> {
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
        let buyer = bounded(self.engine.buyer(order.sale, view.buyer)).await?;
        let others = (u64::from(buyer.held) + u64::from(buyer.owned)).saturating_sub(held.into());
        Ok(others + u64::from(view.quantity) <= u64::from(sale.policy.limit_per_buyer))
    }

    async fn confirm_for_nothing(&self, order: Order, key: Option<KeyRow>) -> Answered {
        if let Some(key) = &key
            && !self.claim(key).await?
        {
            return Ok(Err(Refused::KeyReused));
        }
        let command = Command::Confirm { buyer: order.view.buyer, order: order.view.id };
        match self.ask(&order, command).await? {
            Ok(order) => Ok(Ok(PaidOrder { order, payment: None })),
            Err(_) => Ok(Err(self.gone(order).await?)),
        }
    }

    /// The reply to what a payment has come to.
    async fn answer(&self, order: Order, payment: Uuid, settled: Settled) -> Answered {
        match settled {
            Settled::Paid(view) => {
                let payment = rows::find(&self.store, payment).await.map_err(unsettled)?;
                Ok(Ok(PaidOrder { order: Order { view, ..order }, payment }))
            }
            Settled::Declined { reason } => Ok(Err(Refused::Declined { reason })),
            Settled::Refused | Settled::Voided => Ok(Err(self.gone(order).await?)),
            Settled::Over | Settled::Open => Err(PaymentError::Unsettled),
        }
    }

    /// What to say of an order that the law would not confirm.
    async fn gone(&self, order: Order) -> Result<Refused, PaymentError> {
        let now = self.find(order.view.id).await?.unwrap_or(order);
        Ok(gone(now.view.status))
    }

    /// An order with its price.
    async fn find(&self, order: OrderId) -> Result<Option<Order>, PaymentError> {
        let Some((sale, view)) = bounded(self.engine.order(order)).await? else { return Ok(None) };
        let unit_price = self.engine.views().get(sale).map(|sale| sale.policy.unit_price);
        Ok(unit_price.map(|unit_price| Order { sale, view, unit_price }))
    }

    /// Asks the law about an order; its answer is durable.
    async fn ask(&self, order: &Order, command: Command) -> Result<Result<Order, Refusal>, EngineError> {
        match bounded(self.engine.command(order.sale, command)).await?.outcome {
            Outcome::Order { order: view, .. } => Ok(Ok(Order { view, ..*order })),
            Outcome::Refused(refusal) => Ok(Err(refusal)),
            Outcome::Done | Outcome::Joined { .. } | Outcome::Left { .. } | Outcome::Extended { .. } => {
                Err(EngineError::NoSuchSale)
            }
        }
    }

    fn new_payment(&self, request: &Pay, order: &Order, amount: Money) -> Payment {
        let now = self.engine.now();
        Payment {
            id: ids::new(now),
            order: request.order,
            sale: order.sale,
            buyer: request.buyer,
            method: request.method.clone(),
            amount,
            state: State::Started,
            reason: String::new(),
            restock: false,
            created_at: now,
            updated_at: now,
            tries: 0,
        }
    }

    /// Keeps a key for a request. `false` when it belongs to another request.
    async fn claim(&self, key: &KeyRow) -> Result<bool, PaymentError> {
        let mut writing = self.store.begin().await?;
        let is_ours = rows::claim_key(&mut writing, key).await?;
        writing.commit().await?;
        Ok(is_ours)
    }

    fn key_row(
        &self,
        owner: BuyerId,
        key: &IdempotencyKey,
        operation: Operation,
        (order, content): (OrderId, &str),
    ) -> KeyRow {
        let digest = Sha256::new().chain_update(order.0).chain_update(content).finalize();
        let fingerprint = digest.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        let created_at = self.engine.now();
        KeyRow { owner, digest: key.row_digest(operation), fingerprint, payment: Uuid::nil(), created_at }
    }

    /// When the reconciler may take a payment whose state has just changed.
    fn try_at(&self) -> Timestamp {
        self.engine.now().plus_ms(self.timing.settle_after_ms)
    }
}

fn gone(status: OrderStatus) -> Refused {
    match status {
        // Refused for want of a unit, though its hold is not over: the ledger lacks an event.
        OrderStatus::Pending { .. } => Refused::OrderGone(OrderStatus::Expired),
        OrderStatus::Refunded { .. } | OrderStatus::Confirmed => Refused::OrderState(status),
        OrderStatus::Expired | OrderStatus::Cancelled | OrderStatus::Declined => Refused::OrderGone(status),
    }
}

/// The word for an answer in the metrics.
fn outcome(answered: &Answered, done: &'static str) -> &'static str {
    match answered {
        Ok(Ok(_)) => done,
        Ok(Err(refused)) => match refused {
            Refused::OrderUnknown => "order_unknown",
            Refused::OrderGone(_) => "order_expired",
            Refused::OrderState(_) => "order_state",
            Refused::Declined { .. } => "payment_declined",
            Refused::UnknownMethod => "unknown_method",
            Refused::KeyReused => "key_reused",
            Refused::InFlight => "request_in_flight",
        },
        Err(error) => match error {
            PaymentError::Engine(_) | PaymentError::Store(_) => "unavailable",
            PaymentError::Overloaded => "overloaded",
            PaymentError::Unsettled => "payment_unknown",
        },
    }
}

/// Runs to its end, whoever waits for it.
async fn spawned(work: impl Future<Output = Answered> + Send + 'static) -> Answered {
    tokio::spawn(work).await.unwrap_or_else(|failed| {
        tracing::error!(error = &failed as &dyn std::error::Error, "a payment broke off");
        Err(PaymentError::Unsettled)
    })
}

/// The engine's answer, in time.
async fn bounded<T>(answer: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
    tokio::time::timeout(ENGINE_TIME_MAX, answer).await.unwrap_or(Err(EngineError::NotRecorded))
}
