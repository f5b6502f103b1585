mod document;

use super::*;
use crate::store::Store;
use sale::{AdmissionMode, Money, ReleaseCause};
use uuid::Uuid;

const SALE: SaleId = SaleId(Uuid::from_u128(0xABCD));
const START: Timestamp = Timestamp(1_000_000);

fn policy(quantity: u32) -> Policy {
    Policy {
        quantity,
        unit_price: Money { minor: 1_000, currency: "EUR".parse().unwrap() },
        starts_at: START,
        ends_at: START.plus_s(60),
        limit_per_buyer: 2,
        hold_s: 300,
        admission: AdmissionMode::Open,
    }
}

async fn publisher() -> EventPublisher {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    store.migrate().await.unwrap();
    let catalogue = SaleCatalogue::load(&store, crate::shop::tenancy::Tenancy::Single).await.unwrap();
    let addresses = EventAddresses {
        source: "https://shop.example".to_owned(),
        schemas: "https://shop.example".to_owned(),
    };
    EventPublisher::new(addresses, Arc::new(catalogue))
}

/// Events and the seconds after the start at which they happen.
fn ledger(events: Vec<(i64, Event)>) -> Vec<LedgerEntry> {
    let numbered = events.into_iter().zip(1..);
    let entry = |((s, event), seq)| LedgerEntry { seq: EventSeq(seq), at: START.plus_ms(s * 1_000), event };
    numbered.map(entry).collect()
}

fn configured(policy: Policy) -> Event {
    Event::Configured { policy: Box::new(policy) }
}

fn held(order: u128, quantity: u32) -> Event {
    let (buyer, order) = (BuyerId(Uuid::from_u128(7)), OrderId(Uuid::from_u128(order)));
    Event::Held { buyer, order, quantity, until: START.plus_s(300), from: UnitSource::Stock, key: None }
}

fn confirmed(order: u128, quantity: u32) -> Event {
    let (buyer, order) = (BuyerId(Uuid::from_u128(7)), OrderId(Uuid::from_u128(order)));
    Event::Confirmed { buyer, order, quantity, from: UnitSource::Hold, key: None }
}

async fn publish(entries: &[LedgerEntry], now_s: i64) -> Vec<PublishedEvent> {
    let (publisher, mut fold, mut events) = (publisher().await, SaleFold::default(), Vec::new());
    let of = PublishedSale { sale: SALE, number: SaleNumber::new(1) };
    for entry in entries {
        publisher.publish_entry(&mut fold, of, entry, &mut events);
        // As a receiver keeps it.
        fold = SaleFold::from_text(&fold.to_text().unwrap()).unwrap();
    }
    publisher.publish_moments(&mut fold, SALE, START.plus_ms(now_s * 1_000), &mut events);
    events
}

fn names(events: &[PublishedEvent]) -> Vec<&'static str> {
    events.iter().map(|event| event.document.event_type.short_name()).collect()
}

#[tokio::test]
async fn the_sale_is_sold_out_by_each_event_that_takes_the_last_unit() {
    let (buyer, order) = (BuyerId(Uuid::from_u128(7)), OrderId(Uuid::from_u128(1)));
    let entries = ledger(vec![
        (-10, configured(policy(2))),
        (1, held(1, 2)),
        (2, confirmed(1, 2)),
        (3, Event::Refunded { buyer, order, quantity: 2, restocked: true }),
        (4, held(2, 2)),
        (5, confirmed(2, 2)),
        (6, Event::Restocked { quantity: 1 }),
    ]);
    let events = publish(&entries, 6).await;
    assert_eq!(
        names(&events),
        [
            "sale.announced",
            "sale.started",
            "order.held",
            "order.confirmed",
            "sale.sold_out",
            "order.refunded",
            "order.held",
            "order.confirmed",
            "sale.sold_out",
            "sale.restocked"
        ]
    );
    let (by, sold_out) = (&events[3].document, &events[4].document);
    assert_eq!(sold_out.id, format!("{}/sold-out", by.id));
    assert_eq!((sold_out.time, sold_out.data.sale_id()), (by.time, SALE));
    assert_ne!(events[8].document.id, sold_out.id);
    let orders: Vec<bool> = events.iter().map(|event| event.makes_order).collect();
    assert_eq!(orders.iter().filter(|makes| **makes).count(), 2);
    assert!(orders[2] && orders[6], "a hold makes an order, and its confirmation does not");
}

#[tokio::test]
async fn the_start_comes_before_the_first_event_at_or_behind_it_and_again_when_it_moves() {
    let later = Policy { starts_at: START.plus_s(20), ..policy(2) };
    let entries = ledger(vec![(-10, configured(policy(2))), (-5, configured(later)), (20, Event::Paused)]);
    let events = publish(&entries, 30).await;
    assert_eq!(names(&events), ["sale.announced", "sale.changed", "sale.started", "sale.paused"]);
    assert_eq!(events[2].document.time, START.plus_s(20));

    let moved = ledger(vec![
        (-10, configured(policy(2))),
        (1, Event::Paused),
        (2, configured(Policy { ends_at: START.plus_s(90), ..policy(2) })),
    ]);
    let events = publish(&moved, 89).await;
    assert_eq!(names(&events), ["sale.announced", "sale.started", "sale.paused", "sale.changed"]);
    let events = publish(&moved, 90).await;
    assert_eq!(
        events.last().unwrap().document.id,
        documents::published_event::ended_id(SALE, START.plus_s(90))
    );
}

#[tokio::test]
async fn a_closed_sale_neither_starts_nor_ends() {
    let closed = ledger(vec![(-10, configured(policy(2))), (-5, Event::Closed)]);
    assert_eq!(names(&publish(&closed, 100).await), ["sale.announced", "sale.closed"]);
    let running = ledger(vec![(-10, configured(policy(2))), (5, Event::Closed)]);
    assert_eq!(names(&publish(&running, 100).await), ["sale.announced", "sale.started", "sale.closed"]);
}

#[tokio::test]
async fn a_document_has_the_sale_as_it_is_after_the_event() {
    let (buyer, order) = (BuyerId(Uuid::from_u128(7)), OrderId(Uuid::from_u128(1)));
    let entries = ledger(vec![
        (-10, configured(policy(5))),
        (1, held(1, 2)),
        (2, Event::Released { buyer, order, quantity: 2, reason: ReleaseCause::Cancelled }),
    ]);
    let events = publish(&entries, 2).await;
    let EventData::Order(data) = &events[2].document.data else { panic!("{:?}", events[2]) };
    assert_eq!((data.counters.available, data.counters.held, data.version), (3, 2, 2));
    assert_eq!((data.total.amount, data.expires_at), (2_000, Some(START.plus_s(300))));
    let EventData::Order(data) = &events[3].document.data else { panic!("{:?}", events[3]) };
    assert_eq!((data.counters.available, data.counters.held, data.version), (5, 0, 3));
    assert_eq!(events[3].document.event_type, EventType::OrderCancelled);
}

#[tokio::test]
async fn folding_again_leads_to_the_same_state() {
    let entries = ledger(vec![
        (-10, configured(policy(2))),
        (1, held(1, 2)),
        (2, confirmed(1, 2)),
        (70, Event::Restocked { quantity: 1 }),
    ]);
    let (publisher, mut published, mut again) = (publisher().await, SaleFold::default(), SaleFold::default());
    let of = PublishedSale { sale: SALE, number: SaleNumber::new(1) };
    for entry in &entries {
        publisher.publish_entry(&mut published, of, entry, &mut Vec::new());
        again.fold_published(entry);
        assert_eq!(published, again);
    }
    assert_eq!(again.next_moment(START.plus_s(1_000)), None);
}
