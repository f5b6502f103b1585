//! Parts that are away: everyone is told so soon, nothing that was answered is lost, and it goes on by itself.

use crate::support::sale_id;
use crate::world::{ANSWER_MAX, ClusterFixture, SALE, announce, buy, is_order, reserve, wait_until};
use engine::RunningEngine;
use test_servers::postgres::PostgresServer;
use tokio::time::timeout;

/// Nobody gets an answer, and everyone learns that soon.
async fn everyone_is_refused_soon(engine: &RunningEngine, buyer: u64) {
    for _ in 0..3 {
        let asked = timeout(ANSWER_MAX, engine.engine.command(sale_id(SALE), reserve(buyer))).await;
        assert!(asked.expect("soon").is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_or_is_killed_keeps_nobody_waiting_and_comes_back() {
    let mut world = ClusterFixture::new().await;
    let engine = world.engine();
    announce(&engine.engine, 50, 300).await;
    assert!(is_order(&buy(&engine.engine, 1).await));
    let frozen = world.redis.freeze();
    everyone_is_refused_soon(&engine, 2).await;
    assert!(!engine.engine.is_deciding() && engine.engine.is_recording());
    drop(frozen);
    assert!(is_order(&buy(&engine.engine, 2).await));
    world.redis.kill();
    everyone_is_refused_soon(&engine, 3).await;
    world.redis.restart();
    assert!(is_order(&buy(&engine.engine, 3).await));
    wait_until("it says that it decides again", async || engine.engine.is_deciding()).await;
    assert_eq!(world.sound_entries().await.len(), 4);
    engine.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_stands_still_or_is_killed_keeps_nobody_waiting_and_comes_back() {
    let mut postgres = PostgresServer::start();
    let world = ClusterFixture::on(&postgres.create_database()).await;
    let engine = world.engine();
    announce(&engine.engine, 50, 300).await;
    assert!(is_order(&buy(&engine.engine, 1).await));
    let frozen = postgres.freeze();
    everyone_is_refused_soon(&engine, 2).await;
    assert!(!engine.engine.is_recording());
    drop(frozen);
    assert!(is_order(&buy(&engine.engine, 2).await));
    postgres.kill();
    everyone_is_refused_soon(&engine, 3).await;
    postgres.launch();
    assert!(is_order(&buy(&engine.engine, 3).await));
    // What was decided when nobody could record it was recorded when somebody could: each buyer has one order.
    assert_eq!(world.sound_entries().await.len(), 4);
    engine.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_emptied_again_and_again_is_handed_the_state_each_time() {
    let world = ClusterFixture::new().await;
    let engines: Vec<RunningEngine> = (0..2).map(|_| world.engine()).collect();
    announce(&engines[0].engine, 4, 300).await;
    for buyer in 0..8 {
        assert_eq!(is_order(&buy(&engines[usize::from(buyer % 2 == 0)].engine, buyer).await), buyer < 4);
        world.redis.ask(&["FLUSHALL"]);
    }
    assert_eq!(world.sound_entries().await.len(), 5);
    engines.into_iter().for_each(RunningEngine::stop);
}
