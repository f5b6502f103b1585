//! Reads an instance's ledger from its event list, event by event. It names what it does not understand, and never passes
//! over it.

use documents::EventDocument;
use documents::event::MissingTicket;
use sale::{EventSeq, LedgerEntry};
use serde::Deserialize;
use serde_json::Value;

/// Why an item of the ledger's page is no event.
#[derive(Debug, thiserror::Error)]
#[error("{} of the ledger cannot be understood: {what}", name(*seq))]
pub struct LedgerError {
    /// Which event, as far as it says so.
    pub seq: Option<EventSeq>,
    /// What is wrong with it.
    #[source]
    pub what: LedgerParseError,
}

/// What is wrong with an item.
#[derive(Debug, thiserror::Error)]
pub enum LedgerParseError {
    /// A field is missing, or has a value that it cannot have.
    #[error(transparent)]
    Field(#[from] serde_json::Error),
    /// An event whose units come from an admission, without its ticket.
    #[error(transparent)]
    MissingTicket(#[from] MissingTicket),
}

fn name(seq: Option<EventSeq>) -> String {
    seq.map_or_else(|| "an event without a number".to_owned(), |seq| format!("event {seq}"))
}

/// Reads one item of `GET /admin/flash-sales/{id}/events`.
///
/// # Errors
/// When it is not an event as this version knows it.
pub fn parse(item: &Value) -> Result<LedgerEntry, LedgerError> {
    let seq = item.get("seq").and_then(Value::as_u64).map(EventSeq);
    parse_entry(item).map_err(|what| LedgerError { seq, what })
}

fn parse_entry(item: &Value) -> Result<LedgerEntry, LedgerParseError> {
    Ok(EventDocument::deserialize(item)?.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sale::{AdmissionMode, BuyerId, Event, OrderId, RequestKey, Ticket, Timestamp, UnitSource};
    use serde_json::json;
    use uuid::Uuid;

    const BUYER: &str = "01a1fc31-bccd-78fe-b6d7-445ef1b5bde2";
    const ORDER: &str = "01a1fc32-2a70-7a86-8cc7-12466153a1f9";

    fn held() -> Value {
        json!({
            "seq": 4, "at": "2026-11-21T03:41:48.529Z", "kind": "held", "buyerId": BUYER, "orderId": ORDER,
            "quantity": 1, "until": "2026-11-21T03:46:48.529Z", "from": "admission", "ticket": 7,
            "key": "85c710b082731909225f7177f92d17f9",
        })
    }

    #[test]
    fn a_hold_is_read_with_its_key_and_its_ticket() {
        let uuid = |text: &str| text.parse::<Uuid>().unwrap();
        let event = Event::Held {
            buyer: BuyerId(uuid(BUYER)),
            order: OrderId(uuid(ORDER)),
            quantity: 1,
            until: Timestamp(1_795_232_808_529),
            from: UnitSource::Admission { ticket: Ticket(7) },
            key: Some(RequestKey(0x85c7_10b0_8273_1909_225f_7177_f92d_17f9_u128.to_be_bytes())),
        };
        let entry = LedgerEntry { seq: EventSeq(4), at: Timestamp(1_795_232_508_529), event };
        assert_eq!(parse(&held()).unwrap(), entry);
    }

    #[test]
    fn an_announcement_is_read_whole() {
        let item = json!({
            "seq": 1, "at": "2026-11-21T03:41:18.493Z", "kind": "configured",
            "price": {"amount": 4900, "currency": "EUR"}, "quantity": 100,
            "startsAt": "2026-11-21T03:41:48.491Z", "endsAt": "2026-11-22T03:41:48.491Z",
            "limitPerBuyer": 1, "holdSeconds": 300,
            "admission": {"type": "fifo", "perSecond": 5, "checkoutSeconds": 120, "lineOpensSecondsBefore": 3600},
        });
        let Event::Configured { policy } = parse(&item).unwrap().event else { panic!("{item}") };
        let admission =
            AdmissionMode::Fifo { per_second: 5, checkout_s: 120, line_opens_s: 3600, extension_s: 0 };
        assert_eq!((policy.admission, policy.unit_price.minor, policy.hold_s), (admission, 4900, 300));
        assert_eq!(policy.ends_at.ms_since(policy.starts_at), 86_400_000);
    }

    #[test]
    fn an_error_names_the_event_and_the_field() {
        let wrong = |field: &str, value: Value| {
            let mut item = held();
            item[field] = value;
            format!("{:#}", parse(&item).unwrap_err())
        };
        let text = wrong("kind", json!("teleported"));
        assert!(
            text.starts_with("event 4 of the ledger cannot be understood: unknown variant `teleported`"),
            "{text}"
        );
        let text = wrong("until", json!("tomorrow"));
        assert!(text.contains("\"tomorrow\" is not a moment"), "{text}");
        for bad in ["", "85c7", "+5c710b082731909225f7177f92d17f9", "85c710b082731909225f7177f92d17f90"] {
            assert!(wrong("key", json!(bad)).contains("is no digest of a key"), "{bad}");
        }
        assert!(wrong("ticket", Value::Null).contains("its ticket is missing"));
        let text = wrong("quantity", json!(-1));
        assert!(text.contains("expected u32"), "{text}");
        let text = wrong("seq", json!("four"));
        assert!(text.starts_with("an event without a number"), "{text}");
    }

    #[test]
    fn a_field_that_is_missing_is_named() {
        for field in ["at", "kind", "buyerId", "orderId", "quantity", "until", "from"] {
            let mut item = held();
            item.as_object_mut().unwrap().remove(field);
            let text = parse(&item).unwrap_err().to_string();
            assert!(text.contains(&format!("missing field `{field}`")), "{field}: {text}");
        }
    }
}
