//! Holding, paying, giving back. A unit is promised once, and a request counts once.

use super::DecideResult;
use crate::command::ReleaseReason;
use crate::event::{Event, ReleaseCause, UnitSource};
use crate::id::{BuyerId, OrderId, RequestKey, Ticket};
use crate::outcome::{CommandOutcome, LinePosition, OrderStatus, OrderView, Refusal};
use crate::phase::SalePhase;
use crate::policy::Policy;
use crate::state::{BuyerRecord, OrderRecord, OrderStage, SaleState};
use crate::time::Timestamp;

/// Seconds that a payment in progress may prolong a hold by, beside the length of a hold: what a bank takes to ask its customer.
const PAYMENT_EXTRA_S: u32 = 60;

/// The fields of [`crate::Command::Reserve`].
pub(super) struct ReserveCommand {
    pub(super) buyer: BuyerId,
    pub(super) order: OrderId,
    pub(super) quantity: u32,
    pub(super) key: Option<RequestKey>,
}

impl SaleState {
    pub(super) fn reserve(
        &self,
        now: Timestamp,
        request: &ReserveCommand,
        events: &mut Vec<Event>,
    ) -> DecideResult {
        let ReserveCommand { buyer: id, order, quantity, key } = *request;
        if quantity == 0 {
            return Err(Refusal::BadPolicy);
        }
        let number = self.buyers.find(id);
        let buyer = number.map(|number| self.buyers.at(number));
        if let (Some(number), Some(buyer), Some(key)) = (number, buyer, key)
            && let Some(made) = self.orders.find_by_key(number, buyer.last_order, key)
        {
            // Before everything else: what was answered once is answered again, even when the sale is over.
            let is_same = made.quantity == quantity;
            return if is_same { Ok(self.repeated_outcome(made)) } else { Err(Refusal::KeyReused) };
        }
        if self.orders.find(order).is_some() {
            return Err(Refusal::OrderState);
        }
        let policy = self.policy().ok_or(Refusal::NotStarted)?;
        let place = buyer.and_then(|buyer| self.line_position_at(now, buyer));
        self.check_phase(
            now,
            place.is_some_and(|(_, place)| matches!(place, LinePosition::Admitted { .. })),
        )?;
        if buyer.map_or(0, BuyerRecord::units) + u64::from(quantity) > u64::from(policy.limit_per_buyer) {
            return Err(Refusal::LimitReached);
        }
        let from = self.find_unit_source(policy, buyer, place, quantity)?;
        Ok(create_order(now, policy, request, from, events))
    }

    /// Whether the sale's phase allows a reservation. An admission outlives the end of the sale: it was promised.
    fn check_phase(&self, now: Timestamp, is_admitted: bool) -> Result<(), Refusal> {
        match self.phase(now) {
            SalePhase::Closed | SalePhase::Ended if is_admitted && self.paused_at.is_none() => Ok(()),
            SalePhase::Ended if is_admitted => Err(Refusal::Paused),
            phase => phase.refusal().map_or(Ok(()), Err),
        }
    }

    /// Where the units of a new order come from, or why there are none.
    fn find_unit_source(
        &self,
        policy: &Policy,
        buyer: Option<&BuyerRecord>,
        place: Option<(Ticket, LinePosition)>,
        quantity: u32,
    ) -> Result<UnitSource, Refusal> {
        let (source, from_stock, own) = match place {
            Some((ticket, LinePosition::Waiting { position })) => {
                return Err(Refusal::NotAdmitted { ticket, position });
            }
            Some((ticket, LinePosition::Admitted { .. })) => {
                let held = buyer.map_or(0, |buyer| u64::from(buyer.held));
                (UnitSource::Admission { ticket }, quantity - 1, held + 1)
            }
            None => {
                let source = policy.admission.with_rules(|rules| rules.source_without_ticket(self))?;
                (source, quantity, 0)
            }
        };
        let others_have = (self.units.held + self.units.admitted).saturating_sub(own);
        // With a whole ledger an admission always has its unit. If an event is missing, two buyers may share one.
        let oversells = policy.sells_at_once() && self.units.sold + u64::from(quantity) > self.units.quantity;
        if self.units.available >= u64::from(from_stock) && !oversells {
            Ok(source)
        } else if others_have > 0 {
            Err(Refusal::AllHeld)
        } else {
            Err(Refusal::SoldOut)
        }
    }

    /// Prolongs the hold for a payment that is about to be authorised. A repetition changes nothing.
    pub(super) fn begin_payment(
        &self,
        now: Timestamp,
        id: BuyerId,
        order: OrderId,
        events: &mut Vec<Event>,
    ) -> DecideResult {
        let order = self.find_own_order(id, order)?;
        match order.stage {
            OrderStage::Pending if self.orders.is_held_at(order, now) => {
                if order.is_paying() {
                    return Ok(self.repeated_outcome(order));
                }
                let (quantity, held_until) = (order.quantity, order.moment);
                let hold_s = self.policy().map_or(0, |policy| policy.hold_s);
                let until = held_until.plus_s(hold_s).plus_s(PAYMENT_EXTRA_S);
                events.push(Event::PaymentBegun { buyer: id, order: order.id, quantity, held_until, until });
                let status = OrderStatus::Pending { until: held_until, paying_until: Some(until) };
                Ok(self.pending_outcome(order, status))
            }
            OrderStage::Confirmed => Ok(self.repeated_outcome(order)),
            OrderStage::RefundedAndRestocked | OrderStage::RefundedNotRestocked => Err(Refusal::OrderState),
            OrderStage::Pending | OrderStage::Expired | OrderStage::Cancelled | OrderStage::Declined => {
                Err(Refusal::OrderExpired)
            }
        }
    }

    /// Gives the hold its own end back; a hold that is over by that expires at once. Where no payment is in progress, nothing
    /// is changed.
    pub(super) fn end_payment(
        &self,
        now: Timestamp,
        id: BuyerId,
        order: OrderId,
        events: &mut Vec<Event>,
    ) -> DecideResult {
        let order = self.find_own_order(id, order)?;
        if order.stage != OrderStage::Pending || !order.is_paying() {
            return Ok(self.repeated_outcome(order));
        }
        let (quantity, until) = (order.quantity, order.moment);
        events.push(Event::PaymentEnded { buyer: id, order: order.id, quantity, until });
        if until <= now {
            let reason = ReleaseCause::Expired;
            events.push(Event::Released { buyer: id, order: order.id, quantity, reason });
            return Ok(self.changed_outcome(now, order, OrderStatus::Expired));
        }
        Ok(self.pending_outcome(order, OrderStatus::Pending { until, paying_until: None }))
    }

    pub(super) fn confirm(
        &self,
        now: Timestamp,
        id: BuyerId,
        order: OrderId,
        events: &mut Vec<Event>,
    ) -> DecideResult {
        let order = self.find_own_order(id, order)?;
        let quantity = order.quantity;
        match order.stage {
            OrderStage::Confirmed => return Ok(self.repeated_outcome(order)),
            OrderStage::RefundedAndRestocked | OrderStage::RefundedNotRestocked => {
                return Err(Refusal::OrderState);
            }
            // With a whole ledger this always holds: every held unit is one of the quantity. If an event is missing, two
            // holds may share a unit; the second to pay gets the money back.
            OrderStage::Pending if self.orders.is_held_at(order, now) => {
                if self.units.sold + u64::from(quantity) > self.units.quantity {
                    return Err(Refusal::OrderExpired);
                }
            }
            // An order that has expired stays so: its buyer may have read that, and bought another.
            OrderStage::Pending | OrderStage::Expired | OrderStage::Cancelled | OrderStage::Declined => {
                return Err(Refusal::OrderExpired);
            }
        }
        let from = UnitSource::Hold;
        events.push(Event::Confirmed { buyer: id, order: order.id, quantity, from, key: None });
        Ok(self.changed_outcome(now, order, OrderStatus::Confirmed))
    }

    pub(super) fn release(
        &self,
        now: Timestamp,
        id: BuyerId,
        order: OrderId,
        reason: ReleaseReason,
        events: &mut Vec<Event>,
    ) -> DecideResult {
        let order = self.find_own_order(id, order)?;
        let (release, stage, status) = match reason {
            ReleaseReason::Cancelled => {
                (ReleaseCause::Cancelled, OrderStage::Cancelled, OrderStatus::Cancelled)
            }
            ReleaseReason::Declined => (ReleaseCause::Declined, OrderStage::Declined, OrderStatus::Declined),
        };
        match order.stage {
            OrderStage::Pending if self.orders.is_held_at(order, now) => {
                if order.is_paying() {
                    return Err(Refusal::OrderPaying);
                }
                let quantity = order.quantity;
                events.push(Event::Released { buyer: id, order: order.id, quantity, reason: release });
                Ok(self.changed_outcome(now, order, status))
            }
            same if same == stage => Ok(self.repeated_outcome(order)),
            OrderStage::Pending | OrderStage::Expired | OrderStage::Cancelled | OrderStage::Declined => {
                Err(Refusal::OrderExpired)
            }
            OrderStage::Confirmed | OrderStage::RefundedAndRestocked | OrderStage::RefundedNotRestocked => {
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
    ) -> DecideResult {
        let order = self.orders.get(order).ok_or(Refusal::OrderUnknown)?;
        match order.stage {
            OrderStage::RefundedAndRestocked | OrderStage::RefundedNotRestocked => {
                Ok(self.repeated_outcome(order))
            }
            OrderStage::Confirmed => {
                let buyer = self.buyers.at(order.buyer).id;
                let quantity = order.quantity;
                events.push(Event::Refunded { buyer, order: order.id, quantity, restocked: restock });
                Ok(self.changed_outcome(now, order, OrderStatus::Refunded { restocked: restock }))
            }
            OrderStage::Pending | OrderStage::Expired | OrderStage::Cancelled | OrderStage::Declined => {
                Err(Refusal::OrderState)
            }
        }
    }

    fn find_own_order(&self, id: BuyerId, order: OrderId) -> Result<&OrderRecord, Refusal> {
        let order = self.orders.get(order).ok_or(Refusal::OrderUnknown)?;
        if self.buyers.at(order.buyer).id == id { Ok(order) } else { Err(Refusal::NotYourOrder) }
    }

    fn repeated_outcome(&self, order: &OrderRecord) -> CommandOutcome {
        CommandOutcome::Order { order: self.order_view(order), repeated: true }
    }

    /// An order whose hold has changed. Its status has not, so neither has the moment of that.
    fn pending_outcome(&self, order: &OrderRecord, status: OrderStatus) -> CommandOutcome {
        let order = OrderView { status, ..self.order_view(order) };
        CommandOutcome::Order { order, repeated: false }
    }

    fn changed_outcome(&self, now: Timestamp, order: &OrderRecord, status: OrderStatus) -> CommandOutcome {
        let order = OrderView { changed_at: now, status, ..self.order_view(order) };
        CommandOutcome::Order { order, repeated: false }
    }
}

/// Makes the order: a hold, or a sale at once where the policy has no hold.
fn create_order(
    now: Timestamp,
    policy: &Policy,
    request: &ReserveCommand,
    from: UnitSource,
    events: &mut Vec<Event>,
) -> CommandOutcome {
    let ReserveCommand { buyer, order, quantity, key } = *request;
    let status = if policy.sells_at_once() {
        events.push(Event::Confirmed { buyer, order, quantity, from, key });
        OrderStatus::Confirmed
    } else {
        let until = now.plus_s(policy.hold_s);
        events.push(Event::Held { buyer, order, quantity, until, from, key });
        OrderStatus::Pending { until, paying_until: None }
    };
    let order = OrderView { id: order, buyer, quantity, made_at: now, changed_at: now, status };
    CommandOutcome::Order { order, repeated: false }
}
