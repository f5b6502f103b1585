//! A real PostgreSQL on bad days, under load: killed, frozen, read-only, without its tables, without a connection to give. Nobody is
//! told yes without a row, nobody waits for longer than two seconds, and selling goes on by itself within five.

use crate::support::{
    assert_promises_kept, buyer_id, is_worth_retrying, order_id, policy, sale_id, whole_sale,
};
use crate::test_ledger::TestLedger;
use engine::clock::{SystemClock, start_stopwatch};
use engine::{Engine, EngineError, RunningEngine};
use sale::{AdmissionMode, Command, CommandOutcome, Event, OrderId};
use sqlx::{Connection, Executor, PgConnection};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use test_servers::postgres::PostgresServer;
use tokio::task::JoinHandle;
use tokio::time::sleep;

const CLIENTS: u64 = 32;
/// Nobody waits longer, and a little more for a machine that is busy with other tests.
const WAIT_MAX: Duration = Duration::from_millis(2_500);
/// From the end of the trouble to the next yes.
const BACK_MAX: Duration = Duration::from_secs(5);

/// What the clients were told.
#[derive(Default)]
struct ClientTally {
    orders: Mutex<Vec<OrderId>>,
    refused: AtomicU64,
    longest_us: AtomicU64,
    over: AtomicBool,
}

impl ClientTally {
    fn orders(&self) -> usize {
        self.orders.lock().unwrap().len()
    }

    fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Clients that buy one unit after the other.
struct ClientLoad {
    embedded: RunningEngine,
    tally: Arc<ClientTally>,
    clients: Vec<JoinHandle<()>>,
    home: TestLedger,
}

impl ClientLoad {
    async fn start_on(url: &str) -> Self {
        let home = TestLedger::at(url).await;
        let embedded = home.start(SystemClock::start);
        let policy = policy(1_000_000, 0, embedded.engine.now(), AdmissionMode::Open);
        embedded.engine.command(sale_id(1), Command::Configure { policy }).await.unwrap();
        let told = Arc::new(ClientTally::default());
        let clients = (1..=CLIENTS)
            .map(|no| tokio::spawn(buy(embedded.engine.clone(), no, Arc::clone(&told))))
            .collect();
        let load = Self { embedded, tally: told, clients, home };
        load.sells(BACK_MAX).await;
        load
    }

    /// Waits until more is sold.
    async fn sells(&self, patience: Duration) {
        let (started, before) = (start_stopwatch(), self.tally.orders());
        while self.tally.orders() < before + 100 {
            assert!(started.elapsed() < patience, "nothing is sold after {:?}", started.elapsed());
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until somebody is refused.
    async fn refuses(&self) {
        let (started, before) = (start_stopwatch(), self.tally.refused());
        while self.tally.refused() < before + 10 {
            assert!(started.elapsed() < BACK_MAX, "nobody is refused");
            sleep(Duration::from_millis(5)).await;
        }
        assert!(!self.embedded.engine.is_recording());
    }

    /// The trouble is over: it sells again, and all that was told is so.
    async fn ends_well(self) {
        self.sells(BACK_MAX).await;
        self.tally.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        let longest = Duration::from_micros(self.tally.longest_us.load(Ordering::Relaxed));
        assert!(longest < WAIT_MAX, "somebody waited for {longest:?}");
        assert!(!self.embedded.engine.is_taken_over());
        self.embedded.stop();
        let entries = whole_sale(self.home.reader().await.as_ref(), sale_id(1)).await;
        assert_promises_kept(sale_id(1), &entries);
        let kept: HashSet<OrderId> = entries
            .iter()
            .filter_map(|entry| match entry.event {
                Event::Confirmed { order, .. } => Some(order),
                _ => None,
            })
            .collect();
        let told = self.tally.orders.lock().unwrap();
        let lost: Vec<_> = told.iter().filter(|order| !kept.contains(order)).collect();
        assert!(lost.is_empty(), "told yes, and not in the ledger: {lost:?}");
    }
}

async fn buy(engine: Engine, client: u64, told: Arc<ClientTally>) {
    let mut no = 0;
    while !told.over.load(Ordering::Relaxed) {
        no += 1;
        let (buyer, order) = (buyer_id(client << 32 | no), order_id(client, no));
        let command = Command::Reserve { buyer, order, quantity: 1, key: None };
        let started = start_stopwatch();
        let answer = engine.command(sale_id(1), command).await;
        let took_us = u64::try_from(started.elapsed().as_micros()).unwrap();
        told.longest_us.fetch_max(took_us, Ordering::Relaxed);
        match answer.map(|answer| answer.outcome) {
            Ok(CommandOutcome::Order { order, .. }) => told.orders.lock().unwrap().push(order.id),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert!(is_worth_retrying(error) && error != EngineError::Overloaded, "{error}");
                told.refused.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_killed_and_started_again() {
    let mut postgres = PostgresServer::start();
    let load = ClientLoad::start_on(&postgres.create_database()).await;
    for _ in 0..3 {
        postgres.kill();
        load.refuses().await;
        postgres.launch();
        load.sells(BACK_MAX).await;
    }
    // So short that it is waited for.
    postgres.kill();
    postgres.launch();
    load.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_stands_still() {
    let postgres = PostgresServer::start();
    let load = ClientLoad::start_on(&postgres.create_database()).await;
    for seconds in [2, 4] {
        let frozen = postgres.freeze();
        sleep(Duration::from_secs(seconds)).await;
        assert!(load.tally.refused() > 0);
        drop(frozen);
        load.sells(BACK_MAX).await;
    }
    load.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_takes_no_writes() {
    let postgres = PostgresServer::start();
    let url = postgres.create_database();
    let load = ClientLoad::start_on(&url).await;
    for (broken, mended) in [
        // As after a failover that is not over.
        (
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "ALTER SYSTEM RESET default_transaction_read_only",
        ),
        ("ALTER TABLE ledger_entries RENAME TO away", "ALTER TABLE away RENAME TO ledger_entries"),
        (
            "ALTER TABLE ledger_entries ADD CONSTRAINT never CHECK (false) NOT VALID",
            "ALTER TABLE ledger_entries DROP CONSTRAINT never",
        ),
    ] {
        // This session is not told what is done to the others.
        let mut session = PgConnection::connect(&url).await.unwrap();
        session.execute("SET default_transaction_read_only = off").await.unwrap();
        for statement in [broken, "SELECT pg_reload_conf()"] {
            session.execute(statement).await.unwrap();
        }
        load.refuses().await;
        for statement in [mended, "SELECT pg_reload_conf()"] {
            session.execute(statement).await.unwrap();
        }
        load.sells(BACK_MAX).await;
    }
    load.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_and_none_to_be_had() {
    let postgres = PostgresServer::start_with(&["max_connections=12"]);
    let url = postgres.create_database();
    let load = ClientLoad::start_on(&url).await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doorbuster'";
    for _ in 0..10 {
        postgres.run_sql(&url, cut);
        load.sells(BACK_MAX).await;
    }
    assert_eq!(load.tally.refused(), 0, "a connection that is cut is made anew while the caller waits");

    // Others take whatever is free, and then what the engine had.
    let mut cutter = PgConnection::connect(&url).await.unwrap();
    let mut others = Vec::new();
    for _ in 0..20 {
        while let Ok(other) = PgConnection::connect(&url).await {
            others.push(other);
        }
        sqlx::query(cut).execute(&mut cutter).await.unwrap();
    }
    sleep(Duration::from_secs(2)).await;
    drop((others, cutter));
    load.ends_well().await;
}
