//! The port to payment providers, [`PaymentProvider`], and the registry of those that an instance has, [`PaymentProviders`]. It never
//! knows a table, HTTP or the law.
//!
//! A payment has an **intent**: an id that is stored *before* the provider is called. It is the provider's idempotency key too, so every
//! call may be repeated, and after a crash or a lost reply [`PaymentProvider::find`] returns its status. A provider keeps nothing of its
//! own: each call gets the payment as its row has it. What a provider sends by itself (a webhook, a buyer who comes back) only makes the
//! shop ask it.

pub mod sandbox;
pub mod stripe;

use futures::future::BoxFuture;
use sale::{BuyerId, Money, OrderId, SaleId, Timestamp};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Takes money from buyers. Every call is idempotent by its intent, a refund by its own id: a repeat changes nothing and returns the same.
pub trait PaymentProvider: Send + Sync + 'static {
    /// Its name in the tables and the API.
    fn name(&self) -> &'static str;

    /// Whether this provider knows the payment method. Never waits.
    fn accepts(&self, method: &str) -> bool;

    /// Whether the buyer pays on a page of the provider. Such a payment is in progress from [`PaymentStatus::Submitted`] on.
    fn is_redirect(&self, method: &str) -> bool;

    /// Whether the provider can take this price for each number of units up to `quantity_max`. Never waits.
    ///
    /// # Errors
    /// What the merchant reads: the sale could not be paid.
    fn check_price(&self, unit_price: Money, quantity_max: u32) -> Result<(), PriceRefusal>;

    /// Authorises the money. It is not taken before [`PaymentProvider::capture`]. Asked again for an open redirect, it returns the same
    /// page.
    fn authorise<'a>(&'a self, payment: &'a ProviderPayment) -> BoxFuture<'a, AuthorisationResult>;

    /// Takes authorised money. Any status but [`PaymentStatus::Captured`] says why it was not taken.
    fn capture<'a>(&'a self, payment: &'a ProviderPayment) -> BoxFuture<'a, ProviderReply>;

    /// Voids authorised money, or closes an open redirect. It closes an intent that the provider has never seen, so that an authorisation
    /// that arrives later is declined.
    fn void<'a>(&'a self, payment: &'a ProviderPayment) -> BoxFuture<'a, ProviderReply>;

    /// Refunds a part of the captured money, or all of it, unless [`ProviderAnswer::is_refund_refused`].
    fn refund<'a>(
        &'a self,
        payment: &'a ProviderPayment,
        refund: RefundId,
        amount: Money,
    ) -> BoxFuture<'a, ProviderReply>;

    /// The status of the intent; `None` when the provider never saw it.
    fn find<'a>(
        &'a self,
        payment: &'a ProviderPayment,
    ) -> BoxFuture<'a, Result<Option<ProviderAnswer>, NoProviderReply>>;

    /// The refunds of a captured payment that changed without this shop: those that somebody made at the provider, and those of
    /// [`PaymentProvider::refund`] that have failed since.
    fn list_outside_refunds<'a>(
        &'a self,
        payment: &'a ProviderPayment,
    ) -> BoxFuture<'a, Result<Vec<OutsideRefund>, NoProviderReply>>;

    /// The disputes about a captured payment, as they are now, whatever this shop knows of them.
    fn find_disputes<'a>(
        &'a self,
        payment: &'a ProviderPayment,
    ) -> BoxFuture<'a, Result<Vec<ProviderDispute>, NoProviderReply>>;

    /// What was captured from `from` until before `to`, whatever this shop knows of it.
    fn list_captured(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<CapturedAtProvider>, NoProviderReply>>;

    /// Whether the provider can be used now. Never waits.
    fn health(&self) -> ProviderHealth;
}

/// What a call found or made.
pub type ProviderReply = Result<ProviderAnswer, NoProviderReply>;

/// The id of one payment, made by this program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentId(pub Uuid);

impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IntentId({})", self.0)
    }
}

/// The id of one refund, made by this program: the provider's idempotency key for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RefundId(pub Uuid);

/// One payment as its provider needs it. It is built from the payment's row and its sale for every call.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderPayment {
    pub intent: IntentId,
    /// The provider's own id of it, once that is known.
    pub reference: Option<String>,
    pub order: OrderId,
    pub sale: SaleId,
    pub buyer: BuyerId,
    /// More than zero.
    pub amount: Money,
    /// The provider's name for the way to pay, such as `sandbox:approve`.
    pub method: String,
    /// For a payment on a page, while the provider's own id of it is not known: such a call may repeat the creation of the page.
    pub buyer_email: Option<String>,
    /// What the buyer reads: the product, with the number of units when there are several.
    pub description: String,
    /// `en`, `de` or `ar`: the language of the page that the buyer comes from.
    pub language: Option<String>,
    /// Where the buyer goes after paying, as a whole address of this shop; `None` where the shop does not know its own address.
    pub return_url: Option<String>,
    /// Where a buyer goes who does not want to pay there.
    pub cancel_url: Option<String>,
}

/// Without the buyer's address, which no log may have.
impl fmt::Debug for ProviderPayment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderPayment")
            .field("intent", &self.intent)
            .field("reference", &self.reference)
            .field("order", &self.order)
            .field("amount", &self.amount)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// The reply to [`PaymentProvider::authorise`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorisationResult {
    Authorised,
    /// Final for this intent.
    Declined {
        /// Shown to the buyer.
        reason: Cow<'static, str>,
    },
    /// The buyer goes to a page of the provider.
    ActionNeeded(NextAction),
    /// The reply was lost or late: the money may be authorised or not. [`PaymentProvider::find`] finds out.
    Unknown,
}

/// A page of the provider on which the buyer pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextAction {
    pub url: String,
    /// The provider's own id of the payment.
    pub reference: Option<String>,
}

/// What a provider has of an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderAnswer {
    pub status: PaymentStatus,
    /// The provider's own id of it.
    pub reference: Option<String>,
    /// Minor units that were given back so far.
    pub refunded_minor: i64,
    /// The page on which the buyer pays, while it is open.
    pub action_url: Option<String>,
    /// The call was for a refund, and the provider refused it: nothing went back.
    pub is_refund_refused: bool,
}

impl ProviderAnswer {
    /// An intent with this status, nothing refunded, and no page.
    #[must_use]
    pub fn with_status(status: PaymentStatus) -> Self {
        Self { status, reference: None, refunded_minor: 0, action_url: None, is_refund_refused: false }
    }
}

/// The status of an intent at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaymentStatus {
    /// The buyer has a page to pay on and has not done so. Not in progress.
    Open,
    /// The buyer has submitted the payment, and the provider has no answer yet. In progress.
    Submitted,
    Authorised,
    Declined,
    /// The money is taken. Some of it may have been paid back.
    Captured,
    /// The money was released before it was captured, or the intent was closed before it began.
    Voided,
    /// The money was captured, and all of it was paid back.
    Refunded,
}

impl PaymentStatus {
    const ALL: [Self; 7] = [
        Self::Open,
        Self::Submitted,
        Self::Authorised,
        Self::Declined,
        Self::Captured,
        Self::Voided,
        Self::Refunded,
    ];

    /// Its name in tables and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Submitted => "submitted",
            Self::Authorised => "authorised",
            Self::Declined => "declined",
            Self::Captured => "captured",
            Self::Voided => "voided",
            Self::Refunded => "refunded",
        }
    }
}

/// The text is not a status.
#[derive(Debug, thiserror::Error)]
#[error("a status is open, submitted, authorised, declined, captured, voided or refunded")]
pub struct PaymentStatusError;

impl std::str::FromStr for PaymentStatus {
    type Err = PaymentStatusError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(PaymentStatusError)
    }
}

/// A refund that changed at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideRefund {
    /// The provider's own id of it.
    pub id: String,
    /// `None` when somebody made it there.
    pub refund: Option<RefundId>,
    pub amount_minor: i64,
    /// The bank did not take it, so that the money is the shop's after all.
    pub has_failed: bool,
}

/// A buyer's complaint at the bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderDispute {
    /// The provider's own id of it.
    pub id: String,
    /// `needs_response`, `under_review`, `won`, `lost`, or `warning_…` for an inquiry.
    pub status: String,
    /// As the bank gives it.
    pub reason: String,
    pub amount: Money,
    /// Until when the merchant may answer it.
    pub due_at: Option<Timestamp>,
}

/// A captured payment in the provider's books, to compare with the shop's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedAtProvider {
    /// `None` for a payment that no shop of this program made.
    pub intent: Option<IntentId>,
    /// As the payment names it.
    pub order: Option<OrderId>,
    /// The provider's own id of it.
    pub reference: String,
    pub amount: Money,
    pub refunded_minor: i64,
    pub captured_at: Timestamp,
}

/// Why a price cannot be paid through a provider, for the merchant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct PriceRefusal {
    pub reason: Cow<'static, str>,
}

/// Whether a provider can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderHealth {
    Ok,
    /// It has not answered since the start, and no call to it has failed yet.
    Unknown,
    /// It has failed so often that it is not called for a while, or at the first call since the start.
    Unavailable {
        since: Timestamp,
    },
    /// It refuses the key, or a right of it.
    KeyRefused {
        /// What the key may not do; empty when it is not valid at all.
        missing: Vec<String>,
    },
}

/// The provider did not reply in time, or its reply was lost. The call may have had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payment provider did not answer")]
pub struct NoProviderReply;

/// The providers of an instance. New sales get the default one; the others finish what was begun with them.
pub struct PaymentProviders {
    default: Arc<ProviderWithTimeout>,
    by_name: BTreeMap<&'static str, Arc<ProviderWithTimeout>>,
}

impl PaymentProviders {
    /// `default` and `others`, which have other names.
    #[must_use]
    pub fn new(
        default: Arc<dyn PaymentProvider>,
        others: Vec<Arc<dyn PaymentProvider>>,
        limits: ProviderTimeouts,
    ) -> Self {
        let default = Arc::new(ProviderWithTimeout::new(default, limits));
        let mut by_name: BTreeMap<_, _> = others
            .into_iter()
            .map(|other| (other.name(), Arc::new(ProviderWithTimeout::new(other, limits))))
            .collect();
        by_name.insert(default.name(), Arc::clone(&default));
        Self { default, by_name }
    }

    /// The provider of new sales.
    #[must_use]
    pub fn default_provider(&self) -> &Arc<ProviderWithTimeout> {
        &self.default
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<ProviderWithTimeout>> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ProviderWithTimeout>> {
        self.by_name.values()
    }
}

/// How long a provider may take.
#[derive(Clone, Copy, Debug)]
pub struct ProviderTimeouts {
    /// For [`PaymentProvider::authorise`]: a bank may ask the buyer something. Well below the edge's limit for a request.
    pub authorise: Duration,
    /// For every other call.
    pub other: Duration,
    /// For [`PaymentProvider::list_captured`], which reads many pages.
    pub list: Duration,
}

impl Default for ProviderTimeouts {
    fn default() -> Self {
        Self {
            authorise: Duration::from_secs(10),
            other: Duration::from_secs(5),
            list: Duration::from_secs(600),
        }
    }
}

/// A provider with a timeout for every call.
pub struct ProviderWithTimeout {
    provider: Arc<dyn PaymentProvider>,
    limits: ProviderTimeouts,
}

impl ProviderWithTimeout {
    #[must_use]
    pub fn new(provider: Arc<dyn PaymentProvider>, limits: ProviderTimeouts) -> Self {
        Self { provider, limits }
    }

    async fn with_timeout<T>(
        &self,
        call: BoxFuture<'_, Result<T, NoProviderReply>>,
    ) -> Result<T, NoProviderReply> {
        tokio::time::timeout(self.limits.other, call).await.unwrap_or(Err(NoProviderReply))
    }
}

impl PaymentProvider for ProviderWithTimeout {
    fn name(&self) -> &'static str {
        self.provider.name()
    }

    fn accepts(&self, method: &str) -> bool {
        self.provider.accepts(method)
    }

    fn is_redirect(&self, method: &str) -> bool {
        self.provider.is_redirect(method)
    }

    fn check_price(&self, unit_price: Money, quantity_max: u32) -> Result<(), PriceRefusal> {
        self.provider.check_price(unit_price, quantity_max)
    }

    fn authorise<'a>(&'a self, payment: &'a ProviderPayment) -> BoxFuture<'a, AuthorisationResult> {
        let answer = self.provider.authorise(payment);
        Box::pin(async move {
            tokio::time::timeout(self.limits.authorise, answer).await.unwrap_or(AuthorisationResult::Unknown)
        })
    }

    fn capture<'a>(&'a self, payment: &'a ProviderPayment) -> BoxFuture<'a, ProviderReply> {
        Box::pin(self.with_timeout(self.provider.capture(payment)))
    }

    fn void<'a>(&'a self, payment: &'a ProviderPayment) -> BoxFuture<'a, ProviderReply> {
        Box::pin(self.with_timeout(self.provider.void(payment)))
    }

    fn refund<'a>(
        &'a self,
        payment: &'a ProviderPayment,
        refund: RefundId,
        amount: Money,
    ) -> BoxFuture<'a, ProviderReply> {
        Box::pin(self.with_timeout(self.provider.refund(payment, refund, amount)))
    }

    fn find<'a>(
        &'a self,
        payment: &'a ProviderPayment,
    ) -> BoxFuture<'a, Result<Option<ProviderAnswer>, NoProviderReply>> {
        Box::pin(self.with_timeout(self.provider.find(payment)))
    }

    fn list_outside_refunds<'a>(
        &'a self,
        payment: &'a ProviderPayment,
    ) -> BoxFuture<'a, Result<Vec<OutsideRefund>, NoProviderReply>> {
        Box::pin(self.with_timeout(self.provider.list_outside_refunds(payment)))
    }

    fn find_disputes<'a>(
        &'a self,
        payment: &'a ProviderPayment,
    ) -> BoxFuture<'a, Result<Vec<ProviderDispute>, NoProviderReply>> {
        Box::pin(self.with_timeout(self.provider.find_disputes(payment)))
    }

    fn list_captured(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<CapturedAtProvider>, NoProviderReply>> {
        let list = self.provider.list_captured(from, to);
        Box::pin(
            async move { tokio::time::timeout(self.limits.list, list).await.unwrap_or(Err(NoProviderReply)) },
        )
    }

    fn health(&self) -> ProviderHealth {
        self.provider.health()
    }
}
