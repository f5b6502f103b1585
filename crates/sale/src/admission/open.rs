//! A sale without a line: any buyer may reserve while it is active. It has no admissions and no estimates.

use super::AdmissionRules;
use crate::admission_mode::AdmissionMode;
use crate::event::{Event, UnitSource};
use crate::outcome::Refusal;
use crate::policy::PolicyProblem;
use crate::state::SaleState;
use crate::time::Timestamp;

pub(super) struct OpenRules;

impl AdmissionRules for OpenRules {
    fn collect_problems(&self, _: &mut Vec<PolicyProblem>) {}

    fn keeps_promises(&self, new: AdmissionMode) -> bool {
        new == AdmissionMode::Open
    }

    fn line_opens_at(&self, _: Timestamp) -> Option<Timestamp> {
        None
    }

    fn extension_s(&self) -> u32 {
        0
    }

    fn source_without_ticket(&self, _: &SaleState) -> Result<UnitSource, Refusal> {
        Ok(UnitSource::Stock)
    }

    fn next_admission_at(&self, _: &SaleState) -> Option<Timestamp> {
        None
    }

    fn admit_buyers(&self, _: &SaleState, _: Timestamp, _: u64, _: &mut Vec<Event>) {}

    fn admissions_per_second(&self) -> Option<u32> {
        None
    }
}
