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
                let fields = OrderEventFields { at, buyer, order, quantity };
                self.read_held(fields, until, from, key, found);
                self.check_limit(fields, found);
            }
            Event::Confirmed { buyer, order, quantity, from, key } => {
                let fields = OrderEventFields { at, buyer, order, quantity };
                match (from, self.find_order(fields, found)) {
                    (UnitSource::Hold, record) => self.read_paid(fields, record, found),
                    (_, Some(record)) => self.read_paid_late(fields, record, from, found),
                    (_, None) => self.read_sold_at_once(fields, from, key, found),
                }
                self.check_limit(fields, found);
            }
            Event::PaymentBegun { buyer, order, quantity, held_until, until } => {
                let fields = OrderEventFields { at, buyer, order, quantity };
                self.read_payment_begun(fields, held_until, until, found);
            }
            Event::PaymentEnded { buyer, order, quantity, until } => {
                self.read_payment_ended(OrderEventFields { at, buyer, order, quantity }, until, found);
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
        fields: OrderEventFields,
        until: Timestamp,
        from: UnitSource,
        key: Option<RequestKey>,
        found: &mut PromiseFindings,
    ) {
        let hold_s = self.policy.as_ref().map_or(0, |policy| policy.hold_s);
        let promised = fields.at.plus_s(hold_s);
        check_promise(hold_s > 0 && until == promised, SalePromise::Holds, found, || {
            format!("order {} is held until {until:?}, promised was {promised:?}", fields.order)
        });
        self.create_order(fields, AuditedStatus::Held { until, paying_until: None }, from, key, found);
        self.held += fields.units();
        self.buyer_entry(fields).held += fields.units();
        self.hold_ends.push(Reverse((until, fields.order)));
    }

    /// A payment begins while the hold lasts, and prolongs it by another hold and a minute, at most.
    fn read_payment_begun(
        &mut self,
        fields: OrderEventFields,
        held_until: Timestamp,
        until: Timestamp,
        found: &mut PromiseFindings,
    ) {
        let order = fields.order;
        let status = self.find_order(fields, found).map(|record| record.status);
        let Some(AuditedStatus::Held { until: promised, paying_until }) = status else {
            let detail = format!("a payment for order {order} began while it was {status:?}");
            found.record_broken(SalePromise::Records, detail);
            return;
        };
        check_promise(paying_until.is_none(), SalePromise::Records, found, || {
            format!("a payment for order {order} began during another")
        });
        let hold_s = self.policy.as_ref().map_or(0, |policy| policy.hold_s);
        let longest = promised.plus_s(hold_s).plus_s(60);
        let is_kept = held_until == promised && fields.at < promised && until == longest;
        check_promise(is_kept, SalePromise::Holds, found, || {
            format!(
                "a payment at {:?} prolonged the hold of order {order} from {held_until:?} to {until:?}, promised was from \
                 {promised:?} to {longest:?}",
                fields.at
            )
        });
        self.hold_ends.push(Reverse((until, order)));
        self.set_status(fields, AuditedStatus::Held { until: promised, paying_until: Some(until) });
    }

    fn read_payment_ended(
        &mut self,
        fields: OrderEventFields,
        until: Timestamp,
        found: &mut PromiseFindings,
    ) {
        let order = fields.order;
        let status = self.find_order(fields, found).map(|record| record.status);
        let Some(AuditedStatus::Held { until: promised, paying_until: Some(_) }) = status else {
            let detail = format!("a payment for order {order} ended while it was {status:?}");
            found.record_broken(SalePromise::Records, detail);
            return;
        };
        check_promise(until == promised, SalePromise::Holds, found, || {
            format!("the hold of order {order} ends at {until:?} after a payment, promised was {promised:?}")
        });
        self.hold_ends.push(Reverse((promised, order)));
        self.set_status(fields, AuditedStatus::Held { until: promised, paying_until: None });
    }

    fn read_sold_at_once(
        &mut self,
        fields: OrderEventFields,
        from: UnitSource,
        key: Option<RequestKey>,
        found: &mut PromiseFindings,
    ) {
        let hold_s = self.policy.as_ref().map_or(0, |policy| policy.hold_s);
        check_promise(hold_s == 0, SalePromise::Holds, found, || {
            format!("order {} was sold without its hold", fields.order)
        });
        self.create_order(fields, AuditedStatus::Paid, from, key, found);
        self.sold += fields.units();
        self.buyer_entry(fields).owned += fields.units();
    }

    /// A new order takes its units from the source that its event names.
    fn create_order(
        &mut self,
        fields: OrderEventFields,
        status: AuditedStatus,
        from: UnitSource,
        key: Option<RequestKey>,
        found: &mut PromiseFindings,
    ) {
        let OrderEventFields { at, buyer, order, quantity } = fields;
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
        self.take_units(fields.units(), found);
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
        fields: OrderEventFields,
        record: Option<AuditedOrder>,
        found: &mut PromiseFindings,
    ) {
        match record.map(|record| record.status) {
            Some(AuditedStatus::Held { until, paying_until }) => {
                let until = paying_until.unwrap_or(until);
                found.record_kept(SalePromise::Records);
                check_promise(fields.at < until, SalePromise::LatePayment, found, || {
                    format!("order {} was paid from a hold that was over at {until:?}", fields.order)
                });
                self.end_hold(fields);
            }
            Some(AuditedStatus::Expired) => {
                let detail = format!("order {} was paid from a hold that had expired", fields.order);
                found.record_broken(SalePromise::LatePayment, detail);
                self.take_units(fields.units(), found);
            }
            status => {
                found.record_broken(
                    SalePromise::Records,
                    format!("order {} was paid while {status:?}", fields.order),
                );
                if matches!(status, Some(AuditedStatus::Paid | AuditedStatus::Refunded)) {
                    return;
                }
                self.take_units(fields.units(), found);
            }
        }
        self.record_sale(fields);
    }

    fn read_paid_late(
        &mut self,
        fields: OrderEventFields,
        record: AuditedOrder,
        from: UnitSource,
        found: &mut PromiseFindings,
    ) {
        let order = fields.order;
        check_promise(
            record.status == AuditedStatus::Expired && from == UnitSource::Stock,
            SalePromise::Records,
            found,
            || format!("order {order} was paid late from {from:?} while {:?}", record.status),
        );
        match record.status {
            AuditedStatus::Paid | AuditedStatus::Refunded => return,
            AuditedStatus::Held { .. } => {
                self.end_hold(fields);
                self.available += fields.units();
            }
            AuditedStatus::Expired | AuditedStatus::GivenBack => {}
        }
        let waiting = self.waiting.len();
        let is_free = self.available >= fields.units() && waiting == 0;
        check_promise(is_free, SalePromise::LatePayment, found, || {
            format!("order {order} was paid late with {} units free and {waiting} waiting", self.available)
        });
        self.available -= fields.units();
        self.record_sale(fields);
    }

    fn read_released(&mut self, fields: OrderEventFields, reason: ReleaseCause, found: &mut PromiseFindings) {
        let record = self.find_order(fields, found);
        let status =
            if reason == ReleaseCause::Expired { AuditedStatus::Expired } else { AuditedStatus::GivenBack };
        if let Some(AuditedStatus::Held { until, paying_until }) = record.map(|record| record.status) {
            let is_kept = paying_until.is_none() || reason == ReleaseCause::Expired;
            check_promise(is_kept, SalePromise::Records, found, || {
                format!("order {} was {reason:?} while it was being paid", fields.order)
            });
            let until = paying_until.unwrap_or(until);
            let is_over = until <= fields.at;
            check_promise(is_over == (reason == ReleaseCause::Expired), SalePromise::Holds, found, || {
                format!(
                    "the hold of order {} until {until:?} was {reason:?} at {:?}",
                    fields.order, fields.at
                )
            });
            self.end_hold(fields);
            self.available += fields.units();
        } else {
            found.record_broken(
                SalePromise::Records,
                format!("order {} was {reason:?} without a hold", fields.order),
            );
            if record.is_some() {
                return;
            }
        }
        self.set_status(fields, status);
    }

    fn read_refunded(&mut self, fields: OrderEventFields, restocked: bool, found: &mut PromiseFindings) {
        let status = self.find_order(fields, found).map(|record| record.status);
        check_promise(status == Some(AuditedStatus::Paid), SalePromise::Records, found, || {
            format!("order {} was refunded while {status:?}", fields.order)
        });
        if status != Some(AuditedStatus::Paid) {
            return;
        }
        self.buyer_entry(fields).owned -= fields.units();
        if restocked {
            self.sold -= fields.units();
            self.available += fields.units();
        }
        self.set_status(fields, AuditedStatus::Refunded);
    }

    /// The order as it is, after checking that the event describes it correctly.
    fn find_order(&self, fields: OrderEventFields, found: &mut PromiseFindings) -> Option<AuditedOrder> {
        let record = self.orders.get(&fields.order).copied();
        let fits = record.is_none_or(|it| (it.buyer, it.quantity) == (fields.buyer, fields.quantity));
        check_promise(fits, SalePromise::Records, found, || {
            format!("order {} has another buyer or quantity than the event says", fields.order)
        });
        record
    }

    fn end_hold(&mut self, fields: OrderEventFields) {
        self.held -= fields.units();
        self.buyer_entry(fields).held -= fields.units();
    }

    fn record_sale(&mut self, fields: OrderEventFields) {
        self.sold += fields.units();
        self.buyer_entry(fields).owned += fields.units();
        self.set_status(fields, AuditedStatus::Paid);
    }

    fn set_status(&mut self, fields: OrderEventFields, status: AuditedStatus) {
        let OrderEventFields { buyer, order, quantity, .. } = fields;
        self.orders.insert(order, AuditedOrder { buyer, quantity, status });
    }

    fn buyer_entry(&mut self, fields: OrderEventFields) -> &mut AuditedBuyer {
        self.accounts.get_or_default(fields.buyer)
    }

    fn check_limit(&mut self, fields: OrderEventFields, found: &mut PromiseFindings) {
        let limit = self.limit();
        let AuditedBuyer { held, owned, .. } = *self.buyer_entry(fields);
        check_promise(held + owned <= limit, SalePromise::Limit, found, || {
            format!("{} holds {held} and owns {owned} units, the limit is {limit}", fields.buyer)
        });
    }
}
