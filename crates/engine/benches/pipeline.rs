//! The whole pipeline on a real file, or on a real PostgreSQL: purchases a second and their latency, by clients and by size of
//! batch; appending alone; and the start on a long ledger. Prints tables. `--big` starts on ten million events too.
//!
//! `cargo bench -p engine --bench pipeline [-- --postgres] [--big]`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its results")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "results are printed rounded"
)]

use engine::batch::Batch;
use engine::clock::{SystemClock, start_stopwatch};
use engine::pipeline::PipelineLimits;
use engine::record::postgres::{self, PostgresAddress, PostgresReader, PostgresRecorder};
use engine::record::sqlite::SqliteRecorder;
use engine::record::{LedgerRecorder, encode_event};
use engine::{Engine, RunningEngine, start_on_postgres, start_on_sqlite};
use sale::{
    AdmissionMode, BuyerId, Command, CommandOutcome, LedgerEntry, Money, OrderId, Policy, RequestKey, SaleId,
    SaleState, Timestamp,
};
use sqlx::{Connection, PgConnection};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tempfile::{TempDir, tempdir};
use test_servers::postgres::PostgresServer;
use tokio::runtime::Runtime;
use uuid::Uuid;

const SALE: SaleId = SaleId(Uuid::from_u128(1));
const START: Timestamp = Timestamp(1_790_000_000_000);
const ROUND: Duration = Duration::from_millis(700);

/// Where ledgers are made.
enum BenchStore {
    Files,
    /// With a disk that is waited for, as in life.
    Database(Box<PostgresServer>),
}

/// One ledger.
enum BenchLedger {
    File(TempDir),
    Database(String),
}

fn main() {
    let is_given = |flag: &str| std::env::args().any(|argument| argument == flag);
    let ground = if is_given("--postgres") {
        BenchStore::Database(Box::new(PostgresServer::start_durable()))
    } else {
        BenchStore::Files
    };
    println!("purchases through the pipeline, each durable when answered");
    println!(
        "{:>8} {:>10} {:>12} {:>9} {:>9} {:>11}",
        "clients", "batch_max", "purchases/s", "p50 ms", "p99 ms", "batch mean"
    );
    for clients in [1, 8, 64, 256, 1024] {
        for batch_len_max in [1, 64, 256, 1024] {
            measure(&ground, clients, batch_len_max);
        }
    }
    println!("\nappending alone\n{:>8} {:>12} {:>12}", "batch", "events/s", "µs an event");
    for batch in [64, 256, 1024, 4096] {
        append(&ground, batch);
    }
    if let BenchStore::Database(_) = ground {
        println!("\nthe same by COPY, between a lock and a commit");
        for batch in [64, 256, 1024, 4096] {
            copy(&ground, batch);
        }
    }
    println!("\nstart\n{:>12} {:>8} {:>12} {:>10}", "events", "s", "µs an event", "MB");
    for events in if is_given("--big") { vec![1_000_000, 10_000_000] } else { vec![1_000_000] } {
        start(&ground, events);
    }
}

impl BenchStore {
    fn home(&self) -> BenchLedger {
        match self {
            Self::Files => BenchLedger::File(tempdir().unwrap()),
            Self::Database(postgres) => BenchLedger::Database(postgres.create_database()),
        }
    }

    fn megabytes(&self, home: &BenchLedger) -> f64 {
        match (self, home) {
            (Self::Database(postgres), BenchLedger::Database(url)) => {
                let bytes = postgres.run_sql(url, "SELECT pg_database_size(current_database())");
                bytes.parse::<f64>().unwrap() / 1e6
            }
            (_, BenchLedger::File(folder)) => megabytes(folder.path()),
            _ => 0.0,
        }
    }
}

impl BenchLedger {
    fn start(&self, limits: PipelineLimits) -> RunningEngine {
        match self {
            Self::File(folder) => {
                start_on_sqlite(folder.path(), limits, |at| SystemClock::start(at)).unwrap()
            }
            Self::Database(url) => {
                let address = PostgresAddress::parse(url).unwrap();
                runtime().block_on(postgres::create_tables(&address)).unwrap();
                start_on_postgres(&address, limits, |at| SystemClock::start(at)).unwrap()
            }
        }
    }

    /// Records events, and returns how long that took without making them.
    fn record(&self, events: usize, batch: usize) -> Duration {
        let runtime = runtime();
        match self {
            Self::File(folder) => {
                let recorder = SqliteRecorder::open(folder.path()).unwrap();
                runtime.block_on(EventSource::new().record(recorder, events, batch))
            }
            Self::Database(url) => runtime.block_on(async {
                let address = PostgresAddress::parse(url).unwrap();
                postgres::create_tables(&address).await.unwrap();
                let reader = PostgresReader::open(&address).await.unwrap();
                let recorder = PostgresRecorder::claim(&address, &reader).await.unwrap();
                EventSource::new().record(recorder, events, batch).await
            }),
        }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn policy(hold_s: u32, starts_at: Timestamp) -> Box<Policy> {
    Box::new(Policy {
        quantity: 10_000_000,
        unit_price: Money { minor: 4_900, currency: "EUR".parse().unwrap() },
        starts_at,
        ends_at: starts_at.plus_s(86_400),
        limit_per_buyer: 1,
        hold_s,
        admission: AdmissionMode::Open,
    })
}

/// The `no`th buyer's purchase; ids look random, as they do in life.
fn purchase(no: u64) -> Command {
    let scattered = no.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Command::Reserve {
        buyer: BuyerId(Uuid::from_u64_pair(scattered, no)),
        order: OrderId(Uuid::from_u64_pair(no, scattered)),
        quantity: 1,
        key: Some(RequestKey(u128::from(scattered).to_be_bytes())),
    }
}

fn measure(ground: &BenchStore, clients: usize, batch_len_max: usize) {
    let home = ground.home();
    let embedded = home.start(PipelineLimits { batch_len_max, ..PipelineLimits::default() });
    let runtime = runtime();
    let (next, over) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicBool::new(false)));
    let mut latencies_us = runtime.block_on(async {
        let policy = policy(0, embedded.engine.now());
        embedded.engine.command(SALE, Command::Configure { policy }).await.unwrap();
        let clients: Vec<_> = (0..clients)
            .map(|_| tokio::spawn(client(embedded.engine.clone(), Arc::clone(&next), Arc::clone(&over))))
            .collect();
        tokio::time::sleep(ROUND).await;
        over.store(true, Ordering::Relaxed);
        let mut latencies_us = Vec::new();
        for client in clients {
            latencies_us.extend(client.await.unwrap());
        }
        latencies_us
    });
    latencies_us.sort_unstable();
    let at = |part: f64| f64::from(latencies_us[((latencies_us.len() - 1) as f64 * part) as usize]) / 1000.0;
    let appends = recorded_batches(&embedded.engine);
    println!(
        "{clients:>8} {batch_len_max:>10} {:>12.0} {:>9.2} {:>9.2} {:>11.1}",
        latencies_us.len() as f64 / ROUND.as_secs_f64(),
        at(0.5),
        at(0.99),
        latencies_us.len() as f64 / appends,
    );
    embedded.stop();
}

fn recorded_batches(engine: &Engine) -> f64 {
    let mut registry = prometheus_client::registry::Registry::default();
    engine.metrics().register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let line = text.lines().find(|line| line.starts_with("pipeline_record_seconds_count")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

async fn client(engine: Engine, next: Arc<AtomicU64>, over: Arc<AtomicBool>) -> Vec<u32> {
    let mut latencies_us = Vec::with_capacity(4096);
    while !over.load(Ordering::Relaxed) {
        let no = next.fetch_add(1, Ordering::Relaxed);
        let started = start_stopwatch();
        let answer = engine.command(SALE, purchase(no)).await.unwrap();
        assert!(matches!(answer.outcome, CommandOutcome::Order { .. }), "{:?}", answer.outcome);
        latencies_us.push(u32::try_from(started.elapsed().as_micros()).unwrap());
    }
    latencies_us
}

/// Events of purchases that are held and then paid, made by the law.
struct EventSource {
    state: SaleState,
    entries: Vec<LedgerEntry>,
    no: u64,
}

impl EventSource {
    fn new() -> Self {
        let (mut state, mut entries) = (SaleState::new(), Vec::new());
        state.step(START, &Command::Configure { policy: policy(600, START) }, &mut entries);
        Self { state, entries, no: 0 }
    }

    fn next(&mut self, len: usize) -> Vec<LedgerEntry> {
        while self.entries.len() < len {
            self.no += 1;
            let at = START.plus_ms(i64::try_from(self.no / 100).unwrap());
            let reserve = purchase(self.no);
            self.state.step(at, &reserve, &mut self.entries);
            if let Command::Reserve { buyer, order, .. } = reserve {
                self.state.step(at, &Command::Confirm { buyer, order }, &mut self.entries);
            }
        }
        self.entries.drain(..len).collect()
    }

    async fn record(&mut self, mut recorder: impl LedgerRecorder, events: usize, batch: usize) -> Duration {
        let mut took = Duration::ZERO;
        for _ in 0..events / batch {
            let batch = Batch { sales: vec![(SALE, self.next(batch))], ..Batch::default() };
            let started = start_stopwatch();
            recorder.append(&batch).await.unwrap();
            took += started.elapsed();
        }
        took
    }
}

/// Events of one measurement.
fn events_of(batch: usize) -> usize {
    (batch * 400).min(500_000) / batch * batch
}

fn print_append(batch: usize, took: Duration) {
    let (took, events) = (took.as_secs_f64(), events_of(batch) as f64);
    println!("{batch:>8} {:>12.0} {:>12.2}", events / took, took * 1e6 / events);
}

fn append(ground: &BenchStore, batch: usize) {
    print_append(batch, ground.home().record(events_of(batch), batch));
}

/// What the recorder would do if it copied: two ways there and back more, for rows that take a shorter way in.
fn copy(ground: &BenchStore, batch: usize) {
    let home = ground.home();
    home.start(PipelineLimits::default()).stop();
    let BenchLedger::Database(url) = &home else { return };
    let took = runtime().block_on(async {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let (mut story, mut took, mut key) = (EventSource::new(), Duration::ZERO, 0_i64);
        for _ in 0..events_of(batch) / batch {
            let entries = story.next(batch);
            let started = start_stopwatch();
            let mut rows = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
            for entry in entries {
                key += 1;
                let mut body = Vec::with_capacity(64);
                encode_event(&entry.event, &mut body);
                rows.extend(4_i16.to_be_bytes());
                for bytes in [&key.to_be_bytes()[..], &entry.at.0.to_be_bytes(), &body, &7_i64.to_be_bytes()]
                {
                    rows.extend(i32::try_from(bytes.len()).unwrap().to_be_bytes());
                    rows.extend(bytes);
                }
            }
            rows.extend((-1_i16).to_be_bytes());
            let mut transaction = connection.begin().await.unwrap();
            let lock = sqlx::query("SELECT epoch FROM ledger_epochs WHERE no = 0 FOR SHARE");
            lock.execute(&mut *transaction).await.unwrap();
            let text = "COPY ledger_entries (key, at, body, crc) FROM STDIN (FORMAT binary)";
            let mut copy = transaction.copy_in_raw(text).await.unwrap();
            copy.send(rows).await.unwrap();
            copy.finish().await.unwrap();
            transaction.commit().await.unwrap();
            took += started.elapsed();
        }
        took
    });
    print_append(batch, took);
}

fn start(ground: &BenchStore, events: usize) {
    let home = ground.home();
    home.record(events, 4096);
    let started = start_stopwatch();
    let embedded = home.start(PipelineLimits::default());
    let took = started.elapsed().as_secs_f64();
    let seq = embedded.engine.views().get(SALE).unwrap().seq.0;
    println!("{seq:>12} {took:>8.2} {:>12.2} {:>10.0}", took * 1e6 / seq as f64, ground.megabytes(&home));
    embedded.stop();
}

fn megabytes(folder: &Path) -> f64 {
    let files = std::fs::read_dir(folder).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>() as f64 / 1e6
}
