//! A ledger that lacks a row: no state is restored from it, and an instance that would have to does not start.

use crate::fixture::{ClusterFixture, SALE, announce, buy, is_order};
use crate::support::sale_id;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_missing_stops_the_start_and_says_where() {
    let fixture = ClusterFixture::new().await;
    let first = fixture.engine();
    announce(&first.engine, 5, 300).await;
    for buyer in 1..=3 {
        assert!(is_order(&buy(&first.engine, buyer).await));
    }
    first.stop();
    fixture.sql("DELETE FROM ledger_entries WHERE key = (1::BIGINT << 40) + 2");
    fixture.redis.ask(&["FLUSHALL"]);
    let refused = fixture.try_engine().err().unwrap().to_string();
    assert!(refused.contains(&format!("sale {}, event 2: the row is missing", sale_id(SALE))), "{refused}");
}
