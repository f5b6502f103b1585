//! What the auditor looked at, and what it found. It never judges which finding a missing entry explains.

use super::SalePromise;

/// Looks since the beginning, and the offences of the event that is being read.
#[derive(Debug, Default)]
pub(super) struct PromiseFindings {
    /// How often each promise was looked at.
    pub(super) checks: [u64; SalePromise::ALL.len()],
    /// What was found broken, with a phrase for people.
    pub(super) offences: Vec<(SalePromise, String)>,
}

impl PromiseFindings {
    /// One look at a promise that found it kept.
    pub(super) fn record_kept(&mut self, promise: SalePromise) {
        self.checks[promise as usize] += 1;
    }

    /// One look at a promise that found it broken.
    #[cold]
    pub(super) fn record_broken(&mut self, promise: SalePromise, detail: String) {
        self.checks[promise as usize] += 1;
        self.offences.push((promise, detail));
    }
}

/// One look at a promise.
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
