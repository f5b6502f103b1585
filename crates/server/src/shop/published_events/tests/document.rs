//! `docs/events.md` shows every type with an example that this code made, and every field. With `DOORBUSTER_WRITE_DOCS=1` the test writes
//! that part of the document instead.

use super::*;
use crate::store::payment_events::{PaymentEventRow, PaymentEventState};
use documents::published_event::{
    EventFamily, TEST_EVENT_NAME, TestEventDocument, data_schema, test_data_schema, test_event_type,
};
use sale::{SaleState, Tape};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.md");
/// What stands before it is written by hand.
const GENERATED: &str = "## Fields\n";

/// A sale with a line that is sold out, restocked and over.
const LINE: &str = "
0s    configure fifo quantity=2 limit=2 starts=60s ends=900s hold=120s checkout=30s extension=60s price=4999EUR
10s   configure fifo quantity=3 limit=2 starts=60s ends=900s hold=120s checkout=30s extension=60s price=4999EUR
60s   join alice
61s   join bob
62s   join carol
63s   join dave
64s   leave dave
65s   extend alice
66s   reserve alice o1 1
67s   begin_payment alice o1
68s   confirm alice o1
70s   reserve bob o2 1
71s   release bob o2 cancelled
100s  tick
110s  pause
120s  resume
130s  join erin
131s  reserve erin o3 2
132s  confirm erin o3
140s  restock 5
150s  join frank
151s  reserve frank o4 1
152s  release frank o4 declined
160s  join grace
161s  reserve grace o5 1
300s  tick
310s  refund o1 restock
";

/// A sale that is closed.
const CLOSED: &str = "
0s    configure quantity=1 starts=60s ends=900s
30s   close
";

async fn play(tape: &str, now_s: i64) -> Vec<PublishedEvent> {
    let (mut state, mut entries) = (SaleState::new(), Vec::new());
    for (at, command) in Tape::parse(tape).unwrap().commands() {
        state.step(at, command, &mut entries);
    }
    let (publisher, mut fold, mut events) = (publisher().await, SaleFold::default(), Vec::new());
    fold.set_names(SaleNames {
        slug: "lamp-drop".to_owned(),
        product: Uuid::from_u128(0x0190_f3a4_0000_7000_8000_0000_0000_0001),
        product_name: "Lamp".to_owned(),
    });
    let sale = SaleId(Uuid::from_u128(0x0190_f3a4_0000_7000_8000_0000_0000_0002));
    for entry in &entries {
        let of = PublishedSale { sale, number: SaleNumber::new(1) };
        publisher.publish_entry(&mut fold, of, entry, &mut events);
    }
    let now = entries[0].at.plus_ms(now_s * 1_000);
    publisher.publish_moments(&mut fold, sale, now, &mut events);
    events
}

async fn publish_payments() -> Vec<PublishedEvent> {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    store.migrate().await.unwrap();
    let (publisher, mut events) = (publisher().await, Vec::new());
    let states = ["captured", "declined", "refunded", "disputed"].map(|word| {
        [
            PaymentEventState::Captured,
            PaymentEventState::Declined,
            PaymentEventState::Refunded,
            PaymentEventState::Disputed,
        ]
        .into_iter()
        .find(|state| state.as_str() == word)
        .unwrap()
    });
    for (no, state) in (1..).zip(states) {
        let row = PaymentEventRow {
            no,
            payment: Uuid::from_u128(0x0190_f3a4_0000_7000_8000_0000_0000_0003),
            state,
            part: None,
            step: state.step(),
            order: sale::tape::order("o1"),
            sale: SaleId(Uuid::from_u128(0x0190_f3a4_0000_7000_8000_0000_0000_0002)),
            buyer: sale::tape::buyer("alice"),
            method: "sandbox:approve".to_owned(),
            amount: Money { minor: 4_999, currency: "EUR".parse().unwrap() },
            reason: "the card has too little money".to_owned(),
            at: sale::tape::ORIGIN.plus_ms(67_000 + no * 100),
        };
        events.push(publisher.publish_payment(&store, &row).await.unwrap());
    }
    events
}

/// The first document of each type.
async fn examples() -> BTreeMap<EventType, PublishedEventDocument> {
    let mut events = play(LINE, 900).await;
    events.extend(play(CLOSED, 1_000).await);
    events.extend(publish_payments().await);
    let mut examples = BTreeMap::new();
    for event in events {
        examples.entry(event.document.event_type).or_insert(event.document);
    }
    examples
}

/// The test of an endpoint, which is none of the types that can be subscribed to.
async fn example_test() -> TestEventDocument {
    let [endpoint, test] = [4, 5].map(|no| Uuid::from_u128(0x0190_f3a4_0000_7000_8000_0000_0000_0000 + no));
    publisher().await.addresses().test_document(endpoint, test, sale::tape::ORIGIN)
}

#[tokio::test]
async fn the_document_shows_every_type_and_every_field_as_the_code_has_them() {
    let examples = examples().await;
    let missing: Vec<EventType> =
        EventType::ALL.into_iter().filter(|known| !examples.contains_key(known)).collect();
    assert!(missing.is_empty(), "no example of {missing:?}");
    let text = std::fs::read_to_string(DOCUMENT).unwrap();
    let at = text.find(GENERATED).expect("the document has the generated part");
    let generated = write_reference(&examples, &example_test().await);
    if std::env::var_os("DOORBUSTER_WRITE_DOCS").is_some() {
        std::fs::write(DOCUMENT, format!("{}{generated}", &text[..at])).unwrap();
        return;
    }
    assert!(
        text[at..] == generated,
        "docs/events.md is outdated: run this test with DOORBUSTER_WRITE_DOCS=1"
    );
}

#[tokio::test]
async fn every_example_is_valid_for_the_schema_of_its_type_and_is_read_as_it_was_written() {
    for (event_type, document) in &examples().await {
        let data = serde_json::to_value(&document.data).unwrap();
        let schema = jsonschema::validator_for(&data_schema(*event_type, &document.dataschema)).unwrap();
        let errors: Vec<String> = schema.iter_errors(&data).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{event_type}: {errors:?}");
        let text = serde_json::to_string(document).unwrap();
        assert_eq!(serde_json::from_str::<PublishedEventDocument>(&text).unwrap(), *document);
    }
    let test = example_test().await;
    let schema = jsonschema::validator_for(&test_data_schema(&test.dataschema)).unwrap();
    assert!(schema.is_valid(&serde_json::to_value(&test.data).unwrap()));
    assert!(!schema.is_valid(&serde_json::json!({"message": "of no endpoint"})));
}

/// The part of the document that is made from the code.
fn write_reference(
    examples: &BTreeMap<EventType, PublishedEventDocument>,
    test: &TestEventDocument,
) -> String {
    let mut text = GENERATED.to_owned();
    let write_heading = |text: &mut String, title: &str| {
        write!(text, "\n### Of `{title}`\n\n| field | form | types | meaning |\n| --- | --- | --- | --- |\n")
            .unwrap();
    };
    for (family, title) in [
        (EventFamily::Sale, "sale"),
        (EventFamily::Line, "line"),
        (EventFamily::Order, "order"),
        (EventFamily::Payment, "payment"),
    ] {
        write_heading(&mut text, &format!("{title}.…"));
        let types = EventType::ALL.into_iter().filter(|known| known.family() == family);
        let schemas = types.map(|known| (known.short_name(), data_schema(known, "-")));
        text += &field_rows(&schemas.collect::<Vec<(&str, Value)>>());
    }
    let test_schema = test_data_schema("-");
    let test_meaning = test_schema["description"].as_str().unwrap().to_owned();
    write_heading(&mut text, TEST_EVENT_NAME);
    text += &field_rows(&[(TEST_EVENT_NAME, test_schema)]);
    text += "\n## Types\n";
    let mut write_type = |name: &str, meaning: &str, example: &str| {
        write!(text, "\n### `{name}`\n\n{meaning}\n\n```json\n{example}\n```\n").unwrap();
    };
    for (event_type, document) in examples {
        write_type(event_type.as_str(), event_type.description(), &example_text(document));
    }
    write_type(&test_event_type(), &test_meaning, &example_text(test));
    text
}

/// A row for each field that a type of the family has.
fn field_rows(schemas: &[(&str, Value)]) -> String {
    let mut fields: Vec<&String> = Vec::new();
    for name in schemas.iter().flat_map(|(_, schema)| schema["properties"].as_object().unwrap().keys()) {
        if !fields.contains(&name) {
            fields.push(name);
        }
    }
    let mut rows = String::new();
    for name in fields {
        let having: Vec<&(&str, Value)> =
            schemas.iter().filter(|(_, schema)| !schema["properties"][name].is_null()).collect();
        let is_always = having.iter().all(|(_, schema)| {
            schema["required"].as_array().unwrap().iter().any(|required| required == name.as_str())
        });
        let of = if having.len() == schemas.len() {
            "all".to_owned()
        } else {
            having.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<String>>().join(", ")
        };
        let schema = &having[0].1;
        let field = &schema["properties"][name];
        let of_type = find_reference(field).and_then(|reference| schema.pointer(&reference[1..]));
        let meaning = field["description"].as_str().or(of_type.and_then(|of| of["description"].as_str()));
        let meaning = meaning.unwrap_or_else(|| panic!("{name} has no description"));
        let may_be = if is_always { "" } else { ", may be missing" };
        writeln!(rows, "| `{name}` | {} | {of}{may_be} | {meaning} |", form_of(field)).unwrap();
    }
    rows
}

/// The form of a field, in a word.
fn form_of(field: &Value) -> String {
    if let Some(reference) = find_reference(field) {
        return match reference.rsplit('/').next().unwrap() {
            "Money" => "money".to_owned(),
            "OrderStatus" => "word".to_owned(),
            _ => "object".to_owned(),
        };
    }
    match (field["type"].as_str(), field["format"].as_str()) {
        (Some("string"), Some("uuid")) => "id".to_owned(),
        (Some("string"), Some("date-time")) => "moment".to_owned(),
        (Some("string"), _) => "text".to_owned(),
        (Some("integer"), _) => "number".to_owned(),
        (Some(other), _) => other.to_owned(),
        (None, _) => "object".to_owned(),
    }
}

fn find_reference(field: &Value) -> Option<&str> {
    match field {
        Value::Object(fields) => {
            fields.get("$ref").and_then(Value::as_str).or_else(|| fields.values().find_map(find_reference))
        }
        Value::Array(items) => items.iter().find_map(find_reference),
        _ => None,
    }
}

/// The document with a line for each field of it and of its data.
fn example_text(document: &impl Serialize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in serde_json::to_string_pretty(document).unwrap().lines() {
        let (text, indent) = (line.trim_start(), line.len() - line.trim_start().len());
        match lines.last_mut() {
            Some(last) if indent > 4 && last.ends_with(',') => *last += &format!(" {text}"),
            Some(last) if indent > 4 || (indent == 4 && text.starts_with('}')) => *last += text,
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}
