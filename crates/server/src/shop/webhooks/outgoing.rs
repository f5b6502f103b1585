//! From events to deliveries: for each event one delivery to each endpoint that wants it. It sends nothing.

use super::EndpointRow;
use crate::shop::ids;
use crate::store::webhook_deliveries::{self, EventRow, NewDelivery};
use crate::store::{StoreError, StoreTransaction};
use documents::EventType;
use sale::{BuyerId, SaleId, Timestamp};
use serde_json::json;
use uuid::Uuid;

/// Instead of types: all of them.
pub const ALL_TYPES: &str = "*";

/// The type of an event that a merchant sends to try an endpoint out.
pub const TEST_TYPE: &str = "webhook.test";

/// An endpoint gets events from a little before its creation: the clocks of instances differ.
const CLOCK_TOLERANCE_MS: i64 = 5_000;

/// An event for endpoints.
#[derive(Clone, Debug)]
pub struct OutgoingEvent {
    pub id: String,
    /// Its type without the prefix.
    pub kind: String,
    pub sale: Option<SaleId>,
    pub buyer: Option<BuyerId>,
    pub at: Timestamp,
    /// The event document.
    pub body: String,
}

/// Whether there is a type of this name, without the prefix.
#[must_use]
pub fn is_event_type(name: &str) -> bool {
    EventType::ALL.iter().any(|known| known.short_name() == name)
}

/// Writes the deliveries of events, in the transaction that moves the follower's offset. Returns how many there are at most: those that
/// are there already are not written again.
///
/// # Errors
/// When the tables cannot be written.
pub async fn write_deliveries(
    writing: &mut StoreTransaction,
    endpoints: &[EndpointRow],
    events: Vec<OutgoingEvent>,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let (mut rows, mut deliveries) = (Vec::new(), Vec::new());
    for event in events {
        let count = deliveries.len();
        let wanting =
            endpoints.iter().filter(|endpoint| wants_event(endpoint, &event.kind, event.sale, event.at));
        deliveries.extend(wanting.map(|endpoint| NewDelivery {
            id: ids::new(now),
            endpoint: endpoint.id,
            event: event.id.clone(),
            sale: event.sale,
            created_at: now,
            is_urgent: false,
        }));
        if deliveries.len() > count {
            rows.push(event.into_row(now));
        }
    }
    webhook_deliveries::insert(writing, &rows, &deliveries).await?;
    Ok(deliveries.len())
}

/// Whether an endpoint gets an event: it is enabled, was there when the event happened, and asked for its type and its sale.
#[must_use]
pub fn wants_event(endpoint: &EndpointRow, kind: &str, sale: Option<SaleId>, at: Timestamp) -> bool {
    let wants_type = || endpoint.types.iter().any(|name| name == ALL_TYPES || name == kind);
    let wants_sale = || endpoint.sales.is_empty() || sale.is_some_and(|sale| endpoint.sales.contains(&sale));
    let was_there = || at.plus_ms(CLOCK_TOLERANCE_MS) >= endpoint.created_at;
    endpoint.disabled.is_none() && wants_type() && wants_sale() && was_there()
}

impl OutgoingEvent {
    fn into_row(self, now: Timestamp) -> EventRow {
        let Self { id, kind, sale, buyer, at: _, body } = self;
        EventRow { id, kind, sale, buyer, body, created_at: now }
    }
}

/// The event and the delivery of a test of an endpoint.
pub(super) fn build_test(source: &str, endpoint: Uuid, now: Timestamp) -> (EventRow, NewDelivery) {
    let id = ids::new(now);
    let event = format!("webhooks/{endpoint}/test/{id}");
    let time = jiff::Timestamp::from_millisecond(now.0).map(|time| time.to_string()).unwrap_or_default();
    let body = json!({
        "specversion": "1.0",
        "id": event,
        "source": source,
        "type": format!("doorbuster.{TEST_TYPE}"),
        "subject": endpoint,
        "time": time,
        "datacontenttype": "application/json",
        "data": {"webhookId": endpoint, "message": "This is a test of a webhook endpoint; nothing has happened."},
    });
    let row = EventRow {
        id: event.clone(),
        kind: TEST_TYPE.to_owned(),
        sale: None,
        buyer: None,
        body: body.to_string(),
        created_at: now,
    };
    (row, NewDelivery { id, endpoint, event, sale: None, created_at: now, is_urgent: true })
}
