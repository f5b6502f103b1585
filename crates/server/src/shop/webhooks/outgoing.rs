//! From events to deliveries: for each event one delivery to each endpoint that wants it. It sends nothing.

use super::EndpointRow;
use crate::shop::ids;
use crate::store::webhook_deliveries::{self, EventRow, NewDelivery};
use crate::store::{StoreError, StoreTransaction};
use documents::{EventAddresses, EventType, TEST_EVENT_NAME};
use sale::{BuyerId, SaleId, Timestamp};
use serde_json::json;
use uuid::Uuid;

/// Instead of types: all of them.
pub const ALL_TYPES: &str = "*";

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
pub(super) fn build_test(
    addresses: &EventAddresses,
    endpoint: Uuid,
    now: Timestamp,
) -> (EventRow, NewDelivery) {
    let id = ids::new(now);
    let document = addresses.test_document(endpoint, id, now);
    let row = EventRow {
        id: document.id.clone(),
        kind: TEST_EVENT_NAME.to_owned(),
        sale: None,
        buyer: None,
        body: json!(document).to_string(),
        created_at: now,
    };
    (row, NewDelivery { id, endpoint, event: document.id, sale: None, created_at: now, is_urgent: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::webhook_deliveries::DeliveryState;
    use crate::store::webhook_endpoints::DisabledReason;
    use crate::store::{Store, webhook_endpoints};
    use crate::webhooks::address::WebhookUrl;
    use crate::webhooks::secret::WebhookSecret;

    fn endpoint() -> EndpointRow {
        let now = Timestamp(1_000_000);
        EndpointRow {
            id: ids::new(now),
            url: WebhookUrl::from_saved("https://example.com/hooks").unwrap(),
            description: None,
            types: vec!["order.confirmed".to_owned()],
            sales: Vec::new(),
            include_email: false,
            disabled: None,
            previous_secret_until: None,
            created_at: now,
            updated_at: now,
            failing_since: None,
            gave_up_at: None,
            paused_until: None,
        }
    }

    fn event(id: &str, sale: SaleId) -> OutgoingEvent {
        OutgoingEvent {
            id: id.to_owned(),
            kind: "order.confirmed".to_owned(),
            sale: Some(sale),
            buyer: None,
            at: Timestamp(1_000_000),
            body: "{}".to_owned(),
        }
    }

    #[test]
    fn an_endpoint_gets_what_it_asked_for_since_it_is_there() {
        let (sale, other) = (SaleId(ids::new(Timestamp(1))), SaleId(ids::new(Timestamp(2))));
        let (endpoint, at) = (endpoint(), Timestamp(1_000_000));
        assert!(wants_event(&endpoint, "order.confirmed", Some(sale), at));
        assert!(!wants_event(&endpoint, "order.held", Some(sale), at));
        assert!(wants_event(&endpoint, "order.confirmed", Some(sale), at.plus_ms(-CLOCK_TOLERANCE_MS)));
        assert!(!wants_event(&endpoint, "order.confirmed", Some(sale), at.plus_ms(-CLOCK_TOLERANCE_MS - 1)));
        let all = EndpointRow { types: vec![ALL_TYPES.to_owned()], ..endpoint.clone() };
        assert!(wants_event(&all, "line.left", Some(sale), at));
        let of_sale = EndpointRow { sales: vec![sale], ..endpoint.clone() };
        assert!(wants_event(&of_sale, "order.confirmed", Some(sale), at));
        assert!(!wants_event(&of_sale, "order.confirmed", Some(other), at));
        let disabled = EndpointRow { disabled: Some(DisabledReason::Gone), ..endpoint };
        assert!(!wants_event(&disabled, "order.confirmed", Some(sale), at));
    }

    #[tokio::test]
    async fn an_event_that_comes_again_is_written_once_and_a_restart_drops_what_waits() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        let (sale, other) = (SaleId(ids::new(Timestamp(1))), SaleId(ids::new(Timestamp(2))));
        let endpoint = endpoint();
        webhook_endpoints::insert(&store, &endpoint, &WebhookSecret::generate()).await.unwrap();
        for _ in 0..2 {
            let payment = event("payments/7/captured", sale);
            let events = vec![event("a", sale), event("b", sale), event("c", other), payment];
            let mut writing = store.begin().await.unwrap();
            let endpoints = webhook_endpoints::list_enabled(&mut writing).await.unwrap();
            assert_eq!(write_deliveries(&mut writing, &endpoints, events, Timestamp(7)).await.unwrap(), 4);
            writing.commit().await.unwrap();
        }
        let listed = async || webhook_deliveries::list(&store, endpoint.id, None, None, 10).await.unwrap();
        assert_eq!(listed().await.len(), 4);

        // The one that has arrived stays: it is not sent again when the sale is.
        let arrived = listed().await.into_iter().find(|delivery| delivery.event == "a").unwrap();
        let result = webhook_deliveries::TryResult {
            delivery: arrived.id,
            version: 0,
            state: DeliveryState::Delivered,
            step: 0,
            next_try_at: None,
            tried_at: Timestamp(8),
            status: Some(200),
            error: None,
            reply: None,
        };
        let mut writing = store.begin().await.unwrap();
        webhook_deliveries::record_try(&mut writing, &result).await.unwrap();
        webhook_deliveries::delete_pending_of_sale(&mut writing, sale).await.unwrap();
        writing.commit().await.unwrap();
        let mut left: Vec<String> = listed().await.into_iter().map(|delivery| delivery.event).collect();
        left.sort();
        assert_eq!(left, ["a", "c", "payments/7/captured"], "no ledger has the payment");
    }
}
