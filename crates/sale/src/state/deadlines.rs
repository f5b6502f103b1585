//! Deadlines in order. The caller decides whether an entry still counts.
//!
//! Deadlines are almost always inserted in the order in which they are due, because most windows have the same length: those
//! are appended to a queue, in O(1). A tree has the few that are due before an earlier one (a merchant shortened the hold) or
//! long after later ones (an extension). A stale entry is not searched for: it is dropped when it reaches the front.

use crate::time::Timestamp;
use std::collections::{BTreeSet, VecDeque};

/// Deadlines of numbered things, first those that come due first, then those with the smaller number.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeadlineQueue {
    in_order: VecDeque<(Timestamp, u32)>,
    out_of_order: BTreeSet<(Timestamp, u32)>,
}

impl DeadlineQueue {
    pub(crate) fn insert(&mut self, until: Timestamp, number: u32) {
        if self.in_order.back().is_none_or(|last| *last <= (until, number)) {
            self.in_order.push_back((until, number));
        } else {
            self.insert_out_of_order(until, number);
        }
    }

    /// As [`DeadlineQueue::insert`], for a deadline that is later than the next ones: in the queue it would force all of those into
    /// the tree.
    pub(crate) fn insert_out_of_order(&mut self, until: Timestamp, number: u32) {
        self.out_of_order.insert((until, number));
    }

    /// Drops what no longer counts from the front, so that [`DeadlineQueue::first`] counts; amortised O(1).
    pub(crate) fn drop_stale(&mut self, counts: impl Fn(Timestamp, u32) -> bool) {
        while self.in_order.front().is_some_and(|(until, number)| !counts(*until, *number)) {
            self.in_order.pop_front();
        }
        while self.out_of_order.first().is_some_and(|(until, number)| !counts(*until, *number)) {
            self.out_of_order.pop_first();
        }
    }

    /// The first deadline, if the last change was followed by [`DeadlineQueue::drop_stale`].
    pub(crate) fn first(&self) -> Option<Timestamp> {
        let (a, b) = (self.in_order.front(), self.out_of_order.first());
        a.into_iter().chain(b).map(|(until, _)| *until).min()
    }

    /// Everything due at `now`, in order and once, including what no longer counts.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, u32)> + '_ {
        let mut in_order = self.in_order.iter().copied().peekable();
        let mut apart = self.out_of_order.iter().copied().peekable();
        std::iter::from_fn(move || match (in_order.peek(), apart.peek()) {
            (Some(a), Some(b)) if b < a => apart.next(),
            // A deadline that was given up and is in force again is in both.
            (Some(a), Some(b)) if b == a => {
                apart.next();
                in_order.next()
            }
            (None, Some(_)) => apart.next(),
            _ => in_order.next(),
        })
        .take_while(move |(until, _)| *until <= now)
    }

    /// Moves every deadline by `ms`.
    pub(crate) fn shift_all(&mut self, ms: i64) {
        for (until, _) in &mut self.in_order {
            *until = until.plus_ms(ms);
        }
        let apart = std::mem::take(&mut self.out_of_order);
        self.out_of_order.extend(apart.into_iter().map(|(until, number)| (until.plus_ms(ms), number)));
    }
}

#[cfg(test)]
mod tests {
    use super::DeadlineQueue;
    use crate::time::Timestamp;

    #[test]
    fn what_comes_due_first_comes_first_whenever_it_was_made() {
        let mut deadlines = DeadlineQueue::default();
        for (until, number) in [(300, 0), (60, 1), (300, 2), (60, 3), (400, 4)] {
            deadlines.insert(Timestamp(until), number);
        }
        let due = |deadlines: &DeadlineQueue, now| {
            deadlines.due(Timestamp(now)).map(|(_, number)| number).collect::<Vec<_>>()
        };
        assert_eq!(due(&deadlines, 59), []);
        assert_eq!(due(&deadlines, 400), [1, 3, 0, 2, 4]);
        assert_eq!(deadlines.first(), Some(Timestamp(60)));
        deadlines.drop_stale(|_, number| number != 1 && number != 0);
        assert_eq!(due(&deadlines, 300), [3, 2]);
        deadlines.insert_out_of_order(Timestamp(500), 5);
        deadlines.insert(Timestamp(450), 6);
        assert_eq!(due(&deadlines, 500), [3, 2, 4, 6, 5]);
        deadlines.insert_out_of_order(Timestamp(300), 2);
        assert_eq!(due(&deadlines, 300), [3, 2]);
        deadlines.shift_all(10);
        assert_eq!(deadlines.first(), Some(Timestamp(70)));
        assert_eq!(due(&deadlines, 309), [3]);
    }
}
