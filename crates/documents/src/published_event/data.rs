//! What an event says: one form for each family of types. A field that a type does not have is left out.

use crate::flash_sale::AdmissionDocument;
use crate::moment;
use crate::money::MoneyDocument;
use crate::order::OrderStatusDocument;
use sale::{BuyerId, OrderId, SaleCounters, SaleId, Ticket, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The event itself; its form is that of the family of its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = EventData)]
pub enum EventData {
    Payment(PaymentEventData),
    Order(OrderEventData),
    Line(LineEventData),
    Sale(SaleEventData),
}

/// An event of a whole sale, with what the sale promises after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SaleEventData)]
pub struct SaleEventData {
    /// The sale.
    #[schema(value_type = Uuid)]
    pub sale_id: SaleId,
    /// The sale's name in addresses, as it is when the event is sent.
    pub slug: String,
    pub product: EventProduct,
    /// The price of one unit.
    pub price: MoneyDocument,
    /// When it starts.
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Timestamp,
    /// When it ends.
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub ends_at: Timestamp,
    /// Units that one buyer may hold and own.
    pub limit_per_buyer: u32,
    /// Seconds for which a unit is held for its payment. 0 sells at once.
    pub hold_seconds: u32,
    /// Who may buy.
    pub admission: AdmissionDocument,
    /// Units that were added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_quantity: Option<u32>,
    pub counters: EventCounters,
    /// The number of the sale's last event; of two documents of a sale, the larger one is newer.
    pub version: u64,
}

/// An event of a buyer's place in line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LineEventData)]
pub struct LineEventData {
    /// The sale.
    #[schema(value_type = Uuid)]
    pub sale_id: SaleId,
    /// The sale's name in addresses, as it is when the event is sent.
    pub slug: String,
    pub product: EventProduct,
    /// The buyer: an account or a guest.
    #[schema(value_type = Uuid)]
    pub buyer_id: BuyerId,
    /// Only for receivers that may have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer_email: Option<String>,
    /// The buyer's number in line.
    #[schema(value_type = u32)]
    pub ticket: Ticket,
    /// Until when the buyer may buy.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub admitted_until: Option<Timestamp>,
    /// Whether the buyer who left was admitted, and so gave a unit back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was_admitted: Option<bool>,
    pub counters: EventCounters,
    /// The number of the event; of two documents of a sale, the larger one is newer.
    pub version: u64,
}

/// An event of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderEventData)]
pub struct OrderEventData {
    /// The sale.
    #[schema(value_type = Uuid)]
    pub sale_id: SaleId,
    /// The sale's name in addresses, as it is when the event is sent.
    pub slug: String,
    pub product: EventProduct,
    /// The order.
    #[schema(value_type = Uuid)]
    pub order_id: OrderId,
    /// The buyer: an account or a guest.
    #[schema(value_type = Uuid)]
    pub buyer_id: BuyerId,
    /// Only for receivers that may have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer_email: Option<String>,
    /// What has become of the order.
    pub status: OrderStatusDocument,
    /// Its units.
    pub quantity: u32,
    /// The price of one unit.
    pub unit_price: MoneyDocument,
    /// The price of all units.
    pub total: MoneyDocument,
    /// The buyer's number in line, when the order uses up an admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub ticket: Option<Ticket>,
    /// Until when the units are held.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// Whether a payment is in progress; then the units are held until it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paying: Option<bool>,
    /// Whether the units of the refunded order are for sale again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restocked: Option<bool>,
    pub counters: EventCounters,
    /// The number of the event; of two documents of a sale, the larger one is newer.
    pub version: u64,
}

/// A step of a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PaymentEventData)]
pub struct PaymentEventData {
    /// Its id; also the provider's reference.
    pub payment_id: Uuid,
    /// The order.
    #[schema(value_type = Uuid)]
    pub order_id: OrderId,
    /// The sale.
    #[schema(value_type = Uuid)]
    pub sale_id: SaleId,
    /// The sale's name in addresses, as it is when the event is sent.
    pub slug: String,
    pub product: EventProduct,
    /// The buyer: an account or a guest.
    #[schema(value_type = Uuid)]
    pub buyer_id: BuyerId,
    /// Only for receivers that may have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer_email: Option<String>,
    /// How it was paid.
    pub method: String,
    /// How much.
    pub amount: MoneyDocument,
    /// Why it was declined, as the buyer read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of two documents of a payment, the larger one is newer.
    pub version: u64,
}

/// What a sale sells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = EventProduct)]
pub struct EventProduct {
    pub id: Uuid,
    /// As the sale showed it when the event happened.
    pub name: String,
}

/// A sale in numbers, after the event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = EventCounters)]
pub struct EventCounters {
    /// Units of the sale, with all that were added.
    pub quantity: u32,
    /// Units that are free.
    pub available: u32,
    /// Units that are set aside for admitted buyers.
    pub admitted: u32,
    /// Units in orders that are not paid yet.
    pub held: u32,
    /// Units that are sold.
    pub sold: u32,
    /// Buyers who wait in line.
    pub waiting: u32,
}

impl From<SaleCounters> for EventCounters {
    fn from(counters: SaleCounters) -> Self {
        let SaleCounters { quantity, available, admitted, held, sold, waiting, short: _ } = counters;
        Self { quantity, available, admitted, held, sold, waiting }
    }
}

impl EventData {
    #[must_use]
    pub fn sale_id(&self) -> SaleId {
        match self {
            Self::Sale(data) => data.sale_id,
            Self::Line(data) => data.sale_id,
            Self::Order(data) => data.sale_id,
            Self::Payment(data) => data.sale_id,
        }
    }

    /// The buyer of the event; `None` for an event of a whole sale.
    #[must_use]
    pub fn buyer_id(&self) -> Option<BuyerId> {
        match self {
            Self::Sale(_) => None,
            Self::Line(data) => Some(data.buyer_id),
            Self::Order(data) => Some(data.buyer_id),
            Self::Payment(data) => Some(data.buyer_id),
        }
    }

    /// Adds the buyer's address, for a receiver that may have it.
    pub fn set_buyer_email(&mut self, email: Option<String>) {
        match self {
            Self::Sale(_) => {}
            Self::Line(data) => data.buyer_email = email,
            Self::Order(data) => data.buyer_email = email,
            Self::Payment(data) => data.buyer_email = email,
        }
    }
}
