//! When something is to be done for which sale, the next one first. A sale is in an agenda at most once. It knows no clock.

use sale::{SaleId, Timestamp};
use std::collections::{BTreeSet, HashMap};

#[derive(Default)]
pub(super) struct SaleAgenda {
    by_time: BTreeSet<(Timestamp, SaleId)>,
    times: HashMap<SaleId, Timestamp>,
}

impl SaleAgenda {
    /// Moves a sale to this moment, or removes it.
    pub(super) fn schedule(&mut self, sale: SaleId, at: Option<Timestamp>) {
        let before = match at {
            Some(at) => self.times.insert(sale, at),
            None => self.times.remove(&sale),
        };
        if let Some(before) = before {
            self.by_time.remove(&(before, sale));
        }
        if let Some(at) = at {
            self.by_time.insert((at, sale));
        }
    }

    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// The sales whose moment is not after `now`, in the order of their moments.
    pub(super) fn list_due(&self, now: Timestamp) -> impl Iterator<Item = SaleId> + '_ {
        self.by_time.iter().take_while(move |(at, _)| *at <= now).map(|(_, sale)| *sale)
    }
}
