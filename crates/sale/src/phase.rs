//! A sale's phase at a moment, and the refusals that apply to every buyer in it. It reads the policy, the counters and the
//! merchant's switches, never a single buyer.

use crate::counters::{Availability, SaleCounters};
use crate::outcome::Refusal;
use crate::policy::Policy;
use crate::time::Timestamp;

/// What a sale is doing at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SalePhase {
    Upcoming,
    /// Units may be reserved.
    Active,
    /// Started, and stopped by the merchant for a while.
    Paused,
    /// Its time is over.
    Ended,
    /// The merchant ended it.
    Closed,
}

/// What the merchant did to a sale by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaleSwitches {
    /// Since when the sale is paused; `None` while it is not.
    pub paused_at: Option<Timestamp>,
    pub is_closed: bool,
}

impl SalePhase {
    /// The phase at `now`: closed, else ended, else upcoming, else paused, else active.
    #[must_use]
    pub fn at(now: Timestamp, policy: &Policy, switches: SaleSwitches) -> Self {
        if switches.is_closed {
            Self::Closed
        } else if now >= policy.ends_at {
            Self::Ended
        } else if now < policy.starts_at {
            Self::Upcoming
        } else if switches.paused_at.is_some() {
            Self::Paused
        } else {
            Self::Active
        }
    }

    /// The word of the API.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Upcoming => "upcoming",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Ended => "ended",
            Self::Closed => "closed",
        }
    }

    /// Whether no buyer can be admitted any more. Buyers who were admitted before may still buy.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Ended | Self::Closed)
    }

    /// The refusal of a reservation by a buyer who is not admitted; `None` while the sale is active.
    #[must_use]
    pub fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Upcoming => Some(Refusal::NotStarted),
            Self::Active => None,
            Self::Paused => Some(Refusal::Paused),
            Self::Ended => Some(Refusal::Ended),
            Self::Closed => Some(Refusal::Closed),
        }
    }

    /// The refusal of what is possible before the start and in a pause, but not after the end.
    pub(crate) fn refusal_when_over(self) -> Option<Refusal> {
        self.refusal().filter(|_| self.is_over())
    }
}

/// The refusal that every new reservation gets in this phase. `None` while the answer depends on the
/// buyer: an admitted buyer may buy after the end, and a pause may be over before the law decides.
///
/// It does not hold for a request that may repeat an earlier one: the law answers those as it did before.
#[must_use]
pub fn refusal_for_every_reservation(phase: SalePhase, counters: &SaleCounters) -> Option<Refusal> {
    let is_sold_out = counters.availability() == Availability::SoldOut;
    match phase {
        _ if counters.admitted > 0 => None,
        SalePhase::Active => is_sold_out.then_some(Refusal::SoldOut),
        SalePhase::Paused => None,
        SalePhase::Upcoming | SalePhase::Ended | SalePhase::Closed => phase.refusal(),
    }
}

/// The refusal that every buyer gets who would join the line at `now`, in the line or not.
#[must_use]
pub fn refusal_for_every_join(now: Timestamp, policy: &Policy, phase: SalePhase) -> Option<Refusal> {
    phase.refusal_when_over().or(match policy.line_opens_at() {
        None => Some(Refusal::NoLine),
        Some(opens_at) => (now < opens_at).then_some(Refusal::NotStarted),
    })
}
