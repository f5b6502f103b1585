//! A server, a ledger, and processes that decide and record, each by the time of the test.

use crate::ledger::Ledger;
use engine::batch::Batch;
use engine::decide::valkey::{Outbox, ValkeyDecider, ValkeyError, ValkeySettings};
use engine::decide::{BatchDecider, DecidedBatch, Reply, Request};
use engine::record::LedgerRecorder;
use engine::valkey_connection::ValkeyAddress;
use sale::{
    AdmissionMode, BuyerId, Command, CommandOutcome, EventSeq, Money, OrderId, Policy, Refusal, RequestKey,
    SaleCounters, SaleId, Timestamp,
};
use std::sync::Arc;
use std::time::Duration;
use test_servers::redis::RedisServer;
use uuid::Uuid;

pub const START: Timestamp = Timestamp(1_790_000_000_000);
pub const SALE: SaleId = SaleId(Uuid::from_u64_pair(0x5a1e, 1));

/// How often it is tried whether a server decides again, and with what rest between.
const TRIES: u32 = 500;
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub struct ValkeyFixture {
    pub server: RedisServer,
    pub ledger: Ledger,
}

/// One process.
pub struct TestProcess {
    pub valkey: ValkeyDecider,
    pub ledger: Ledger,
    pub outbox: Outbox,
}

impl ValkeyFixture {
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(settings: &[&str]) -> Self {
        Self { server: RedisServer::start_with(settings), ledger: Ledger::default() }
    }

    pub async fn process(&self, name: &str) -> TestProcess {
        self.process_at(&self.server.url(), name).await
    }

    pub async fn process_at(&self, url: &str, name: &str) -> TestProcess {
        let mut valkey = self.start(&settings(url, name)).await.unwrap();
        let mut ledger = self.ledger.clone();
        let rebuilt = valkey.rebuild(&ledger).await.unwrap();
        ledger.append(&rebuilt.batch).await.unwrap();
        TestProcess { valkey, ledger, outbox: Outbox::new(&address(url)) }
    }

    pub async fn start(&self, settings: &ValkeySettings) -> Result<ValkeyDecider, ValkeyError> {
        let (ledger, epochs) = (Arc::new(self.ledger.clone()), Arc::new(self.ledger.clone()));
        ValkeyDecider::start(settings, ledger, epochs).await
    }

    /// A process, and a sale of so many units, open for an hour, one unit a buyer.
    pub async fn with_sale(settings: &[&str], quantity: u32) -> (Self, TestProcess) {
        let fixture = Self::with(settings);
        let mut process = fixture.process("first").await;
        assert_eq!(process.command(START, announce(quantity)).await, CommandOutcome::Done);
        (fixture, process)
    }
}

pub fn address(url: &str) -> ValkeyAddress {
    ValkeyAddress::parse(url).unwrap()
}

/// By the caller's time.
pub fn settings(url: &str, name: &str) -> ValkeySettings {
    ValkeySettings {
        address: address(url),
        name: name.to_owned(),
        uses_caller_time: true,
        ticks: true,
        clock_offset: Arc::new(|| 0),
    }
}

/// All that was recorded of a batch, in the outbox's terms.
pub fn recorded(batch: &Batch) -> Vec<(SaleId, EventSeq)> {
    batch.calls.iter().map(|call| (call.sale, call.last)).collect()
}

/// Something could not be decided.
#[derive(Debug)]
pub struct Unavailable;

impl TestProcess {
    pub async fn decide(
        &mut self,
        now: Timestamp,
        requests: &[Request],
    ) -> Result<DecidedBatch, Unavailable> {
        let decided = self.valkey.decide(now, requests).await.unwrap();
        let is_all = decided.replies.iter().all(|result| !matches!(result, Reply::Unavailable));
        if is_all { Ok(decided) } else { Err(Unavailable) }
    }

    /// Decides when that can be done again.
    pub async fn decide_with_retries(&mut self, now: Timestamp, requests: &[Request]) -> DecidedBatch {
        for _ in 0..TRIES {
            if let Ok(decided) = self.decide(now, requests).await {
                return decided;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("it does not decide again");
    }

    /// Decides, records and takes it out of the outbox, as the pipeline does.
    pub async fn decide_and_record(&mut self, now: Timestamp, requests: &[Request]) -> Vec<Reply> {
        let decided = self.decide_with_retries(now, requests).await;
        self.ledger.append(&decided.batch).await.unwrap();
        self.outbox.trim(&recorded(&decided.batch)).await.unwrap();
        decided.replies
    }

    pub async fn ask(&mut self, now: Timestamp, ask: Request) -> Reply {
        self.decide_and_record(now, &[ask]).await.remove(0)
    }

    pub async fn command(&mut self, now: Timestamp, command: Command) -> CommandOutcome {
        match self.ask(now, Request::Command { sale: SALE, command }).await {
            Reply::Outcome { outcome, .. } => outcome,
            other => panic!("{other:?}"),
        }
    }

    pub async fn buy(&mut self, now: Timestamp, buyer: u64) -> CommandOutcome {
        self.command(now, reserve(buyer)).await
    }

    /// The sale's counters as the server has them.
    pub fn counters(&self) -> SaleCounters {
        self.valkey.views().iter().find(|view| view.id == SALE).unwrap().counters
    }
}

pub fn buyer(no: u64) -> BuyerId {
    BuyerId(Uuid::from_u64_pair(0xb0b, no))
}

pub fn order(no: u64) -> OrderId {
    OrderId::with_sale_suffix(Uuid::from_u64_pair(0x0de, no << 16), SALE)
}

/// Every buyer has one order and one key.
pub fn reserve(no: u64) -> Command {
    let key = Some(RequestKey(u128::from(no).to_be_bytes()));
    Command::Reserve { buyer: buyer(no), order: order(no), quantity: 1, key }
}

pub fn ask(command: Command) -> Request {
    Request::Command { sale: SALE, command }
}

pub fn announce(quantity: u32) -> Command {
    announce_with(quantity, 300, AdmissionMode::Open)
}

pub fn announce_with(quantity: u32, hold_s: u32, admission: AdmissionMode) -> Command {
    let policy = Policy {
        quantity,
        unit_price: Money { minor: 4_900, currency: "EUR".parse().unwrap() },
        starts_at: START,
        ends_at: START.plus_s(3_600),
        limit_per_buyer: 1,
        hold_s,
        admission,
    };
    Command::Configure { policy: Box::new(policy) }
}

pub fn is_order(outcome: &CommandOutcome) -> bool {
    matches!(outcome, CommandOutcome::Order { repeated: false, .. })
}

pub fn is_repeated(outcome: &CommandOutcome) -> bool {
    matches!(outcome, CommandOutcome::Order { repeated: true, .. })
}

pub fn is_refused(outcome: &CommandOutcome, why: Refusal) -> bool {
    *outcome == CommandOutcome::Refused(why)
}
