//! Servers that fail: every caller gets an error soon, no reply is lost, and the engine resumes by itself.

use crate::fixture::{ClusterFixture, SALE, announce, buy, is_order, reserve};
use crate::support::sale_id;
use engine::RunningEngine;
use engine::clock::start_stopwatch;
use std::time::Duration;
use test_servers::delay::SchedulingDelay;
use test_servers::postgres::PostgresServer;
use test_servers::wait::{HANG_LIMIT, eventually};
use tokio::time::timeout;

/// Two seconds are promised, and the reply's own way takes a moment.
const REFUSAL_LIMIT: Duration = Duration::from_millis(2_500);

/// Commands fail, and soon.
async fn assert_refused_soon(engine: &RunningEngine, buyer: u64) {
    let delay = SchedulingDelay::start();
    for _ in 0..3 {
        let started = start_stopwatch();
        let reply = timeout(HANG_LIMIT, engine.engine.command(sale_id(SALE), reserve(buyer))).await;
        assert!(reply.expect("a reply").is_err());
        let (took, limit) = (started.elapsed(), delay.extend(REFUSAL_LIMIT));
        assert!(took < limit, "a refusal took {took:?}, and {limit:?} are allowed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_or_killed_server_blocks_no_caller_and_recovers() {
    let mut fixture = ClusterFixture::new().await;
    let engine = fixture.engine();
    announce(&engine.engine, 50, 300).await;
    assert!(is_order(&buy(&engine.engine, 1).await));
    let frozen = fixture.redis.freeze();
    assert_refused_soon(&engine, 2).await;
    assert!(!engine.engine.is_deciding() && engine.engine.is_recording());
    drop(frozen);
    assert!(is_order(&buy(&engine.engine, 2).await));
    fixture.redis.kill();
    assert_refused_soon(&engine, 3).await;
    fixture.redis.restart();
    assert!(is_order(&buy(&engine.engine, 3).await));
    eventually("it decides again", HANG_LIMIT, async || engine.engine.is_deciding()).await;
    assert_eq!(fixture.sound_entries().await.len(), 4);
    engine.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_or_killed_database_blocks_no_caller_and_recovers() {
    let mut postgres = PostgresServer::start();
    let fixture = ClusterFixture::on(&postgres.create_database()).await;
    let engine = fixture.engine();
    announce(&engine.engine, 50, 300).await;
    assert!(is_order(&buy(&engine.engine, 1).await));
    let frozen = postgres.freeze();
    assert_refused_soon(&engine, 2).await;
    assert!(!engine.engine.is_recording());
    drop(frozen);
    assert!(is_order(&buy(&engine.engine, 2).await));
    postgres.kill();
    assert_refused_soon(&engine, 3).await;
    postgres.launch();
    assert!(is_order(&buy(&engine.engine, 3).await));
    // What was decided while PostgreSQL was away was recorded afterwards: each buyer has one order.
    assert_eq!(fixture.sound_entries().await.len(), 4);
    engine.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_emptied_again_and_again_is_handed_the_state_each_time() {
    let fixture = ClusterFixture::new().await;
    let engines: Vec<RunningEngine> = (0..2).map(|_| fixture.engine()).collect();
    announce(&engines[0].engine, 4, 300).await;
    for buyer in 0..8 {
        assert_eq!(is_order(&buy(&engines[usize::from(buyer % 2 == 0)].engine, buyer).await), buyer < 4);
        fixture.redis.request(&["FLUSHALL"]);
    }
    assert_eq!(fixture.sound_entries().await.len(), 5);
    engines.into_iter().for_each(RunningEngine::stop);
}
