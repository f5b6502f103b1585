//! How often the auditor checked each promise, and what it found. It never decides which finding a missing entry explains.

use super::SalePromise;

/// All checks so far, and the offences of the event that is being read.
#[derive(Debug, Default)]
pub(super) struct PromiseFindings {
    /// How often each promise was checked.
    pub(super) checks: [u64; SalePromise::ALL.len()],
    /// What was found broken, with a phrase for people.
    pub(super) offences: Vec<(SalePromise, String)>,
}

impl PromiseFindings {
    /// Counts a check that passed.
    pub(super) fn record_kept(&mut self, promise: SalePromise) {
        self.checks[promise as usize] += 1;
    }

    /// Records a check that failed.
    #[cold]
    pub(super) fn record_broken(&mut self, promise: SalePromise, detail: String) {
        self.checks[promise as usize] += 1;
        self.offences.push((promise, detail));
    }
}

/// Checks one promise once.
pub(super) fn check_promise(
    holds: bool,
    promise: SalePromise,
    findings: &mut PromiseFindings,
    detail: impl FnOnce() -> String,
) {
    if holds {
        findings.record_kept(promise);
    } else {
        findings.record_broken(promise, detail());
    }
}
