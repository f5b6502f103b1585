//! What a merchant promises when a sale is announced. A policy is plain data; the law reads it and never changes it.

use crate::admission_mode::AdmissionMode;
use crate::money::Money;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Units of one sale at most: keeps every total within `u32` and a sale's state within a machine's memory.
pub const QUANTITY_MAX: u32 = 10_000_000;
/// Units of one buyer at most.
pub const LIMIT_PER_BUYER_MAX: u32 = 1_000_000;
/// Seconds of a hold or of a checkout window at most: one day.
pub const WINDOW_S_MAX: u32 = 86_400;
/// Seconds of an extension at most: as a window, one day. It may be longer than the window itself, because a buyer who needs more
/// time may need many times as much (WCAG 2.2.1 speaks of ten times).
pub const EXTENSION_S_MAX: u32 = WINDOW_S_MAX;
/// Admissions a second at most; far above what a machine can serve.
pub const ADMISSIONS_PER_SECOND_MAX: u32 = 100_000;
/// Minor units of one unit's price at most, so that price × quantity always fits an `i64`.
pub const UNIT_PRICE_MINOR_MAX: i64 = 100_000_000_000;

/// The promises of one sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Units on sale, 1 to [`QUANTITY_MAX`].
    pub quantity: u32,
    /// Price of one unit. The law never computes with it; the ledger carries it so that an order can be read from the ledger alone.
    pub unit_price: Money,
    /// The first moment at which a unit may be reserved.
    pub starts_at: Timestamp,
    /// The first moment at which no unit may be reserved any more.
    pub ends_at: Timestamp,
    /// Units that one buyer may hold and own together, 1 to [`LIMIT_PER_BUYER_MAX`].
    pub limit_per_buyer: u32,
    /// Seconds a unit is held for its payment; 0 sells at once.
    pub hold_s: u32,
    /// Who may buy while the sale is active.
    pub admission: AdmissionMode,
}

/// A field of a policy that cannot be promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyProblem {
    /// See [`QUANTITY_MAX`].
    #[error("quantity must be 1 to {QUANTITY_MAX}")]
    Quantity,
    /// See [`UNIT_PRICE_MINOR_MAX`].
    #[error("price must be 0 to {UNIT_PRICE_MINOR_MAX} minor units")]
    UnitPrice,
    /// The sale would end before it starts, or outside the years that RFC 3339 can write.
    #[error("a sale must end after it starts, and before the year 10000")]
    Period,
    /// See [`LIMIT_PER_BUYER_MAX`].
    #[error("limit per buyer must be 1 to {LIMIT_PER_BUYER_MAX}")]
    LimitPerBuyer,
    /// See [`WINDOW_S_MAX`].
    #[error("a hold lasts 0 to {WINDOW_S_MAX} seconds")]
    Hold,
    /// See [`ADMISSIONS_PER_SECOND_MAX`].
    #[error("admissions per second must be 1 to {ADMISSIONS_PER_SECOND_MAX}")]
    PerSecond,
    /// See [`WINDOW_S_MAX`].
    #[error("a checkout window lasts 1 to {WINDOW_S_MAX} seconds")]
    Checkout,
    /// See [`EXTENSION_S_MAX`].
    #[error("an extension lasts 0 to {EXTENSION_S_MAX} seconds")]
    Extension,
}

impl Policy {
    /// True when `POST /orders` sells without a hold.
    #[must_use]
    pub fn sells_at_once(&self) -> bool {
        self.hold_s == 0
    }
}
