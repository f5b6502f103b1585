//! How good the estimates of the wait were: the first one after the start that each simulated buyer got, compared with the wait
//! that the same buyer then had, by the stopwatch of the machine that rehearses. It never asks for anything.

use crate::observations::RunInstant;
use crate::report::EstimateQuality;
use std::sync::{Mutex, PoisonError};

/// An estimate that differs from the wait by at most this many seconds is good, whatever its share.
const NEAR_S: f64 = 10.0;
/// So is one that is at most this many times as long as the wait, or as short.
const FACTOR: f64 = 2.0;

/// The estimates of a rehearsal, with their outcomes.
#[derive(Debug, Default)]
pub struct EstimateLog(Mutex<EstimateQuality>);

/// One buyer's wait, from the first place that was shown after the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum BuyerWait {
    /// No place was shown after the start.
    #[default]
    NotBegun,
    /// A place was shown without an estimate.
    WithoutEstimate,
    Estimated {
        at: RunInstant,
        estimate_s: f64,
    },
    /// It is counted.
    Ended,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitOutcome {
    Admitted,
    /// Every unit was sold, or the sale was over.
    NoUnitLeft,
    /// The buyer left, lost patience, or was stopped: the wait would have been longer.
    BrokenOff,
}

impl BuyerWait {
    /// Notes a place of a waiting buyer that was shown after the start, with its estimate.
    pub fn note_place(&mut self, at: RunInstant, estimate_s: Option<f64>) {
        match (*self, estimate_s) {
            (Self::NotBegun | Self::WithoutEstimate, Some(estimate_s)) => {
                *self = Self::Estimated { at, estimate_s };
            }
            (Self::NotBegun, None) => *self = Self::WithoutEstimate,
            (Self::WithoutEstimate, None) | (Self::Estimated { .. } | Self::Ended, _) => {}
        }
    }
}

impl EstimateLog {
    /// Counts a wait that ended, once.
    pub fn record_end(&self, wait: &mut BuyerWait, at: RunInstant, outcome: WaitOutcome) {
        let ended = std::mem::replace(wait, BuyerWait::Ended);
        let mut quality = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (ended, outcome) {
            (BuyerWait::Estimated { at: given_at, estimate_s }, WaitOutcome::Admitted) => {
                quality.given += 1;
                let wait_s = at.0.saturating_sub(given_at.0) as f64 / 1e6;
                if is_good(estimate_s, wait_s) {
                    quality.good += 1;
                } else if estimate_s < wait_s {
                    quality.too_short += 1;
                } else {
                    quality.too_long += 1;
                }
            }
            (BuyerWait::Estimated { .. }, WaitOutcome::NoUnitLeft) => {
                quality.given += 1;
                quality.never_admitted += 1;
            }
            (BuyerWait::WithoutEstimate, WaitOutcome::Admitted) => quality.admitted_without += 1,
            (BuyerWait::WithoutEstimate, WaitOutcome::NoUnitLeft) => quality.refused_without += 1,
            (BuyerWait::Estimated { at: given_at, estimate_s }, WaitOutcome::BrokenOff) => {
                let waited_s = at.0.saturating_sub(given_at.0) as f64 / 1e6;
                if estimate_s < waited_s && !is_good(estimate_s, waited_s) {
                    quality.given += 1;
                    quality.too_short += 1;
                }
            }
            (BuyerWait::NotBegun | BuyerWait::Ended, _)
            | (BuyerWait::WithoutEstimate, WaitOutcome::BrokenOff) => {}
        }
    }

    #[must_use]
    pub fn quality(&self) -> EstimateQuality {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_good(estimate_s: f64, wait_s: f64) -> bool {
    (estimate_s - wait_s).abs() <= NEAR_S || (estimate_s <= FACTOR * wait_s && wait_s <= FACTOR * estimate_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_s(s: u64) -> RunInstant {
        RunInstant(s * 1_000_000)
    }

    fn quality(waits: &[(Option<f64>, u64, WaitOutcome)]) -> EstimateQuality {
        let log = EstimateLog::default();
        for (estimate_s, ends_s, outcome) in waits {
            let mut wait = BuyerWait::default();
            wait.note_place(at_s(100), *estimate_s);
            // A later estimate counts only for a buyer who had none.
            wait.note_place(at_s(101), Some(7_777.0).filter(|_| estimate_s.is_some()));
            log.record_end(&mut wait, at_s(100 + ends_s), *outcome);
            log.record_end(&mut wait, at_s(100 + ends_s), *outcome);
        }
        log.quality()
    }

    #[test]
    fn the_first_estimate_is_good_within_ten_seconds_or_a_factor_of_two() {
        use WaitOutcome::Admitted;
        let good = [(0.0, 10), (10.0, 0), (100.0, 50), (100.0, 200)];
        let good = good.map(|(estimate_s, wait_s)| (Some(estimate_s), wait_s, Admitted));
        assert_eq!(quality(&good), EstimateQuality { given: 4, good: 4, ..EstimateQuality::default() });
        let wrong = [(0.0, 11), (100.0, 201), (100.0, 49)];
        let wrong = wrong.map(|(estimate_s, wait_s)| (Some(estimate_s), wait_s, Admitted));
        let expected = EstimateQuality { given: 3, too_short: 2, too_long: 1, ..EstimateQuality::default() };
        assert_eq!(quality(&wrong), expected);
    }

    #[test]
    fn an_estimate_for_a_turn_that_never_comes_is_wrong_and_one_that_is_not_over_is_not_counted() {
        use WaitOutcome::{Admitted, BrokenOff, NoUnitLeft};
        let waits = [
            (Some(5.0), 30, NoUnitLeft),
            (Some(5.0), 10, BrokenOff),
            (Some(5.0), 30, BrokenOff),
            (None, 30, BrokenOff),
            (None, 30, Admitted),
            (None, 30, NoUnitLeft),
        ];
        let expected = EstimateQuality {
            given: 2,
            too_short: 1,
            never_admitted: 1,
            admitted_without: 1,
            refused_without: 1,
            ..EstimateQuality::default()
        };
        assert_eq!(quality(&waits), expected);
    }
}
