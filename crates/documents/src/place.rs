//! A buyer's place in a line.

use crate::flash_sale::AvailabilityDocument;
use crate::moment;
use sale::{Availability, LinePosition, SaleId, Ticket, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A buyer's place in a line.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PlaceJson)]
pub struct PlaceDocument {
    /// The sale.
    #[schema(value_type = Uuid)]
    pub flash_sale_id: SaleId,
    /// The buyer's number in the line: 1, 2, 3 …, for good.
    #[schema(value_type = u32)]
    pub ticket: Ticket,
    /// Waiting buyers ahead, plus one; 0 once admitted.
    pub position: u32,
    /// Waiting buyers ahead.
    pub ahead: u32,
    /// Whether it is the buyer's turn.
    pub status: PlaceStatusDocument,
    /// Until when an admitted buyer may order.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub admitted_until: Option<Timestamp>,
    /// Seconds that an admitted buyer may still add to `admittedUntil`, once, with `POST /queue/extend`; absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub extension_seconds: Option<u32>,
    /// Whether a unit can be had at all: who waits for a sale that is `sold_out` gets one only if an order is refunded.
    pub availability: AvailabilityDocument,
    /// Seconds until the buyer's turn at the sale's pace; 0 once admitted. People who leave shorten it, a pause or units
    /// that are all in carts lengthen it.
    pub estimated_wait_seconds: u64,
    /// Proof of the number: only the shop can make one, and it can check it.
    pub receipt: String,
}

/// Whether it is the buyer's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = PlaceStatus)]
pub enum PlaceStatusDocument {
    Waiting,
    Admitted,
}

impl PlaceDocument {
    #[must_use]
    pub fn new(
        sale: SaleId,
        (ticket, place): (Ticket, LinePosition),
        availability: Availability,
        estimated_wait_s: u64,
        receipt: String,
    ) -> Self {
        let (position, status, admitted_until, extension_s) = match place {
            LinePosition::Waiting { position } => (position, PlaceStatusDocument::Waiting, None, 0),
            LinePosition::Admitted { until, extension_s } => {
                (0, PlaceStatusDocument::Admitted, Some(until), extension_s)
            }
        };
        Self {
            flash_sale_id: sale,
            ticket,
            position,
            ahead: position.saturating_sub(1),
            status,
            admitted_until,
            extension_seconds: (extension_s > 0).then_some(extension_s),
            availability: availability.into(),
            estimated_wait_seconds: estimated_wait_s,
            receipt,
        }
    }
}
