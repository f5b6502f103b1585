//! The OpenAPI description of events: one list of kinds and one of fields, because clients read an event's fields by their
//! names. The types here describe [`EventDocument`]; they hold nothing.

use super::EventDocument;
use crate::flash_sale::AdmissionDocument;
use crate::money::MoneyDocument;
use std::borrow::Cow;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

/// One event of the ledger.
#[derive(ToSchema)]
#[schema(as = EventJson)]
#[expect(dead_code, reason = "only its schema is used")]
struct EventSchema {
    /// Its number in the sale.
    seq: u64,
    /// When it was decided.
    #[schema(format = DateTime)]
    at: String,
    /// What happened.
    kind: EventKindSchema,
    /// What goes with it: everything that the ledger has of it.
    #[serde(flatten)]
    fields: EventFieldsSchema,
}

/// What can happen in a sale.
#[derive(ToSchema)]
#[schema(as = EventKind, rename_all = "lowercase")]
pub enum EventKindSchema {
    /// The sale was announced, or its promises changed.
    Configured,
    /// The sale was paused.
    Paused,
    /// The sale continues.
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
    /// A payment for an order is in progress: its hold lasts until the payment has ended.
    #[schema(rename = "payment_begun")]
    PaymentBegun,
    /// A payment in progress was declined or voided.
    #[schema(rename = "payment_ended")]
    PaymentEnded,
}

/// What can go with an event. Which of it does depends on its kind.
#[derive(ToSchema)]
#[schema(as = EventFields, rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub struct EventFieldsSchema {
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
    /// The end of a hold without the payment that is in progress.
    #[schema(format = DateTime)]
    held_until: Option<String>,
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
    price: Option<MoneyDocument>,
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
    admission: Option<AdmissionDocument>,
}

impl PartialSchema for EventDocument {
    fn schema() -> RefOr<Schema> {
        EventSchema::schema()
    }
}

impl ToSchema for EventDocument {
    fn name() -> Cow<'static, str> {
        EventSchema::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        EventSchema::schemas(schemas);
    }
}
