//! States whose time is over: two servers that believe in themselves, a database that was set back. It costs time, never a unit, and
//! every caller gets a reply from the ledger.

use crate::fixture::{ClusterFixture, SALE, announce, buy, is_order};
use crate::support::sale_id;
use sale::CommandOutcome;
use test_servers::redis::RedisServer;
use test_servers::wait::{HANG_LIMIT, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_that_both_decide_sell_no_unit_twice() {
    let fixture = ClusterFixture::new().await;
    let first = fixture.engine();
    announce(&first.engine, 20, 300).await;
    let other = RedisServer::start();
    let second = fixture.engine_at(&other.url());
    let mut sold = 0;
    for buyer in 0..30 {
        let engine = if buyer % 2 == 0 { &first.engine } else { &second.engine };
        sold += u32::from(is_order(&buy(engine, buyer).await));
    }
    assert_eq!(sold, 20);
    let redone = first.engine.metrics().redone.get() + second.engine.metrics().redone.get();
    assert!(redone > 0, "what was decided from the older state was decided again");
    fixture.sound_entries().await;
    first.stop();
    second.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_database_lost_is_not_there_for_anyone() {
    what_is_lost_is_not_there("UPDATE ledger_epochs SET head = 2 WHERE no = 1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_database_lost_with_its_newest_epochs_is_not_there_for_anyone() {
    what_is_lost_is_not_there("UPDATE ledger_epochs SET head = 2, epoch = epoch - 1 WHERE no = 1").await;
}

/// As after the restoration of a backup, with Valkey as it was: the newest two orders are gone.
async fn what_is_lost_is_not_there(set_back: &str) {
    let fixture = ClusterFixture::new().await;
    let engine = fixture.engine();
    announce(&engine.engine, 3, 300).await;
    for buyer in 1..=3 {
        assert!(is_order(&buy(&engine.engine, buyer).await));
    }
    assert!(!is_order(&buy(&engine.engine, 4).await));
    fixture.sql(&format!(
        "BEGIN; DELETE FROM ledger_entries WHERE key > (1::BIGINT << 40) + 2; {set_back}; COMMIT"
    ));
    assert!(matches!(buy(&engine.engine, 1).await, CommandOutcome::Order { repeated: true, .. }));
    // For a moment a refusal may rest on what was seen a moment ago.
    eventually("a unit is free again", HANG_LIMIT, async || is_order(&buy(&engine.engine, 4).await)).await;
    assert!(matches!(buy(&engine.engine, 2).await, CommandOutcome::Order { repeated: false, .. }));
    assert!(!is_order(&buy(&engine.engine, 3).await));
    assert_eq!(fixture.sound_entries().await.len(), 4);
    assert_eq!(engine.engine.views().get(sale_id(SALE)).unwrap().counters.held, 3);
    engine.stop();
}
