//! The judge's own fold of a ledger: which buyer has which place, which order and which units. On purpose it uses neither
//! [`sale::SaleState`] and [`sale::SaleCounters`] nor the auditor: a second fold, which counts in another way (free is what no
//! buyer has), finds the mistakes that the first one makes. It shares only the types of events and policies.

use super::PromiseOffence;
use super::tally::JudgeTally;
use sale::{
    AdmissionMode, BuyerId, Event, EventSeq, LedgerEntry, OrderId, Policy, ReleaseCause, Ticket, Timestamp,
    UnitSource,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// How long a unit may be free while a buyer waits and the pace allows an admission, in milliseconds. The law says "at
/// once"; a second is far above any tick, and far below what a buyer would notice as unfair.
pub(super) const OFFER_WITHIN_MS: i64 = 1_000;

/// The width of the window in which admissions are counted.
const PACE_WINDOW_MS: i64 = 1_000;

/// The judge's fold of one sale.
#[derive(Debug, Default)]
pub(super) struct JudgeState {
    pub(super) policy: Option<Policy>,
    paused_at: Option<Timestamp>,
    closed: bool,
    pub(super) last: (EventSeq, Timestamp),
    pub(super) held: i64,
    pub(super) sold: i64,
    pub(super) orders: HashMap<OrderId, TrackedOrder>,
    pub(super) order_counts: HashMap<BuyerId, u32>,
    orders_of: HashMap<BuyerId, Vec<OrderId>>,
    places: HashMap<Ticket, TrackedPlace>,
    /// Each buyer's first number, and how many they had.
    tickets: HashMap<BuyerId, (Ticket, u32)>,
    /// Numbers that were given to a second buyer.
    reissued: HashSet<(Ticket, BuyerId)>,
    waiting: BTreeSet<Ticket>,
    admitted: BTreeMap<Ticket, (BuyerId, Timestamp)>,
    /// The moments of the last admissions, as many as one second may see.
    admissions: VecDeque<Timestamp>,
    /// Since when a unit is free and a buyer waits for it, and the event that made it so.
    idle_since: Option<(Timestamp, EventSeq)>,
    /// The first event after which every unit was sold, as far as one buyer's order can show.
    pub(super) sold_out_since: Option<EventSeq>,
    pub(super) ticket_order: JudgeTally,
    pub(super) offered: JudgeTally,
    pub(super) sold_within_quantity: JudgeTally,
    pub(super) units_add_up: JudgeTally,
    pub(super) single_end: JudgeTally,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct TrackedOrder {
    pub(super) buyer: BuyerId,
    pub(super) units: u32,
    /// The end of its hold; nothing when it was sold at once.
    pub(super) until: Option<Timestamp>,
    /// The event that made it.
    pub(super) made: EventSeq,
    /// While a payment is in progress: the end of its hold.
    pub(super) paying_until: Option<Timestamp>,
    pub(super) confirmed: Option<EventSeq>,
    /// Its hold ran out.
    pub(super) expired: Option<EventSeq>,
    /// It was cancelled or declined.
    pub(super) given_back: Option<(EventSeq, ReleaseCause)>,
    pub(super) refunded: Option<EventSeq>,
    /// Its units went back among those on sale after they were paid.
    pub(super) restocked: bool,
}

impl TrackedOrder {
    /// The end of its hold, as things are.
    pub(super) fn hold_end(&self) -> Option<Timestamp> {
        self.paying_until.or(self.until)
    }

    /// Its units are in a cart.
    pub(super) fn is_held(&self) -> bool {
        self.confirmed.is_none() && self.expired.is_none() && self.given_back.is_none()
    }

    /// Its units are the buyer's, and the money was not given back.
    pub(super) fn is_owned(&self) -> bool {
        self.confirmed.is_some() && self.refunded.is_none()
    }

    /// The word of the tables.
    pub(super) fn status(&self) -> &'static str {
        match (self.refunded, self.confirmed, self.given_back, self.expired) {
            (Some(_), ..) => "refunded",
            (_, Some(_), ..) => "confirmed",
            (_, _, Some((_, ReleaseCause::Declined)), _) => "declined",
            (_, _, Some(_), _) => "cancelled",
            (_, _, _, Some(_)) => "expired",
            _ => "pending",
        }
    }
}

/// A place in line.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrackedPlace {
    pub(super) buyer: BuyerId,
    pub(super) joined: EventSeq,
    /// Left, lapsed, or used for an order.
    pub(super) ended: Option<EventSeq>,
}

impl JudgeState {
    pub(super) fn read(&mut self, entry: &LedgerEntry) {
        let LedgerEntry { seq, at, ref event } = *entry;
        self.check_offered(seq, at, event);
        self.last = (seq, at);
        match *event {
            Event::Configured { ref policy } => self.policy = Some((**policy).clone()),
            Event::Paused => {
                self.paused_at.get_or_insert(at);
            }
            Event::Resumed => self.end_pause(at),
            Event::Closed => {
                self.end_pause(at);
                self.closed = true;
            }
            Event::Restocked { quantity } => {
                if let Some(policy) = &mut self.policy {
                    policy.quantity = policy.quantity.saturating_add(quantity);
                }
            }
            Event::Joined { buyer, ticket } => self.record_join(seq, buyer, ticket),
            Event::Left { ticket, .. } | Event::Lapsed { ticket, .. } => self.end_place(seq, ticket),
            Event::Admitted { buyer, ticket, until } => self.record_admission(seq, at, buyer, ticket, until),
            Event::Extended { buyer, ticket, until } => {
                if let Some(window) = self.admitted.get_mut(&ticket).filter(|(owner, _)| *owner == buyer) {
                    window.1 = until;
                }
            }
            Event::Held { buyer, order, quantity, until, from, .. } => {
                self.record_order(seq, (buyer, order, quantity), Some(until), from);
                self.held += i64::from(quantity);
            }
            Event::Confirmed { buyer, order, quantity, from, .. } => {
                self.confirm_order(seq, (buyer, order, quantity), from);
            }
            Event::PaymentBegun { order, until, .. } => self.mark_paying(order, Some(until)),
            Event::PaymentEnded { order, .. } => self.mark_paying(order, None),
            Event::Released { order, reason, .. } => self.release_order(seq, order, reason),
            Event::Refunded { order, restocked, .. } => self.refund_order(seq, order, restocked),
        }
        self.check_units(seq);
        self.track_idle(seq, at, event);
    }

    /// Units of the sale.
    pub(super) fn quantity(&self) -> i64 {
        self.policy.as_ref().map_or(0, |policy| i64::from(policy.quantity))
    }

    /// Units that are free.
    pub(super) fn free_units(&self) -> i64 {
        self.quantity() - self.admitted_count() - self.held - self.sold
    }

    pub(super) fn admitted_count(&self) -> i64 {
        i64::try_from(self.admitted.len()).unwrap_or(i64::MAX)
    }

    pub(super) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn limit_per_buyer(&self) -> i64 {
        self.policy.as_ref().map_or(1, |policy| i64::from(policy.limit_per_buyer))
    }

    /// The place that a buyer was given with this number, if it was.
    pub(super) fn find_place(&self, buyer: BuyerId, ticket: Ticket) -> Option<TrackedPlace> {
        let place = self.places.get(&ticket).copied()?;
        if place.buyer == buyer || self.reissued.contains(&(ticket, buyer)) { Some(place) } else { None }
    }

    /// The number of a buyer who had exactly one place.
    pub(super) fn find_only_ticket(&self, buyer: BuyerId) -> Option<Ticket> {
        self.tickets.get(&buyer).filter(|(_, count)| *count == 1).map(|(ticket, _)| *ticket)
    }

    pub(super) fn count_places(&self, buyer: BuyerId) -> u32 {
        self.tickets.get(&buyer).map_or(0, |(_, count)| *count)
    }

    pub(super) fn had_order(&self, buyer: BuyerId) -> bool {
        self.orders_of.contains_key(&buyer)
    }

    /// Whether a unit of the buyer was given back after it was sold.
    pub(super) fn had_refund(&self, buyer: BuyerId) -> bool {
        let mut orders = self.orders_of.get(&buyer).into_iter().flatten();
        orders.any(|id| self.orders.get(id).is_some_and(|order| order.refunded.is_some()))
    }

    /// The buyer's orders whose units are theirs.
    pub(super) fn owned_orders(&self, buyer: BuyerId) -> impl Iterator<Item = (OrderId, &TrackedOrder)> {
        let orders = self.orders_of.get(&buyer).into_iter().flatten();
        orders.filter_map(|id| Some((*id, self.orders.get(id)?))).filter(|(_, order)| order.is_owned())
    }

    /// Admissions that are open, with their ends as pauses have moved them; none while the sale is paused.
    pub(super) fn open_admissions(&self) -> impl Iterator<Item = (Ticket, BuyerId, Timestamp)> + '_ {
        let moving = self.paused_at.is_none();
        self.admitted.iter().filter(move |_| moving).map(|(ticket, (buyer, until))| (*ticket, *buyer, *until))
    }

    /// Since which event a unit has been free for too long at `now`, while a buyer waits for it.
    pub(super) fn find_idle_too_long(&self, now: Timestamp) -> Option<EventSeq> {
        let (since, event) = self.idle_since?;
        let too_long =
            now.ms_since(since) >= OFFER_WITHIN_MS && self.is_selling_at(now) && self.has_pace_at(now);
        too_long.then_some(event)
    }

    fn record_join(&mut self, seq: EventSeq, buyer: BuyerId, ticket: Ticket) {
        let place = TrackedPlace { buyer, joined: seq, ended: None };
        self.tickets.entry(buyer).or_insert((ticket, 0)).1 += 1;
        if let Some(first) = self.places.get_mut(&ticket) {
            self.reissued.insert((ticket, buyer));
            first.ended = None;
        } else {
            self.places.insert(ticket, place);
        }
        self.waiting.insert(ticket);
    }

    fn record_admission(
        &mut self,
        seq: EventSeq,
        at: Timestamp,
        buyer: BuyerId,
        ticket: Ticket,
        until: Timestamp,
    ) {
        let head = self.waiting.first().copied().filter(|head| *head < ticket);
        let passed_over = head.and_then(|head| self.places.get(&head)).map_or(buyer, |place| place.buyer);
        self.ticket_order.check(head.is_none(), || {
            let head = head.unwrap_or(ticket);
            let detail = format!(
                "number {ticket} of {buyer} was admitted before number {head} of {passed_over}, who waited"
            );
            PromiseOffence::new(detail).buyer(passed_over).event(seq)
        });
        self.waiting.remove(&ticket);
        self.admitted.insert(ticket, (buyer, until));
        let per_second = self.per_second().unwrap_or(1).max(1);
        while self.admissions.len() >= per_second {
            self.admissions.pop_front();
        }
        self.admissions.push_back(at);
    }

    fn end_place(&mut self, seq: EventSeq, ticket: Ticket) {
        self.waiting.remove(&ticket);
        self.admitted.remove(&ticket);
        if let Some(place) = self.places.get_mut(&ticket) {
            place.ended = Some(seq);
        }
    }

    /// A new order takes its units from the source in its event.
    fn record_order(
        &mut self,
        seq: EventSeq,
        (buyer, order, units): (BuyerId, OrderId, u32),
        until: Option<Timestamp>,
        from: UnitSource,
    ) {
        if self.per_second().is_some() {
            let has_turn = match from {
                UnitSource::Admission { ticket } => {
                    self.admitted.get(&ticket).is_some_and(|(owner, _)| *owner == buyer)
                }
                UnitSource::Stock | UnitSource::Hold => false,
            };
            self.ticket_order.check(has_turn, || {
                let detail = format!("{buyer} bought past the line: it was not this buyer's turn");
                PromiseOffence::new(detail).buyer(buyer).order(order).event(seq)
            });
        }
        if let UnitSource::Admission { ticket } = from {
            self.end_place(seq, ticket);
        }
        let (confirmed, expired, given_back, refunded) = (None, None, None, None);
        let new = TrackedOrder {
            buyer,
            units,
            until,
            made: seq,
            paying_until: None,
            confirmed,
            expired,
            given_back,
            refunded,
            restocked: false,
        };
        if self.orders.insert(order, new).is_none() {
            *self.order_counts.entry(buyer).or_default() += 1;
            self.orders_of.entry(buyer).or_default().push(order);
        }
    }

    fn confirm_order(&mut self, seq: EventSeq, details: (BuyerId, OrderId, u32), from: UnitSource) {
        let (buyer, id, units) = details;
        let Some(known) = self.orders.get(&id).copied() else {
            self.record_order(seq, details, None, from);
            self.mark_sold(seq, id);
            return;
        };
        self.single_end.check(known.is_held(), || {
            let before = match (known.confirmed, known.given_back) {
                (Some(_), _) => "confirmed",
                (None, Some(_)) => "given back",
                (None, None) => "expired",
            };
            let detail = format!("the order was confirmed after it had been {before}");
            PromiseOffence::new(detail).buyer(buyer).order(id).event(seq)
        });
        if known.confirmed.is_some() {
            return;
        }
        if known.is_held() {
            self.held -= i64::from(known.units);
        }
        if let Some(order) = self.orders.get_mut(&id) {
            order.units = units;
        }
        self.mark_sold(seq, id);
    }

    fn mark_paying(&mut self, id: OrderId, until: Option<Timestamp>) {
        if let Some(order) = self.orders.get_mut(&id) {
            order.paying_until = until;
        }
    }

    fn mark_sold(&mut self, seq: EventSeq, id: OrderId) {
        let Some(order) = self.orders.get_mut(&id) else { return };
        order.confirmed = Some(seq);
        self.sold += i64::from(order.units);
        let (buyer, sold, quantity) = (order.buyer, self.sold, self.quantity());
        self.sold_within_quantity.check(sold <= quantity, || {
            let detail = format!("{sold} units are sold with this order, the sale has {quantity}");
            PromiseOffence::new(detail).buyer(buyer).order(id).event(seq)
        });
    }

    fn release_order(&mut self, seq: EventSeq, id: OrderId, reason: ReleaseCause) {
        let Some(order) = self.orders.get_mut(&id) else { return };
        let (buyer, units, was_held, was_paid) =
            (order.buyer, order.units, order.is_held(), order.confirmed.is_some());
        self.single_end.check(!was_paid, || {
            PromiseOffence::new("the order's units were freed after it was confirmed")
                .buyer(buyer)
                .order(id)
                .event(seq)
        });
        if was_paid {
            return;
        }
        let is_kept = order.paying_until.is_none() || reason == ReleaseCause::Expired;
        self.single_end.check(is_kept, || {
            PromiseOffence::new("the order was given back while it was being paid")
                .buyer(buyer)
                .order(id)
                .event(seq)
        });
        match reason {
            ReleaseCause::Expired => order.expired = order.expired.or(Some(seq)),
            ReleaseCause::Cancelled | ReleaseCause::Declined => {
                order.given_back = order.given_back.or(Some((seq, reason)));
            }
        }
        if was_held {
            self.held -= i64::from(units);
        }
    }

    fn refund_order(&mut self, seq: EventSeq, id: OrderId, restocked: bool) {
        let Some(order) = self.orders.get_mut(&id) else { return };
        if !order.is_owned() {
            return;
        }
        order.refunded = Some(seq);
        order.restocked = restocked;
        if restocked {
            self.sold -= i64::from(order.units);
        }
    }

    /// What was given out is not more than there is.
    fn check_units(&mut self, seq: EventSeq) {
        let (admitted, held, sold, quantity) = (self.admitted_count(), self.held, self.sold, self.quantity());
        let holds = self.free_units() >= 0 && held >= 0 && sold >= 0;
        self.units_add_up.check(holds, || {
            let detail = format!("{admitted} admitted + {held} held + {sold} sold of {quantity} units");
            PromiseOffence::new(detail).event(seq)
        });
        // An order of several units gets "sold out" when the last few do not suffice for it.
        if quantity > 0 && sold + self.limit_per_buyer() > quantity {
            self.sold_out_since.get_or_insert(seq);
        }
    }

    fn end_pause(&mut self, at: Timestamp) {
        if let Some(paused_at) = self.paused_at.take() {
            let ms = at.ms_since(paused_at).max(0);
            self.admitted.values_mut().for_each(|(_, until)| *until = until.plus_ms(ms));
        }
    }

    /// Before a request is decided, the next buyers in line have been offered the free units.
    fn check_offered(&mut self, seq: EventSeq, at: Timestamp, event: &Event) {
        if is_time_driven(event) {
            return;
        }
        let since = self.find_idle_too_long(at);
        if self.idle_since.is_none() {
            return;
        }
        let next = self.waiting.first().and_then(|ticket| self.places.get(ticket)).map(|place| place.buyer);
        let (free, waiting) = (self.free_units(), self.waiting_count());
        self.offered.check(since.is_none(), || {
            let since = since.unwrap_or(seq);
            let detail =
                format!("{free} units have been free since event {since}, and {waiting} buyers wait for one");
            PromiseOffence { buyer: next, ..PromiseOffence::new(detail) }.event(seq)
        });
        if since.is_some() {
            self.idle_since = Some((at, seq));
        }
    }

    fn track_idle(&mut self, seq: EventSeq, at: Timestamp, event: &Event) {
        let could_admit = self.per_second().is_some()
            && self.free_units() > 0
            && !self.waiting.is_empty()
            && self.paused_at.is_none()
            && !self.closed;
        if !could_admit {
            self.idle_since = None;
        } else if self.idle_since.is_none() || matches!(event, Event::Admitted { .. }) {
            let starts_at = self.policy.as_ref().map_or(at, |policy| policy.starts_at);
            self.idle_since = Some((at.max(starts_at), seq));
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    fn is_selling_at(&self, at: Timestamp) -> bool {
        let in_time =
            self.policy.as_ref().is_some_and(|policy| policy.starts_at <= at && at < policy.ends_at);
        in_time && !self.closed && self.paused_at.is_none()
    }

    fn has_pace_at(&self, at: Timestamp) -> bool {
        let recent = self.admissions.iter().filter(|moment| at.ms_since(**moment) < PACE_WINDOW_MS).count();
        self.per_second().is_some_and(|per_second| recent < per_second)
    }

    /// Admissions a second, in a sale with a line.
    fn per_second(&self) -> Option<usize> {
        match self.policy.as_ref()?.admission {
            AdmissionMode::Open => None,
            AdmissionMode::Fifo { per_second, .. } => Some(per_second as usize),
        }
    }
}

/// True for events that happen without a request.
fn is_time_driven(event: &Event) -> bool {
    matches!(
        event,
        Event::Admitted { .. } | Event::Lapsed { .. } | Event::Released { reason: ReleaseCause::Expired, .. }
    )
}
