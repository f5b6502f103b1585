//! An event as other systems read it: a CloudEvents 1.0 document, the same for every receiver. It never leaves out what a receiver
//! would have to ask for, and it never holds an e-mail address unless a receiver may have it.

mod event_type;

mod data;

mod schema;

mod test_event;

pub use data::{
    EventCounters, EventData, EventProduct, LineEventData, OrderEventData, PaymentEventData, SaleEventData,
};
pub use event_type::{EventFamily, EventType, EventTypeError};
pub use schema::{data_schema, test_data_schema};
pub use test_event::{TEST_EVENT_NAME, TestEventData, TestEventDocument, test_event_type};

use crate::moment::{self, rfc3339};
use sale::{EventSeq, SaleId, Ticket, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::ToSchema;
use uuid::Uuid;

/// The version of CloudEvents.
pub const SPEC_VERSION: &str = "1.0";
/// What `data` is.
pub const DATA_CONTENT_TYPE: &str = "application/json";

/// An event in the structured mode of CloudEvents. In the binary mode `data` is the body, and the other fields are headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PublishedEvent)]
pub struct PublishedEventDocument {
    /// The version of CloudEvents.
    #[schema(value_type = String, example = "1.0")]
    pub specversion: Cow<'static, str>,
    /// The same each time the event is sent.
    pub id: String,
    /// The shop.
    pub source: String,
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// What it happened to.
    pub subject: String,
    /// When it happened.
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// What `data` is.
    #[schema(value_type = String, example = "application/json")]
    pub datacontenttype: Cow<'static, str>,
    /// The JSON Schema of `data`.
    pub dataschema: String,
    /// The event itself.
    pub data: EventData,
}

/// The addresses in all documents of a shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventAddresses {
    /// The `source` of events.
    pub source: String,
    /// What the paths of schemas are appended to.
    pub schemas: String,
}

impl EventAddresses {
    /// The address of the JSON Schema of a type's `data`.
    #[must_use]
    pub fn schema_url(&self, event_type: &str) -> String {
        format!("{}/schemas/events/{event_type}.v1.json", self.schemas)
    }

    /// The document of an event.
    #[must_use]
    pub fn document(
        &self,
        event_type: EventType,
        id: String,
        time: Timestamp,
        data: EventData,
    ) -> PublishedEventDocument {
        PublishedEventDocument {
            specversion: SPEC_VERSION.into(),
            id,
            source: self.source.clone(),
            event_type,
            subject: data.subject(),
            time,
            datacontenttype: DATA_CONTENT_TYPE.into(),
            dataschema: self.schema_url(event_type.as_str()),
            data,
        }
    }
}

/// The id of an event of the ledger; the checksum is that of its row.
#[must_use]
pub fn ledger_event_id(sale: SaleId, seq: EventSeq, checksum: u32) -> String {
    format!("{sale}/{seq}/{checksum:08x}")
}

/// The id of a sale's being sold out by the event with this id.
#[must_use]
pub fn sold_out_id(ledger_event: &str) -> String {
    format!("{ledger_event}/sold-out")
}

/// The id of a sale's start.
#[must_use]
pub fn started_id(sale: SaleId, starts_at: Timestamp) -> String {
    format!("{sale}/started/{}", rfc3339(starts_at))
}

/// The id of the end of a sale's time.
#[must_use]
pub fn ended_id(sale: SaleId, ends_at: Timestamp) -> String {
    format!("{sale}/ended/{}", rfc3339(ends_at))
}

/// The id of a step of a payment.
#[must_use]
pub fn payment_event_id(payment: Uuid, state: &str) -> String {
    format!("payments/{payment}/{state}")
}

impl EventData {
    /// What the event happened to, as CloudEvents' `subject`.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::Sale(data) => format!("sales/{}", data.sale_id),
            Self::Line(data) => line_subject(data.sale_id, data.ticket),
            Self::Order(data) => format!("orders/{}", data.order_id),
            Self::Payment(data) => format!("payments/{}", data.payment_id),
        }
    }
}

fn line_subject(sale: SaleId, ticket: Ticket) -> String {
    format!("sales/{sale}/tickets/{ticket}")
}

#[cfg(test)]
mod tests;
