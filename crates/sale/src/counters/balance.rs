//! The moves of units between the buckets of a sale: no move makes or loses a unit.

use super::SaleCounters;
use crate::event::{Event, UnitSource};

/// [`SaleCounters`] wide enough that no ledger can overflow them, without the waiting line.
///
/// `available + admitted + held + sold = quantity + short`, and `short` is 0 whenever `available` is not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UnitBalance {
    pub(crate) quantity: u64,
    pub(crate) available: u64,
    pub(crate) admitted: u64,
    pub(crate) held: u64,
    pub(crate) sold: u64,
    pub(crate) short: u64,
}

/// Where one order's units are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnitBucket {
    Free,
    Held,
    Sold,
}

impl UnitBalance {
    pub(super) fn from_counters(counters: &SaleCounters) -> Self {
        Self {
            quantity: counters.quantity.into(),
            available: counters.available.into(),
            admitted: counters.admitted.into(),
            held: counters.held.into(),
            sold: counters.sold.into(),
            short: counters.short.into(),
        }
    }

    pub(crate) fn counters(&self, waiting: u32) -> SaleCounters {
        let narrow = |units: u64| u32::try_from(units).unwrap_or(u32::MAX);
        SaleCounters {
            quantity: narrow(self.quantity),
            available: narrow(self.available),
            admitted: narrow(self.admitted),
            held: narrow(self.held),
            sold: narrow(self.sold),
            waiting,
            short: narrow(self.short),
        }
    }

    /// Moves the units of one event, which says itself where they came from.
    pub(super) fn apply(&mut self, event: &Event) {
        match *event {
            Event::Configured { ref policy } => self.set_quantity(policy.quantity.into()),
            Event::Restocked { quantity } => self.set_quantity(self.quantity + u64::from(quantity)),
            Event::Paused
            | Event::Resumed
            | Event::Closed
            | Event::Joined { .. }
            | Event::Extended { .. }
            | Event::PaymentBegun { .. }
            | Event::PaymentEnded { .. }
            | Event::Left { admitted: false, .. }
            | Event::Refunded { restocked: false, .. } => {}
            Event::Left { admitted: true, .. } | Event::Lapsed { .. } => self.give_back_admitted(),
            Event::Admitted { .. } => self.set_aside_one(),
            Event::Held { quantity, from, .. } => self.take_from(from, quantity.into(), UnitBucket::Held),
            Event::Confirmed { quantity, from, .. } => {
                self.take_from(from, quantity.into(), UnitBucket::Sold);
            }
            Event::Released { quantity, .. } => {
                self.move_units(quantity.into(), UnitBucket::Held, UnitBucket::Free);
            }
            Event::Refunded { quantity, restocked: true, .. } => {
                self.move_units(quantity.into(), UnitBucket::Sold, UnitBucket::Free);
            }
        }
    }

    fn take_from(&mut self, from: UnitSource, units: u64, to: UnitBucket) {
        let before = match from {
            UnitSource::Stock => UnitBucket::Free,
            UnitSource::Admission { .. } => {
                self.give_back_admitted();
                UnitBucket::Free
            }
            UnitSource::Hold => UnitBucket::Held,
        };
        self.move_units(units, before, to);
    }

    /// Takes units from the free ones.
    pub(crate) fn take_free(&mut self, units: u64) {
        let free = units.min(self.available);
        self.available -= free;
        self.short += units - free;
    }

    /// Gives units back to the free ones.
    pub(crate) fn give_back(&mut self, units: u64) {
        let repaid = units.min(self.short);
        self.short -= repaid;
        self.available += units - repaid;
    }

    /// Moves an order's units. A bucket gives back no more than it has: where a ledger lacks events, an event may free units
    /// that never were in the bucket.
    pub(crate) fn move_units(&mut self, units: u64, from: UnitBucket, to: UnitBucket) {
        match from {
            UnitBucket::Free => {}
            UnitBucket::Held => {
                let freed = units.min(self.held);
                self.held -= freed;
                self.give_back(freed);
            }
            UnitBucket::Sold => {
                let freed = units.min(self.sold);
                self.sold -= freed;
                self.give_back(freed);
            }
        }
        match to {
            UnitBucket::Free => {}
            UnitBucket::Held => {
                self.take_free(units);
                self.held += units;
            }
            UnitBucket::Sold => {
                self.take_free(units);
                self.sold += units;
            }
        }
    }

    /// Sets aside one unit for an admitted buyer.
    pub(crate) fn set_aside_one(&mut self) {
        self.take_free(1);
        self.admitted += 1;
    }

    /// Takes a unit back from an admission.
    pub(crate) fn give_back_admitted(&mut self) {
        let freed = self.admitted.min(1);
        self.admitted -= freed;
        self.give_back(freed);
    }

    /// Changes how many units there are.
    pub(crate) fn set_quantity(&mut self, quantity: u64) {
        if quantity >= self.quantity {
            self.give_back(quantity - self.quantity);
        } else {
            self.take_free(self.quantity - quantity);
        }
        self.quantity = quantity;
    }

    pub(crate) fn is_consistent(&self) -> bool {
        let total = self.available + self.admitted + self.held + self.sold;
        total == self.quantity + self.short && (self.available == 0 || self.short == 0)
    }
}
