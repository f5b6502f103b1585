//! How long it takes until a sale's lost state is back in Redis: reading its rows from PostgreSQL, folding them, and all of it as an
//! instance does it; with the processor time of each process, and how long calls of another sale take meanwhile.
//! Prints tables. Processor times hardly depend on who else uses the machine; seconds do.
//!
//! `cargo bench -p engine --bench restore [-- --rows=N] [--rounds=N]`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its results")]

use engine::batch::Epoch;
use engine::clock::start_stopwatch;
use engine::decide::BatchDecider;
use engine::decide::valkey::{
    CallResult, CallTime, LibraryCall, LibraryRequest, ValkeyDecider, ValkeyLibrary, ValkeySettings,
};
use engine::record::postgres::{
    self, AppendResult, EventRange, PostgresAddress, PostgresEpochs, PostgresReader, SharedWriter,
};
use engine::record::{EpochStore, LedgerReader};
use engine::valkey_connection::ValkeyAddress;
use rustix::process::Pid;
use sale::{
    AdmissionMode, BuyerId, Command, EventSeq, LedgerEntry, Money, OrderId, Policy, RequestKey, SaleId,
    SaleState, Timestamp,
};
use std::sync::Arc;
use std::time::Duration;
use test_servers::postgres::PostgresServer;
use test_servers::redis::RedisServer;
use uuid::Uuid;

const START: Timestamp = Timestamp(1_790_000_000_000);
const SALE: SaleId = SaleId(Uuid::from_u64_pair(0x5a1e, 1));
const OTHER_SALE: SaleId = SaleId(Uuid::from_u64_pair(0x5a1e, 2));
/// Rows of the ledger, unless `--rows` says otherwise.
const ROWS: u64 = 1_000_000;
/// Events that are written, and read, at once.
const RANGE_LEN: usize = 4_096;
/// Between two calls of the other sale.
const CALL_EVERY: Duration = Duration::from_millis(2);
/// Keys of a sale.
const KEY_SUFFIXES: [&str; 7] = ["", ":book", ":waiting", ":admitted", ":held", ":pace", ":outbox"];

fn main() {
    let number = |name: &str| std::env::args().find_map(|arg| arg.strip_prefix(name)?.parse::<u64>().ok());
    let (rows, rounds) = (number("--rows=").unwrap_or(ROWS), number("--rounds=").unwrap_or(3));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(measure_all(rows, rounds));
}

async fn measure_all(rows: u64, rounds: u64) {
    println!("a state restored from {rows} rows");
    println!(
        "{:>24} {:>8} {:>11} {:>11} {:>13} {:>30}",
        "what", "s", "own CPU s", "Redis CPU s", "PostgreSQL s", "another sale's call, ms"
    );
    for (what, is_paid) in [("held, then paid", true), ("all held", false)] {
        println!("{what}");
        let bench = RestoreBench::start(rows, is_paid).await;
        for round in 1..=rounds {
            bench.measure_parts().await;
            bench.measure_restore(Epoch(round)).await;
        }
    }
}

struct RestoreBench {
    servers: (PostgresServer, RedisServer),
    reader: Arc<PostgresReader>,
}

impl RestoreBench {
    async fn start(rows: u64, is_paid: bool) -> Self {
        let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
        let address = PostgresAddress::parse(&postgres.create_database()).unwrap();
        postgres::create_tables(&address).await.unwrap();
        let reader = Arc::new(PostgresReader::open(&address).await.unwrap());
        let epoch = PostgresEpochs::new(Arc::clone(&reader)).raise_epoch(SALE).await.unwrap();
        fill(&address, epoch, rows, is_paid).await;
        Self { servers: (postgres, redis), reader }
    }

    /// Reading alone, then folding alone.
    async fn measure_parts(&self) {
        let (started, used) = (start_stopwatch(), self.used());
        let (mut pages, mut last) = (Vec::new(), EventSeq(0));
        loop {
            let page = self.reader.read_entries(SALE, last, RANGE_LEN).await.unwrap();
            let Some(entry) = page.last() else { break };
            last = entry.seq;
            pages.push(page);
        }
        print_row("reading", started.elapsed(), self.used().since(used), "");
        let (started, used) = (start_stopwatch(), self.used());
        let mut state = SaleState::new();
        pages.iter().flatten().for_each(|entry| state.apply(entry));
        print_row("folding", started.elapsed(), self.used().since(used), "");
    }

    /// All of it, as when an instance starts.
    async fn measure_restore(&self, epoch: Epoch) {
        let address = ValkeyAddress::parse(&self.servers.1.url()).unwrap();
        let mut library = ValkeyLibrary::new(&address, "other");
        library.claim_restore(OTHER_SALE).await.unwrap();
        let mut other = SaleState::new();
        other.step(START, &announce(), &mut Vec::new());
        library.restore_state(OTHER_SALE, epoch, &other).await.unwrap();
        for suffix in KEY_SUFFIXES {
            self.servers.1.request(&["DEL", &format!("doorbuster:{{{SALE}}}{suffix}")]);
        }
        let epochs: Arc<dyn EpochStore> = Arc::new(PostgresEpochs::new(Arc::clone(&self.reader)));
        let settings = ValkeySettings {
            address,
            name: "bench".to_owned(),
            uses_caller_time: true,
            ticks: true,
            clock_offset: Arc::new(|| 0),
        };
        let reader: Arc<dyn LedgerReader> = self.reader.clone();
        let mut decider = ValkeyDecider::start(&settings, reader, epochs).await.unwrap();
        let (started, used) = (start_stopwatch(), self.used());
        let mut calls_ms = Vec::new();
        {
            let restoring = decider.rebuild(&*self.reader);
            let mut restoring = std::pin::pin!(restoring);
            loop {
                let call = async {
                    tokio::time::sleep(CALL_EVERY).await;
                    let sent = start_stopwatch();
                    call_other_sale(&mut library).await;
                    sent.elapsed().as_secs_f64() * 1e3
                };
                tokio::select! {
                    restored = &mut restoring => { restored.unwrap(); break }
                    ms = call => calls_ms.push(ms),
                }
            }
        }
        let took = started.elapsed();
        let used = self.used().since(used);
        assert_eq!(decider.views().len(), 1, "the sale is decided again");
        calls_ms.sort_by(f64::total_cmp);
        let last = calls_ms.len().saturating_sub(1);
        let at = |percent: usize| calls_ms.get(last * percent / 100).copied().unwrap_or_default();
        let calls = format!("p50 {:.1}, p99 {:.1}, max {:.1}", at(50), at(99), at(100));
        print_row("restoring", took, used, &calls);
    }

    fn used(&self) -> ProcessorTime {
        let of =
            |processes: Vec<Pid>| processes.iter().map(|id| used_s(&id.as_raw_nonzero().to_string())).sum();
        ProcessorTime {
            own_s: used_s("self"),
            redis_s: of(self.servers.1.processes()),
            postgres_s: of(self.servers.0.processes()),
        }
    }
}

async fn call_other_sale(library: &mut ValkeyLibrary) {
    let call = LibraryCall {
        sale: OTHER_SALE,
        time: CallTime::FixedAt(START),
        epoch_min: Epoch(1),
        known_policy: EventSeq(1),
        requests: vec![LibraryRequest::Command(&Command::Tick)],
    };
    let replies = library.decide(&[call], 1).await;
    assert!(matches!(replies[0], Ok(CallResult::Decided(_))), "{replies:?}");
}

/// Seconds of a processor that each process has used.
#[derive(Clone, Copy)]
struct ProcessorTime {
    own_s: f64,
    redis_s: f64,
    postgres_s: f64,
}

impl ProcessorTime {
    fn since(self, then: Self) -> Self {
        Self {
            own_s: self.own_s - then.own_s,
            redis_s: self.redis_s - then.redis_s,
            postgres_s: self.postgres_s - then.postgres_s,
        }
    }
}

fn print_row(what: &str, took: Duration, used: ProcessorTime, calls: &str) {
    let ProcessorTime { own_s, redis_s, postgres_s } = used;
    println!(
        "{what:>24} {:>8.2} {own_s:>11.2} {redis_s:>11.2} {postgres_s:>13.2} {calls:>30}",
        took.as_secs_f64()
    );
}

/// The processor time of a process and of those that it has waited for, which Linux counts in hundredths of a second.
fn used_s(process: &str) -> f64 {
    let Ok(line) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { return 0.0 };
    let fields = line.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(4);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Records so many events of the law, each unit held and perhaps paid by a buyer of its own.
async fn fill(address: &PostgresAddress, epoch: Epoch, rows: u64, is_paid: bool) {
    let mut writer = SharedWriter::join(address).await.unwrap();
    let (mut state, mut entries, mut no) = (SaleState::new(), Vec::<LedgerEntry>::new(), 0);
    let mut before = EventSeq(0);
    state.step(START, &announce(), &mut entries);
    assert_eq!(state.seq(), EventSeq(1), "the policy is valid");
    while before.0 < rows {
        while entries.len() < RANGE_LEN && state.seq().0 < rows {
            no += 1;
            let (buyer, order) = (BuyerId(scattered(no)), OrderId(scattered(!no)));
            let key = Some(RequestKey(scattered(no ^ 0xf00d).into_bytes()));
            state.step(START, &Command::Reserve { buyer, order, quantity: 1, key }, &mut entries);
            if is_paid {
                state.step(START, &Command::Confirm { buyer, order }, &mut entries);
            }
        }
        let range = EventRange { sale: SALE, epoch, before, entries: &entries };
        assert_eq!(writer.write(&[range]).await.unwrap(), [AppendResult::Recorded]);
        before = state.seq();
        entries.clear();
    }
}

fn announce() -> Command {
    let policy = Policy {
        quantity: 10_000_000,
        unit_price: Money { minor: 4_900, currency: "EUR".parse().unwrap() },
        starts_at: START,
        ends_at: START.plus_s(86_400),
        limit_per_buyer: 1,
        hold_s: 600,
        admission: AdmissionMode::Open,
    };
    Command::Configure { policy: Box::new(policy) }
}

/// Ids look random, as they do in life.
fn scattered(no: u64) -> Uuid {
    Uuid::from_u64_pair(no.wrapping_mul(0x9e37_79b9_7f4a_7c15), no.wrapping_mul(0xd1b5_4a32_d192_ed03))
}
