//! The documents of socket events, with the names of `docs/api.md`.

use crate::flash_sale::{AvailabilityDocument, SaleStatusDocument};
use crate::moment;
use crate::order::OrderStatusDocument;
use sale::{EventSeq, LinePosition, OrderId, OrderStatus, SaleId, Ticket, Timestamp};
use serde::{Deserialize, Serialize};

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

/// A buyer's status in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineStatus {
    /// Waiting at this position.
    Waiting(u32),
    Admitted {
        until: Timestamp,
        /// Seconds that the buyer may still add to it; 0 for none.
        extension_s: u32,
    },
    /// The admission was not used in time.
    Lapsed,
    /// The buyer gave the place up.
    Left,
    /// The admission was used: there is an order.
    Served,
}

/// [`LineStatus`] on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineStatusDocument {
    Waiting,
    Admitted,
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
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::optional")]
    pub admitted_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_seconds: Option<u32>,
    pub estimated_wait_seconds: u64,
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

impl From<LinePosition> for LineStatus {
    fn from(place: LinePosition) -> Self {
        match place {
            LinePosition::Waiting { position } => Self::Waiting(position),
            LinePosition::Admitted { until, extension_s } => Self::Admitted { until, extension_s },
        }
    }
}

impl From<LineStatus> for LineStatusDocument {
    fn from(status: LineStatus) -> Self {
        match status {
            LineStatus::Waiting(_) => Self::Waiting,
            LineStatus::Admitted { .. } => Self::Admitted,
            LineStatus::Lapsed => Self::Lapsed,
            LineStatus::Left => Self::Left,
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
        estimated_wait_s: u64,
        version: EventSeq,
    ) -> Self {
        let position = if let LineStatus::Waiting(position) = status { position } else { 0 };
        let (admitted_until, extension_s) = match status {
            LineStatus::Admitted { until, extension_s } => (Some(until), extension_s),
            _ => (None, 0),
        };
        Self {
            flash_sale_id: sale,
            ticket,
            position,
            ahead: position.saturating_sub(1),
            status: status.into(),
            admitted_until,
            extension_seconds: (extension_s > 0).then_some(extension_s),
            estimated_wait_seconds: estimated_wait_s,
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
