//! The auditor's books: one entry a fact, in the plainest structures that are fast enough. Written from design §3, not
//! from the law's code, and kept apart from it on purpose.

mod due;

mod selling;
mod shelves;

use super::Promise;
use super::findings::{Findings, require};
use crate::event::Event;
use crate::id::{BuyerId, OrderId, RequestKey, Ticket};
use crate::policy::{Admission, Policy};
use crate::state::Counters;
use crate::time::Timestamp;
use shelves::Shelves;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// The books of one sale.
#[derive(Debug, Default)]
pub(super) struct Book {
    policy: Option<Policy>,
    paused_at: Option<Timestamp>,
    closed: bool,
    available: i64,
    held: i64,
    sold: i64,
    accounts: Shelves<BuyerId, Account>,
    orders: Shelves<OrderId, Record>,
    keys: Shelves<(BuyerId, RequestKey), OrderId>,
    waiting: BTreeMap<Ticket, BuyerId>,
    admitted: BTreeMap<Ticket, Turn>,
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
struct Account {
    held: i64,
    owned: i64,
    ticket: Option<Ticket>,
}

/// One buyer's turn to buy.
#[derive(Clone, Copy, Debug)]
struct Turn {
    buyer: BuyerId,
    until: Timestamp,
    extensions: u32,
}

/// What is known of one order.
#[derive(Clone, Copy, Debug)]
struct Record {
    buyer: BuyerId,
    quantity: u32,
    status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Held { until: Timestamp },
    Expired,
    GivenBack,
    Paid,
    Refunded,
}

impl Book {
    /// Reads one event, and notes what it breaks.
    pub(super) fn read(&mut self, at: Timestamp, event: &Event, found: &mut Findings) {
        let is_announced = self.policy.is_some() || matches!(event, Event::Configured { .. });
        require(is_announced, Promise::Records, found, || {
            format!("{} before the sale was announced", event.name())
        });
        if !due::is_from_tick(event) {
            self.check_nothing_is_due(at, found);
        }
        match event {
            Event::Configured { policy } => self.configured(at, policy, found),
            Event::Paused => {
                require(self.is_open_at(at), Promise::Records, found, || "paused after its end".into());
                require(self.paused_at.is_none(), Promise::Records, found, || "paused twice".into());
                self.paused_at.get_or_insert(at);
            }
            Event::Resumed => {
                require(self.paused_at.is_some(), Promise::Records, found, || {
                    "resumed without a pause".into()
                });
                self.unfreeze(at);
            }
            Event::Closed => {
                require(!self.closed, Promise::Records, found, || "closed twice".into());
                self.closed = true;
                self.unfreeze(at);
            }
            Event::Restocked { quantity } => {
                require(self.is_open_at(at), Promise::Period, found, || "restocked after its end".into());
                self.available += i64::from(*quantity);
                if let Some(policy) = &mut self.policy {
                    policy.quantity = policy.quantity.saturating_add(*quantity);
                }
            }
            Event::Joined { buyer, ticket } => self.joined(at, *buyer, *ticket, found),
            Event::Left { buyer, ticket, admitted } => self.left(*buyer, *ticket, *admitted, found),
            Event::Admitted { buyer, ticket, until } => self.was_admitted(at, *buyer, *ticket, *until, found),
            Event::Lapsed { buyer, ticket } => self.lapsed(at, *buyer, *ticket, found),
            Event::Extended { buyer, ticket, until } => self.extended(at, *buyer, *ticket, *until, found),
            Event::Held { .. }
            | Event::Confirmed { .. }
            | Event::Released { .. }
            | Event::Refunded { .. } => {
                self.read_order(at, event, found);
            }
        }
        self.check_sums(found);
    }

    pub(super) fn counters(&self) -> Counters {
        let shown = |units: i64| u32::try_from(units.max(0)).unwrap_or(u32::MAX);
        let count = |members: usize| u32::try_from(members).unwrap_or(u32::MAX);
        Counters {
            quantity: self.policy.as_ref().map_or(0, |policy| policy.quantity),
            available: shown(self.available),
            admitted: count(self.admitted.len()),
            held: shown(self.held),
            sold: shown(self.sold),
            waiting: count(self.waiting.len()),
            short: shown(-self.available),
        }
    }

    fn configured(&mut self, at: Timestamp, new: &Policy, found: &mut Findings) {
        require(new.problems().is_empty(), Promise::Policy, found, || format!("{:?}", new.problems()));
        if let Some(old) = &self.policy {
            require(self.is_open_at(at), Promise::Policy, found, || "changed after its end".into());
            let opens_at = old.line_opens_at().unwrap_or(old.starts_at);
            let was_promised = at >= opens_at || self.last_ticket.is_some() || !self.orders.is_empty();
            let more = new.quantity >= old.quantity && new.ends_at >= old.ends_at;
            let same = (new.unit_price, new.starts_at, new.limit_per_buyer, line_of(new))
                == (old.unit_price, old.starts_at, old.limit_per_buyer, line_of(old));
            let longer = extension_of(new) >= extension_of(old);
            require(!was_promised || (more && same && longer), Promise::Policy, found, || {
                format!("changed from {old:?} to {new:?}")
            });
        }
        let old = self.policy.as_ref().map_or(0, |policy| policy.quantity);
        self.available += i64::from(new.quantity) - i64::from(old);
        require(self.available >= 0, Promise::Units, found, || {
            "units were taken back that are given out".into()
        });
        self.policy = Some(new.clone());
    }

    fn unfreeze(&mut self, at: Timestamp) {
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

    fn joined(&mut self, at: Timestamp, buyer: BuyerId, ticket: Ticket, found: &mut Findings) {
        let opens_at = self.policy.as_ref().and_then(Policy::line_opens_at);
        let is_open = opens_at.is_some_and(|opens_at| at >= opens_at) && self.is_open_at(at);
        require(is_open, Promise::Period, found, || format!("{buyer} joined while the line was not open"));
        let last = self.last_ticket;
        require(Some(ticket) > last, Promise::Tickets, found, || format!("ticket {ticket} after {last:?}"));
        self.last_ticket = last.max(Some(ticket));
        let limit = self.limit();
        let account = self.accounts.get_or_default(buyer);
        require(account.ticket.is_none(), Promise::Records, found, || format!("{buyer} is in line twice"));
        require(account.held + account.owned < limit, Promise::Limit, found, || {
            format!("{buyer} joined with {} units of {limit}", account.held + account.owned)
        });
        if let Some(old) = account.ticket.replace(ticket) {
            self.forget(old);
        }
        self.waiting.insert(ticket, buyer);
    }

    fn left(&mut self, buyer: BuyerId, ticket: Ticket, admitted: bool, found: &mut Findings) {
        let (members, word) = if admitted {
            (self.admitted.get(&ticket).map(|turn| turn.buyer), "admitted")
        } else {
            (self.waiting.get(&ticket).copied(), "waiting")
        };
        require(members == Some(buyer), Promise::Records, found, || {
            format!("{buyer} left with ticket {ticket}, which was not {word} for this buyer")
        });
        self.take_ticket(buyer, ticket);
    }

    fn was_admitted(
        &mut self,
        at: Timestamp,
        buyer: BuyerId,
        ticket: Ticket,
        until: Timestamp,
        found: &mut Findings,
    ) {
        require(self.waiting.get(&ticket) == Some(&buyer), Promise::Records, found, || {
            format!("{buyer} was admitted with ticket {ticket}, which does not wait for this buyer")
        });
        let head = self.waiting.keys().next().copied();
        require(head.is_none_or(|head| head >= ticket), Promise::TicketOrder, found, || {
            format!("ticket {ticket} was admitted before {}", head.unwrap_or(ticket))
        });
        require(self.is_active_at(at), Promise::Period, found, || {
            format!("{buyer} was admitted out of time")
        });
        if let Some((per_second, checkout_s)) = self.fifo() {
            let promised = at.plus_s(checkout_s);
            require(until == promised, Promise::Window, found, || {
                format!("{buyer} was admitted until {until:?}, promised was {promised:?}")
            });
            self.note_admission(at, per_second, found);
        } else {
            found.broke(Promise::Records, format!("{buyer} was admitted to a sale without a line"));
        }
        self.take_ticket(buyer, ticket);
        self.accounts.get_or_default(buyer).ticket = Some(ticket);
        self.admitted.insert(ticket, Turn { buyer, until, extensions: 0 });
        self.window_ends.push(Reverse((until, ticket)));
        self.take_available(1, found);
    }

    fn note_admission(&mut self, at: Timestamp, per_second: u32, found: &mut Findings) {
        if self.admissions.len() < per_second as usize {
            found.kept(Promise::Rate);
        }
        while self.admissions.len() >= per_second.max(1) as usize {
            let before = self.admissions.pop_front().unwrap_or(at);
            require(at.ms_since(before) >= 1000, Promise::Rate, found, || {
                format!("{} admissions within {} ms", u64::from(per_second) + 1, at.ms_since(before))
            });
        }
        self.admissions.push_back(at);
    }

    fn lapsed(&mut self, at: Timestamp, buyer: BuyerId, ticket: Ticket, found: &mut Findings) {
        let until = self.turn(buyer, ticket).map(|turn| turn.until);
        require(until.is_some(), Promise::Records, found, || {
            format!("ticket {ticket} of {buyer} lapsed, but was not admitted")
        });
        if let Some(until) = until {
            require(until <= at && self.paused_at.is_none(), Promise::Window, found, || {
                format!("the admission of {buyer} until {until:?} lapsed at {at:?}")
            });
        }
        self.take_ticket(buyer, ticket);
    }

    /// More time is given to whoever has a turn that still runs: once, and as much as the sale promises.
    fn extended(
        &mut self,
        at: Timestamp,
        buyer: BuyerId,
        ticket: Ticket,
        until: Timestamp,
        found: &mut Findings,
    ) {
        let turn = self.turn(buyer, ticket);
        require(turn.is_some(), Promise::Records, found, || {
            format!("ticket {ticket} of {buyer} was extended, but was not admitted")
        });
        let Some(turn) = turn else { return };
        let extension_s = self.policy.as_ref().map_or(0, extension_of);
        let promised = turn.until.plus_s(extension_s);
        require(extension_s > 0 && turn.extensions == 0 && until == promised, Promise::Window, found, || {
            let before = turn.extensions;
            format!(
                "{buyer} was extended until {until:?} after {before} extensions, promised was one, until {promised:?}"
            )
        });
        require(turn.until > at || self.paused_at.is_some(), Promise::Window, found, || {
            format!(
                "the admission of {buyer} until {:?} was extended at {at:?}, when it was over",
                turn.until
            )
        });
        self.admitted.insert(ticket, Turn { until, extensions: turn.extensions + 1, ..turn });
        self.window_ends.push(Reverse((until, ticket)));
    }

    /// The turn that a buyer has with a ticket.
    fn turn(&self, buyer: BuyerId, ticket: Ticket) -> Option<Turn> {
        self.admitted.get(&ticket).copied().filter(|turn| turn.buyer == buyer)
    }

    /// Takes a buyer's ticket away; an admission's unit is free again.
    fn take_ticket(&mut self, buyer: BuyerId, ticket: Ticket) {
        self.forget(ticket);
        let account = self.accounts.get_or_default(buyer);
        if account.ticket == Some(ticket) {
            account.ticket = None;
        }
    }

    fn forget(&mut self, ticket: Ticket) {
        self.waiting.remove(&ticket);
        if self.admitted.remove(&ticket).is_some() {
            self.available += 1;
        }
    }

    fn take_available(&mut self, units: i64, found: &mut Findings) {
        require(self.available >= units, Promise::Units, found, || {
            format!("{units} units were given out, {} were free", self.available)
        });
        self.available -= units;
    }

    fn check_sums(&self, found: &mut Findings) {
        let quantity = self.policy.as_ref().map_or(0, |policy| i64::from(policy.quantity));
        let admitted = i64::try_from(self.admitted.len()).unwrap_or(i64::MAX);
        let sum = self.available + admitted + self.held + self.sold;
        let is_positive = self.held >= 0 && self.sold >= 0 && self.sold <= quantity;
        require(sum == quantity && is_positive, Promise::Units, found, || {
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
    fn fifo(&self) -> Option<(u32, u32)> {
        match self.policy.as_ref()?.admission {
            Admission::Open => None,
            Admission::Fifo { per_second, checkout_s, .. } => Some((per_second, checkout_s)),
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

/// What a policy says of its line but for the extension: admissions a second, seconds to buy, seconds it opens before.
fn line_of(policy: &Policy) -> Option<(u32, u32, u32)> {
    match policy.admission {
        Admission::Open => None,
        Admission::Fifo { per_second, checkout_s, line_opens_s, .. } => {
            Some((per_second, checkout_s, line_opens_s))
        }
    }
}

/// Seconds of the one extension; 0 without one.
fn extension_of(policy: &Policy) -> u32 {
    match policy.admission {
        Admission::Open => 0,
        Admission::Fifo { extension_s, .. } => extension_s,
    }
}
