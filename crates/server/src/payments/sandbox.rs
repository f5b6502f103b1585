//! The built-in provider for trials: no money moves, but everything else is as with a real one. It stands for another company, so it
//! has a durable store of its own ([`ChargeStore`]) and never reads the shop's tables.

use super::{
    AuthorisationResult, CapturedAtProvider, IntentId, NextAction, NoProviderReply, OutsideRefund,
    PaymentProvider, PaymentStatus, PriceRefusal, ProviderAnswer, ProviderDispute, ProviderHealth,
    ProviderPayment, ProviderReply, RefundId,
};
use engine::error_text::describe_error;
use futures::future::BoxFuture;
use sale::{Money, OrderId, Timestamp};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// How long `sandbox:slow` takes (api.md).
pub const SLOW_DELAY: Duration = Duration::from_secs(3);

/// Its name in the tables and the API.
pub const NAME: &str = "sandbox";

/// The path of the pages on which buyers pay with `sandbox:redirect`, without the intent at its end.
pub const PAGES: &str = "/sandbox/pay/";

/// What the sandbox does with a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SandboxMethod {
    Approve,
    Decline,
    /// Approves after [`SLOW_DELAY`].
    Slow,
    /// Charges, but the reply is lost.
    Lost,
    /// Sends the buyer to a page that approves or declines.
    Redirect,
}

/// Every method with its name.
const METHODS: [(&str, SandboxMethod); 5] = [
    ("sandbox:approve", SandboxMethod::Approve),
    ("sandbox:decline", SandboxMethod::Decline),
    ("sandbox:slow", SandboxMethod::Slow),
    ("sandbox:lost", SandboxMethod::Lost),
    ("sandbox:redirect", SandboxMethod::Redirect),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRecord {
    pub intent: IntentId,
    /// How much; `None` for an intent that was closed before it was ever seen.
    pub amount: Option<Money>,
    pub status: PaymentStatus,
    /// Minor units that were given back.
    pub refunded_minor: i64,
    /// As the shop named it; `None` for an intent that was closed before it was ever seen.
    pub order: Option<OrderId>,
    /// For a charge that the buyer pays on a page.
    pub page: Option<ChargePage>,
}

/// What the page shows. It leads back to the shop's own paths: the sandbox's pages are on the shop's site, whatever its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChargePage {
    pub description: String,
    /// `en`, `de` or `ar`.
    pub language: String,
}

/// A charge whose money was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedCharge {
    pub intent: IntentId,
    pub order: Option<OrderId>,
    pub amount: Money,
    pub refunded_minor: i64,
    pub captured_at: Timestamp,
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

    /// Changes an intent's status and returns the charge as it is then; `None` when its status is not `from`. It keeps when a charge was
    /// captured.
    fn change(
        &self,
        intent: IntentId,
        from: PaymentStatus,
        to: PaymentStatus,
    ) -> BoxFuture<'_, Result<Option<ChargeRecord>, ChargeStoreError>>;

    /// Refunds a part of a captured charge, or its rest, which makes it [`PaymentStatus::Refunded`]. A refund that was made before is not
    /// made again. `false` when more than what is left is asked for.
    fn refund(
        &self,
        intent: IntentId,
        refund: RefundId,
        minor: i64,
    ) -> BoxFuture<'_, Result<bool, ChargeStoreError>>;

    /// The charges that were captured from `from` until before `to`, refunded since or not.
    fn list_captured(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<CapturedCharge>, ChargeStoreError>>;
}

/// What a buyer does on the page of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageDecision {
    Approve,
    Decline,
    /// The buyer has paid, and the bank has not answered yet.
    Submit,
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

    /// The charge that a buyer pays on a page; `None` when there is none.
    ///
    /// # Errors
    /// When the charges cannot be read.
    pub async fn find_page(
        &self,
        intent: IntentId,
    ) -> Result<Option<(ChargeRecord, ChargePage)>, NoProviderReply> {
        let line = self.charges.read(intent).await.map_err(log_no_reply)?;
        Ok(line.and_then(|line| line.page.clone().map(|page| (line, page))))
    }

    /// Does what the buyer decides on the page, and returns the charge as it is then. On a page that is over nothing changes.
    ///
    /// # Errors
    /// When the charges cannot be read or written.
    pub async fn decide_page(
        &self,
        intent: IntentId,
        decision: PageDecision,
    ) -> Result<Option<(ChargeRecord, ChargePage)>, NoProviderReply> {
        if self.find_page(intent).await?.is_none() {
            return Ok(None);
        }
        let to = match decision {
            PageDecision::Approve => PaymentStatus::Authorised,
            PageDecision::Decline => PaymentStatus::Declined,
            PageDecision::Submit => PaymentStatus::Submitted,
        };
        let changed = self.charges.change(intent, PaymentStatus::Open, to).await.map_err(log_no_reply)?;
        if changed.is_none() && decision != PageDecision::Submit {
            self.charges.change(intent, PaymentStatus::Submitted, to).await.map_err(log_no_reply)?;
        }
        self.find_page(intent).await
    }

    async fn charge(&self, payment: &ProviderPayment) -> Result<AuthorisationResult, ChargeStoreError> {
        let Some(method) = parse_method(&payment.method) else {
            return Ok(declined("the sandbox does not know this payment method"));
        };
        if method == SandboxMethod::Slow {
            if let Some(line) = self.charges.read(payment.intent).await? {
                return Ok(repeat_reply(&line, payment));
            }
            tokio::time::sleep(self.slow_delay).await;
        }
        let status = match method {
            SandboxMethod::Decline => PaymentStatus::Declined,
            SandboxMethod::Redirect => PaymentStatus::Open,
            SandboxMethod::Approve | SandboxMethod::Slow | SandboxMethod::Lost => PaymentStatus::Authorised,
        };
        let line = ChargeRecord {
            intent: payment.intent,
            amount: Some(payment.amount),
            status,
            refunded_minor: 0,
            order: Some(payment.order),
            page: (method == SandboxMethod::Redirect).then(|| build_page(payment)),
        };
        if !self.charges.add(&line).await? {
            // An earlier call with the same intent has charged it, or closed it.
            let known = self.charges.read(payment.intent).await?;
            return Ok(known.map_or(AuthorisationResult::Unknown, |line| repeat_reply(&line, payment)));
        }
        Ok(match method {
            SandboxMethod::Lost => AuthorisationResult::Unknown,
            SandboxMethod::Approve
            | SandboxMethod::Slow
            | SandboxMethod::Decline
            | SandboxMethod::Redirect => repeat_reply(&line, payment),
        })
    }

    /// Changes an intent's status and returns what it is after that.
    async fn step(&self, intent: IntentId, from: PaymentStatus, to: PaymentStatus) -> ProviderReply {
        match self.charges.change(intent, from, to).await.map_err(log_no_reply)? {
            Some(line) => Ok(answer_from_charge(&line)),
            None => self.read_answer(intent).await?.ok_or(NoProviderReply),
        }
    }

    async fn read_answer(&self, intent: IntentId) -> Result<Option<ProviderAnswer>, NoProviderReply> {
        let line = self.charges.read(intent).await.map_err(log_no_reply)?;
        Ok(line.map(|line| answer_from_charge(&line)))
    }
}

impl PaymentProvider for SandboxProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn accepts(&self, name: &str) -> bool {
        parse_method(name).is_some()
    }

    fn is_redirect(&self, name: &str) -> bool {
        parse_method(name) == Some(SandboxMethod::Redirect)
    }

    fn check_price(&self, _unit_price: Money, _quantity_max: u32) -> Result<(), PriceRefusal> {
        Ok(())
    }

    fn authorise<'a>(&'a self, payment: &'a ProviderPayment) -> BoxFuture<'a, AuthorisationResult> {
        Box::pin(async move {
            self.charge(payment).await.unwrap_or_else(|closed| {
                log_no_reply(closed);
                AuthorisationResult::Unknown
            })
        })
    }

    fn capture<'a>(&'a self, payment: &'a ProviderPayment) -> BoxFuture<'a, ProviderReply> {
        Box::pin(self.step(payment.intent, PaymentStatus::Authorised, PaymentStatus::Captured))
    }

    fn void<'a>(&'a self, payment: &'a ProviderPayment) -> BoxFuture<'a, ProviderReply> {
        Box::pin(async move {
            let intent = payment.intent;
            let closed = ChargeRecord {
                intent,
                amount: None,
                status: PaymentStatus::Voided,
                refunded_minor: 0,
                order: None,
                page: None,
            };
            if self.charges.add(&closed).await.map_err(log_no_reply)? {
                return Ok(ProviderAnswer::with_status(PaymentStatus::Voided));
            }
            // A submitted payment is the bank's: it can be voided when the bank has answered.
            let answer = self.step(intent, PaymentStatus::Open, PaymentStatus::Voided).await?;
            if answer.status != PaymentStatus::Authorised {
                return Ok(answer);
            }
            self.step(intent, PaymentStatus::Authorised, PaymentStatus::Voided).await
        })
    }

    fn refund<'a>(
        &'a self,
        payment: &'a ProviderPayment,
        refund: RefundId,
        amount: Money,
    ) -> BoxFuture<'a, ProviderReply> {
        Box::pin(async move {
            let refunded = self.charges.refund(payment.intent, refund, amount.minor).await;
            let is_refund_refused = !refunded.map_err(log_no_reply)?;
            let answer = self.read_answer(payment.intent).await?.ok_or(NoProviderReply)?;
            Ok(ProviderAnswer { is_refund_refused, ..answer })
        })
    }

    fn find<'a>(
        &'a self,
        payment: &'a ProviderPayment,
    ) -> BoxFuture<'a, Result<Option<ProviderAnswer>, NoProviderReply>> {
        Box::pin(self.read_answer(payment.intent))
    }

    /// Nobody refunds anything there: the sandbox has no dashboard.
    fn list_outside_refunds<'a>(
        &'a self,
        _payment: &'a ProviderPayment,
    ) -> BoxFuture<'a, Result<Vec<OutsideRefund>, NoProviderReply>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// It has no bank at which a buyer could complain.
    fn find_disputes<'a>(
        &'a self,
        _payment: &'a ProviderPayment,
    ) -> BoxFuture<'a, Result<Vec<ProviderDispute>, NoProviderReply>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn list_captured(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<CapturedAtProvider>, NoProviderReply>> {
        Box::pin(async move {
            let captured = self.charges.list_captured(from, to).await.map_err(log_no_reply)?;
            let listed = captured.into_iter().map(|charge| CapturedAtProvider {
                intent: Some(charge.intent),
                order: charge.order,
                reference: charge.intent.to_string(),
                amount: charge.amount,
                refunded_minor: charge.refunded_minor,
                captured_at: charge.captured_at,
            });
            Ok(listed.collect())
        })
    }

    fn health(&self) -> ProviderHealth {
        ProviderHealth::Ok
    }
}

fn parse_method(name: &str) -> Option<SandboxMethod> {
    METHODS.iter().find(|(known, _)| *known == name).map(|(_, method)| *method)
}

fn build_page(payment: &ProviderPayment) -> ChargePage {
    ChargePage {
        description: payment.description.clone(),
        language: payment.language.clone().unwrap_or_else(|| "en".to_owned()),
    }
}

/// The page of a charge. The sandbox's pages are on the shop's own site, so that a path is enough.
fn page_url(intent: IntentId) -> String {
    format!("{PAGES}{intent}")
}

fn answer_from_charge(line: &ChargeRecord) -> ProviderAnswer {
    let is_open = line.status == PaymentStatus::Open;
    ProviderAnswer {
        status: line.status,
        reference: Some(line.intent.to_string()),
        refunded_minor: line.refunded_minor,
        action_url: is_open.then(|| page_url(line.intent)),
        is_refund_refused: false,
    }
}

/// The reply to a charge that is known already, as a retry after a lost reply gets it.
fn repeat_reply(line: &ChargeRecord, payment: &ProviderPayment) -> AuthorisationResult {
    let is_over =
        matches!(line.status, PaymentStatus::Declined | PaymentStatus::Voided | PaymentStatus::Refunded);
    if !is_over && line.amount != Some(payment.amount) {
        return declined("this payment was begun with another amount");
    }
    match line.status {
        PaymentStatus::Authorised | PaymentStatus::Captured => AuthorisationResult::Authorised,
        PaymentStatus::Open => AuthorisationResult::ActionNeeded(NextAction {
            url: page_url(line.intent),
            reference: Some(line.intent.to_string()),
        }),
        PaymentStatus::Submitted => AuthorisationResult::Unknown,
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
    use sale::{BuyerId, SaleId};
    use std::collections::{HashMap, HashSet};
    use std::sync::Mutex;
    use uuid::Uuid;

    #[derive(Default)]
    struct MemoryCharges {
        lines: Mutex<HashMap<IntentId, ChargeRecord>>,
        refunds: Mutex<HashSet<RefundId>>,
    }

    impl ChargeStore for MemoryCharges {
        fn read(&self, intent: IntentId) -> BoxFuture<'_, Result<Option<ChargeRecord>, ChargeStoreError>> {
            Box::pin(async move { Ok(self.lines.lock().unwrap().get(&intent).cloned()) })
        }

        fn add<'a>(&'a self, line: &'a ChargeRecord) -> BoxFuture<'a, Result<bool, ChargeStoreError>> {
            Box::pin(async move {
                let mut lines = self.lines.lock().unwrap();
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
        ) -> BoxFuture<'_, Result<Option<ChargeRecord>, ChargeStoreError>> {
            Box::pin(async move {
                let mut lines = self.lines.lock().unwrap();
                let Some(line) = lines.get_mut(&intent).filter(|line| line.status == from) else {
                    return Ok(None);
                };
                line.status = to;
                Ok(Some(line.clone()))
            })
        }

        fn refund(
            &self,
            intent: IntentId,
            refund: RefundId,
            minor: i64,
        ) -> BoxFuture<'_, Result<bool, ChargeStoreError>> {
            Box::pin(async move {
                let mut lines = self.lines.lock().unwrap();
                if self.refunds.lock().unwrap().contains(&refund) {
                    return Ok(true);
                }
                let Some(line) = lines.get_mut(&intent) else { return Ok(false) };
                let total = line.amount.map_or(0, |amount| amount.minor);
                if line.status != PaymentStatus::Captured || line.refunded_minor + minor > total {
                    return Ok(false);
                }
                self.refunds.lock().unwrap().insert(refund);
                line.refunded_minor += minor;
                if line.refunded_minor == total {
                    line.status = PaymentStatus::Refunded;
                }
                Ok(true)
            })
        }

        fn list_captured(
            &self,
            _from: Timestamp,
            _to: Timestamp,
        ) -> BoxFuture<'_, Result<Vec<CapturedCharge>, ChargeStoreError>> {
            Box::pin(async { Ok(Vec::new()) })
        }
    }

    fn sandbox() -> SandboxProvider {
        SandboxProvider::new(Arc::new(MemoryCharges::default()), Duration::from_millis(1))
    }

    fn money(minor: i64) -> Money {
        Money { minor, currency: "EUR".parse().unwrap() }
    }

    fn payment(method: &str) -> ProviderPayment {
        ProviderPayment {
            intent: IntentId(Uuid::from_u128(7)),
            reference: None,
            order: OrderId(Uuid::from_u128(8)),
            sale: SaleId(Uuid::from_u128(9)),
            buyer: BuyerId(Uuid::from_u128(10)),
            amount: money(4_999),
            method: method.to_owned(),
            buyer_email: None,
            description: "Lamp".to_owned(),
            language: None,
            return_url: None,
            cancel_url: None,
        }
    }

    fn status(reply: &ProviderReply) -> PaymentStatus {
        reply.as_ref().unwrap().status
    }

    async fn found(sandbox: &SandboxProvider, payment: &ProviderPayment) -> PaymentStatus {
        sandbox.find(payment).await.unwrap().unwrap().status
    }

    #[tokio::test]
    async fn each_step_is_taken_once_and_may_be_repeated() {
        let sandbox = sandbox();
        let payment = payment("sandbox:approve");
        assert_eq!(sandbox.find(&payment).await, Ok(None));
        for _ in 0..2 {
            assert_eq!(sandbox.authorise(&payment).await, AuthorisationResult::Authorised);
        }
        for _ in 0..2 {
            assert_eq!(status(&sandbox.capture(&payment).await), PaymentStatus::Captured);
        }
        assert_eq!(
            status(&sandbox.void(&payment).await),
            PaymentStatus::Captured,
            "taken money is not released"
        );
        let refund = RefundId(Uuid::from_u128(1));
        for _ in 0..2 {
            let refunded = sandbox.refund(&payment, refund, payment.amount).await;
            assert_eq!(status(&refunded), PaymentStatus::Refunded);
        }
        assert_eq!(status(&sandbox.capture(&payment).await), PaymentStatus::Refunded);
    }

    #[tokio::test]
    async fn parts_are_refunded_once_each_and_never_more_than_is_left() {
        let sandbox = sandbox();
        let payment = payment("sandbox:approve");
        sandbox.authorise(&payment).await;
        sandbox.capture(&payment).await.unwrap();
        let refund = async |number, minor| {
            let answer = sandbox.refund(&payment, RefundId(Uuid::from_u128(number)), money(minor)).await;
            let answer = answer.unwrap();
            (answer.status, answer.refunded_minor, answer.is_refund_refused)
        };
        for _ in 0..2 {
            assert_eq!(refund(1, 1_000).await, (PaymentStatus::Captured, 1_000, false));
        }
        assert_eq!(refund(2, 4_000).await, (PaymentStatus::Captured, 1_000, true), "more than is left");
        assert_eq!(refund(3, 3_999).await, (PaymentStatus::Refunded, 4_999, false));
        assert_eq!(refund(1, 1_000).await, (PaymentStatus::Refunded, 4_999, false), "it was made");
    }

    #[tokio::test]
    async fn a_lost_reply_is_found_out_by_asking_or_by_retrying() {
        let sandbox = sandbox();
        let payment = payment("sandbox:lost");
        assert_eq!(sandbox.authorise(&payment).await, AuthorisationResult::Unknown);
        assert_eq!(found(&sandbox, &payment).await, PaymentStatus::Authorised);
        assert_eq!(sandbox.authorise(&payment).await, AuthorisationResult::Authorised);
    }

    #[tokio::test]
    async fn a_page_is_open_until_the_buyer_decides() {
        for (decisions, expected) in [
            (&[PageDecision::Approve][..], PaymentStatus::Authorised),
            (&[PageDecision::Decline], PaymentStatus::Declined),
            (&[PageDecision::Submit], PaymentStatus::Submitted),
            (&[PageDecision::Submit, PageDecision::Approve], PaymentStatus::Authorised),
            (&[PageDecision::Submit, PageDecision::Decline], PaymentStatus::Declined),
            // What is decided stays.
            (&[PageDecision::Approve, PageDecision::Decline], PaymentStatus::Authorised),
            (&[PageDecision::Decline, PageDecision::Approve], PaymentStatus::Declined),
            (&[PageDecision::Approve, PageDecision::Submit], PaymentStatus::Authorised),
        ] {
            let sandbox = sandbox();
            let payment = payment("sandbox:redirect");
            let first = sandbox.authorise(&payment).await;
            assert!(matches!(first, AuthorisationResult::ActionNeeded(_)), "{first:?}");
            assert_eq!(sandbox.authorise(&payment).await, first, "the same page");
            assert_eq!(found(&sandbox, &payment).await, PaymentStatus::Open);
            for decision in decisions {
                sandbox.decide_page(payment.intent, *decision).await.unwrap().expect("there is a page");
            }
            assert_eq!(found(&sandbox, &payment).await, expected, "{decisions:?}");
        }
    }

    #[tokio::test]
    async fn an_open_page_is_closed_and_a_submitted_payment_is_not() {
        let sandbox = sandbox();
        let payment = payment("sandbox:redirect");
        sandbox.authorise(&payment).await;
        assert_eq!(status(&sandbox.void(&payment).await), PaymentStatus::Voided);
        let (late, _) = sandbox.decide_page(payment.intent, PageDecision::Approve).await.unwrap().unwrap();
        assert_eq!(late.status, PaymentStatus::Voided, "the buyer was too late");

        let sandbox = self::sandbox();
        sandbox.authorise(&payment).await;
        sandbox.decide_page(payment.intent, PageDecision::Submit).await.unwrap();
        assert_eq!(status(&sandbox.void(&payment).await), PaymentStatus::Submitted);
        sandbox.decide_page(payment.intent, PageDecision::Approve).await.unwrap();
        assert_eq!(status(&sandbox.void(&payment).await), PaymentStatus::Voided);
    }

    #[tokio::test]
    async fn a_charge_without_a_page_has_none() {
        let sandbox = sandbox();
        let payment = payment("sandbox:approve");
        assert_eq!(sandbox.find_page(payment.intent).await, Ok(None));
        sandbox.authorise(&payment).await;
        assert_eq!(sandbox.decide_page(payment.intent, PageDecision::Decline).await, Ok(None));
        assert_eq!(found(&sandbox, &payment).await, PaymentStatus::Authorised);
    }

    #[tokio::test]
    async fn an_intent_that_was_closed_unseen_is_declined_when_it_arrives() {
        for method in ["sandbox:approve", "sandbox:redirect"] {
            let sandbox = sandbox();
            let payment = payment(method);
            assert_eq!(status(&sandbox.void(&payment).await), PaymentStatus::Voided);
            assert!(matches!(sandbox.authorise(&payment).await, AuthorisationResult::Declined { .. }));
        }
    }

    #[tokio::test]
    async fn a_slow_charge_that_is_voided_meanwhile_is_declined() {
        let sandbox =
            Arc::new(SandboxProvider::new(Arc::new(MemoryCharges::default()), Duration::from_millis(50)));
        let payment = payment("sandbox:slow");
        let (answer, voided) = tokio::join!(sandbox.authorise(&payment), sandbox.void(&payment));
        assert_eq!(status(&voided), PaymentStatus::Voided);
        assert!(matches!(answer, AuthorisationResult::Declined { .. }), "{answer:?}");
    }

    #[tokio::test]
    async fn a_declined_charge_stays_declined() {
        let sandbox = sandbox();
        let payment = payment("sandbox:decline");
        for _ in 0..2 {
            assert!(matches!(sandbox.authorise(&payment).await, AuthorisationResult::Declined { .. }));
        }
        assert_eq!(status(&sandbox.capture(&payment).await), PaymentStatus::Declined);
        assert_eq!(status(&sandbox.void(&payment).await), PaymentStatus::Declined);
    }

    #[tokio::test]
    async fn another_amount_under_the_same_intent_is_declined() {
        let sandbox = sandbox();
        let mut payment = payment("sandbox:approve");
        sandbox.authorise(&payment).await;
        payment.amount.minor += 1;
        assert!(matches!(sandbox.authorise(&payment).await, AuthorisationResult::Declined { .. }));
    }
}
