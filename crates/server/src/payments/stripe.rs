//! Payments through Stripe: hosted Checkout with manual capture. A buyer pays on Stripe's page; the money is captured when the law has
//! confirmed the order, and voided otherwise. It knows Stripe's API and nothing of tables, HTTP or the law; it keeps no state of a payment:
//! each answer is read from Stripe.
//!
//! A payment is a Checkout session, named by our payment's id (the idempotency key of its creation) and kept by Stripe's id of it (the
//! payment's reference). Its intent exists once the buyer has submitted the page. With manual capture the intent's `requires_capture` says
//! that the money is authorised; the session's `payment_status` says nothing.

pub mod amount;
pub mod circuit;
pub mod client;
pub mod event;
pub mod objects;
pub mod request;
pub mod signature;
pub mod transport;

mod answers;
mod sessions;

use super::{
    AuthorisationResult, CapturedAtProvider, IntentId, NextAction, NoProviderReply, OutsideRefund,
    PaymentProvider, PaymentStatus, PriceRefusal, ProviderAnswer, ProviderDispute, ProviderHealth,
    ProviderPayment, ProviderReply, RefundId,
};
use amount::{AmountError, check_unit_price, from_stripe_units, to_stripe_units};
use answers::read_answer;
pub use answers::read_dispute;
use client::{ApiError, StripeClient};
use engine::error_text::describe_error;
use futures::future::BoxFuture;
use objects::{
    CheckoutSession, Dispute, ExpandableField, IntentStatus, ListPage, ListedObject, METADATA_ORDER,
    METADATA_PAYMENT, METADATA_REFUND, PaymentIntent, Refund, metadata_value,
};
use request::{ApiRequest, ApiVerb, KeyRight};
use sale::{Money, Timestamp};
use sessions::SessionError;
use std::borrow::Cow;
use std::sync::Arc;
use uuid::Uuid;

/// The name of the provider, and of its one method.
pub const STRIPE: &str = "stripe";

/// Objects of a page of a list: the most that Stripe gives.
const PAGE_LEN: &str = "100";

/// Pages of a list at most: a million payments.
const PAGES_MAX: usize = 10_000;

/// Pages of the refunds, or of the disputes, of one payment at most: Stripe makes far fewer of them.
const PAGES_OF_INTENT_MAX: usize = 10;

/// Times that a payment is closed whose state changes meanwhile.
const CLOSE_TRIES_MAX: u32 = 4;

/// What a buyer reads whose session Stripe refuses to open. The log has why.
const NOT_OPENED: &str = "the payment could not be opened; please ask the shop";

/// Takes payments through Stripe.
pub struct StripeProvider {
    client: Arc<StripeClient>,
}

impl StripeProvider {
    #[must_use]
    pub fn new(client: Arc<StripeClient>) -> Self {
        Self { client }
    }

    /// Asks for one object of each kind that is read, so that a key without a right is known before a buyer pays. `false` when Stripe did not
    /// answer everything.
    pub async fn check_key(&self) -> bool {
        for (path, right) in [
            ("/v1/checkout/sessions", KeyRight::ReadSessions),
            ("/v1/payment_intents", KeyRight::ReadIntents),
            ("/v1/refunds", KeyRight::ReadRefunds),
            ("/v1/disputes", KeyRight::ReadDisputes),
        ] {
            let request = ApiRequest::get(path, right).with("limit", "1");
            // The client logs and remembers a refused key.
            if let Err(ApiError::NoReply) = self.client.send::<serde_json::Value>(&request).await {
                return false;
            }
        }
        true
    }

    /// The payment of ours that an intent is of; `None` for one that another program made.
    ///
    /// # Errors
    /// When Stripe does not answer.
    pub async fn find_payment_of_intent(&self, intent: &str) -> Result<Option<Uuid>, NoProviderReply> {
        let path = format!("/v1/payment_intents/{}", encode_segment(intent));
        match self.client.send::<PaymentIntent>(&ApiRequest::get(path, KeyRight::ReadIntents)).await {
            Ok(intent) => Ok(parse_id(metadata_value(intent.metadata.as_ref(), METADATA_PAYMENT))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(log_failure("reading an intent", &error)),
        }
    }

    /// The disputes about an intent, as they are now.
    ///
    /// # Errors
    /// When Stripe does not answer.
    pub async fn list_disputes(&self, intent: &str) -> Result<Vec<Dispute>, NoProviderReply> {
        let request = ApiRequest::get("/v1/disputes", KeyRight::ReadDisputes).with("payment_intent", intent);
        self.list_all(request, (PAGES_OF_INTENT_MAX, "reading disputes"), Some).await
    }

    /// The refunds of an intent, as they are now.
    ///
    /// # Errors
    /// When Stripe does not answer.
    pub async fn list_refunds(&self, intent: &str) -> Result<Vec<Refund>, NoProviderReply> {
        let request = ApiRequest::get("/v1/refunds", KeyRight::ReadRefunds).with("payment_intent", intent);
        self.list_all(request, (PAGES_OF_INTENT_MAX, "reading refunds"), Some).await
    }

    /// What `read` makes of the objects of all pages of a list.
    async fn list_all<T: ListedObject, R>(
        &self,
        request: ApiRequest,
        (pages_max, what): (usize, &'static str),
        read: impl Fn(T) -> Option<R>,
    ) -> Result<Vec<R>, NoProviderReply> {
        let request = request.with("limit", PAGE_LEN);
        let (mut all, mut after) = (Vec::new(), None);
        for _ in 0..pages_max {
            let request = request.clone().with_some("starting_after", after.take());
            let page = self.client.send::<ListPage<T>>(&request).await;
            let ListPage { data, has_more } = page.map_err(|error| log_failure(what, &error))?;
            after = data.last().filter(|_| has_more).map(|last| last.id().to_owned());
            all.extend(data.into_iter().filter_map(&read));
            if after.is_none() {
                return Ok(all);
            }
        }
        tracing::error!(
            what,
            "Stripe's list is longer than this version reads, and a part of it decides nothing; when comparing the books, choose a shorter time"
        );
        Err(NoProviderReply)
    }

    /// Whether real money moves.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.client.is_live()
    }

    async fn open_session(&self, payment: &ProviderPayment) -> AuthorisationResult {
        let session = match &payment.reference {
            Some(reference) => self.retrieve_session(reference).await,
            None => match self.create_session(payment).await {
                Ok(session) => Ok(session),
                Err(SessionError::Refused) => return declined(NOT_OPENED),
                Err(SessionError::NoReply) => Err(NoProviderReply),
            },
        };
        let Ok(answer) = self.read_session(payment, session).await else {
            return AuthorisationResult::Unknown;
        };
        match (answer.status, answer.action_url) {
            (PaymentStatus::Open, Some(url)) => {
                AuthorisationResult::ActionNeeded(NextAction { url, reference: answer.reference })
            }
            (PaymentStatus::Authorised | PaymentStatus::Captured, _) => AuthorisationResult::Authorised,
            (PaymentStatus::Open | PaymentStatus::Submitted, _) => AuthorisationResult::Unknown,
            (PaymentStatus::Declined | PaymentStatus::Voided | PaymentStatus::Refunded, _) => {
                declined("this payment is over")
            }
        }
    }

    /// What Stripe has of a payment; `None` when it refused to open a session for it.
    async fn find_answer(
        &self,
        payment: &ProviderPayment,
    ) -> Result<Option<ProviderAnswer>, NoProviderReply> {
        let session = match &payment.reference {
            Some(reference) => self.retrieve_session(reference).await,
            // The key gives the session that an earlier request opened, or opens it now.
            None => match self.create_session(payment).await {
                Ok(session) => Ok(session),
                Err(SessionError::Refused) => return Ok(None),
                Err(SessionError::NoReply) => Err(NoProviderReply),
            },
        };
        self.read_session(payment, session).await.map(Some)
    }

    /// The answer of a session, whose intent is read if it is not there as a whole.
    async fn read_session(
        &self,
        payment: &ProviderPayment,
        session: Result<CheckoutSession, NoProviderReply>,
    ) -> ProviderReply {
        let mut session = session?;
        if let Some(ExpandableField::Id(id)) = &session.payment_intent {
            let intent = self.retrieve_intent(id).await?;
            session.payment_intent = Some(ExpandableField::Object(Box::new(intent)));
        }
        read_answer(&session, payment.amount.currency).ok_or_else(|| {
            tracing::error!(
                payment = %payment.intent, session = session.id,
                "a payment at Stripe is in a state that this version does not know; it stays as it is and the reconciler retries; report it"
            );
            NoProviderReply
        })
    }

    async fn capture_intent(&self, payment: &ProviderPayment) -> ProviderReply {
        let (session, answer) = self.find_session(payment).await?;
        if answer.status != PaymentStatus::Authorised {
            return Ok(answer);
        }
        let Some(intent) = intent_of(&session) else { return Err(NoProviderReply) };
        let path = format!("/v1/payment_intents/{}/capture", encode_segment(&intent.id));
        // The intent's own state lets it be captured once, so each call has a key of its own: Stripe would repeat a failure for a day.
        let request = ApiRequest::post(path, fresh_key("capture", payment.intent), KeyRight::WriteIntents);
        match self.client.send::<PaymentIntent>(&request).await {
            Ok(captured) if captured.status == IntentStatus::Succeeded => {
                return Ok(ProviderAnswer { status: PaymentStatus::Captured, ..answer });
            }
            Ok(_) => {}
            // It was captured, cancelled, or is too old: its state says which.
            Err(error @ (ApiError::Refused(_) | ApiError::SavedFailure)) => {
                tracing::warn!(
                    payment = %payment.intent, error = describe_error(&error),
                    "Stripe did not capture a payment as asked; its state is read again"
                );
            }
            Err(error) => return Err(log_failure("capturing a payment", &error)),
        }
        self.find_session(payment).await.map(|(_, answer)| answer)
    }

    /// Expires an open session, or cancels the intent of one that the buyer has submitted. Captured money stays: the caller refunds it.
    async fn close_session(&self, payment: &ProviderPayment) -> ProviderReply {
        let reference = match &payment.reference {
            Some(reference) => reference.clone(),
            None => match self.create_session(payment).await {
                Ok(session) => session.id,
                // No buyer was ever given the page of a session that this program has not seen.
                Err(SessionError::Refused) => return Ok(ProviderAnswer::with_status(PaymentStatus::Voided)),
                Err(SessionError::NoReply) => return Err(NoProviderReply),
            },
        };
        for _ in 0..CLOSE_TRIES_MAX {
            let session = self.retrieve_session(&reference).await?;
            let answer = self.read_session(payment, Ok(session.clone())).await?;
            let request = match (answer.status, intent_of(&session)) {
                (PaymentStatus::Open, _) => {
                    let path = format!("/v1/checkout/sessions/{}/expire", encode_segment(&reference));
                    ApiRequest::post(path, fresh_key("expire", payment.intent), KeyRight::WriteSessions)
                }
                (PaymentStatus::Authorised, Some(intent)) => {
                    let path = format!("/v1/payment_intents/{}/cancel", encode_segment(&intent.id));
                    ApiRequest::post(path, fresh_key("cancel", payment.intent), KeyRight::WriteIntents)
                }
                _ => return Ok(answer),
            };
            match self.client.send::<serde_json::Value>(&request).await {
                // Its state is read again: a buyer may have submitted the page at the same moment.
                Ok(_) | Err(ApiError::Refused(_) | ApiError::SavedFailure) => {}
                Err(error) => return Err(log_failure("closing a payment", &error)),
            }
        }
        self.find_session(&ProviderPayment { reference: Some(reference), ..payment.clone() })
            .await
            .map(|(_, answer)| answer)
    }

    async fn refund_intent(
        &self,
        payment: &ProviderPayment,
        refund: RefundId,
        amount: Money,
    ) -> ProviderReply {
        let (session, answer) = self.find_session(payment).await?;
        let is_rest = answer.refunded_minor + amount.minor >= payment.amount.minor;
        let refused = ProviderAnswer { is_refund_refused: true, ..answer };
        let Some(intent) = intent_of(&session) else { return Ok(refused) };
        let made = self.find_refund(&intent.id, refund).await?;
        let is_refund_refused = if let Some(made) = made {
            if made.has_failed() {
                tracing::error!(
                    refund = %refund.0, at_stripe = made.id,
                    "a refund failed at Stripe, so the buyer does not have the money; refund it in another way, or again in Stripe's dashboard"
                );
            }
            made.has_failed()
        } else {
            let units = match to_stripe_units(amount) {
                Ok(units) if units > 0 => units,
                Ok(_) => return Ok(refused),
                Err(error) => {
                    log_amount(payment.intent, &error);
                    return Ok(refused);
                }
            };
            // The refund of all that is left may be asked for with a smaller amount after one in the dashboard.
            let key = format!("{}-{units}", refund.0);
            let request = ApiRequest::post("/v1/refunds", key, KeyRight::WriteRefunds)
                .with("payment_intent", &intent.id)
                .with("amount", units.to_string())
                .with(format!("metadata[{METADATA_REFUND}]"), refund.0.to_string())
                .with(format!("metadata[{METADATA_PAYMENT}]"), payment.intent.to_string())
                .with(format!("metadata[{METADATA_ORDER}]"), payment.order.to_string());
            match self.send_refund(request, payment.intent, is_rest).await {
                Ok(made) => made.has_failed(),
                // More than is left, or the dashboard was quicker: what is refunded says so.
                Err(error @ ApiError::Refused(_)) => {
                    tracing::warn!(
                        payment = %payment.intent, error = describe_error(&error),
                        "Stripe refused a refund; what it has refunded is read again"
                    );
                    true
                }
                Err(error) => return Err(log_failure("refunding a payment", &error)),
            }
        };
        let (_, answer) = self.find_session(payment).await?;
        Ok(ProviderAnswer { is_refund_refused, ..answer })
    }

    /// Asks for a refund that Stripe has not made. Stripe repeats a refusal for a day to each request with its key, although a dispute may have
    /// been won since, or the balance may suffice. So the refund of all that is left is asked for again with a key of its own: Stripe pays that
    /// once, whatever the keys are. The refusal of a part is final.
    async fn send_refund(
        &self,
        request: ApiRequest,
        intent: IntentId,
        is_rest: bool,
    ) -> Result<Refund, ApiError> {
        match self.client.send(&request).await {
            Err(ApiError::Refused(refused)) if refused.is_saved && is_rest => {
                let verb = ApiVerb::Post { key: fresh_key("refund", intent) };
                self.client.send(&ApiRequest { verb, ..request }).await
            }
            reply => reply,
        }
    }

    /// The refunds of a payment without our metadata, and those of ours that have failed.
    async fn list_changed_refunds(
        &self,
        payment: &ProviderPayment,
    ) -> Result<Vec<OutsideRefund>, NoProviderReply> {
        let (session, _) = self.find_session(payment).await?;
        let Some(intent) = intent_of(&session) else { return Ok(Vec::new()) };
        let refunds = self.list_refunds(&intent.id).await?;
        let outside = refunds.into_iter().filter(|made| !made.is_ours() || made.has_failed());
        let outside = outside.filter_map(|made| {
            let amount = from_stripe_units(made.amount, payment.amount.currency).ok()?;
            Some(OutsideRefund {
                amount_minor: amount.minor,
                has_failed: made.has_failed(),
                refund: parse_id(metadata_value(made.metadata.as_ref(), METADATA_REFUND)).map(RefundId),
                id: made.id,
            })
        });
        Ok(outside.collect())
    }

    async fn find_disputes_of_payment(
        &self,
        payment: &ProviderPayment,
    ) -> Result<Vec<ProviderDispute>, NoProviderReply> {
        let (session, _) = self.find_session(payment).await?;
        let Some(intent) = intent_of(&session) else { return Ok(Vec::new()) };
        let disputes = self.list_disputes(&intent.id).await?;
        Ok(disputes.into_iter().filter_map(read_dispute).collect())
    }

    /// The refund, if it was made before. Stripe forgets idempotency keys after a day; this does not.
    async fn find_refund(&self, intent: &str, refund: RefundId) -> Result<Option<Refund>, NoProviderReply> {
        let id = refund.0.to_string();
        let made = self.list_refunds(intent).await?;
        let is_it =
            |made: &Refund| metadata_value(made.metadata.as_ref(), METADATA_REFUND) == Some(id.as_str());
        Ok(made.into_iter().find(is_it))
    }

    async fn list_intents(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<CapturedAtProvider>, NoProviderReply> {
        let request = ApiRequest::get("/v1/payment_intents", KeyRight::ReadIntents)
            .with("created[gte]", from.0.div_euclid(1_000).to_string())
            .with("created[lt]", to.0.div_euclid(1_000).to_string())
            .with("expand[]", "data.latest_charge");
        let read = |intent: PaymentIntent| answers::read_captured(&intent);
        self.list_all(request, (PAGES_MAX, "listing payments"), read).await
    }

    /// The session of a payment, with its intent as a whole, and what it says.
    async fn find_session(
        &self,
        payment: &ProviderPayment,
    ) -> Result<(CheckoutSession, ProviderAnswer), NoProviderReply> {
        let session = match &payment.reference {
            Some(reference) => self.retrieve_session(reference).await?,
            None => match self.create_session(payment).await {
                Ok(session) => self.retrieve_session(&session.id).await?,
                Err(_) => return Err(NoProviderReply),
            },
        };
        let answer = self.read_session(payment, Ok(session.clone())).await?;
        Ok((session, answer))
    }
}

impl PaymentProvider for StripeProvider {
    fn name(&self) -> &'static str {
        STRIPE
    }

    fn accepts(&self, method: &str) -> bool {
        method == STRIPE
    }

    fn is_redirect(&self, _method: &str) -> bool {
        true
    }

    fn check_price(&self, unit_price: Money, quantity_max: u32) -> Result<(), PriceRefusal> {
        check_unit_price(unit_price, quantity_max)
            .map_err(|error| PriceRefusal { reason: Cow::Owned(error.to_string()) })
    }

    fn authorise<'a>(&'a self, payment: &'a ProviderPayment) -> BoxFuture<'a, AuthorisationResult> {
        Box::pin(self.open_session(payment))
    }

    fn capture<'a>(&'a self, payment: &'a ProviderPayment) -> BoxFuture<'a, ProviderReply> {
        Box::pin(self.capture_intent(payment))
    }

    fn void<'a>(&'a self, payment: &'a ProviderPayment) -> BoxFuture<'a, ProviderReply> {
        Box::pin(self.close_session(payment))
    }

    fn refund<'a>(
        &'a self,
        payment: &'a ProviderPayment,
        refund: RefundId,
        amount: Money,
    ) -> BoxFuture<'a, ProviderReply> {
        Box::pin(self.refund_intent(payment, refund, amount))
    }

    fn find<'a>(
        &'a self,
        payment: &'a ProviderPayment,
    ) -> BoxFuture<'a, Result<Option<ProviderAnswer>, NoProviderReply>> {
        Box::pin(self.find_answer(payment))
    }

    fn list_outside_refunds<'a>(
        &'a self,
        payment: &'a ProviderPayment,
    ) -> BoxFuture<'a, Result<Vec<OutsideRefund>, NoProviderReply>> {
        Box::pin(self.list_changed_refunds(payment))
    }

    fn find_disputes<'a>(
        &'a self,
        payment: &'a ProviderPayment,
    ) -> BoxFuture<'a, Result<Vec<ProviderDispute>, NoProviderReply>> {
        Box::pin(self.find_disputes_of_payment(payment))
    }

    fn list_captured(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<CapturedAtProvider>, NoProviderReply>> {
        Box::pin(self.list_intents(from, to))
    }

    fn health(&self) -> ProviderHealth {
        self.client.health()
    }
}

/// A key that no other call has. It is for calls that the object's own state lets through once.
fn fresh_key(action: &str, intent: IntentId) -> String {
    format!("{action}-{intent}-{}", Uuid::new_v4())
}

fn intent_of(session: &CheckoutSession) -> Option<&PaymentIntent> {
    session.payment_intent.as_ref().and_then(ExpandableField::as_object)
}

fn parse_id(text: Option<&str>) -> Option<Uuid> {
    text.and_then(|text| text.parse().ok())
}

/// An id of Stripe's in a path. Theirs have letters, digits and `_`; anything else came from elsewhere.
fn encode_segment(id: &str) -> String {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%5F", "_")
}

fn declined(reason: &'static str) -> AuthorisationResult {
    AuthorisationResult::Declined { reason: Cow::Borrowed(reason) }
}

fn log_amount(intent: IntentId, error: &AmountError) {
    tracing::error!(payment = %intent, %error, "Stripe has no such amount; nothing was asked of it; report it");
}

/// Logs that a call failed for a reason other than silence, which the circuit logs.
fn log_failure(what: &'static str, error: &ApiError) -> NoProviderReply {
    if !matches!(error, ApiError::NoReply) {
        tracing::error!(
            what,
            error = describe_error(error),
            "a call to Stripe failed; the payment stays as it is and the reconciler retries; look it up in Stripe's dashboard"
        );
    }
    NoProviderReply
}
