//! Stripe's objects, as far as this program reads them. Fields that it does not know are passed over, and a value that a later version of the
//! API might add reads as `Unknown`: it never makes a reply unreadable.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Names of the metadata that sessions, intents and refunds carry.
pub const METADATA_PAYMENT: &str = "doorbuster_payment";
pub const METADATA_ORDER: &str = "doorbuster_order";
pub const METADATA_SALE: &str = "doorbuster_sale";
pub const METADATA_REFUND: &str = "doorbuster_refund";

pub type Metadata = BTreeMap<String, String>;

/// An object that is named by its id, or there as a whole.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum ExpandableField<T> {
    Id(String),
    Object(Box<T>),
}

impl<T> ExpandableField<T> {
    /// The object, where it was asked for.
    pub fn as_object(&self) -> Option<&T> {
        match self {
            Self::Id(_) => None,
            Self::Object(object) => Some(object),
        }
    }
}

/// A hosted page on which a buyer pays.
#[derive(Clone, Debug, Deserialize)]
pub struct CheckoutSession {
    pub id: String,
    #[serde(default)]
    pub status: SessionStatus,
    /// Where the page is, while it is open.
    #[serde(default)]
    pub url: Option<String>,
    /// There is none before the buyer has submitted the page.
    #[serde(default)]
    pub payment_intent: Option<ExpandableField<PaymentIntent>>,
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    Open,
    Complete,
    Expired,
    #[default]
    #[serde(other)]
    Unknown,
}

/// One payment, from the buyer's first try to the captured money.
#[derive(Clone, Debug, Deserialize)]
pub struct PaymentIntent {
    pub id: String,
    #[serde(default)]
    pub status: IntentStatus,
    pub amount: i64,
    #[serde(default)]
    pub amount_received: i64,
    /// In small letters.
    pub currency: String,
    #[serde(default)]
    pub metadata: Option<Metadata>,
    #[serde(default)]
    pub latest_charge: Option<ExpandableField<Charge>>,
    /// Seconds since 1970, UTC.
    pub created: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentStatus {
    /// No card was accepted yet, or the last one was declined.
    RequiresPaymentMethod,
    RequiresConfirmation,
    /// The bank asks the buyer for something.
    RequiresAction,
    Processing,
    /// The money is authorised.
    RequiresCapture,
    Canceled,
    /// The money is captured.
    Succeeded,
    #[default]
    #[serde(other)]
    Unknown,
}

/// Money that a buyer's bank authorised, captured, or gave back.
#[derive(Clone, Debug, Deserialize)]
pub struct Charge {
    #[serde(default)]
    pub amount_refunded: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Refund {
    pub id: String,
    pub amount: i64,
    pub currency: String,
    /// `pending`, `requires_action`, `succeeded`, `failed` or `canceled`.
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl Refund {
    /// Whether this program asked for it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        metadata_value(self.metadata.as_ref(), METADATA_REFUND).is_some()
    }

    /// Whether its money stays with the merchant after all.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self.status.as_deref(), Some("failed" | "canceled"))
    }
}

/// A buyer's complaint at the bank, which takes the money back until it is decided.
#[derive(Clone, Debug, Deserialize)]
pub struct Dispute {
    pub id: String,
    pub amount: i64,
    pub currency: String,
    /// `needs_response`, `under_review`, `won`, `lost` or `warning_…`.
    pub status: String,
    /// As the bank gives it, such as `fraudulent`.
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub payment_intent: Option<ExpandableField<PaymentIntent>>,
    #[serde(default)]
    pub evidence_details: Option<EvidenceDetails>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct EvidenceDetails {
    /// Until when the merchant may answer, in seconds since 1970, UTC.
    #[serde(default)]
    pub due_by: Option<i64>,
}

/// An object of a list, whose next page begins after it.
pub trait ListedObject: DeserializeOwned {
    fn id(&self) -> &str;
}

impl ListedObject for PaymentIntent {
    fn id(&self) -> &str {
        &self.id
    }
}

impl ListedObject for Refund {
    fn id(&self) -> &str {
        &self.id
    }
}

impl ListedObject for Dispute {
    fn id(&self) -> &str {
        &self.id
    }
}

/// A page of a list.
#[derive(Clone, Debug, Deserialize)]
pub struct ListPage<T> {
    pub data: Vec<T>,
    #[serde(default)]
    pub has_more: bool,
}

/// The body of a reply that refuses a request.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ErrorBody {
    #[serde(default)]
    pub error: ErrorDetail,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct ErrorDetail {
    #[serde(default, rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub code: Option<String>,
    #[serde(default)]
    pub param: Option<String>,
    #[serde(default)]
    pub message: Option<String>,
}

/// The text of an id in metadata.
#[must_use]
pub fn metadata_value<'a>(metadata: Option<&'a Metadata>, name: &str) -> Option<&'a str> {
    metadata.and_then(|metadata| metadata.get(name)).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_with_its_intent_by_id_or_as_a_whole() {
        let open = r#"{"id":"cs_1","object":"checkout.session","status":"open","url":"https://c.example/p","payment_intent":null,
            "metadata":{},"line_items":{"data":[1]}}"#;
        let open: CheckoutSession = serde_json::from_str(open).unwrap();
        assert!(open.payment_intent.is_none() && open.status == SessionStatus::Open);
        let by_id: CheckoutSession =
            serde_json::from_str(r#"{"id":"cs_1","status":"complete","payment_intent":"pi_1"}"#).unwrap();
        assert!(matches!(by_id.payment_intent, Some(ExpandableField::Id(id)) if id == "pi_1"));
        let whole = r#"{"id":"cs_1","status":"complete","payment_intent":{"id":"pi_1","status":"requires_capture","amount":500,
            "currency":"eur","created":1700000000,"latest_charge":{"id":"ch_1","amount_refunded":20}}}"#;
        let whole: CheckoutSession = serde_json::from_str(whole).unwrap();
        let intent = whole.payment_intent.as_ref().and_then(ExpandableField::as_object).unwrap();
        assert_eq!(intent.status, IntentStatus::RequiresCapture);
        let charge = intent.latest_charge.as_ref().and_then(ExpandableField::as_object).unwrap();
        assert_eq!(charge.amount_refunded, 20);
    }

    #[test]
    fn a_word_of_a_later_version_is_unknown() {
        let session: CheckoutSession = serde_json::from_str(r#"{"id":"cs_1","status":"paused"}"#).unwrap();
        assert_eq!(session.status, SessionStatus::Unknown);
        let intent = r#"{"id":"pi_1","status":"requires_thought","amount":1,"currency":"eur","created":1}"#;
        let intent: PaymentIntent = serde_json::from_str(intent).unwrap();
        assert_eq!(intent.status, IntentStatus::Unknown);
    }

    #[test]
    fn an_error_is_read_with_what_it_has() {
        let body: ErrorBody =
            serde_json::from_str(r#"{"error":{"type":"invalid_request_error","code":"amount_too_small"}}"#)
                .unwrap();
        assert_eq!(
            (body.error.kind.as_str(), body.error.code.as_deref()),
            ("invalid_request_error", Some("amount_too_small"))
        );
        assert!(serde_json::from_str::<ErrorBody>("{}").is_ok());
    }
}
