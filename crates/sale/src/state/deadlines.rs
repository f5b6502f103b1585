//! Moments at which something runs out, in order. Whether an entry still counts is the caller's to say.
//!
//! Deadlines are almost always made in the order in which they come due, because time goes on and windows have one
//! length: those go to the end of a queue, in O(1). The few that come due before one made earlier (a merchant shortened
//! the hold), or long after those to come (a buyer asked for more time), go to a tree. What was paid or given back is not searched for: it is dropped when it comes to the front.

use crate::time::Timestamp;
use std::collections::{BTreeSet, VecDeque};

/// Deadlines of numbered things, first those that come due first, then those with the smaller number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deadlines {
    in_order: VecDeque<(Timestamp, u32)>,
    apart: BTreeSet<(Timestamp, u32)>,
}

impl Deadlines {
    pub(crate) fn insert(&mut self, until: Timestamp, number: u32) {
        if self.in_order.back().is_none_or(|last| *last <= (until, number)) {
            self.in_order.push_back((until, number));
        } else {
            self.insert_apart(until, number);
        }
    }

    /// As [`Deadlines::insert`], for one that is out of order: at the end of the queue it would send all that follow to the
    /// tree.
    pub(crate) fn insert_apart(&mut self, until: Timestamp, number: u32) {
        self.apart.insert((until, number));
    }

    /// Drops what no longer counts from the front, so that [`Deadlines::first`] counts; amortised O(1).
    pub(crate) fn settle(&mut self, counts: impl Fn(Timestamp, u32) -> bool) {
        while self.in_order.front().is_some_and(|(until, number)| !counts(*until, *number)) {
            self.in_order.pop_front();
        }
        while self.apart.first().is_some_and(|(until, number)| !counts(*until, *number)) {
            self.apart.pop_first();
        }
    }

    /// The first deadline, if the last change was followed by [`Deadlines::settle`].
    pub(crate) fn first(&self) -> Option<Timestamp> {
        let (a, b) = (self.in_order.front(), self.apart.first());
        a.into_iter().chain(b).map(|(until, _)| *until).min()
    }

    /// Everything due at `now`, in order, including what no longer counts.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, u32)> + '_ {
        let mut in_order = self.in_order.iter().copied().peekable();
        let mut apart = self.apart.iter().copied().peekable();
        std::iter::from_fn(move || match (in_order.peek(), apart.peek()) {
            (Some(a), Some(b)) if b < a => apart.next(),
            (None, Some(_)) => apart.next(),
            _ => in_order.next(),
        })
        .take_while(move |(until, _)| *until <= now)
    }

    /// Moves every deadline by `ms`.
    pub(crate) fn shift(&mut self, ms: i64) {
        for (until, _) in &mut self.in_order {
            *until = until.plus_ms(ms);
        }
        let apart = std::mem::take(&mut self.apart);
        self.apart.extend(apart.into_iter().map(|(until, number)| (until.plus_ms(ms), number)));
    }
}

#[cfg(test)]
mod tests {
    use super::Deadlines;
    use crate::time::Timestamp;

    #[test]
    fn what_comes_due_first_comes_first_whenever_it_was_made() {
        let mut deadlines = Deadlines::default();
        for (until, number) in [(300, 0), (60, 1), (300, 2), (60, 3), (400, 4)] {
            deadlines.insert(Timestamp(until), number);
        }
        let due = |deadlines: &Deadlines, now| {
            deadlines.due(Timestamp(now)).map(|(_, number)| number).collect::<Vec<_>>()
        };
        assert_eq!(due(&deadlines, 59), []);
        assert_eq!(due(&deadlines, 400), [1, 3, 0, 2, 4]);
        assert_eq!(deadlines.first(), Some(Timestamp(60)));
        deadlines.settle(|_, number| number != 1 && number != 0);
        assert_eq!(due(&deadlines, 300), [3, 2]);
        deadlines.insert_apart(Timestamp(500), 5);
        deadlines.insert(Timestamp(450), 6);
        assert_eq!(due(&deadlines, 500), [3, 2, 4, 6, 5]);
        deadlines.shift(10);
        assert_eq!(deadlines.first(), Some(Timestamp(70)));
        assert_eq!(due(&deadlines, 309), [3]);
    }
}
