//! Builds the documents that sockets send from what the shop and the engine know. It knows no socket.

use crate::shop::line::QueueStatus;
use documents::AvailabilityDocument;
use engine::SaleView;
use sale::{EventSeq, Timestamp};
use serde::Serialize;

pub use documents::socket::{
    InventoryUpdate, LeaveReply, LineFigures, LineStatus, LineStatusDocument, OrderUpdate, OverReason,
    PositionUpdate, RestartNotice, StatusChange,
};

/// A problem in an acknowledgement.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProblemSummary {
    /// The stable code that programs go by.
    pub code: &'static str,
    pub title: &'static str,
    pub detail: &'static str,
    /// The status that HTTP would give it.
    pub status: u16,
    /// Seconds to wait, as in the header `Retry-After`; only where a limit is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// Finds the problem of a code, with the texts of the HTTP API.
pub type ProblemCatalog = fn(&str) -> Option<ProblemSummary>;

pub fn inventory_update(view: &SaleView, now: Timestamp) -> InventoryUpdate {
    let units = view.counters;
    InventoryUpdate {
        flash_sale_id: view.id,
        available: units.available,
        held: units.held,
        sold: units.sold,
        availability: AvailabilityDocument::new(view.availability, view.is_over(now)),
        waiting: view.waiting(now),
        status: view.phase(now).into(),
        quantity: units.quantity,
        starts_at: view.policy.starts_at,
        ends_at: view.policy.ends_at,
        server_time: now,
        version: view.seq.0,
    }
}

pub fn status_change(view: &SaleView, now: Timestamp) -> StatusChange {
    StatusChange {
        flash_sale_id: view.id,
        status: view.phase(now).into(),
        server_time: now,
        version: view.seq.0,
    }
}

/// The reply to joining, with its receipt.
pub fn join_reply(status: &QueueStatus, version: EventSeq) -> PositionUpdate {
    let QueueStatus { sale, ticket, place, figures, receipt } = status;
    let figures: LineFigures = (*figures).into();
    PositionUpdate {
        availability: Some(figures.availability),
        receipt: Some(receipt.to_string()),
        ..PositionUpdate::new(*sale, *ticket, (*place).into(), &figures, version)
    }
}
