//! Polling: sales that are as they were cost a read each and nothing else, and what has changed, or may have been lost, is noticed by the next
//! poll.

use crate::fixture::{START, TestProcess, ValkeyFixture, announce, is_order, reserve};
use engine::batch::{Epoch, StaleEpoch};
use engine::decide::{BatchDecider, Reply, Request};
use sale::{Command, EventSeq, SaleId, Timestamp};
use std::collections::{HashMap, HashSet};
use test_servers::redis::RedisServer;
use uuid::Uuid;

const SALES: u64 = 40;
/// How often an active sale is polled, in milliseconds.
const POLL_MS: i64 = 150;
/// After how long without a change a sale is called all the same, and how many are in one poll, at most.
const CALL_MS: i64 = 5_000;
const CALLS_MAX: usize = 16;

fn sale(no: u64) -> SaleId {
    SaleId(Uuid::from_u64_pair(0x1d1e, no))
}

fn command(no: u64, command: Command) -> Request {
    Request::Command { sale: sale(no), command }
}

/// A process that has announced the sales at the start.
async fn process_with_sales(fixture: &ValkeyFixture) -> TestProcess {
    let mut process = fixture.process("first").await;
    let requests: Vec<Request> = (0..SALES).map(|no| command(no, announce(3))).collect();
    process.decide_and_record(START, &requests).await;
    process
}

/// Decides without requests, and returns the sales that were called for it.
async fn poll(process: &mut TestProcess, now: Timestamp) -> Vec<SaleId> {
    let decided = process.decide(now, &[]).await.unwrap();
    let called: Vec<SaleId> = decided.batch.calls.iter().map(|call| call.sale).collect();
    assert!(decided.views.iter().map(|view| view.id).eq(called.iter().copied()));
    assert!(decided.batch.sales.is_empty(), "nothing is due");
    called
}

/// How often the server has carried out a command.
fn count_commands(server: &RedisServer, name: &str) -> u64 {
    let stats: String = redis::from_redis_value(server.request(&["INFO", "commandstats"])).unwrap();
    let prefix = format!("cmdstat_{name}:calls=");
    let calls = stats.lines().find_map(|line| line.strip_prefix(&prefix)?.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

#[tokio::test]
async fn unchanged_sales_are_read_and_neither_called_nor_recorded() {
    let fixture = ValkeyFixture::new();
    let mut process = process_with_sales(&fixture).await;
    let counted = || ["fcall", "hmget"].map(|name| count_commands(&fixture.server, name));
    let [calls, reads] = counted();
    for polls in 1..=10 {
        assert!(process.valkey.next_due().is_some_and(|due| due <= START.plus_ms(POLL_MS * polls)));
        let decided = process.decide(START.plus_ms(POLL_MS * polls), &[]).await.unwrap();
        assert!(decided.batch.is_empty() && decided.views.is_empty(), "the recorder reads no head for it");
    }
    assert_eq!(counted(), [calls, reads + 10 * SALES]);
}

#[tokio::test]
async fn what_another_process_decides_is_seen_by_the_next_poll() {
    let fixture = ValkeyFixture::new();
    let mut first = process_with_sales(&fixture).await;
    let mut second = fixture.process("second").await;
    let mut now = START;
    let mut called = HashSet::new();
    while (called.len() as u64) < SALES {
        now = now.plus_ms(POLL_MS);
        let sales = poll(&mut second, now).await;
        assert!(!sales.is_empty() && sales.len() <= CALLS_MAX, "a start calls each sale, a few at a time");
        called.extend(sales);
    }
    for buyer in 1..=3 {
        // Quiet for a while: the sale is polled as often as before.
        for _ in 0..4 {
            now = now.plus_ms(POLL_MS);
            assert!(poll(&mut second, now).await.is_empty());
        }
        let bought = first.ask(now, command(7, reserve(buyer))).await;
        assert!(matches!(&bought, Reply::Outcome { outcome, .. } if is_order(outcome)));
        now = now.plus_ms(POLL_MS);
        assert!(second.valkey.next_due().is_some_and(|due| due <= now));
        assert_eq!(poll(&mut second, now).await, [sale(7)]);
        let views = second.valkey.views();
        let view = views.iter().find(|view| view.id == sale(7)).unwrap();
        assert_eq!((view.seq, u64::from(view.counters.held)), (EventSeq(1 + buyer), buyer));
    }
}

#[tokio::test]
async fn an_unchanged_sale_is_called_now_and_then_a_few_at_a_time() {
    let fixture = ValkeyFixture::new();
    let mut process = process_with_sales(&fixture).await;
    let mut called = HashSet::new();
    for ms in (50..=CALL_MS + 4 * POLL_MS).step_by(50) {
        let sales = poll(&mut process, START.plus_ms(ms)).await;
        assert!(sales.is_empty() || ms >= CALL_MS, "after {ms} ms");
        assert!(sales.len() <= CALLS_MAX, "{} at once", sales.len());
        for sale in sales {
            assert!(called.insert(sale), "one is called twice and others not at all");
        }
    }
    assert_eq!(called.len() as u64, SALES);
}

/// The epoch of each of these sales in the ledger.
fn epochs_of(fixture: &ValkeyFixture, sales: impl IntoIterator<Item = SaleId>) -> HashMap<SaleId, Epoch> {
    sales.into_iter().filter_map(|sale| Some((sale, fixture.ledger.epoch_of(sale)?))).collect()
}

/// Polls until each of these sales has a later epoch than before: a busy machine may take longer than a poll waits for a state. Well before
/// an unchanged sale is called all the same.
async fn poll_until_restored(
    fixture: &ValkeyFixture,
    process: &mut TestProcess,
    before: &HashMap<SaleId, Epoch>,
) {
    let is_restored = |(sale, before): (&SaleId, &Epoch)| {
        fixture.ledger.epoch_of(*sale).is_some_and(|epoch| epoch > *before)
    };
    let due = process.valkey.next_due().unwrap_or(START).max(START);
    for ms in (POLL_MS..CALL_MS / 2).step_by(50) {
        let decided = process.decide(due.plus_ms(ms), &[]).await.unwrap();
        if before.iter().all(is_restored) && !decided.batch.is_empty() {
            return;
        }
    }
    panic!("it is not noticed");
}

#[tokio::test]
async fn a_server_that_was_emptied_or_restarted_is_noticed_by_a_poll() {
    let mut fixture = ValkeyFixture::new();
    let mut process = process_with_sales(&fixture).await;
    let before = epochs_of(&fixture, (0..SALES).map(sale));
    assert_eq!(before.len() as u64, SALES);
    fixture.server.request(&["FLUSHALL"]);
    poll_until_restored(&fixture, &mut process, &before).await;
    let before = epochs_of(&fixture, (0..SALES).map(sale));
    // It comes back with all keys as they were.
    fixture.server.request(&["SAVE"]);
    fixture.server.restart();
    poll_until_restored(&fixture, &mut process, &before).await;
}

#[tokio::test]
async fn a_state_that_is_declared_lost_is_called_at_once() {
    let fixture = ValkeyFixture::new();
    let mut process = process_with_sales(&fixture).await;
    assert!(process.valkey.next_due().is_some_and(|due| due > START));
    process.valkey.invalidate(&StaleEpoch { sale: sale(3), epoch: Epoch(1), last_recorded: None });
    assert!(process.valkey.next_due().is_some_and(|due| due <= START));
    poll_until_restored(&fixture, &mut process, &HashMap::from([(sale(3), Epoch(1))])).await;
    assert!((0..SALES).filter(|no| *no != 3).all(|no| fixture.ledger.epoch_of(sale(no)) == Some(Epoch(1))));
}
