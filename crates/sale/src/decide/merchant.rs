//! What the merchant may do. Nothing here takes back what was promised to a buyer.

use super::Decided;
use crate::event::Event;
use crate::outcome::{Outcome, Phase, Refusal};
use crate::policy::{Admission, Policy, QUANTITY_MAX};
use crate::state::State;
use crate::time::Timestamp;

impl State {
    pub(super) fn configure(&self, now: Timestamp, new: &Policy, events: &mut Vec<Event>) -> Decided {
        if !new.problems().is_empty() {
            return Err(Refusal::BadPolicy);
        }
        if let Some(old) = self.policy() {
            if old == new {
                return Ok(Outcome::Done);
            }
            match self.phase(now) {
                Phase::Closed => return Err(Refusal::Closed),
                Phase::Ended => return Err(Refusal::PromiseMade),
                Phase::Upcoming | Phase::Paused | Phase::Active => {}
            }
            if self.has_promised(now, old) && !keeps_promises(old, new) {
                return Err(Refusal::PromiseMade);
            }
        }
        events.push(Event::Configured { policy: Box::new(new.clone()) });
        Ok(Outcome::Done)
    }

    pub(super) fn pause(&self, now: Timestamp, events: &mut Vec<Event>) -> Decided {
        self.policy().ok_or(Refusal::NotStarted)?;
        match self.phase(now) {
            Phase::Closed => Err(Refusal::Closed),
            Phase::Ended => Err(Refusal::Ended),
            Phase::Upcoming | Phase::Paused | Phase::Active => {
                if self.paused_at.is_none() {
                    events.push(Event::Paused);
                }
                Ok(Outcome::Done)
            }
        }
    }

    /// A sale that ended in a pause may still be resumed: the admitted get the rest of their windows.
    pub(super) fn resume(&self, events: &mut Vec<Event>) -> Decided {
        self.policy().ok_or(Refusal::NotStarted)?;
        if self.closed {
            return Err(Refusal::Closed);
        }
        if self.paused_at.is_some() {
            events.push(Event::Resumed);
        }
        Ok(Outcome::Done)
    }

    pub(super) fn close(&self, events: &mut Vec<Event>) -> Decided {
        self.policy().ok_or(Refusal::NotStarted)?;
        if !self.closed {
            events.push(Event::Closed);
        }
        Ok(Outcome::Done)
    }

    pub(super) fn restock(&self, now: Timestamp, quantity: u32, events: &mut Vec<Event>) -> Decided {
        self.policy().ok_or(Refusal::NotStarted)?;
        match self.phase(now) {
            Phase::Closed => return Err(Refusal::Closed),
            Phase::Ended => return Err(Refusal::Ended),
            Phase::Upcoming | Phase::Paused | Phase::Active => {}
        }
        if quantity == 0 || self.units.quantity + u64::from(quantity) > u64::from(QUANTITY_MAX) {
            return Err(Refusal::BadPolicy);
        }
        events.push(Event::Restocked { quantity });
        Ok(Outcome::Done)
    }

    /// True once a buyer may have acted on the policy: the line or the sale is open, or somebody came before.
    fn has_promised(&self, now: Timestamp, policy: &Policy) -> bool {
        let opens_at = policy.line_opens_at().unwrap_or(policy.starts_at);
        now >= opens_at || self.line.was_joined() || self.orders.len() > 0
    }
}

/// True when a change only adds to what was promised: more units, a later end, a longer extension. The hold may change
/// either way, because each hold already given carries its own end.
fn keeps_promises(old: &Policy, new: &Policy) -> bool {
    let mut allowed =
        Policy { quantity: new.quantity, ends_at: new.ends_at, hold_s: new.hold_s, ..old.clone() };
    if let Admission::Fifo { extension_s, .. } = &mut allowed.admission {
        *extension_s = new.extension_s();
    }
    let adds = new.quantity >= old.quantity && new.ends_at >= old.ends_at;
    allowed == *new && adds && new.extension_s() >= old.extension_s()
}
