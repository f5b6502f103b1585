//! An event of the ledger as admins read it: everything that is in it, so that the ledger can be rebuilt from the API,
//! exactly. It adds nothing of its own.

mod schema;

use crate::flash_sale::AdmissionDocument;
use crate::moment;
use crate::money::MoneyDocument;
use sale::{
    BuyerId, Event, EventSeq, LedgerEntry, OrderId, Policy, ReleaseCause, RequestKey, Ticket, Timestamp,
    UnitSource,
};
use serde::{Deserialize, Serialize};

pub use schema::{EventFieldsSchema, EventKindSchema};

/// One event of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventDocument {
    pub seq: EventSeq,
    #[serde(with = "moment")]
    pub at: Timestamp,
    #[serde(flatten)]
    pub event: EventFields,
}

/// What happened, with its fields in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum EventFields {
    Configured {
        admission: AdmissionDocument,
        #[serde(with = "moment")]
        ends_at: Timestamp,
        hold_seconds: u32,
        limit_per_buyer: u32,
        price: MoneyDocument,
        quantity: u32,
        #[serde(with = "moment")]
        starts_at: Timestamp,
    },
    Paused,
    Resumed,
    Closed,
    Restocked {
        quantity: u32,
    },
    Joined {
        buyer_id: BuyerId,
        ticket: Ticket,
    },
    Left {
        admitted: bool,
        buyer_id: BuyerId,
        ticket: Ticket,
    },
    Admitted {
        buyer_id: BuyerId,
        ticket: Ticket,
        #[serde(with = "moment")]
        until: Timestamp,
    },
    Lapsed {
        buyer_id: BuyerId,
        ticket: Ticket,
    },
    Extended {
        buyer_id: BuyerId,
        ticket: Ticket,
        #[serde(with = "moment")]
        until: Timestamp,
    },
    Held {
        buyer_id: BuyerId,
        from: SourceDocument,
        #[serde(default, skip_serializing_if = "Option::is_none", with = "request_key")]
        key: Option<RequestKey>,
        order_id: OrderId,
        quantity: u32,
        /// The ticket of an admission that the order uses up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ticket: Option<Ticket>,
        #[serde(with = "moment")]
        until: Timestamp,
    },
    Confirmed {
        buyer_id: BuyerId,
        from: SourceDocument,
        #[serde(default, skip_serializing_if = "Option::is_none", with = "request_key")]
        key: Option<RequestKey>,
        order_id: OrderId,
        quantity: u32,
        /// The ticket of an admission that the order uses up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ticket: Option<Ticket>,
    },
    Released {
        buyer_id: BuyerId,
        order_id: OrderId,
        quantity: u32,
        reason: ReleaseDocument,
    },
    Refunded {
        buyer_id: BuyerId,
        order_id: OrderId,
        quantity: u32,
        restocked: bool,
    },
    #[serde(rename = "payment_begun")]
    PaymentBegun {
        buyer_id: BuyerId,
        /// The end of the hold without the payment.
        #[serde(with = "moment")]
        held_until: Timestamp,
        order_id: OrderId,
        quantity: u32,
        #[serde(with = "moment")]
        until: Timestamp,
    },
    #[serde(rename = "payment_ended")]
    PaymentEnded {
        buyer_id: BuyerId,
        order_id: OrderId,
        quantity: u32,
        #[serde(with = "moment")]
        until: Timestamp,
    },
}

/// Where the units of an order came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceDocument {
    Stock,
    Admission,
    Hold,
}

/// Why held units became free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReleaseDocument {
    Cancelled,
    Declined,
    Expired,
}

/// A document whose units come from an admission, without its ticket.
#[derive(Debug, thiserror::Error)]
#[error("the units come from an admission, and its ticket is missing")]
pub struct MissingTicket;

impl From<&LedgerEntry> for EventDocument {
    fn from(entry: &LedgerEntry) -> Self {
        Self { seq: entry.seq, at: entry.at, event: (&entry.event).into() }
    }
}

impl TryFrom<EventDocument> for LedgerEntry {
    type Error = MissingTicket;
    fn try_from(document: EventDocument) -> Result<Self, MissingTicket> {
        Ok(Self { seq: document.seq, at: document.at, event: document.event.try_into()? })
    }
}

impl From<&Event> for EventFields {
    fn from(event: &Event) -> Self {
        match *event {
            Event::Configured { ref policy } => Self::from_policy(policy),
            Event::Paused => Self::Paused,
            Event::Resumed => Self::Resumed,
            Event::Closed => Self::Closed,
            Event::Restocked { quantity } => Self::Restocked { quantity },
            Event::Joined { buyer: buyer_id, ticket } => Self::Joined { buyer_id, ticket },
            Event::Left { buyer: buyer_id, ticket, admitted } => Self::Left { admitted, buyer_id, ticket },
            Event::Admitted { buyer: buyer_id, ticket, until } => Self::Admitted { buyer_id, ticket, until },
            Event::Lapsed { buyer: buyer_id, ticket } => Self::Lapsed { buyer_id, ticket },
            Event::Extended { buyer: buyer_id, ticket, until } => Self::Extended { buyer_id, ticket, until },
            Event::Held { buyer: buyer_id, order: order_id, quantity, until, from, key } => {
                let (from, ticket) = split_source(from);
                Self::Held { buyer_id, from, key, order_id, quantity, ticket, until }
            }
            Event::Confirmed { buyer: buyer_id, order: order_id, quantity, from, key } => {
                let (from, ticket) = split_source(from);
                Self::Confirmed { buyer_id, from, key, order_id, quantity, ticket }
            }
            Event::Released { buyer: buyer_id, order: order_id, quantity, reason } => {
                Self::Released { buyer_id, order_id, quantity, reason: reason.into() }
            }
            Event::Refunded { buyer: buyer_id, order: order_id, quantity, restocked } => {
                Self::Refunded { buyer_id, order_id, quantity, restocked }
            }
            Event::PaymentBegun { buyer: buyer_id, order: order_id, quantity, held_until, until } => {
                Self::PaymentBegun { buyer_id, held_until, order_id, quantity, until }
            }
            Event::PaymentEnded { buyer: buyer_id, order: order_id, quantity, until } => {
                Self::PaymentEnded { buyer_id, order_id, quantity, until }
            }
        }
    }
}

impl TryFrom<EventFields> for Event {
    type Error = MissingTicket;
    fn try_from(fields: EventFields) -> Result<Self, MissingTicket> {
        Ok(match fields {
            EventFields::Configured {
                admission,
                ends_at,
                hold_seconds,
                limit_per_buyer,
                price,
                quantity,
                starts_at,
            } => Self::Configured {
                policy: Box::new(Policy {
                    quantity,
                    unit_price: price.into(),
                    starts_at,
                    ends_at,
                    limit_per_buyer,
                    hold_s: hold_seconds,
                    admission: admission.into(),
                }),
            },
            EventFields::Paused => Self::Paused,
            EventFields::Resumed => Self::Resumed,
            EventFields::Closed => Self::Closed,
            EventFields::Restocked { quantity } => Self::Restocked { quantity },
            EventFields::Joined { buyer_id: buyer, ticket } => Self::Joined { buyer, ticket },
            EventFields::Left { admitted, buyer_id: buyer, ticket } => Self::Left { buyer, ticket, admitted },
            EventFields::Admitted { buyer_id: buyer, ticket, until } => {
                Self::Admitted { buyer, ticket, until }
            }
            EventFields::Lapsed { buyer_id: buyer, ticket } => Self::Lapsed { buyer, ticket },
            EventFields::Extended { buyer_id: buyer, ticket, until } => {
                Self::Extended { buyer, ticket, until }
            }
            EventFields::Held { buyer_id: buyer, from, key, order_id: order, quantity, ticket, until } => {
                let from = join_source(from, ticket)?;
                Self::Held { buyer, order, quantity, until, from, key }
            }
            EventFields::Confirmed { buyer_id: buyer, from, key, order_id: order, quantity, ticket } => {
                let from = join_source(from, ticket)?;
                Self::Confirmed { buyer, order, quantity, from, key }
            }
            EventFields::Released { buyer_id: buyer, order_id: order, quantity, reason } => {
                Self::Released { buyer, order, quantity, reason: reason.into() }
            }
            EventFields::Refunded { buyer_id: buyer, order_id: order, quantity, restocked } => {
                Self::Refunded { buyer, order, quantity, restocked }
            }
            EventFields::PaymentBegun { buyer_id: buyer, held_until, order_id: order, quantity, until } => {
                Self::PaymentBegun { buyer, order, quantity, held_until, until }
            }
            EventFields::PaymentEnded { buyer_id: buyer, order_id: order, quantity, until } => {
                Self::PaymentEnded { buyer, order, quantity, until }
            }
        })
    }
}

impl EventFields {
    fn from_policy(policy: &Policy) -> Self {
        Self::Configured {
            admission: policy.admission.into(),
            ends_at: policy.ends_at,
            hold_seconds: policy.hold_s,
            limit_per_buyer: policy.limit_per_buyer,
            price: policy.unit_price.into(),
            quantity: policy.quantity,
            starts_at: policy.starts_at,
        }
    }
}

fn split_source(from: UnitSource) -> (SourceDocument, Option<Ticket>) {
    match from {
        UnitSource::Stock => (SourceDocument::Stock, None),
        UnitSource::Admission { ticket } => (SourceDocument::Admission, Some(ticket)),
        UnitSource::Hold => (SourceDocument::Hold, None),
    }
}

fn join_source(from: SourceDocument, ticket: Option<Ticket>) -> Result<UnitSource, MissingTicket> {
    Ok(match from {
        SourceDocument::Stock => UnitSource::Stock,
        SourceDocument::Admission => UnitSource::Admission { ticket: ticket.ok_or(MissingTicket)? },
        SourceDocument::Hold => UnitSource::Hold,
    })
}

impl From<ReleaseCause> for ReleaseDocument {
    fn from(cause: ReleaseCause) -> Self {
        match cause {
            ReleaseCause::Cancelled => Self::Cancelled,
            ReleaseCause::Declined => Self::Declined,
            ReleaseCause::Expired => Self::Expired,
        }
    }
}

impl From<ReleaseDocument> for ReleaseCause {
    fn from(document: ReleaseDocument) -> Self {
        match document {
            ReleaseDocument::Cancelled => Self::Cancelled,
            ReleaseDocument::Declined => Self::Declined,
            ReleaseDocument::Expired => Self::Expired,
        }
    }
}

/// The digest of a request's key as 32 hexadecimal digits.
mod request_key {
    use sale::RequestKey;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(key: &Option<RequestKey>, serializer: S) -> Result<S::Ok, S::Error> {
        match key {
            Some(RequestKey(digest)) => {
                serializer.collect_str(&format_args!("{:032x}", u128::from_be_bytes(*digest)))
            }
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RequestKey>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let is_digest = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u128::from_str_radix(&text, 16) {
            Ok(digest) if is_digest => Ok(Some(RequestKey(digest.to_be_bytes()))),
            _ => {
                Err(de::Error::custom(format_args!("{text:?} is no digest of a key: 32 hexadecimal digits")))
            }
        }
    }
}

#[cfg(test)]
mod tests;
