//! Opens and reads Checkout sessions. The session of a payment is created with the payment's id as its idempotency key, so that each repeat
//! returns the same one.

use super::amount::to_charge_amount;
use super::client::ApiError;
use super::objects::{
    CheckoutSession, ListPage, METADATA_ORDER, METADATA_PAYMENT, METADATA_SALE, PaymentIntent, metadata_value,
};
use super::request::{ApiRequest, KeyRight};
use super::{PAGE_LEN, StripeProvider, encode_segment, log_amount, log_failure};
use crate::payments::{NoProviderReply, ProviderPayment};
use engine::error_text::describe_error;

/// Where the intent of a session, and the charge that says what was refunded, are in the same reply.
const EXPANDED_INTENT: &str = "payment_intent.latest_charge";

/// Characters of a product's name that buyers see.
const NAME_LEN_MAX: usize = 250;

/// Sessions are looked for first from this long before the payment's beginning to this long after it, in seconds: a session is opened within
/// the payment's hold. The payment's beginning is by the clock of sales, and Stripe's clock may be far from it.
const SEARCH_BEFORE_S: i64 = 600;
const SEARCH_AFTER_S: i64 = 24 * 3_600;

/// Pages that are searched for a session, in all.
const SEARCH_PAGES_MAX: usize = 200;

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionError {
    NoReply,
    /// Stripe opens none for this payment, and has none that a buyer could have seen.
    Refused,
}

impl StripeProvider {
    /// Opens the session of a payment, or returns the one that was opened before, as it is now.
    pub(super) async fn create_session(
        &self,
        payment: &ProviderPayment,
    ) -> Result<CheckoutSession, SessionError> {
        let Some(request) = build_creation(payment, payment.buyer_email.as_deref()) else {
            return Err(SessionError::Refused);
        };
        let mut created = self.client.send_noting_repeat::<CheckoutSession>(&request).await;
        // The buyer may type an address there. A request that Stripe refuses as a whole is not kept under its key.
        let is_email_refused = created.as_ref().is_err_and(|error| {
            matches!(error, ApiError::Refused(refused) if refused.param == "customer_email")
                || error.is_key_reused()
        });
        if is_email_refused
            && payment.buyer_email.is_some()
            && let Some(request) = build_creation(payment, None)
        {
            created = self.client.send_noting_repeat(&request).await;
        }
        match created {
            Ok((session, false)) => Ok(session),
            Ok((session, true)) => {
                self.retrieve_session(&session.id).await.map_err(|NoProviderReply| SessionError::NoReply)
            }
            Err(error) if error.is_key_reused() => self.search_session(payment).await,
            // Its page was never sent to anyone, so nobody can have paid on it.
            Err(error @ (ApiError::Refused(_) | ApiError::SavedFailure)) => {
                tracing::error!(
                    payment = %payment.intent, order = %payment.order, error = describe_error(&error),
                    "Stripe opens no session for a payment; the buyer reads that it cannot be paid; look the request up in Stripe's dashboard"
                );
                Err(SessionError::Refused)
            }
            Err(error) => {
                log_failure("opening a session", &error);
                Err(SessionError::NoReply)
            }
        }
    }

    /// A session with its intent and charge as a whole.
    pub(super) async fn retrieve_session(&self, id: &str) -> Result<CheckoutSession, NoProviderReply> {
        let path = format!("/v1/checkout/sessions/{}", encode_segment(id));
        let request = ApiRequest::get(path, KeyRight::ReadSessions).with("expand[]", EXPANDED_INTENT);
        self.client.send(&request).await.map_err(|error| log_failure("reading a session", &error))
    }

    pub(super) async fn retrieve_intent(&self, id: &str) -> Result<PaymentIntent, NoProviderReply> {
        let path = format!("/v1/payment_intents/{}", encode_segment(id));
        let request = ApiRequest::get(path, KeyRight::ReadIntents).with("expand[]", "latest_charge");
        self.client.send(&request).await.map_err(|error| log_failure("reading an intent", &error))
    }

    /// The session of a payment whose texts have changed since it was opened, so that its key does not return it. Stripe lists the newest
    /// first.
    async fn search_session(&self, payment: &ProviderPayment) -> Result<CheckoutSession, SessionError> {
        let Some((began_s, _)) = payment.intent.0.get_timestamp().map(|time| time.to_unix()) else {
            return Err(SessionError::NoReply);
        };
        let began_s = i64::try_from(began_s).unwrap_or(i64::MAX / 2);
        let (first_s, last_s) = (began_s - SEARCH_BEFORE_S, began_s.saturating_add(SEARCH_AFTER_S));
        let mut pages_left = SEARCH_PAGES_MAX;
        // The usual time, then all after it, which is little, then all before it, which may be years.
        for created in [(Some(first_s), Some(last_s)), (Some(last_s + 1), None), (None, Some(first_s - 1))] {
            if let Some(found) = self.search_created(payment, created, &mut pages_left).await? {
                let found = self.retrieve_session(&found).await;
                return found.map_err(|NoProviderReply| SessionError::NoReply);
            }
        }
        tracing::error!(
            payment = %payment.intent, order = %payment.order,
            "Stripe knows a payment by its key and lists no session of it; the reconciler retries; look the order up in Stripe's dashboard"
        );
        Err(SessionError::NoReply)
    }

    /// The id of a payment's session, if it is among those that were created in a time, in seconds, and on one of the pages that are left.
    async fn search_created(
        &self,
        payment: &ProviderPayment,
        (first_s, last_s): (Option<i64>, Option<i64>),
        pages_left: &mut usize,
    ) -> Result<Option<String>, SessionError> {
        let intent = payment.intent.to_string();
        let (first_s, last_s) = (first_s.map(|s| s.to_string()), last_s.map(|s| s.to_string()));
        let mut after: Option<String> = None;
        while *pages_left > 0 {
            *pages_left -= 1;
            let request = ApiRequest::get("/v1/checkout/sessions", KeyRight::ReadSessions)
                .with_some("created[gte]", first_s.as_deref())
                .with_some("created[lte]", last_s.as_deref())
                .with("limit", PAGE_LEN)
                .with_some("starting_after", after.as_deref());
            let page = self.client.send::<ListPage<CheckoutSession>>(&request).await;
            let page = page.map_err(|error| {
                log_failure("listing sessions", &error);
                SessionError::NoReply
            })?;
            let is_ours = |session: &&CheckoutSession| {
                metadata_value(session.metadata.as_ref(), METADATA_PAYMENT) == Some(intent.as_str())
            };
            if let Some(found) = page.data.iter().find(is_ours) {
                return Ok(Some(found.id.clone()));
            }
            match page.data.last() {
                Some(last) if page.has_more => after = Some(last.id.clone()),
                _ => break,
            }
        }
        Ok(None)
    }
}

/// The request that opens a session; `None` when it cannot be made.
fn build_creation(payment: &ProviderPayment, email: Option<&str>) -> Option<ApiRequest> {
    let units = match to_charge_amount(payment.amount) {
        Ok(units) => units,
        Err(error) => {
            log_amount(payment.intent, &error);
            return None;
        }
    };
    let (Some(return_url), Some(cancel_url)) = (&payment.return_url, &payment.cancel_url) else {
        tracing::error!(payment = %payment.intent, "Stripe needs the address of the shop; set --public-url");
        return None;
    };
    let name: String = payment.description.chars().take(NAME_LEN_MAX).collect();
    let mut request =
        ApiRequest::post("/v1/checkout/sessions", payment.intent.to_string(), KeyRight::WriteSessions)
            .with("mode", "payment")
            .with("client_reference_id", payment.order.to_string())
            .with("line_items[0][quantity]", "1")
            .with(
                "line_items[0][price_data][currency]",
                payment.amount.currency.as_str().to_ascii_lowercase(),
            )
            .with("line_items[0][price_data][unit_amount]", units.to_string())
            .with("line_items[0][price_data][product_data][name]", name)
            .with("payment_intent_data[capture_method]", "manual")
            // The amount is captured in the currency of the sale.
            .with("adaptive_pricing[enabled]", "false")
            .with("success_url", return_url)
            .with("cancel_url", cancel_url)
            .with("locale", page_locale(payment.language.as_deref()))
            .with_some("customer_email", email);
    for (name, value) in [
        (METADATA_PAYMENT, payment.intent.to_string()),
        (METADATA_ORDER, payment.order.to_string()),
        (METADATA_SALE, payment.sale.to_string()),
    ] {
        request = request
            .with(format!("metadata[{name}]"), &value)
            .with(format!("payment_intent_data[metadata][{name}]"), &value);
    }
    Some(request)
}

/// The language of Stripe's page. It has no Arabic; `auto` takes that of the browser.
fn page_locale(language: Option<&str>) -> &'static str {
    match language {
        Some("en") => "en",
        Some("de") => "de",
        _ => "auto",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payments::IntentId;
    use sale::{BuyerId, Money, OrderId, SaleId};
    use std::collections::BTreeMap;
    use uuid::Uuid;

    fn payment() -> ProviderPayment {
        ProviderPayment {
            intent: IntentId(Uuid::from_u128(1)),
            reference: None,
            order: OrderId(Uuid::from_u128(2)),
            sale: SaleId(Uuid::from_u128(3)),
            buyer: BuyerId(Uuid::from_u128(4)),
            amount: Money { minor: 4_999, currency: "EUR".parse().unwrap() },
            method: "stripe".to_owned(),
            buyer_email: Some("ada@shop.example".to_owned()),
            description: "Lamp".to_owned(),
            language: Some("de".to_owned()),
            return_url: Some("https://shop.example/pay/return/1".to_owned()),
            cancel_url: Some("https://shop.example/orders/2".to_owned()),
        }
    }

    #[test]
    fn a_session_has_one_item_with_manual_capture_and_the_order_in_its_metadata() {
        let payment = payment();
        let request = build_creation(&payment, payment.buyer_email.as_deref()).unwrap();
        assert_eq!(request.verb, super::super::request::ApiVerb::Post { key: payment.intent.to_string() });
        let parameters: BTreeMap<_, _> = request.parameters.iter().cloned().collect();
        for (name, value) in [
            ("mode", "payment"),
            ("line_items[0][price_data][unit_amount]", "4999"),
            ("line_items[0][price_data][currency]", "eur"),
            ("payment_intent_data[capture_method]", "manual"),
            ("client_reference_id", &payment.order.to_string()),
            ("metadata[doorbuster_payment]", &payment.intent.to_string()),
            ("payment_intent_data[metadata][doorbuster_order]", &payment.order.to_string()),
            ("customer_email", "ada@shop.example"),
            ("locale", "de"),
        ] {
            assert_eq!(parameters.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(!parameters.contains_key("payment_method_types"), "the account decides");
    }

    #[test]
    fn a_payment_that_stripe_would_refuse_is_not_sent() {
        let mut payment = payment();
        payment.amount.minor = 10;
        assert_eq!(build_creation(&payment, None), None);
        payment.amount.minor = 1_000;
        payment.return_url = None;
        assert_eq!(build_creation(&payment, None), None);
    }

    #[test]
    fn arabic_is_left_to_the_browser() {
        assert_eq!([Some("en"), Some("de"), Some("ar"), None].map(page_locale), ["en", "de", "auto", "auto"]);
    }
}
