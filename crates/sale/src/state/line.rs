//! The waiting line, and the admissions at its head. Tickets are given in order of arrival and never twice.

use super::chunks::{ChunkedVec, NO_RECORD};
use super::deadlines::DeadlineQueue;
use super::rate::RateWindow;
use crate::id::Ticket;
use crate::time::Timestamp;
use crate::waiting_tickets::WaitingTickets;
use std::collections::BTreeMap;

/// A ledger may lack events, and so tickets. A jump wider than this is damage, and not worth the memory to follow.
const TICKET_JUMP_MAX: usize = 1 << 24;

/// Who waits, who is admitted, and when admissions end.
#[derive(Clone, Debug, Default)]
pub(crate) struct WaitingLine {
    /// The buyer's number of each ticket ever given; ticket 1 is at index 0.
    buyers: ChunkedVec<u32>,
    waiting: WaitingTickets,
    /// Tickets that are admitted, and until when. As many as there are units, at most.
    admitted: BTreeMap<Ticket, AdmissionWindow>,
    lapses: DeadlineQueue,
    pub(crate) rate: RateWindow,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct AdmissionWindow {
    /// The moment at which it ends.
    pub(crate) until: Timestamp,
    /// Whether it has had its extension.
    pub(crate) is_extended: bool,
}

impl WaitingLine {
    /// The number that the next buyer gets, unless all numbers were given.
    pub(crate) fn next_ticket(&self) -> Option<Ticket> {
        u32::try_from(self.buyers.len() + 1).ok().filter(|ticket| *ticket != NO_RECORD).map(Ticket)
    }

    /// Whether a buyer ever joined the line.
    pub(crate) fn was_ever_joined(&self) -> bool {
        self.buyers.len() > 0
    }

    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.len()
    }

    pub(crate) fn is_waiting(&self, ticket: Ticket) -> bool {
        self.waiting.contains(ticket)
    }

    /// Waiting buyers ahead, plus one; `None` for a ticket that does not wait.
    pub(crate) fn position(&self, ticket: Ticket) -> Option<u32> {
        self.waiting.position(ticket)
    }

    /// The admission of a ticket, while there is one.
    pub(crate) fn window(&self, ticket: Ticket) -> Option<AdmissionWindow> {
        self.admitted.get(&ticket).copied()
    }

    /// Whether the ticket is admitted and has had its extension.
    pub(crate) fn is_extended(&self, ticket: Ticket) -> bool {
        self.window(ticket).is_some_and(|window| window.is_extended)
    }

    /// The number of the buyer who was given a ticket; [`NO_RECORD`] for a ticket never seen.
    pub(crate) fn buyer(&self, ticket: Ticket) -> u32 {
        index(ticket).and_then(|index| self.buyers.get(index)).copied().unwrap_or(NO_RECORD)
    }

    /// Puts a buyer in line. False when the ticket cannot be: it was given before, or skips more than a ledger can lack.
    pub(crate) fn join(&mut self, ticket: Ticket, buyer: u32) -> bool {
        let fits = self.assign_ticket(ticket, buyer);
        if fits {
            self.waiting.insert(ticket);
        }
        fits
    }

    /// Admits a ticket, which need not be known. False when it cannot be.
    pub(crate) fn admit(&mut self, ticket: Ticket, buyer: u32, until: Timestamp) -> bool {
        if self.is_waiting(ticket) {
            self.remove_waiting(ticket);
        } else if !self.assign_ticket(ticket, buyer) {
            return false;
        }
        self.admitted.insert(ticket, AdmissionWindow { until, is_extended: false });
        self.lapses.insert(until, ticket.0);
        true
    }

    pub(crate) fn remove_waiting(&mut self, ticket: Ticket) {
        self.waiting.remove(ticket);
    }

    pub(crate) fn remove_admitted(&mut self, ticket: Ticket) {
        self.admitted.remove(&ticket);
    }

    /// Moves the end of an admission, for its one extension. The end that it had is dropped when it comes up.
    pub(crate) fn extend(&mut self, ticket: Ticket, until: Timestamp) {
        let Some(window) = self.admitted.get_mut(&ticket) else { return };
        let before = std::mem::replace(window, AdmissionWindow { until, is_extended: true });
        if before.until != until {
            self.lapses.insert_out_of_order(until, ticket.0);
        }
    }

    /// Gives every admission `ms` more: the time that a pause took.
    pub(crate) fn shift_windows(&mut self, ms: i64) {
        for window in self.admitted.values_mut() {
            window.until = window.until.plus_ms(ms);
        }
        self.lapses.shift_all(ms);
    }

    /// Forgets ends that do not count any more, so that [`WaitingLine::next_lapse`] is exact.
    pub(crate) fn drop_stale_lapses(&mut self) {
        let Self { admitted, lapses, .. } = self;
        lapses.drop_stale(|until, ticket| is_current_lapse(admitted, Ticket(ticket), until));
    }

    /// When the next admission ends.
    pub(crate) fn next_lapse(&self) -> Option<Timestamp> {
        self.lapses.first()
    }

    /// The tickets whose admission is over at `now`, by the moment of their end.
    pub(crate) fn lapsed(&self, now: Timestamp) -> impl Iterator<Item = Ticket> + '_ {
        let due = self.lapses.due(now).map(|(until, ticket)| (until, Ticket(ticket)));
        due.filter(|(until, ticket)| is_current_lapse(&self.admitted, *ticket, *until))
            .map(|(_, ticket)| ticket)
    }

    /// The tickets that wait, from the first after `after` on.
    pub(crate) fn waiting_after(&self, after: Option<Ticket>) -> impl Iterator<Item = Ticket> + '_ {
        self.waiting.iter_after(after)
    }

    /// The tickets that are admitted, from the first after `after` on.
    pub(crate) fn admitted_after(
        &self,
        after: Option<Ticket>,
    ) -> impl Iterator<Item = (Ticket, AdmissionWindow)> + '_ {
        let from = Ticket(after.map_or(0, |ticket| ticket.0.saturating_add(1)));
        self.admitted.range(from..).map(|(ticket, window)| (*ticket, *window))
    }

    /// Records the owner of a ticket. False for a ticket that has an owner, and for one that skips too many numbers.
    fn assign_ticket(&mut self, ticket: Ticket, buyer: u32) -> bool {
        let Some(index) = index(ticket).filter(|index| *index < NO_RECORD - 1) else { return false };
        if index as usize > self.buyers.len() + TICKET_JUMP_MAX {
            return false;
        }
        while self.buyers.len() <= index as usize {
            self.buyers.push(NO_RECORD);
        }
        let is_free = self.buyers[index] == NO_RECORD;
        if is_free {
            self.buyers[index] = buyer;
        }
        is_free
    }
}

/// Whether a ticket's admission ends at this moment.
fn is_current_lapse(admitted: &BTreeMap<Ticket, AdmissionWindow>, ticket: Ticket, until: Timestamp) -> bool {
    admitted.get(&ticket).is_some_and(|window| window.until == until)
}

/// The index of a ticket; tickets start at 1.
fn index(ticket: Ticket) -> Option<u32> {
    ticket.0.checked_sub(1)
}
