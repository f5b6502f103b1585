use super::*;
use serde_json::{Value, json};

const SALE: &str = "0190f3a4-0000-7000-8000-000000000001";

fn addresses() -> EventAddresses {
    let shop = "https://shop.example".to_owned();
    EventAddresses { source: shop.clone(), schemas: shop }
}

fn confirmed() -> PublishedEventDocument {
    let sale = SALE.parse().unwrap();
    let price = crate::MoneyDocument { amount: 4_999, currency: "EUR".parse().unwrap() };
    let data = OrderEventData {
        sale_id: sale,
        slug: "lamp".to_owned(),
        product: EventProduct { id: Uuid::from_u128(2), name: "Lamp".to_owned() },
        order_id: sale::OrderId(Uuid::from_u128(3)),
        buyer_id: sale::BuyerId(Uuid::from_u128(4)),
        buyer_email: None,
        status: crate::OrderStatusDocument::Confirmed,
        quantity: 1,
        unit_price: price,
        total: price,
        ticket: Some(Ticket(5)),
        expires_at: None,
        paying: None,
        restocked: None,
        counters: EventCounters { quantity: 10, available: 9, sold: 1, ..EventCounters::default() },
        version: 6,
    };
    let id = ledger_event_id(sale, EventSeq(6), 0xbeef);
    addresses().document(EventType::OrderConfirmed, id, Timestamp(1_767_323_045_678), EventData::Order(data))
}

#[test]
fn a_document_has_the_attributes_of_cloud_events_and_is_read_as_it_was_written() {
    let document = confirmed();
    let text = serde_json::to_string(&document).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({
        "specversion": "1.0",
        "id": format!("{SALE}/6/0000beef"),
        "source": "https://shop.example",
        "type": "doorbuster.order.confirmed",
        "subject": "orders/00000000-0000-0000-0000-000000000003",
        "time": "2026-01-02T03:04:05.678Z",
        "datacontenttype": "application/json",
        "dataschema": "https://shop.example/schemas/events/doorbuster.order.confirmed.v1.json",
        "data": {
            "saleId": SALE,
            "slug": "lamp",
            "product": {"id": "00000000-0000-0000-0000-000000000002", "name": "Lamp"},
            "orderId": "00000000-0000-0000-0000-000000000003",
            "buyerId": "00000000-0000-0000-0000-000000000004",
            "status": "confirmed",
            "quantity": 1,
            "unitPrice": {"amount": 4999, "currency": "EUR"},
            "total": {"amount": 4999, "currency": "EUR"},
            "ticket": 5,
            "counters": {"quantity": 10, "available": 9, "admitted": 0, "held": 0, "sold": 1, "waiting": 0},
            "version": 6,
        },
    });
    assert_eq!(value, expected);
    assert_eq!(serde_json::from_str::<PublishedEventDocument>(&text).unwrap(), document);
}

#[test]
fn each_type_has_one_word_that_is_read_back_with_and_without_its_prefix() {
    for event_type in EventType::ALL {
        assert_eq!(json!(event_type), json!(event_type.as_str()));
        assert_eq!(event_type.as_str().parse(), Ok(event_type));
        assert_eq!(event_type.short_name().parse(), Ok(event_type));
    }
    assert_eq!("order".parse::<EventType>(), Err(EventTypeError));
    let distinct: std::collections::BTreeSet<&str> = EventType::ALL.map(EventType::as_str).into();
    assert_eq!(distinct.len(), EventType::ALL.len());
}

#[test]
fn ids_of_what_the_clock_does_name_the_moment() {
    let (sale, at) = (SALE.parse().unwrap(), Timestamp(0));
    assert_eq!(started_id(sale, at), format!("{SALE}/started/1970-01-01T00:00:00.000Z"));
    assert_eq!(ended_id(sale, at), format!("{SALE}/ended/1970-01-01T00:00:00.000Z"));
    assert_eq!(sold_out_id(&ledger_event_id(sale, EventSeq(7), 1)), format!("{SALE}/7/00000001/sold-out"));
}

#[test]
fn a_schema_has_the_fields_of_its_type_and_no_others() {
    let fields = |event_type| {
        let schema = data_schema(event_type, "https://shop.example/schema");
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<String>>();
        (names(&schema["properties"]), schema)
    };
    let (names, schema) = fields(EventType::OrderHeld);
    assert!(names.iter().any(|name| name == "expiresAt") && !names.iter().any(|name| name == "restocked"));
    let required = schema["required"].as_array().unwrap();
    assert!(required.contains(&json!("expiresAt")) && !required.contains(&json!("ticket")));
    assert_eq!(schema["properties"]["counters"]["$ref"], "#/$defs/EventCounters");
    assert!(schema["$defs"]["EventCounters"].is_object() && schema["$defs"]["OrderEventData"].is_null());
    let (names, schema) = fields(EventType::LineLapsed);
    assert!(names.iter().any(|name| name == "ticket") && !names.iter().any(|name| name == "admittedUntil"));
    assert!(schema["required"].as_array().unwrap().contains(&json!("ticket")));
    assert_eq!(schema["title"], "doorbuster.line.lapsed");
}
