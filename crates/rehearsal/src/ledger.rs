//! The ledger as an instance tells it to its admin, read back into the law's own words, event by event. It takes nothing for
//! granted: what it does not understand, it names, and never passes over.

use sale::{
    Admission, BuyerId, Currency, Entry, Event, Money, OrderId, Policy, Release, RequestKey, Seq, Source,
    Ticket, Timestamp,
};
use serde::Deserialize;
use serde_json::Value;

/// Why an item of the ledger's page is no event.
#[derive(Debug, thiserror::Error)]
#[error("{} of the ledger cannot be understood: {what}", name(*seq))]
pub struct LedgerError {
    /// Which event, as far as it says so.
    pub seq: Option<Seq>,
    /// What is wrong with it.
    #[source]
    pub what: Wrong,
}

/// What is wrong with an item.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// A field is missing, or has a value that it cannot have.
    #[error(transparent)]
    Field(#[from] serde_json::Error),
    /// A moment that is none.
    #[error("{text:?} is no moment")]
    Moment {
        /// What stands there.
        text: String,
        /// Why.
        source: jiff::Error,
    },
    /// A key that is no digest.
    #[error("{text:?} is no digest of a key: 32 hexadecimal digits")]
    Key {
        /// What stands there.
        text: String,
    },
    /// An event whose units come from an admission, without the number of it.
    #[error("the units come from an admission, and its ticket is missing")]
    NoTicket,
}

fn name(seq: Option<Seq>) -> String {
    seq.map_or_else(|| "an event without a number".to_owned(), |seq| format!("event {seq}"))
}

/// Reads one item of `GET /admin/flash-sales/{id}/events`.
///
/// # Errors
/// When it is not an event as this version knows it.
pub fn parse(item: &Value) -> Result<Entry, LedgerError> {
    let seq = item.get("seq").and_then(Value::as_u64).map(Seq);
    read(item).map_err(|what| LedgerError { seq, what })
}

fn read(item: &Value) -> Result<Entry, Wrong> {
    let head = Head::deserialize(item)?;
    let event = EventDocument::deserialize(item)?;
    Ok(Entry { seq: Seq(head.seq), at: moment(&head.at)?, event: event.into_event()? })
}

/// What every event has.
#[derive(Deserialize)]
struct Head {
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
    Joined(PlaceDocument),
    Left {
        #[serde(flatten)]
        place: PlaceDocument,
        admitted: bool,
    },
    Admitted {
        #[serde(flatten)]
        place: PlaceDocument,
        until: String,
    },
    Lapsed(PlaceDocument),
    Extended {
        #[serde(flatten)]
        place: PlaceDocument,
        until: String,
    },
    Held {
        #[serde(flatten)]
        order: OrderDocument,
        until: String,
        #[serde(flatten)]
        made: MadeDocument,
    },
    Confirmed {
        #[serde(flatten)]
        order: OrderDocument,
        #[serde(flatten)]
        made: MadeDocument,
    },
    Released {
        #[serde(flatten)]
        order: OrderDocument,
        reason: ReleaseDocument,
    },
    Refunded {
        #[serde(flatten)]
        order: OrderDocument,
        restocked: bool,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PolicyDocument {
    quantity: u32,
    price: MoneyDocument,
    starts_at: String,
    ends_at: String,
    limit_per_buyer: u32,
    hold_seconds: u32,
    admission: AdmissionDocument,
}

#[derive(Deserialize)]
struct MoneyDocument {
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
struct PlaceDocument {
    buyer_id: BuyerId,
    ticket: Ticket,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderDocument {
    buyer_id: BuyerId,
    order_id: OrderId,
    quantity: u32,
}

/// Where an order's units came from, and by which key it was made.
#[derive(Deserialize)]
struct MadeDocument {
    from: SourceDocument,
    #[serde(default)]
    ticket: Option<Ticket>,
    #[serde(default)]
    key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum SourceDocument {
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
    fn into_event(self) -> Result<Event, Wrong> {
        Ok(match self {
            Self::Configured(policy) => Event::Configured { policy: Box::new(policy.into_policy()?) },
            Self::Paused => Event::Paused,
            Self::Resumed => Event::Resumed,
            Self::Closed => Event::Closed,
            Self::Restocked { quantity } => Event::Restocked { quantity },
            Self::Joined(PlaceDocument { buyer_id: buyer, ticket }) => Event::Joined { buyer, ticket },
            Self::Left { place, admitted } => {
                Event::Left { buyer: place.buyer_id, ticket: place.ticket, admitted }
            }
            Self::Admitted { place, until } => {
                Event::Admitted { buyer: place.buyer_id, ticket: place.ticket, until: moment(&until)? }
            }
            Self::Lapsed(PlaceDocument { buyer_id: buyer, ticket }) => Event::Lapsed { buyer, ticket },
            Self::Extended { place, until } => {
                Event::Extended { buyer: place.buyer_id, ticket: place.ticket, until: moment(&until)? }
            }
            Self::Held { order, until, made } => {
                let OrderDocument { buyer_id: buyer, order_id: order, quantity } = order;
                let (from, key) = made.parts()?;
                Event::Held { buyer, order, quantity, until: moment(&until)?, from, key }
            }
            Self::Confirmed { order, made } => {
                let OrderDocument { buyer_id: buyer, order_id: order, quantity } = order;
                let (from, key) = made.parts()?;
                Event::Confirmed { buyer, order, quantity, from, key }
            }
            Self::Released { order, reason } => {
                let OrderDocument { buyer_id: buyer, order_id: order, quantity } = order;
                let reason = match reason {
                    ReleaseDocument::Cancelled => Release::Cancelled,
                    ReleaseDocument::Declined => Release::Declined,
                    ReleaseDocument::Expired => Release::Expired,
                };
                Event::Released { buyer, order, quantity, reason }
            }
            Self::Refunded { order, restocked } => {
                let OrderDocument { buyer_id: buyer, order_id: order, quantity } = order;
                Event::Refunded { buyer, order, quantity, restocked }
            }
        })
    }
}

impl PolicyDocument {
    fn into_policy(self) -> Result<Policy, Wrong> {
        Ok(Policy {
            quantity: self.quantity,
            unit_price: Money { minor: self.price.amount, currency: self.price.currency },
            starts_at: moment(&self.starts_at)?,
            ends_at: moment(&self.ends_at)?,
            limit_per_buyer: self.limit_per_buyer,
            hold_s: self.hold_seconds,
            admission: self.admission.into(),
        })
    }
}

impl From<AdmissionDocument> for Admission {
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

impl MadeDocument {
    fn parts(self) -> Result<(Source, Option<RequestKey>), Wrong> {
        let from = match self.from {
            SourceDocument::Stock => Source::Stock,
            SourceDocument::Admission => Source::Admission { ticket: self.ticket.ok_or(Wrong::NoTicket)? },
            SourceDocument::Hold => Source::Hold,
        };
        Ok((from, self.key.map(key).transpose()?))
    }
}

fn moment(text: &str) -> Result<Timestamp, Wrong> {
    let moment: jiff::Timestamp =
        text.parse().map_err(|source| Wrong::Moment { text: text.to_owned(), source })?;
    Ok(Timestamp(moment.as_millisecond()))
}

fn key(text: String) -> Result<RequestKey, Wrong> {
    let is_digest = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u128::from_str_radix(&text, 16) {
        Ok(digest) if is_digest => Ok(RequestKey(digest.to_be_bytes())),
        _ => Err(Wrong::Key { text }),
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
            from: Source::Admission { ticket: Ticket(7) },
            key: Some(RequestKey(0x85c7_10b0_8273_1909_225f_7177_f92d_17f9_u128.to_be_bytes())),
        };
        let entry = Entry { seq: Seq(4), at: Timestamp(1_795_232_508_529), event };
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
            Admission::Fifo { per_second: 5, checkout_s: 120, line_opens_s: 3600, extension_s: 0 };
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
