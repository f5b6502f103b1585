//! The ledger as an instance tells it to its admin, read back into the law's own words, event by event. It takes nothing for
//! granted: what it does not understand, it names, and never passes over.

use sale::{
    AdmissionMode, BuyerId, Currency, Event, EventSeq, LedgerEntry, Money, OrderId, Policy, ReleaseCause,
    RequestKey, Ticket, Timestamp, UnitSource,
};
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
    /// A moment that is none.
    #[error("{text:?} is no moment")]
    Timestamp { text: String, source: jiff::Error },
    /// A key that is no digest.
    #[error("{text:?} is no digest of a key: 32 hexadecimal digits")]
    RequestKey { text: String },
    /// An event whose units come from an admission, without the number of it.
    #[error("the units come from an admission, and its ticket is missing")]
    MissingTicket,
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
    let head = EventHead::deserialize(item)?;
    let event = EventDocument::deserialize(item)?;
    Ok(LedgerEntry { seq: EventSeq(head.seq), at: parse_timestamp(&head.at)?, event: event.into_event()? })
}

/// What every event has.
#[derive(Deserialize)]
struct EventHead {
    seq: u64,
    at: String,
}

/// An event by its kind.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase")]
enum EventDocument {
    Configured(PolicyDocument),
    Paused,
    Resumed,
    Closed,
    Restocked {
        quantity: u32,
    },
    Joined(EventPlaceDocument),
    Left {
        #[serde(flatten)]
        place: EventPlaceDocument,
        admitted: bool,
    },
    Admitted {
        #[serde(flatten)]
        place: EventPlaceDocument,
        until: String,
    },
    Lapsed(EventPlaceDocument),
    Extended {
        #[serde(flatten)]
        place: EventPlaceDocument,
        until: String,
    },
    Held {
        #[serde(flatten)]
        order: EventOrderDocument,
        until: String,
        #[serde(flatten)]
        made: OrderOriginDocument,
    },
    Confirmed {
        #[serde(flatten)]
        order: EventOrderDocument,
        #[serde(flatten)]
        made: OrderOriginDocument,
    },
    Released {
        #[serde(flatten)]
        order: EventOrderDocument,
        reason: ReleaseDocument,
    },
    Refunded {
        #[serde(flatten)]
        order: EventOrderDocument,
        restocked: bool,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PolicyDocument {
    quantity: u32,
    price: PriceDocument,
    starts_at: String,
    ends_at: String,
    limit_per_buyer: u32,
    hold_seconds: u32,
    admission: AdmissionDocument,
}

#[derive(Deserialize)]
struct PriceDocument {
    amount: i64,
    currency: Currency,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub(crate) enum AdmissionDocument {
    Open,
    Fifo {
        per_second: u32,
        checkout_seconds: u32,
        line_opens_seconds_before: u32,
        /// Absent where admissions get no more time.
        #[serde(default)]
        extension_seconds: u32,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventPlaceDocument {
    buyer_id: BuyerId,
    ticket: Ticket,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventOrderDocument {
    buyer_id: BuyerId,
    order_id: OrderId,
    quantity: u32,
}

/// Where an order's units came from, and by which key it was made.
#[derive(Deserialize)]
struct OrderOriginDocument {
    from: UnitSourceDocument,
    #[serde(default)]
    ticket: Option<Ticket>,
    #[serde(default)]
    key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum UnitSourceDocument {
    Stock,
    Admission,
    Hold,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReleaseDocument {
    Cancelled,
    Declined,
    Expired,
}

impl EventDocument {
    fn into_event(self) -> Result<Event, LedgerParseError> {
        Ok(match self {
            Self::Configured(policy) => Event::Configured { policy: Box::new(policy.into_policy()?) },
            Self::Paused => Event::Paused,
            Self::Resumed => Event::Resumed,
            Self::Closed => Event::Closed,
            Self::Restocked { quantity } => Event::Restocked { quantity },
            Self::Joined(EventPlaceDocument { buyer_id: buyer, ticket }) => Event::Joined { buyer, ticket },
            Self::Left { place, admitted } => {
                Event::Left { buyer: place.buyer_id, ticket: place.ticket, admitted }
            }
            Self::Admitted { place, until } => Event::Admitted {
                buyer: place.buyer_id,
                ticket: place.ticket,
                until: parse_timestamp(&until)?,
            },
            Self::Lapsed(EventPlaceDocument { buyer_id: buyer, ticket }) => Event::Lapsed { buyer, ticket },
            Self::Extended { place, until } => Event::Extended {
                buyer: place.buyer_id,
                ticket: place.ticket,
                until: parse_timestamp(&until)?,
            },
            Self::Held { order, until, made } => {
                let EventOrderDocument { buyer_id: buyer, order_id: order, quantity } = order;
                let (from, key) = made.into_source_and_key()?;
                Event::Held { buyer, order, quantity, until: parse_timestamp(&until)?, from, key }
            }
            Self::Confirmed { order, made } => {
                let EventOrderDocument { buyer_id: buyer, order_id: order, quantity } = order;
                let (from, key) = made.into_source_and_key()?;
                Event::Confirmed { buyer, order, quantity, from, key }
            }
            Self::Released { order, reason } => {
                let EventOrderDocument { buyer_id: buyer, order_id: order, quantity } = order;
                let reason = match reason {
                    ReleaseDocument::Cancelled => ReleaseCause::Cancelled,
                    ReleaseDocument::Declined => ReleaseCause::Declined,
                    ReleaseDocument::Expired => ReleaseCause::Expired,
                };
                Event::Released { buyer, order, quantity, reason }
            }
            Self::Refunded { order, restocked } => {
                let EventOrderDocument { buyer_id: buyer, order_id: order, quantity } = order;
                Event::Refunded { buyer, order, quantity, restocked }
            }
        })
    }
}

impl PolicyDocument {
    fn into_policy(self) -> Result<Policy, LedgerParseError> {
        Ok(Policy {
            quantity: self.quantity,
            unit_price: Money { minor: self.price.amount, currency: self.price.currency },
            starts_at: parse_timestamp(&self.starts_at)?,
            ends_at: parse_timestamp(&self.ends_at)?,
            limit_per_buyer: self.limit_per_buyer,
            hold_s: self.hold_seconds,
            admission: self.admission.into(),
        })
    }
}

impl From<AdmissionDocument> for AdmissionMode {
    fn from(document: AdmissionDocument) -> Self {
        match document {
            AdmissionDocument::Open => Self::Open,
            AdmissionDocument::Fifo {
                per_second,
                checkout_seconds: checkout_s,
                line_opens_seconds_before: line_opens_s,
                extension_seconds: extension_s,
            } => Self::Fifo { per_second, checkout_s, line_opens_s, extension_s },
        }
    }
}

impl OrderOriginDocument {
    fn into_source_and_key(self) -> Result<(UnitSource, Option<RequestKey>), LedgerParseError> {
        let from = match self.from {
            UnitSourceDocument::Stock => UnitSource::Stock,
            UnitSourceDocument::Admission => {
                UnitSource::Admission { ticket: self.ticket.ok_or(LedgerParseError::MissingTicket)? }
            }
            UnitSourceDocument::Hold => UnitSource::Hold,
        };
        Ok((from, self.key.map(parse_key).transpose()?))
    }
}

fn parse_timestamp(text: &str) -> Result<Timestamp, LedgerParseError> {
    let moment: jiff::Timestamp =
        text.parse().map_err(|source| LedgerParseError::Timestamp { text: text.to_owned(), source })?;
    Ok(Timestamp(moment.as_millisecond()))
}

fn parse_key(text: String) -> Result<RequestKey, LedgerParseError> {
    let is_digest = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u128::from_str_radix(&text, 16) {
        Ok(digest) if is_digest => Ok(RequestKey(digest.to_be_bytes())),
        _ => Err(LedgerParseError::RequestKey { text }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn what_is_wrong_is_told_with_the_event_it_is_in() {
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
        assert!(text.contains("\"tomorrow\" is no moment"), "{text}");
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
