//! What should have happened before a command was decided.

use super::{AuditModel, PromiseFindings, check_promise};
use crate::audit::SalePromise;
use crate::event::{Event, ReleaseCause};
use crate::time::Timestamp;
use std::cmp::Reverse;

/// True for what time alone brings about.
pub(super) fn is_from_tick(event: &Event) -> bool {
    let expired = matches!(event, Event::Released { reason: ReleaseCause::Expired, .. });
    expired || matches!(event, Event::Lapsed { .. } | Event::Admitted { .. })
}

impl AuditModel {
    /// Before a command at `at` is decided, everything that was due by then has happened.
    pub(super) fn check_nothing_is_due(&mut self, at: Timestamp, found: &mut PromiseFindings) {
        let hold = self.next_hold_end();
        check_promise(hold.is_none_or(|until| until > at), SalePromise::AtOnce, found, || {
            format!("a hold until {hold:?} had not expired at {at:?}")
        });
        let window = if self.paused_at.is_some() { None } else { self.next_window_end() };
        check_promise(window.is_none_or(|until| until > at), SalePromise::AtOnce, found, || {
            format!("an admission until {window:?} had not lapsed at {at:?}")
        });
        check_promise(!self.could_admit(at), SalePromise::AtOnce, found, || {
            format!("{} units were free while {} waited", self.available, self.waiting.len())
        });
    }

    fn could_admit(&self, at: Timestamp) -> bool {
        let Some((per_second, _)) = self.fifo_rules() else {
            return false;
        };
        let is_rate_used_up = self.admissions.len() >= per_second as usize
            && self.admissions.front().is_some_and(|oldest| at.ms_since(*oldest) < 1000);
        self.available > 0 && !self.waiting.is_empty() && self.is_active_at(at) && !is_rate_used_up
    }

    fn next_hold_end(&mut self) -> Option<Timestamp> {
        while let Some(Reverse((until, order))) = self.hold_ends.peek() {
            if self.orders.get(order).and_then(|record| record.status.hold_end()) == Some(*until) {
                return Some(*until);
            }
            self.hold_ends.pop();
        }
        None
    }

    fn next_window_end(&mut self) -> Option<Timestamp> {
        while let Some(Reverse((until, ticket))) = self.window_ends.peek() {
            if self.admitted.get(ticket).is_some_and(|turn| turn.until == *until) {
                return Some(*until);
            }
            self.window_ends.pop();
        }
        None
    }
}
