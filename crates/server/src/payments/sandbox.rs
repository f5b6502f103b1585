//! The built-in provider for trials: no money moves, but everything else is as with a real one. It stands for another company, so it
//! has a durable store of its own ([`ChargeStore`]) and never reads the shop's tables.

use super::{
    AuthorisationResult, ChargeRequest, IntentId, NoProviderReply, PaymentProvider, PaymentStatus,
    ProviderReply,
};
use engine::error_text::describe_error;
use futures::future::BoxFuture;
use sale::Money;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// How long `sandbox:slow` takes (api.md).
pub const SLOW_DELAY: Duration = Duration::from_secs(3);

/// What the sandbox does with a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SandboxMethod {
    Approve,
    Decline,
    /// Approves after [`SLOW_DELAY`].
    Slow,
    /// Charges, but the reply is lost.
    Lost,
}

/// Every method with its name.
const METHODS: [(&str, SandboxMethod); 4] = [
    ("sandbox:approve", SandboxMethod::Approve),
    ("sandbox:decline", SandboxMethod::Decline),
    ("sandbox:slow", SandboxMethod::Slow),
    ("sandbox:lost", SandboxMethod::Lost),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRecord {
    pub intent: IntentId,
    /// How much; `None` for an intent that was closed before it was ever seen.
    pub amount: Option<Money>,
    pub status: PaymentStatus,
}

/// The charges cannot be read or written at the moment.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox's charges cannot be read or written")]
pub struct ChargeStoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The sandbox's charges. A write is durable when the call returns.
pub trait ChargeStore: Send + Sync + 'static {
    fn read(&self, intent: IntentId) -> BoxFuture<'_, Result<Option<ChargeRecord>, ChargeStoreError>>;

    /// Adds a charge; `false` when the intent has one already, which stays as it is.
    fn add<'a>(&'a self, line: &'a ChargeRecord) -> BoxFuture<'a, Result<bool, ChargeStoreError>>;

    /// Changes an intent's status; `false` when it is not `from`.
    fn change(
        &self,
        intent: IntentId,
        from: PaymentStatus,
        to: PaymentStatus,
    ) -> BoxFuture<'_, Result<bool, ChargeStoreError>>;
}

pub struct SandboxProvider {
    charges: Arc<dyn ChargeStore>,
    slow_delay: Duration,
}

impl SandboxProvider {
    /// `slow_delay` is how long `sandbox:slow` takes: [`SLOW_DELAY`], or less in a test.
    #[must_use]
    pub fn new(charges: Arc<dyn ChargeStore>, slow_delay: Duration) -> Self {
        Self { charges, slow_delay }
    }

    async fn charge(&self, charge: &ChargeRequest) -> Result<AuthorisationResult, ChargeStoreError> {
        let Some(method) = parse_method(&charge.method) else {
            return Ok(declined("the sandbox does not know this payment method"));
        };
        if method == SandboxMethod::Slow {
            if let Some(line) = self.charges.read(charge.intent).await? {
                return Ok(repeat_reply(&line, charge));
            }
            tokio::time::sleep(self.slow_delay).await;
        }
        let status = if method == SandboxMethod::Decline {
            PaymentStatus::Declined
        } else {
            PaymentStatus::Authorised
        };
        let line = ChargeRecord { intent: charge.intent, amount: Some(charge.amount), status };
        if !self.charges.add(&line).await? {
            // An earlier call with the same intent has charged it, or closed it.
            let known = self.charges.read(charge.intent).await?;
            return Ok(known.map_or(AuthorisationResult::Unknown, |line| repeat_reply(&line, charge)));
        }
        Ok(match method {
            SandboxMethod::Lost => AuthorisationResult::Unknown,
            SandboxMethod::Approve | SandboxMethod::Slow | SandboxMethod::Decline => {
                repeat_reply(&line, charge)
            }
        })
    }

    /// Changes an intent's status and returns the status after that.
    async fn step(&self, intent: IntentId, from: PaymentStatus, to: PaymentStatus) -> ProviderReply {
        let moved = async {
            if self.charges.change(intent, from, to).await? {
                return Ok(Some(to));
            }
            Ok(self.charges.read(intent).await?.map(|line| line.status))
        };
        moved.await.map_err(log_no_reply)?.ok_or(NoProviderReply)
    }
}

impl PaymentProvider for SandboxProvider {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn accepts(&self, name: &str) -> bool {
        parse_method(name).is_some()
    }

    fn authorise<'a>(&'a self, charge: &'a ChargeRequest) -> BoxFuture<'a, AuthorisationResult> {
        Box::pin(async move {
            self.charge(charge).await.unwrap_or_else(|closed| {
                log_no_reply(closed);
                AuthorisationResult::Unknown
            })
        })
    }

    fn capture(&self, intent: IntentId) -> BoxFuture<'_, ProviderReply> {
        Box::pin(self.step(intent, PaymentStatus::Authorised, PaymentStatus::Captured))
    }

    fn void(&self, intent: IntentId) -> BoxFuture<'_, ProviderReply> {
        Box::pin(async move {
            let closed = ChargeRecord { intent, amount: None, status: PaymentStatus::Voided };
            if self.charges.add(&closed).await.map_err(log_no_reply)? {
                return Ok(PaymentStatus::Voided);
            }
            self.step(intent, PaymentStatus::Authorised, PaymentStatus::Voided).await
        })
    }

    fn refund(&self, intent: IntentId) -> BoxFuture<'_, ProviderReply> {
        Box::pin(self.step(intent, PaymentStatus::Captured, PaymentStatus::Refunded))
    }

    fn find(&self, intent: IntentId) -> BoxFuture<'_, Result<Option<PaymentStatus>, NoProviderReply>> {
        Box::pin(async move {
            let line = self.charges.read(intent).await.map_err(log_no_reply)?;
            Ok(line.map(|line| line.status))
        })
    }
}

fn parse_method(name: &str) -> Option<SandboxMethod> {
    METHODS.iter().find(|(known, _)| *known == name).map(|(_, method)| *method)
}

/// The reply to a charge that is known already, as a retry after a lost reply gets it.
fn repeat_reply(line: &ChargeRecord, charge: &ChargeRequest) -> AuthorisationResult {
    match line.status {
        PaymentStatus::Authorised | PaymentStatus::Captured if line.amount == Some(charge.amount) => {
            AuthorisationResult::Authorised
        }
        PaymentStatus::Authorised | PaymentStatus::Captured => {
            declined("this payment was begun with another amount")
        }
        PaymentStatus::Declined => declined("the bank declined the payment"),
        PaymentStatus::Voided | PaymentStatus::Refunded => declined("this payment is over"),
    }
}

fn declined(reason: &'static str) -> AuthorisationResult {
    AuthorisationResult::Declined { reason: Cow::Borrowed(reason) }
}

fn log_no_reply(closed: ChargeStoreError) -> NoProviderReply {
    tracing::error!(
        error = describe_error(&closed),
        "the sandbox provider cannot reach its table; the caller gets no reply"
    );
    NoProviderReply
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::sync::Mutex;
    use uuid::Uuid;

    #[derive(Default)]
    struct MemoryCharges(Mutex<HashMap<IntentId, ChargeRecord>>);

    impl ChargeStore for MemoryCharges {
        fn read(&self, intent: IntentId) -> BoxFuture<'_, Result<Option<ChargeRecord>, ChargeStoreError>> {
            Box::pin(async move { Ok(self.0.lock().unwrap().get(&intent).cloned()) })
        }

        fn add<'a>(&'a self, line: &'a ChargeRecord) -> BoxFuture<'a, Result<bool, ChargeStoreError>> {
            Box::pin(async move {
                let mut lines = self.0.lock().unwrap();
                let is_new = !lines.contains_key(&line.intent);
                lines.entry(line.intent).or_insert_with(|| line.clone());
                Ok(is_new)
            })
        }

        fn change(
            &self,
            intent: IntentId,
            from: PaymentStatus,
            to: PaymentStatus,
        ) -> BoxFuture<'_, Result<bool, ChargeStoreError>> {
            Box::pin(async move {
                let mut lines = self.0.lock().unwrap();
                let line = lines.get_mut(&intent).filter(|line| line.status == from);
                Ok(line.map(|line| line.status = to).is_some())
            })
        }
    }

    fn sandbox() -> SandboxProvider {
        SandboxProvider::new(Arc::new(MemoryCharges::default()), Duration::from_millis(1))
    }

    fn charge(method: &str) -> ChargeRequest {
        let amount = Money { minor: 4999, currency: "EUR".parse().unwrap() };
        ChargeRequest { intent: IntentId(Uuid::from_u128(7)), amount, method: method.to_owned() }
    }

    #[tokio::test]
    async fn an_approved_charge_is_captured_once_and_refunded_once() {
        let sandbox = sandbox();
        let charge = charge("sandbox:approve");
        assert_eq!(sandbox.find(charge.intent).await, Ok(None));
        for _ in 0..2 {
            assert_eq!(sandbox.authorise(&charge).await, AuthorisationResult::Authorised);
        }
        for _ in 0..2 {
            assert_eq!(sandbox.capture(charge.intent).await, Ok(PaymentStatus::Captured));
        }
        assert_eq!(
            sandbox.void(charge.intent).await,
            Ok(PaymentStatus::Captured),
            "what is taken is not let go"
        );
        for _ in 0..2 {
            assert_eq!(sandbox.refund(charge.intent).await, Ok(PaymentStatus::Refunded));
        }
        assert_eq!(sandbox.capture(charge.intent).await, Ok(PaymentStatus::Refunded));
    }

    #[tokio::test]
    async fn a_lost_reply_is_found_out_by_asking_or_by_retrying() {
        let sandbox = sandbox();
        let charge = charge("sandbox:lost");
        assert_eq!(sandbox.authorise(&charge).await, AuthorisationResult::Unknown);
        assert_eq!(sandbox.find(charge.intent).await, Ok(Some(PaymentStatus::Authorised)));
        assert_eq!(sandbox.authorise(&charge).await, AuthorisationResult::Authorised);
    }

    #[tokio::test]
    async fn an_intent_that_was_closed_unseen_is_declined_when_it_arrives() {
        let sandbox = sandbox();
        let charge = charge("sandbox:approve");
        assert_eq!(sandbox.void(charge.intent).await, Ok(PaymentStatus::Voided));
        assert!(matches!(sandbox.authorise(&charge).await, AuthorisationResult::Declined { .. }));
    }

    #[tokio::test]
    async fn a_slow_charge_that_is_voided_meanwhile_is_declined() {
        let sandbox =
            Arc::new(SandboxProvider::new(Arc::new(MemoryCharges::default()), Duration::from_millis(50)));
        let charge = charge("sandbox:slow");
        let (answer, voided) = tokio::join!(sandbox.authorise(&charge), sandbox.void(charge.intent));
        assert_eq!(voided, Ok(PaymentStatus::Voided));
        assert!(matches!(answer, AuthorisationResult::Declined { .. }), "{answer:?}");
    }

    #[tokio::test]
    async fn a_declined_charge_stays_declined() {
        let sandbox = sandbox();
        let charge = charge("sandbox:decline");
        for _ in 0..2 {
            assert!(matches!(sandbox.authorise(&charge).await, AuthorisationResult::Declined { .. }));
        }
        assert_eq!(sandbox.capture(charge.intent).await, Ok(PaymentStatus::Declined));
        assert_eq!(sandbox.void(charge.intent).await, Ok(PaymentStatus::Declined));
    }

    #[tokio::test]
    async fn another_amount_under_the_same_intent_is_declined() {
        let sandbox = sandbox();
        let mut charge = charge("sandbox:approve");
        sandbox.authorise(&charge).await;
        charge.amount.minor += 1;
        assert!(matches!(sandbox.authorise(&charge).await, AuthorisationResult::Declined { .. }));
    }
}
