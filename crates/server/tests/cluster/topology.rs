//! A whole cluster for one test: PostgreSQL, Redis, instances, workers, nginx in front, and a TCP proxy between each process and each
//! of the two servers. It never shares a part with another test, and one test at a time has a cluster, because it asserts promises
//! about time.

use crate::real::crowd::{BuyerCrowd, BuyerMix, ConfirmedOrders};
use crate::real::instance::{ServerProcess, verify_with};
use crate::real::retrying_client::RequestTally;
use engine::clock::{Clock, SystemClock, start_stopwatch};
use engine::record::LedgerReader;
use engine::record::postgres::{PostgresAddress, PostgresReader};
use sale::{BuyerId, Event, OrderId, SaleId, Timestamp};
use serde_json::{Value, json};
use server::auth::tokens::{self, AccessTokens};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use test_servers::cluster::ClusterServers;
use test_servers::delay::SchedulingDelay;
use test_servers::nginx::NginxServer;
use test_servers::postgres::PostgresServer;
use test_servers::proxy::TcpProxy;
use test_servers::redis::RedisServer;
use test_servers::wait::{HANG_LIMIT, eventually_some};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The longest wait for a 503 while a server fails: two seconds are promised, and the reply's way through the cluster takes a moment
/// more. (What succeeds may take as long as the machine is busy.)
const REFUSAL_LIMIT: Duration = Duration::from_millis(2_500);
/// An instance that does not reply in this time hangs.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// How soon every instance sells again after the end of a failure.
const RECOVERY_LIMIT: Duration = Duration::from_secs(5);
/// Units of a drop that sells out.
const UNITS: usize = 60;
/// Lines of a log that a failed test shows.
const LOG_LINES: usize = 40;

/// The parts of a cluster.
pub struct ClusterLayout {
    instances: usize,
    workers: usize,
    redis: Option<Vec<String>>,
    postgres: Vec<String>,
    is_behind_nginx: bool,
    wrong_by_ms: Vec<i64>,
    flags: Vec<String>,
    /// Those of instances and workers alike.
    shared_flags: Vec<String>,
}

impl ClusterLayout {
    /// Instances that do everything.
    pub fn with_instances(instances: usize) -> Self {
        Self { redis: Some(Vec::new()), ..Self::without_redis(instances) }
    }

    /// One instance on PostgreSQL, which decides in its own memory.
    pub fn alone() -> Self {
        Self::without_redis(1)
    }

    fn without_redis(instances: usize) -> Self {
        Self {
            instances,
            workers: 0,
            redis: None,
            postgres: Vec::new(),
            is_behind_nginx: false,
            wrong_by_ms: Vec::new(),
            flags: ["--limits", "off", "--drain-grace", "100ms"].map(str::to_owned).to_vec(),
            shared_flags: Vec::new(),
        }
    }

    /// Instances that only serve, and workers that do the rest.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self.flags.extend(["--roles".to_owned(), "api".to_owned()]);
        self
    }

    /// More flags of all processes.
    pub fn all_with(mut self, flags: &[&str]) -> Self {
        self.shared_flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        self
    }

    /// More settings of Redis.
    pub fn redis(mut self, settings: &[&str]) -> Self {
        self.redis = Some(settings.iter().map(|&setting| setting.to_owned()).collect());
        self
    }

    /// More settings of PostgreSQL.
    pub fn postgres(mut self, settings: &[&str]) -> Self {
        self.postgres = settings.iter().map(|&setting| setting.to_owned()).collect();
        self
    }

    /// nginx in front, with the configuration that users get.
    pub fn behind_nginx(mut self) -> Self {
        self.is_behind_nginx = true;
        self
    }

    /// The clocks of the instances are wrong by so many milliseconds.
    pub fn wrong_clocks(mut self, wrong_by_ms: &[i64]) -> Self {
        self.wrong_by_ms = wrong_by_ms.to_vec();
        self
    }

    /// Starts it once no other test has one.
    pub async fn start(self) -> RunningCluster {
        static ONE_AT_A_TIME: LazyLock<Arc<Mutex<()>>> = LazyLock::new(Arc::default);
        let alone = Arc::clone(&ONE_AT_A_TIME).lock_owned().await;
        let postgres: Vec<&str> = self.postgres.iter().map(String::as_str).collect();
        let postgres = PostgresServer::start_with(&postgres);
        let database = postgres.create_database();
        let redis = self.redis.as_ref().map(|settings| {
            let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
            RedisServer::start_with(&settings)
        });
        let mut topology = RunningCluster {
            instances: Vec::new(),
            workers: Vec::new(),
            nginx: None,
            servers: ClusterServers::new(postgres, redis),
            database,
            delay: SchedulingDelay::start(),
            _alone: alone,
        };
        tokens::read_or_create_key(&topology.servers.token_key()).unwrap();
        for no in 0..self.instances {
            let member = topology.member(ServerProcess::prepared, &self.flags_of(no, &topology));
            topology.instances.push(member);
        }
        let worker = |_| topology.member(ServerProcess::prepared_worker, &self.shared_flags);
        topology.workers = (0..self.workers).map(worker).collect();
        topology.launch_all().await;
        if self.is_behind_nginx {
            let urls: Vec<String> = topology.processes().iter().map(|process| process.url.clone()).collect();
            topology.nginx = Some(NginxServer::start_cluster(&urls));
        }
        topology
    }

    fn flags_of(&self, no: usize, topology: &RunningCluster) -> Vec<String> {
        let mut flags = [&self.flags[..], &self.shared_flags[..]].concat();
        if let Some(wrong_by_ms) = self.wrong_by_ms.get(no) {
            let file = topology.servers.folder.path().join(format!("clock-{no}"));
            std::fs::write(&file, wrong_by_ms.to_string()).unwrap();
            flags.extend(["--rehearsal-clock".to_owned(), path(&file)]);
        }
        flags
    }
}

/// A cluster that runs. Its processes end before the servers: fields go in this order.
pub struct RunningCluster {
    pub nginx: Option<NginxServer>,
    pub instances: Vec<ClusterMember>,
    pub workers: Vec<ClusterMember>,
    pub servers: ClusterServers,
    pub database: String,
    /// What the machine adds to a promised time.
    pub delay: SchedulingDelay,
    _alone: OwnedMutexGuard<()>,
}

/// A process, and its proxies to the servers.
pub struct ClusterMember {
    pub process: ServerProcess,
    pub to_postgres: TcpProxy,
    pub to_redis: Option<TcpProxy>,
}

impl RunningCluster {
    fn member(&self, prepared: fn(&[&str]) -> ServerProcess, flags: &[String]) -> ClusterMember {
        let to_postgres = TcpProxy::to(self.servers.postgres.port());
        let to_redis = self.servers.redis.as_ref().map(|redis| TcpProxy::to(redis.port()));
        let port = |port: u16| format!(":{port}/");
        let database = self.database.replace(&port(self.servers.postgres.port()), &port(to_postgres.port()));
        let valkey = to_redis.as_ref().map(|proxy| format!("redis://127.0.0.1:{}/", proxy.port()));
        let servers = self.servers.flags(&database, valkey.as_deref());
        let all: Vec<&str> = servers.iter().chain(flags).map(String::as_str).collect();
        ClusterMember { process: prepared(&all), to_postgres, to_redis }
    }

    /// The first alone, because it makes tables and admin; then all others at once.
    async fn launch_all(&mut self) {
        let first = &mut self.instances[0].process;
        first.launch().await;
        first.open_shop().await;
        let (admin, product) = (first.admin.clone(), first.product.clone());
        for member in self.instances[1..].iter_mut().chain(&mut self.workers) {
            member.process.spawn();
        }
        for member in self.instances.iter_mut().chain(&mut self.workers) {
            let process = &mut member.process;
            process.wait_until_ready().await;
            process.client = reqwest::Client::builder().timeout(REPLY_TIMEOUT).build().unwrap();
            (process.admin, process.product) = (admin.clone(), product.clone());
        }
    }

    pub fn processes(&self) -> Vec<&ServerProcess> {
        self.instances.iter().map(|member| &member.process).collect()
    }

    pub fn redis(&self) -> &RedisServer {
        self.servers.redis()
    }

    pub fn redis_mut(&mut self) -> &mut RedisServer {
        self.servers.redis.as_mut().expect("the cluster has a Redis")
    }

    /// The proxies of all processes to Redis.
    pub fn proxies_to_redis(&self) -> impl Iterator<Item = &TcpProxy> {
        self.instances.iter().chain(&self.workers).filter_map(|member| member.to_redis.as_ref())
    }

    /// Buyers whom every instance knows.
    pub fn buyers(&self, count: usize) -> Vec<String> {
        BuyerCrowd::with_tokens_signed_by(&self.servers.token_key(), count).tokens
    }

    /// A running sale whose units are sold at once, with more of them than a test buys.
    pub async fn sale(&self) -> String {
        let wanted = json!({
            "quantity": 1_000_000, "holdSeconds": 0, "limitPerBuyer": 1_000_000, "admission": {"type": "open"},
        });
        self.create_sale(&wanted).await
    }

    /// Another sale, once all instances know of it.
    pub async fn create_sale(&self, wanted: &Value) -> String {
        let sale = self.instances[0].process.create_sale(wanted).await;
        for process in self.processes() {
            wait_for_sale(process, &sale, |_| true).await;
        }
        sale
    }

    /// Waits until each instance sells again, which must be within five seconds from now.
    pub async fn wait_until_recovered(&self) {
        let started = start_stopwatch();
        let sale = tokio::time::timeout(HANG_LIMIT, async {
            let sale = self.create_sale_with_retries().await;
            for process in self.processes() {
                wait_for_sale(process, &sale, |_| true).await;
                let token = self.buyers(1).remove(0);
                let order = json!({"flashSaleId": sale, "quantity": 1});
                while order_at(process, &token, Some("back"), &order)
                    .await
                    .is_none_or(|(status, _)| status != 201)
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            sale
        });
        let sale = sale.await.expect("every instance sells again");
        let (took, limit) = (started.elapsed(), self.delay.extend(RECOVERY_LIMIT));
        assert!(took < limit, "it sells again after {took:?}, and {limit:?} are allowed");
        for process in self.processes() {
            wait_for_sale(process, &sale, |shown| shown["sold"] == self.instances.len()).await;
        }
    }

    async fn create_sale_with_retries(&self) -> String {
        let process = &self.instances[0].process;
        let wanted =
            json!({"quantity": self.instances.len(), "holdSeconds": 0, "admission": {"type": "open"}});
        let wanted = process.sale_body(&wanted);
        let url = format!("{}/api/v1/admin/flash-sales", process.url);
        loop {
            let response = process.client.post(&url).bearer_auth(&process.admin).json(&wanted).send().await;
            if let Ok(reply) = response
                && reply.status() == 201
            {
                let made: Value = reply.json().await.unwrap();
                return made["id"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// More buyers than units come at once, at all instances: every unit goes to a buyer who paid.
    pub async fn assert_sells_out(&self) {
        self.run_drop(&json!({"type": "open"}), BuyerMix { abandon_every: 0, decline_every: 13 }).await;
    }

    /// The same with a line, and buyers who leave their units to expire: others get them.
    pub async fn assert_line_sells_out(&self) {
        let line =
            json!({"type": "fifo", "perSecond": 40, "checkoutSeconds": 10, "lineOpensSecondsBefore": 60});
        self.run_drop(&line, BuyerMix { abandon_every: 11, decline_every: 13 }).await;
    }

    async fn run_drop(&self, admission: &Value, mix: BuyerMix) {
        let wanted = json!({"quantity": UNITS, "holdSeconds": 5, "admission": admission});
        let sale = self.create_sale(&wanted).await;
        let crowd = BuyerCrowd { tokens: self.buyers(UNITS * 2) };
        let replies = crowd.start(&self.processes(), &sale, mix).collect_replies().await;
        assert_eq!(replies.confirmed.len(), UNITS, "every unit is sold, and once");
        self.assert_promises_kept(&sale, &replies).await;
    }

    /// Compares the replies to a sale's buyers with the ledger: it has exactly the confirmed orders. Every promise is kept, and every
    /// request got a useful reply in time.
    pub async fn assert_promises_kept(&self, sale: &str, outcome: &ConfirmedOrders) {
        self.assert_orders_recorded(sale, outcome).await;
        let RequestTally { timed_out, last_timeout, .. } = &outcome.stats;
        assert_eq!(
            *timed_out,
            0,
            "replies that did not come within {REPLY_TIMEOUT:?}; the machine ran this test up to {:?} late; the last: {last_timeout}",
            self.delay.worst()
        );
        self.assert_on_time(&outcome.stats);
    }

    /// Every 503 came as soon as is promised.
    pub fn assert_on_time(&self, stats: &RequestTally) {
        let limit = self.delay.extend(REFUSAL_LIMIT);
        assert!(
            stats.slowest < limit,
            "a refusal took {:?} of {limit:?}: {}",
            stats.slowest,
            stats.slowest_reply
        );
    }

    /// The same without a limit on time: an instance was stopped, so its callers had to wait.
    pub async fn assert_orders_recorded(&self, sale: &str, replies: &ConfirmedOrders) {
        assert_eq!(replies.stats.unexpected, Vec::<String>::new(), "a failure says when to ask again");
        let report = self.verify().await;
        let report: Value = serde_json::from_str(&report).unwrap();
        let of_sale = report["sales"].as_array().unwrap().iter().find(|row| row["sale"] == sale);
        let of_sale = of_sale.unwrap_or_else(|| panic!("the sale {sale} is not in the ledger: {report}"));
        assert_eq!(
            of_sale["sold"],
            replies.confirmed.len(),
            "units sold and orders confirmed to buyers: {of_sale}"
        );
        let orders = self.orders_in_the_ledger(sale).await;
        let tokens = AccessTokens::new(tokens::read_key(&self.servers.token_key()).unwrap(), 86_400, 100);
        let now = SystemClock::start(Timestamp::default()).now();
        for (token, order) in &replies.confirmed {
            let buyer = tokens.verify(token, now).unwrap().buyer;
            let order = OrderId(order.parse().unwrap());
            assert_eq!(orders.get(&order), Some(&buyer), "{order} was confirmed to {buyer}");
        }
    }

    /// Every order of a sale that is confirmed in the ledger, with its buyer.
    pub async fn orders_in_the_ledger(&self, sale: &str) -> HashMap<OrderId, BuyerId> {
        let sale = SaleId(sale.parse().unwrap());
        let reader = PostgresReader::open(&PostgresAddress::parse(&self.database).unwrap()).await.unwrap();
        let entries = reader.read_entries(sale, sale::EventSeq(0), usize::MAX).await.unwrap();
        let mut orders = HashMap::new();
        for entry in entries {
            if let Event::Confirmed { buyer, order, .. } = entry.event {
                assert_eq!(orders.insert(order, buyer), None, "{order} is confirmed twice");
            }
        }
        orders
    }

    /// Runs `doorbuster verify`, and wants it to find every promise kept: what it says.
    pub async fn verify(&self) -> String {
        let database = self.database.clone();
        let verify = move || verify_with(Path::new("."), &["--json", "--database", &database]);
        let (code, output) = tokio::task::spawn_blocking(verify).await.unwrap();
        assert_eq!(code, Some(0), "{output}");
        output
    }
}

impl Drop for RunningCluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for (what, members) in [("instance", &self.instances), ("worker", &self.workers)] {
            for (no, member) in members.iter().enumerate() {
                let (url, tail) = (&member.process.url, member.process.log_tail(LOG_LINES));
                eprintln!("--- the end of the log of {what} {no} at {url}:\n{tail}");
            }
        }
    }
}

/// Waits until an instance shows a sale in some state, and returns its document.
pub async fn wait_for_sale(process: &ServerProcess, sale: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let url = format!("{}/api/v1/flash-sales/{sale}", process.url);
    eventually_some(&format!("the state of {url}"), HANG_LIMIT, async || {
        let reply = process.client.get(&url).send().await.ok()?.error_for_status().ok()?;
        reply.json().await.ok().filter(&is_so)
    })
    .await
}

/// Orders once at an instance: status and body, or nothing if there was no reply.
pub async fn order_at(
    process: &ServerProcess,
    token: &str,
    key: Option<&str>,
    order: &Value,
) -> Option<(reqwest::StatusCode, Value)> {
    let request =
        process.client.post(format!("{}/api/v1/orders", process.url)).bearer_auth(token).json(order);
    let request = match key {
        Some(key) => request.header("Idempotency-Key", key),
        None => request,
    };
    let reply = request.send().await.ok()?;
    let status = reply.status();
    Some((status, reply.json().await.unwrap_or_default()))
}

/// Orders until there is an answer, with one key: a busy machine may not record in time.
pub async fn order_until_answered(
    process: &ServerProcess,
    token: &str,
    key: &str,
    order: &Value,
) -> (reqwest::StatusCode, Value) {
    eventually_some("an answer", HANG_LIMIT, async || {
        order_at(process, token, Some(key), order).await.filter(|(status, _)| *status != 503)
    })
    .await
}

fn path(path: &Path) -> String {
    path.to_str().expect("a path of text").to_owned()
}
