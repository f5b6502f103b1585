//! The documents of socket events, with the names of `docs/api.md`.

use crate::flash_sale::{AvailabilityDocument, SaleStatusDocument};
use crate::moment;
use crate::order::OrderStatusDocument;
use crate::place::StatusFields;
use sale::{EventSeq, OrderId, OrderStatus, SaleId, Ticket, Timestamp};
use serde::{Deserialize, Serialize};

pub use crate::place::{LineFigures, LineStatus, OverReason};

/// The counters of a sale.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InventoryUpdate {
    pub flash_sale_id: SaleId,
    pub available: u32,
    pub held: u32,
    pub sold: u32,
    pub availability: AvailabilityDocument,
    pub waiting: u32,
    pub status: SaleStatusDocument,
    /// With the next two what a merchant may change while a sale runs, so that its watchers see the change.
    pub quantity: u32,
    #[serde(with = "moment")]
    pub starts_at: Timestamp,
    #[serde(with = "moment")]
    pub ends_at: Timestamp,
    #[serde(with = "moment")]
    pub server_time: Timestamp,
    pub version: u64,
}

/// What a sale is doing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusChange {
    pub flash_sale_id: SaleId,
    pub status: SaleStatusDocument,
    #[serde(with = "moment")]
    pub server_time: Timestamp,
    pub version: u64,
}

/// [`LineStatus`] on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineStatusDocument {
    Waiting,
    Admitted,
    Over,
    Lapsed,
    Left,
    Served,
}

/// A buyer's place in a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PositionUpdate {
    pub flash_sale_id: SaleId,
    pub ticket: Ticket,
    pub position: u32,
    pub ahead: u32,
    pub status: LineStatusDocument,
    /// As [`crate::PlaceDocument`] has it, and the following ones too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<OverReason>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::optional")]
    pub lapsed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::optional")]
    pub left_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::optional")]
    pub admitted_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_seconds: Option<u32>,
    pub units_left: u32,
    pub estimated_wait_seconds: Option<u64>,
    /// Only in the reply to joining.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<AvailabilityDocument>,
    /// Only in the reply to joining.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    pub version: u64,
}

/// What has become of an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderUpdate {
    pub id: OrderId,
    pub flash_sale_id: SaleId,
    pub status: OrderStatusDocument,
    /// Whether a payment is in progress.
    pub paying: bool,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::optional")]
    pub expires_at: Option<Timestamp>,
    pub version: u64,
}

/// The reply to leaving a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaveReply {
    pub flash_sale_id: SaleId,
    /// The ticket that was given up.
    pub ticket: Ticket,
    /// Always `left`.
    pub status: LineStatusDocument,
}

/// The last message of a server that stops.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestartNotice {
    /// Milliseconds after which the client should reconnect.
    pub retry_after_ms: u32,
}

impl From<LineStatus> for LineStatusDocument {
    fn from(status: LineStatus) -> Self {
        match status {
            LineStatus::Waiting(_) => Self::Waiting,
            LineStatus::Admitted { .. } => Self::Admitted,
            LineStatus::Over(_) => Self::Over,
            LineStatus::Lapsed { .. } => Self::Lapsed,
            LineStatus::Left { .. } => Self::Left,
            LineStatus::Served => Self::Served,
        }
    }
}

impl PositionUpdate {
    #[must_use]
    pub fn new(
        sale: SaleId,
        ticket: Ticket,
        status: LineStatus,
        figures: &LineFigures,
        version: EventSeq,
    ) -> Self {
        let fields = StatusFields::new(status, figures);
        Self {
            flash_sale_id: sale,
            ticket,
            position: fields.position,
            ahead: fields.position.saturating_sub(1),
            status: status.into(),
            reason: fields.reason,
            lapsed_at: fields.lapsed_at,
            left_at: fields.left_at,
            admitted_until: fields.admitted_until,
            remaining_seconds: fields.remaining_s,
            extension_seconds: fields.extension_s,
            units_left: figures.units_left,
            estimated_wait_seconds: fields.estimated_wait_s,
            availability: None,
            receipt: None,
            version: version.0,
        }
    }
}

impl OrderUpdate {
    #[must_use]
    pub fn new(sale: SaleId, order: OrderId, status: OrderStatus, version: EventSeq) -> Self {
        let expires_at = if let OrderStatus::Pending { until, .. } = status { Some(until) } else { None };
        Self {
            id: order,
            flash_sale_id: sale,
            status: status.into(),
            paying: status.is_paying(),
            expires_at,
            version: version.0,
        }
    }

    /// Whether both describe one order.
    #[must_use]
    pub fn is_same_order(&self, other: &Self) -> bool {
        self.id == other.id
    }
}
