//! A server, a ledger, and processes that decide and record, each by the time of the test.

use crate::ledger::Ledger;
use engine::decide::valkey::{Outbox, Settings, Valkey};
use engine::decide::{Ask, Decide, DecideError, Decided, Told};
use engine::record::Record;
use own_servers::redis::Server;
use sale::{
    Admission, BuyerId, Command, Counters, Money, OrderId, Outcome, Policy, Refusal, RequestKey, SaleId,
    Timestamp,
};
use std::sync::Arc;
use uuid::Uuid;

pub const START: Timestamp = Timestamp(1_790_000_000_000);
pub const SALE: SaleId = SaleId(Uuid::from_u64_pair(0x5a1e, 1));

pub struct World {
    pub server: Server,
    pub ledger: Ledger,
}

/// One process.
pub struct Process {
    pub valkey: Valkey,
    pub ledger: Ledger,
    pub outbox: Outbox,
}

impl World {
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(settings: &[&str]) -> Self {
        Self { server: Server::start_with(settings), ledger: Ledger::default() }
    }

    pub async fn process(&self, name: &str) -> Process {
        self.process_at(&self.server.url(), name).await
    }

    pub async fn process_at(&self, url: &str, name: &str) -> Process {
        let settings = Settings { url: url.to_owned(), name: name.to_owned(), time_as_told: true };
        let (ledger, epochs) = (Arc::new(self.ledger.clone()), Arc::new(self.ledger.clone()));
        let valkey = Valkey::start(&settings, ledger, epochs).await.unwrap();
        Process { valkey, ledger: self.ledger.clone(), outbox: Outbox::at(url).unwrap() }
    }

    /// A process, and a sale of so many units, open for an hour, one unit a buyer.
    pub async fn with_sale(settings: &[&str], quantity: u32) -> (Self, Process) {
        let world = Self::with(settings);
        let mut process = world.process("first").await;
        assert_eq!(process.command(START, announce(quantity)).await, Outcome::Done);
        (world, process)
    }
}

impl Process {
    pub async fn decide(&mut self, now: Timestamp, asks: &[Ask]) -> Result<Decided, DecideError> {
        self.valkey.decide(now, asks).await
    }

    /// Decides, records and takes it out of the outbox, as the pipeline does.
    pub async fn settle(&mut self, now: Timestamp, asks: &[Ask]) -> Vec<Told> {
        let decided = self.decide(now, asks).await.unwrap_or_else(|error| panic!("{error}: {error:?}"));
        self.ledger.append(&decided.batch).await.unwrap();
        self.outbox.forget(&decided.batch.calls).await.unwrap();
        decided.told
    }

    pub async fn ask(&mut self, now: Timestamp, ask: Ask) -> Told {
        self.settle(now, &[ask]).await.remove(0)
    }

    pub async fn command(&mut self, now: Timestamp, command: Command) -> Outcome {
        match self.ask(now, Ask::Command { sale: SALE, command }).await {
            Told::Outcome { outcome, .. } => outcome,
            other => panic!("{other:?}"),
        }
    }

    pub async fn buy(&mut self, now: Timestamp, buyer: u64) -> Outcome {
        self.command(now, reserve(buyer)).await
    }

    /// The sums as the server has them.
    pub fn counters(&self) -> Counters {
        self.valkey.views().iter().find(|view| view.id == SALE).unwrap().counters
    }
}

pub fn buyer(no: u64) -> BuyerId {
    BuyerId(Uuid::from_u64_pair(0xb0b, no))
}

pub fn order(no: u64) -> OrderId {
    OrderId(Uuid::from_u64_pair(0x0de, no))
}

/// Every buyer has one order and one key.
pub fn reserve(no: u64) -> Command {
    let key = Some(RequestKey(u128::from(no).to_be_bytes()));
    Command::Reserve { buyer: buyer(no), order: order(no), quantity: 1, key }
}

pub fn ask(command: Command) -> Ask {
    Ask::Command { sale: SALE, command }
}

pub fn announce(quantity: u32) -> Command {
    announce_with(quantity, 300, Admission::Open)
}

pub fn announce_with(quantity: u32, hold_s: u32, admission: Admission) -> Command {
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

pub fn is_order(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Order { repeated: false, .. })
}

pub fn is_repeated(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Order { repeated: true, .. })
}

pub fn is_refused(outcome: &Outcome, why: Refusal) -> bool {
    *outcome == Outcome::Refused(why)
}
