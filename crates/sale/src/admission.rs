//! Who may buy while a sale is active. Each mode has one file here, with everything that the law does differently for it.
//!
//! A new mode needs a file with its [`AdmissionRules`], a variant of [`AdmissionMode`] with a line in
//! [`AdmissionMode::with_rules`], and a variant at the end of [`StoredAdmission`]. Outside this crate, a mode has only its
//! JSON document, its columns and its words in tapes. The auditor (`crate::audit`) states the promises of a mode again,
//! because it must not share the rules that it judges.

mod open;

mod fifo;

use crate::event::{Event, UnitSource};
use crate::outcome::Refusal;
use crate::policy::PolicyProblem;
use crate::state::SaleState;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Who may buy while a sale is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredAdmission", into = "StoredAdmission")]
pub enum AdmissionMode {
    Open,
    /// The buyers that the line admits, in order of arrival.
    Fifo {
        /// Admissions in any window of one second, at most; 1 to [`crate::policy::ADMISSIONS_PER_SECOND_MAX`].
        per_second: u32,
        /// Seconds that an admission lasts; 1 to [`crate::policy::WINDOW_S_MAX`].
        checkout_s: u32,
        /// Seconds before the start at which the line opens.
        line_opens_s: u32,
        /// Seconds that an admitted buyer may add to the window, once, on request; 0 is none, and at most
        /// [`crate::policy::EXTENSION_S_MAX`].
        extension_s: u32,
    },
}

/// What the law does differently in each mode. The rules read the state; they never change it.
pub(crate) trait AdmissionRules {
    /// Adds the fields of the rules that cannot be promised.
    fn collect_problems(&self, problems: &mut Vec<PolicyProblem>);

    /// Whether a change to `new` keeps what buyers were promised.
    fn keeps_promises(&self, new: AdmissionMode) -> bool;

    /// The first moment at which the line may be joined; `None` in a mode without a line.
    fn line_opens_at(&self, starts_at: Timestamp) -> Option<Timestamp>;

    /// Seconds that an admitted buyer may add to the window, once.
    fn extension_s(&self) -> u32;

    /// Where the units of an order come from whose buyer is not in the line, or why there are none.
    fn source_without_ticket(&self, state: &SaleState) -> Result<UnitSource, Refusal>;

    /// The earliest moment at which the pace allows one more admission; `None` in a mode without admissions.
    fn next_admission_at(&self, state: &SaleState) -> Option<Timestamp>;

    /// Admits waiting buyers of an active sale, at most one for each of the `available` units.
    fn admit_buyers(&self, state: &SaleState, now: Timestamp, available: u64, events: &mut Vec<Event>);

    /// Seconds from the start until the pace reaches a position of the line; `None` in a mode without a line.
    fn wait_after_start_s(&self, position: u32) -> Option<u64>;
}

impl AdmissionMode {
    /// The mode's name, as in tapes, in the API and in the tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Fifo { .. } => "fifo",
        }
    }

    /// Calls `read` with the mode's rules. Only this function maps modes to their rules.
    pub(crate) fn with_rules<T>(self, read: impl FnOnce(&dyn AdmissionRules) -> T) -> T {
        match self {
            Self::Open => read(&open::OpenRules),
            Self::Fifo { per_second, checkout_s, line_opens_s, extension_s } => {
                read(&fifo::FifoRules { per_second, checkout_s, line_opens_s, extension_s })
            }
        }
    }
}

/// An admission mode as a ledger has it. The order of the variants and fields is the ledger's encoding: append only. A
/// line without extensions is written as it was before extensions existed.
#[derive(Serialize, Deserialize)]
enum StoredAdmission {
    Open,
    Fifo { per_second: u32, checkout_s: u32, line_opens_s: u32 },
    FifoWithExtension { per_second: u32, checkout_s: u32, line_opens_s: u32, extension_s: u32 },
}

impl From<StoredAdmission> for AdmissionMode {
    fn from(stored: StoredAdmission) -> Self {
        match stored {
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
