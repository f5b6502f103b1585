//! What happens by time alone: holds expire, admissions lapse, and the next buyers are admitted.

use crate::event::{Event, ReleaseCause};
use crate::phase::SalePhase;
use crate::state::SaleState;
use crate::time::Timestamp;

impl SaleState {
    /// The earliest moment at which [`crate::Command::Tick`] would do something: let a hold expire, let an admission
    /// lapse, or admit the next in line. Never before [`SaleState::latest_time`]; `None` when only a command can change anything.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let expiry = self.orders.next_expiry();
        let lapse = if self.paused_at.is_some() { None } else { self.line.next_lapse() };
        let due = [expiry, lapse, self.next_admission()].into_iter().flatten().min()?;
        Some(due.max(self.latest_time()))
    }

    /// The earliest moment at which the head of the line may be admitted, as things are.
    fn next_admission(&self) -> Option<Timestamp> {
        if self.line.waiting() == 0 || self.units.available == 0 || self.closed || self.paused_at.is_some() {
            return None;
        }
        let policy = self.policy.as_deref()?;
        let pace = policy.admission.with_rules(|rules| rules.next_admission_at(self))?;
        let at = policy.starts_at.max(pace).max(self.latest_time());
        (at < policy.ends_at).then_some(at)
    }

    /// Everything that is due at `now`, in the order in which it takes effect: units that are freed first are given away
    /// in the same tick.
    pub(super) fn tick(&self, now: Timestamp, events: &mut Vec<Event>) {
        let mut freed = 0;
        for order in self.orders.expired(now) {
            let buyer = self.buyers.at(order.buyer).id;
            let quantity = order.quantity;
            events.push(Event::Released { buyer, order: order.id, quantity, reason: ReleaseCause::Expired });
            freed += u64::from(quantity);
        }
        if self.paused_at.is_none() {
            for ticket in self.line.lapsed(now) {
                let buyer = self.buyers.at(self.line.buyer(ticket)).id;
                events.push(Event::Lapsed { buyer, ticket });
                freed += 1;
            }
        }
        self.admit_next(now, (self.units.available + freed).saturating_sub(self.units.short), events);
    }

    /// Admits waiting buyers as the sale's mode says, at most one for each free unit.
    fn admit_next(&self, now: Timestamp, available: u64, events: &mut Vec<Event>) {
        let Some(policy) = self.policy() else { return };
        if self.phase(now) == SalePhase::Active && available > 0 && self.line.waiting() > 0 {
            policy.admission.with_rules(|rules| rules.admit_buyers(self, now, available, events));
        }
    }
}
