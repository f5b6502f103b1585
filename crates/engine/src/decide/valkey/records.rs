//! How a sale is kept in keys: their names, and the bytes of a state that is restored. `book.lua` has the same layouts and
//! writes them from then on. Nothing here talks to a server.

use sale::{
    AdmissionMode, ExportedBuyer, ExportedOrder, OrderId, OrderStatus, Policy, SaleId, SaleState, Timestamp,
};
use std::collections::HashSet;

/// Keys of a sale, in the order in which every function of the library takes them.
pub(super) const KEY_COUNT: usize = 7;
const KEY_SUFFIXES: [&str; KEY_COUNT] = ["", ":book", ":waiting", ":admitted", ":held", ":pace", ":outbox"];

/// The sale's keys. All have its id as hash tag, so that a cluster keeps them on one node.
pub(super) fn sale_keys(sale: SaleId) -> [String; KEY_COUNT] {
    KEY_SUFFIXES.map(|name| format!("doorbuster:{{{sale}}}{name}"))
}

/// The key of the sale's hash, which has its epoch and counters; the first of [`sale_keys`].
pub(super) fn main_key(sale: SaleId) -> String {
    format!("doorbuster:{{{sale}}}")
}

/// The key of the stream of events that are not known to be recorded.
pub(super) fn outbox_key(sale: SaleId) -> String {
    sale_keys(sale)[KEY_COUNT - 1].clone()
}

/// Values in a piece, at most: large enough that a call costs nothing beside it, small enough that other sales do not wait long.
const PIECE_LEN_MAX: usize = 500;
/// Bytes of a value: most are shorter.
const VALUE_BYTES_EXPECTED: usize = 48;

/// A buyer's orders that are searched for a key one by one; only those with more have fields for their keys.
const KEY_SCAN_MAX: u32 = 8;

/// A command that writes a piece of a state: its name, the index of its key, and the values.
pub(super) struct StatePiece {
    pub(super) command: &'static str,
    /// Counted from 1, as in Lua.
    pub(super) key: usize,
    /// The values, one after the other: a state has millions, and none needs memory of its own.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl StatePiece {
    fn new(command: &'static str, key: usize) -> Self {
        Self { command, key, bytes: Vec::new(), ends: Vec::new() }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }

    /// Appends a value that `write` writes.
    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        if self.ends.is_empty() {
            self.bytes.reserve(PIECE_LEN_MAX * VALUE_BYTES_EXPECTED);
            self.ends.reserve(PIECE_LEN_MAX);
        }
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
        self
    }
}

/// What a state begins with; [`pack_state`] has the rest of it.
pub(super) struct StateHead {
    pub(super) policy: Vec<u8>,
    pub(super) counters: Vec<u8>,
}

impl StateHead {
    pub(super) fn from_state(state: &SaleState) -> Self {
        let policy = state.policy().map(encode_policy).unwrap_or_default();
        Self { policy, counters: encode_counters(state) }
    }
}

/// The pieces that are being filled, one for each key. A full one goes to `send`, which says whether to go on.
struct PiecePacker<F> {
    book: StatePiece,
    waiting: StatePiece,
    admitted: StatePiece,
    held: StatePiece,
    pace: StatePiece,
    send: F,
}

/// Packs a state into pieces, and passes each on as soon as it is full, until `send` returns false.
pub(super) fn pack_state(state: &SaleState, send: impl FnMut(StatePiece) -> bool) {
    let mut packer = PiecePacker {
        book: StatePiece::new("HSET", 2),
        waiting: StatePiece::new("ZADD", 3),
        admitted: StatePiece::new("ZADD", 4),
        held: StatePiece::new("ZADD", 5),
        pace: StatePiece::new("RPUSH", 6),
        send,
    };
    // Once a piece is not wanted, the rest is left out.
    let _is_wanted = state.export_buyers().all(|buyer| packer.pack_buyer(&buyer))
        && state.export_orders().all(|order| packer.pack_order(&order))
        && packer.pack_pace(state)
        && packer.finish();
}

impl<F: FnMut(StatePiece) -> bool> PiecePacker<F> {
    fn pack_buyer(&mut self, buyer: &ExportedBuyer) -> bool {
        let id = buyer.id.0.as_bytes();
        self.book.push(|bytes| append_parts(bytes, &[b"b", id])).push(|bytes| encode_buyer(buyer, bytes));
        match (buyer.ticket, buyer.admitted_until) {
            (Some(ticket), Some(until)) => {
                let admitted = self.admitted.push(|bytes| encode_score(until.0, bytes));
                admitted.push(|bytes| encode_member(ticket.0, id, bytes));
            }
            (Some(ticket), None) => {
                let waiting = self.waiting.push(|bytes| encode_score(i64::from(ticket.0), bytes));
                waiting.push(|bytes| bytes.extend(id));
            }
            (None, _) => {}
        }
        self.send_full()
    }

    fn pack_order(&mut self, order: &ExportedOrder) -> bool {
        let id = order.view.id.0.as_bytes();
        self.book.push(|bytes| append_parts(bytes, &[b"o", id])).push(|bytes| encode_order(order, bytes));
        if let OrderStatus::Pending { until, paying_until } = order.view.status {
            let end = paying_until.unwrap_or(until);
            let held = self.held.push(|bytes| encode_score(end.0, bytes));
            held.push(|bytes| encode_member(order.number, id, bytes));
        }
        let is_wanted = self.send_full();
        if let Some(key) = order.key.filter(|_| order.order_count > KEY_SCAN_MAX) {
            let buyer = order.view.buyer.0.as_bytes();
            self.book
                .push(|bytes| append_parts(bytes, &[b"k", buyer, &key.0]))
                .push(|bytes| bytes.extend(id));
        }
        is_wanted && self.send_full()
    }

    /// All runs but the last one, which is in the counters.
    fn pack_pace(&mut self, state: &SaleState) -> bool {
        let runs: Vec<(Timestamp, u32)> = state.admission_runs().collect();
        let before_last = runs.split_last().map_or(&runs[..], |(_, before)| before);
        before_last.iter().all(|(at, count)| {
            self.pace.push(|bytes| append_parts(bytes, &[&at.0.to_be_bytes(), &count.to_be_bytes()]));
            self.send_full()
        })
    }

    /// Passes the pieces on that are full. The length of a piece is even, so a field and its value are never parted.
    fn send_full(&mut self) -> bool {
        let Self { book, waiting, admitted, held, pace, send } = self;
        [book, waiting, admitted, held, pace].into_iter().all(|piece| {
            let is_full = piece.ends.len() >= PIECE_LEN_MAX;
            !is_full || send(std::mem::replace(piece, StatePiece::new(piece.command, piece.key)))
        })
    }

    fn finish(mut self) -> bool {
        let rest = [self.book, self.waiting, self.admitted, self.held, self.pace];
        rest.into_iter().filter(|piece| !piece.ends.is_empty()).all(|piece| (self.send)(piece))
    }
}

/// The counters of a state, with the sizes by which the library notices that a key is gone.
fn encode_counters(state: &SaleState) -> Vec<u8> {
    let counters = state.counters();
    let (mut records, mut pending) = (0_u64, 0_u32);
    let (mut orders, mut keyed) = (0_u32, HashSet::new());
    for order in state.export_orders() {
        orders += 1;
        pending += u32::from(matches!(order.view.status, OrderStatus::Pending { .. }));
        let has_field = order.order_count > KEY_SCAN_MAX;
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

fn encode_buyer(buyer: &ExportedBuyer, bytes: &mut Vec<u8>) {
    let ticket = buyer.ticket.map_or(0, |ticket| ticket.0);
    let ends = buyer.admitted_until.unwrap_or_default().0;
    append_parts(bytes, &[&ticket.to_be_bytes(), &ends.to_be_bytes(), &[u8::from(buyer.is_extended)]]);
    append_parts(bytes, &[&buyer.held.to_be_bytes(), &buyer.owned.to_be_bytes()]);
    append_parts(bytes, &[&buyer.order_count.to_be_bytes(), order_bytes(&buyer.last_order)]);
}

fn encode_order(order: &ExportedOrder, bytes: &mut Vec<u8>) {
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
    let paying_until = match view.status {
        OrderStatus::Pending { paying_until, .. } => paying_until.unwrap_or_default(),
        _ => Timestamp::default(),
    };
    append_parts(
        bytes,
        &[view.buyer.0.as_bytes(), &view.quantity.to_be_bytes(), &order.number.to_be_bytes()],
    );
    append_parts(bytes, &[&[stage], &view.made_at.0.to_be_bytes(), &moment.0.to_be_bytes()]);
    let key = order.key.as_ref().map_or(&[][..], |key| &key.0);
    append_parts(bytes, &[&paying_until.0.to_be_bytes(), &[if key.is_empty() { 0 } else { 16 }], key]);
    append_parts(bytes, &[order_bytes(&order.previous)]);
}

/// The bytes of an order's id, and none for no order.
fn order_bytes(order: &Option<OrderId>) -> &[u8] {
    order.as_ref().map_or(&[], |order| order.0.as_bytes())
}

fn encode_member(number: u32, id: &[u8; 16], bytes: &mut Vec<u8>) {
    append_parts(bytes, &[&number.to_be_bytes(), id]);
}

fn encode_score(score: i64, bytes: &mut Vec<u8>) {
    bytes.extend(score.to_string().into_bytes());
}

fn append_parts(into: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| into.extend_from_slice(part));
}

#[cfg(test)]
mod tests {
    use super::*;
    use sale::{BuyerId, Command, Money, RequestKey};
    use std::collections::BTreeMap;
    use uuid::Uuid;

    const START: Timestamp = Timestamp(1_790_000_000_000);

    /// A state in which one buyer has made more orders than are searched for a key, and all others one.
    fn state_of(orders: u64) -> SaleState {
        let policy = Policy {
            quantity: 10_000,
            unit_price: Money { minor: 4_900, currency: "EUR".parse().unwrap() },
            starts_at: START,
            ends_at: START.plus_s(3_600),
            limit_per_buyer: 100,
            hold_s: 300,
            admission: AdmissionMode::Open,
        };
        let (mut state, mut entries) = (SaleState::new(), Vec::new());
        state.step(START, &Command::Configure { policy: Box::new(policy) }, &mut entries);
        for no in 0..orders {
            let command = Command::Reserve {
                buyer: BuyerId(Uuid::from_u64_pair(0xb0b, no.max(9))),
                order: OrderId(Uuid::from_u64_pair(0x0de, no)),
                quantity: 1,
                key: Some(RequestKey(u128::from(no).to_be_bytes())),
            };
            state.step(START, &command, &mut entries);
        }
        state
    }

    fn pack_all(state: &SaleState) -> Vec<StatePiece> {
        let mut pieces = Vec::new();
        pack_state(state, |piece| {
            pieces.push(piece);
            true
        });
        pieces
    }

    #[test]
    fn a_state_is_packed_whole_in_pieces_of_whole_fields() {
        let pieces = pack_all(&state_of(2_010));
        let mut written: BTreeMap<usize, BTreeMap<Vec<u8>, Vec<u8>>> = BTreeMap::new();
        for piece in &pieces {
            let values: Vec<&[u8]> = piece.values().collect();
            assert!(values.len() <= PIECE_LEN_MAX && values.len().is_multiple_of(2), "{}", values.len());
            for pair in values.chunks(2) {
                let (name, value) = if piece.command == "HSET" { (0, 1) } else { (1, 0) };
                let before =
                    written.entry(piece.key).or_default().insert(pair[name].into(), pair[value].into());
                assert_eq!(before, None, "it is written once");
            }
        }
        let kind_count = |kind| written[&2].keys().filter(|field| field[0] == kind).count();
        assert_eq!((kind_count(b'b'), kind_count(b'o'), kind_count(b'k')), (2_001, 2_010, 10));
        assert_eq!(written[&5].len(), 2_010, "all are held");
        assert!(written[&2].values().all(|value| [16, 41, 82, 66].contains(&value.len())));
    }

    #[test]
    fn packing_ends_when_no_piece_is_wanted_any_more() {
        let mut sent = 0;
        pack_state(&state_of(2_010), |_| {
            sent += 1;
            sent < 2
        });
        assert_eq!(sent, 2);
    }
}
