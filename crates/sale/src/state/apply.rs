//! Applying an entry. Nothing is judged here: what was recorded has happened.
//!
//! An order's units follow its stage (see [`Stage::place`]), and a stage is told by the event alone, so an event whose
//! forerunner is missing still lands where it belongs.

use super::State;
use super::chunks::NONE;
use super::orders::{NewOrder, Stage};
use super::units::Place;
use crate::event::{Entry, Event, Release, Source};
use crate::id::{BuyerId, OrderId, RequestKey, Ticket};
use crate::time::Timestamp;

/// What an event says of an order.
struct Change {
    buyer: BuyerId,
    /// The ticket that the order came from, if it came from one.
    ticket: Option<Ticket>,
    order: OrderId,
    quantity: u32,
    key: Option<RequestKey>,
    at: Timestamp,
    /// As in [`super::Order::moment`].
    moment: Timestamp,
    stage: Stage,
}

impl State {
    /// Takes the next entry of the ledger. An entry that was applied before (its number is not above [`State::seq`]) is
    /// left out; numbers may be missing. Never fails, never panics, whatever the ledger says.
    pub fn apply(&mut self, entry: &Entry) {
        if entry.seq <= self.seq {
            return;
        }
        self.missing += entry.seq.0 - self.seq.0 - 1;
        self.seq = entry.seq;
        self.clock = self.clock.max(entry.at);
        self.apply_event(entry.at, &entry.event);
        self.orders.settle();
        self.line.settle();
        debug_assert!(self.units.add_up(), "units must add up after {entry:?}: {:?}", self.units);
    }

    fn apply_event(&mut self, at: Timestamp, event: &Event) {
        match *event {
            Event::Configured { ref policy } => {
                self.units.resize(u64::from(policy.quantity));
                self.policy = Some(policy.clone());
            }
            Event::Paused => {
                self.paused_at.get_or_insert(at);
            }
            Event::Resumed => self.thaw(at),
            Event::Closed => {
                self.thaw(at);
                self.closed = true;
            }
            Event::Restocked { quantity } => {
                self.units.resize(self.units.quantity + u64::from(quantity));
                if let Some(policy) = &mut self.policy {
                    policy.quantity = policy.quantity.saturating_add(quantity);
                }
            }
            Event::Joined { buyer, ticket } => self.enter_line(buyer, ticket),
            Event::Left { buyer, ticket, .. } | Event::Lapsed { buyer, ticket } => {
                self.leave_line(buyer, ticket)
            }
            Event::Admitted { buyer, ticket, until } => {
                if self.pass_turnstile(buyer, ticket, until) {
                    self.line.rate.record(at);
                }
            }
            Event::Extended { buyer, ticket, until } => self.extend_window(buyer, ticket, until),
            Event::Held { buyer, order, quantity, until, from, key } => {
                let ticket = self.use_admission(buyer, from);
                let stage = Stage::Pending;
                self.change_order(Change { buyer, ticket, order, quantity, key, at, moment: until, stage });
            }
            Event::Confirmed { buyer, order, quantity, from, key } => {
                let ticket = self.use_admission(buyer, from);
                let stage = Stage::Confirmed;
                self.change_order(Change { buyer, ticket, order, quantity, key, at, moment: at, stage });
            }
            Event::Released { buyer, order, quantity, reason } => {
                let stage = match reason {
                    Release::Cancelled => Stage::Cancelled,
                    Release::Declined => Stage::Declined,
                    Release::Expired => Stage::Expired,
                };
                let (ticket, key) = (None, None);
                self.change_order(Change { buyer, ticket, order, quantity, key, at, moment: at, stage });
            }
            Event::Refunded { buyer, order, quantity, restocked } => {
                let stage = if restocked { Stage::RefundedAndRestocked } else { Stage::RefundedAndGone };
                let (ticket, key) = (None, None);
                self.change_order(Change { buyer, ticket, order, quantity, key, at, moment: at, stage });
            }
        }
    }

    /// Ends a pause: admissions get back the time that they stood still.
    fn thaw(&mut self, at: Timestamp) {
        if let Some(paused_at) = self.paused_at.take() {
            self.line.shift(at.ms_since(paused_at).max(0));
        }
    }

    fn enter_line(&mut self, buyer: BuyerId, ticket: Ticket) {
        let number = self.buyers.enter(buyer);
        if self.line.join(ticket, number) {
            self.drop_place(number);
            self.buyers.at_mut(number).set_ticket(Some(ticket));
        }
    }

    fn leave_line(&mut self, buyer: BuyerId, ticket: Ticket) {
        let number = self.line.buyer(ticket);
        if self.buyers.is(number, buyer) && self.buyers.at(number).ticket() == Some(ticket) {
            self.drop_place(number);
        }
    }

    /// Admits a buyer. False when it cannot be: the number is gone, or somebody else's.
    fn pass_turnstile(&mut self, buyer: BuyerId, ticket: Ticket, until: Timestamp) -> bool {
        let number = self.enter_buyer(buyer, Some(ticket));
        let had = self.buyers.at(number).ticket();
        let is_anothers = had != Some(ticket) && self.line.is_waiting(ticket);
        if is_anothers || !self.line.admit(ticket, number, until) {
            return false;
        }
        if had != Some(ticket) {
            self.drop_place(number);
        }
        self.buyers.at_mut(number).set_ticket(Some(ticket));
        self.units.admit();
        true
    }

    /// An extension says whose it is and until when, so it also stands for an admission that the ledger lacks.
    fn extend_window(&mut self, buyer: BuyerId, ticket: Ticket, until: Timestamp) {
        let is_admitted = self.line.window(ticket).is_some() || self.pass_turnstile(buyer, ticket, until);
        if is_admitted && self.buyers.is(self.line.buyer(ticket), buyer) {
            self.line.extend(ticket, until);
        }
    }

    /// The number of a buyer, who gets one if new. A ticket tells it without a search.
    fn enter_buyer(&mut self, buyer: BuyerId, ticket: Option<Ticket>) -> u32 {
        let number = ticket.map_or(NONE, |ticket| self.line.buyer(ticket));
        if self.buyers.is(number, buyer) { number } else { self.buyers.enter(buyer) }
    }

    /// Takes a buyer out of the line, and frees the unit that an admission had set aside.
    fn drop_place(&mut self, number: u32) {
        let Some(ticket) = self.buyers.at(number).ticket() else {
            return;
        };
        self.buyers.at_mut(number).set_ticket(None);
        if self.line.window(ticket).is_some() {
            self.line.leave_admitted(ticket);
            self.units.unadmit();
        } else {
            self.line.leave_waiting(ticket);
        }
    }

    /// An order that comes from an admission uses it up: its unit is free for the moment until the order takes it.
    fn use_admission(&mut self, buyer: BuyerId, from: Source) -> Option<Ticket> {
        let Source::Admission { ticket } = from else { return None };
        self.leave_line(buyer, ticket);
        Some(ticket)
    }

    fn change_order(&mut self, change: Change) {
        let Change { buyer, ticket, order, quantity, key, at, moment, stage } = change;
        let found = self.orders.find(order);
        let (owner, quantity, before) = match found {
            Some(number) => {
                let known = self.orders.at(number);
                if stage.rank() <= known.stage.rank() {
                    return;
                }
                (known.buyer, known.quantity, known.stage.place())
            }
            None => (self.enter_buyer(buyer, ticket), quantity, Place::Free),
        };
        let was_confirmed = found.is_some_and(|number| self.orders.at(number).stage == Stage::Confirmed);
        self.units.shift(u64::from(quantity), before, stage.place());
        let record = self.buyers.at_mut(owner);
        if before == Place::Held {
            record.held = record.held.saturating_sub(quantity);
        }
        if was_confirmed {
            record.owned = record.owned.saturating_sub(quantity);
        }
        match stage {
            Stage::Pending => record.held = record.held.saturating_add(quantity),
            Stage::Confirmed => record.owned = record.owned.saturating_add(quantity),
            _ => {}
        }
        if let Some(number) = found {
            self.orders.change(number, stage, moment);
            return;
        }
        let previous = record.last_order;
        let made = NewOrder { id: order, key, stage, buyer: owner, quantity, previous, made_at: at, moment };
        let number = self.orders.insert(made);
        self.buyers.at_mut(owner).last_order = number;
    }
}
