//! Damage that is met while an engine runs, and clocks that are wrong when it starts.

use crate::support::{START, order_id, policy, reserve, sale_id, whole_sale};
use crate::test_ledger::{TestLedger, on_every_ledger};
use engine::batch::Batch;
use engine::clock::{Clock, ManualClock, SystemClock};
use engine::decide::{BatchDecider, memory::MemoryDecider};
use engine::pipeline::PipelineLimits;
use engine::record::sqlite::{FILE, SqliteRecorder};
use engine::record::{LedgerRecorder, ReadError, RecordError};
use engine::{
    EngineError, StartError, start_on_postgres_checked, start_on_sqlite_checked, start_on_sqlite_with,
};
use sale::{AdmissionMode, Command, EventSeq, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use tempfile::tempdir;
use test_servers::wait::{HANG_LIMIT, eventually};

/// A recorder that meets a malformed file once and works again after that.
struct MalformedOnce {
    recorder: SqliteRecorder,
    is_malformed: Arc<AtomicBool>,
}

impl LedgerRecorder for MalformedOnce {
    async fn append(&mut self, batch: &Batch) -> Result<(), RecordError> {
        if self.is_malformed.swap(false, Ordering::SeqCst) {
            let cause = "database disk image is malformed".into();
            return Err(RecordError::Ledger(ReadError::Corrupt { file: FILE.to_owned(), cause }));
        }
        self.recorder.append(batch).await
    }

    async fn probe(&mut self) -> Result<(), RecordError> {
        self.recorder.probe().await
    }
}

#[tokio::test]
async fn a_malformed_file_ends_recording_for_good() {
    let folder = tempdir().unwrap();
    let is_malformed = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_malformed);
    let clock = ManualClock::at(START);
    let of_engine = Arc::clone(&clock);
    let running = start_on_sqlite_with(
        folder.path(),
        PipelineLimits::default(),
        |_| of_engine,
        |memory| memory,
        |recorder| MalformedOnce { recorder, is_malformed: flag },
    )
    .unwrap();
    let engine = running.engine.clone();
    let policy = policy(10, 0, START, AdmissionMode::Open);
    engine.command(sale_id(1), Command::Configure { policy }).await.unwrap();
    engine.command(sale_id(1), reserve(1)).await.unwrap();
    assert!(engine.is_recording() && !engine.is_damaged());

    is_malformed.store(true, Ordering::SeqCst);
    assert_eq!(engine.command(sale_id(1), reserve(2)).await.unwrap_err(), EngineError::NotRecorded);
    assert!(engine.is_damaged() && !engine.is_recording());
    for _ in 0..20 {
        // The time of many probes passes, and each would succeed.
        clock.advance_ms(150);
        assert_eq!(engine.command(sale_id(1), reserve(2)).await.unwrap_err(), EngineError::NotRecorded);
        assert_eq!(engine.order(order_id(1, 1)).await.unwrap_err(), EngineError::StateUnknown);
    }
    running.stop();
    let restarted = start_on_sqlite_with(
        folder.path(),
        PipelineLimits::default(),
        |_| ManualClock::at(START),
        |memory| memory,
        |recorder| recorder,
    );
    let restarted = restarted.unwrap();
    restarted.engine.command(sale_id(1), reserve(2)).await.unwrap();
    restarted.stop();
}

#[tokio::test]
async fn a_damaged_row_that_a_follower_reads_ends_recording() {
    let home = TestLedger::folder();
    let running = home.start(|_| ManualClock::at(START));
    let engine = running.engine.clone();
    let policy = policy(10, 0, START, AdmissionMode::Open);
    engine.command(sale_id(1), Command::Configure { policy }).await.unwrap();
    engine.command(sale_id(1), reserve(1)).await.unwrap();
    let TestLedger::Folder(folder) = &home else { unreachable!("it is a folder") };
    let ledger = rusqlite::Connection::open(folder.path().join(FILE)).unwrap();
    ledger.execute("UPDATE entries SET crc = crc + 1", []).unwrap();
    assert!(engine.ledger().read_entries(sale_id(1), EventSeq(0), 10).await.unwrap_err().is_damage());
    assert!(engine.is_damaged());
    assert_eq!(engine.command(sale_id(1), reserve(2)).await.unwrap_err(), EngineError::NotRecorded);
    running.stop();
}

on_every_ledger!(
    time_goes_on_over_restarts_while_the_machines_clock_is_behind,
    a_start_that_is_refused_leaves_the_ledger_as_it_is,
    a_state_that_catches_up_is_one_that_was_folded,
);

async fn time_goes_on_over_restarts_while_the_machines_clock_is_behind(home: TestLedger) {
    const BEHIND_MS: i64 = 3_600_000;
    let running = home.start(SystemClock::start);
    let policy = policy(10, 60, running.engine.now(), AdmissionMode::Open);
    running.engine.command(sale_id(1), Command::Configure { policy }).await.unwrap();
    running.stop();
    let began_at = Arc::new(AtomicI64::new(0));
    for life in 0..3 {
        let before = began_at.load(Ordering::SeqCst);
        let begins = Arc::clone(&began_at);
        let running = home.start(move |not_before| {
            begins.store(not_before.0, Ordering::SeqCst);
            SystemClock::start_with_offset(not_before, || -BEHIND_MS)
        });
        let now = began_at.load(Ordering::SeqCst);
        assert!(life == 0 || now > before, "life {life} began at {now}, the one before at {before}");
        assert!(running.engine.clock().is_ahead_of_machine());
        // Long enough that there is something to write; it ends without an event.
        let enough = Timestamp(now).plus_ms(700);
        eventually("time goes on", HANG_LIMIT, async || running.engine.now() >= enough).await;
        running.stop();
    }
    let entries = whole_sale(home.reader().await.as_ref(), sale_id(1)).await;
    assert_eq!(entries.len(), 1, "nothing was decided");
}

async fn a_start_that_is_refused_leaves_the_ledger_as_it_is(home: TestLedger) {
    let running = home.start(|_| ManualClock::at(START));
    let policy = policy(10, 0, START, AdmissionMode::Open);
    running.engine.command(sale_id(1), Command::Configure { policy }).await.unwrap();
    let check = |moment: &engine::StartMoment| {
        assert_eq!(moment.last, START);
        let change = moment.find_phase_change(START.plus_s(4_000)).unwrap();
        assert!(change.ends && change.sale == sale_id(1));
        assert_eq!(moment.find_phase_change(START.plus_s(60)), None);
        Err(StartError::Refused("no".to_owned()))
    };
    let limits = PipelineLimits::default();
    let clock = |_| -> Arc<dyn Clock> { panic!("a refused start needs no clock") };
    match &home {
        TestLedger::Folder(folder) => {
            running.stop();
            let refused = start_on_sqlite_checked(folder.path(), limits, &check, clock);
            assert!(matches!(refused, Err(StartError::Refused(_))));
            home.start(|_| ManualClock::at(START)).stop();
        }
        TestLedger::Database(address) => {
            let refused = start_on_postgres_checked(address, limits, &check, clock);
            assert!(matches!(refused, Err(StartError::Refused(_))));
            // The one that has the ledger keeps it.
            running.engine.command(sale_id(1), reserve(1)).await.unwrap();
            assert!(!running.engine.is_taken_over());
            running.stop();
        }
    }
}

async fn a_state_that_catches_up_is_one_that_was_folded(home: TestLedger) {
    let running = home.start(|_| ManualClock::at(START));
    let ledger = Arc::clone(running.engine.ledger());
    let configure = || Command::Configure { policy: policy(10, 60, START, AdmissionMode::Open) };
    running.engine.command(sale_id(1), configure()).await.unwrap();
    running.engine.command(sale_id(1), reserve(1)).await.unwrap();
    let mut late = MemoryDecider::default();
    late.rebuild(ledger.as_ref()).await.unwrap();
    running.engine.command(sale_id(1), reserve(2)).await.unwrap();
    running.engine.command(sale_id(2), configure()).await.unwrap();
    // Whatever the last events are.
    let heads = [sale_id(1), sale_id(2)].map(|sale| (sale, EventSeq(u64::MAX)));
    late.catch_up(ledger.as_ref(), &heads).await.unwrap();
    let mut folded = MemoryDecider::default();
    folded.rebuild(ledger.as_ref()).await.unwrap();
    let summary = |decider: &MemoryDecider| {
        let mut views: Vec<_> =
            decider.views().iter().map(|view| (view.id, view.seq, view.counters)).collect();
        views.sort_by_key(|(id, ..)| *id);
        (views, decider.next_due(), decider.latest_time())
    };
    assert_eq!(summary(&late), summary(&folded));
    assert_eq!(late.views().len(), 2);
    running.stop();
}
