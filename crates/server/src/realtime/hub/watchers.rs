//! The hub's state for a sale and for a buyer: the line with its positions, the last update that was sent, and when. It decides which
//! updates are due and which differ from the last one; it sends nothing.

use super::{EventSeq, throttle};
use crate::realtime::documents::{LineStatus, OverReason};
use engine::SaleView;
use sale::{
    Availability, BuyerId, Event, LedgerEntry, OrderId, OrderView, SaleCounters, SaleId, SalePhase, Ticket,
    Timestamp, WaitingTickets,
};
use socketioxide::socket::Sid;
use std::collections::HashMap;
use std::sync::Arc;

/// Orders in the snapshot of a buyer who connects: the newest.
const ORDERS_SENT_MAX: usize = 20;
/// After the end of a sale, events of before are waited for so long.
const EVENTS_LATE_MS: i64 = 1_000;
/// Orders of one buyer whose sent version is remembered.
const ORDERS_KNOWN_MAX: usize = 256;

/// Sockets in a group, at most: writing to them takes a few milliseconds of a core, for which requests wait.
pub const GROUP_LEN_MAX: usize = 128;

pub struct SaleWatchers {
    /// The sockets that watch the sale. A group is sent each update at one moment.
    groups: Vec<WatcherGroup>,
    /// The waiting tickets after [`Self::applied_seq`]; `None` once the sale is over.
    line: Option<WaitingTickets>,
    pub applied_seq: EventSeq,
    /// Of connected buyers who have, or had, a place.
    pub last_sent: HashMap<BuyerId, LastSent>,
    paused_at: Option<Timestamp>,
    /// Since when the sale is seen to be over.
    over_since: Option<Timestamp>,
}

/// Sockets that watch a sale, and what they were sent last.
#[derive(Default)]
struct WatcherGroup {
    watchers: usize,
    /// The phase and the counters that were sent last.
    sent: Option<(SalePhase, Arc<SaleView>)>,
    sent_at: Timestamp,
    repeat_at: Option<Timestamp>,
}

/// An update that is due for a group of watchers.
pub struct DueUpdate {
    pub view: Arc<SaleView>,
    pub group: usize,
    pub watchers: usize,
    pub has_phase_changed: bool,
    /// Whether it is the last unit that was sold.
    pub is_last_unit: bool,
    /// When the group was sent the last one.
    pub sent_at: Timestamp,
}

/// The place that a buyer was sent last.
#[derive(Clone, Copy, Debug)]
pub struct LastSent {
    /// 0 for a buyer without a ticket.
    pub ticket: Ticket,
    pub status: LineStatus,
    /// The event after which the place is so.
    pub version: EventSeq,
    sent_at: Timestamp,
    /// Whether a waiting buyer was sent an estimate of the wait.
    has_estimate: bool,
}

impl LastSent {
    pub fn new(ticket: Ticket, status: LineStatus, version: EventSeq, sent_at: Timestamp) -> Self {
        Self { ticket, status, version, sent_at, has_estimate: false }
    }

    /// With whether an estimate goes with it now.
    #[must_use]
    pub fn with_estimate(self, view: &SaleView, now: Timestamp) -> Self {
        Self { has_estimate: estimate_wait_s(view, &self, now).is_some(), ..self }
    }

    pub fn not_in_line(version: EventSeq, sent_at: Timestamp) -> Self {
        Self::new(Ticket(0), LineStatus::Left { at: sent_at }, version, sent_at)
    }
}

impl Default for SaleWatchers {
    fn default() -> Self {
        Self {
            groups: Vec::new(),
            line: Some(WaitingTickets::default()),
            applied_seq: EventSeq(0),
            last_sent: HashMap::new(),
            paused_at: None,
            over_since: None,
        }
    }
}

impl SaleWatchers {
    /// Adds a socket, which is sent the current counters, and returns its group.
    pub fn add_watcher(&mut self, view: &Arc<SaleView>, now: Timestamp) -> usize {
        let free = self.groups.iter().position(|group| group.watchers < GROUP_LEN_MAX);
        let index = free.unwrap_or_else(|| {
            self.groups.push(WatcherGroup::default());
            self.groups.len() - 1
        });
        if self.groups[index].watchers == 0 {
            self.record_sent(index, view, now, None);
        }
        self.groups[index].watchers += 1;
        index
    }

    pub fn remove_watcher(&mut self, group: usize) {
        if let Some(group) = self.groups.get_mut(group) {
            group.watchers = group.watchers.saturating_sub(1);
            if group.watchers == 0 {
                *group = WatcherGroup::default();
            }
        }
    }

    pub fn has_watchers(&self) -> bool {
        self.groups.iter().any(|group| group.watchers > 0)
    }

    /// The groups that are due an update.
    pub fn list_due(&self, view: &Arc<SaleView>, now: Timestamp) -> Vec<DueUpdate> {
        let watchers = self.groups.iter().map(|group| group.watchers).sum();
        let phase = view.phase(now);
        let groups = self.groups.iter().enumerate().filter(|(_, group)| group.watchers > 0);
        let due = groups.filter_map(|(index, group)| {
            let has_phase_changed = group.sent.as_ref().is_some_and(|(sent, _)| *sent != phase);
            (has_phase_changed || group.is_update_due(view, now, watchers)).then(|| DueUpdate {
                view: Arc::clone(view),
                group: index,
                watchers: group.watchers,
                has_phase_changed,
                is_last_unit: group.is_last_unit(view),
                sent_at: group.sent_at,
            })
        });
        due.collect()
    }

    pub fn record_sent(
        &mut self,
        group: usize,
        view: &Arc<SaleView>,
        now: Timestamp,
        repeat_at: Option<Timestamp>,
    ) {
        if let Some(group) = self.groups.get_mut(group) {
            group.sent = Some((view.phase(now), Arc::clone(view)));
            group.sent_at = now;
            group.repeat_at = repeat_at;
        }
    }

    pub fn schedule_repeat(&mut self, group: usize, at: Timestamp) {
        if let Some(group) = self.groups.get_mut(group) {
            group.repeat_at = Some(group.repeat_at.map_or(at, |known| known.min(at)));
        }
    }

    /// Applies an event to the line, unless it was applied before.
    pub fn update_line(&mut self, entry: &LedgerEntry) {
        if entry.seq > self.applied_seq
            && let Some(line) = &mut self.line
        {
            line.apply(&entry.event);
        }
    }

    pub fn position(&self, ticket: Ticket) -> Option<u32> {
        self.line.as_ref().and_then(|line| line.position(ticket))
    }

    /// Buyers who wait in a sale that is over: each gets one last update, once all events before the end are applied. An event
    /// that comes later still counts.
    pub fn close_line(
        &mut self,
        view: &SaleView,
        reason: OverReason,
        now: Timestamp,
    ) -> Vec<(BuyerId, LastSent)> {
        // Positions no longer change.
        self.line = None;
        let since = *self.over_since.get_or_insert(now);
        if self.applied_seq < view.seq && now.ms_since(since) < EVENTS_LATE_MS {
            return Vec::new();
        }
        let version = self.applied_seq;
        let waiting =
            self.last_sent.iter_mut().filter(|(_, sent)| matches!(sent.status, LineStatus::Waiting(_)));
        let close = |(buyer, sent): (&BuyerId, &mut LastSent)| {
            *sent = LastSent::new(sent.ticket, LineStatus::Over(reason), sent.version.max(version), now);
            (*buyer, *sent)
        };
        waiting.map(close).collect()
    }

    /// Buyers who moved forward since their last position, or who got an estimate of the wait or lost it, if that position is old
    /// enough. A position never grows: the engine's snapshot may be newer than the events applied here.
    pub fn take_due_positions(
        &mut self,
        view: &SaleView,
        now: Timestamp,
        is_wanted: impl Fn(&BuyerId) -> bool,
    ) -> Vec<(BuyerId, LastSent)> {
        let applied_seq = self.applied_seq;
        let mut due = Vec::new();
        let Some(line) = &self.line else { return due };
        for (buyer, sent) in &mut self.last_sent {
            let LineStatus::Waiting(sent_position) = sent.status else { continue };
            if now.ms_since(sent.sent_at) < throttle::position_interval_ms(sent_position) || !is_wanted(buyer)
            {
                continue;
            }
            let Some(position) = line.position(sent.ticket).filter(|position| *position <= sent_position)
            else {
                continue;
            };
            let version = sent.version.max(applied_seq);
            let moved = LastSent::new(sent.ticket, LineStatus::Waiting(position), version, now);
            let moved = moved.with_estimate(view, now);
            if position < sent_position || moved.has_estimate != sent.has_estimate {
                *sent = moved;
                due.push((*buyer, moved));
            }
        }
        due
    }

    /// Merges a reported place with the known one; either may be newer. Neither a ticket nor a position goes back. Returns the
    /// merged place, and whether it differs from the known one.
    pub fn merge_status(&mut self, buyer: BuyerId, reported: LastSent) -> (LastSent, bool) {
        let Some(known) = self.last_sent.get_mut(&buyer) else {
            self.last_sent.insert(buyer, reported);
            return (reported, reported.ticket > Ticket(0));
        };
        if reported.ticket < known.ticket {
            return (*known, false);
        }
        let is_news = reported.ticket > known.ticket
            || match (known.status, reported.status) {
                (LineStatus::Waiting(before), LineStatus::Waiting(now)) => now < before,
                // The end of a sale is no event.
                (LineStatus::Waiting(_), LineStatus::Over(_)) => true,
                (_, LineStatus::Waiting(_)) => false,
                (before, now) => reported.version > known.version && before != now,
            };
        if is_news {
            *known = LastSent { version: reported.version.max(known.version), ..reported };
        } else if reported.status == known.status {
            known.version = known.version.max(reported.version);
        }
        (*known, is_news)
    }

    /// Applies an event, and extends admissions by the time of a pause that it ends. Returns the admissions whose clock stops or goes
    /// on by it.
    pub fn extend_admissions(&mut self, entry: &LedgerEntry) -> Vec<(BuyerId, LastSent)> {
        self.applied_seq = entry.seq;
        let paused_ms = match entry.event {
            Event::Paused => {
                self.paused_at.get_or_insert(entry.at);
                0
            }
            Event::Resumed | Event::Closed => match self.paused_at.take() {
                Some(paused_at) => entry.at.ms_since(paused_at).max(0),
                None => return Vec::new(),
            },
            _ => return Vec::new(),
        };
        let mut extended = Vec::new();
        for (buyer, sent) in &mut self.last_sent {
            if let LineStatus::Admitted { until, extension_s } = sent.status
                && sent.version < entry.seq
            {
                sent.status = LineStatus::Admitted { until: until.plus_ms(paused_ms), extension_s };
                sent.version = entry.seq;
                extended.push((*buyer, *sent));
            }
        }
        extended
    }
}

impl WatcherGroup {
    /// Whether it is due an update of the counters, among so many watchers of the sale.
    fn is_update_due(&self, view: &SaleView, now: Timestamp, watchers: usize) -> bool {
        if self.repeat_at.is_some_and(|at| now >= at) {
            return true;
        }
        let Some((_, sent)) = &self.sent else { return true };
        // The sale of the last unit does not wait for the longer interval of a crowd.
        let interval_ms = if self.is_last_unit(view) {
            throttle::UPDATE_INTERVAL_MS
        } else {
            throttle::update_interval_ms(watchers, differs_only_in_line(sent, view))
        };
        view.seq > sent.seq && now.ms_since(self.sent_at) >= interval_ms
    }

    /// Whether the last unit was sold since the last update.
    fn is_last_unit(&self, view: &SaleView) -> bool {
        let was_sold_out =
            |(_, sent): &(SalePhase, Arc<SaleView>)| sent.availability == Availability::SoldOut;
        view.availability == Availability::SoldOut && !self.sent.as_ref().is_some_and(was_sold_out)
    }
}

/// Whether two views of a sale differ in the length of the line and in nothing else that an update carries.
fn differs_only_in_line(before: &SaleView, after: &SaleView) -> bool {
    let without_line = |view: &SaleView| SaleCounters { waiting: 0, ..view.counters };
    without_line(before) == without_line(after)
        && before.availability == after.availability
        && before.policy == after.policy
}

/// Seconds until a waiting buyer is admitted, where that can be estimated.
pub fn estimate_wait_s(view: &SaleView, sent: &LastSent, now: Timestamp) -> Option<u64> {
    match sent.status {
        LineStatus::Waiting(position) => view.line_moment(now).estimate_wait_s(sent.ticket, position),
        _ => None,
    }
}

/// The sockets of one buyer.
pub struct BuyerSockets {
    pub sockets: Vec<Sid>,
    /// How many of them want to be sent how the buyer moves forward in line.
    pub position_sockets: usize,
    /// When the first of them connected.
    pub connected_at: Timestamp,
    /// Sales in which the buyer may have a place.
    pub sales: Vec<SaleId>,
    /// The version of each order that was sent last.
    pub orders: HashMap<OrderId, EventSeq>,
}

impl BuyerSockets {
    pub fn new(connected_at: Timestamp) -> Self {
        Self {
            sockets: Vec::new(),
            position_sockets: 0,
            connected_at,
            sales: Vec::new(),
            orders: HashMap::new(),
        }
    }

    pub fn add_sale(&mut self, sale: SaleId) {
        if !self.sales.contains(&sale) {
            self.sales.push(sale);
        }
    }

    /// The orders to send to a socket that connects, newest first, without those of which a newer version was sent.
    pub fn take_new_orders(&mut self, orders: &[OrderView], version: EventSeq) -> Vec<OrderView> {
        let newest = orders.iter().take(ORDERS_SENT_MAX);
        let new_orders = newest.filter(|order| {
            let is_newer = self.orders.get(&order.id).is_some_and(|known| *known > version);
            !is_newer && {
                mark_order_sent(&mut self.orders, order.id, version);
                true
            }
        });
        new_orders.copied().collect()
    }
}

/// Marks a version of an order as sent. Returns false when it, or a newer one, was sent before.
pub fn mark_order_sent(orders: &mut HashMap<OrderId, EventSeq>, order: OrderId, seq: EventSeq) -> bool {
    if orders.get(&order).is_some_and(|known| *known >= seq) {
        return false;
    }
    if orders.len() >= ORDERS_KNOWN_MAX {
        orders.clear();
    }
    orders.insert(order, seq);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use sale::{AdmissionMode, Command, Money, Policy, SaleState};
    use uuid::Uuid;

    const START: Timestamp = Timestamp(1_800_000_000_000);

    /// A sale whose line is open before it starts, decided by these commands.
    fn view_after(commands: &[Command]) -> Arc<SaleView> {
        let policy = Policy {
            quantity: 10,
            unit_price: Money { minor: 4_900, currency: "EUR".parse().unwrap() },
            starts_at: START.plus_s(60),
            ends_at: START.plus_s(3_600),
            limit_per_buyer: 1,
            hold_s: 60,
            admission: AdmissionMode::Fifo {
                per_second: 1,
                checkout_s: 60,
                line_opens_s: 600,
                extension_s: 0,
            },
        };
        let (mut state, mut events) = (SaleState::new(), Vec::new());
        state.step(START, &Command::Configure { policy: Box::new(policy.clone()) }, &mut events);
        for command in commands {
            state.step(START, command, &mut events);
        }
        Arc::new(SaleView::from_state(SaleId(Uuid::nil()), &state, Arc::new(policy)))
    }

    fn join_commands(count: u128) -> Vec<Command> {
        (1..=count).map(|no| Command::Join { buyer: BuyerId(Uuid::from_u128(no)) }).collect()
    }

    fn list_due_groups(watched: &SaleWatchers, view: &Arc<SaleView>, ms: i64) -> Vec<usize> {
        watched.list_due(view, START.plus_ms(ms)).iter().map(|update| update.group).collect()
    }

    #[test]
    fn a_crowd_is_as_many_groups_as_it_needs_and_a_place_that_is_free_is_filled() {
        let (mut watched, view) = (SaleWatchers::default(), view_after(&[]));
        let groups: Vec<usize> = (0..=2 * GROUP_LEN_MAX).map(|_| watched.add_watcher(&view, START)).collect();
        assert_eq!(
            [0, GROUP_LEN_MAX - 1, GROUP_LEN_MAX, 2 * GROUP_LEN_MAX].map(|no| groups[no]),
            [0, 0, 1, 2]
        );
        watched.remove_watcher(1);
        assert_eq!([(); 2].map(|()| watched.add_watcher(&view, START)), [1, 2]);
    }

    #[test]
    fn each_group_is_due_until_it_was_sent_the_change() {
        let (mut watched, view) = (SaleWatchers::default(), view_after(&[]));
        for _ in 0..=GROUP_LEN_MAX {
            watched.add_watcher(&view, START);
        }
        assert_eq!(list_due_groups(&watched, &view, 1_000), [0_usize; 0]);
        let changed = view_after(&[Command::Restock { quantity: 1 }]);
        assert_eq!(list_due_groups(&watched, &changed, 100), [0_usize; 0]);
        assert_eq!(list_due_groups(&watched, &changed, 200), [0, 1]);
        watched.record_sent(0, &changed, START.plus_ms(200), None);
        assert_eq!(list_due_groups(&watched, &changed, 200), [1]);
        // A group without sockets is sent nothing.
        watched.remove_watcher(1);
        assert_eq!(list_due_groups(&watched, &changed, 200), [0_usize; 0]);
    }

    #[test]
    fn what_can_be_bought_is_sent_sooner_than_who_waits() {
        let (mut watched, view) = (SaleWatchers::default(), view_after(&[]));
        for _ in 0..2_000 {
            watched.add_watcher(&view, START);
        }
        let joined = view_after(&join_commands(3));
        assert_eq!(list_due_groups(&watched, &joined, 799), [0_usize; 0]);
        let all = 2_000_usize.div_ceil(GROUP_LEN_MAX);
        assert_eq!(list_due_groups(&watched, &joined, 800).len(), all);
        let restocked = view_after(&[join_commands(3), vec![Command::Restock { quantity: 1 }]].concat());
        assert_eq!(list_due_groups(&watched, &restocked, 200).len(), all);
    }

    #[test]
    fn a_change_of_phase_waits_for_nothing() {
        let (mut watched, view) = (SaleWatchers::default(), view_after(&[]));
        watched.add_watcher(&view, START.plus_ms(59_999));
        let due = watched.list_due(&view, START.plus_s(60));
        assert!(due.len() == 1 && due[0].has_phase_changed);
        watched.record_sent(0, &view, START.plus_s(60), None);
        assert_eq!(list_due_groups(&watched, &view, 60_000), [0_usize; 0]);
    }
}
