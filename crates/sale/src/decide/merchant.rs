//! What the merchant may do. Nothing here takes back what was promised to a buyer.

use super::DecideResult;
use crate::event::Event;
use crate::outcome::{CommandOutcome, Refusal};
use crate::policy::{Policy, QUANTITY_MAX};
use crate::state::SaleState;
use crate::time::Timestamp;

impl SaleState {
    pub(super) fn configure(&self, now: Timestamp, new: &Policy, events: &mut Vec<Event>) -> DecideResult {
        if !new.problems().is_empty() {
            return Err(Refusal::BadPolicy);
        }
        if let Some(old) = self.policy() {
            if old == new {
                return Ok(CommandOutcome::Done);
            }
            self.require_not_over(now).map_err(|refusal| match refusal {
                Refusal::Ended => Refusal::PromiseMade,
                other => other,
            })?;
            if self.has_promised(now, old) && !old.keeps_promises(new) {
                return Err(Refusal::PromiseMade);
            }
        }
        events.push(Event::Configured { policy: Box::new(new.clone()) });
        Ok(CommandOutcome::Done)
    }

    pub(super) fn pause(&self, now: Timestamp, events: &mut Vec<Event>) -> DecideResult {
        self.policy().ok_or(Refusal::NotStarted)?;
        self.require_not_over(now)?;
        if self.paused_at.is_none() {
            events.push(Event::Paused);
        }
        Ok(CommandOutcome::Done)
    }

    /// A sale that ended in a pause may still be resumed: the admitted get the rest of their windows.
    pub(super) fn resume(&self, events: &mut Vec<Event>) -> DecideResult {
        self.policy().ok_or(Refusal::NotStarted)?;
        if self.closed {
            return Err(Refusal::Closed);
        }
        if self.paused_at.is_some() {
            events.push(Event::Resumed);
        }
        Ok(CommandOutcome::Done)
    }

    pub(super) fn close(&self, events: &mut Vec<Event>) -> DecideResult {
        self.policy().ok_or(Refusal::NotStarted)?;
        if !self.closed {
            events.push(Event::Closed);
        }
        Ok(CommandOutcome::Done)
    }

    pub(super) fn restock(&self, now: Timestamp, quantity: u32, events: &mut Vec<Event>) -> DecideResult {
        self.policy().ok_or(Refusal::NotStarted)?;
        self.require_not_over(now)?;
        if quantity == 0 || self.units.quantity + u64::from(quantity) > u64::from(QUANTITY_MAX) {
            return Err(Refusal::BadPolicy);
        }
        events.push(Event::Restocked { quantity });
        Ok(CommandOutcome::Done)
    }

    fn require_not_over(&self, now: Timestamp) -> Result<(), Refusal> {
        self.phase(now).refusal_when_over().map_or(Ok(()), Err)
    }

    /// True once a buyer may have acted on the policy: the line or the sale is open, or a buyer came before.
    fn has_promised(&self, now: Timestamp, policy: &Policy) -> bool {
        now >= policy.opens_at() || self.line.was_ever_joined() || self.orders.len() > 0
    }
}
