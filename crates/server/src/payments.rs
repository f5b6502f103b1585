//! The port to payment providers, [`PaymentProvider`]. It never knows a sale, a table or HTTP.
//!
//! A payment has an **intent**: an id that is stored *before* the provider is called. It is the provider's idempotency key too, so every
//! call may be repeated, and after a crash or a lost reply [`PaymentProvider::find`] returns its status.

pub mod sandbox;

use futures::future::BoxFuture;
use sale::Money;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Takes money from buyers. Every call is idempotent by its intent: a repeat changes nothing and returns the same.
pub trait PaymentProvider: Send + Sync + 'static {
    /// Its name in the tables and the API.
    fn name(&self) -> &'static str;

    /// Whether this provider knows the payment method. Never waits.
    fn accepts(&self, method: &str) -> bool;

    /// Authorises the money. It is not taken before [`PaymentProvider::capture`].
    fn authorise<'a>(&'a self, charge: &'a ChargeRequest) -> BoxFuture<'a, AuthorisationResult>;

    /// Takes authorised money. Any status but [`PaymentStatus::Captured`] says why it was not taken.
    fn capture(&self, intent: IntentId) -> BoxFuture<'_, ProviderReply>;

    /// Voids authorised money. It closes an intent that the provider has never seen, so that an authorisation that arrives later is
    /// declined.
    fn void(&self, intent: IntentId) -> BoxFuture<'_, ProviderReply>;

    /// Refunds all captured money.
    fn refund(&self, intent: IntentId) -> BoxFuture<'_, ProviderReply>;

    /// The status of the intent; `None` when the provider never saw it.
    fn find(&self, intent: IntentId) -> BoxFuture<'_, Result<Option<PaymentStatus>, NoProviderReply>>;
}

/// The status after a call.
pub type ProviderReply = Result<PaymentStatus, NoProviderReply>;

/// The id of one payment, made by this program.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
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

/// What is to be paid, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRequest {
    pub intent: IntentId,
    /// More than zero.
    pub amount: Money,
    /// The provider's name for the way to pay, such as `sandbox:approve`.
    pub method: String,
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
    /// The reply was lost or late: the money may be authorised or not. [`PaymentProvider::find`] finds out.
    Unknown,
}

/// The status of an intent at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaymentStatus {
    Authorised,
    Declined,
    /// The money is taken.
    Captured,
    /// The money was released before it was captured, or the intent was closed before it began.
    Voided,
    /// The money was captured and paid back.
    Refunded,
}

impl PaymentStatus {
    /// Its name in tables and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
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
#[error("a status is authorised, declined, captured, voided or refunded")]
pub struct PaymentStatusError;

impl std::str::FromStr for PaymentStatus {
    type Err = PaymentStatusError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Authorised, Self::Declined, Self::Captured, Self::Voided, Self::Refunded]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(PaymentStatusError)
    }
}

/// The provider did not reply in time, or its reply was lost. The call may have had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payment provider did not answer")]
pub struct NoProviderReply;

/// How long a provider may take.
#[derive(Clone, Copy, Debug)]
pub struct ProviderTimeouts {
    /// For [`PaymentProvider::authorise`]: a bank may ask the buyer something. Well below the edge's limit for a request.
    pub authorise: Duration,
    /// For every other call.
    pub other: Duration,
}

impl Default for ProviderTimeouts {
    fn default() -> Self {
        Self { authorise: Duration::from_secs(10), other: Duration::from_secs(5) }
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

    fn authorise<'a>(&'a self, charge: &'a ChargeRequest) -> BoxFuture<'a, AuthorisationResult> {
        let answer = self.provider.authorise(charge);
        Box::pin(async move {
            tokio::time::timeout(self.limits.authorise, answer).await.unwrap_or(AuthorisationResult::Unknown)
        })
    }

    fn capture(&self, intent: IntentId) -> BoxFuture<'_, ProviderReply> {
        Box::pin(self.with_timeout(self.provider.capture(intent)))
    }

    fn void(&self, intent: IntentId) -> BoxFuture<'_, ProviderReply> {
        Box::pin(self.with_timeout(self.provider.void(intent)))
    }

    fn refund(&self, intent: IntentId) -> BoxFuture<'_, ProviderReply> {
        Box::pin(self.with_timeout(self.provider.refund(intent)))
    }

    fn find(&self, intent: IntentId) -> BoxFuture<'_, Result<Option<PaymentStatus>, NoProviderReply>> {
        Box::pin(self.with_timeout(self.provider.find(intent)))
    }
}
