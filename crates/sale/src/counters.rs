//! A sale in numbers: where its units are, how many buyers wait, and whether a unit can be had. The counters follow from the
//! events alone, so a reader of the ledger keeps them without any order or buyer.

mod balance;

use crate::event::Event;
pub(crate) use balance::{UnitBalance, UnitBucket};

/// Where a sale's units are: `available + admitted + held + sold = quantity + short`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SaleCounters {
    /// Units of the sale.
    pub quantity: u32,
    /// Units that are free.
    pub available: u32,
    /// Units set aside for admitted buyers, one each.
    pub admitted: u32,
    /// Units in pending orders.
    pub held: u32,
    /// Units in confirmed orders, and in refunded ones that were not restocked.
    pub sold: u32,
    /// Buyers who wait in line.
    pub waiting: u32,
    /// 0 for a whole ledger. Otherwise units that are given out twice on paper, because the ledger lacks the event that
    /// freed them. Freed units pay this debt before they are available, and a hold is not confirmed beyond the quantity: a
    /// buyer may be refused, nothing is sold twice.
    pub short: u32,
}

/// Whether a unit can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Availability {
    /// A unit is free.
    Available,
    /// No unit is free, but not all are sold: one may still come back.
    AllHeld,
    /// Every unit is sold.
    SoldOut,
}

impl SaleCounters {
    /// Applies one event. Each event says where its units came from, so no order has to be known. If events are missing,
    /// the counters stay possible (see [`SaleCounters::short`]).
    pub fn apply(&mut self, event: &Event) {
        let waiting = match event {
            Event::Joined { .. } => self.waiting.saturating_add(1),
            Event::Left { admitted: false, .. } | Event::Admitted { .. } => self.waiting.saturating_sub(1),
            _ => self.waiting,
        };
        let mut units = UnitBalance::from_counters(self);
        units.apply(event);
        *self = units.counters(waiting);
    }

    /// Units that are not sold: free, set aside for admitted buyers, or in pending orders.
    #[must_use]
    pub fn unsold(&self) -> u32 {
        self.quantity.saturating_sub(self.sold)
    }

    /// Units that were not sold before an event, when `unsold` are not sold after it. An event that sets a new quantity does not say what it
    /// was before: it counts as if it had always been the new one.
    #[must_use]
    pub fn unsold_before(event: &Event, unsold: u32) -> u32 {
        match *event {
            Event::Confirmed { quantity, .. } => unsold.saturating_add(quantity),
            Event::Restocked { quantity } | Event::Refunded { quantity, restocked: true, .. } => {
                unsold.saturating_sub(quantity)
            }
            _ => unsold,
        }
    }

    /// Units that the next in line can get now; units that pay [`SaleCounters::short`] first are not among them.
    #[must_use]
    pub fn free(&self) -> u32 {
        self.available.saturating_sub(self.short)
    }

    #[must_use]
    pub fn availability(&self) -> Availability {
        if self.available > 0 {
            Availability::Available
        } else if self.sold >= self.quantity {
            Availability::SoldOut
        } else {
            Availability::AllHeld
        }
    }
}

impl Availability {
    /// The word of the API.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::AllHeld => "all_held",
            Self::SoldOut => "sold_out",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::UnitSource;
    use crate::id::{BuyerId, OrderId};
    use uuid::Uuid;

    #[test]
    fn what_was_unsold_follows_from_what_is_unsold() {
        let (buyer, order) = (BuyerId(Uuid::from_u128(1)), OrderId(Uuid::from_u128(2)));
        let sold = Event::Confirmed { buyer, order, quantity: 3, from: UnitSource::Stock, key: None };
        let refunded = |restocked| Event::Refunded { buyer, order, quantity: 2, restocked };
        let mut counters = SaleCounters { quantity: 10, available: 10, ..SaleCounters::default() };
        for event in [
            sold.clone(),
            refunded(true),
            Event::Restocked { quantity: 7 },
            sold,
            refunded(false),
            Event::Paused,
        ] {
            let before = counters.unsold();
            counters.apply(&event);
            assert_eq!(SaleCounters::unsold_before(&event, counters.unsold()), before, "{event:?}");
        }
    }
}
