//! An event of Stripe's, as a webhook brings it: which payment it may be about, and nothing of what it says has happened. Pure.

use super::objects::{METADATA_PAYMENT, Metadata, metadata_value};
use serde::Deserialize;
use uuid::Uuid;

/// Bytes of an id or a type that are kept.
const NAME_LEN_MAX: usize = 255;

/// What of an event is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderEvent {
    pub id: String,
    /// Such as `checkout.session.completed`.
    pub kind: String,
    pub is_live: bool,
    /// Whether it belongs to another account than the one whose endpoint it came to.
    pub is_foreign: bool,
    /// Our payment, by its metadata.
    pub payment: Option<Uuid>,
    /// The intent, which may be of one of our payments.
    pub intent: Option<String>,
}

impl ProviderEvent {
    /// Whether it may be about one of our payments. A session, an intent and a charge of ours have our metadata; a dispute, and a refund
    /// made in the dashboard, have only the intent.
    #[must_use]
    pub fn may_be_ours(&self) -> bool {
        let names_intent_only = self.kind.starts_with("charge.dispute.") || self.kind.starts_with("refund.");
        !self.is_foreign && (self.payment.is_some() || (names_intent_only && self.intent.is_some()))
    }
}

/// The body is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is no event of Stripe's")]
pub struct EventError;

#[derive(Deserialize)]
struct EventBody {
    id: String,
    object: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    livemode: bool,
    #[serde(default)]
    account: Option<String>,
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    object: EventObject,
}

#[derive(Deserialize)]
struct EventObject {
    #[serde(default)]
    object: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
    /// An id, or an object where the endpoint's version expands it.
    #[serde(default)]
    payment_intent: Option<IntentReference>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum IntentReference {
    Id(String),
    Object { id: String },
}

/// Reads an event whose signature is right.
///
/// # Errors
/// When it is none.
pub fn parse_event(body: &[u8]) -> Result<ProviderEvent, EventError> {
    let event: EventBody = serde_json::from_slice(body).map_err(|_| EventError)?;
    let is_name = |text: &str| {
        (1..=NAME_LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if event.object != "event" || !is_name(&event.id) || !is_name(&event.kind) {
        return Err(EventError);
    }
    let EventObject { object, id, metadata, payment_intent } = event.data.object;
    let payment = metadata_value(metadata.as_ref(), METADATA_PAYMENT).and_then(|text| text.parse().ok());
    let intent = match (payment_intent, id) {
        (Some(IntentReference::Id(id) | IntentReference::Object { id }), _) => Some(id),
        (None, Some(id)) if object == "payment_intent" => Some(id),
        _ => None,
    };
    Ok(ProviderEvent {
        id: event.id,
        kind: event.kind,
        is_live: event.livemode,
        is_foreign: event.account.is_some(),
        payment,
        intent: intent.filter(|intent| is_name(intent)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(kind: &str, object: &str) -> ProviderEvent {
        let body = format!(
            r#"{{"id":"evt_1","object":"event","type":"{kind}","livemode":true,"data":{{"object":{object}}}}}"#
        );
        parse_event(body.as_bytes()).unwrap()
    }

    #[test]
    fn an_event_names_its_payment_or_its_intent() {
        let id = Uuid::from_u128(7);
        let ours = format!(
            r#"{{"object":"checkout.session","id":"cs_1","metadata":{{"doorbuster_payment":"{id}"}}}}"#
        );
        let ours = event("checkout.session.completed", &ours);
        assert!(ours.may_be_ours() && ours.payment == Some(id) && ours.intent.is_none());
        for (kind, object) in [
            (
                "charge.dispute.created",
                r#"{"object":"dispute","id":"du_1","payment_intent":"pi_1","metadata":{}}"#,
            ),
            (
                "refund.created",
                r#"{"object":"refund","payment_intent":{"id":"pi_1","object":"payment_intent"}}"#,
            ),
        ] {
            let event = event(kind, object);
            assert!(event.may_be_ours() && event.intent.as_deref() == Some("pi_1"), "{object}");
        }
        for (kind, object) in [
            (
                "payment_intent.succeeded",
                r#"{"object":"payment_intent","id":"pi_2","metadata":{"doorbuster_payment":"7"}}"#,
            ),
            ("charge.succeeded", r#"{"object":"charge","id":"ch_1","payment_intent":"pi_1"}"#),
            ("customer.created", r#"{"object":"customer","id":"cus_1"}"#),
            ("a.b", "{}"),
        ] {
            assert!(!event(kind, object).may_be_ours(), "{object}");
        }
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for body in [
            "",
            "{}",
            "[]",
            r#"{"id":"evt_1","object":"event","type":"a.b"}"#,
            r#"{"id":"","object":"event","type":"a.b","data":{"object":{}}}"#,
            r#"{"id":"evt 1","object":"event","type":"a.b","data":{"object":{}}}"#,
            r#"{"id":"evt_1","object":"charge","type":"a.b","data":{"object":{}}}"#,
        ] {
            assert_eq!(parse_event(body.as_bytes()), Err(EventError), "{body}");
        }
    }

    #[test]
    fn an_event_of_a_connected_account_is_foreign() {
        let body = r#"{"id":"evt_1","object":"event","type":"a.b","account":"acct_2","data":{"object":{}}}"#;
        assert!(parse_event(body.as_bytes()).unwrap().is_foreign);
        assert!(!event("a.b", "{}").is_foreign && event("a.b", "{}").is_live);
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_event(&body);
        }
    }
}
