//! The life of an order in the auditor's model.

use super::{AuditModel, AuditedBuyer, AuditedOrder, AuditedStatus, PromiseFindings, check_promise};
use crate::audit::SalePromise;
use crate::event::{Event, ReleaseCause, UnitSource};
use crate::id::{BuyerId, OrderId, RequestKey};
use crate::time::Timestamp;
use std::cmp::Reverse;

/// The fields that every event of an order has.
#[derive(Clone, Copy)]
struct OrderEventFields {
    at: Timestamp,
    buyer: BuyerId,
    order: OrderId,
    quantity: u32,
}

impl OrderEventFields {
    fn units(&self) -> i64 {
        i64::from(self.quantity)
    }
}

impl AuditModel {
    pub(super) fn read_order(&mut self, at: Timestamp, event: &Event, found: &mut PromiseFindings) {
        match *event {
            Event::Held { buyer, order, quantity, until, from, key } => {
                let said = OrderEventFields { at, buyer, order, quantity };
                self.read_held(said, until, from, key, found);
                self.check_limit(said, found);
            }
            Event::Confirmed { buyer, order, quantity, from, key } => {
                let said = OrderEventFields { at, buyer, order, quantity };
                match (from, self.find_order(said, found)) {
                    (UnitSource::Hold, record) => self.read_paid(said, record, found),
                    (_, Some(record)) => self.read_paid_late(said, record, from, found),
                    (_, None) => self.read_sold_at_once(said, from, key, found),
                }
                self.check_limit(said, found);
            }
            Event::Released { buyer, order, quantity, reason } => {
                self.read_released(OrderEventFields { at, buyer, order, quantity }, reason, found);
            }
            Event::Refunded { buyer, order, quantity, restocked } => {
                self.read_refunded(OrderEventFields { at, buyer, order, quantity }, restocked, found);
            }
            _ => {}
        }
    }

    fn read_held(
        &mut self,
        said: OrderEventFields,
        until: Timestamp,
        from: UnitSource,
        key: Option<RequestKey>,
        found: &mut PromiseFindings,
    ) {
        let hold_s = self.policy.as_ref().map_or(0, |policy| policy.hold_s);
        let promised = said.at.plus_s(hold_s);
        check_promise(hold_s > 0 && until == promised, SalePromise::Holds, found, || {
            format!("order {} is held until {until:?}, promised was {promised:?}", said.order)
        });
        self.create_order(said, AuditedStatus::Held { until }, from, key, found);
        self.held += said.units();
        self.buyer_entry(said).held += said.units();
        self.hold_ends.push(Reverse((until, said.order)));
    }

    fn read_sold_at_once(
        &mut self,
        said: OrderEventFields,
        from: UnitSource,
        key: Option<RequestKey>,
        found: &mut PromiseFindings,
    ) {
        let hold_s = self.policy.as_ref().map_or(0, |policy| policy.hold_s);
        check_promise(hold_s == 0, SalePromise::Holds, found, || {
            format!("order {} was sold without its hold", said.order)
        });
        self.create_order(said, AuditedStatus::Paid, from, key, found);
        self.sold += said.units();
        self.buyer_entry(said).owned += said.units();
    }

    /// A new order takes its units from the source that its event names.
    fn create_order(
        &mut self,
        said: OrderEventFields,
        status: AuditedStatus,
        from: UnitSource,
        key: Option<RequestKey>,
        found: &mut PromiseFindings,
    ) {
        let OrderEventFields { at, buyer, order, quantity } = said;
        check_promise(quantity > 0, SalePromise::Records, found, || format!("order {order} has no units"));
        let is_in_time = match from {
            UnitSource::Admission { ticket } => {
                let until = self.find_admission(buyer, ticket).map(|turn| turn.until);
                check_promise(until.is_some(), SalePromise::Records, found, || {
                    format!("{buyer} bought with ticket {ticket}, which was not admitted")
                });
                self.remove_ticket(buyer, ticket);
                self.is_active_at(at) || self.paused_at.is_none() && until.is_some_and(|until| at < until)
            }
            UnitSource::Stock | UnitSource::Hold => {
                check_promise(from == UnitSource::Stock, SalePromise::Records, found, || {
                    format!("order {order} is new and says it was held before")
                });
                check_promise(self.fifo_rules().is_none(), SalePromise::TicketOrder, found, || {
                    format!("{buyer} bought past the line")
                });
                self.is_active_at(at)
            }
        };
        check_promise(is_in_time, SalePromise::Period, found, || {
            format!("order {order} was made out of time")
        });
        self.take_units(said.units(), found);
        if let Some(key) = key {
            let before = self.keys.insert((buyer, key), order);
            check_promise(before.is_none(), SalePromise::Keys, found, || {
                format!("{key:?} of {buyer} made order {order} after {before:?}")
            });
        }
        let before = self.orders.insert(order, AuditedOrder { buyer, quantity, status });
        check_promise(before.is_none(), SalePromise::Records, found, || {
            format!("order {order} was made twice")
        });
    }

    fn read_paid(
        &mut self,
        said: OrderEventFields,
        record: Option<AuditedOrder>,
        found: &mut PromiseFindings,
    ) {
        match record.map(|record| record.status) {
            Some(AuditedStatus::Held { until }) => {
                found.record_kept(SalePromise::Records);
                check_promise(said.at < until, SalePromise::LatePayment, found, || {
                    format!("order {} was paid from a hold that was over at {until:?}", said.order)
                });
                self.end_hold(said);
            }
            Some(AuditedStatus::Expired) => {
                let detail = format!("order {} was paid from a hold that had expired", said.order);
                found.record_broken(SalePromise::LatePayment, detail);
                self.take_units(said.units(), found);
            }
            status => {
                found.record_broken(
                    SalePromise::Records,
                    format!("order {} was paid while {status:?}", said.order),
                );
                if matches!(status, Some(AuditedStatus::Paid | AuditedStatus::Refunded)) {
                    return;
                }
                self.take_units(said.units(), found);
            }
        }
        self.record_sale(said);
    }

    fn read_paid_late(
        &mut self,
        said: OrderEventFields,
        record: AuditedOrder,
        from: UnitSource,
        found: &mut PromiseFindings,
    ) {
        let order = said.order;
        check_promise(
            record.status == AuditedStatus::Expired && from == UnitSource::Stock,
            SalePromise::Records,
            found,
            || format!("order {order} was paid late from {from:?} while {:?}", record.status),
        );
        match record.status {
            AuditedStatus::Paid | AuditedStatus::Refunded => return,
            AuditedStatus::Held { .. } => {
                self.end_hold(said);
                self.available += said.units();
            }
            AuditedStatus::Expired | AuditedStatus::GivenBack => {}
        }
        let waiting = self.waiting.len();
        let is_free = self.available >= said.units() && waiting == 0;
        check_promise(is_free, SalePromise::LatePayment, found, || {
            format!("order {order} was paid late with {} units free and {waiting} waiting", self.available)
        });
        self.available -= said.units();
        self.record_sale(said);
    }

    fn read_released(&mut self, said: OrderEventFields, reason: ReleaseCause, found: &mut PromiseFindings) {
        let record = self.find_order(said, found);
        let status =
            if reason == ReleaseCause::Expired { AuditedStatus::Expired } else { AuditedStatus::GivenBack };
        if let Some(AuditedStatus::Held { until }) = record.map(|record| record.status) {
            found.record_kept(SalePromise::Records);
            let is_over = until <= said.at;
            check_promise(is_over == (reason == ReleaseCause::Expired), SalePromise::Holds, found, || {
                format!("the hold of order {} until {until:?} was {reason:?} at {:?}", said.order, said.at)
            });
            self.end_hold(said);
            self.available += said.units();
        } else {
            found.record_broken(
                SalePromise::Records,
                format!("order {} was {reason:?} without a hold", said.order),
            );
            if record.is_some() {
                return;
            }
        }
        self.set_status(said, status);
    }

    fn read_refunded(&mut self, said: OrderEventFields, restocked: bool, found: &mut PromiseFindings) {
        let status = self.find_order(said, found).map(|record| record.status);
        check_promise(status == Some(AuditedStatus::Paid), SalePromise::Records, found, || {
            format!("order {} was refunded while {status:?}", said.order)
        });
        if status != Some(AuditedStatus::Paid) {
            return;
        }
        self.buyer_entry(said).owned -= said.units();
        if restocked {
            self.sold -= said.units();
            self.available += said.units();
        }
        self.set_status(said, AuditedStatus::Refunded);
    }

    /// The order as it is, after checking that the event describes it correctly.
    fn find_order(&self, said: OrderEventFields, found: &mut PromiseFindings) -> Option<AuditedOrder> {
        let record = self.orders.get(&said.order).copied();
        let fits = record.is_none_or(|it| (it.buyer, it.quantity) == (said.buyer, said.quantity));
        check_promise(fits, SalePromise::Records, found, || {
            format!("order {} has another buyer or quantity than the event says", said.order)
        });
        record
    }

    fn end_hold(&mut self, said: OrderEventFields) {
        self.held -= said.units();
        self.buyer_entry(said).held -= said.units();
    }

    fn record_sale(&mut self, said: OrderEventFields) {
        self.sold += said.units();
        self.buyer_entry(said).owned += said.units();
        self.set_status(said, AuditedStatus::Paid);
    }

    fn set_status(&mut self, said: OrderEventFields, status: AuditedStatus) {
        let OrderEventFields { buyer, order, quantity, .. } = said;
        self.orders.insert(order, AuditedOrder { buyer, quantity, status });
    }

    fn buyer_entry(&mut self, said: OrderEventFields) -> &mut AuditedBuyer {
        self.accounts.get_or_default(said.buyer)
    }

    fn check_limit(&mut self, said: OrderEventFields, found: &mut PromiseFindings) {
        let limit = self.limit();
        let AuditedBuyer { held, owned, .. } = *self.buyer_entry(said);
        check_promise(held + owned <= limit, SalePromise::Limit, found, || {
            format!("{} holds {held} and owns {owned} units, the limit is {limit}", said.buyer)
        });
    }
}
