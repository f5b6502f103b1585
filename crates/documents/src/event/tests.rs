use super::schema::{EventFieldsSchema, EventKindSchema};
use super::*;
use sale::{SaleState, Tape};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Each kind of event, each source and each reason, with keys and without.
const ALL_EVENTS: &str = "
    0s configure quantity=3 starts=1s hold=10s limit=2 fifo per_second=2 checkout=5s opens=1s extension=4s price=1234EUR
    join alice
    join bob
    join cem
    join dea
    1s tick
    1.5s reserve alice o1 2 key=k1
    confirm alice o1
    extend bob
    leave bob
    2s pause
    3s resume
    reserve cem o2 1
    begin_payment cem o2
    end_payment cem o2
    release cem o2 declined
    refund o1 restock
    restock 1
    4s join eve
    tick
    5s reserve eve o3 1 key=k2
    15s tick
    16s confirm eve o3
    refund o3
    17s close";

fn ledger(tape: &str) -> Vec<LedgerEntry> {
    let (mut state, mut entries) = (SaleState::new(), Vec::new());
    for (now, command) in Tape::parse(tape).unwrap().commands() {
        state.step(now, command, &mut entries);
    }
    entries
}

fn to_json(entry: &LedgerEntry) -> Value {
    serde_json::to_value(EventDocument::from(entry)).unwrap()
}

fn read_back(entry: &LedgerEntry) -> LedgerEntry {
    let document: EventDocument = serde_json::from_value(to_json(entry)).unwrap();
    document.try_into().unwrap()
}

#[test]
fn a_ledger_with_every_kind_of_event_is_rebuilt_from_its_documents() {
    let mut entries = ledger(ALL_EVENTS);
    entries.extend(ledger("0s configure quantity=1 hold=0s\n1s reserve alice o1 1 key=k1"));
    for name in Event::NAMES {
        assert!(entries.iter().any(|entry| entry.event.name() == name), "no {name} in it");
    }
    for entry in &entries {
        assert_eq!(read_back(entry), *entry);
        assert_eq!(to_json(entry)["kind"], entry.event.name());
    }
}

#[test]
fn the_fields_are_written_in_the_order_of_their_names() {
    for entry in ledger(ALL_EVENTS).iter().filter(|entry| entry.event.name() != "configured") {
        let text = serde_json::to_string(&EventDocument::from(entry)).unwrap();
        // A map sorts its keys; an event writes its number, its moment and its kind first.
        let Value::Object(mut fields) = to_json(entry) else { panic!("{text}") };
        let [seq, at, kind] = ["seq", "at", "kind"].map(|name| fields.remove(name).unwrap());
        let head = format!(r#"{{"seq":{seq},"at":{at},"kind":{kind}"#);
        let rest = serde_json::to_string(&fields).unwrap();
        assert_eq!(text, head + &if fields.is_empty() { "}".to_owned() } else { rest.replacen('{', ",", 1) });
    }
}

/// The words of an enum, or the names of a struct's fields, as the OpenAPI description has them.
fn described<T: utoipa::PartialSchema>(at: &str) -> Vec<String> {
    let schema = serde_json::to_value(T::schema()).unwrap();
    match schema.pointer(at) {
        Some(Value::Array(words)) => words.iter().map(|word| word.as_str().unwrap().to_owned()).collect(),
        Some(Value::Object(fields)) => fields.keys().cloned().collect(),
        _ => panic!("{at} is not in {schema}"),
    }
}

#[test]
fn every_kind_and_every_field_is_described() {
    assert_eq!(described::<EventKindSchema>("/enum"), Event::NAMES);
    let mut written = BTreeSet::new();
    for entry in ledger(ALL_EVENTS) {
        let Value::Object(fields) = to_json(&entry) else { panic!("an event is an object") };
        written.extend(fields.into_iter().map(|(name, _)| name));
    }
    for head in ["seq", "at", "kind"] {
        assert!(written.remove(head));
    }
    let described: BTreeSet<String> = described::<EventFieldsSchema>("/properties").into_iter().collect();
    assert_eq!(described, written);
}

#[test]
fn the_bounds_of_a_ledger_are_written_exactly() {
    let (order, buyer) = (OrderId(Uuid::max()), BuyerId(Uuid::nil()));
    for key in [[0; 16], [0xff; 16], [1; 16]] {
        let (from, key) = (UnitSource::Stock, Some(RequestKey(key)));
        let event = Event::Confirmed { buyer, order, quantity: u32::MAX, from, key };
        for at in [Timestamp(0), Timestamp::MAX] {
            let entry = LedgerEntry { seq: EventSeq(u64::MAX), at, event: event.clone() };
            assert_eq!(read_back(&entry), entry);
        }
    }
}

#[test]
fn an_order_from_an_admission_needs_its_ticket() {
    let item = json!({
        "seq": 4, "at": "2026-11-21T03:41:48.529Z", "kind": "confirmed", "buyerId": Uuid::nil(),
        "orderId": Uuid::nil(), "quantity": 1, "from": "admission",
    });
    let document: EventDocument = serde_json::from_value(item).unwrap();
    assert!(LedgerEntry::try_from(document).is_err());
}
