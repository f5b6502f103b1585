//! How a sale is kept in keys: their names, and the bytes of a state that is restored. `book.lua` has the same layouts and
//! writes them from then on. Nothing here talks to a server.

use sale::{
    AdmissionMode, BuyerId, ExportedBuyer, ExportedOrder, OrderStatus, Policy, SaleId, SaleState, Timestamp,
};
use std::collections::{HashMap, HashSet};

/// Keys of a sale, in the order in which every function of the library takes them.
pub(super) const KEY_COUNT: usize = 7;
const KEY_SUFFIXES: [&str; KEY_COUNT] = ["", ":book", ":waiting", ":admitted", ":held", ":pace", ":outbox"];

/// The sale's keys. All have its id as hash tag, so that a cluster keeps them on one node.
pub(super) fn sale_keys(sale: SaleId) -> [String; KEY_COUNT] {
    KEY_SUFFIXES.map(|name| format!("doorbuster:{{{sale}}}{name}"))
}

/// The key of the stream of events that are not known to be recorded.
pub(super) fn outbox_key(sale: SaleId) -> String {
    sale_keys(sale)[KEY_COUNT - 1].clone()
}

/// A command that writes a piece of a state: its name, the index of its key, and the values.
pub(super) struct StatePiece {
    pub(super) command: &'static str,
    /// Counted from 1, as in Lua.
    pub(super) key: usize,
    pub(super) values: Vec<Vec<u8>>,
}

/// Values in a piece, at most: large enough that a call costs nothing beside it, small enough that other sales do not wait long.
const PIECE_LEN_MAX: usize = 1_000;

/// A buyer's orders that are searched for a key one by one; only those with more have fields for their keys.
const KEY_SCAN_MAX: u32 = 8;

/// A state as it is sent. Packing takes a microsecond or two of processor time for each order and buyer.
pub(super) struct PackedState {
    pub(super) policy: Vec<u8>,
    pub(super) counters: Vec<u8>,
    pub(super) pieces: Vec<StatePiece>,
}

impl PackedState {
    pub(super) fn from_state(state: &SaleState) -> Self {
        let policy = state.policy().map(encode_policy).unwrap_or_default();
        Self { policy, counters: encode_counters(state), pieces: split_state(state) }
    }
}

/// Packs a state into pieces; [`encode_counters`] has the rest of it.
fn split_state(state: &SaleState) -> Vec<StatePiece> {
    let (mut book, mut waiting, mut admitted, mut held) = (vec![], vec![], vec![], vec![]);
    let made = count_orders(state);
    for buyer in state.export_buyers() {
        let id = buyer.id.0.as_bytes();
        let orders = made.get(&buyer.id).copied().unwrap_or(0);
        book.extend([encode_field(b'b', &[id]), encode_buyer(&buyer, orders)]);
        match (buyer.ticket, buyer.admitted_until) {
            (Some(ticket), Some(until)) => {
                admitted.extend([encode_score(until.0), encode_member(ticket.0, id)])
            }
            (Some(ticket), None) => waiting.extend([encode_score(i64::from(ticket.0)), id.to_vec()]),
            (None, _) => {}
        }
    }
    for order in state.export_orders() {
        let id = order.view.id.0.as_bytes();
        book.extend([encode_field(b'o', &[id]), encode_order(&order)]);
        if let OrderStatus::Pending { until, paying_until } = order.view.status {
            let end = paying_until.unwrap_or(until);
            held.extend([encode_score(end.0), encode_member(order.number, id)]);
        }
        if let Some(key) = order.key.filter(|_| made[&order.view.buyer] > KEY_SCAN_MAX) {
            book.extend([encode_field(b'k', &[order.view.buyer.0.as_bytes(), &key.0]), id.to_vec()]);
        }
    }
    let runs: Vec<(Timestamp, u32)> = state.admission_runs().collect();
    let pace = runs.iter().rev().skip(1).rev().map(|(at, count)| encode_run(*at, *count)).collect();
    let parts = [
        ("HSET", 2, book),
        ("ZADD", 3, waiting),
        ("ZADD", 4, admitted),
        ("ZADD", 5, held),
        ("RPUSH", 6, pace),
    ];
    parts.into_iter().flat_map(|(command, key, values)| split_values(command, key, values)).collect()
}

/// How many orders each buyer made.
fn count_orders(state: &SaleState) -> HashMap<BuyerId, u32> {
    let mut made = HashMap::new();
    state.export_orders().for_each(|order| *made.entry(order.view.buyer).or_default() += 1);
    made
}

fn split_values(command: &'static str, key: usize, values: Vec<Vec<u8>>) -> Vec<StatePiece> {
    let mut values = values.into_iter();
    let cut = std::iter::from_fn(|| {
        let values: Vec<Vec<u8>> = values.by_ref().take(PIECE_LEN_MAX).collect();
        (!values.is_empty()).then_some(StatePiece { command, key, values })
    });
    cut.collect()
}

/// The counters of a state, with the sizes by which the library notices that a key is gone.
fn encode_counters(state: &SaleState) -> Vec<u8> {
    let counters = state.counters();
    let (mut records, mut pending) = (0_u64, 0_u32);
    let (made, mut orders, mut keyed) = (count_orders(state), 0_u32, HashSet::new());
    for order in state.export_orders() {
        orders += 1;
        pending += u32::from(matches!(order.view.status, OrderStatus::Pending { .. }));
        let has_field = made[&order.view.buyer] > KEY_SCAN_MAX;
        keyed.extend(order.key.filter(|_| has_field).map(|key| (order.view.buyer, key)));
    }
    records += u64::from(orders) + keyed.len() as u64 + state.export_buyers().count() as u64;
    let runs: Vec<(Timestamp, u32)> = state.admission_runs().collect();
    let (last_at, last_count) = runs.last().copied().unwrap_or_default();
    let paused_at = state.paused_at();
    let policy_seq = if state.policy().is_some() { state.seq().0 } else { 0 };
    let mut bytes = Vec::with_capacity(128);
    append_parts(
        &mut bytes,
        &[&state.seq().0.to_be_bytes(), &state.latest_time().0.to_be_bytes(), &policy_seq.to_be_bytes()],
    );
    bytes.push(u8::from(paused_at.is_some()) + 2 * u8::from(state.is_closed()));
    bytes.extend(paused_at.unwrap_or_default().0.to_be_bytes());
    for units in [
        counters.quantity,
        counters.available,
        counters.admitted,
        counters.held,
        counters.sold,
        counters.short,
    ] {
        bytes.extend(u64::from(units).to_be_bytes());
    }
    for count in [counters.waiting, state.tickets_given(), orders, pending] {
        bytes.extend(count.to_be_bytes());
    }
    let no_shift = 0_i64;
    append_parts(&mut bytes, &[&records.to_be_bytes(), &no_shift.to_be_bytes()]);
    let runs_before = u32::try_from(runs.len().saturating_sub(1)).unwrap_or(u32::MAX);
    let recent: u32 = runs.iter().map(|(_, count)| count).sum();
    append_parts(&mut bytes, &[&runs_before.to_be_bytes(), &recent.to_be_bytes()]);
    append_parts(&mut bytes, &[&last_at.0.to_be_bytes(), &last_count.to_be_bytes()]);
    bytes
}

/// A policy's bytes; they name the policy, so that two are the same when their bytes are.
pub(super) fn encode_policy(policy: &Policy) -> Vec<u8> {
    let (kind, per_second, checkout_s, line_opens_s, extension_s) = match policy.admission {
        AdmissionMode::Open => (0_u8, 0, 0, 0, 0),
        AdmissionMode::Fifo { per_second, checkout_s, line_opens_s, extension_s } => {
            (1, per_second, checkout_s, line_opens_s, extension_s)
        }
    };
    let mut bytes = Vec::with_capacity(64);
    append_parts(&mut bytes, &[&policy.quantity.to_be_bytes(), &policy.unit_price.minor.to_be_bytes()]);
    append_parts(&mut bytes, &[policy.unit_price.currency.as_str().as_bytes()]);
    append_parts(&mut bytes, &[&policy.starts_at.0.to_be_bytes(), &policy.ends_at.0.to_be_bytes()]);
    append_parts(&mut bytes, &[&policy.limit_per_buyer.to_be_bytes(), &policy.hold_s.to_be_bytes(), &[kind]]);
    for number in [per_second, checkout_s, line_opens_s, extension_s] {
        bytes.extend(number.to_be_bytes());
    }
    bytes
}

fn encode_buyer(buyer: &ExportedBuyer, orders: u32) -> Vec<u8> {
    let ticket = buyer.ticket.map_or(0, |ticket| ticket.0);
    let ends = buyer.admitted_until.unwrap_or_default().0;
    let mut bytes = Vec::with_capacity(36);
    append_parts(&mut bytes, &[&ticket.to_be_bytes(), &ends.to_be_bytes(), &[u8::from(buyer.is_extended)]]);
    append_parts(&mut bytes, &[&buyer.held.to_be_bytes(), &buyer.owned.to_be_bytes(), &orders.to_be_bytes()]);
    bytes.extend(buyer.last_order.iter().flat_map(|order| *order.0.as_bytes()));
    bytes
}

fn encode_order(order: &ExportedOrder) -> Vec<u8> {
    let view = &order.view;
    let (stage, moment) = match view.status {
        OrderStatus::Pending { until, .. } => (0_u8, until),
        OrderStatus::Confirmed => (1, view.changed_at),
        OrderStatus::Expired => (2, view.changed_at),
        OrderStatus::Cancelled => (3, view.changed_at),
        OrderStatus::Declined => (4, view.changed_at),
        OrderStatus::Refunded { restocked: true } => (5, view.changed_at),
        OrderStatus::Refunded { restocked: false } => (6, view.changed_at),
    };
    let mut bytes = Vec::with_capacity(64);
    append_parts(
        &mut bytes,
        &[view.buyer.0.as_bytes(), &view.quantity.to_be_bytes(), &order.number.to_be_bytes()],
    );
    let paying_until = match view.status {
        OrderStatus::Pending { paying_until, .. } => paying_until.unwrap_or_default(),
        _ => Timestamp::default(),
    };
    append_parts(&mut bytes, &[&[stage], &view.made_at.0.to_be_bytes(), &moment.0.to_be_bytes()]);
    bytes.extend(paying_until.0.to_be_bytes());
    let key = order.key.map_or_else(Vec::new, |key| key.0.to_vec());
    append_parts(&mut bytes, &[&[if order.key.is_some() { 16 } else { 0 }], &key]);
    bytes.extend(order.previous.iter().flat_map(|order| *order.0.as_bytes()));
    bytes
}

fn encode_run(at: Timestamp, count: u32) -> Vec<u8> {
    [&at.0.to_be_bytes()[..], &count.to_be_bytes()].concat()
}

fn encode_field(kind: u8, ids: &[&[u8; 16]]) -> Vec<u8> {
    let mut bytes = vec![kind];
    ids.iter().for_each(|id| bytes.extend(*id));
    bytes
}

fn encode_member(number: u32, id: &[u8; 16]) -> Vec<u8> {
    [&number.to_be_bytes()[..], id].concat()
}

fn encode_score(score: i64) -> Vec<u8> {
    score.to_string().into_bytes()
}

fn append_parts(into: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| into.extend_from_slice(part));
}
