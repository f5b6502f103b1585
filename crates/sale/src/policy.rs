//! What a merchant promises when a sale is announced. A policy is plain data; the law reads it and never changes it.

use crate::money::Money;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Units of one sale at most: keeps every sum within `u32` and a sale's state within a machine's memory.
pub const QUANTITY_MAX: u32 = 10_000_000;
/// Units of one buyer at most.
pub const LIMIT_PER_BUYER_MAX: u32 = 1_000_000;
/// Seconds of a hold or of a checkout window at most: one day.
pub const WINDOW_S_MAX: u32 = 86_400;
/// Seconds of an extension at most: as a window, one day. It may be longer than the window itself, because who needs more
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

/// Who may buy while a sale is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredAdmission", into = "StoredAdmission")]
pub enum AdmissionMode {
    Open,
    /// Whoever the line admits, in order of arrival.
    Fifo {
        /// Admissions in any window of one second, at most; 1 to [`ADMISSIONS_PER_SECOND_MAX`].
        per_second: u32,
        /// Seconds that an admission lasts; 1 to [`WINDOW_S_MAX`].
        checkout_s: u32,
        /// Seconds before the start at which the line opens.
        line_opens_s: u32,
        /// Seconds that an admitted buyer may add to the window, once and for the asking; 0 is none, and at most
        /// [`EXTENSION_S_MAX`].
        extension_s: u32,
    },
}

/// An admission as a ledger has it. The order of the variants and fields is the ledger's encoding: append only. A line
/// without extensions is written as it was before there were any.
#[derive(Serialize, Deserialize)]
enum StoredAdmission {
    Open,
    Fifo { per_second: u32, checkout_s: u32, line_opens_s: u32 },
    FifoWithExtension { per_second: u32, checkout_s: u32, line_opens_s: u32, extension_s: u32 },
}

impl From<StoredAdmission> for AdmissionMode {
    fn from(recorded: StoredAdmission) -> Self {
        match recorded {
            StoredAdmission::Open => Self::Open,
            StoredAdmission::Fifo { per_second, checkout_s, line_opens_s } => {
                Self::Fifo { per_second, checkout_s, line_opens_s, extension_s: 0 }
            }
            StoredAdmission::FifoWithExtension { per_second, checkout_s, line_opens_s, extension_s } => {
                Self::Fifo { per_second, checkout_s, line_opens_s, extension_s }
            }
        }
    }
}

impl From<AdmissionMode> for StoredAdmission {
    fn from(admission: AdmissionMode) -> Self {
        match admission {
            AdmissionMode::Open => Self::Open,
            AdmissionMode::Fifo { per_second, checkout_s, line_opens_s, extension_s: 0 } => {
                Self::Fifo { per_second, checkout_s, line_opens_s }
            }
            AdmissionMode::Fifo { per_second, checkout_s, line_opens_s, extension_s } => {
                Self::FifoWithExtension { per_second, checkout_s, line_opens_s, extension_s }
            }
        }
    }
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

    /// Seconds that an admitted buyer may add to the window, once; 0 where there is no such thing.
    #[must_use]
    pub fn extension_s(&self) -> u32 {
        match self.admission {
            AdmissionMode::Open => 0,
            AdmissionMode::Fifo { extension_s, .. } => extension_s,
        }
    }

    /// The first moment at which the line may be joined; `None` in a sale without a line.
    #[must_use]
    pub fn line_opens_at(&self) -> Option<Timestamp> {
        match self.admission {
            AdmissionMode::Open => None,
            AdmissionMode::Fifo { line_opens_s, .. } => {
                Some(self.starts_at.plus_ms(-i64::from(line_opens_s) * 1000))
            }
        }
    }

    /// Everything in this policy that cannot be promised; empty when all is well.
    #[must_use]
    pub fn problems(&self) -> Vec<PolicyProblem> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, problem| {
            if !holds {
                problems.push(problem);
            }
        };
        require((1..=QUANTITY_MAX).contains(&self.quantity), PolicyProblem::Quantity);
        require((0..=UNIT_PRICE_MINOR_MAX).contains(&self.unit_price.minor), PolicyProblem::UnitPrice);
        let in_range = self.starts_at >= Timestamp(0) && self.ends_at <= Timestamp::MAX;
        require(in_range && self.starts_at < self.ends_at, PolicyProblem::Period);
        require((1..=LIMIT_PER_BUYER_MAX).contains(&self.limit_per_buyer), PolicyProblem::LimitPerBuyer);
        require(self.hold_s <= WINDOW_S_MAX, PolicyProblem::Hold);
        if let AdmissionMode::Fifo { per_second, checkout_s, extension_s, .. } = self.admission {
            require((1..=ADMISSIONS_PER_SECOND_MAX).contains(&per_second), PolicyProblem::PerSecond);
            require((1..=WINDOW_S_MAX).contains(&checkout_s), PolicyProblem::Checkout);
            require(extension_s <= EXTENSION_S_MAX, PolicyProblem::Extension);
        }
        problems
    }
}
