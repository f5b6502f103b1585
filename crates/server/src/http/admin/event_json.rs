//! An event of the ledger as admins read it: everything that is in it, so that the ledger can be rebuilt from what the API
//! tells, exactly. It adds nothing of its own.

use crate::http::v1::money_json::MoneyJson;
use crate::http::v1::rfc3339;
use crate::http::v1::sale_json::AdmissionJson;
use sale::{BuyerId, Event, LedgerEntry, OrderId, Policy, ReleaseCause, RequestKey, UnitSource};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

/// One event of the ledger.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventJson {
    /// Its number in the sale.
    seq: u64,
    /// When it was decided.
    #[schema(format = DateTime)]
    at: String,
    /// What happened.
    #[schema(value_type = EventKindJson)]
    kind: &'static str,
    /// What goes with it: everything that the ledger has of it.
    #[serde(flatten)]
    #[schema(value_type = EventFieldsJson)]
    fields: Map<String, Value>,
}

/// What can happen in a sale.
#[derive(ToSchema)]
#[schema(as = EventKind, rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes the names of events, which are texts")]
pub(super) enum EventKindJson {
    /// The sale was announced, or its promises changed.
    Configured,
    /// The sale was paused.
    Paused,
    /// The sale goes on.
    Resumed,
    /// The sale was closed for good.
    Closed,
    /// Units were added.
    Restocked,
    /// A buyer stands in line.
    Joined,
    /// A buyer left the line.
    Left,
    /// A buyer may buy: one unit is set aside.
    Admitted,
    /// An admission ran out.
    Lapsed,
    /// Units are held for an order.
    Held,
    /// Units are sold.
    Confirmed,
    /// Held units are free again.
    Released,
    /// The money of an order went back.
    Refunded,
    /// An admitted buyer asked for more time, and has it.
    Extended,
}

/// What can go with an event. Which of it does depends on its kind.
#[derive(ToSchema)]
#[schema(as = EventFields, rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes the fields of events, which are made one by one")]
struct EventFieldsJson {
    /// Of which buyer.
    buyer_id: Option<Uuid>,
    /// Of which order.
    order_id: Option<Uuid>,
    /// The buyer's number in line.
    ticket: Option<u32>,
    /// Units.
    quantity: Option<u32>,
    /// Until when an admission or a hold lasts.
    #[schema(format = DateTime)]
    until: Option<String>,
    /// Where units came from: `stock`, `admission` (with its `ticket`) or `hold`.
    #[schema(pattern = "^(stock|admission|hold)$")]
    from: Option<String>,
    /// The digest of the request's idempotency key.
    key: Option<String>,
    /// Why held units became free: `cancelled`, `declined` or `expired`.
    #[schema(pattern = "^(cancelled|declined|expired)$")]
    reason: Option<String>,
    /// Whether who left gave an admission back.
    admitted: Option<bool>,
    /// Whether the units of a refunded order went back into the sale.
    restocked: Option<bool>,
    /// The price of a unit.
    price: Option<MoneyJson>,
    /// When the sale starts.
    #[schema(format = DateTime)]
    starts_at: Option<String>,
    /// When the sale ends.
    #[schema(format = DateTime)]
    ends_at: Option<String>,
    /// Units that one buyer may hold and own.
    limit_per_buyer: Option<u32>,
    /// Seconds that a hold lasts.
    hold_seconds: Option<u32>,
    /// Who may buy while the sale is active.
    admission: Option<AdmissionJson>,
}

impl EventJson {
    pub(super) fn from_entry(entry: &LedgerEntry) -> Self {
        let fields = match event_fields(&entry.event) {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        Self { seq: entry.seq.0, at: rfc3339(entry.at), kind: entry.event.name(), fields }
    }
}

/// What goes with an event.
fn event_fields(event: &Event) -> Value {
    match *event {
        Event::Paused | Event::Resumed | Event::Closed => json!({}),
        Event::Configured { ref policy } => policy_fields(policy),
        Event::Restocked { quantity } => json!({"quantity": quantity}),
        Event::Joined { buyer, ticket } | Event::Lapsed { buyer, ticket } => {
            json!({"buyerId": buyer, "ticket": ticket})
        }
        Event::Left { buyer, ticket, admitted } => {
            json!({"buyerId": buyer, "ticket": ticket, "admitted": admitted})
        }
        Event::Admitted { buyer, ticket, until } | Event::Extended { buyer, ticket, until } => {
            json!({"buyerId": buyer, "ticket": ticket, "until": rfc3339(until)})
        }
        Event::Held { buyer, order, quantity, until, from, key } => {
            let mut fields = order_fields(buyer, order, quantity);
            fields["until"] = rfc3339(until).into();
            with_source(fields, from, key)
        }
        Event::Confirmed { buyer, order, quantity, from, key } => {
            with_source(order_fields(buyer, order, quantity), from, key)
        }
        Event::Released { buyer, order, quantity, reason } => {
            let mut fields = order_fields(buyer, order, quantity);
            fields["reason"] = match reason {
                ReleaseCause::Cancelled => "cancelled",
                ReleaseCause::Declined => "declined",
                ReleaseCause::Expired => "expired",
            }
            .into();
            fields
        }
        Event::Refunded { buyer, order, quantity, restocked } => {
            let mut fields = order_fields(buyer, order, quantity);
            fields["restocked"] = restocked.into();
            fields
        }
    }
}

fn policy_fields(policy: &Policy) -> Value {
    json!({
        "price": MoneyJson::from(policy.unit_price),
        "quantity": policy.quantity,
        "startsAt": rfc3339(policy.starts_at),
        "endsAt": rfc3339(policy.ends_at),
        "limitPerBuyer": policy.limit_per_buyer,
        "holdSeconds": policy.hold_s,
        "admission": AdmissionJson::from(policy.admission),
    })
}

fn order_fields(buyer: BuyerId, order: OrderId, quantity: u32) -> Value {
    json!({"buyerId": buyer, "orderId": order, "quantity": quantity})
}

/// Where the units came from (with the number of an admission), and the digest of the request's key, if it had one.
fn with_source(mut fields: Value, from: UnitSource, key: Option<RequestKey>) -> Value {
    fields["from"] = match from {
        UnitSource::Stock => "stock",
        UnitSource::Admission { ticket } => {
            fields["ticket"] = ticket.0.into();
            "admission"
        }
        UnitSource::Hold => "hold",
    }
    .into();
    if let Some(RequestKey(digest)) = key {
        fields["key"] = format!("{:032x}", u128::from_be_bytes(digest)).into();
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use sale::{EventSeq, SaleState, Tape, Timestamp};

    /// Each kind of event, each source and each reason, with keys and without.
    const EVERYTHING: &str = "
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

    fn read_back(entry: &LedgerEntry) -> LedgerEntry {
        let json = serde_json::to_value(EventJson::from_entry(entry)).unwrap();
        rehearsal::ledger::parse(&json).unwrap_or_else(|error| panic!("{json}: {error}"))
    }

    #[test]
    fn a_ledger_with_every_kind_of_event_is_rebuilt_from_what_is_told() {
        let mut entries = ledger(EVERYTHING);
        entries.extend(ledger("0s configure quantity=1 hold=0s\n1s reserve alice o1 1 key=k1"));
        for name in Event::NAMES {
            assert!(entries.iter().any(|entry| entry.event.name() == name), "no {name} in it");
        }
        for entry in &entries {
            assert_eq!(read_back(entry), *entry);
        }
    }

    /// The words of an enum, or the names of a struct's fields, as the description has them.
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
        assert_eq!(described::<EventKindJson>("/enum"), Event::NAMES);
        let told: std::collections::BTreeSet<String> = ledger(EVERYTHING)
            .iter()
            .flat_map(|entry| EventJson::from_entry(entry).fields.keys().cloned().collect::<Vec<_>>())
            .collect();
        let mut fields = described::<EventFieldsJson>("/properties");
        fields.sort();
        assert_eq!(fields, told.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn the_bounds_of_a_ledger_are_told_exactly() {
        let (order, buyer) = (OrderId(uuid::Uuid::max()), BuyerId(uuid::Uuid::nil()));
        for key in [[0; 16], [0xff; 16], [1; 16]] {
            let event = Event::Confirmed {
                buyer,
                order,
                quantity: u32::MAX,
                from: UnitSource::Stock,
                key: Some(RequestKey(key)),
            };
            for at in [Timestamp(0), Timestamp::MAX] {
                let entry = LedgerEntry { seq: EventSeq(u64::MAX), at, event: event.clone() };
                assert_eq!(read_back(&entry), entry);
            }
        }
    }
}
