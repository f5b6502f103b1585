//! The waiting tickets of one line, and their positions in logarithmic time at four bytes a ticket. It knows tickets, not buyers.

use sale::Ticket;

/// A Fenwick tree over all tickets of the line.
#[derive(Debug, Default)]
pub struct WaitingTickets {
    /// At `i - 1`: how many tickets wait among the `i & -i` tickets that end with ticket `i`.
    tree: Vec<u32>,
    is_closed: bool,
}

impl WaitingTickets {
    /// Adds a ticket. Tickets come in order; a ticket that is not above the last one is ignored.
    pub fn add_ticket(&mut self, ticket: Ticket) {
        if self.is_closed {
            return;
        }
        while self.tree.len() < ticket.0 as usize {
            let at = self.tree.len() + 1;
            let mut sum = u32::from(at == ticket.0 as usize);
            let mut part = 1;
            while part < lowest_bit(at) {
                sum += self.tree[at - part - 1];
                part <<= 1;
            }
            self.tree.push(sum);
        }
    }

    pub fn remove_ticket(&mut self, ticket: Ticket) {
        if !self.is_waiting(ticket) {
            return;
        }
        let mut at = ticket.0 as usize;
        while at <= self.tree.len() {
            self.tree[at - 1] -= 1;
            at += lowest_bit(at);
        }
    }

    /// Removes all tickets, for good.
    pub fn close(&mut self) {
        *self = Self { tree: Vec::new(), is_closed: true };
    }

    /// Waiting tickets up to and including this one; `None` when it does not wait.
    #[must_use]
    pub fn position(&self, ticket: Ticket) -> Option<u32> {
        self.is_waiting(ticket).then(|| self.count_up_to(ticket.0 as usize))
    }

    fn is_waiting(&self, ticket: Ticket) -> bool {
        let at = ticket.0 as usize;
        (1..=self.tree.len()).contains(&at) && self.count_up_to(at) > self.count_up_to(at - 1)
    }

    fn count_up_to(&self, mut at: usize) -> u32 {
        let mut sum = 0;
        while at > 0 {
            sum += self.tree[at - 1];
            at -= lowest_bit(at);
        }
        sum
    }
}

fn lowest_bit(at: usize) -> usize {
    at & at.wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_closed_line_has_no_tickets_and_takes_none() {
        let mut line = WaitingTickets::default();
        line.add_ticket(Ticket(3));
        line.close();
        line.add_ticket(Ticket(4));
        line.remove_ticket(Ticket(3));
        assert_eq!([3, 4].map(|ticket| line.position(Ticket(ticket))), [None, None]);
        assert_eq!(line.tree.capacity(), 0);
    }

    proptest! {
        #[test]
        fn positions_are_those_of_a_list(steps in prop::collection::vec((0..3u8, 1..60u32), 1..200)) {
            let (mut line, mut list, mut last) = (WaitingTickets::default(), BTreeSet::new(), 0);
            for (kind, ticket) in steps {
                if kind < 2 {
                    // Now and then a ticket is missing, as in a ledger with a gap.
                    last += 1 + ticket / 58;
                    line.add_ticket(Ticket(last));
                    list.insert(last);
                } else {
                    line.remove_ticket(Ticket(ticket));
                    list.remove(&ticket);
                }
                for ticket in 0..=last + 1 {
                    let position = list.contains(&ticket).then(|| list.range(..=ticket).count());
                    prop_assert_eq!(line.position(Ticket(ticket)).map(|position| position as usize), position);
                }
            }
        }
    }
}
