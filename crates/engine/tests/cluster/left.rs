//! What an instance decided and did not record, because it died in between: others record it once, and until then no reply depends on
//! it.

use crate::support::{buyer_id, order_id, sale_id};
use crate::world::{ClusterFixture, REPLY_LIMIT, SALE, announce, buy, is_order, reserve};
use engine::RunningEngine;
use engine::decide::{BatchDecider, Reply, Request};
use sale::CommandOutcome;
use sqlx::{Connection, PgConnection};
use test_servers::postgres::PostgresServer;
use tokio::time::timeout;

/// Decides a purchase that nobody records.
async fn decide_without_recording(world: &ClusterFixture, buyer: u64) {
    let mut decider = world.decider().await;
    decider.rebuild(world.reader().await.as_ref()).await.unwrap();
    let asks = [Request::Command { sale: sale_id(SALE), command: reserve(buyer) }];
    let now = sale::Timestamp(1);
    let decided = decider.decide(now, &asks).await.unwrap();
    assert!(matches!(&decided.replies[0], Reply::Outcome { outcome: CommandOutcome::Order { .. }, .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_instance_left_is_recorded_once_though_two_find_it_and_nobody_asks() {
    let world = ClusterFixture::new().await;
    let (first, second) = (world.engine(), world.engine());
    announce(&first.engine, 5, 300).await;
    decide_without_recording(&world, 1).await;
    world.wait_until_recorded(2).await;
    assert!(matches!(buy(&second.engine, 1).await, CommandOutcome::Order { repeated: true, .. }));
    let entries = world.sound_entries().await;
    assert_eq!(entries.len(), 2);
    let recovered = first.engine.metrics().recovered.get() + second.engine.metrics().recovered.get();
    assert_eq!(recovered, 1, "it was told once");
    first.stop();
    second.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_left_is_recorded_by_an_instance_that_starts_later() {
    let world = ClusterFixture::new().await;
    let first = world.engine();
    announce(&first.engine, 5, 300).await;
    first.stop();
    decide_without_recording(&world, 1).await;
    let second = world.engine();
    assert_eq!(world.sound_entries().await.len(), 2, "before the start is over");
    assert_eq!(second.engine.views().get(sale_id(SALE)).unwrap().counters.held, 1);
    second.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_what_rests_on_an_event_that_is_not_recorded() {
    let world = ClusterFixture::new().await;
    let engine = world.engine();
    announce(&engine.engine, 1, 300).await;
    // Nobody can record in this sale: somebody holds its row.
    let mut holder = PgConnection::connect(&world.url).await.unwrap();
    let mut holding = holder.begin().await.unwrap();
    let lock = "SELECT epoch FROM ledger_epochs WHERE no = 1 FOR UPDATE";
    sqlx::query(lock).execute(&mut *holding).await.unwrap();
    decide_without_recording(&world, 1).await;
    // A repetition of it, a look at it, and a refusal because of it are no answers yet; each is an error, and soon.
    let ask = |command| timeout(REPLY_LIMIT, engine.engine.command(sale_id(SALE), command));
    assert!(ask(reserve(1)).await.unwrap().is_err());
    assert!(ask(reserve(2)).await.unwrap().is_err());
    assert!(timeout(REPLY_LIMIT, engine.engine.buyer(sale_id(SALE), buyer_id(1))).await.unwrap().is_err());
    assert_eq!(engine.engine.views().get(sale_id(SALE)).unwrap().counters.held, 0, "nor is it shown");
    holding.rollback().await.unwrap();
    assert!(
        matches!(buy(&engine.engine, 1).await, CommandOutcome::Order { order, .. } if order.id == order_id(1, 1))
    );
    assert!(!is_order(&buy(&engine.engine, 2).await));
    world.sound_entries().await;
    engine.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_wrote_alone_is_refused_once_others_share_its_ledger() {
    let world = ClusterFixture::new().await;
    let limits = engine::pipeline::PipelineLimits::default();
    let clock = |_| engine::clock::SystemClock::start(sale::Timestamp::default()) as _;
    let alone: RunningEngine =
        tokio::task::block_in_place(|| engine::start_on_postgres(&world.address, limits, clock)).unwrap();
    announce(&alone.engine, 5, 300).await;
    assert!(is_order(&buy(&alone.engine, 1).await));
    let shared = world.engine();
    assert!(is_order(&buy(&shared.engine, 2).await));
    assert!(alone.engine.command(sale_id(SALE), reserve(3)).await.is_err());
    assert!(alone.engine.is_taken_over());
    assert!(matches!(buy(&shared.engine, 1).await, CommandOutcome::Order { repeated: true, .. }));
    assert_eq!(world.sound_entries().await.len(), 3);
    assert_eq!(
        PostgresServer::shared().run_sql(&world.url, "SELECT head FROM ledger_epochs WHERE no = 1"),
        "3"
    );
    alone.stop();
    shared.stop();
}
