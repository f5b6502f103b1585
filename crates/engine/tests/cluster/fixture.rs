//! Fixtures: a database, a Redis, and engines on both.

pub use crate::support::reserve;
use crate::support::{assert_promises_kept, policy, sale_id, whole_sale};
use engine::clock::SystemClock;
use engine::decide::valkey::{ValkeyDecider, ValkeySettings};
use engine::pipeline::PipelineLimits;
use engine::record::postgres::{self, PostgresAddress, PostgresEpochs, PostgresReader};
use engine::record::{EpochStore, LedgerReader};
use engine::valkey_connection::ValkeyAddress;
use engine::{
    ClusterSettings, CommandReply, Engine, EngineError, RunningEngine, StartError, start_in_cluster,
};
use sale::{AdmissionMode, Command, CommandOutcome, EventSeq, LedgerEntry, SaleId, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use test_servers::postgres::PostgresServer;
use test_servers::redis::RedisServer;
use test_servers::wait::{HANG_LIMIT, eventually};
use tokio::time::{sleep, timeout};

const RETRY_INTERVAL: Duration = Duration::from_millis(20);

pub const SALE: u64 = 1;

pub struct ClusterFixture {
    pub url: String,
    pub address: PostgresAddress,
    pub redis: RedisServer,
}

impl ClusterFixture {
    pub async fn new() -> Self {
        Self::on(&PostgresServer::shared().create_database()).await
    }

    pub async fn on(url: &str) -> Self {
        let address = PostgresAddress::parse(url).unwrap();
        postgres::create_tables(&address).await.unwrap();
        Self { url: url.to_owned(), address, redis: RedisServer::start() }
    }

    /// An instance.
    pub fn engine(&self) -> RunningEngine {
        self.engine_at(&self.redis.url())
    }

    /// An instance, or why it does not start.
    pub fn try_engine(&self) -> Result<RunningEngine, StartError> {
        self.try_engine_at(&self.redis.url())
    }

    /// An instance on another Redis.
    pub fn engine_at(&self, valkey: &str) -> RunningEngine {
        self.try_engine_at(valkey).unwrap()
    }

    fn try_engine_at(&self, valkey: &str) -> Result<RunningEngine, StartError> {
        let cluster = ClusterSettings {
            database: self.address.clone(),
            valkey: ValkeyAddress::parse(valkey).unwrap(),
            ticks: true,
            clock_offset: Arc::new(|| 0),
        };
        let start =
            || {
                start_in_cluster(&cluster, PipelineLimits::default(), |_| {
                    SystemClock::start(Timestamp::default())
                })
            };
        tokio::task::block_in_place(start)
    }

    /// One that only decides and records nothing, as if it died each time.
    pub async fn decider(&self) -> ValkeyDecider {
        let reader = self.reader().await;
        let epochs: Arc<dyn EpochStore> = Arc::new(PostgresEpochs::new(Arc::clone(&reader)));
        let settings = ValkeySettings {
            address: ValkeyAddress::parse(&self.redis.url()).unwrap(),
            name: "one that dies".into(),
            uses_caller_time: false,
            ticks: false,
            clock_offset: Arc::new(|| 0),
        };
        ValkeyDecider::start(&settings, reader, epochs).await.unwrap()
    }

    pub async fn reader(&self) -> Arc<PostgresReader> {
        Arc::new(PostgresReader::open(&self.address).await.unwrap())
    }

    pub async fn entries(&self) -> Vec<LedgerEntry> {
        whole_sale(self.reader().await.as_ref(), sale_id(SALE)).await
    }

    pub fn sql(&self, sql: &str) -> String {
        PostgresServer::shared().run_sql(&self.url, sql)
    }

    /// The ledger, which must have every number once and keep every promise.
    pub async fn sound_entries(&self) -> Vec<LedgerEntry> {
        let entries = self.entries().await;
        let numbers = entries.iter().map(|entry| entry.seq);
        assert!(numbers.eq((1..=entries.len() as u64).map(EventSeq)), "the ledger has a gap");
        assert_promises_kept(sale_id(SALE), &entries);
        entries
    }

    /// Waits until the ledger has so many events.
    pub async fn wait_until_recorded(&self, len: usize) {
        let reader = self.reader().await;
        eventually("the ledger grows", HANG_LIMIT, async || {
            let read = reader.read_entries(sale_id(SALE), EventSeq(0), usize::MAX).await;
            read.is_ok_and(|entries| entries.len() >= len)
        })
        .await;
    }
}

/// Announces the sale that all here buy in: so many units, two a buyer.
pub async fn announce(engine: &Engine, quantity: u32, hold_s: u32) {
    let policy = policy(quantity, hold_s, engine.now().plus_ms(-1), AdmissionMode::Open);
    let outcome = insist(engine, sale_id(SALE), Command::Configure { policy }).await.outcome;
    assert_eq!(outcome, CommandOutcome::Done);
}

/// Repeats a command until it has an outcome, as a client does after a 503.
pub async fn insist(engine: &Engine, sale: SaleId, command: Command) -> CommandReply {
    let insisting = async {
        loop {
            let response = timeout(HANG_LIMIT, engine.command(sale, command.clone()));
            match response.await.expect("a reply") {
                Ok(answer) => return answer,
                Err(EngineError::NotRecorded | EngineError::Overloaded) => sleep(RETRY_INTERVAL).await,
                Err(error) => panic!("{command:?}: {error}"),
            }
        }
    };
    timeout(HANG_LIMIT, insisting).await.unwrap_or_else(|_| panic!("{command:?} has no answer"))
}

pub async fn buy(engine: &Engine, buyer: u64) -> CommandOutcome {
    insist(engine, sale_id(SALE), reserve(buyer)).await.outcome
}

pub fn is_order(outcome: &CommandOutcome) -> bool {
    matches!(outcome, CommandOutcome::Order { .. })
}
