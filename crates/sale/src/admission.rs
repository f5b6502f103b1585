//! Who may buy while a sale is active. Each mode has one file here, with everything that the law does differently for it.
//!
//! A new mode needs a file with its [`AdmissionRules`], a line in [`AdmissionMode::with_rules`], and a variant in
//! [`crate::admission_mode`], where the ledger has it. Outside this crate, a mode has only its JSON document, its columns and
//! its words in tapes. The auditor (`crate::audit`) states the promises of a mode again, because it must not share the rules
//! that it judges.

mod open;

mod fifo;

use crate::admission_mode::AdmissionMode;
use crate::event::{Event, UnitSource};
use crate::outcome::Refusal;
use crate::policy::{
    LIMIT_PER_BUYER_MAX, Policy, PolicyProblem, QUANTITY_MAX, UNIT_PRICE_MINOR_MAX, WINDOW_S_MAX,
};
use crate::state::SaleState;
use crate::time::Timestamp;

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

    /// Admissions in any window of one second, at most; `None` in a mode without a line.
    fn admissions_per_second(&self) -> Option<u32>;
}

impl AdmissionMode {
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

/// What depends on the mode.
impl Policy {
    /// Seconds that an admitted buyer may add to the window, once; 0 where the sale has no extension.
    #[must_use]
    pub fn extension_s(&self) -> u32 {
        self.admission.with_rules(|rules| rules.extension_s())
    }

    /// The first moment at which the line may be joined; `None` in a sale without a line.
    #[must_use]
    pub fn line_opens_at(&self) -> Option<Timestamp> {
        self.admission.with_rules(|rules| rules.line_opens_at(self.starts_at))
    }

    /// The first moment at which a buyer may act on the policy: the line's opening, or the start of a sale without a line.
    #[must_use]
    pub fn opens_at(&self) -> Timestamp {
        self.line_opens_at().unwrap_or(self.starts_at)
    }

    /// Admissions in any window of one second, at most; `None` in a sale without a line.
    #[must_use]
    pub fn admissions_per_second(&self) -> Option<u32> {
        self.admission.with_rules(|rules| rules.admissions_per_second())
    }

    /// Whether a change to `new` only adds to what buyers were promised: more units, a later end, a longer extension. The
    /// hold may change either way, because each hold carries its own end.
    pub(crate) fn keeps_promises(&self, new: &Self) -> bool {
        let allowed = Self {
            quantity: new.quantity,
            ends_at: new.ends_at,
            hold_s: new.hold_s,
            admission: new.admission,
            ..self.clone()
        };
        allowed == *new
            && new.quantity >= self.quantity
            && new.ends_at >= self.ends_at
            && self.admission.with_rules(|rules| rules.keeps_promises(new.admission))
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
        self.admission.with_rules(|rules| rules.collect_problems(&mut problems));
        problems
    }
}
