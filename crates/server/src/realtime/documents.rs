//! The documents that sockets send, with the names of `docs/api.md`. It builds them and knows no socket.

use crate::shop::line::QueueStatus;
use engine::SaleView;
use jiff::fmt::temporal::DateTimePrinter;
use sale::{EventSeq, LinePosition, OrderId, OrderStatus, SaleId, Ticket, Timestamp};
use serde::Serialize;
use uuid::Uuid;

/// A problem in an acknowledgement.
#[derive(Clone, Debug, Serialize)]
pub struct ProblemSummary {
    /// The stable code that programs go by.
    pub code: &'static str,
    pub title: &'static str,
    pub detail: &'static str,
    /// The status that HTTP would give it.
    pub status: u16,
}

/// Finds what is said of a code: the words are those of HTTP.
pub type ProblemCatalog = fn(&str) -> Option<ProblemSummary>;

/// How a sale stands.
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
    /// With the next two what a merchant may change while a sale runs, so that those who look at it see it change.
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

/// What a sale is doing.
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

/// Where a buyer stands in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineStatus {
    /// Waiting at this position.
    Waiting(u32),
    /// It is their turn.
    Admitted {
        until: Timestamp,
        /// Seconds that they may still add to it; 0 for none.
        extension_s: u32,
    },
    /// The turn was not used in time.
    Lapsed,
    /// They gave the place up.
    Left,
    /// The turn was used: there is an order.
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
        spot: LineStatus,
        estimated_wait_s: u64,
        version: EventSeq,
    ) -> Self {
        let position = if let LineStatus::Waiting(position) = spot { position } else { 0 };
        let (until, extension_s) = match spot {
            LineStatus::Admitted { until, extension_s } => (Some(until), extension_s),
            _ => (None, 0),
        };
        Self {
            flash_sale_id: sale.0,
            ticket: ticket.0,
            position,
            ahead: position.saturating_sub(1),
            status: spot.as_str(),
            admitted_until: until.map(rfc3339),
            extension_seconds: (extension_s > 0).then_some(extension_s),
            estimated_wait_seconds: estimated_wait_s,
            availability: None,
            receipt: None,
            version: version.0,
        }
    }

    /// The answer to joining, with its receipt.
    pub fn from_join(standing: &QueueStatus, version: EventSeq) -> Self {
        let spot = LineStatus::from(standing.place);
        let told = Self::new(standing.sale, standing.ticket, spot, standing.estimated_wait_s, version);
        let availability = Some(standing.availability.as_str());
        Self { availability, receipt: Some(standing.receipt.to_string()), ..told }
    }
}

/// What has become of an order.
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

    /// Whether both tell of one order.
    pub fn is_same_order(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// The answer to leaving a line.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaveReply {
    pub flash_sale_id: Uuid,
    /// The ticket that was given up.
    pub ticket: u32,
    /// Always `left`.
    pub status: &'static str,
}

/// The last word of a server that stops.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestartNotice {
    /// Milliseconds after which to come back.
    pub retry_after_ms: u32,
}

/// RFC 3339 with milliseconds and `Z`, as everywhere in the API.
fn rfc3339(at: Timestamp) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    let moment =
        jiff::Timestamp::from_millisecond(at.0.clamp(0, Timestamp::MAX.0)).unwrap_or(jiff::Timestamp::MAX);
    let mut text = String::with_capacity(24);
    // Printing into a String cannot fail.
    let _infallible = PRINTER.print_timestamp(&moment, &mut text);
    text
}
