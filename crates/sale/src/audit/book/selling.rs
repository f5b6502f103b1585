//! The life of an order, as the books see it.

use super::{Account, Book, Findings, Record, Status, require};
use crate::audit::Promise;
use crate::event::{Event, Release, Source};
use crate::id::{BuyerId, OrderId, RequestKey};
use crate::time::Timestamp;
use std::cmp::Reverse;

/// What every event about an order says.
#[derive(Clone, Copy)]
struct Said {
    at: Timestamp,
    buyer: BuyerId,
    order: OrderId,
    quantity: u32,
}

impl Said {
    fn units(&self) -> i64 {
        i64::from(self.quantity)
    }
}

impl Book {
    pub(super) fn read_order(&mut self, at: Timestamp, event: &Event, found: &mut Findings) {
        match *event {
            Event::Held { buyer, order, quantity, until, from, key } => {
                let said = Said { at, buyer, order, quantity };
                self.was_held(said, until, from, key, found);
                self.check_limit(said, found);
            }
            Event::Confirmed { buyer, order, quantity, from, key } => {
                let said = Said { at, buyer, order, quantity };
                match (from, self.known(said, found)) {
                    (Source::Hold, record) => self.was_paid(said, record, found),
                    (_, Some(record)) => self.was_paid_late(said, record, from, found),
                    (_, None) => self.was_sold_at_once(said, from, key, found),
                }
                self.check_limit(said, found);
            }
            Event::Released { buyer, order, quantity, reason } => {
                self.was_released(Said { at, buyer, order, quantity }, reason, found);
            }
            Event::Refunded { buyer, order, quantity, restocked } => {
                self.was_refunded(Said { at, buyer, order, quantity }, restocked, found);
            }
            _ => {}
        }
    }

    fn was_held(
        &mut self,
        said: Said,
        until: Timestamp,
        from: Source,
        key: Option<RequestKey>,
        found: &mut Findings,
    ) {
        let hold_s = self.policy.as_ref().map_or(0, |policy| policy.hold_s);
        let promised = said.at.plus_s(hold_s);
        require(hold_s > 0 && until == promised, Promise::Holds, found, || {
            format!("order {} is held until {until:?}, promised was {promised:?}", said.order)
        });
        self.was_made(said, Status::Held { until }, from, key, found);
        self.held += said.units();
        self.account(said).held += said.units();
        self.hold_ends.push(Reverse((until, said.order)));
    }

    fn was_sold_at_once(&mut self, said: Said, from: Source, key: Option<RequestKey>, found: &mut Findings) {
        let hold_s = self.policy.as_ref().map_or(0, |policy| policy.hold_s);
        require(hold_s == 0, Promise::Holds, found, || {
            format!("order {} was sold without its hold", said.order)
        });
        self.was_made(said, Status::Paid, from, key, found);
        self.sold += said.units();
        self.account(said).owned += said.units();
    }

    /// A new order takes its units from where it says.
    fn was_made(
        &mut self,
        said: Said,
        status: Status,
        from: Source,
        key: Option<RequestKey>,
        found: &mut Findings,
    ) {
        let Said { at, buyer, order, quantity } = said;
        require(quantity > 0, Promise::Records, found, || format!("order {order} has no units"));
        let is_in_time = match from {
            Source::Admission { ticket } => {
                let until = self.turn(buyer, ticket).map(|turn| turn.until);
                require(until.is_some(), Promise::Records, found, || {
                    format!("{buyer} bought with ticket {ticket}, which was not admitted")
                });
                self.take_ticket(buyer, ticket);
                self.is_active_at(at) || self.paused_at.is_none() && until.is_some_and(|until| at < until)
            }
            Source::Stock | Source::Hold => {
                require(from == Source::Stock, Promise::Records, found, || {
                    format!("order {order} is new and says it was held before")
                });
                require(self.fifo().is_none(), Promise::TicketOrder, found, || {
                    format!("{buyer} bought past the line")
                });
                self.is_active_at(at)
            }
        };
        require(is_in_time, Promise::Period, found, || format!("order {order} was made out of time"));
        self.take_available(said.units(), found);
        if let Some(key) = key {
            let before = self.keys.insert((buyer, key), order);
            require(before.is_none(), Promise::Keys, found, || {
                format!("{key:?} of {buyer} made order {order} after {before:?}")
            });
        }
        let before = self.orders.insert(order, Record { buyer, quantity, status });
        require(before.is_none(), Promise::Records, found, || format!("order {order} was made twice"));
    }

    fn was_paid(&mut self, said: Said, record: Option<Record>, found: &mut Findings) {
        match record.map(|record| record.status) {
            Some(Status::Held { until }) => {
                found.kept(Promise::Records);
                require(said.at < until, Promise::LatePayment, found, || {
                    format!("order {} was paid from a hold that was over at {until:?}", said.order)
                });
                self.end_hold(said);
            }
            Some(Status::Expired) => {
                let detail = format!("order {} was paid from a hold that had expired", said.order);
                found.broke(Promise::LatePayment, detail);
                self.take_available(said.units(), found);
            }
            status => {
                found.broke(Promise::Records, format!("order {} was paid while {status:?}", said.order));
                if matches!(status, Some(Status::Paid | Status::Refunded)) {
                    return;
                }
                self.take_available(said.units(), found);
            }
        }
        self.own(said);
    }

    fn was_paid_late(&mut self, said: Said, record: Record, from: Source, found: &mut Findings) {
        let order = said.order;
        require(record.status == Status::Expired && from == Source::Stock, Promise::Records, found, || {
            format!("order {order} was paid late from {from:?} while {:?}", record.status)
        });
        match record.status {
            Status::Paid | Status::Refunded => return,
            Status::Held { .. } => {
                self.end_hold(said);
                self.available += said.units();
            }
            Status::Expired | Status::GivenBack => {}
        }
        let waiting = self.waiting.len();
        let is_free = self.available >= said.units() && waiting == 0;
        require(is_free, Promise::LatePayment, found, || {
            format!("order {order} was paid late with {} units free and {waiting} waiting", self.available)
        });
        self.available -= said.units();
        self.own(said);
    }

    fn was_released(&mut self, said: Said, reason: Release, found: &mut Findings) {
        let record = self.known(said, found);
        let status = if reason == Release::Expired { Status::Expired } else { Status::GivenBack };
        if let Some(Status::Held { until }) = record.map(|record| record.status) {
            found.kept(Promise::Records);
            let is_over = until <= said.at;
            require(is_over == (reason == Release::Expired), Promise::Holds, found, || {
                format!("the hold of order {} until {until:?} was {reason:?} at {:?}", said.order, said.at)
            });
            self.end_hold(said);
            self.available += said.units();
        } else {
            found.broke(Promise::Records, format!("order {} was {reason:?} without a hold", said.order));
            if record.is_some() {
                return;
            }
        }
        self.set(said, status);
    }

    fn was_refunded(&mut self, said: Said, restocked: bool, found: &mut Findings) {
        let status = self.known(said, found).map(|record| record.status);
        require(status == Some(Status::Paid), Promise::Records, found, || {
            format!("order {} was refunded while {status:?}", said.order)
        });
        if status != Some(Status::Paid) {
            return;
        }
        self.account(said).owned -= said.units();
        if restocked {
            self.sold -= said.units();
            self.available += said.units();
        }
        self.set(said, Status::Refunded);
    }

    /// The order as it stands, after a look at whether the event speaks of it as it is.
    fn known(&self, said: Said, found: &mut Findings) -> Option<Record> {
        let record = self.orders.get(&said.order).copied();
        let fits = record.is_none_or(|it| (it.buyer, it.quantity) == (said.buyer, said.quantity));
        require(fits, Promise::Records, found, || {
            format!("order {} has another buyer or quantity than the event says", said.order)
        });
        record
    }

    fn end_hold(&mut self, said: Said) {
        self.held -= said.units();
        self.account(said).held -= said.units();
    }

    fn own(&mut self, said: Said) {
        self.sold += said.units();
        self.account(said).owned += said.units();
        self.set(said, Status::Paid);
    }

    fn set(&mut self, said: Said, status: Status) {
        let Said { buyer, order, quantity, .. } = said;
        self.orders.insert(order, Record { buyer, quantity, status });
    }

    fn account(&mut self, said: Said) -> &mut Account {
        self.accounts.get_or_default(said.buyer)
    }

    fn check_limit(&mut self, said: Said, found: &mut Findings) {
        let limit = self.limit();
        let Account { held, owned, .. } = *self.account(said);
        require(held + owned <= limit, Promise::Limit, found, || {
            format!("{} holds {held} and owns {owned} units, the limit is {limit}", said.buyer)
        });
    }
}
