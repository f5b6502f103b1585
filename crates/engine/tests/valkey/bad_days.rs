//! What happens to a server, and what comes of it: a state that could have lost something is not decided from.

use crate::fixture::{
    SALE, START, ValkeyFixture, address, announce, announce_with, ask, buyer, is_order, is_refused,
    is_repeated, reserve, settings,
};
use crate::machine::{LibraryClient, batch};
use engine::batch::{Epoch, StaleEpoch};
use engine::decide::valkey::{
    CALLS_IN_FLIGHT, CallResult, LIBRARY_SOURCE, LIBRARY_VERSION, ValkeyError, ValkeyLibrary,
};
use engine::decide::{BatchDecider, DecidedBatch, Reply, Request};
use engine::record::LedgerRecorder;
use sale::{AdmissionMode, Command, Refusal, SaleCounters, SaleId, SaleState};
use test_servers::redis::{RedisCluster, RedisServer};
use test_servers::wait::{HANG_LIMIT, eventually};
use uuid::Uuid;

/// Buys the last of three units and checks that the server's state agrees with the ledger. The caller has sold two before the
/// failure.
async fn assert_selling_resumes(
    fixture: &ValkeyFixture,
    process: &mut crate::fixture::TestProcess,
    epoch: u64,
) {
    assert!(is_repeated(&process.buy(START, 1).await), "a repetition gets the recorded order");
    assert!(is_order(&process.buy(START, 3).await));
    assert!(is_refused(&process.buy(START, 4).await, Refusal::AllHeld), "no unit is sold twice");
    assert_eq!(fixture.ledger.epoch_of(SALE), Some(Epoch(epoch)));
    assert_eq!(fixture.ledger.fold(SALE).counters(), process.counters());
}

#[tokio::test]
async fn a_server_that_restarts_from_an_old_file_is_handed_the_state() {
    let (mut fixture, mut process) = ValkeyFixture::with_sale(&[], 3).await;
    assert!(is_order(&process.buy(START, 1).await));
    fixture.server.request(&["SAVE"]);
    assert!(is_order(&process.buy(START, 2).await));
    fixture.server.kill();
    assert!(process.decide(START, &[ask(reserve(3))]).await.is_err());
    fixture.server.restart();
    assert_selling_resumes(&fixture, &mut process, 2).await;
}

#[tokio::test]
async fn a_server_that_kept_everything_over_a_restart_is_restored_too() {
    let (mut fixture, mut process) =
        ValkeyFixture::with_sale(&["--appendonly", "yes", "--appendfsync", "always"], 3).await;
    assert!(is_order(&process.buy(START, 1).await) && is_order(&process.buy(START, 2).await));
    fixture.server.kill();
    fixture.server.restart();
    let mut second = fixture.process("second").await;
    assert_eq!(fixture.ledger.epoch_of(SALE), Some(Epoch(2)), "a start restores all sales");
    assert_selling_resumes(&fixture, &mut second, 2).await;
    // The first one has to connect again, and needs no rebuild.
    assert!(process.decide(START, &[ask(reserve(3))]).await.is_err());
    assert!(is_repeated(&process.buy(START, 3).await));
    assert_eq!(fixture.ledger.epoch_of(SALE), Some(Epoch(2)));
}

#[tokio::test]
async fn an_emptied_server_is_handed_the_state() {
    let (fixture, mut process) = ValkeyFixture::with_sale(&[], 3).await;
    assert!(is_order(&process.buy(START, 1).await) && is_order(&process.buy(START, 2).await));
    fixture.server.request(&["FLUSHALL"]);
    assert_selling_resumes(&fixture, &mut process, 2).await;
}

#[tokio::test]
async fn a_long_ledger_is_restored_whole() {
    let (fixture, mut process) = ValkeyFixture::with_sale(&[], 20_000).await;
    // With the announcement these are two full pages of events; then there is a part of a third one.
    let mut bought = 0;
    for (until, epoch) in [(8_191, 2), (9_500, 3)] {
        let requests: Vec<Request> = (bought + 1..=until).map(|no| ask(reserve(no))).collect();
        for requests in requests.chunks(1_000) {
            process.decide_and_record(START, requests).await;
        }
        fixture.server.request(&["FLUSHALL"]);
        for no in [1, bought + 1, 4_095, 4_096, until] {
            assert!(is_repeated(&process.buy(START, no).await), "order {no} was lost");
        }
        assert_eq!(fixture.ledger.epoch_of(SALE), Some(Epoch(epoch)));
        assert_eq!(fixture.ledger.entries(SALE).len() as u64, until + 1);
        assert_eq!(fixture.ledger.fold(SALE).counters(), process.counters());
        bought = until;
    }
}

#[tokio::test]
async fn a_server_without_the_library_is_brought_it() {
    let (fixture, mut process) = ValkeyFixture::with_sale(&[], 3).await;
    assert!(is_order(&process.buy(START, 1).await) && is_order(&process.buy(START, 2).await));
    fixture.server.request(&["FUNCTION", "FLUSH"]);
    assert_selling_resumes(&fixture, &mut process, 2).await;
}

#[tokio::test]
async fn each_key_that_vanishes_is_missed() {
    let fixture = ValkeyFixture::new();
    let mut process = fixture.process("first").await;
    let line = AdmissionMode::Fifo { per_second: 2, checkout_s: 60, line_opens_s: 0, extension_s: 0 };
    process.command(START, announce_with(5, 300, line)).await;
    for (no, at_ms) in [(1, 0), (2, 900), (3, 900), (4, 920), (5, 1_100), (6, 1_100), (7, 1_100)] {
        process.command(START.plus_ms(at_ms), Command::Join { buyer: buyer(no) }).await;
    }
    let now = START.plus_ms(1_100);
    assert!(is_order(&process.buy(now, 1).await));
    let expected = process.counters();
    assert!(expected.waiting > 0 && expected.admitted > 0 && expected.held > 0, "{expected:?}");
    let mut epoch = 1;
    for part in ["", ":book", ":waiting", ":admitted", ":held", ":pace"] {
        let key = format!("doorbuster:{{{SALE}}}{part}");
        assert_eq!(fixture.server.request(&["UNLINK", &key]), redis::Value::Int(1), "{key}");
        process.decide_and_record(now, &[ask(Command::Tick)]).await;
        epoch += 1;
        assert_eq!(fixture.ledger.epoch_of(SALE), Some(Epoch(epoch)), "{key} was not missed");
        assert_eq!(process.counters(), expected, "after {key} had gone");
    }
}

#[tokio::test]
async fn a_promoted_replica_is_handed_the_state() {
    let (fixture, mut process) = ValkeyFixture::with_sale(&[], 3).await;
    assert!(is_order(&process.buy(START, 1).await) && is_order(&process.buy(START, 2).await));
    let replica = RedisServer::start();
    replica.replicate_from(fixture.server.port());
    let key = format!("doorbuster:{{{SALE}}}");
    assert_eq!(replica.request(&["EXISTS", &key]), redis::Value::Int(1), "it has all the keys");
    // A replica decides nothing.
    let refused = fixture.start(&settings(&replica.url(), "lost")).await.err();
    assert!(matches!(refused, Some(ValkeyError::Unfit { .. })), "{refused:?}");

    replica.request(&["REPLICAOF", "NO", "ONE"]);
    let mut promoted = fixture.process_at(&replica.url(), "second").await;
    assert_selling_resumes(&fixture, &mut promoted, 2).await;
    // The old primary still decides, but its decisions are not recorded.
    let decided = process.decide(START, &[ask(reserve(4))]).await.unwrap();
    assert_eq!(decided.batch.calls[0].epoch, Epoch(1));
    assert!(fixture.ledger.clone().append(&decided.batch).await.is_err());
    // After that error its process restores the ledger's state into it.
    process.valkey.rebuild(&fixture.ledger).await.unwrap();
    assert!(is_refused(&process.buy(START, 4).await, Refusal::AllHeld));
    assert_eq!(fixture.ledger.epoch_of(SALE), Some(Epoch(3)));
}

#[tokio::test]
async fn a_primary_that_becomes_a_replica_decides_nothing() {
    let (fixture, mut process) = ValkeyFixture::with_sale(&[], 3).await;
    let other = RedisServer::start();
    fixture.server.request(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    for _ in 0..2 {
        assert!(process.decide(START, &[ask(reserve(1))]).await.is_err());
    }
    assert!(process.valkey.rebuild(&fixture.ledger).await.is_err());
    fixture.server.request(&["REPLICAOF", "NO", "ONE"]);
    assert!(is_order(&process.buy(START, 1).await));
}

#[tokio::test]
async fn a_full_server_decides_nothing_and_loses_nothing() {
    let (fixture, mut process) = ValkeyFixture::with_sale(&[], 3).await;
    assert!(is_order(&process.buy(START, 1).await) && is_order(&process.buy(START, 2).await));
    fixture.server.request(&["CONFIG", "SET", "maxmemory", "1"]);
    process.decide(START, &[ask(reserve(3))]).await.expect_err("the server is out of memory");
    assert!(process.valkey.is_unavailable());
    fixture.server.request(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_selling_resumes(&fixture, &mut process, 1).await;
}

#[tokio::test]
async fn a_server_that_would_drop_keys_is_refused() {
    let fixture = ValkeyFixture::with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let error = fixture.start(&settings(&fixture.server.url(), "first")).await.err();
    let error = error.expect("it must not be decided in");
    assert!(error.to_string().contains("maxmemory-policy is allkeys-lru"), "{error}");
}

#[tokio::test]
async fn a_server_that_still_reads_its_file_decides_nothing_until_it_has() {
    let (mut fixture, mut process) = ValkeyFixture::with_sale(&["--key-load-delay", "200000"], 3).await;
    assert!(is_order(&process.buy(START, 1).await) && is_order(&process.buy(START, 2).await));
    // A server looks up from reading once a kilobyte.
    fixture.server.request(&["CONFIG", "SET", "rdbcompression", "no"]);
    for no in 0..10 {
        fixture.server.request(&["SET", &format!("other{no}"), &"x".repeat(2_000)]);
    }
    fixture.server.request(&["SAVE"]);
    fixture.server.kill();
    fixture.server.restart_with(&["--loading-process-events-interval-bytes", "1024"], "LOADING");
    assert!(process.decide(START, &[ask(reserve(3))]).await.is_err());
    fixture.server.wait_for_reply("PING", "PONG");
    assert_selling_resumes(&fixture, &mut process, 2).await;
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_not_decided_from_again() {
    let (fixture, mut process) = ValkeyFixture::with_sale(&[], 3).await;
    assert!(is_order(&process.buy(START, 1).await) && is_order(&process.buy(START, 2).await));
    // Another client damages the values in a key of the sale; all counts stay the same.
    let book = format!("doorbuster:{{{SALE}}}:book");
    let redis::Value::Array(fields) = fixture.server.request(&["HKEYS", &book]) else {
        panic!("a list of fields")
    };
    for field in fields {
        let redis::Value::BulkString(field) = field else { panic!("a field is text") };
        let mut write = redis::cmd("HSET");
        write.arg(&book).arg(field).arg("nonsense");
        fixture.server.send(&write).unwrap();
    }
    assert!(process.decide(START, &[ask(reserve(1))]).await.is_err());
    assert_selling_resumes(&fixture, &mut process, 2).await;
}

#[tokio::test]
async fn an_invalidated_state_is_restored_again() {
    let (fixture, mut process) = ValkeyFixture::with_sale(&[], 3).await;
    assert!(is_order(&process.buy(START, 1).await) && is_order(&process.buy(START, 2).await));
    // Decided, and lost on the way to the ledger: no caller got a reply.
    process.decide(START, &[ask(reserve(9))]).await.unwrap();
    process.valkey.invalidate(&StaleEpoch { sale: SALE, epoch: Epoch(1), last_recorded: None });
    assert_selling_resumes(&fixture, &mut process, 2).await;
    assert_eq!(process.outbox.read_items(SALE, 10).await.unwrap(), vec![], "what was decided before is gone");
}

#[tokio::test]
async fn a_state_is_taken_only_for_a_newer_epoch_and_only_whole() {
    let server = RedisServer::start();
    let mut redis = LibraryClient::at(&server.url(), 1);
    let mut state = SaleState::new();
    state.step(START, &announce(3), &mut Vec::new());
    let sale = redis.begin(&state).await;
    redis.restore_state(sale, Epoch(5), &state).await;
    for older in [4, 5] {
        assert_eq!(redis.library.claim_restore(sale).await.unwrap(), None);
        assert!(!redis.library.restore_state(sale, Epoch(older), &SaleState::new()).await.unwrap());
    }
    assert_eq!(redis.call(sale, START, vec![]).await.epoch, Epoch(5));
    // Another process hands over: only its state is taken until it is done or silent.
    let mut other = ValkeyLibrary::new(&address(&server.url()), "another");
    assert_eq!(other.claim_restore(sale).await.unwrap(), None);
    let wait_ms = redis.library.claim_restore(sale).await.unwrap().expect("another has claimed it");
    assert!((1..=10_000).contains(&wait_ms), "{wait_ms}");
    assert!(!redis.library.restore_state(sale, Epoch(6), &state).await.unwrap());
    assert!(other.restore_state(sale, Epoch(6), &state).await.unwrap());
    // A partly restored state is not decided from.
    let key = format!("doorbuster:{{{sale}}}");
    assert_eq!(other.claim_restore(sale).await.unwrap(), None);
    server.request(&["UNLINK", &key]);
    let results = redis.library.decide(&[batch(sale, START, vec![])], CALLS_IN_FLIGHT).await;
    assert!(matches!(results[0], Ok(CallResult::StateNeeded(_))));
}

#[tokio::test]
async fn many_processes_that_miss_a_state_hand_it_over_once() {
    let (fixture, mut first) = ValkeyFixture::with_sale(&[], 3).await;
    assert!(is_order(&first.buy(START, 1).await) && is_order(&first.buy(START, 2).await));
    let (mut second, mut third) = (fixture.process("second").await, fixture.process("third").await);
    fixture.server.request(&["FLUSHALL"]);
    let tick = [ask(Command::Tick)];
    let (a, b, c) = futures::future::join3(
        first.valkey.decide(START, &tick),
        second.valkey.decide(START, &tick),
        third.valkey.decide(START, &tick),
    )
    .await;
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_selling_resumes(&fixture, &mut first, 2).await;
}

#[tokio::test]
async fn a_newer_library_is_left_alone_and_an_older_one_replaced() {
    let (fixture, mut process) = ValkeyFixture::with_sale(&[], 3).await;
    assert!(is_order(&process.buy(START, 1).await) && is_order(&process.buy(START, 2).await));
    let line = |version: u32| format!("local VERSION = {version}");
    let load = |version: u32| {
        let text = LIBRARY_SOURCE.replace(&line(LIBRARY_VERSION), &line(version));
        fixture.server.request(&["FUNCTION", "LOAD", "REPLACE", &text]);
    };
    load(LIBRARY_VERSION + 1);
    assert!(process.decide(START, &[ask(reserve(3))]).await.is_err(), "it speaks another version");
    let mut late = ValkeyLibrary::new(&address(&fixture.server.url()), "late");
    let refused = late.connect().await.err();
    assert!(
        matches!(refused, Some(ValkeyError::NewerLibrary { theirs, .. }) if theirs == LIBRARY_VERSION + 1),
        "{refused:?}"
    );
    load(0);
    let mut new = fixture.process("new").await;
    assert_selling_resumes(&fixture, &mut new, 2).await;
}

#[tokio::test]
async fn a_cluster_spreads_the_sales() {
    let cluster = RedisCluster::start(3);
    let fixture = ValkeyFixture { server: RedisServer::start(), ledger: crate::ledger::Ledger::default() };
    let mut process = fixture.process_at(&cluster.url(), "first").await;
    let sales: Vec<SaleId> = (1..=12).map(|no| SaleId(Uuid::from_u64_pair(0xc1, no))).collect();
    let requests = |command: &dyn Fn(u64) -> Command| -> Vec<Request> {
        let command = |(no, sale): (u64, &SaleId)| Request::Command { sale: *sale, command: command(no) };
        (1..).zip(&sales).map(command).collect()
    };
    process.decide_and_record(START, &requests(&|_| announce(3))).await;
    let reply = process.decide_and_record(START, &requests(&reserve)).await;
    assert!(reply.iter().all(|reply| matches!(reply, Reply::Outcome { outcome, .. } if is_order(outcome))));
    for server in &cluster.servers {
        let redis::Value::Int(keys) = server.request(&["DBSIZE"]) else { panic!("a number") };
        assert!(keys > 0, "a node has no sale");
    }
    let views = process.valkey.views();
    assert_eq!(views.len(), sales.len());
    assert!(
        views
            .iter()
            .all(|view| view.counters == SaleCounters { held: 1, quantity: 3, available: 2, ..view.counters })
    );
    for sale in sales {
        assert_eq!(process.outbox.read_items(sale, 1).await.unwrap(), vec![]);
    }
}

#[tokio::test]
async fn a_cluster_is_reached_through_a_replica_and_without_the_node_that_was_named() {
    let mut cluster = RedisCluster::start(3);
    // The nodes that are left go on without the slots of one that is gone.
    for server in &cluster.servers {
        server.request(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    }
    let mut replica = cluster.add_replica();
    let fixture = ValkeyFixture { server: RedisServer::start(), ledger: crate::ledger::Ledger::default() };
    // As after a failover: the node that the settings name has returned as a replica.
    let mut process = fixture.process_at(&replica.url(), "first").await;
    let requests = |numbers: std::ops::Range<u64>| -> Vec<Request> {
        let sale = |no| SaleId(Uuid::from_u64_pair(0xc1, no));
        numbers.map(|no| Request::Command { sale: sale(no), command: announce(3) }).collect()
    };
    process.decide_and_record(START, &requests(1..13)).await;
    assert_eq!(process.valkey.views().len(), 12, "every node is found");

    replica.kill();
    // The call that notices it fails; then the other nodes are asked where sales are that this process has not seen.
    process.decide_with_retries(START, &requests(13..26)).await;
    assert_eq!(process.valkey.views().len(), 25);

    // Another node is away, and no replica takes its place: its sales get no reply, those of the others do.
    drop(cluster.servers.pop());
    let is_answered = |decided: &DecidedBatch| {
        decided.replies.iter().filter(|reply| !matches!(reply, Reply::Unavailable)).count()
    };
    let again: Vec<Request> =
        (1..26).map(|no| Request::Sale { sale: SaleId(Uuid::from_u64_pair(0xc1, no)) }).collect();
    for _ in 0..3 {
        let decided = process.valkey.decide(START, &again).await.unwrap();
        assert!((1..25).contains(&is_answered(&decided)), "{}", is_answered(&decided));
    }
}

#[tokio::test]
async fn a_process_without_sales_notices_that_its_server_answers_again() {
    let mut fixture = ValkeyFixture::new();
    let mut process = fixture.process("first").await;
    fixture.server.kill();
    assert!(process.decide(START, &[ask(announce(3))]).await.is_err());
    assert!(process.valkey.is_unavailable());
    fixture.server.restart();
    eventually("the decider is available", HANG_LIMIT, async || {
        process.decide(START, &[]).await.unwrap();
        !process.valkey.is_unavailable()
    })
    .await;
}

/// A server whose library reads the time from a key, in seconds.
struct ServerWithSetClock(RedisServer);

impl ServerWithSetClock {
    fn start(seconds: i64) -> Self {
        let server = RedisServer::start();
        let read_time = "call('TIME')";
        assert_eq!(LIBRARY_SOURCE.matches(read_time).count(), 1);
        let source = LIBRARY_SOURCE.replace(read_time, "call('HMGET', 'clock', 'seconds', 'micros')");
        server.request(&["FUNCTION", "LOAD", &source]);
        let server = Self(server);
        server.set(seconds);
        server
    }

    fn set(&self, seconds: i64) {
        self.0.request(&["HSET", "clock", "seconds", &seconds.to_string(), "micros", "0"]);
    }

    /// The time by which sales are decided, in milliseconds.
    fn sales_ms(&self) -> i64 {
        self.0.request_number(&["FCALL", "doorbuster_time", "0"])
    }

    /// How long a process has to wait for the claim of a sale, in milliseconds.
    fn claim(&self, process: &str) -> i64 {
        self.0.request_number(&["FCALL", "doorbuster_claim", "1", "sale", process])
    }
}

#[test]
fn the_time_of_the_sales_goes_on_when_the_servers_clock_is_set_back() {
    let server = ServerWithSetClock::start(10_000);
    assert_eq!((server.sales_ms(), server.claim("first")), (10_000_000, 0));
    server.set(9_400);
    assert_eq!((server.sales_ms(), server.claim("second")), (10_000_000, 2_000));
    server.set(9_401);
    assert_eq!((server.sales_ms(), server.claim("second")), (10_000_950, 1_050), "it makes up for 5 %");
    server.set(9_403);
    assert_eq!((server.sales_ms(), server.claim("second")), (10_002_850, 0));
    server.set(9_433);
    assert_eq!(server.sales_ms(), 10_002_850, "a step forwards takes the whole of it from what is ahead");
    // Back and forth, however often, time does not run away from the clock.
    for _ in 0..10 {
        server.set(10_003);
        assert_eq!(server.sales_ms(), 10_003_000, "the clock is right again");
        server.set(9_403);
        assert_eq!(server.sales_ms(), 10_003_000);
    }
    // By hours: then nobody has a claim any more.
    server.set(1_000);
    assert_eq!((server.sales_ms(), server.claim("third")), (1_000_000, 0));
}
