//! The auditor's model of a sale: one entry for each fact, in the plainest structures that are fast enough. Written from the
//! promises, not
//! from the law's code, and kept apart from it on purpose.

mod due;

mod orders;
mod sharded_map;

use super::SalePromise;
use super::findings::{PromiseFindings, check_promise};
use crate::admission_mode::AdmissionMode;
use crate::counters::SaleCounters;
use crate::event::Event;
use crate::id::{BuyerId, OrderId, RequestKey, Ticket};
use crate::policy::Policy;
use crate::time::Timestamp;
use sharded_map::ShardedMap;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// The model of one sale.
#[derive(Debug, Default)]
pub(super) struct AuditModel {
    policy: Option<Policy>,
    paused_at: Option<Timestamp>,
    closed: bool,
    available: i64,
    held: i64,
    sold: i64,
    accounts: ShardedMap<BuyerId, AuditedBuyer>,
    orders: ShardedMap<OrderId, AuditedOrder>,
    keys: ShardedMap<(BuyerId, RequestKey), OrderId>,
    waiting: BTreeMap<Ticket, BuyerId>,
    admitted: BTreeMap<Ticket, AuditedAdmission>,
    last_ticket: Option<Ticket>,
    /// The moments of the last `per_second` admissions.
    admissions: VecDeque<Timestamp>,
    /// Ends of holds, soonest first; what was paid or given back is dropped when it comes up.
    hold_ends: BinaryHeap<Reverse<(Timestamp, OrderId)>>,
    /// Ends of admissions, likewise.
    window_ends: BinaryHeap<Reverse<(Timestamp, Ticket)>>,
}

/// What one buyer has.
#[derive(Clone, Copy, Debug, Default)]
struct AuditedBuyer {
    held: i64,
    owned: i64,
    ticket: Option<Ticket>,
}

/// One buyer's turn to buy.
#[derive(Clone, Copy, Debug)]
struct AuditedAdmission {
    buyer: BuyerId,
    until: Timestamp,
    extensions: u32,
}

/// What is known of one order.
#[derive(Clone, Copy, Debug)]
struct AuditedOrder {
    buyer: BuyerId,
    quantity: u32,
    status: AuditedStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AuditedStatus {
    Held {
        until: Timestamp,
        /// The end of the hold while a payment is in progress.
        paying_until: Option<Timestamp>,
    },
    Expired,
    GivenBack,
    Paid,
    Refunded,
}

impl AuditedStatus {
    /// When a hold runs out, as things are; `None` for an order without one.
    fn hold_end(self) -> Option<Timestamp> {
        match self {
            Self::Held { until, paying_until } => Some(paying_until.unwrap_or(until)),
            Self::Expired | Self::GivenBack | Self::Paid | Self::Refunded => None,
        }
    }
}

impl AuditModel {
    /// Reads one event, and notes what it breaks.
    pub(super) fn read_event(&mut self, at: Timestamp, event: &Event, found: &mut PromiseFindings) {
        let is_announced = self.policy.is_some() || matches!(event, Event::Configured { .. });
        check_promise(is_announced, SalePromise::Records, found, || {
            format!("{} before the sale was announced", event.name())
        });
        if !due::is_from_tick(event) {
            self.check_nothing_is_due(at, found);
        }
        match event {
            Event::Configured { policy } => self.read_configured(at, policy, found),
            Event::Paused => {
                check_promise(self.is_open_at(at), SalePromise::Records, found, || {
                    "paused after its end".into()
                });
                check_promise(self.paused_at.is_none(), SalePromise::Records, found, || {
                    "paused twice".into()
                });
                self.paused_at.get_or_insert(at);
            }
            Event::Resumed => {
                check_promise(self.paused_at.is_some(), SalePromise::Records, found, || {
                    "resumed without a pause".into()
                });
                self.end_pause(at);
            }
            Event::Closed => {
                check_promise(!self.closed, SalePromise::Records, found, || "closed twice".into());
                self.closed = true;
                self.end_pause(at);
            }
            Event::Restocked { quantity } => {
                check_promise(self.is_open_at(at), SalePromise::Period, found, || {
                    "restocked after its end".into()
                });
                self.available += i64::from(*quantity);
                if let Some(policy) = &mut self.policy {
                    policy.quantity = policy.quantity.saturating_add(*quantity);
                }
            }
            Event::Joined { buyer, ticket } => self.read_joined(at, *buyer, *ticket, found),
            Event::Left { buyer, ticket, admitted } => self.read_left(*buyer, *ticket, *admitted, found),
            Event::Admitted { buyer, ticket, until } => {
                self.read_admitted(at, *buyer, *ticket, *until, found)
            }
            Event::Lapsed { buyer, ticket } => self.read_lapsed(at, *buyer, *ticket, found),
            Event::Extended { buyer, ticket, until } => {
                self.read_extended(at, *buyer, *ticket, *until, found)
            }
            Event::Held { .. }
            | Event::PaymentBegun { .. }
            | Event::PaymentEnded { .. }
            | Event::Confirmed { .. }
            | Event::Released { .. }
            | Event::Refunded { .. } => {
                self.read_order(at, event, found);
            }
        }
        self.check_unit_totals(found);
    }

    pub(super) fn counters(&self) -> SaleCounters {
        let shown = |units: i64| u32::try_from(units.max(0)).unwrap_or(u32::MAX);
        let count = |members: usize| u32::try_from(members).unwrap_or(u32::MAX);
        SaleCounters {
            quantity: self.policy.as_ref().map_or(0, |policy| policy.quantity),
            available: shown(self.available),
            admitted: count(self.admitted.len()),
            held: shown(self.held),
            sold: shown(self.sold),
            waiting: count(self.waiting.len()),
            short: shown(-self.available),
        }
    }

    fn read_configured(&mut self, at: Timestamp, new: &Policy, found: &mut PromiseFindings) {
        check_promise(new.problems().is_empty(), SalePromise::Policy, found, || {
            format!("{:?}", new.problems())
        });
        if let Some(old) = &self.policy {
            check_promise(self.is_open_at(at), SalePromise::Policy, found, || "changed after its end".into());
            let opens_at = old.line_opens_at().unwrap_or(old.starts_at);
            let was_promised = at >= opens_at || self.last_ticket.is_some() || !self.orders.is_empty();
            let more = new.quantity >= old.quantity && new.ends_at >= old.ends_at;
            let same = (new.unit_price, new.starts_at, new.limit_per_buyer, fixed_line_rules(new))
                == (old.unit_price, old.starts_at, old.limit_per_buyer, fixed_line_rules(old));
            let longer = extension_seconds(new) >= extension_seconds(old);
            check_promise(!was_promised || (more && same && longer), SalePromise::Policy, found, || {
                format!("changed from {old:?} to {new:?}")
            });
        }
        let old = self.policy.as_ref().map_or(0, |policy| policy.quantity);
        self.available += i64::from(new.quantity) - i64::from(old);
        check_promise(self.available >= 0, SalePromise::Units, found, || {
            "units were taken back that are given out".into()
        });
        self.policy = Some(new.clone());
    }

    fn end_pause(&mut self, at: Timestamp) {
        let Some(paused_at) = self.paused_at.take() else {
            return;
        };
        let ms = at.ms_since(paused_at).max(0);
        self.window_ends.clear();
        for (ticket, turn) in &mut self.admitted {
            turn.until = turn.until.plus_ms(ms);
            self.window_ends.push(Reverse((turn.until, *ticket)));
        }
    }

    fn read_joined(&mut self, at: Timestamp, buyer: BuyerId, ticket: Ticket, found: &mut PromiseFindings) {
        let opens_at = self.policy.as_ref().and_then(Policy::line_opens_at);
        let is_open = opens_at.is_some_and(|opens_at| at >= opens_at) && self.is_open_at(at);
        check_promise(is_open, SalePromise::Period, found, || {
            format!("{buyer} joined while the line was not open")
        });
        let last = self.last_ticket;
        check_promise(Some(ticket) > last, SalePromise::Tickets, found, || {
            format!("ticket {ticket} after {last:?}")
        });
        self.last_ticket = last.max(Some(ticket));
        let limit = self.limit();
        let account = self.accounts.get_or_default(buyer);
        check_promise(account.ticket.is_none(), SalePromise::Records, found, || {
            format!("{buyer} is in line twice")
        });
        check_promise(account.held + account.owned < limit, SalePromise::Limit, found, || {
            format!("{buyer} joined with {} units of {limit}", account.held + account.owned)
        });
        if let Some(old) = account.ticket.replace(ticket) {
            self.remove_from_line(old);
        }
        self.waiting.insert(ticket, buyer);
    }

    fn read_left(&mut self, buyer: BuyerId, ticket: Ticket, admitted: bool, found: &mut PromiseFindings) {
        let (members, word) = if admitted {
            (self.admitted.get(&ticket).map(|turn| turn.buyer), "admitted")
        } else {
            (self.waiting.get(&ticket).copied(), "waiting")
        };
        check_promise(members == Some(buyer), SalePromise::Records, found, || {
            format!("{buyer} left with ticket {ticket}, which was not {word} for this buyer")
        });
        self.remove_ticket(buyer, ticket);
    }

    fn read_admitted(
        &mut self,
        at: Timestamp,
        buyer: BuyerId,
        ticket: Ticket,
        until: Timestamp,
        found: &mut PromiseFindings,
    ) {
        check_promise(self.waiting.get(&ticket) == Some(&buyer), SalePromise::Records, found, || {
            format!("{buyer} was admitted with ticket {ticket}, which does not wait for this buyer")
        });
        let head = self.waiting.keys().next().copied();
        check_promise(head.is_none_or(|head| head >= ticket), SalePromise::TicketOrder, found, || {
            format!("ticket {ticket} was admitted before {}", head.unwrap_or(ticket))
        });
        check_promise(self.is_active_at(at), SalePromise::Period, found, || {
            format!("{buyer} was admitted out of time")
        });
        if let Some((per_second, checkout_s)) = self.fifo_rules() {
            let promised = at.plus_s(checkout_s);
            check_promise(until == promised, SalePromise::Window, found, || {
                format!("{buyer} was admitted until {until:?}, promised was {promised:?}")
            });
            self.check_rate(at, per_second, found);
        } else {
            found.record_broken(
                SalePromise::Records,
                format!("{buyer} was admitted to a sale without a line"),
            );
        }
        self.remove_ticket(buyer, ticket);
        self.accounts.get_or_default(buyer).ticket = Some(ticket);
        self.admitted.insert(ticket, AuditedAdmission { buyer, until, extensions: 0 });
        self.window_ends.push(Reverse((until, ticket)));
        self.take_units(1, found);
    }

    fn check_rate(&mut self, at: Timestamp, per_second: u32, found: &mut PromiseFindings) {
        if self.admissions.len() < per_second as usize {
            found.record_kept(SalePromise::Rate);
        }
        while self.admissions.len() >= per_second.max(1) as usize {
            let before = self.admissions.pop_front().unwrap_or(at);
            check_promise(at.ms_since(before) >= 1000, SalePromise::Rate, found, || {
                format!("{} admissions within {} ms", u64::from(per_second) + 1, at.ms_since(before))
            });
        }
        self.admissions.push_back(at);
    }

    fn read_lapsed(&mut self, at: Timestamp, buyer: BuyerId, ticket: Ticket, found: &mut PromiseFindings) {
        let until = self.find_admission(buyer, ticket).map(|turn| turn.until);
        check_promise(until.is_some(), SalePromise::Records, found, || {
            format!("ticket {ticket} of {buyer} lapsed, but was not admitted")
        });
        if let Some(until) = until {
            check_promise(until <= at && self.paused_at.is_none(), SalePromise::Window, found, || {
                format!("the admission of {buyer} until {until:?} lapsed at {at:?}")
            });
        }
        self.remove_ticket(buyer, ticket);
    }

    /// An extension goes to a buyer whose admission still runs: once, and for as long as the sale promises.
    fn read_extended(
        &mut self,
        at: Timestamp,
        buyer: BuyerId,
        ticket: Ticket,
        until: Timestamp,
        found: &mut PromiseFindings,
    ) {
        let turn = self.find_admission(buyer, ticket);
        check_promise(turn.is_some(), SalePromise::Records, found, || {
            format!("ticket {ticket} of {buyer} was extended, but was not admitted")
        });
        let Some(turn) = turn else { return };
        let extension_s = self.policy.as_ref().map_or(0, extension_seconds);
        let promised = turn.until.plus_s(extension_s);
        check_promise(
            extension_s > 0 && turn.extensions == 0 && until == promised,
            SalePromise::Window,
            found,
            || {
                let before = turn.extensions;
                format!(
                    "{buyer} was extended until {until:?} after {before} extensions, promised was one, until {promised:?}"
                )
            },
        );
        check_promise(turn.until > at || self.paused_at.is_some(), SalePromise::Window, found, || {
            format!(
                "the admission of {buyer} until {:?} was extended at {at:?}, when it was over",
                turn.until
            )
        });
        self.admitted.insert(ticket, AuditedAdmission { until, extensions: turn.extensions + 1, ..turn });
        self.window_ends.push(Reverse((until, ticket)));
    }

    /// The turn that a buyer has with a ticket.
    fn find_admission(&self, buyer: BuyerId, ticket: Ticket) -> Option<AuditedAdmission> {
        self.admitted.get(&ticket).copied().filter(|turn| turn.buyer == buyer)
    }

    /// Takes a buyer's ticket away; an admission's unit is free again.
    fn remove_ticket(&mut self, buyer: BuyerId, ticket: Ticket) {
        self.remove_from_line(ticket);
        let account = self.accounts.get_or_default(buyer);
        if account.ticket == Some(ticket) {
            account.ticket = None;
        }
    }

    fn remove_from_line(&mut self, ticket: Ticket) {
        self.waiting.remove(&ticket);
        if self.admitted.remove(&ticket).is_some() {
            self.available += 1;
        }
    }

    fn take_units(&mut self, units: i64, found: &mut PromiseFindings) {
        check_promise(self.available >= units, SalePromise::Units, found, || {
            format!("{units} units were given out, {} were free", self.available)
        });
        self.available -= units;
    }

    fn check_unit_totals(&self, found: &mut PromiseFindings) {
        let quantity = self.policy.as_ref().map_or(0, |policy| i64::from(policy.quantity));
        let admitted = i64::try_from(self.admitted.len()).unwrap_or(i64::MAX);
        let sum = self.available + admitted + self.held + self.sold;
        let is_positive = self.held >= 0 && self.sold >= 0 && self.sold <= quantity;
        check_promise(sum == quantity && is_positive, SalePromise::Units, found, || {
            let Self { available, held, sold, .. } = self;
            format!(
                "{available} available + {admitted} admitted + {held} held + {sold} sold, quantity {quantity}"
            )
        });
    }

    fn limit(&self) -> i64 {
        self.policy.as_ref().map_or(i64::MAX, |policy| i64::from(policy.limit_per_buyer))
    }

    /// Admissions a second and seconds to buy, in a sale with a line.
    fn fifo_rules(&self) -> Option<(u32, u32)> {
        match self.policy.as_ref()?.admission {
            AdmissionMode::Open => None,
            AdmissionMode::Fifo { per_second, checkout_s, .. } => Some((per_second, checkout_s)),
        }
    }

    /// Announced, and neither closed nor ended.
    fn is_open_at(&self, at: Timestamp) -> bool {
        !self.closed && self.policy.as_ref().is_some_and(|policy| at < policy.ends_at)
    }

    fn is_active_at(&self, at: Timestamp) -> bool {
        let has_started = self.policy.as_ref().is_some_and(|policy| at >= policy.starts_at);
        has_started && self.is_open_at(at) && self.paused_at.is_none()
    }
}

/// The line's rules that may not change: admissions a second, seconds to buy, seconds that it opens before the start.
fn fixed_line_rules(policy: &Policy) -> Option<(u32, u32, u32)> {
    match policy.admission {
        AdmissionMode::Open => None,
        AdmissionMode::Fifo { per_second, checkout_s, line_opens_s, .. } => {
            Some((per_second, checkout_s, line_opens_s))
        }
    }
}

/// Seconds of the one extension; 0 without one.
fn extension_seconds(policy: &Policy) -> u32 {
    match policy.admission {
        AdmissionMode::Open => 0,
        AdmissionMode::Fifo { extension_s, .. } => extension_s,
    }
}
