//! What a session of Stripe's, with its intent, means for a payment. Pure.

use super::amount::from_stripe_units;
use super::objects::{
    CheckoutSession, Dispute, ExpandableField, IntentStatus, METADATA_ORDER, METADATA_PAYMENT, PaymentIntent,
    SessionStatus, metadata_value,
};
use super::parse_id;
use crate::payments::{CapturedAtProvider, IntentId, PaymentStatus, ProviderAnswer, ProviderDispute};
use sale::{Currency, OrderId, Timestamp};

/// The answer; `None` for a state that this version does not know.
pub(super) fn read_answer(session: &CheckoutSession, currency: Currency) -> Option<ProviderAnswer> {
    let intent = session.payment_intent.as_ref().and_then(ExpandableField::as_object);
    let refunded = intent.map_or(0, refunded_units);
    let status = match intent {
        Some(intent) => read_intent(intent, session.status, refunded)?,
        None => match session.status {
            SessionStatus::Open => PaymentStatus::Open,
            // Complete without an intent is a session that cost nothing, which this program never opens.
            SessionStatus::Expired | SessionStatus::Complete => PaymentStatus::Voided,
            SessionStatus::Unknown => return None,
        },
    };
    Some(ProviderAnswer {
        status,
        reference: Some(session.id.clone()),
        refunded_minor: from_stripe_units(refunded, currency).ok()?.minor,
        action_url: session.url.clone().filter(|_| status == PaymentStatus::Open),
        is_refund_refused: false,
    })
}

fn read_intent(intent: &PaymentIntent, session: SessionStatus, refunded: i64) -> Option<PaymentStatus> {
    Some(match intent.status {
        IntentStatus::RequiresCapture => PaymentStatus::Authorised,
        IntentStatus::Succeeded if refunded >= intent.amount_received => PaymentStatus::Refunded,
        IntentStatus::Succeeded => PaymentStatus::Captured,
        IntentStatus::Canceled => PaymentStatus::Voided,
        IntentStatus::Processing => PaymentStatus::Submitted,
        // The buyer is at Stripe's page: has to give a card, another one, or an answer to the bank.
        IntentStatus::RequiresPaymentMethod
        | IntentStatus::RequiresConfirmation
        | IntentStatus::RequiresAction => match session {
            SessionStatus::Open => PaymentStatus::Open,
            SessionStatus::Expired => PaymentStatus::Voided,
            // It was submitted, and failed afterwards.
            SessionStatus::Complete => PaymentStatus::Declined,
            SessionStatus::Unknown => return None,
        },
        IntentStatus::Unknown => return None,
    })
}

/// A captured payment of a list; `None` for one that was not captured, or in a currency that is none.
pub(super) fn read_captured(intent: &PaymentIntent) -> Option<CapturedAtProvider> {
    if intent.status != IntentStatus::Succeeded {
        return None;
    }
    let currency: Currency = intent.currency.to_ascii_uppercase().parse().ok()?;
    let metadata = intent.metadata.as_ref();
    Some(CapturedAtProvider {
        intent: parse_id(metadata_value(metadata, METADATA_PAYMENT)).map(IntentId),
        order: parse_id(metadata_value(metadata, METADATA_ORDER)).map(OrderId),
        reference: intent.id.clone(),
        amount: from_stripe_units(intent.amount_received, currency).ok()?,
        refunded_minor: from_stripe_units(refunded_units(intent), currency).ok()?.minor,
        captured_at: Timestamp(intent.created.saturating_mul(1_000)),
    })
}

/// A dispute; `None` for one in a currency that is none.
#[must_use]
pub fn read_dispute(dispute: Dispute) -> Option<ProviderDispute> {
    let currency: Currency = dispute.currency.to_ascii_uppercase().parse().ok()?;
    let due_s = dispute.evidence_details.and_then(|details| details.due_by);
    Some(ProviderDispute {
        amount: from_stripe_units(dispute.amount, currency).ok()?,
        id: dispute.id,
        status: dispute.status,
        reason: dispute.reason,
        due_at: due_s.map(|due_s| Timestamp(due_s.saturating_mul(1_000))),
    })
}

fn refunded_units(intent: &PaymentIntent) -> i64 {
    let charge = intent.latest_charge.as_ref().and_then(ExpandableField::as_object);
    charge.map_or(0, |charge| charge.amount_refunded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use PaymentStatus::{Authorised, Captured, Declined, Open, Refunded, Submitted, Voided};

    fn session(status: &str, intent: &str) -> CheckoutSession {
        let text = format!(
            r#"{{"id":"cs_1","status":"{status}","url":"https://c.example/1","payment_intent":{intent}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn intent(status: &str, refunded: i64) -> String {
        format!(
            r#"{{"id":"pi_1","status":"{status}","amount":500,"amount_received":500,"currency":"eur","created":1700000000,
            "metadata":{{"doorbuster_payment":"00000000-0000-0000-0000-000000000007"}},
            "latest_charge":{{"id":"ch_1","amount_refunded":{refunded}}}}}"#
        )
    }

    #[test]
    fn the_intent_decides_and_not_the_payment_status() {
        let euro = "EUR".parse().unwrap();
        for (session_status, intent, expected) in [
            ("open", "null".to_owned(), Some(Open)),
            ("expired", "null".to_owned(), Some(Voided)),
            ("open", intent("requires_payment_method", 0), Some(Open)),
            ("open", intent("requires_action", 0), Some(Open)),
            ("expired", intent("requires_payment_method", 0), Some(Voided)),
            ("complete", intent("requires_payment_method", 0), Some(Declined)),
            ("complete", intent("processing", 0), Some(Submitted)),
            ("complete", intent("requires_capture", 0), Some(Authorised)),
            ("complete", intent("succeeded", 0), Some(Captured)),
            ("complete", intent("succeeded", 499), Some(Captured)),
            ("complete", intent("succeeded", 500), Some(Refunded)),
            ("complete", intent("canceled", 0), Some(Voided)),
            ("complete", intent("requires_thought", 0), None),
            ("paused", "null".to_owned(), None),
        ] {
            let answer = read_answer(&session(session_status, &intent), euro);
            assert_eq!(answer.as_ref().map(|answer| answer.status), expected, "{session_status} {intent}");
            let has_page = answer.is_some_and(|answer| answer.action_url.is_some());
            assert_eq!(has_page, expected == Some(Open), "only an open session has a page");
        }
    }

    #[test]
    fn what_was_refunded_is_in_the_units_of_the_shop() {
        let krona = "ISK".parse().unwrap();
        let answer = read_answer(&session("complete", &intent("succeeded", 200)), krona).unwrap();
        assert_eq!(answer.refunded_minor, 2);
    }

    #[test]
    fn a_list_has_what_was_captured() {
        let read = |status: &str| {
            read_captured(&serde_json::from_str::<PaymentIntent>(&intent(status, 100)).unwrap())
        };
        let captured = read("succeeded").unwrap();
        assert_eq!(captured.intent, Some(IntentId(uuid::Uuid::from_u128(7))));
        assert_eq!((captured.amount.minor, captured.refunded_minor), (500, 100));
        assert_eq!(read("requires_capture"), None);
    }
}
