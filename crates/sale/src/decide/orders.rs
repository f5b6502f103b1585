//! Holding, paying, giving back. A unit is promised once, and a request counts once.

use super::Decided;
use crate::command::ReleaseReason;
use crate::event::{Event, Release, Source};
use crate::id::{BuyerId, OrderId, RequestKey, Ticket};
use crate::outcome::{OrderStatus, OrderView, Outcome, Phase, Place, Refusal};
use crate::policy::{Admission, Policy};
use crate::state::{Buyer, Order, Stage, State};
use crate::time::Timestamp;

/// The fields of [`crate::Command::Reserve`].
pub(super) struct Reserve {
    pub(super) buyer: BuyerId,
    pub(super) order: OrderId,
    pub(super) quantity: u32,
    pub(super) key: Option<RequestKey>,
}

impl State {
    pub(super) fn reserve(&self, now: Timestamp, request: &Reserve, events: &mut Vec<Event>) -> Decided {
        let Reserve { buyer: id, order, quantity, key } = *request;
        if quantity == 0 {
            return Err(Refusal::BadPolicy);
        }
        let number = self.buyers.find(id);
        let buyer = number.map(|number| self.buyers.at(number));
        if let (Some(number), Some(buyer), Some(key)) = (number, buyer, key)
            && let Some(made) = self.orders.by_key(number, buyer.last_order, key)
        {
            // Before everything else: what was answered once is answered again, even when the sale is over.
            let is_same = made.quantity == quantity;
            return if is_same { Ok(self.repeated(made)) } else { Err(Refusal::KeyReused) };
        }
        if self.orders.find(order).is_some() {
            return Err(Refusal::OrderState);
        }
        let policy = self.policy().ok_or(Refusal::NotStarted)?;
        let place = buyer.and_then(|buyer| self.place_at(now, buyer));
        self.may_reserve_at(now, place.is_some_and(|(_, place)| matches!(place, Place::Admitted { .. })))?;
        if buyer.map_or(0, Buyer::units) + u64::from(quantity) > u64::from(policy.limit_per_buyer) {
            return Err(Refusal::LimitReached);
        }
        let from = self.source(policy, buyer, place, quantity)?;
        Ok(sell(now, policy, request, from, events))
    }

    /// Whether the sale's phase allows a reservation. An admission outlives the end of the sale: it was promised.
    fn may_reserve_at(&self, now: Timestamp, is_admitted: bool) -> Result<(), Refusal> {
        let is_paused = self.paused_at.is_some();
        match self.phase(now) {
            Phase::Active => Ok(()),
            Phase::Closed | Phase::Ended if is_admitted && !is_paused => Ok(()),
            Phase::Ended if is_admitted => Err(Refusal::Paused),
            Phase::Closed => Err(Refusal::Closed),
            Phase::Ended => Err(Refusal::Ended),
            Phase::Upcoming => Err(Refusal::NotStarted),
            Phase::Paused => Err(Refusal::Paused),
        }
    }

    /// Where the units of a new order come from, or why there are none.
    fn source(
        &self,
        policy: &Policy,
        buyer: Option<&Buyer>,
        place: Option<(Ticket, Place)>,
        quantity: u32,
    ) -> Result<Source, Refusal> {
        let (source, from_stock, others_have) = match (policy.admission, place) {
            (Admission::Fifo { .. }, None) if self.units.sold >= self.units.quantity => {
                return Err(Refusal::SoldOut);
            }
            (Admission::Fifo { .. }, None) => return Err(Refusal::NotInLine),
            (_, Some((ticket, Place::Waiting { position }))) => {
                return Err(Refusal::NotAdmitted { ticket, position });
            }
            (_, Some((ticket, Place::Admitted { .. }))) => {
                let own = buyer.map_or(0, |buyer| u64::from(buyer.held)) + 1;
                let others_have = (self.units.held + self.units.admitted).saturating_sub(own);
                (Source::Admission { ticket }, quantity - 1, others_have)
            }
            (Admission::Open, None) => (Source::Stock, quantity, self.units.held + self.units.admitted),
        };
        if self.units.available >= u64::from(from_stock) {
            Ok(source)
        } else if others_have > 0 {
            Err(Refusal::AllHeld)
        } else {
            Err(Refusal::SoldOut)
        }
    }

    pub(super) fn confirm(
        &self,
        now: Timestamp,
        id: BuyerId,
        order: OrderId,
        events: &mut Vec<Event>,
    ) -> Decided {
        let order = self.own_order(id, order)?;
        let quantity = order.quantity;
        let from = match order.stage {
            Stage::Confirmed => return Ok(self.repeated(order)),
            Stage::RefundedAndRestocked | Stage::RefundedAndGone => return Err(Refusal::OrderState),
            Stage::Cancelled | Stage::Declined => return Err(Refusal::OrderExpired),
            // With a whole ledger there is always room: every unit held is one of the quantity. With an event missing, two
            // holds may share a unit; the second to pay gets the money back.
            Stage::Pending if order.is_held_at(now) => {
                if self.units.sold + u64::from(quantity) > self.units.quantity {
                    return Err(Refusal::OrderExpired);
                }
                Source::Hold
            }
            Stage::Pending | Stage::Expired => {
                self.may_pay_late(order)?;
                if order.stage == Stage::Pending {
                    events.push(Event::Released {
                        buyer: id,
                        order: order.id,
                        quantity,
                        reason: Release::Expired,
                    });
                }
                Source::Stock
            }
        };
        events.push(Event::Confirmed { buyer: id, order: order.id, quantity, from, key: None });
        Ok(self.changed(now, order, OrderStatus::Confirmed))
    }

    /// A payment that arrives after the hold takes a unit only if one is free, nobody waits for it, and the buyer has not
    /// bought up to the limit in the meantime.
    fn may_pay_late(&self, order: &Order) -> Result<(), Refusal> {
        let quantity = u64::from(order.quantity);
        // Not ticked yet: the order's own units still count as held, though they are free by now.
        let own = if order.stage == Stage::Pending { quantity } else { 0 };
        let available = (self.units.available + own).saturating_sub(self.units.short);
        let limit = self.policy().map_or(0, |policy| u64::from(policy.limit_per_buyer));
        let units = self.buyers.at(order.buyer).units() - own + quantity;
        if available >= quantity && self.line.waiting() == 0 && units <= limit {
            Ok(())
        } else {
            Err(Refusal::OrderExpired)
        }
    }

    pub(super) fn release(
        &self,
        now: Timestamp,
        id: BuyerId,
        order: OrderId,
        reason: ReleaseReason,
        events: &mut Vec<Event>,
    ) -> Decided {
        let order = self.own_order(id, order)?;
        let (release, stage, status) = match reason {
            ReleaseReason::Cancelled => (Release::Cancelled, Stage::Cancelled, OrderStatus::Cancelled),
            ReleaseReason::Declined => (Release::Declined, Stage::Declined, OrderStatus::Declined),
        };
        match order.stage {
            Stage::Pending if order.is_held_at(now) => {
                let quantity = order.quantity;
                events.push(Event::Released { buyer: id, order: order.id, quantity, reason: release });
                Ok(self.changed(now, order, status))
            }
            same if same == stage => Ok(self.repeated(order)),
            Stage::Pending | Stage::Expired | Stage::Cancelled | Stage::Declined => {
                Err(Refusal::OrderExpired)
            }
            Stage::Confirmed | Stage::RefundedAndRestocked | Stage::RefundedAndGone => {
                Err(Refusal::OrderState)
            }
        }
    }

    pub(super) fn refund(
        &self,
        now: Timestamp,
        order: OrderId,
        restock: bool,
        events: &mut Vec<Event>,
    ) -> Decided {
        let order = self.orders.get(order).ok_or(Refusal::OrderUnknown)?;
        match order.stage {
            Stage::RefundedAndRestocked | Stage::RefundedAndGone => Ok(self.repeated(order)),
            Stage::Confirmed => {
                let buyer = self.buyers.at(order.buyer).id;
                let quantity = order.quantity;
                events.push(Event::Refunded { buyer, order: order.id, quantity, restocked: restock });
                Ok(self.changed(now, order, OrderStatus::Refunded { restocked: restock }))
            }
            Stage::Pending | Stage::Expired | Stage::Cancelled | Stage::Declined => Err(Refusal::OrderState),
        }
    }

    fn own_order(&self, id: BuyerId, order: OrderId) -> Result<&Order, Refusal> {
        let order = self.orders.get(order).ok_or(Refusal::OrderUnknown)?;
        if self.buyers.at(order.buyer).id == id { Ok(order) } else { Err(Refusal::NotYourOrder) }
    }

    fn repeated(&self, order: &Order) -> Outcome {
        Outcome::Order { order: self.order_view(order), repeated: true }
    }

    fn changed(&self, now: Timestamp, order: &Order, status: OrderStatus) -> Outcome {
        let order = OrderView { changed_at: now, status, ..self.order_view(order) };
        Outcome::Order { order, repeated: false }
    }
}

/// Makes the order: a hold, or a sale at once where the policy has no hold.
fn sell(
    now: Timestamp,
    policy: &Policy,
    request: &Reserve,
    from: Source,
    events: &mut Vec<Event>,
) -> Outcome {
    let Reserve { buyer, order, quantity, key } = *request;
    let status = if policy.sells_at_once() {
        events.push(Event::Confirmed { buyer, order, quantity, from, key });
        OrderStatus::Confirmed
    } else {
        let until = now.plus_s(policy.hold_s);
        events.push(Event::Held { buyer, order, quantity, until, from, key });
        OrderStatus::Pending { until }
    };
    let order = OrderView { id: order, buyer, quantity, made_at: now, changed_at: now, status };
    Outcome::Order { order, repeated: false }
}
