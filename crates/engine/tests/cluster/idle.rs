//! Instances without requests: they leave Valkey and PostgreSQL alone as long as nothing changes, and show a change soon.

use crate::fixture::{ClusterFixture, SALE, announce, buy, insist, is_order};
use crate::support::{policy, sale_id};
use engine::RunningEngine;
use engine::clock::start_stopwatch;
use sale::{AdmissionMode, Command, CommandOutcome};
use std::time::Duration;
use test_servers::delay::SchedulingDelay;
use test_servers::redis::RedisServer;
use test_servers::wait::{HANG_LIMIT, eventually};

const SALES: u64 = 20;
const INSTANCES: usize = 2;
const IDLE_TIME: Duration = Duration::from_secs(2);
/// Each sale may be called once by each instance in that time. A call in each poll would be 500.
const CALLS_MAX: u64 = 2 * SALES;
/// 250 ms are promised.
const VISIBLE_WITHIN: Duration = Duration::from_millis(500);

/// How often the server has called the library.
fn count_calls(redis: &RedisServer) -> u64 {
    let stats: String = redis::from_redis_value(redis.request(&["INFO", "commandstats"])).unwrap();
    let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_fcall:calls=")?.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_instances_call_hardly_any_sale_and_show_a_change_soon() {
    let delay = SchedulingDelay::start();
    let fixture = ClusterFixture::new().await;
    let engines: Vec<RunningEngine> = (0..INSTANCES).map(|_| fixture.engine()).collect();
    let [first, second] = &engines[..] else { panic!("two instances") };
    announce(&first.engine, 5, 300).await;
    for no in 2..=SALES {
        let policy = policy(5, 300, first.engine.now().plus_ms(-1), AdmissionMode::Open);
        let outcome = insist(&first.engine, sale_id(no), Command::Configure { policy }).await.outcome;
        assert_eq!(outcome, CommandOutcome::Done);
    }
    eventually("both show all sales", HANG_LIMIT, async || {
        engines.iter().all(|engine| engine.engine.views().list().len() as u64 == SALES)
    })
    .await;
    let before = count_calls(&fixture.redis);
    tokio::time::sleep(IDLE_TIME).await;
    let calls = count_calls(&fixture.redis) - before;
    assert!(calls <= CALLS_MAX, "{calls} calls for {SALES} idle sales");
    for buyer in 1..=3 {
        assert!(is_order(&buy(&first.engine, buyer).await));
        let started = start_stopwatch();
        eventually("the other one shows it", HANG_LIMIT, async || {
            let view = second.engine.views().get(sale_id(SALE));
            view.is_some_and(|view| u64::from(view.counters.held) == buyer)
        })
        .await;
        let (took, limit) = (started.elapsed(), delay.extend(VISIBLE_WITHIN));
        assert!(took < limit, "it took {took:?}, and {limit:?} are allowed");
    }
    engines.into_iter().for_each(RunningEngine::stop);
}
