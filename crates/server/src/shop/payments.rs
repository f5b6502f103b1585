//! Payments and refunds: the one place where the law of a sale and a payment provider meet.
//!
//! A payment is a row that exists *before* the provider is called, and it is brought to its end whether or not the client waits. The
//! law knows from before that call on that it is in progress, and keeps the hold until it has ended, within bounds:
//!
//! ```text
//! started ──► open ──► authorised ──► captured ──► refunding ──► refunded
//!    │  │       │ │          │
//!    │  └───────┼─┴──────────┴──► voiding ──► voided
//!    └──────────┴──► declined
//! ```
//!
//! An `authorised` payment whose money was let go at the provider, after the law had confirmed its order, goes to `refunding` and from there to
//! `voided` when the order is refunded: there is nothing to give back. So does a refund that met a dispute which was lost since.
//!
//! Only a payment on a page of the provider is `open` between: its buyer may pay there or not, so it is not in progress for the law until
//! the provider has it as submitted, and it is closed at the hold's end. A part that is refunded leaves its payment `captured`.
//!
//! In `authorised` the law decides: it confirms the order and the money is captured, or it refuses and the money is voided. The steps
//! into `voiding` and `refunding` are durable before the provider is called, so that a buyer who got the reply "you were not charged"
//! never is. A payment that was declined or voided has ended for the law before its row says so. What a crash or a lost reply leaves between two steps, [`PaymentService::reconcile`] settles. Nothing here decides about a
//! unit: that is the law, also for a payment that comes too late, which is voided.

pub mod charge_table;

pub mod in_flight;

mod disputes;

mod lease;

mod open;

mod outside_refunds;

mod pay;

mod provider_calls;

mod inspect;

mod reconcile;

mod refund;

mod refund_part;

mod runtime;

mod settle;

mod wake;

pub use crate::payments::sandbox::{ChargePage, ChargeRecord, PAGES as SANDBOX_PAGES, PageDecision};
pub use crate::payments::{IntentId, PaymentStatus, ProviderHealth};
pub use inspect::InspectedPayment;
pub use pay::PayRequest;
pub use provider_calls::RETURN_PATH;
pub use reconcile::{ReconcileReport, ReconcileTiming};
pub use refund::RefundRequest;
pub use runtime::PaymentRuntime;
pub use wake::WakeResult;

use super::catalogue::SaleCatalogue;
use super::grouped_store::GroupedStore;
use super::idempotency_keys::{IdempotencyKey, KeyOperation, format_hex};
use super::orders::PricedOrder;
use super::public_url::PublicUrl;
use crate::payments::{PaymentProvider, PaymentProviders};
use crate::store::StoreError;
use crate::store::payments::{self as rows, PaymentKeyRow, PaymentRow, PaymentState};
use crate::telemetry::payments::PaymentMetrics;
use engine::error_text::describe_error;
use engine::{Engine, EngineError};
use futures::FutureExt;
use in_flight::PaymentsInFlight;
use sale::{BuyerId, OrderId, OrderStatus, Timestamp};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;
use wake::ViewedOrders;

/// After this time the engine's reply counts as lost. It replies within milliseconds while its disk is well.
const ENGINE_TIME_MAX: Duration = Duration::from_secs(5);

/// Tries of a payment's step while the engine is overloaded; the waits between them add up to 0.6 s. A payment is worth more than a new
/// request.
const STEP_TRIES: u32 = 6;

pub struct PaymentService {
    /// The steps of concurrent payments share transactions.
    tables: GroupedStore,
    engine: Engine,
    /// Knows through which provider the orders of a sale are paid.
    catalogue: Arc<SaleCatalogue>,
    providers: PaymentProviders,
    /// To this address the pages of providers lead back.
    public_url: Option<PublicUrl>,
    in_flight: Arc<PaymentsInFlight>,
    viewed: ViewedOrders,
    timing: ReconcileTiming,
    runtime: PaymentRuntime,
    metrics: PaymentMetrics,
}

/// An order with its payment, if money was needed.
#[derive(Clone, Debug)]
pub struct PaidOrder {
    pub order: PricedOrder,
    pub payment: Option<PaymentRow>,
}

impl PaidOrder {
    /// Whether the buyer has not paid yet, but has a page to do so.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.payment.as_ref().is_some_and(|payment| payment.state == PaymentState::Open)
    }
}

/// The result of a payment or a refund: the order as it is now, or a refusal that moved no money.
pub type PaymentResult = Result<Result<PaidOrder, PaymentRefusal>, PaymentError>;

/// Why there is no payment, or no refund. No money has moved for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentRefusal {
    /// The caller has no such order.
    OrderUnknown,
    /// The order's units are not the buyer's any more. Authorised money is voided.
    OrderGone(OrderStatus),
    /// The order is in a state that does not allow this.
    OrderState(OrderStatus),
    /// The provider said no. The order is held as long as before.
    Declined {
        /// Shown to the buyer.
        reason: String,
    },
    /// The provider does not know the method.
    UnknownMethod,
    /// The order costs something, and the request names no method.
    MissingMethod,
    /// More money was to be refunded than is left of the payment.
    RefundTooHigh {
        /// Minor units that are left.
        left_minor: i64,
    },
    /// A part gives no units back to the sale.
    PartRestock,
    /// The provider does not refund it.
    RefundRefused,
    /// Its buyer disputes the payment at the bank, which holds the money or has taken it.
    Disputed,
    /// The order was paid for, and its payment is not in the tables: they are an older copy.
    PaymentMissing,
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
    /// The tables did not answer; nothing was done.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many payments are in flight; nothing was done.
    #[error("too many payments at once")]
    Overloaded,
    /// Money may be authorised or not. A repeat is safe and finds out; so does the reconciler.
    #[error("the outcome of the payment is not known yet")]
    Unsettled,
    /// The provider opens no page at the moment, so nothing was charged. The order is held as before.
    #[error("the payment provider cannot be used at the moment")]
    Unavailable {
        /// The end of the hold.
        until: Timestamp,
    },
}

impl PaymentService {
    #[must_use]
    pub fn new(
        tables: GroupedStore,
        engine: Engine,
        catalogue: Arc<SaleCatalogue>,
        providers: PaymentProviders,
        public_url: Option<PublicUrl>,
        (timing, runtime): (ReconcileTiming, PaymentRuntime),
    ) -> Arc<Self> {
        Arc::new(Self {
            tables,
            engine,
            catalogue,
            providers,
            public_url,
            in_flight: Arc::default(),
            viewed: ViewedOrders::default(),
            timing,
            runtime,
            metrics: PaymentMetrics::default(),
        })
    }

    #[must_use]
    pub fn metrics(&self) -> &PaymentMetrics {
        &self.metrics
    }

    /// The name of the provider through which the orders of new sales are paid.
    #[must_use]
    pub fn provider_name(&self) -> &'static str {
        self.providers.default_provider().name()
    }

    #[must_use]
    pub fn providers(&self) -> &PaymentProviders {
        &self.providers
    }

    /// Whether each provider can be used.
    #[must_use]
    pub fn list_health(&self) -> Vec<(&'static str, ProviderHealth)> {
        self.providers.iter().map(|provider| (provider.name(), provider.health())).collect()
    }

    /// Waits until no payment is in flight, at most `limit`. `false` when some still are; the reconciler settles them after the next
    /// start.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.in_flight.drain(limit).await
    }

    /// The refusal for an order that the law did not confirm.
    async fn explain_refusal(&self, order: PricedOrder) -> Result<PaymentRefusal, PaymentError> {
        let now = self.find_order(order.view.id).await?.unwrap_or(order);
        Ok(refusal_for_status(now.view.status))
    }

    /// An order with its price.
    async fn find_order(&self, order: OrderId) -> Result<Option<PricedOrder>, PaymentError> {
        let Some((sale, view)) = with_engine_timeout(self.engine.order_to_pay(order)).await? else {
            return Ok(None);
        };
        let found = self.engine.views().get(sale);
        Ok(found.map(|found| PricedOrder {
            sale,
            view,
            unit_price: found.policy.unit_price,
            requires_payment: !found.policy.sells_at_once(),
        }))
    }

    /// Keeps a key for a request. `false` when it belongs to another request.
    async fn claim_key(&self, key: &PaymentKeyRow) -> Result<bool, PaymentError> {
        let key = key.clone();
        let claimed = self.tables.write(key.payment, move |writing| {
            let key = key.clone();
            async move { rows::claim_key(writing, &key).await }.boxed()
        });
        Ok(claimed.await?)
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

    /// Runs the work to its end, also when its caller goes away.
    async fn run_to_end(&self, work: impl Future<Output = PaymentResult> + Send + 'static) -> PaymentResult {
        self.runtime.handle().spawn(work).await.unwrap_or_else(|failed| {
            tracing::error!(
                error = describe_error(&failed),
                "the task of a payment failed; the reconciler settles the payment"
            );
            Err(PaymentError::Unsettled)
        })
    }

    /// When the reconciler may take a payment whose state has just changed.
    fn next_try_at(&self) -> Timestamp {
        self.engine.now().plus_ms(self.timing.settle_after_ms)
    }
}

fn refusal_for_status(status: OrderStatus) -> PaymentRefusal {
    match status {
        // The law had no unit for it, although its hold is not over: the ledger lacks an event.
        OrderStatus::Pending { .. } => PaymentRefusal::OrderGone(OrderStatus::Expired),
        OrderStatus::Refunded { .. } | OrderStatus::Confirmed => PaymentRefusal::OrderState(status),
        OrderStatus::Expired | OrderStatus::Cancelled | OrderStatus::Declined => {
            PaymentRefusal::OrderGone(status)
        }
    }
}

/// The label of a result in the metrics.
fn outcome_label(result: &PaymentResult, done: &'static str) -> &'static str {
    match result {
        Ok(Ok(paid)) if paid.is_open() => "open",
        Ok(Ok(_)) => done,
        Ok(Err(refused)) => match refused {
            PaymentRefusal::OrderUnknown => "order_unknown",
            PaymentRefusal::OrderGone(_) => "order_expired",
            PaymentRefusal::OrderState(_) => "order_state",
            PaymentRefusal::Declined { .. } => "payment_declined",
            PaymentRefusal::UnknownMethod | PaymentRefusal::MissingMethod => "unknown_method",
            PaymentRefusal::RefundTooHigh { .. } => "refund_too_high",
            PaymentRefusal::PartRestock => "part_restock",
            PaymentRefusal::RefundRefused => "refund_refused",
            PaymentRefusal::Disputed => "payment_disputed",
            PaymentRefusal::PaymentMissing => "payment_missing",
            PaymentRefusal::KeyReused => "key_reused",
            PaymentRefusal::InFlight => "request_in_flight",
        },
        Err(error) => match error {
            PaymentError::Engine(_) | PaymentError::Store(_) => "unavailable",
            PaymentError::Overloaded => "overloaded",
            PaymentError::Unsettled => "payment_unknown",
            PaymentError::Unavailable { .. } => "payment_unavailable",
        },
    }
}

/// The engine's reply, or [`EngineError::NotRecorded`] after [`ENGINE_TIME_MAX`].
async fn with_engine_timeout<T>(
    reply: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    tokio::time::timeout(ENGINE_TIME_MAX, reply).await.unwrap_or(Err(EngineError::NotRecorded))
}
