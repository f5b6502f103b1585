//! The JSON documents that sockets send, as `docs/api.md` describes them. It builds them, and knows no socket.

use crate::shop::line::QueueStatus;
use documents::rfc3339;
use engine::SaleView;
use sale::{EventSeq, LinePosition, OrderId, OrderStatus, SaleId, Ticket, Timestamp};
use serde::Serialize;
use uuid::Uuid;

/// A problem in an acknowledgement.
#[derive(Clone, Debug, Serialize)]
pub struct ProblemSummary {
    /// Stable, for programs.
    pub code: &'static str,
    pub title: &'static str,
    pub detail: &'static str,
    /// The HTTP status of the same problem.
    pub status: u16,
}

/// Finds the problem of a code, with the texts of the HTTP API.
pub type ProblemCatalog = fn(&str) -> Option<ProblemSummary>;

/// The counters of a sale.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InventoryUpdate {
    flash_sale_id: Uuid,
    available: u32,
    held: u32,
    sold: u32,
    availability: &'static str,
    waiting: u32,
    status: &'static str,
    /// A merchant may change it, and the next two, while the sale runs.
    quantity: u32,
    starts_at: String,
    ends_at: String,
    server_time: String,
    version: u64,
}

impl InventoryUpdate {
    pub fn from_view(view: &SaleView, now: Timestamp) -> Self {
        let units = view.counters;
        Self {
            flash_sale_id: view.id.0,
            available: units.available,
            held: units.held,
            sold: units.sold,
            availability: view.availability.as_str(),
            waiting: units.waiting,
            status: view.phase(now).as_str(),
            quantity: units.quantity,
            starts_at: rfc3339(view.policy.starts_at),
            ends_at: rfc3339(view.policy.ends_at),
            server_time: rfc3339(now),
            version: view.seq.0,
        }
    }
}

/// The phase of a sale.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusChange {
    flash_sale_id: Uuid,
    status: &'static str,
    server_time: String,
    version: u64,
}

impl StatusChange {
    pub fn from_view(view: &SaleView, now: Timestamp) -> Self {
        Self {
            flash_sale_id: view.id.0,
            status: view.phase(now).as_str(),
            server_time: rfc3339(now),
            version: view.seq.0,
        }
    }
}

/// The status of a place in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineStatus {
    /// With the position.
    Waiting(u32),
    Admitted {
        until: Timestamp,
        /// Seconds that the buyer may still add to it, once.
        extension_s: u32,
    },
    /// The admission expired.
    Lapsed,
    Left,
    /// The admission was used for an order.
    Served,
}

impl LineStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting(_) => "waiting",
            Self::Admitted { .. } => "admitted",
            Self::Lapsed => "lapsed",
            Self::Left => "left",
            Self::Served => "served",
        }
    }
}

impl From<LinePosition> for LineStatus {
    fn from(place: LinePosition) -> Self {
        match place {
            LinePosition::Waiting { position } => Self::Waiting(position),
            LinePosition::Admitted { until, extension_s } => Self::Admitted { until, extension_s },
        }
    }
}

/// A buyer's place in a line.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PositionUpdate {
    flash_sale_id: Uuid,
    ticket: u32,
    position: u32,
    ahead: u32,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    admitted_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension_seconds: Option<u32>,
    estimated_wait_seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    availability: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
    version: u64,
}

impl PositionUpdate {
    pub fn new(
        sale: SaleId,
        ticket: Ticket,
        status: LineStatus,
        estimated_wait_s: u64,
        version: EventSeq,
    ) -> Self {
        let position = if let LineStatus::Waiting(position) = status { position } else { 0 };
        let (until, extension_s) = match status {
            LineStatus::Admitted { until, extension_s } => (Some(until), extension_s),
            _ => (None, 0),
        };
        Self {
            flash_sale_id: sale.0,
            ticket: ticket.0,
            position,
            ahead: position.saturating_sub(1),
            status: status.as_str(),
            admitted_until: until.map(rfc3339),
            extension_seconds: (extension_s > 0).then_some(extension_s),
            estimated_wait_seconds: estimated_wait_s,
            availability: None,
            receipt: None,
            version: version.0,
        }
    }

    /// The acknowledgement of `queue:join`, with the receipt.
    pub fn from_join(joined: &QueueStatus, version: EventSeq) -> Self {
        let status = LineStatus::from(joined.place);
        let update = Self::new(joined.sale, joined.ticket, status, joined.estimated_wait_s, version);
        let availability = Some(joined.availability.as_str());
        Self { availability, receipt: Some(joined.receipt.to_string()), ..update }
    }
}

/// The status of an order.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderUpdate {
    id: Uuid,
    flash_sale_id: Uuid,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    version: u64,
}

impl OrderUpdate {
    pub fn new(sale: SaleId, order: OrderId, status: OrderStatus, version: EventSeq) -> Self {
        let until = if let OrderStatus::Pending { until } = status { Some(until) } else { None };
        Self {
            id: order.0,
            flash_sale_id: sale.0,
            status: status.as_str(),
            expires_at: until.map(rfc3339),
            version: version.0,
        }
    }

    pub fn is_same_order(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// The acknowledgement of `queue:leave`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaveReply {
    pub flash_sale_id: Uuid,
    pub ticket: u32,
    /// Always `left`.
    pub status: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestartNotice {
    /// Milliseconds after which the client should reconnect.
    pub retry_after_ms: u32,
}
