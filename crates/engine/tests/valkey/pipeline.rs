//! The whole pipeline over Redis: what is answered is recorded, also when the server is killed and comes back with nothing.

use crate::fixture::{SALE, address, announce, buyer, order, recorded};
use crate::ledger::Ledger;
use engine::batch::Batch;
use engine::clock::SystemClock;
use engine::decide::valkey::{Outbox, ValkeyDecider, ValkeySettings};
use engine::pipeline::{Pipeline, PipelineLimits, assemble_pipeline};
use engine::record::{LedgerRecorder, RecordError};
use engine::{CommandReply, Engine, EngineError};
use sale::{Command, CommandOutcome, Event, Refusal, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use test_servers::redis::RedisServer;
use test_servers::wait::{HANG_LIMIT, eventually};

const UNITS: u32 = 300;
const BUYERS: u64 = 400;
const TRIES: u32 = 3_000;

/// Records, and takes what it has recorded out of the outbox.
struct Recorder {
    ledger: Ledger,
    outbox: Outbox,
}

impl LedgerRecorder for Recorder {
    async fn append(&mut self, batch: &Batch) -> Result<(), RecordError> {
        self.ledger.append(batch).await?;
        // What stays there is recorded already; the one who finds it sees that.
        let _stays = self.outbox.trim(&recorded(batch)).await;
        Ok(())
    }

    async fn probe(&mut self) -> Result<(), RecordError> {
        self.ledger.probe().await
    }
}

/// Repeats a command until it has an outcome, as a client does after a 503.
async fn insist(engine: &Engine, command: Command) -> CommandReply {
    for _ in 0..TRIES {
        match engine.command(SALE, command.clone()).await {
            Ok(answer) => return answer,
            Err(EngineError::NotRecorded | EngineError::Overloaded) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{command:?}: {error}"),
        }
    }
    panic!("{command:?} has no answer");
}

#[tokio::test]
async fn what_is_answered_is_recorded_though_the_server_loses_everything() {
    let mut server = RedisServer::start();
    let ledger = Ledger::default();
    let settings = ValkeySettings {
        address: address(&server.url()),
        name: "first".into(),
        uses_caller_time: false,
        ticks: true,
        clock_offset: Arc::new(|| 0),
    };
    let (read, epochs) = (Arc::new(ledger.clone()), Arc::new(ledger.clone()));
    let valkey = ValkeyDecider::start(&settings, read.clone(), epochs).await.unwrap();
    let recorder = Recorder { ledger: ledger.clone(), outbox: Outbox::new(&settings.address) };
    let clock = SystemClock::start(Timestamp::default());
    let Pipeline { engine, decide, record } =
        assemble_pipeline(valkey, recorder, read, clock, PipelineLimits::default());
    let stages = [tokio::spawn(decide.run()), tokio::spawn(record.run())];

    let Command::Configure { mut policy } = announce(UNITS) else { panic!("an announcement is one") };
    policy.starts_at = engine.now().plus_s(0);
    policy.ends_at = policy.starts_at.plus_s(3_600);
    assert_eq!(insist(&engine, Command::Configure { policy }).await.outcome, CommandOutcome::Done);
    let buying: Vec<_> = (0..BUYERS)
        .map(|no| {
            let engine = engine.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(no / 2)).await;
                let reserve = crate::fixture::reserve(no);
                (no, insist(&engine, reserve).await.outcome)
            })
        })
        .collect();
    eventually("some purchases", HANG_LIMIT, async || ledger.entries(SALE).len() >= 10).await;
    server.kill();
    eventually("the engine notices", HANG_LIMIT, async || !engine.is_deciding()).await;
    server.restart();
    let mut made = 0;
    for bought in buying {
        let (no, outcome) = bought.await.unwrap();
        match outcome {
            CommandOutcome::Order { order: result, .. } => {
                assert_eq!((result.id, result.buyer), (order(no), buyer(no)));
                let is_it = |event: &Event| matches!(event, Event::Held { order, .. } if *order == result.id);
                assert!(ledger.entries(SALE).iter().any(|entry| is_it(&entry.event)), "{no} is not recorded");
                made += 1;
            }
            CommandOutcome::Refused(Refusal::AllHeld) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(made, UNITS, "each unit has one buyer");
    let state = ledger.fold(SALE);
    state.check().unwrap();
    assert_eq!((state.counters().held, state.counters().available), (UNITS, 0));
    engine.begin_stop();
    for stage in stages {
        stage.await.unwrap();
    }
}
