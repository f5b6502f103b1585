//! Only the last process that claimed a ledger in PostgreSQL may write it, however late another's write arrives.

use crate::support::{START, buyer_id, line_entries, policy, reserve, sale_id};
use crate::test_ledger::TestLedger;
use engine::batch::Batch;
use engine::clock::ManualClock;
use engine::record::{ReadError, RecordError};
use engine::{EngineError, RunningEngine};
use sale::{AdmissionMode, Command, CommandOutcome, LedgerEntry, SaleState};
use sqlx::{Connection, Executor, PgConnection};
use test_servers::postgres::PostgresServer;
use test_servers::wait::{HANG_LIMIT, eventually};
use tokio::time::timeout;

const SALE: u64 = 1;

fn entries() -> Vec<LedgerEntry> {
    let mut entries = Vec::new();
    let configure = Command::Configure { policy: policy(10, 60, START, AdmissionMode::Open) };
    SaleState::new().step(START, &configure, &mut entries);
    entries
}

fn batch(sale: u64) -> Batch {
    Batch { sales: vec![(sale_id(sale), entries())], ..Batch::default() }
}

async fn ask(running: &RunningEngine, command: Command) -> Result<CommandOutcome, EngineError> {
    running.engine.command(sale_id(SALE), command).await.map(|answer| answer.outcome)
}

fn start(home: &TestLedger) -> RunningEngine {
    home.start(|_| ManualClock::at(START))
}

#[tokio::test]
async fn a_claim_of_the_ledger_ends_the_earlier_claim_for_old_and_new_sales() {
    let home = TestLedger::database().await;
    let mut first = home.recorder().await;
    first.append(&batch(1)).await.unwrap();
    let mut second = home.recorder().await;
    // A sale that the second knows nothing of is refused too.
    for sale in [1, 2] {
        assert!(matches!(first.append(&batch(sale)).await, Err(RecordError::TakenOver)));
    }
    assert!(matches!(first.probe().await, Err(RecordError::TakenOver)));
    second.append(&batch(2)).await.unwrap();
    second.probe().await.unwrap();
    second.append(&batch(3)).await.unwrap();
    let sales = home.reader().await.list_sales().await.unwrap();
    assert_eq!(sales, [1, 2, 3].map(sale_id));
}

#[tokio::test]
async fn a_claim_waits_for_a_write_that_is_under_way_and_refuses_one_that_comes_later() {
    let url = PostgresServer::shared().create_database();
    let home = TestLedger::at(&url).await;
    drop(home.recorder().await);
    let lock = "SELECT epoch FROM ledger_epochs WHERE no = 0 FOR SHARE";
    let mut late = PgConnection::connect(&url).await.unwrap();
    let mut writing = late.begin().await.unwrap();
    let epoch: i64 = sqlx::query_scalar(lock).fetch_one(&mut *writing).await.unwrap();
    let claim = home.recorder();
    futures::pin_mut!(claim);
    let mut observer = PgConnection::connect(&url).await.unwrap();
    let blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    tokio::select! {
        _claimed = &mut claim => panic!("the claim does not wait for the write"),
        () = eventually("the claim waits for a lock", HANG_LIMIT, async || {
            sqlx::query_scalar::<_, i64>(blocked).fetch_one(&mut observer).await.unwrap() > 0
        }) => {}
    }
    let row = "INSERT INTO ledger_entries VALUES (1099511627777, 0, '\\x01', 0)";
    writing.execute(row).await.unwrap();
    writing.commit().await.unwrap();
    let _claimed = timeout(HANG_LIMIT, claim).await.unwrap();
    let now: i64 = sqlx::query_scalar(lock).fetch_one(&mut late).await.unwrap();
    assert!(now > epoch);
}

#[tokio::test]
async fn a_sale_whose_epoch_was_raised_is_not_written_by_the_one_who_had_it() {
    let url = PostgresServer::shared().create_database();
    let home = TestLedger::at(&url).await;
    let mut recorder = home.recorder().await;
    recorder.append(&batch(1)).await.unwrap();
    PostgresServer::shared().run_sql(&url, "UPDATE ledger_epochs SET epoch = epoch + 1 WHERE no = 1");
    assert!(matches!(recorder.append(&batch(1)).await, Err(RecordError::TakenOver)));
}

#[tokio::test]
async fn a_request_for_a_new_epoch_that_was_stuck_ends_none_that_was_begun_since() {
    let url = PostgresServer::shared().create_database();
    let home = TestLedger::at(&url).await;
    let mut recorder = home.recorder().await;
    // Our own request, which went through unheard.
    PostgresServer::shared().run_sql(&url, "UPDATE ledger_epochs SET epoch = epoch + 1 WHERE no = 0");
    recorder.probe().await.unwrap();
    recorder.append(&batch(1)).await.unwrap();
}

#[tokio::test]
async fn the_first_of_two_engines_on_one_ledger_confirms_nothing_any_more() {
    let home = TestLedger::database().await;
    let first = start(&home);
    ask(&first, Command::Configure { policy: policy(10, 60, START, AdmissionMode::Open) }).await.unwrap();
    assert!(matches!(ask(&first, reserve(1)).await, Ok(CommandOutcome::Order { .. })));
    let second = start(&home);
    assert!(matches!(ask(&second, reserve(2)).await, Ok(CommandOutcome::Order { .. })));
    assert_eq!(ask(&first, reserve(3)).await.err(), Some(EngineError::NotRecorded));
    // It refuses queries too, whose state may be old, and commands that would change nothing.
    assert_eq!(first.engine.buyer(sale_id(SALE), buyer_id(1)).await.err(), Some(EngineError::StateUnknown));
    assert_eq!(ask(&first, Command::Tick).await.err(), Some(EngineError::NotRecorded));
    assert!(first.engine.is_taken_over() && !first.engine.is_recording());
    assert!(!second.engine.is_taken_over() && second.engine.is_recording());
    assert!(matches!(ask(&second, reserve(3)).await, Ok(CommandOutcome::Order { repeated: false, .. })));
    first.stop();
    second.stop();
    let third = start(&home);
    assert_eq!(third.engine.views().get(sale_id(SALE)).unwrap().counters.held, 3);
}

#[tokio::test]
async fn an_idle_engine_notices_that_it_was_taken_over() {
    let home = TestLedger::database().await;
    let first = start(&home);
    ask(&first, Command::Configure { policy: policy(10, 60, START, AdmissionMode::Open) }).await.unwrap();
    let _second = start(&home);
    eventually("the first engine learns it", HANG_LIMIT, async || {
        first.engine.is_taken_over() && !first.engine.is_recording()
    })
    .await;
    assert_eq!(first.engine.buyer(sale_id(SALE), buyer_id(1)).await.err(), Some(EngineError::StateUnknown));
}

#[tokio::test]
async fn a_row_that_is_not_as_it_was_written_stops_the_start_and_says_where() {
    let url = PostgresServer::shared().create_database();
    let home = TestLedger::at(&url).await;
    let mut recorder = home.recorder().await;
    recorder.append(&batch(1)).await.unwrap();
    recorder.append(&batch(2)).await.unwrap();
    let postgres = PostgresServer::shared();
    postgres.run_sql(&url, "UPDATE ledger_entries SET at = at + 1 WHERE key = (2::BIGINT << 40) + 1");
    let refused = home.try_start(engine::pipeline::PipelineLimits::default(), |_| ManualClock::at(START));
    let sentence = refused.err().unwrap().to_string();
    assert!(sentence.contains(&format!("sale {}, event 1: its checksum", sale_id(2))), "{sentence}");
    postgres.run_sql(&url, "UPDATE ledger_format SET format = 2");
    let refused = home.try_start(engine::pipeline::PipelineLimits::default(), |_| ManualClock::at(START));
    assert!(refused.err().unwrap().to_string().contains("a newer version"));
}

#[tokio::test]
async fn a_database_without_a_ledger_has_its_own_error() {
    let address =
        engine::record::postgres::PostgresAddress::parse(&PostgresServer::shared().create_database())
            .unwrap();
    let refused = TestLedger::Database(Box::new(address))
        .try_start(engine::pipeline::PipelineLimits::default(), |_| ManualClock::at(START));
    assert_eq!(refused.err().unwrap().to_string(), "there is no ledger in the database");
}

#[tokio::test]
async fn a_row_that_is_missing_stops_the_start_and_says_where() {
    let url = PostgresServer::shared().create_database();
    let home = TestLedger::at(&url).await;
    let entries = line_entries(4);
    let mut recorder = home.recorder().await;
    for sale in [1, 2] {
        let sales = vec![(sale_id(sale), entries.clone())];
        recorder.append(&Batch { sales, ..Batch::default() }).await.unwrap();
    }
    PostgresServer::shared().run_sql(&url, "DELETE FROM ledger_entries WHERE key = (2::BIGINT << 40) + 3");
    let refused = home.try_start(engine::pipeline::PipelineLimits::default(), |_| ManualClock::at(START));
    let sentence = refused.err().unwrap().to_string();
    assert!(sentence.contains(&format!("sale {}, event 3: the row is missing", sale_id(2))), "{sentence}");
    let reader = home.reader().await;
    let read = async |after| reader.read_entries(sale_id(2), sale::EventSeq(after), 10).await;
    assert!(matches!(read(0).await, Err(ReadError::Damaged { seq: sale::EventSeq(3), .. })));
    assert!(matches!(read(2).await, Err(ReadError::Damaged { seq: sale::EventSeq(3), .. })));
    assert_eq!(read(3).await.unwrap(), entries[3..]);
}
