//! What the law costs: bytes a waiting buyer, nanoseconds a step, nanoseconds an event. `cargo bench -p sale`.
//!
//! A plain program, because a step needs a state of a million buyers around it and is meant to change it: there is
//! nothing to repeat. Every result is the mean over all operations of a run, growth of memory included.

#![expect(clippy::print_stdout, reason = "a table is what a bench is for")]

use peak_alloc::PeakAlloc;
use sale::{
    AdmissionMode, BuyerId, Command, CommandOutcome, Event, LedgerAuditor, LedgerEntry, Money, OrderId,
    Policy, ReleaseCause, RequestKey, SaleState, Ticket, Timestamp,
};
use std::hint::black_box;
use std::time::Instant;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const START: Timestamp = Timestamp(1_800_000_000_000);
const BUYERS: usize = 1_000_000;
/// Bytes a waiting buyer at most, at [`BUYERS`].
const BYTES_MAX: f64 = 64.0;

/// Every scenario runs this often from its beginning, and the best time counts: the machine may have other work.
const ROUNDS: usize = 3;

fn main() {
    let mut table = Table::default();
    let buyers = ids(1, 2 * BUYERS, BuyerId);
    let orders = ids(2, BUYERS, OrderId);
    memory(&mut table, &buyers);
    for _ in 0..ROUNDS {
        measure_memory_access(&mut table);
        open_sale(&mut table, &buyers[..BUYERS], &orders);
        line(&mut table, &buyers[..BUYERS], &orders);
    }
    drop((buyers, orders));
    let entries = ten_million_events();
    for _ in 0..ROUNDS {
        folds(&mut table, &entries);
    }
    table.print();
}

/// The measurements, in the order in which they were first made.
#[derive(Default)]
struct Table {
    rows: Vec<(String, String, f64, &'static str)>,
}

impl Table {
    fn add_row(&mut self, what: &str, of: &str, value: f64, unit: &'static str) {
        match self.rows.iter_mut().find(|row| (row.0.as_str(), row.1.as_str()) == (what, of)) {
            Some(row) => row.2 = row.2.min(value),
            None => self.rows.push((what.to_owned(), of.to_owned(), value, unit)),
        }
    }

    /// Notes the nanoseconds that each of `count` operations takes.
    fn time(&mut self, what: &str, of: &str, count: usize, work: impl FnOnce()) {
        #[expect(clippy::disallowed_methods, reason = "a bench is about time")]
        let begin = Instant::now();
        work();
        self.add_row(what, of, begin.elapsed().as_nanos() as f64 / count as f64, "ns");
    }

    fn print(&self) {
        println!("| what | of | value |\n| --- | --- | --- |");
        for (what, of, value, unit) in &self.rows {
            println!("| {what} | {of} | {value:.1} {unit} |");
        }
    }
}

/// What one read from a large memory costs on this machine, now: a step costs a few of them.
fn measure_memory_access(table: &mut Table) {
    let mut random = Random(8);
    let mut next: Vec<u32> = (0..1 << 25).collect();
    random.shuffle(&mut next);
    table.time("one random read, for comparison", "128 MB", BUYERS, || {
        black_box((0..BUYERS).fold(0u32, |at, _| next[at as usize]));
    });
}

/// Random UUIDv7s, some thousand to a millisecond, as a server under load mints them.
fn ids<T>(seed: u64, count: usize, id: impl Fn(uuid::Uuid) -> T) -> Vec<T> {
    let mut random = Random(seed);
    let uuid = |number: usize| {
        let ms = START.0.unsigned_abs() + number as u64 / 5_000;
        let entropy = (u128::from(random.next()) << 64 | u128::from(random.next())).to_le_bytes();
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&entropy[..10]);
        id(uuid::Builder::from_unix_timestamp_millis(ms, &bytes).into_uuid())
    };
    (0..count).map(uuid).collect()
}

/// xorshift64*: the same buyers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.next() % (last as u64 + 1)).unwrap_or(0);
            items.swap(last, other);
        }
    }
}

fn policy(quantity: u32, admission: AdmissionMode) -> Policy {
    Policy {
        quantity,
        unit_price: Money { minor: 4_900, currency: "EUR".parse().expect("EUR is a currency") },
        starts_at: START,
        ends_at: START.plus_s(86_400),
        limit_per_buyer: 2,
        hold_s: 300,
        admission,
    }
}

fn announced(policy: Policy) -> SaleState {
    let mut state = SaleState::new();
    state.step(START, &Command::Configure { policy: Box::new(policy) }, &mut Vec::new());
    state
}

const FIFO: AdmissionMode =
    AdmissionMode::Fifo { per_second: 100_000, checkout_s: 300, line_opens_s: 60, extension_s: 0 };

/// Steps through commands, and checks that each was accepted: a refusal would be fast for nothing.
fn run(
    state: &mut SaleState,
    at: Timestamp,
    entries: &mut Vec<LedgerEntry>,
    commands: impl Iterator<Item = Command>,
) {
    for command in commands {
        entries.clear();
        let outcome = state.step(at, &command, entries);
        assert!(!matches!(outcome, CommandOutcome::Refused(_)), "{command:?}: {outcome:?}");
        black_box(outcome);
    }
}

/// Live heap for each waiting buyer, at one million and at the worst moment between growths.
fn memory(table: &mut Table, buyers: &[BuyerId]) {
    let mut state = announced(Policy { starts_at: START.plus_s(60), ..policy(1, FIFO) });
    let mut entries = Vec::with_capacity(16);
    let before = HEAP.current_usage();
    let mut worst: f64 = 0.0;
    for (index, buyer) in buyers.iter().enumerate() {
        run(&mut state, START, &mut entries, std::iter::once(Command::Join { buyer: *buyer }));
        let count = index + 1;
        let bytes = (HEAP.current_usage() - before) as f64 / count as f64;
        if count >= 100_000 {
            worst = worst.max(bytes);
        }
        if count == BUYERS {
            table.add_row("memory of a waiting buyer", "1,000,000", bytes, "bytes");
            assert!(bytes <= BYTES_MAX, "a waiting buyer costs {bytes} bytes");
        }
    }
    table.add_row("memory of a waiting buyer, worst", "100,000 to 2,000,000", worst, "bytes");
}

fn open_sale(table: &mut Table, buyers: &[BuyerId], orders: &[OrderId]) {
    let mut state = announced(policy(2_000_000, AdmissionMode::Open));
    let mut entries = Vec::with_capacity(16);
    let before = HEAP.current_usage();
    let reserve = |(buyer, order): (&BuyerId, &OrderId)| {
        let key = Some(RequestKey(order.0.into_bytes()));
        Command::Reserve { buyer: *buyer, order: *order, quantity: 1, key }
    };
    table.time("step: reserve, new buyer, with key", "1,000,000", BUYERS, || {
        run(&mut state, START, &mut entries, buyers.iter().zip(orders).map(reserve));
    });
    let bytes = (HEAP.current_usage() - before) as f64 / BUYERS as f64;
    table.add_row("memory of a buyer with one order and key", "1,000,000", bytes, "bytes");
    table.time("step: reserve, repeated key", "1,000,000", BUYERS, || {
        run(&mut state, START, &mut entries, buyers.iter().zip(orders).map(reserve));
    });
    let mut pairs: Vec<_> = buyers.iter().zip(orders).collect();
    Random(3).shuffle(&mut pairs);
    table.time("step: confirm, in random order", "1,000,000", BUYERS, || {
        let confirm =
            |(buyer, order): &(&BuyerId, &OrderId)| Command::Confirm { buyer: **buyer, order: **order };
        run(&mut state, START, &mut entries, pairs.iter().map(confirm));
    });
    table.time("step: refused, sold out", "1,000,000", BUYERS, || {
        let mut empty = announced(policy(1, AdmissionMode::Open));
        run(&mut empty, START, &mut entries, buyers.iter().zip(orders).map(reserve).take(1));
        for request in buyers.iter().zip(orders).map(reserve).skip(1) {
            assert!(matches!(empty.step(START, &request, &mut entries), CommandOutcome::Refused(_)));
        }
    });
}

fn line(table: &mut Table, buyers: &[BuyerId], orders: &[OrderId]) {
    let late = START.plus_s(60);
    let mut state = announced(Policy { starts_at: late, ..policy(2_000_000, FIFO) });
    let mut entries = Vec::with_capacity(2 * BUYERS);
    table.time("step: join", "1,000,000", BUYERS, || {
        run(&mut state, START, &mut entries, buyers.iter().map(|buyer| Command::Join { buyer: *buyer }));
    });
    let mut shuffled: Vec<_> = buyers.to_vec();
    Random(4).shuffle(&mut shuffled);
    table.time("a buyer's exact position, in random order", "1,000,000 waiting", BUYERS, || {
        shuffled.iter().for_each(|buyer| _ = black_box(state.buyer(*buyer)));
    });
    table.time("step: leave, in random order", "half of 1,000,000", BUYERS / 2, || {
        run(
            &mut state,
            START,
            &mut entries,
            shuffled[..BUYERS / 2].iter().map(|buyer| Command::Leave { buyer: *buyer }),
        );
    });
    entries.clear();
    table.time("step: tick, each admission", "500,000", BUYERS / 2, || {
        for second in 0..5 {
            state.step(late.plus_s(second), &Command::Tick, &mut entries);
        }
    });
    assert_eq!(state.counters().admitted as usize, BUYERS / 2);
    let admitted: Vec<_> =
        state.line_members(None, usize::MAX).into_iter().map(|member| member.buyer).collect();
    table.time("step: reserve with an admission", "500,000", BUYERS / 2, || {
        let reserve = |(buyer, order): (&BuyerId, &OrderId)| Command::Reserve {
            buyer: *buyer,
            order: *order,
            quantity: 1,
            key: None,
        };
        run(&mut state, late.plus_s(5), &mut entries, admitted.iter().zip(orders).map(reserve));
    });
    entries.clear();
    table.time("step: tick, each hold that expires", "500,000", BUYERS / 2, || {
        state.step(late.plus_s(400), &Command::Tick, &mut entries);
    });
    assert_eq!(entries.len(), BUYERS / 2);
    state.check().expect("every promise holds");
}

/// Ten million mixed events: a line of two million, of whom most buy, some lapse, and some holds expire.
fn folds(table: &mut Table, entries: &[LedgerEntry]) {
    let count = entries.len();
    let of = format!("{count} mixed events");
    let mut state = SaleState::new();
    table.time("apply", &of, count, || entries.iter().for_each(|entry| state.apply(entry)));
    let mut auditor = LedgerAuditor::new();
    table.time("audit", &of, count, || entries.iter().for_each(|entry| auditor.read_entry(entry)));
    assert!(auditor.is_clean(), "{:?}", auditor.first_offences().collect::<Vec<_>>());
    assert_eq!(auditor.counters(), state.counters());
    table.time("check (a full recount)", &of, count, || state.check().expect("every promise holds"));
}

fn ten_million_events() -> Vec<LedgerEntry> {
    /// Buyers who are admitted in a millisecond: the most that a policy allows.
    const BATCH: usize = 100;
    /// Buyers between a buyer's reservation and the payment.
    const LAG: usize = 100_000;
    let buyers = ids(5, 2_600_000, BuyerId);
    let orders = ids(6, buyers.len(), OrderId);
    let late = START.plus_s(60);
    let quantity = u32::try_from(buyers.len()).unwrap_or(u32::MAX);
    let mut state = announced(Policy { starts_at: late, ..policy(quantity, FIFO) });
    let mut entries = Vec::with_capacity(11_000_000);
    let announce = Event::Configured { policy: Box::new(state.policy().expect("it is announced").clone()) };
    entries.push(LedgerEntry { seq: sale::EventSeq(1), at: START, event: announce });
    for buyer in &buyers {
        state.step(START, &Command::Join { buyer: *buyer }, &mut entries);
    }
    let mut random = Random(7);
    let mut waiting: Vec<usize> = Vec::new();
    for first in (0..buyers.len()).step_by(BATCH) {
        let at = late.plus_ms(i64::try_from(first / BATCH).unwrap_or(0));
        for index in first..(first + BATCH).min(buyers.len()) {
            let (buyer, order) = (buyers[index], orders[index]);
            if !random.next().is_multiple_of(16) {
                state.step(at, &Command::Reserve { buyer, order, quantity: 1, key: None }, &mut entries);
                waiting.push(index);
            }
        }
        while waiting.len() > LAG {
            let pick = usize::try_from(random.next() % LAG as u64).unwrap_or(0);
            let index = waiting.swap_remove(pick);
            if !random.next().is_multiple_of(16) {
                let (buyer, order) = (buyers[index], orders[index]);
                state.step(at, &Command::Confirm { buyer, order }, &mut entries);
            }
        }
    }
    state.step(late.plus_s(1_000), &Command::Tick, &mut entries);
    let kinds = |kind: fn(&Event) -> bool| entries.iter().any(|entry| kind(&entry.event));
    assert!(kinds(|event| matches!(event, Event::Lapsed { ticket: Ticket(_), .. })));
    assert!(kinds(|event| matches!(event, Event::Released { reason: ReleaseCause::Expired, .. })));
    entries
}
