//! Applies an entry to the state. It refuses nothing, because a recorded event is a fact.
//!
//! An order's units follow its stage (see [`OrderStage::unit_bucket`]), and the event alone gives the stage, so an event is
//! applied correctly even if the one before it is missing.

use super::SaleState;
use super::chunks::NO_RECORD;
use super::orders::{NewOrderRecord, OrderStage};
use crate::counters::UnitBucket;
use crate::event::{Event, LedgerEntry, ReleaseCause, UnitSource};
use crate::id::{BuyerId, OrderId, RequestKey, Ticket};
use crate::time::Timestamp;

/// The fields of an event that change an order.
struct OrderChange {
    buyer: BuyerId,
    /// The ticket that the order came from, if it came from one.
    ticket: Option<Ticket>,
    order: OrderId,
    quantity: u32,
    key: Option<RequestKey>,
    at: Timestamp,
    /// As in [`super::OrderRecord::moment`].
    moment: Timestamp,
    stage: OrderStage,
}

impl SaleState {
    /// Takes the next entry of the ledger. An entry that was applied before (its number is not above [`SaleState::seq`]) is
    /// left out; numbers may be missing. Never fails and never panics.
    pub fn apply(&mut self, entry: &LedgerEntry) {
        if entry.seq <= self.seq {
            return;
        }
        self.missing += entry.seq.0 - self.seq.0 - 1;
        self.seq = entry.seq;
        self.clock = self.clock.max(entry.at);
        self.apply_event(entry.at, &entry.event);
        self.orders.drop_stale_expiries();
        self.line.drop_stale_lapses();
        debug_assert!(self.units.is_consistent(), "units must add up after {entry:?}: {:?}", self.units);
    }

    fn apply_event(&mut self, at: Timestamp, event: &Event) {
        match *event {
            Event::Configured { ref policy } => {
                self.units.set_quantity(u64::from(policy.quantity));
                self.policy = Some(policy.clone());
            }
            Event::Paused => {
                self.paused_at.get_or_insert(at);
            }
            Event::Resumed => self.end_pause(at),
            Event::Closed => {
                self.end_pause(at);
                self.closed = true;
            }
            Event::Restocked { quantity } => {
                self.units.set_quantity(self.units.quantity + u64::from(quantity));
                if let Some(policy) = &mut self.policy {
                    policy.quantity = policy.quantity.saturating_add(quantity);
                }
            }
            Event::Joined { buyer, ticket } => self.join_line(buyer, ticket),
            Event::Left { buyer, ticket, .. } | Event::Lapsed { buyer, ticket } => {
                self.leave_line(buyer, ticket)
            }
            Event::Admitted { buyer, ticket, until } => {
                if self.admit_buyer(buyer, ticket, until) {
                    self.line.rate.record_admission(at);
                }
            }
            Event::Extended { buyer, ticket, until } => self.extend_window(buyer, ticket, until),
            Event::Held { buyer, order, quantity, until, from, key } => {
                let ticket = self.consume_admission(buyer, from);
                let stage = OrderStage::Pending;
                self.change_order(OrderChange {
                    buyer,
                    ticket,
                    order,
                    quantity,
                    key,
                    at,
                    moment: until,
                    stage,
                });
            }
            Event::Confirmed { buyer, order, quantity, from, key } => {
                let ticket = self.consume_admission(buyer, from);
                let stage = OrderStage::Confirmed;
                self.change_order(OrderChange { buyer, ticket, order, quantity, key, at, moment: at, stage });
            }
            Event::Released { buyer, order, quantity, reason } => {
                let stage = match reason {
                    ReleaseCause::Cancelled => OrderStage::Cancelled,
                    ReleaseCause::Declined => OrderStage::Declined,
                    ReleaseCause::Expired => OrderStage::Expired,
                };
                let (ticket, key) = (None, None);
                self.change_order(OrderChange { buyer, ticket, order, quantity, key, at, moment: at, stage });
            }
            Event::PaymentBegun { buyer, order, quantity, held_until, until } => {
                if let Some(number) = self.find_pending_order((buyer, order, quantity), at, held_until) {
                    self.orders.begin_payment(number, until);
                }
            }
            Event::PaymentEnded { buyer, order, quantity, until } => {
                if let Some(number) = self.find_pending_order((buyer, order, quantity), at, until) {
                    self.orders.end_payment(number);
                }
            }
            Event::Refunded { buyer, order, quantity, restocked } => {
                let stage = if restocked {
                    OrderStage::RefundedAndRestocked
                } else {
                    OrderStage::RefundedNotRestocked
                };
                let (ticket, key) = (None, None);
                self.change_order(OrderChange { buyer, ticket, order, quantity, key, at, moment: at, stage });
            }
        }
    }

    /// Ends a pause: admissions get back the time that they stood still.
    fn end_pause(&mut self, at: Timestamp) {
        if let Some(paused_at) = self.paused_at.take() {
            self.line.shift_windows(at.ms_since(paused_at).max(0));
        }
    }

    fn join_line(&mut self, buyer: BuyerId, ticket: Ticket) {
        let number = self.buyers.find_or_insert(buyer);
        if self.line.join(ticket, number) {
            self.remove_from_line(number);
            self.buyers.at_mut(number).set_ticket(Some(ticket));
        }
    }

    fn leave_line(&mut self, buyer: BuyerId, ticket: Ticket) {
        let number = self.line.buyer(ticket);
        if self.buyers.is_buyer(number, buyer) && self.buyers.at(number).ticket() == Some(ticket) {
            self.remove_from_line(number);
        }
    }

    /// Admits a buyer. False when the ticket is used up or belongs to another buyer.
    fn admit_buyer(&mut self, buyer: BuyerId, ticket: Ticket, until: Timestamp) -> bool {
        let number = self.find_or_insert_buyer(buyer, Some(ticket));
        let previous = self.buyers.at(number).ticket();
        let is_other_buyers = previous != Some(ticket) && self.line.is_waiting(ticket);
        if is_other_buyers || !self.line.admit(ticket, number, until) {
            return false;
        }
        if previous != Some(ticket) {
            self.remove_from_line(number);
        }
        self.buyers.at_mut(number).set_ticket(Some(ticket));
        self.units.set_aside_one();
        true
    }

    /// Moves the end of an admission. The event has everything that an admission has, so it replaces one that the ledger lacks.
    fn extend_window(&mut self, buyer: BuyerId, ticket: Ticket, until: Timestamp) {
        let is_admitted = self.line.window(ticket).is_some() || self.admit_buyer(buyer, ticket, until);
        if is_admitted && self.buyers.is_buyer(self.line.buyer(ticket), buyer) {
            self.line.extend(ticket, until);
        }
    }

    /// The number of a buyer, who gets one if new. With a ticket no search is needed.
    fn find_or_insert_buyer(&mut self, buyer: BuyerId, ticket: Option<Ticket>) -> u32 {
        let number = ticket.map_or(NO_RECORD, |ticket| self.line.buyer(ticket));
        if self.buyers.is_buyer(number, buyer) { number } else { self.buyers.find_or_insert(buyer) }
    }

    /// Takes a buyer out of the line, and frees the unit that an admission had set aside.
    fn remove_from_line(&mut self, number: u32) {
        let Some(ticket) = self.buyers.at(number).ticket() else {
            return;
        };
        self.buyers.at_mut(number).set_ticket(None);
        if self.line.window(ticket).is_some() {
            self.line.remove_admitted(ticket);
            self.units.give_back_admitted();
        } else {
            self.line.remove_waiting(ticket);
        }
    }

    /// An order that comes from an admission uses it up: its unit is free for the moment until the order takes it.
    fn consume_admission(&mut self, buyer: BuyerId, from: UnitSource) -> Option<Ticket> {
        let UnitSource::Admission { ticket } = from else { return None };
        self.leave_line(buyer, ticket);
        Some(ticket)
    }

    /// The order of a payment, if it is pending. The event has everything that a hold has, so it replaces one that the ledger lacks.
    fn find_pending_order(
        &mut self,
        (buyer, order, quantity): (BuyerId, OrderId, u32),
        at: Timestamp,
        held_until: Timestamp,
    ) -> Option<u32> {
        if self.orders.find(order).is_none() {
            let (ticket, key, stage) = (None, None, OrderStage::Pending);
            self.change_order(OrderChange {
                buyer,
                ticket,
                order,
                quantity,
                key,
                at,
                moment: held_until,
                stage,
            });
        }
        self.orders.find(order).filter(|number| self.orders.at(*number).stage == OrderStage::Pending)
    }

    fn change_order(&mut self, change: OrderChange) {
        let OrderChange { buyer, ticket, order, quantity, key, at, moment, stage } = change;
        let found = self.orders.find(order);
        let (owner, quantity, before) = match found {
            Some(number) => {
                let known = self.orders.at(number);
                if stage.rank() <= known.stage.rank() {
                    return;
                }
                (known.buyer, known.quantity, known.stage.unit_bucket())
            }
            None => (self.find_or_insert_buyer(buyer, ticket), quantity, UnitBucket::Free),
        };
        let was_confirmed = found.is_some_and(|number| self.orders.at(number).stage == OrderStage::Confirmed);
        self.units.move_units(u64::from(quantity), before, stage.unit_bucket());
        let record = self.buyers.at_mut(owner);
        if before == UnitBucket::Held {
            record.held = record.held.saturating_sub(quantity);
        }
        if was_confirmed {
            record.owned = record.owned.saturating_sub(quantity);
        }
        match stage {
            OrderStage::Pending => record.held = record.held.saturating_add(quantity),
            OrderStage::Confirmed => record.owned = record.owned.saturating_add(quantity),
            _ => {}
        }
        if let Some(number) = found {
            self.orders.set_stage(number, stage, moment);
            return;
        }
        let previous = record.last_order;
        let made =
            NewOrderRecord { id: order, key, stage, buyer: owner, quantity, previous, made_at: at, moment };
        let number = self.orders.insert(made);
        self.buyers.at_mut(owner).last_order = number;
    }
}
