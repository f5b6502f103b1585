//! The JSON Schema of each type's `data`, made from the types of the documents: the schema of its family, without the fields that the
//! type does not have.

use super::test_event::{TEST_EVENT_DESCRIPTION, TestEventData, test_event_type};
use super::{EventFamily, EventType, LineEventData, OrderEventData, PaymentEventData, SaleEventData};
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Where the OpenAPI description has the types that a schema refers to.
const OPENAPI_TYPES: &str = "#/components/schemas/";
const SCHEMA_DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// A field that not every type of a family has.
struct PartialField {
    name: &'static str,
    /// The types that have it.
    types: &'static [EventType],
    /// Whether they always have it.
    is_required: bool,
}

const PARTIAL_FIELDS: [PartialField; 9] = [
    PartialField { name: "addedQuantity", types: &[EventType::SaleRestocked], is_required: true },
    PartialField {
        name: "admittedUntil",
        types: &[EventType::LineAdmitted, EventType::LineExtended],
        is_required: true,
    },
    PartialField { name: "wasAdmitted", types: &[EventType::LineLeft], is_required: true },
    PartialField {
        name: "ticket",
        types: &[EventType::OrderHeld, EventType::OrderConfirmed],
        is_required: false,
    },
    PartialField {
        name: "expiresAt",
        types: &[EventType::OrderHeld, EventType::OrderExtended],
        is_required: true,
    },
    PartialField { name: "paying", types: &[EventType::OrderExtended], is_required: true },
    PartialField { name: "restocked", types: &[EventType::OrderRefunded], is_required: true },
    PartialField { name: "reason", types: &[EventType::PaymentDeclined], is_required: true },
    // Which receivers have it is no matter of the type.
    PartialField { name: "buyerEmail", types: &EventType::ALL, is_required: false },
];

/// The JSON Schema (2020-12) of the `data` of a type. Later versions may add fields.
#[must_use]
pub fn data_schema(event_type: EventType, url: &str) -> Value {
    let (types, root) = match event_type.family() {
        EventFamily::Sale => collect_types::<SaleEventData>(),
        EventFamily::Line => collect_types::<LineEventData>(),
        EventFamily::Order => collect_types::<OrderEventData>(),
        EventFamily::Payment => collect_types::<PaymentEventData>(),
    };
    let Value::Object(mut schema) = root else { return Value::Null };
    keep_fields(&mut schema, event_type);
    complete_schema(schema, types, (event_type.as_str(), event_type.description()), url)
}

/// The same of the test of an endpoint.
#[must_use]
pub fn test_data_schema(url: &str) -> Value {
    let (types, root) = collect_types::<TestEventData>();
    let Value::Object(schema) = root else { return Value::Null };
    complete_schema(schema, types, (&test_event_type(), TEST_EVENT_DESCRIPTION), url)
}

/// Adds the head of a schema, and the types that it refers to.
fn complete_schema(
    mut schema: Map<String, Value>,
    mut types: Map<String, Value>,
    (title, description): (&str, &str),
    url: &str,
) -> Value {
    let head = json!({
        "$schema": SCHEMA_DIALECT,
        "$id": url,
        "title": title,
        "description": description,
    });
    if let Value::Object(head) = head {
        schema.extend(head);
    }
    types.retain(|name, _| !name.ends_with("EventData"));
    schema.insert("$defs".to_owned(), Value::Object(types));
    let mut schema = Value::Object(schema);
    point_to_definitions(&mut schema);
    schema
}

/// The types that a type refers to, and its own schema.
fn collect_types<T: ToSchema + PartialSchema>() -> (Map<String, Value>, Value) {
    let mut types: Vec<(String, RefOr<Schema>)> = Vec::new();
    T::schemas(&mut types);
    let to_value = |schema: &RefOr<Schema>| serde_json::to_value(schema).unwrap_or_default();
    let types = types.iter().map(|(name, schema)| (name.clone(), to_value(schema))).collect();
    (types, to_value(&T::schema()))
}

/// Removes the fields that the type does not have, and requires all others that are always there.
fn keep_fields(schema: &mut Map<String, Value>, event_type: EventType) {
    let Some(Value::Object(fields)) = schema.get_mut("properties") else { return };
    let partial = |name: &str| {
        // A ticket is a field of every event of a line.
        let is_whole = name == "ticket" && event_type.family() == EventFamily::Line;
        PARTIAL_FIELDS.iter().find(|field| field.name == name && !is_whole)
    };
    fields.retain(|name, _| partial(name).is_none_or(|field| field.types.contains(&event_type)));
    for field in fields.values_mut() {
        remove_null(field);
    }
    let is_required = |name: &&String| partial(name).is_none_or(|field| field.is_required);
    let required: Vec<Value> = fields.keys().filter(is_required).map(|name| json!(name)).collect();
    schema.insert("required".to_owned(), Value::Array(required));
}

/// A field that is not there is left out: it is never null.
fn remove_null(field: &mut Value) {
    if let Some(Value::Array(kinds)) = field.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = &kinds[..] {
            field["type"] = kind.clone();
        }
    }
}

fn point_to_definitions(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(target) if name == "$ref" => {
                        *target = target.replace(OPENAPI_TYPES, "#/$defs/");
                    }
                    other => point_to_definitions(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(point_to_definitions),
        _ => {}
    }
}
