//! Where the units of a sale are. Units move between places; they are never made or lost on the way.

/// The four places, and what a ledger with a missing event owes. Wide enough that no ledger can overflow them.
///
/// `available + admitted + held + sold = quantity + short`, and `short` is 0 whenever `available` is not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UnitBalance {
    pub(crate) quantity: u64,
    pub(crate) available: u64,
    pub(crate) admitted: u64,
    pub(crate) held: u64,
    pub(crate) sold: u64,
    /// Units that were given out though none was free: somewhere before, the ledger lacks the event that freed them.
    /// What is freed next pays this debt first.
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
    /// Takes units from the free ones.
    pub(crate) fn take_free(&mut self, units: u64) {
        let there = units.min(self.available);
        self.available -= there;
        self.short += units - there;
    }

    /// Gives units back to the free ones.
    pub(crate) fn give_back(&mut self, units: u64) {
        let owed = units.min(self.short);
        self.short -= owed;
        self.available += units - owed;
    }

    /// Moves an order's units.
    pub(crate) fn move_units(&mut self, units: u64, from: UnitBucket, to: UnitBucket) {
        match from {
            UnitBucket::Free => {}
            UnitBucket::Held => {
                self.held -= units;
                self.give_back(units);
            }
            UnitBucket::Sold => {
                self.sold -= units;
                self.give_back(units);
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
        self.admitted -= 1;
        self.give_back(1);
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
        let places = self.available + self.admitted + self.held + self.sold;
        places == self.quantity + self.short && (self.available == 0 || self.short == 0)
    }
}
