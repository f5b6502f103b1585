//! A broker that is away for a long time, slow, silent or without disk space, and a shop that is killed while it sends: selling goes on, and
//! afterwards Kafka has everything.

use crate::real::crowd::BuyerCrowd;
use crate::real::instance::{ServerProcess, text};
use crate::real::retrying_client::RetryingClient;
use crate::receivers::kafka::KafkaConsumer;
use crate::{ARRIVAL_LIMIT, ATTEMPTS, EVENTS, assert_all_arrived, buy, create_topic};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use test_servers::kafka::KafkaServer;
use test_servers::wait::{HANG_LIMIT, eventually};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Batches that fail in the long outage. Each waits 15 s for the brokers, so it lasts more than a minute: the connections of the first
/// producer, of its successors and of their requests have all run into their time limits, and the follower waits longer each time.
const FAILED_BATCHES: u64 = 4;
/// How long a buyer rests after each purchase.
const REST: Duration = Duration::from_millis(200);
/// Delay of each piece of what a slow broker gets and sends, in milliseconds.
const SLOW_MS: u64 = 250;
/// How often the process is killed while it sends.
const KILLS: usize = 5;

/// Buyers who buy and pay until they are stopped, and count what they bought.
struct BuyerLoad {
    buyers: Vec<JoinHandle<Vec<String>>>,
    stop: Arc<AtomicBool>,
    bought: Arc<AtomicUsize>,
}

impl BuyerLoad {
    fn start(instance: &ServerProcess, sale: &str, tokens: &[String]) -> Self {
        let (permits, tally) = (Arc::new(Semaphore::new(tokens.len())), Arc::default());
        let (stop, bought) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let buyers = tokens.iter().enumerate().map(|(no, token)| {
            let client = instance.retrying_client(&permits, &tally, no, token.clone());
            let (sale, stop, bought) = (sale.to_owned(), Arc::clone(&stop), Arc::clone(&bought));
            tokio::spawn(async move { buy_repeatedly(client, &sale, &stop, &bought).await })
        });
        Self { buyers: buyers.collect(), stop: Arc::clone(&stop), bought: Arc::clone(&bought) }
    }

    /// Waits until so many more are bought than now.
    async fn wait_until_bought(&self, more: usize) {
        let wanted = self.bought.load(Ordering::Relaxed) + more;
        let is_there = async || self.bought.load(Ordering::Relaxed) >= wanted;
        eventually(&format!("{more} purchases"), HANG_LIMIT, is_there).await;
    }

    /// The payments of all.
    async fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut payments = Vec::new();
        for buyer in self.buyers {
            payments.extend(buyer.await.unwrap());
        }
        payments
    }
}

/// The payments that a buyer made until the stop.
async fn buy_repeatedly(
    client: RetryingClient,
    sale: &str,
    stop: &AtomicBool,
    bought: &AtomicUsize,
) -> Vec<String> {
    let mut payments = Vec::new();
    let order = json!({"flashSaleId": sale, "quantity": 1});
    while !stop.load(Ordering::Relaxed) {
        let key = format!("purchase-{}", payments.len());
        let (_, held) = client.send("POST", "/api/v1/orders", Some(&key), Some(&order)).await;
        let (path, method) =
            (format!("/api/v1/orders/{}/pay", text(&held, "id")), json!({"method": "sandbox:approve"}));
        let (_, paid) = client.send("POST", &path, Some(&format!("{key}-pay")), Some(&method)).await;
        payments.push(text(&paid["payment"], "id"));
        bought.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(REST).await;
    }
    payments
}

/// A shop with both topics and a sale that never sells out, and four buyers.
async fn open_shop(kafka: &KafkaServer, broker: &str) -> (ServerProcess, String, Vec<String>) {
    create_topic(kafka, EVENTS).await;
    create_topic(kafka, ATTEMPTS).await;
    let instance = ServerProcess::with(&["--limits", "off", "--kafka", broker]).await;
    let sale = json!({"quantity": 100_000, "limitPerBuyer": 100_000, "holdSeconds": 300, "admission": {"type": "open"}});
    let sale = instance.create_sale(&sale).await;
    let tokens = BuyerCrowd::register(&instance, 4).await.tokens;
    (instance, sale, tokens)
}

/// The value of a metric of the follower that sends events.
async fn read_metric(instance: &ServerProcess, name: &str) -> u64 {
    let metrics = instance.client.get(instance.metrics_url()).send().await.unwrap().text().await.unwrap();
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
}

async fn count_failed_batches(instance: &ServerProcess) -> u64 {
    read_metric(instance, "doorbuster_follower_deliveries_total{follower=\"kafka\",outcome=\"failed\"}").await
}

/// Waits until so many more batches have failed.
async fn wait_for_failed_batches(instance: &ServerProcess, more: u64) {
    let wanted = count_failed_batches(instance).await + more;
    // Each of them waits for the brokers, and for its turn.
    let limit = HANG_LIMIT * u32::try_from(more).unwrap();
    let have_failed = async || count_failed_batches(instance).await >= wanted;
    eventually(&format!("{more} batches fail"), limit, have_failed).await;
}

/// Wants the metrics to show that events wait.
async fn assert_lag_is_shown(instance: &ServerProcess) {
    let lag = "doorbuster_follower_lag_events{follower=\"kafka\"}";
    eventually("the lag is shown", HANG_LIMIT, async || read_metric(instance, lag).await > 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_for_more_than_a_minute_under_load_has_everything_afterwards() {
    let mut kafka = KafkaServer::start();
    let broker = kafka.address();
    let (instance, sale, tokens) = open_shop(&kafka, &broker).await;
    let consumer = KafkaConsumer::start(&broker, "test", EVENTS);
    let load = BuyerLoad::start(&instance, &sale, &tokens);
    load.wait_until_bought(20).await;
    eventually("some arrive", HANG_LIMIT, async || consumer.count_messages() > 20).await;

    tokio::task::block_in_place(|| kafka.kill());
    wait_for_failed_batches(&instance, FAILED_BATCHES).await;
    load.wait_until_bought(20).await;
    assert_lag_is_shown(&instance).await;
    tokio::task::block_in_place(|| kafka.restart());
    load.wait_until_bought(20).await;
    let payments = load.stop().await;
    assert_all_arrived(&consumer, &instance, &sale, &payments).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_broker_and_one_that_says_nothing_get_everything_and_delay_no_purchase() {
    let kafka = KafkaServer::start();
    let (instance, sale, tokens) = open_shop(&kafka, &kafka.proxied_address()).await;
    let consumer = KafkaConsumer::start(&kafka.address(), "test", EVENTS);
    let load = BuyerLoad::start(&instance, &sale, &tokens);
    kafka.proxy().slow(SLOW_MS);
    load.wait_until_bought(40).await;
    eventually("some arrive slowly", HANG_LIMIT, async || consumer.count_messages() > 20).await;

    // The broker has a batch, and the shop does not learn of it: it sends the batch again.
    kafka.proxy().stall_replies();
    wait_for_failed_batches(&instance, 1).await;
    load.wait_until_bought(20).await;
    assert_lag_is_shown(&instance).await;
    kafka.proxy().heal();
    let payments = load.stop().await;
    assert_all_arrived(&consumer, &instance, &sale, &payments).await;
    assert!(consumer.count_repeats(&sale) > 0, "the batch was sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_without_disk_space_has_everything_once_it_has_some() {
    let mut kafka = KafkaServer::start();
    let broker = kafka.address();
    let (instance, sale, tokens) = open_shop(&kafka, &broker).await;
    let consumer = KafkaConsumer::start(&broker, "test", EVENTS);
    let load = BuyerLoad::start(&instance, &sale, &tokens);
    load.wait_until_bought(20).await;
    eventually("some arrive", HANG_LIMIT, async || consumer.count_messages() > 20).await;

    kafka.fail_writes();
    // A broker that cannot write its only disk stops by itself.
    eventually("the broker ends", HANG_LIMIT, async || kafka.has_ended()).await;
    wait_for_failed_batches(&instance, 1).await;
    load.wait_until_bought(20).await;
    assert_lag_is_shown(&instance).await;
    tokio::task::block_in_place(|| kafka.restart());
    let payments = load.stop().await;
    assert_all_arrived(&consumer, &instance, &sale, &payments).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_is_killed_five_times_while_it_sends_sends_everything() {
    let kafka = KafkaServer::start();
    let (mut instance, sale, tokens) = open_shop(&kafka, &kafka.proxied_address()).await;
    let consumer = KafkaConsumer::start(&kafka.address(), "test", EVENTS);
    let mut payments = Vec::new();
    for _ in 0..KILLS {
        payments.push(buy(&instance, &sale, &tokens[0]).await);
        assert_all_arrived(&consumer, &instance, &sale, &payments).await;
        wait_until_committed(&instance).await;
        // What the broker takes from now on, the shop does not know of when it is killed.
        kafka.proxy().stall_replies();
        let before = consumer.ids(&sale).len();
        for token in &tokens {
            payments.push(buy(&instance, &sale, token).await);
        }
        eventually("some arrive", HANG_LIMIT, async || consumer.ids(&sale).len() > before).await;
        instance.kill();
        kafka.proxy().heal();
        instance.launch().await;
    }
    assert_all_arrived(&consumer, &instance, &sale, &payments).await;
    assert!(consumer.count_repeats(&sale) >= KILLS, "each kill came before the reply of the broker");
}

/// Waits until the shop knows that Kafka has everything.
async fn wait_until_committed(instance: &ServerProcess) {
    eventually("everything is committed", ARRIVAL_LIMIT, async || {
        let followers = instance.get("/api/v1/admin/followers", Some(&instance.admin)).await;
        let mut items = followers["items"].as_array().unwrap().iter();
        let kafka = items.find(|item| text(item, "name") == "kafka").unwrap();
        kafka["eventsBehind"] == 0
    })
    .await;
}
