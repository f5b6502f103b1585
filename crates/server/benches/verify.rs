//! `doorbuster verify` on a ledger of ten million mixed events: how long, how much memory. Writes the ledger through the
//! engine's own recorder into a temporary folder, then runs the release binary on it. Time and processor time are the
//! median of the rounds, memory is the most of them.
//!
//! `cargo bench -p server --bench verify [-- --events=N --rounds=N]`

#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use anyhow::Context;
use engine::batch::Batch;
use engine::clock::start_stopwatch;
use engine::record::LedgerRecorder;
use engine::record::sqlite::SqliteRecorder;
use futures::executor::block_on;
use sale::{
    AdmissionMode, BuyerId, Command, Event, LedgerEntry, Money, OrderId, Policy, RequestKey, SaleId,
    SaleState, Timestamp,
};
use std::collections::VecDeque;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;
use uuid::Uuid;

const START: Timestamp = Timestamp(1_800_000_000_000);
/// Events of one sale in a batch, as under a load.
const BATCH_LEN: usize = 1024;
/// Seconds that ten million events may take.
const WANTED_S: f64 = 20.0;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        args.iter().find_map(|arg| arg.strip_prefix(name)?.parse().ok()).unwrap_or(default)
    };
    let (events, rounds) = (number("--events=", 10_000_000), number("--rounds=", 3));
    println!("| ledger | events | file | time | CPU | events/s | peak memory | wanted |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let ledgers = [
        ("three sales at once", vec![SaleLoad::Open, SaleLoad::Flow, SaleLoad::Crowd]),
        ("one sale, every other event a buyer", vec![SaleLoad::Open]),
    ];
    for (name, mix) in ledgers {
        let folder = tempfile::tempdir()?;
        write(folder.path(), events, &mix)?;
        let mut runs = (0..rounds).map(|_| verify(folder.path())).collect::<Result<Vec<_>, _>>()?;
        runs.sort_by_key(|run| run.took);
        let run = &runs[runs.len() / 2];
        let seconds = run.took.as_secs_f64();
        println!(
            "| {name} | {events} | {} MB | {seconds:.2} s | {:.2} s | {:.0} | {} MiB | {:.1} s |",
            std::fs::metadata(folder.path().join(engine::record::sqlite::FILE))?.len() / 1_000_000,
            run.cpu_s,
            events as f64 / seconds,
            runs.iter().map(|run| run.peak_kib).max().unwrap_or(0) / 1024,
            WANTED_S * events as f64 / 1e7,
        );
    }
    Ok(())
}

/// One run of the binary.
#[derive(Default)]
struct Run {
    took: Duration,
    /// Processor time of all its threads.
    cpu_s: f64,
    /// The most memory that it had.
    peak_kib: u64,
}

/// Runs the binary as a person would.
fn verify(folder: &Path) -> anyhow::Result<Run> {
    let started = start_stopwatch();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_doorbuster"))
        .args(["verify", "--data"])
        .arg(folder)
        .stdout(Stdio::null())
        .spawn()
        .context("the doorbuster binary cannot be started")?;
    let mut run = Run::default();
    loop {
        sample_usage(&child, &mut run);
        if let Some(status) = child.try_wait()? {
            anyhow::ensure!(status.success(), "verify ended with {status}");
            run.took = started.elapsed();
            return Ok(run);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What a process has used so far, from Linux; nothing elsewhere.
fn sample_usage(child: &Child, run: &mut Run) {
    /// Linux counts processor time in hundredths of a second (proc(5), `USER_HZ`).
    const TICKS_A_SECOND: f64 = 100.0;
    let read = |name| std::fs::read_to_string(format!("/proc/{}/{name}", child.id())).unwrap_or_default();
    let status = read("status");
    let high_water = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
    run.peak_kib = run.peak_kib.max(high_water.and_then(|kib| kib.parse().ok()).unwrap_or(0));
    // Behind the name in brackets, the twelfth and thirteenth are those of user and system.
    let stat = read("stat");
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    run.cpu_s = run.cpu_s.max(ticks as f64 / TICKS_A_SECOND);
}

/// Writes sales that go on at the same time.
fn write(folder: &Path, events: u64, mix: &[SaleLoad]) -> anyhow::Result<()> {
    let mut recorder = SqliteRecorder::open(folder)?;
    let mut stories: Vec<SaleHistory> =
        (1..).zip(mix).map(|(no, manner)| SaleHistory::new(no, *manner)).collect();
    let mut left = usize::try_from(events)?;
    while left > 0 {
        let mut batch = Batch::default();
        for story in &mut stories {
            let len = left.min(BATCH_LEN);
            left -= len;
            if len > 0 {
                batch.sales.push((story.sale, story.next(len)));
            }
        }
        block_on(recorder.append(&batch))?;
    }
    Ok(())
}

/// How a sale goes.
#[derive(Clone, Copy)]
enum SaleLoad {
    /// Anyone may buy, and millions do.
    Open,
    /// With a line that moves as fast as it grows.
    Flow,
    /// With a thousand units and a line of millions that hardly moves.
    Crowd,
}

/// A sale's events, made by the law.
struct SaleHistory {
    sale: SaleId,
    manner: SaleLoad,
    state: SaleState,
    entries: Vec<LedgerEntry>,
    /// Buyers that have come so far.
    no: u64,
    called: VecDeque<BuyerId>,
}

/// Buyers between one's arrival and one's order, and between one's order and one's payment.
const LAG: (u64, u64) = (1_000, 50_000);

impl SaleHistory {
    fn new(no: u64, manner: SaleLoad) -> Self {
        let fifo =
            |per_second| AdmissionMode::Fifo { per_second, checkout_s: 60, line_opens_s: 0, extension_s: 0 };
        let (quantity, admission) = match manner {
            SaleLoad::Open => (10_000_000, AdmissionMode::Open),
            SaleLoad::Flow => (10_000_000, fifo(10_000)),
            // At one admission a second there are units, and so a line, for longer than the story lasts.
            SaleLoad::Crowd => (1_000, fifo(1)),
        };
        let policy = Box::new(Policy {
            quantity,
            unit_price: Money { minor: 4_900, currency: "EUR".parse().expect("EUR is a currency") },
            starts_at: START,
            ends_at: START.plus_s(86_400),
            limit_per_buyer: 2,
            hold_s: 300,
            admission,
        });
        let (mut state, mut entries) = (SaleState::new(), Vec::new());
        state.step(START, &Command::Configure { policy }, &mut entries);
        let sale = SaleId(Uuid::from_u64_pair(0x01a1_fc31_b51b_723f, no));
        Self { sale, manner, state, entries, no: 0, called: VecDeque::new() }
    }

    fn next(&mut self, len: usize) -> Vec<LedgerEntry> {
        while self.entries.len() < len {
            self.no += 1;
            let before = self.entries.len();
            match self.manner {
                SaleLoad::Open => self.open(),
                SaleLoad::Flow => self.flow(),
                SaleLoad::Crowd => self.crowd(),
            }
            assert!(self.entries.len() > before, "nothing happens any more in sale {}", self.sale);
        }
        self.entries.drain(..len).collect()
    }

    /// One buyer reserves; an earlier one pays, or (one in sixteen) lets the hold run out.
    fn open(&mut self) {
        self.reserve(self.no);
        self.pay(self.no.saturating_sub(LAG.1));
    }

    /// One buyer joins; an earlier one reserves, or lets the admission lapse; an earlier one still pays, or not.
    fn flow(&mut self) {
        self.step(&Command::Join { buyer: buyer(self.no) });
        let due = self.no.saturating_sub(LAG.0);
        if due % 16 != 1 {
            self.reserve(due);
        }
        self.pay(self.no.saturating_sub(LAG.1));
    }

    /// One buyer joins, now and then one leaves, and who is called buys, or (one in eight) does not.
    fn crowd(&mut self) {
        self.step(&Command::Join { buyer: buyer(self.no) });
        if self.no.is_multiple_of(20) {
            self.step(&Command::Leave { buyer: buyer(self.no / 2) });
        }
        while let Some(called) = self.called.pop_front() {
            let order = OrderId(called.0);
            if !called.0.as_u128().is_multiple_of(8) {
                self.step(&Command::Reserve { buyer: called, order, quantity: 1, key: None });
                self.step(&Command::Confirm { buyer: called, order });
            }
        }
    }

    fn reserve(&mut self, no: u64) {
        if no > 0 {
            let key = Some(RequestKey(u128::from(scattered(no)).to_be_bytes()));
            self.step(&Command::Reserve { buyer: buyer(no), order: order(no), quantity: 1, key });
        }
    }

    fn pay(&mut self, no: u64) {
        if no > 0 && !no.is_multiple_of(16) {
            self.step(&Command::Confirm { buyer: buyer(no), order: order(no) });
        }
    }

    /// Some four thousand buyers a second.
    fn step(&mut self, command: &Command) {
        let at = START.plus_ms(i64::try_from(self.no / 4).unwrap_or(i64::MAX));
        let before = self.entries.len();
        self.state.step(at, command, &mut self.entries);
        if let SaleLoad::Crowd = self.manner {
            self.called.extend(self.entries[before..].iter().filter_map(|entry| match entry.event {
                Event::Admitted { buyer, .. } => Some(buyer),
                _ => None,
            }));
        }
    }
}

/// Ids look random, as they do in life.
fn scattered(no: u64) -> u64 {
    no.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn buyer(no: u64) -> BuyerId {
    BuyerId(Uuid::from_u64_pair(scattered(no), no))
}

fn order(no: u64) -> OrderId {
    OrderId(Uuid::from_u64_pair(no, scattered(no)))
}
