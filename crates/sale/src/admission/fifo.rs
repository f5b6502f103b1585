//! A sale with a waiting line: buyers are admitted in ticket order, at most `per_second` in any second, one for each free
//! unit. Only admitted buyers may reserve.

use super::AdmissionRules;
use crate::admission_mode::AdmissionMode;
use crate::event::{Event, UnitSource};
use crate::outcome::Refusal;
use crate::policy::{ADMISSIONS_PER_SECOND_MAX, EXTENSION_S_MAX, PolicyProblem, WINDOW_S_MAX};
use crate::state::SaleState;
use crate::time::Timestamp;

/// The fields of [`AdmissionMode::Fifo`].
pub(super) struct FifoRules {
    pub(super) per_second: u32,
    pub(super) checkout_s: u32,
    pub(super) line_opens_s: u32,
    pub(super) extension_s: u32,
}

impl AdmissionRules for FifoRules {
    fn collect_problems(&self, problems: &mut Vec<PolicyProblem>) {
        let checks = [
            ((1..=ADMISSIONS_PER_SECOND_MAX).contains(&self.per_second), PolicyProblem::PerSecond),
            ((1..=WINDOW_S_MAX).contains(&self.checkout_s), PolicyProblem::Checkout),
            (self.extension_s <= EXTENSION_S_MAX, PolicyProblem::Extension),
        ];
        problems.extend(checks.into_iter().filter(|(holds, _)| !holds).map(|(_, problem)| problem));
    }

    /// The extension may grow. Everything else is what a buyer in line relies on.
    fn keeps_promises(&self, new: AdmissionMode) -> bool {
        let Self { per_second, checkout_s, line_opens_s, .. } = *self;
        let extension_s = new.with_rules(|rules| rules.extension_s());
        new == AdmissionMode::Fifo { per_second, checkout_s, line_opens_s, extension_s }
            && extension_s >= self.extension_s
    }

    fn line_opens_at(&self, starts_at: Timestamp) -> Option<Timestamp> {
        Some(starts_at.plus_ms(-i64::from(self.line_opens_s) * 1000))
    }

    fn extension_s(&self) -> u32 {
        self.extension_s
    }

    fn source_without_ticket(&self, state: &SaleState) -> Result<UnitSource, Refusal> {
        let is_sold_out = state.units.sold >= state.units.quantity;
        Err(if is_sold_out { Refusal::SoldOut } else { Refusal::NotInLine })
    }

    fn next_admission_at(&self, state: &SaleState) -> Option<Timestamp> {
        Some(state.line.rate.remaining_from(self.per_second).unwrap_or(state.latest_time()))
    }

    fn admit_buyers(&self, state: &SaleState, now: Timestamp, available: u64, events: &mut Vec<Event>) {
        let allowed = u64::from(state.line.rate.remaining_at(now, self.per_second)).min(available);
        let next = state.line.waiting_after(None).take(usize::try_from(allowed).unwrap_or(usize::MAX));
        let until = now.plus_s(self.checkout_s);
        events.extend(next.map(|ticket| {
            let buyer = state.buyers.at(state.line.buyer(ticket)).id;
            Event::Admitted { buyer, ticket, until }
        }));
    }

    fn admissions_per_second(&self) -> Option<u32> {
        Some(self.per_second)
    }
}
