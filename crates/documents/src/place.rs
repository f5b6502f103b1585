//! A buyer's place in a line, and what became of it.

use crate::flash_sale::AvailabilityDocument;
use crate::moment;
use sale::{LinePosition, SaleId, Ticket, Timestamp};
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
    /// Waiting buyers ahead, plus one; 0 for a buyer who does not wait.
    pub position: u32,
    /// Waiting buyers ahead.
    pub ahead: u32,
    /// Whether it is the buyer's turn, or how the place ended.
    pub status: PlaceStatusDocument,
    /// Why no turn comes any more: only with `over`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<OverReason>,
    /// When the turn passed without an order: only with `lapsed`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::optional")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub lapsed_at: Option<Timestamp>,
    /// When the buyer gave the place up: only with `left`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::optional")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub left_at: Option<Timestamp>,
    /// Until when an admitted buyer may order; absent while the sale is paused.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::optional")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub admitted_until: Option<Timestamp>,
    /// Seconds that an admitted buyer has left after the pause: time stands still while the sale is paused, and only then it is present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub remaining_seconds: Option<u64>,
    /// Seconds that an admitted buyer may still add to `admittedUntil`, once, with `POST /queue/extend`; absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub extension_seconds: Option<u32>,
    /// Whether a unit can be had at all: who waits for a sale that is `sold_out` gets one only if an order is refunded.
    pub availability: AvailabilityDocument,
    /// Units that are not sold: free, set aside, or in other carts. With as many buyers ahead, or more, a turn comes only if some of
    /// them give theirs up.
    pub units_left: u32,
    /// Seconds until the buyer's turn; 0 once admitted. Null when nobody can say: the free units do not reach the place, the sale is
    /// paused, every unit is in a cart, or no turn comes any more.
    pub estimated_wait_seconds: Option<u64>,
    /// Proof of the number: only the shop can make one, and it can check it.
    pub receipt: String,
}

/// Whether it is the buyer's turn, or how the place ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = PlaceStatus)]
pub enum PlaceStatusDocument {
    /// In line.
    Waiting,
    /// It is the buyer's turn.
    Admitted,
    /// No turn comes any more: `reason` says why.
    Over,
    /// The turn passed at `lapsedAt`; the buyer may join again while the sale runs.
    Lapsed,
    /// The buyer gave the place up at `leftAt`.
    Left,
}

/// Why no turn comes any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = OverReason)]
pub enum OverReason {
    /// The sale's time is over.
    Ended,
    /// The merchant ended the sale.
    Closed,
    /// The sale is not listed any more.
    Deleted,
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
    /// The buyer waited, and no turn comes any more.
    Over(OverReason),
    /// The admission was not used in time.
    Lapsed { at: Timestamp },
    /// The buyer gave the place up.
    Left { at: Timestamp },
    /// The admission was used: there is an order.
    Served,
}

/// What a place's document says of the sale.
#[derive(Clone, Copy, Debug)]
pub struct LineFigures {
    pub availability: AvailabilityDocument,
    pub units_left: u32,
    /// Seconds until a waiting buyer is admitted, where that can be estimated.
    pub estimated_wait_s: Option<u64>,
    /// Since when the sale is paused; `None` while it is not.
    pub paused_at: Option<Timestamp>,
}

/// The fields that a status has in documents.
pub(crate) struct StatusFields {
    pub(crate) position: u32,
    pub(crate) reason: Option<OverReason>,
    pub(crate) lapsed_at: Option<Timestamp>,
    pub(crate) left_at: Option<Timestamp>,
    pub(crate) admitted_until: Option<Timestamp>,
    pub(crate) remaining_s: Option<u64>,
    pub(crate) extension_s: Option<u32>,
    pub(crate) estimated_wait_s: Option<u64>,
}

impl StatusFields {
    pub(crate) fn new(status: LineStatus, figures: &LineFigures) -> Self {
        let mut fields = Self {
            position: 0,
            reason: None,
            lapsed_at: None,
            left_at: None,
            admitted_until: None,
            remaining_s: None,
            extension_s: None,
            estimated_wait_s: None,
        };
        match status {
            LineStatus::Waiting(position) => {
                fields.position = position;
                fields.estimated_wait_s = figures.estimated_wait_s;
            }
            LineStatus::Admitted { until, extension_s } => {
                match figures.paused_at {
                    Some(paused_at) => {
                        let rest_ms = until.ms_since(paused_at).max(0).unsigned_abs();
                        fields.remaining_s = Some(rest_ms.div_ceil(1000));
                    }
                    None => fields.admitted_until = Some(until),
                }
                fields.extension_s = (extension_s > 0).then_some(extension_s);
                fields.estimated_wait_s = Some(0);
            }
            LineStatus::Over(reason) => fields.reason = Some(reason),
            LineStatus::Lapsed { at } => fields.lapsed_at = Some(at),
            LineStatus::Left { at } => fields.left_at = Some(at),
            LineStatus::Served => {}
        }
        fields
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

impl PlaceDocument {
    #[must_use]
    pub fn new(
        sale: SaleId,
        ticket: Ticket,
        (word, status): (PlaceStatusDocument, LineStatus),
        figures: &LineFigures,
        receipt: String,
    ) -> Self {
        let fields = StatusFields::new(status, figures);
        Self {
            flash_sale_id: sale,
            ticket,
            position: fields.position,
            ahead: fields.position.saturating_sub(1),
            status: word,
            reason: fields.reason,
            lapsed_at: fields.lapsed_at,
            left_at: fields.left_at,
            admitted_until: fields.admitted_until,
            remaining_seconds: fields.remaining_s,
            extension_seconds: fields.extension_s,
            availability: figures.availability,
            units_left: figures.units_left,
            estimated_wait_seconds: fields.estimated_wait_s,
            receipt,
        }
    }
}
