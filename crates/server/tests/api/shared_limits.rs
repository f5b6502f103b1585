//! Request limits that several instances share: each `Limits` here is one instance, the Redis between them is real.

use crate::merchant::Merchant;
use crate::sockets::PollingSocket;
use crate::support::TestApp;
use axum::http::HeaderMap;
use futures::future::join_all;
use reqwest::StatusCode;
use sale::time::Timestamp;
use serde_json::json;
use server::http::limits::{LimitClass, LimitKey, RateLimit, RateLimiter, RateLimits, shared};
use server::telemetry::WorkTimer;
use server::telemetry::metrics::Counter;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use test_servers::postgres::PostgresServer;
use test_servers::redis::{RedisCluster, RedisServer};
use test_servers::wait::{HANG_LIMIT, eventually};

/// One comes back each quarter of an hour: none while a test runs.
const HUNDRED: RateLimit = RateLimit { quota: 100, window_s: 86_400 };
const RATES: RateLimits = RateLimits {
    auth: HUNDRED,
    refresh: HUNDRED,
    guess: HUNDRED,
    buy: HUNDRED,
    read: HUNDRED,
    turnstile: HUNDRED,
    drop: HUNDRED,
    dialect_address: HUNDRED,
};
/// For tests that are about what is counted: on a busy machine a server that works may reply late.
const LONG: Duration = Duration::from_secs(30);

/// The clocks of instances differ; what they share must not depend on it.
const AHEAD_MS: i64 = 5_000;

struct Instance {
    limits: RateLimiter,
    now: Timestamp,
    counted_alone: Counter,
}

impl Instance {
    async fn start_at(url: &str, rates: RateLimits, ahead_ms: i64) -> Self {
        Self::start_with_timeout(url, rates, ahead_ms, LONG).await
    }

    async fn start_with_timeout(url: &str, rates: RateLimits, ahead_ms: i64, count: Duration) -> Self {
        let now = Timestamp(1_800_000_000_000 + ahead_ms);
        let counted_alone = Counter::default();
        let settings = shared::SharedLimiterSettings {
            address: engine::valkey_connection::ValkeyAddress::parse(url).unwrap(),
            timeouts: shared::LimiterTimeouts { count, connect: LONG },
            now: Arc::new(move || now),
            counted_alone: counted_alone.clone(),
        };
        Self { limits: RateLimiter::connect_shared(rates, settings).await, now, counted_alone }
    }

    async fn start_pair(url: &str) -> [Self; 2] {
        [Self::start_at(url, RATES, 0).await, Self::start_at(url, RATES, AHEAD_MS).await]
    }

    async fn allows(&self, class: LimitClass, key: LimitKey) -> bool {
        self.limits.count_request(class, key, self.now).await.retry_after_s.is_none()
    }

    /// Sends so many requests one after the other, and counts those that are allowed.
    async fn count_allowed(&self, requests: usize, key: LimitKey) -> usize {
        let mut allowed = 0;
        for _ in 0..requests {
            allowed += usize::from(self.allows(LimitClass::Buy, key).await);
        }
        allowed
    }

    /// Waits until requests are counted by all instances together again.
    async fn wait_until_shared(&self) {
        let mut keys = 0..;
        eventually("the limits are shared again", HANG_LIMIT, async || {
            let before = self.counted_alone.get();
            self.allows(LimitClass::Buy, network(keys.next().unwrap())).await;
            self.counted_alone.get() == before
        })
        .await;
    }
}

fn key(n: u8) -> LimitKey {
    LimitKey::from_address(IpAddr::from([10, 0, 0, n]))
}

/// One of four billion keys.
fn network(n: usize) -> LimitKey {
    let [a, b, c, d] = u32::try_from(n).unwrap().to_be_bytes();
    LimitKey::from_address(IpAddr::from([0x20, 1, 0xd, 0xb8, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]))
}

/// The number of scripts that a server has run.
fn scripts_run(server: &RedisServer) -> u64 {
    let info: String = redis::from_redis_value(server.request(&["INFO", "commandstats"])).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")).unwrap();
    line.split(',').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hundred_and_first_request_is_refused_wherever_it_lands() {
    let server = RedisServer::start();
    let [one, two] = Instance::start_pair(&server.url()).await;
    for class in [LimitClass::Auth, LimitClass::Refresh, LimitClass::Guess, LimitClass::Buy] {
        for n in 0..100 {
            let instance = [&one, &two][n % 2];
            let decision = instance.limits.count_request(class, key(1), instance.now).await;
            assert_eq!(decision.retry_after_s, None);
            let mut headers = HeaderMap::new();
            decision.write_headers(&mut headers);
            let header = headers["ratelimit"].to_str().unwrap();
            assert!(header.contains(&format!("r={};", 99 - n)), "{header} after {n}");
        }
        for instance in [&one, &two] {
            let refused = instance.limits.count_request(class, key(1), instance.now).await.retry_after_s;
            assert!(refused.is_some_and(|s| (600..=864).contains(&s)), "{refused:?}");
            assert!(instance.allows(class, key(2)).await, "another has a bucket of their own");
        }
    }
    assert_eq!(one.counted_alone.get() + two.counted_alone.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_requests_over_two_instances_get_exactly_the_quota() {
    let server = RedisServer::start();
    let instances = Instance::start_pair(&server.url()).await.map(Arc::new);
    let tasks = instances.iter().flat_map(|instance| {
        (0..4).map(|_| {
            let instance = Arc::clone(instance);
            tokio::spawn(async move { instance.count_allowed(50, key(1)).await })
        })
    });
    let allowed: usize = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
    assert_eq!(allowed, 100);
    assert!(instances.iter().all(|instance| instance.counted_alone.get() == 0));
}

#[tokio::test]
async fn requests_that_come_together_make_few_calls() {
    let server = RedisServer::start();
    let one = Instance::start_at(&server.url(), RATES, 0).await;
    let before = scripts_run(&server);
    let allowed = join_all((0..1_000).map(|n| one.allows(LimitClass::Buy, network(n)))).await;
    assert!(allowed.into_iter().all(|allowed| allowed));
    assert_eq!(one.counted_alone.get(), 0);
    let calls = scripts_run(&server) - before;
    // 8 calls of 128 requests at best; how many more depends on how the requests meet.
    assert!(calls <= 100, "{calls} calls for 1,000 requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_by_a_known_level_costs_no_call() {
    let server = RedisServer::start();
    let one = Instance::start_at(&server.url(), RATES, 0).await;
    assert_eq!(one.count_allowed(100, key(1)).await, 100);
    let before = scripts_run(&server);
    assert_eq!(one.count_allowed(1_000, key(1)).await, 0);
    let calls = scripts_run(&server) - before;
    assert!(calls < 100, "{calls} calls for 1,000 refusals");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_known_to_all_instances_after_a_while() {
    // More than the wait allows with one request each 10 ms.
    const QUOTA: usize = 10_000;
    let server = RedisServer::start();
    let read = RateLimit { quota: 10_000, ..HUNDRED };
    let rates = RateLimits { read, ..RATES };
    let one = Instance::start_at(&server.url(), rates, 0).await;
    let two = Instance::start_at(&server.url(), rates, AHEAD_MS).await;
    for _ in 0..QUOTA {
        assert!(one.allows(LimitClass::Read, key(1)).await);
    }
    assert!(!one.allows(LimitClass::Read, key(1)).await);
    let mut allowed = 0;
    eventually("the other instance refuses", HANG_LIMIT, async || {
        let is_allowed = two.allows(LimitClass::Read, key(1)).await;
        allowed += usize::from(is_allowed);
        !is_allowed
    })
    .await;
    assert!(allowed < QUOTA, "the other instance counted alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_that_are_empty_leave_nothing_behind() {
    let server = RedisServer::start();
    let fast = RateLimit { quota: 100, window_s: 1 };
    let one =
        Instance::start_at(&server.url(), RateLimits { auth: fast, buy: fast, read: fast, ..RATES }, 0).await;
    for n in 0..200 {
        assert!(one.allows(LimitClass::Buy, network(n)).await);
    }
    for class in [LimitClass::Auth, LimitClass::Read] {
        assert!(one.allows(class, key(1)).await);
    }
    server.wait_for_reply("DBSIZE", "int(0)");
    assert_eq!(one.counted_alone.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_send_their_counts_again_to_a_server_that_lost_them() {
    let server = RedisServer::start();
    let [one, two] = Instance::start_pair(&server.url()).await;
    assert_eq!(one.count_allowed(30, key(1)).await, 30);
    assert_eq!(two.count_allowed(30, key(1)).await, 30);
    server.request(&["SCRIPT", "FLUSH"]);
    server.request(&["FLUSHALL"]);
    assert_eq!(two.count_allowed(10, key(1)).await, 10);
    assert_eq!(
        one.count_allowed(100, key(1)).await,
        30,
        "70 were counted before the loss, by either instance"
    );
    assert_eq!(one.counted_alone.get() + two.counted_alone.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_is_not_waited_for_and_shares_again_when_it_is_back() {
    let mut server = RedisServer::start();
    let [one, two] = Instance::start_pair(&server.url()).await;
    assert_eq!(one.count_allowed(60, key(1)).await, 60);
    server.kill();
    let timer = WorkTimer::start();
    assert_eq!(one.count_allowed(10, key(1)).await, 10, "the failure refuses no request");
    assert_eq!(two.count_allowed(101, key(2)).await, 100, "each counts for itself");
    assert!(
        timer.elapsed_s() < LONG.as_secs_f64(),
        "a request waited for its timeout: {} s",
        timer.elapsed_s()
    );
    assert!(one.counted_alone.get() >= 10 && two.counted_alone.get() >= 100);

    server.restart();
    one.wait_until_shared().await;
    two.wait_until_shared().await;
    assert_eq!(one.count_allowed(100, key(1)).await, 30, "what was counted meanwhile stays counted");
    assert_eq!(two.count_allowed(100, key(1)).await, 0);
    assert_eq!(one.count_allowed(100, key(2)).await, 100, "only two knows of these, and is not asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_taken_back_from_a_server_that_counted_it_late() {
    let server = RedisServer::start();
    let rates = RateLimits { turnstile: RateLimit { quota: 1, ..HUNDRED }, ..RATES };
    let one = Instance::start_with_timeout(&server.url(), rates, 0, Duration::from_millis(200)).await;
    let two = Instance::start_at(&server.url(), rates, AHEAD_MS).await;
    for n in 1..=3 {
        one.wait_until_shared().await;
        let frozen = server.freeze();
        assert!(one.allows(LimitClass::Turnstile, key(n)).await, "it counts alone");
        one.limits.return_request(LimitClass::Turnstile, key(n), one.now).await;
        drop(frozen);
        one.wait_until_shared().await;
        assert!(two.allows(LimitClass::Turnstile, key(n)).await, "the count that came late is taken back");
        assert!(!two.allows(LimitClass::Turnstile, key(n)).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_starts_without_its_server_counts_alone_until_it_comes() {
    let mut server = RedisServer::start();
    let url = server.url();
    server.kill();
    let one = Instance::start_at(&url, RATES, 0).await;
    assert_eq!(one.count_allowed(101, key(1)).await, 100);
    server.restart();
    one.wait_until_shared().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_is_waited_for_once() {
    let server = RedisServer::start();
    let timeout = Duration::from_secs(2);
    let one = Instance::start_with_timeout(&server.url(), RATES, 0, timeout).await;
    assert_eq!(one.count_allowed(10, key(1)).await, 10);
    let frozen = server.freeze();
    let timer = WorkTimer::start();
    assert_eq!(one.count_allowed(1, key(1)).await, 1);
    let first_s = timer.elapsed_s();
    assert!(first_s > timeout.as_secs_f64() / 2.0, "{first_s} s for the first request");
    let timer = WorkTimer::start();
    assert_eq!(one.count_allowed(50, key(1)).await, 50);
    // Each would wait for the timeout: 100 s together.
    assert!(timer.elapsed_s() < 20.0, "{} s for 50 more", timer.elapsed_s());
    drop(frozen);
    one.wait_until_shared().await;
}

/// One that answers, but does not take what is to be written.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_full_or_read_only_is_done_without_until_it_is_mended() {
    let (server, other) = (RedisServer::start(), RedisServer::start());
    let port = other.port().to_string();
    let spoils: [(&[&str], &[&str]); 3] = [
        (&["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]),
        (&["CONFIG", "SET", "min-replicas-to-write", "1"], &["CONFIG", "SET", "min-replicas-to-write", "0"]),
        (&["REPLICAOF", "127.0.0.1", &port], &["REPLICAOF", "NO", "ONE"]),
    ];
    for (n, (spoil, mend)) in (1..).zip(spoils) {
        let one = Instance::start_at(&server.url(), RATES, 0).await;
        server.request(spoil);
        assert_eq!(one.count_allowed(101, key(n)).await, 100, "{spoil:?}");
        assert_eq!(one.counted_alone.get(), 100, "{spoil:?}");
        server.request(mend);
        one.wait_until_shared().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_of_a_cluster_leads_to_the_one_that_counts() {
    let cluster = RedisCluster::start(3);
    let mut instances = Vec::new();
    for server in &cluster.servers {
        instances.push(Instance::start_at(&server.url(), RATES, 0).await);
    }
    for instance in &instances {
        assert_eq!(instance.count_allowed(30, key(1)).await, 30);
    }
    assert_eq!(instances[0].count_allowed(30, key(1)).await, 10);
    assert!(instances.iter().all(|instance| instance.counted_alone.get() == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_shares_its_limits_with_every_other_one_on_its_valkey() {
    let server = RedisServer::start();
    let database = PostgresServer::shared().create_database();
    let url = server.url();
    let flags = ["--database", &database, "--valkey", &url, "--limit-auth", "100/1d"];
    let timeouts = shared::LimiterTimeouts { count: LONG, connect: LONG };
    let app = TestApp::start_with_settings(&flags, |settings| settings.limiter_timeouts = timeouts).await;
    let elsewhere = Instance::start_at(&url, RATES, 0).await;
    let here = LimitKey::from_address(IpAddr::from([127, 0, 0, 1]));
    for _ in 0..40 {
        assert!(elsewhere.allows(LimitClass::Auth, here).await);
    }
    for _ in 0..60 {
        let reply = app.post("/api/v1/auth/login", &json!({})).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let reply = app.post("/api/v1/auth/login", &json!({})).await;
    assert_eq!((reply.status, reply.problem().as_str()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
    assert!(!elsewhere.allows(LimitClass::Auth, here).await);
    let metrics = app.read_metrics().await;
    assert!(metrics.contains("\ndoorbuster_limits_local_total 0\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_socket_counts_for_all_instances() {
    let server = RedisServer::start();
    let database = PostgresServer::shared().create_database();
    let url = server.url();
    let flags = ["--database", &database, "--valkey", &url, "--limit-buy", "100/1d"];
    let timeouts = shared::LimiterTimeouts { count: LONG, connect: LONG };
    let app = TestApp::start_with_settings(&flags, |settings| settings.limiter_timeouts = timeouts).await;
    let fifo = json!({"admission": {"type": "fifo", "perSecond": 1, "checkoutSeconds": 600}});
    let sale = Merchant::sign_in(&app).await.sale(&fifo).await;
    let ada = app.register("ada").await;
    let socket = PollingSocket::connect(&app, "127.0.0.1", Some(&ada)).await;
    let elsewhere = Instance::start_at(&url, RATES, 0).await;
    let buyer = LimitKey::from_buyer(sale::BuyerId(ada.id.parse().unwrap()));
    assert_eq!(elsewhere.count_allowed(99, buyer).await, 99);
    assert!(socket.emit("queue:join", &sale).await["ticket"].is_number());
    assert_eq!(socket.emit("queue:leave", &sale).await["code"], "rate_limited");
    assert!(!elsewhere.allows(LimitClass::Buy, buyer).await);
}
