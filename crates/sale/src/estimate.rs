//! How long a buyer in line probably waits. An estimate is given only where the units reach the buyer; it never decides anything.
//!
//! While a unit is free and a buyer waits, the law admits at exactly the sale's pace, so the pace alone tells when a place is
//! reached that the free units reach. While none is free, the line moves when other buyers give units back. Nobody can say when,
//! so there is no estimate.

use crate::admission_mode::AdmissionMode;
use crate::counters::SaleCounters;
use crate::id::Ticket;
use crate::phase::SaleSwitches;
use crate::policy::Policy;
use crate::time::Timestamp;

/// The expected units of a turn weigh as much as this many turns that were observed.
const PRIOR_TURNS: u64 = 10;
/// Before turns were observed, a buyer is expected to take half of the limit and of this, at most: limits are often far above
/// what people buy.
const PRIOR_UNITS_MAX: u32 = 4;

/// A sale at a moment: what an estimate depends on.
#[derive(Clone, Copy, Debug)]
pub struct LineMoment<'a> {
    pub policy: &'a Policy,
    pub counters: SaleCounters,
    pub switches: SaleSwitches,
    pub now: Timestamp,
}

/// What an estimate depends on besides the place and the time. With it, a client estimates the wait at any place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinePace {
    /// Admissions a second, at most.
    pub per_second: u32,
    pub limit_per_buyer: u32,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    /// Whether the sale is paused or closed.
    pub is_stopped: bool,
    /// Units that the next in line can get; see [`SaleCounters::free`].
    pub free: u32,
    /// Units that are set aside for admitted buyers.
    pub admitted: u32,
    /// Units that turns have taken: in pending orders, and sold.
    pub taken: u32,
}

impl LineMoment<'_> {
    /// See [`LinePace::estimate_wait_s`]; `None` also for a sale without a line.
    #[must_use]
    pub fn estimate_wait_s(&self, ticket: Ticket, position: u32) -> Option<u64> {
        self.pace()?.estimate_wait_s(self.now, ticket, position)
    }

    /// What estimates depend on; `None` for a sale without a line.
    #[must_use]
    pub fn pace(&self) -> Option<LinePace> {
        let AdmissionMode::Fifo { per_second, .. } = self.policy.admission else { return None };
        let units = &self.counters;
        Some(LinePace {
            per_second,
            limit_per_buyer: self.policy.limit_per_buyer,
            starts_at: self.policy.starts_at,
            ends_at: self.policy.ends_at,
            is_stopped: self.switches.is_closed || self.switches.paused_at.is_some(),
            free: units.free(),
            admitted: units.admitted,
            taken: units.sold.saturating_add(units.held),
        })
    }
}

impl LinePace {
    /// Seconds until a waiting buyer is admitted: the time until the start, then the pace. `None` when the units do not reach the
    /// place, in a pause, while no unit is free, and when the sale ends before the turn comes.
    #[must_use]
    pub fn estimate_wait_s(&self, now: Timestamp, ticket: Ticket, position: u32) -> Option<u64> {
        if self.is_stopped || now >= self.ends_at || !self.reaches(now, ticket, position) {
            return None;
        }
        let until_start_ms = self.starts_at.ms_since(now).max(0).unsigned_abs();
        // The first `per_second` buyers are admitted within the first second.
        let after_start_s = u64::from(position.saturating_sub(1) / self.per_second.max(1));
        let wait_s = until_start_ms.div_ceil(1000) + after_start_s;
        let until_end_ms = self.ends_at.ms_since(now).max(0).unsigned_abs();
        (wait_s * 1000 < until_end_ms).then_some(wait_s)
    }

    /// Whether the free units last until this place is reached. Every turn before it takes as many units as the turns did that are
    /// over, and at least one: a unit that may come back counts when it is free again, because nobody can say when that is.
    fn reaches(&self, now: Timestamp, ticket: Ticket, position: u32) -> bool {
        let (free, admitted) = (u64::from(self.free), u64::from(self.admitted));
        if position == 0 || u64::from(position) > free {
            return false;
        }
        // Of the tickets before this one, those that do not wait any more. Buyers who left before their turn are among them; no
        // more turns than the pace allowed can be.
        let gone = u64::from(ticket.0.saturating_sub(position));
        let open_ms = now.ms_since(self.starts_at);
        let turns_max =
            if open_ms < 0 { 0 } else { u64::from(self.per_second) * (open_ms.unsigned_abs() / 1000 + 1) };
        let turns_over = gone.min(turns_max).saturating_sub(admitted);
        // Units of a turn as a fraction. Half of the limit is the expectation, so both parts are doubled.
        let expected_twice = u64::from(self.limit_per_buyer.min(PRIOR_UNITS_MAX)) + 1;
        let taken = 2 * u64::from(self.taken) + PRIOR_TURNS * expected_twice;
        let turns = 2 * (turns_over + PRIOR_TURNS);
        let taken = taken.clamp(turns, turns * u64::from(self.limit_per_buyer.max(1)));
        let turns_ahead = u64::from(position - 1) + admitted;
        let needed = u128::from(turns_ahead) * u128::from(taken) + u128::from(turns);
        needed <= u128::from(free + admitted) * u128::from(turns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Money;

    const START: Timestamp = Timestamp(1_000_000);

    fn policy(limit_per_buyer: u32) -> Policy {
        Policy {
            quantity: 100,
            unit_price: Money { minor: 100, currency: "EUR".parse().unwrap() },
            starts_at: START,
            ends_at: START.plus_s(3_600),
            limit_per_buyer,
            hold_s: 60,
            admission: AdmissionMode::Fifo {
                per_second: 2,
                checkout_s: 60,
                line_opens_s: 60,
                extension_s: 0,
            },
        }
    }

    fn counters(available: u32, admitted: u32, held: u32, sold: u32) -> SaleCounters {
        let quantity = available + admitted + held + sold;
        SaleCounters { quantity, available, admitted, held, sold, ..SaleCounters::default() }
    }

    fn estimate(limit: u32, counters: SaleCounters, at_s: i64, place: (u32, u32)) -> Option<u64> {
        let (policy, switches) = (policy(limit), SaleSwitches::default());
        let now = START.plus_ms(at_s * 1000);
        let moment = LineMoment { policy: &policy, counters, switches, now };
        moment.estimate_wait_s(Ticket(place.0), place.1)
    }

    #[test]
    fn before_the_start_the_time_until_then_counts() {
        let untouched = counters(100, 0, 0, 0);
        assert_eq!(estimate(1, untouched, -30, (1, 1)), Some(30));
        assert_eq!(estimate(1, untouched, -30, (41, 41)), Some(50));
        assert_eq!(estimate(1, untouched, -30, (100, 100)), Some(79));
    }

    #[test]
    fn a_place_behind_the_units_has_no_estimate() {
        let untouched = counters(100, 0, 0, 0);
        assert_eq!(estimate(1, untouched, -30, (101, 101)), None);
        assert_eq!(estimate(1, counters(3, 0, 0, 0), 0, (3, 3)), Some(1));
        assert_eq!(estimate(1, counters(3, 0, 0, 0), 0, (30, 30)), None);
        assert_eq!(
            estimate(1, counters(40, 10, 20, 30), 30, (150, 90)),
            None,
            "more people than unsold units"
        );
    }

    #[test]
    fn there_is_no_estimate_while_no_unit_is_free() {
        assert_eq!(estimate(1, counters(0, 10, 90, 0), 60, (101, 1)), None);
        assert_eq!(estimate(1, counters(0, 0, 0, 100), 60, (101, 1)), None);
    }

    #[test]
    fn buyers_who_take_several_units_are_counted_so() {
        assert_eq!(estimate(1, counters(100, 0, 0, 0), -30, (90, 90)), Some(74));
        assert_eq!(
            estimate(4, counters(100, 0, 0, 0), -30, (90, 90)),
            None,
            "two and a half each are expected"
        );
        assert_eq!(estimate(4, counters(100, 0, 0, 0), -30, (40, 40)), Some(49));
        // Two hundred turns took a unit each: so will the next.
        assert_eq!(estimate(4, counters(100, 0, 0, 200), 120, (280, 80)), Some(39));
    }

    #[test]
    fn units_that_may_come_back_are_not_counted_before_they_do() {
        // Of 200 turns, 100 gave their unit back, and more may.
        assert_eq!(estimate(1, counters(100, 0, 50, 50), 120, (320, 120)), None);
        assert_eq!(estimate(1, counters(100, 0, 50, 50), 120, (300, 100)), Some(49));
        // One has just come back: it is the next buyer's, and tells the others nothing.
        assert_eq!(estimate(1, counters(1, 20, 29, 50), 120, (151, 1)), Some(0));
        assert_eq!(estimate(1, counters(1, 20, 29, 50), 120, (152, 2)), None);
    }

    #[test]
    fn buyers_who_left_before_the_start_tell_nothing_about_turns() {
        assert_eq!(estimate(4, counters(100, 0, 0, 0), -30, (190, 90)), None);
    }

    #[test]
    fn a_pause_and_an_end_before_the_turn_leave_no_estimate() {
        let (policy, counters) = (policy(1), counters(100, 0, 0, 0));
        let at = |now: Timestamp, paused_at| {
            let switches = SaleSwitches { paused_at, is_closed: false };
            LineMoment { policy: &policy, counters, switches, now }.estimate_wait_s(Ticket(41), 41)
        };
        assert_eq!(at(START, None), Some(20));
        assert_eq!(at(START, Some(START)), None);
        assert_eq!(at(START.plus_ms(-10_000), Some(START.plus_ms(-20_000))), None, "paused before the start");
        assert_eq!(at(policy.ends_at.plus_ms(-10_000), None), None, "the sale ends before");
        assert_eq!(at(policy.ends_at.plus_ms(-21_000), None), Some(20));
        assert_eq!(at(policy.ends_at, None), None);
    }
}
