//! The tickets that wait in a line, with the position of each. It knows tickets, no buyers.

mod rank_set;

use crate::event::Event;
use crate::id::Ticket;
use rank_set::RankSet;

/// A set of waiting tickets: one bit a ticket, and a position costs O(log n).
#[derive(Clone, Debug, Default)]
pub struct WaitingTickets {
    /// Ticket 1 has index 0.
    indices: RankSet,
}

impl WaitingTickets {
    #[must_use]
    pub fn len(&self) -> u32 {
        self.indices.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn contains(&self, ticket: Ticket) -> bool {
        index(ticket).is_some_and(|index| self.indices.contains(index))
    }

    /// Waiting tickets before this one, plus one; `None` for a ticket that does not wait.
    #[must_use]
    pub fn position(&self, ticket: Ticket) -> Option<u32> {
        let index = index(ticket).filter(|index| self.indices.contains(*index))?;
        Some(self.indices.below(index) + 1)
    }

    pub fn insert(&mut self, ticket: Ticket) {
        if let Some(index) = index(ticket) {
            self.indices.insert(index);
        }
    }

    pub fn remove(&mut self, ticket: Ticket) {
        if let Some(index) = index(ticket) {
            self.indices.remove(index);
        }
    }

    /// Applies one event of a sale's ledger.
    pub fn apply(&mut self, event: &Event) {
        match *event {
            Event::Joined { ticket, .. } => self.insert(ticket),
            Event::Admitted { ticket, .. } | Event::Left { ticket, admitted: false, .. } => {
                self.remove(ticket);
            }
            _ => {}
        }
    }

    /// The 64 tickets after `after`: a bit for each that waits, the lowest first.
    pub(crate) fn bits_after(&self, after: Ticket) -> u64 {
        self.indices.bits_from(after.0)
    }

    /// The tickets from the first after `after` on, in ascending order.
    pub fn iter_after(&self, after: Option<Ticket>) -> impl Iterator<Item = Ticket> + '_ {
        self.indices.iter_from(after.map_or(0, |ticket| ticket.0)).map(|index| Ticket(index + 1))
    }
}

/// The index of a ticket; tickets start at 1.
fn index(ticket: Ticket) -> Option<u32> {
    ticket.0.checked_sub(1)
}
