//! The admission modes as data: what a policy says of who may buy, and how a ledger has it. The rules of the modes are in
//! `crate::admission`.

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

impl AdmissionMode {
    /// The mode's name, as in tapes, in the API and in the tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Fifo { .. } => "fifo",
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
