//! What the auditor looked at, and what it found. It never judges which finding a missing entry explains.

use super::Promise;

/// Looks since the beginning, and the offences of the event that is being read.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// How often each promise was looked at.
    pub(super) checks: [u64; Promise::ALL.len()],
    /// What was found broken, with a phrase for people.
    pub(super) offences: Vec<(Promise, String)>,
}

impl Findings {
    /// One look at a promise that found it kept.
    pub(super) fn kept(&mut self, promise: Promise) {
        self.checks[promise as usize] += 1;
    }

    /// One look at a promise that found it broken.
    #[cold]
    pub(super) fn broke(&mut self, promise: Promise, detail: String) {
        self.checks[promise as usize] += 1;
        self.offences.push((promise, detail));
    }
}

/// One look at a promise.
pub(super) fn require(
    holds: bool,
    promise: Promise,
    findings: &mut Findings,
    detail: impl FnOnce() -> String,
) {
    if holds {
        findings.kept(promise);
    } else {
        findings.broke(promise, detail());
    }
}
