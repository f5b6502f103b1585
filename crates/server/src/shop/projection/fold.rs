//! From events to rows: folds a range of a sale's ledger into the last state of each row that it touches. Pure.

use super::series::SeriesTotals;
use crate::store::attempts::{ACCEPTED, AttemptRow};
use crate::store::counters::CountersRow;
use crate::store::orders::OrderRow;
use crate::store::queue::{QueueEntryStatus, QueueRow};
use sale::{
    BuyerId, Event, EventSeq, LedgerEntry, Money, OrderId, OrderStatus, OrderView, Policy, ReleaseCause,
    SaleCounters, SaleId, UnitSource,
};
use sale::{Ticket, Timestamp};
use std::collections::HashMap;
use uuid::Builder;

/// The rows that a range of events touches, each once, as they are after it.
#[derive(Debug, Default)]
pub(crate) struct FoldedRows {
    pub(crate) orders: Vec<OrderRow>,
    pub(crate) queue: Vec<QueueRow>,
    pub(crate) attempts: Vec<AttemptRow>,
    pub(crate) series: SeriesTotals,
    pub(crate) counters: Option<CountersRow>,
    /// Milliseconds that every admission which is still open gets: a pause has ended.
    pub(crate) extend_ms: Option<i64>,
    /// The number of folded events. The end of a pause ends a range, because it touches rows that are not here.
    pub(crate) event_count: usize,
    orders_at: HashMap<OrderId, usize>,
    queue_at: HashMap<Ticket, usize>,
}

/// Folds as many `entries` as make one range, on top of the sale as it is in the tables.
pub(crate) fn fold(sale: SaleId, counters: Option<CountersRow>, entries: &[LedgerEntry]) -> FoldedRows {
    let mut folded = FoldedRows { counters, ..FoldedRows::default() };
    for entry in entries {
        folded.event_count += 1;
        if folded.counters.as_ref().is_some_and(|row| entry.seq <= row.seq) {
            continue;
        }
        folded.apply(sale, entry);
        if folded.extend_ms.is_some() {
            break;
        }
    }
    folded
}

impl FoldedRows {
    fn apply(&mut self, sale: SaleId, entry: &LedgerEntry) {
        if let Event::Configured { policy } = &entry.event {
            self.apply_policy(entry.seq, policy);
        }
        // A ledger begins with the announcement; an event before it changes nothing.
        let Some(mut row) = self.counters.take() else { return };
        row.seq = entry.seq;
        row.counters.apply(&entry.event);
        row.policy.quantity = row.counters.quantity;
        mark_firsts(&mut row, entry.at);
        self.series.add_event(entry, &row);
        match entry.event {
            Event::Paused => row.paused_at = row.paused_at.or(Some(entry.at)),
            Event::Resumed => self.end_pause(&mut row, entry.at),
            Event::Closed => {
                self.end_pause(&mut row, entry.at);
                row.closed_at = Some(entry.at);
            }
            Event::Configured { .. } | Event::Restocked { .. } => {}
            Event::Joined { buyer, ticket } => {
                self.record_entry(entry, buyer, ticket, QueueEntryStatus::Waiting);
                self.record_accepted(sale, entry, buyer, "join");
            }
            Event::Left { buyer, ticket, .. } => {
                self.record_entry(entry, buyer, ticket, QueueEntryStatus::Left)
            }
            Event::Lapsed { buyer, ticket } => {
                self.record_entry(entry, buyer, ticket, QueueEntryStatus::Lapsed)
            }
            Event::Admitted { buyer, ticket, until } | Event::Extended { buyer, ticket, until } => {
                self.record_entry(entry, buyer, ticket, QueueEntryStatus::Admitted { until });
            }
            Event::Held { buyer, order, quantity, until, from, .. } => {
                self.record_served(entry, buyer, from);
                self.record_order(
                    sale,
                    entry,
                    row.policy.unit_price,
                    (order, buyer, quantity),
                    OrderStatus::Pending { until, paying_until: None },
                );
                self.record_accepted(sale, entry, buyer, "order");
            }
            Event::Confirmed { buyer, order, quantity, from, .. } => {
                self.record_served(entry, buyer, from);
                self.record_order(
                    sale,
                    entry,
                    row.policy.unit_price,
                    (order, buyer, quantity),
                    OrderStatus::Confirmed,
                );
                // Units that do not come from a hold are either sold at once, or paid too late: the latter only where
                // the sale holds units, and it was counted when they were held.
                if from != UnitSource::Hold && row.policy.sells_at_once() {
                    self.record_accepted(sale, entry, buyer, "order");
                } else {
                    self.mark_paid(order, entry.at);
                }
            }
            Event::Released { buyer, order, quantity, reason } => {
                let status = match reason {
                    ReleaseCause::Cancelled => OrderStatus::Cancelled,
                    ReleaseCause::Declined => OrderStatus::Declined,
                    ReleaseCause::Expired => OrderStatus::Expired,
                };
                self.record_order(sale, entry, row.policy.unit_price, (order, buyer, quantity), status);
            }
            Event::PaymentBegun { buyer, order, quantity, held_until, until } => {
                let status = OrderStatus::Pending { until: held_until, paying_until: Some(until) };
                self.record_order(sale, entry, row.policy.unit_price, (order, buyer, quantity), status);
            }
            Event::PaymentEnded { buyer, order, quantity, until } => {
                let status = OrderStatus::Pending { until, paying_until: None };
                self.record_order(sale, entry, row.policy.unit_price, (order, buyer, quantity), status);
            }
            Event::Refunded { buyer, order, quantity, restocked } => {
                let status = OrderStatus::Refunded { restocked };
                self.record_order(sale, entry, row.policy.unit_price, (order, buyer, quantity), status);
            }
        }
        self.counters = Some(row);
    }

    fn apply_policy(&mut self, seq: EventSeq, policy: &Policy) {
        match &mut self.counters {
            // [`SaleCounters::apply`] sets the quantity, for it needs the old one.
            Some(row) => row.policy = policy.clone(),
            None => {
                self.counters = Some(CountersRow {
                    seq,
                    counters: SaleCounters::default(),
                    policy: policy.clone(),
                    paused_at: None,
                    closed_at: None,
                    taken_at: None,
                    sold_out_at: None,
                });
            }
        }
    }

    fn end_pause(&mut self, row: &mut CountersRow, at: Timestamp) {
        if let Some(paused_at) = row.paused_at.take() {
            self.extend_ms = Some(at.ms_since(paused_at).max(0));
        }
    }

    fn record_served(&mut self, entry: &LedgerEntry, buyer: BuyerId, from: UnitSource) {
        if let UnitSource::Admission { ticket } = from {
            self.record_entry(entry, buyer, ticket, QueueEntryStatus::Served);
        }
    }

    fn record_entry(
        &mut self,
        entry: &LedgerEntry,
        buyer: BuyerId,
        ticket: Ticket,
        status: QueueEntryStatus,
    ) {
        let LedgerEntry { seq, at, .. } = *entry;
        let admitted_at = matches!(status, QueueEntryStatus::Admitted { .. }).then_some(at);
        let row = QueueRow { ticket, buyer, status, joined_at: at, admitted_at, changed_at: at, seq };
        match self.queue_at.get(&ticket) {
            Some(index) => {
                let known = &mut self.queue[*index];
                let admitted_at = admitted_at.or(known.admitted_at);
                *known = QueueRow { joined_at: known.joined_at, admitted_at, ..row };
            }
            None => {
                self.queue_at.insert(ticket, self.queue.len());
                self.queue.push(row);
            }
        }
    }

    fn record_order(
        &mut self,
        sale: SaleId,
        entry: &LedgerEntry,
        unit_price: Money,
        (id, buyer, quantity): (OrderId, BuyerId, u32),
        status: OrderStatus,
    ) {
        let LedgerEntry { seq, at, .. } = *entry;
        if let Some(index) = self.orders_at.get(&id) {
            let row = &mut self.orders[*index];
            row.order.status = status;
            // A payment in progress changes the hold of a pending order, not its status.
            if !matches!(status, OrderStatus::Pending { .. }) {
                row.order.changed_at = at;
            }
            row.seq = seq;
        } else {
            let order = OrderView { id, buyer, quantity, made_at: at, changed_at: at, status };
            self.orders_at.insert(id, self.orders.len());
            self.orders.push(OrderRow { sale, order, unit_price, paid_at: None, made_seq: seq, seq });
        }
    }

    fn mark_paid(&mut self, order: OrderId, at: Timestamp) {
        if let Some(index) = self.orders_at.get(&order) {
            self.orders[*index].paid_at = Some(at);
        }
    }

    fn record_accepted(&mut self, sale: SaleId, entry: &LedgerEntry, buyer: BuyerId, action: &'static str) {
        // The same event always gets the same id, so a second projection of it writes nothing new.
        // 34 bits of the sale's random ones, then 40 of the number: a terabyte of ledger has no more.
        let mut tail = [0; 10];
        tail[..5].copy_from_slice(&sale.0.as_bytes()[11..]);
        tail[5..].copy_from_slice(&entry.seq.0.to_be_bytes()[3..]);
        let at_ms = u64::try_from(entry.at.0).unwrap_or(0);
        self.attempts.push(AttemptRow {
            id: Builder::from_unix_timestamp_millis(at_ms, &tail).into_uuid(),
            sale,
            buyer: Some(buyer),
            action: action.into(),
            code: ACCEPTED.into(),
            count: 1,
            at: entry.at,
        });
    }
}

/// Records when no unit was free for the first time, and when all were sold.
fn mark_firsts(row: &mut CountersRow, at: Timestamp) {
    let SaleCounters { quantity, available, sold, .. } = row.counters;
    if available == 0 && quantity > 0 {
        row.taken_at = row.taken_at.or(Some(at));
    }
    if sold >= quantity && quantity > 0 {
        row.sold_out_at = row.sold_out_at.or(Some(at));
    }
}
