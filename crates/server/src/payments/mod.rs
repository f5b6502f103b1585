//! Taking money and giving it back: one port, [`Provider`], whoever is behind it. It never knows a sale, a table or HTTP.
//!
//! A payment goes through an **intent**: an id that we make and keep *before* we ask. It is the provider's idempotency
//! key too, so every call may be repeated, and after a crash or a lost reply [`Provider::find`] tells what became of it.

pub mod sandbox;

use futures::future::BoxFuture;
use sale::Money;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Takes money from buyers. Every call is idempotent by its intent: repeated, it changes nothing and tells the same.
pub trait PaymentProvider: Send + Sync + 'static {
    /// Whether this provider knows the payment method. Never waits.
    fn accepts(&self, method: &str) -> bool;

    /// Sets the money aside. It is not taken before [`Provider::capture`].
    fn authorise<'a>(&'a self, charge: &'a ChargeRequest) -> BoxFuture<'a, AuthorisationResult>;

    /// Takes the money that was set aside. Anything but [`Standing::Captured`] says why it could not be taken.
    fn capture(&self, intent: IntentId) -> BoxFuture<'_, ProviderReply>;

    /// Lets go of the money that was set aside. An intent that the provider has never seen is closed by this: should its
    /// authorisation still be under way somewhere, it will be declined on arrival.
    fn void(&self, intent: IntentId) -> BoxFuture<'_, ProviderReply>;

    /// Gives all the money back that was taken.
    fn refund(&self, intent: IntentId) -> BoxFuture<'_, ProviderReply>;

    /// What the provider knows of the intent; `None` when it never saw it.
    fn find(&self, intent: IntentId) -> BoxFuture<'_, Result<Option<PaymentStatus>, NoProviderReply>>;
}

/// What stands in the provider's books after a call.
pub type ProviderReply = Result<PaymentStatus, NoProviderReply>;

/// The id of one payment, made by us.
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
    /// How much; more than nothing.
    pub amount: Money,
    /// How, in the provider's words, such as `sandbox:approve`.
    pub method: String,
}

/// The answer to [`Provider::authorise`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorisationResult {
    /// The money is set aside for us.
    Authorised,
    /// It is not, and will not be under this intent.
    Declined {
        /// Why, fit to be shown to the buyer.
        reason: Cow<'static, str>,
    },
    /// The reply was lost or late: the money may be set aside or not. [`Provider::find`] tells.
    Unknown,
}

/// How an intent stands in the provider's books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaymentStatus {
    /// The money is set aside.
    Authorised,
    /// The buyer's bank said no.
    Declined,
    /// The money is ours.
    Captured,
    /// The money was let go before it was taken, or the intent was closed before it began.
    Voided,
    /// The money was taken and went back.
    Refunded,
}

impl PaymentStatus {
    /// The word for it in tables and logs.
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

/// The text is not a standing.
#[derive(Debug, thiserror::Error)]
#[error("a standing is authorised, declined, captured, voided or refunded")]
pub struct PaymentStatusError;

impl std::str::FromStr for PaymentStatus {
    type Err = PaymentStatusError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Authorised, Self::Declined, Self::Captured, Self::Voided, Self::Refunded]
            .into_iter()
            .find(|standing| standing.as_str() == text)
            .ok_or(PaymentStatusError)
    }
}

/// The provider did not answer in time, or its answer was lost. What was asked may have been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payment provider did not answer")]
pub struct NoProviderReply;

/// How long a provider may take.
#[derive(Clone, Copy, Debug)]
pub struct ProviderTimeouts {
    /// For [`Provider::authorise`]: a bank may ask the buyer something. Well below the edge's limit for a request.
    pub authorise: Duration,
    /// For every other call.
    pub other: Duration,
}

impl Default for ProviderTimeouts {
    fn default() -> Self {
        Self { authorise: Duration::from_secs(10), other: Duration::from_secs(5) }
    }
}

/// A provider that answers in time, or is taken as not having answered.
pub struct ProviderWithTimeout {
    provider: Arc<dyn PaymentProvider>,
    limits: ProviderTimeouts,
}

impl ProviderWithTimeout {
    /// Bounds every wait for `provider`.
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
