//! Joining the line, leaving it, and extending an admission. Tickets follow arrival alone.

use super::DecideResult;
use crate::event::Event;
use crate::id::{BuyerId, Ticket};
use crate::outcome::{CommandOutcome, LinePosition, Refusal};
use crate::phase::refusal_for_every_join;
use crate::state::{BuyerRecord, SaleState};
use crate::time::Timestamp;

impl SaleState {
    pub(super) fn join(&self, now: Timestamp, id: BuyerId, events: &mut Vec<Event>) -> DecideResult {
        let policy = self.policy().ok_or(Refusal::NotStarted)?;
        // A buyer may join before the start, and in a pause.
        refusal_for_every_join(now, policy, self.phase(now)).map_or(Ok(()), Err)?;
        let buyer = self.buyers.get(id);
        if let Some((ticket, place)) = buyer.and_then(|buyer| self.line_position_at(now, buyer)) {
            return Err(Refusal::AlreadyInLine { ticket, place });
        }
        if buyer.map_or(0, BuyerRecord::units) >= u64::from(policy.limit_per_buyer) {
            return Err(Refusal::LimitReached);
        }
        if self.units.sold >= self.units.quantity {
            return Err(Refusal::SoldOut);
        }
        // Four thousand million tickets do not fit a machine's memory.
        let ticket = self.line.next_ticket().ok_or(Refusal::SoldOut)?;
        if let Some(ticket) = buyer.and_then(BuyerRecord::ticket) {
            // The admission is over, but no tick has recorded it yet: the old place ends before the new one begins.
            events.push(Event::Lapsed { buyer: id, ticket });
        }
        events.push(Event::Joined { buyer: id, ticket });
        Ok(CommandOutcome::Joined { ticket, position: self.line.waiting() + 1 })
    }

    pub(super) fn leave(&self, now: Timestamp, id: BuyerId, events: &mut Vec<Event>) -> DecideResult {
        let place = self.buyers.get(id).and_then(|buyer| self.line_position_at(now, buyer));
        let (ticket, place) = place.ok_or(Refusal::NotInLine)?;
        let admitted = matches!(place, LinePosition::Admitted { .. });
        events.push(Event::Left { buyer: id, ticket, admitted });
        Ok(CommandOutcome::Left { ticket })
    }

    /// Gives an admitted buyer more time, once. The extension was promised with the admission, so neither a pause nor the end
    /// of the sale takes it away. A repeated command gets the same answer: a lost reply must not cost the admission.
    pub(super) fn extend(&self, now: Timestamp, id: BuyerId, events: &mut Vec<Event>) -> DecideResult {
        let policy = self.policy().ok_or(Refusal::NotStarted)?;
        policy.line_opens_at().ok_or(Refusal::NoLine)?;
        let place = self.buyers.get(id).and_then(|buyer| self.line_position_at(now, buyer));
        match place.ok_or(Refusal::NotInLine)? {
            (ticket, LinePosition::Waiting { position }) => Err(Refusal::NotAdmitted { ticket, position }),
            (ticket, LinePosition::Admitted { until, .. }) if self.line.is_extended(ticket) => {
                Ok(CommandOutcome::Extended { ticket, until, repeated: true })
            }
            (_, LinePosition::Admitted { extension_s: 0, .. }) => Err(Refusal::NoExtension),
            (ticket, LinePosition::Admitted { until, extension_s }) => {
                let until = until.plus_s(extension_s);
                events.push(Event::Extended { buyer: id, ticket, until });
                Ok(CommandOutcome::Extended { ticket, until, repeated: false })
            }
        }
    }

    /// A buyer's ticket and position at `now`. An admission that is over does not count, even before a tick records it.
    pub(super) fn line_position_at(
        &self,
        now: Timestamp,
        buyer: &BuyerRecord,
    ) -> Option<(Ticket, LinePosition)> {
        let ticket = buyer.ticket()?;
        match self.line_position(ticket)? {
            LinePosition::Admitted { until, .. } if until <= now && self.paused_at.is_none() => None,
            place => Some((ticket, place)),
        }
    }
}
