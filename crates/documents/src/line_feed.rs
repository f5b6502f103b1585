//! A waiting line as everyone may see it: one document for all buyers, from which each computes the own place and wait.

use crate::flash_sale::{AvailabilityDocument, SaleStatusDocument};
use crate::moment;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sale::{LineFeed, LinePace, SaleId, Ticket, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Bytes of the document, at most.
pub const LINE_FEED_LEN_MAX: usize = 4_096;

/// The waiting line of a sale, the same for everyone. With the own ticket each buyer computes the place, the people ahead and the
/// estimated wait from it; `docs/line-feed.md` says how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LineFeedJson)]
pub struct LineFeedDocument {
    /// The sale.
    #[schema(value_type = Uuid)]
    pub flash_sale_id: SaleId,
    /// The sale's last event; grows with each change.
    pub version: u64,
    /// When this was written, to the second. An unchanged document keeps the time of its first writing.
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub server_time: Timestamp,
    /// What the sale is doing.
    pub status: SaleStatusDocument,
    /// Whether the sale is paused; also before it starts.
    pub paused: bool,
    /// Whether a unit can be had.
    pub availability: AvailabilityDocument,
    /// When it starts.
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Timestamp,
    /// When it ends.
    #[serde(with = "moment")]
    #[schema(value_type = String, format = DateTime)]
    pub ends_at: Timestamp,
    /// Admissions a second, at most.
    pub per_second: u32,
    /// Units that one buyer may hold and own.
    pub limit_per_buyer: u32,
    /// Units that are not sold: free, set aside, or in other carts.
    pub units_left: u32,
    /// Units that the next in line can get.
    pub available: u32,
    /// Units that are set aside for buyers whose turn it is.
    pub admitted: u32,
    /// Units in orders that are not paid yet.
    pub held: u32,
    /// Units that are sold.
    pub sold: u32,
    /// Who waits; null once the sale is over, because no turn comes any more.
    pub line: Option<LineDocument>,
}

/// The tickets of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LineJson)]
pub struct LineDocument {
    /// The serving number: no ticket up to this one waits.
    #[schema(value_type = u32)]
    pub serving: Ticket,
    /// The last ticket that was given.
    #[schema(value_type = u32)]
    pub last_ticket: Ticket,
    /// Buyers who wait.
    pub waiting: u32,
    /// Tickets after `serving` that `gone` tells one by one.
    pub exact_tickets: u32,
    /// Base64: a bit for each of those tickets, the lowest of a byte first. It is 1 for a buyer who left before the turn. Zero bytes at
    /// the end are left out.
    pub gone: String,
    /// Base64: the tickets after those, in blocks. A block is two numbers in LEB128: how many tickets it has, and how many of their
    /// buyers left before the turn.
    pub blocks: String,
    /// How far a place in a block may be from the true one, in thousandths of it: 1, or more where 1 does not fit.
    pub error_per_mille: u32,
}

impl LineFeedDocument {
    /// What the estimates of waits depend on.
    #[must_use]
    pub fn pace(&self) -> LinePace {
        LinePace {
            per_second: self.per_second,
            limit_per_buyer: self.limit_per_buyer,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            is_stopped: self.paused || self.status == SaleStatusDocument::Closed,
            free: self.available,
            admitted: self.admitted,
            taken: self.held.saturating_add(self.sold),
        }
    }
}

impl LineDocument {
    /// The line; `None` when the document is none.
    #[must_use]
    pub fn to_feed(&self) -> Option<LineFeed> {
        Some(LineFeed {
            serving: self.serving,
            last_ticket: self.last_ticket,
            exact_tickets: self.exact_tickets,
            gone: STANDARD.decode(&self.gone).ok()?,
            blocks: LineFeed::decode_blocks(&STANDARD.decode(&self.blocks).ok()?)?,
            error_per_mille: self.error_per_mille,
        })
    }
}

impl From<&LineFeed> for LineDocument {
    fn from(feed: &LineFeed) -> Self {
        Self {
            serving: feed.serving,
            last_ticket: feed.last_ticket,
            waiting: feed.waiting(),
            exact_tickets: feed.exact_tickets,
            gone: STANDARD.encode(&feed.gone),
            blocks: STANDARD.encode(feed.encode_blocks()),
            error_per_mille: feed.error_per_mille,
        }
    }
}

#[cfg(test)]
mod tests;
