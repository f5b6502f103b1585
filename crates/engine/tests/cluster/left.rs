//! What an instance decided and did not record, because it died in between: others record it once, and until then no reply depends on
//! it.

use crate::fixture::{ClusterFixture, SALE, announce, buy, is_order, reserve};
use crate::support::{buyer_id, order_id, sale_id};
use engine::RunningEngine;
use engine::decide::{BatchDecider, Reply, Request};
use sale::CommandOutcome;
use sqlx::{Connection, PgConnection};
use test_servers::postgres::PostgresServer;
use test_servers::wait::HANG_LIMIT;
use tokio::time::timeout;

/// Decides a purchase and does not record it.
async fn decide_without_recording(fixture: &ClusterFixture, buyer: u64) {
    let mut decider = fixture.decider().await;
    decider.rebuild(fixture.reader().await.as_ref()).await.unwrap();
    let requests = [Request::Command { sale: sale_id(SALE), command: reserve(buyer) }];
    let now = sale::Timestamp(1);
    let decided = decider.decide(now, &requests).await.unwrap();
    assert!(matches!(&decided.replies[0], Reply::Outcome { outcome: CommandOutcome::Order { .. }, .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leftover_decisions_are_recorded_once_by_two_idle_instances() {
    let fixture = ClusterFixture::new().await;
    let (first, second) = (fixture.engine(), fixture.engine());
    announce(&first.engine, 5, 300).await;
    decide_without_recording(&fixture, 1).await;
    fixture.wait_until_recorded(2).await;
    assert!(matches!(buy(&second.engine, 1).await, CommandOutcome::Order { repeated: true, .. }));
    let entries = fixture.sound_entries().await;
    assert_eq!(entries.len(), 2);
    let recovered = first.engine.metrics().recovered.get() + second.engine.metrics().recovered.get();
    assert_eq!(recovered, 1, "one instance recovered it");
    first.stop();
    second.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_left_is_recorded_by_an_instance_that_starts_later() {
    let fixture = ClusterFixture::new().await;
    let first = fixture.engine();
    announce(&first.engine, 5, 300).await;
    first.stop();
    decide_without_recording(&fixture, 1).await;
    let second = fixture.engine();
    assert_eq!(fixture.sound_entries().await.len(), 2, "before the start is over");
    assert_eq!(second.engine.views().get(sale_id(SALE)).unwrap().counters.held, 1);
    second.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reply_depends_on_an_event_that_is_not_recorded() {
    let fixture = ClusterFixture::new().await;
    let engine = fixture.engine();
    announce(&engine.engine, 1, 300).await;
    // A transaction that holds the sale's row keeps every instance from recording.
    let mut holder = PgConnection::connect(&fixture.url).await.unwrap();
    let mut holding = holder.begin().await.unwrap();
    let lock = "SELECT epoch FROM ledger_epochs WHERE no = 1 FOR UPDATE";
    sqlx::query(lock).execute(&mut *holding).await.unwrap();
    decide_without_recording(&fixture, 1).await;
    // Until it is recorded, a repetition, a query and a refusal that depends on it each return an error within the limit.
    let ask = |command| timeout(HANG_LIMIT, engine.engine.command(sale_id(SALE), command));
    assert!(ask(reserve(1)).await.unwrap().is_err());
    assert!(ask(reserve(2)).await.unwrap().is_err());
    assert!(timeout(HANG_LIMIT, engine.engine.buyer(sale_id(SALE), buyer_id(1))).await.unwrap().is_err());
    assert_eq!(engine.engine.views().get(sale_id(SALE)).unwrap().counters.held, 0, "nor is it shown");
    holding.rollback().await.unwrap();
    assert!(
        matches!(buy(&engine.engine, 1).await, CommandOutcome::Order { order, .. } if order.id == order_id(1, 1))
    );
    assert!(!is_order(&buy(&engine.engine, 2).await));
    fixture.sound_entries().await;
    engine.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_wrote_alone_is_refused_once_others_share_its_ledger() {
    let fixture = ClusterFixture::new().await;
    let limits = engine::pipeline::PipelineLimits::default();
    let clock = |_| engine::clock::SystemClock::start(sale::Timestamp::default()) as _;
    let alone: RunningEngine =
        tokio::task::block_in_place(|| engine::start_on_postgres(&fixture.address, limits, clock)).unwrap();
    announce(&alone.engine, 5, 300).await;
    assert!(is_order(&buy(&alone.engine, 1).await));
    let shared = fixture.engine();
    assert!(is_order(&buy(&shared.engine, 2).await));
    assert!(alone.engine.command(sale_id(SALE), reserve(3)).await.is_err());
    assert!(alone.engine.is_taken_over());
    assert!(matches!(buy(&shared.engine, 1).await, CommandOutcome::Order { repeated: true, .. }));
    assert_eq!(fixture.sound_entries().await.len(), 3);
    assert_eq!(
        PostgresServer::shared().run_sql(&fixture.url, "SELECT head FROM ledger_epochs WHERE no = 1"),
        "3"
    );
    alone.stop();
    shared.stop();
}
