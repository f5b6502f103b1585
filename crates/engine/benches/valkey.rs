//! Deciding in Redis: decisions a second by how many commands go into a call and how many calls are under way, for purchases
//! (a hold with a key, each by another buyer) and for joining a line; and how long it takes to restore a state.
//! Prints tables. The server's processor time hardly depends on who else uses the machine; decisions a second do.
//!
//! `cargo bench -p engine --bench valkey`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its results")]
#![expect(clippy::cast_precision_loss, reason = "results are printed rounded")]

use engine::batch::Epoch;
use engine::clock::start_stopwatch;
use engine::decide::valkey::{CallResult, CallTime, LibraryCall, LibraryRequest, ValkeyLibrary};
use engine::valkey_connection::ValkeyAddress;
use sale::{
    AdmissionMode, BuyerId, Command, EventSeq, LedgerEntry, Money, OrderId, Policy, RequestKey, SaleId,
    SaleState, Timestamp,
};
use test_servers::redis::RedisServer;
use uuid::Uuid;

const START: Timestamp = Timestamp(1_790_000_000_000);
/// Decisions a case.
const DECISIONS: u64 = 100_000;
/// Calls of a few commands that are sent before a reply has come.
const SMALL_CALLS_IN_FLIGHT: usize = 64;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(measure_all());
}

async fn measure_all() {
    let server = RedisServer::start();
    let mut bench = Bench {
        library: ValkeyLibrary::new(&ValkeyAddress::parse(&server.url()).unwrap(), "bench"),
        server,
        sales: 0,
    };
    println!("decisions in Redis, {DECISIONS} of each");
    println!(
        "{:>10} {:>6} {:>10} {:>12} {:>18} {:>8}",
        "what", "a call", "in flight", "decisions/s", "server CPU µs each", "of it"
    );
    for (what, command) in [("purchase", purchase as fn(u64) -> Command), ("join", join)] {
        for in_flight in [1, 2] {
            for len in [1, 8, 32, 128] {
                bench.measure(what, command, len, in_flight).await;
            }
        }
        // As the calls of a batch for many sales are sent.
        for len in [1, 3] {
            bench.measure(what, command, len, SMALL_CALLS_IN_FLIGHT).await;
        }
    }
    println!("\nhanding a state over\n{:>10} {:>8} {:>12}", "orders", "s", "µs an order");
    for orders in [10_000, 300_000] {
        bench.measure_restore(orders).await;
    }
}

struct Bench {
    server: RedisServer,
    library: ValkeyLibrary,
    sales: u64,
}

impl Bench {
    async fn measure(&mut self, what: &str, command: fn(u64) -> Command, len: u64, in_flight: usize) {
        let admission = match command(0) {
            Command::Join { .. } => {
                AdmissionMode::Fifo { per_second: 1, checkout_s: 60, line_opens_s: 60, extension_s: 0 }
            }
            _ => AdmissionMode::Open,
        };
        let state = announced(admission);
        let sale = self.begin(&state).await;
        let decisions = DECISIONS / len * len;
        let commands: Vec<Command> = (0..decisions).map(command).collect();
        let cpu_before_us = self.cpu_us();
        let started = start_stopwatch();
        let chunks: Vec<&[Command]> = commands.chunks(usize::try_from(len).unwrap()).collect();
        let mut decided = 0;
        for calls in chunks.chunks(64) {
            let batches: Vec<LibraryCall<'_>> = calls.iter().map(|commands| batch(sale, commands)).collect();
            for said in self.library.decide(&batches, in_flight).await {
                let Ok(CallResult::Decided(reply)) = said else { panic!("{said:?}") };
                decided += reply.entries.len() as u64;
            }
        }
        let took_s = started.elapsed().as_secs_f64();
        assert_eq!(decided, decisions, "each command has one event");
        let server_us = (self.cpu_us() - cpu_before_us) / decisions as f64;
        println!(
            "{what:>10} {len:>6} {in_flight:>10} {:>12.0} {server_us:>18.2} {:>7.0}%",
            decisions as f64 / took_s,
            server_us * decisions as f64 / took_s / 1e4,
        );
        self.server.request(&["FLUSHALL"]);
    }

    async fn measure_restore(&mut self, orders: u64) {
        let mut state = announced(AdmissionMode::Open);
        let mut entries: Vec<LedgerEntry> = Vec::new();
        for no in 0..orders {
            state.step(START, &purchase(no), &mut entries);
        }
        let started = start_stopwatch();
        self.begin(&state).await;
        let took_s = started.elapsed().as_secs_f64();
        println!("{orders:>10} {took_s:>8.2} {:>12.2}", took_s * 1e6 / orders as f64);
        self.server.request(&["FLUSHALL"]);
    }

    async fn begin(&mut self, state: &SaleState) -> SaleId {
        self.sales += 1;
        let sale = SaleId(Uuid::from_u64_pair(0x5a1e, self.sales));
        assert_eq!(self.library.claim_restore(sale).await.unwrap(), None);
        assert!(self.library.restore_state(sale, Epoch(1), state).await.unwrap());
        sale
    }

    /// Microseconds of a processor that the server has used.
    fn cpu_us(&self) -> f64 {
        let redis::Value::BulkString(reply) = self.server.request(&["INFO", "cpu"]) else { panic!("text") };
        let reply = String::from_utf8(reply).unwrap();
        let seconds = |name: &str| -> f64 {
            reply.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
        };
        (seconds("used_cpu_sys:") + seconds("used_cpu_user:")) * 1e6
    }
}

fn batch(sale: SaleId, commands: &[Command]) -> LibraryCall<'_> {
    let requests = commands.iter().map(LibraryRequest::Command).collect();
    LibraryCall {
        sale,
        time: CallTime::FixedAt(START),
        epoch_min: Epoch(1),
        known_policy: EventSeq(1),
        requests,
    }
}

fn announced(admission: AdmissionMode) -> SaleState {
    let policy = Policy {
        quantity: 1_000_000,
        unit_price: Money { minor: 4_900, currency: "EUR".parse().unwrap() },
        // A line is joined before the start, so that no buyer is admitted during the measurement.
        starts_at: if admission == AdmissionMode::Open { START } else { START.plus_s(60) },
        ends_at: START.plus_s(86_400),
        limit_per_buyer: 1,
        hold_s: 600,
        admission,
    };
    let mut state = SaleState::new();
    state.step(START, &Command::Configure { policy: Box::new(policy) }, &mut Vec::new());
    state
}

/// Ids look random, as they do in life.
fn scattered(no: u64) -> u64 {
    no.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn purchase(no: u64) -> Command {
    Command::Reserve {
        buyer: BuyerId(Uuid::from_u64_pair(scattered(no), no)),
        order: OrderId(Uuid::from_u64_pair(no, scattered(no))),
        quantity: 1,
        key: Some(RequestKey(u128::from(scattered(no)).to_be_bytes())),
    }
}

fn join(no: u64) -> Command {
    Command::Join { buyer: BuyerId(Uuid::from_u64_pair(scattered(no), no)) }
}
