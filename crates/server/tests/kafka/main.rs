//! Events on a real Kafka, read by a client that nobody here wrote: everything arrives, in order for each key, through kills of the broker
//! and of the process; and what a wrong topic or a wrong option does.

#![expect(clippy::unwrap_used, reason = "a test program: what fails ends it")]

#[path = "../real/mod.rs"]
#[expect(dead_code, reason = "the tests of whole drops use more")]
mod real;

#[path = "../receivers/mod.rs"]
#[expect(dead_code, reason = "the tests of mails use more")]
mod receivers;

mod outages;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use real::crowd::BuyerCrowd;
use real::instance::{ServerProcess, text};
use receivers::kafka::{KafkaConsumer, install_client};
use receivers::records::{SaleRecords, ShopAccess};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use test_servers::kafka::KafkaServer;
use test_servers::wait::{HANG_LIMIT, eventually};

const EVENTS: &str = "doorbuster.events";
const ATTEMPTS: &str = "flashsale.attempts";
/// Ends a test that hangs: after an outage a follower waits for up to half a minute before it tries again.
const ARRIVAL_LIMIT: Duration = HANG_LIMIT.saturating_mul(2);

/// Buys a unit and pays for it: the payment's id.
async fn buy(instance: &ServerProcess, sale: &str, token: &str) -> String {
    let order = json!({"flashSaleId": sale, "quantity": 1});
    let order = text(&instance.post("/api/v1/orders", &order, Some(token)).await, "id");
    let path = format!("/api/v1/orders/{order}/pay");
    let paid = instance.post(&path, &json!({"method": "sandbox:approve"}), Some(token)).await;
    text(&paid["payment"], "id")
}

/// The ids of a sale's events, from the ledger.
async fn ledger_ids(instance: &ServerProcess, sale: &str) -> Vec<String> {
    SaleRecords::read(&shop_access(instance), sale).await.ledger_ids()
}

/// Where the judges read what an instance has recorded.
fn shop_access(instance: &ServerProcess) -> ShopAccess {
    let (url, admin) = (instance.url.clone(), instance.admin.clone());
    ShopAccess { url, admin, database: instance.database_url() }
}

/// Waits until the consumer has everything that is recorded of a sale, judges it, and wants the captured payments to be these: those that
/// buyers were told of.
async fn assert_all_arrived(
    consumer: &KafkaConsumer,
    instance: &ServerProcess,
    sale: &str,
    payments: &[String],
) {
    consumer.assert_all_arrived(&shop_access(instance), sale, ARRIVAL_LIMIT).await;
    let captured: HashSet<String> = payments.iter().map(|id| format!("payments/{id}/captured")).collect();
    let arrived = consumer.ids(sale).into_iter().filter(|id| id.starts_with("payments/"));
    assert_eq!(arrived.collect::<HashSet<String>>(), captured);
}

fn admin_client(kafka: &KafkaServer) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", kafka.address()).create().unwrap()
}

async fn create_topic(kafka: &KafkaServer, name: &str) {
    let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
    let made = admin_client(kafka).create_topics([&topic], &AdminOptions::new()).await.unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_in_order_through_kills_of_the_process_and_of_the_broker() {
    let mut kafka = KafkaServer::start();
    let broker = kafka.address();
    let flags = ["--limits", "off", "--kafka", &broker, "--kafka-create-topics", "partitions=3"];
    let flags = [&flags[..], &["--public-url", "https://shop.example"]].concat();
    let mut instance = ServerProcess::with(&flags).await;
    let sale = instance.sale(60, 300, &json!({"type": "open"})).await;
    let tokens = BuyerCrowd::register(&instance, 60).await.tokens;
    let mut payments = Vec::new();
    for token in &tokens[..20] {
        payments.push(buy(&instance, &sale, token).await);
    }
    let consumer = KafkaConsumer::start(&broker, "test", EVENTS);
    // In the middle of its deliveries.
    instance.kill();
    instance.launch().await;
    for token in &tokens[20..30] {
        payments.push(buy(&instance, &sale, token).await);
    }
    assert_all_arrived(&consumer, &instance, &sale, &payments).await;

    // Selling goes on without a broker.
    kafka.kill();
    for token in &tokens[30..50] {
        payments.push(buy(&instance, &sale, token).await);
    }
    instance.kill();
    instance.launch().await;
    kafka.restart();
    for token in &tokens[50..] {
        payments.push(buy(&instance, &sale, token).await);
    }
    assert_all_arrived(&consumer, &instance, &sale, &payments).await;
    let sold_out = || consumer.ids(&sale).iter().filter(|id| id.ends_with("/sold-out")).count();
    eventually("it is sold out", HANG_LIMIT, async || sold_out() == 1).await;

    let confirmed = consumer.messages();
    let confirmed = confirmed.iter().find(|message| {
        message["headers"]["ce_type"] == "doorbuster.order.confirmed" && message["key"] == sale.as_str()
    });
    let message = confirmed.unwrap();
    assert_eq!(message["headers"]["content-type"], "application/json");
    assert_eq!(message["headers"]["ce_specversion"], "1.0");
    assert_eq!(message["headers"]["ce_source"], "https://shop.example");
    let data: Value = serde_json::from_str(message["value"].as_str().unwrap()).unwrap();
    assert_eq!((&data["saleId"], &data["product"]["name"]), (&json!(sale), &json!("Lamp")));
    assert!(data["buyerEmail"].is_null() && data["version"].is_u64(), "{data}");

    // The consumers of design C: a message for each accepted attempt, by the number of the account.
    let workers = KafkaConsumer::start(&broker, "flash-sale-worker-group", ATTEMPTS);
    eventually("every attempt has arrived", HANG_LIMIT, async || {
        let users: std::collections::BTreeSet<String> =
            workers.messages().iter().map(|message| text(message, "key")).collect();
        users.len() == 60
    })
    .await;
    for message in workers.messages() {
        let attempt: Value = serde_json::from_str(message["value"].as_str().unwrap()).unwrap();
        assert_eq!(attempt["userId"], message["key"]);
        assert_eq!((&attempt["productId"], &attempt["saleId"]), (&json!("1"), &json!("1")));
        assert!(attempt["timestamp"].as_str().unwrap().ends_with('Z'), "{attempt}");
        assert_eq!(message["headers"], json!({}));
    }
    instance.stop_gently().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_topic_holds_up_only_its_own_events_and_a_deleted_one_is_made_again() {
    let kafka = KafkaServer::start();
    let broker = kafka.address();
    create_topic(&kafka, ATTEMPTS).await;
    let mut instance = ServerProcess::with(&["--limits", "off", "--kafka", &broker]).await;
    let sale = instance.sale(10, 300, &json!({"type": "open"})).await;
    let tokens = BuyerCrowd::register(&instance, 4).await.tokens;
    let mut payments = vec![buy(&instance, &sale, &tokens[0]).await];
    let workers = KafkaConsumer::start(&broker, "flash-sale-worker-group", ATTEMPTS);
    eventually("the attempt has arrived", HANG_LIMIT, async || workers.messages().len() == 1).await;
    eventually("the log says what to do", HANG_LIMIT, async || {
        instance.log().contains(&format!("the topic {EVENTS} took no messages; make the topic"))
    })
    .await;
    create_topic(&kafka, EVENTS).await;
    let consumer = KafkaConsumer::start(&broker, "test", EVENTS);
    assert_all_arrived(&consumer, &instance, &sale, &payments).await;
    drop(consumer);
    instance.stop_gently().await;

    instance.flags.extend(["--kafka-create-topics", "partitions=1"].map(str::to_owned));
    instance.launch().await;
    payments.push(buy(&instance, &sale, &tokens[1]).await);
    let deleted = admin_client(&kafka).delete_topics(&[EVENTS], &AdminOptions::new()).await.unwrap();
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    let last = buy(&instance, &sale, &tokens[2]).await;
    let consumer = KafkaConsumer::start(&broker, "after", EVENTS);
    let captured = format!("payments/{last}/captured");
    eventually("the topic is made again", HANG_LIMIT, async || consumer.ids(&sale).contains(&captured)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_lost_its_disk_gets_new_events_and_all_of_them_after_a_rewind() {
    let mut kafka = KafkaServer::start();
    let broker = kafka.address();
    let flags = ["--limits", "off", "--kafka", &broker, "--kafka-create-topics", "partitions=1"];
    let instance = ServerProcess::with(&flags).await;
    let sale = instance.sale(20, 300, &json!({"type": "open"})).await;
    let tokens = BuyerCrowd::register(&instance, 6).await.tokens;
    let mut payments = Vec::new();
    for token in &tokens[..3] {
        payments.push(buy(&instance, &sale, token).await);
    }
    let consumer = KafkaConsumer::start(&broker, "before", EVENTS);
    assert_all_arrived(&consumer, &instance, &sale, &payments).await;
    drop(consumer);
    kafka.restart_empty();
    let mut later = Vec::new();
    for token in &tokens[3..] {
        later.push(buy(&instance, &sale, token).await);
    }
    // The topic is made again, with what has happened since.
    let consumer = KafkaConsumer::start(&broker, "after", EVENTS);
    let captured: Vec<String> = later.iter().map(|id| format!("payments/{id}/captured")).collect();
    eventually("what is new has arrived", HANG_LIMIT, async || {
        let ids = consumer.ids(&sale);
        captured.iter().all(|id| ids.contains(id))
    })
    .await;
    drop(consumer);
    let body = json!({"flashSaleId": sale, "seq": 0});
    instance.post("/api/v1/admin/followers/kafka/rewind", &body, Some(&instance.admin)).await;
    let mut due = ledger_ids(&instance, &sale).await;
    due.extend(payments.iter().chain(&later).map(|id| format!("payments/{id}/captured")));
    let consumer = KafkaConsumer::start(&broker, "rewound", EVENTS);
    eventually("everything has arrived again", HANG_LIMIT, async || {
        let ids = consumer.ids(&sale);
        due.iter().all(|id| ids.contains(id))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_large_holds_up_its_own_topic_until_that_takes_it() {
    let kafka = KafkaServer::start();
    let broker = kafka.address();
    create_topic(&kafka, ATTEMPTS).await;
    let topic = NewTopic::new(EVENTS, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "200");
    let made = admin_client(&kafka).create_topics([&topic], &AdminOptions::new()).await.unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    let instance = ServerProcess::with(&["--limits", "off", "--kafka", &broker]).await;
    let sale = instance.sale(10, 300, &json!({"type": "open"})).await;
    let token = BuyerCrowd::register(&instance, 1).await.tokens.remove(0);
    let payments = vec![buy(&instance, &sale, &token).await];
    let workers = KafkaConsumer::start(&broker, "flash-sale-worker-group", ATTEMPTS);
    eventually("the attempt has arrived", HANG_LIMIT, async || workers.messages().len() == 1).await;
    let advice = format!("the topic {EVENTS} took no messages; raise max.message.bytes");
    eventually("the log says what to do", HANG_LIMIT, async || instance.log().contains(&advice)).await;
    let failing = instance.get("/api/v1/admin/followers", Some(&instance.admin)).await;
    let failing = failing["items"].as_array().unwrap().iter().find(|item| item["name"] == "kafka");
    let failure = &failing.unwrap()["failure"];
    assert!(text(failure, "reason").contains(&advice) && failure["endedAt"].is_null(), "{failure}");

    let deleted = admin_client(&kafka).delete_topics(&[EVENTS], &AdminOptions::new()).await.unwrap();
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    // Until the old one is gone, the name is taken.
    eventually("a wider topic is made", HANG_LIMIT, async || {
        let topic = NewTopic::new(EVENTS, 1, TopicReplication::Fixed(1));
        let made = admin_client(&kafka).create_topics([&topic], &AdminOptions::new()).await.unwrap();
        made.iter().all(Result::is_ok)
    })
    .await;
    let consumer = KafkaConsumer::start(&broker, "test", EVENTS);
    assert_all_arrived(&consumer, &instance, &sale, &payments).await;
    eventually("the outage is over", HANG_LIMIT, async || {
        let followers = instance.get("/api/v1/admin/followers", Some(&instance.admin)).await;
        let mut items = followers["items"].as_array().unwrap().iter();
        items.any(|item| item["name"] == "kafka" && item["failure"]["endedAt"].is_string())
    })
    .await;
}

/// Forbids (`deny`) or allows everyone to write to a topic.
fn change_rights(broker: &str, action: &str, topic: &str) {
    let mut node = Command::new("node");
    let output = node.current_dir(install_client()).args(["rights.mjs", broker, action, topic]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_may_not_be_written_is_named_and_gets_everything_once_it_may() {
    let kafka = KafkaServer::start_with(&[
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found=true",
    ]);
    let broker = kafka.address();
    create_topic(&kafka, EVENTS).await;
    create_topic(&kafka, ATTEMPTS).await;
    change_rights(&broker, "deny", EVENTS);
    let instance = ServerProcess::with(&["--limits", "off", "--kafka", &broker]).await;
    let sale = instance.sale(10, 300, &json!({"type": "open"})).await;
    let token = BuyerCrowd::register(&instance, 1).await.tokens.remove(0);
    let payments = vec![buy(&instance, &sale, &token).await];
    let workers = KafkaConsumer::start(&broker, "flash-sale-worker-group", ATTEMPTS);
    eventually("the attempt has arrived", HANG_LIMIT, async || workers.messages().len() == 1).await;
    let advice = format!("the topic {EVENTS} took no messages; allow the user to write to the topic");
    eventually("the log says what to do", HANG_LIMIT, async || instance.log().contains(&advice)).await;
    change_rights(&broker, "allow", EVENTS);
    let consumer = KafkaConsumer::start(&broker, "test", EVENTS);
    assert_all_arrived(&consumer, &instance, &sale, &payments).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_named_in_the_words_of_the_broker_until_it_is_right() {
    // The listener behind the proxy wants a password.
    let kafka = KafkaServer::start_with(&[
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms=PLAIN",
        "listener.name.proxied.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
         user_shop=\"right-word\";",
    ]);
    let broker = kafka.proxied_address();
    let options = tempfile::tempdir().unwrap();
    let file = options.path().join("kafka.options");
    let write_password = |password: &str| {
        let lines =
            ["security.protocol=sasl_plaintext", "sasl.mechanism=PLAIN", "sasl.username=shop"].join("\n");
        std::fs::write(&file, format!("{lines}\nsasl.password={password}\n")).unwrap();
    };
    write_password("wrong-word");
    let flags = ["--limits", "off", "--kafka", &broker, "--kafka-create-topics", "partitions=1"];
    let flags = [&flags[..], &["--kafka-options-file", file.to_str().unwrap()]].concat();
    let mut instance = ServerProcess::with(&flags).await;
    let sale = instance.sale(10, 300, &json!({"type": "open"})).await;
    let token = BuyerCrowd::register(&instance, 1).await.tokens.remove(0);
    let payments = vec![buy(&instance, &sale, &token).await];
    let advice = format!("the topic {EVENTS} took no messages; correct the user, the password");
    eventually("the log says what to do", HANG_LIMIT, async || instance.log().contains(&advice)).await;
    let followers = instance.get("/api/v1/admin/followers", Some(&instance.admin)).await;
    let failing = followers["items"].as_array().unwrap().iter().find(|item| item["name"] == "kafka");
    let reason = text(&failing.unwrap()["failure"], "reason");
    assert!(reason.contains(&advice) && reason.contains("SASL authentication error"), "{reason}");
    assert!(!instance.log().contains("wrong-word"), "{}", instance.log());

    instance.stop_gently().await;
    write_password("right-word");
    instance.launch().await;
    let consumer = KafkaConsumer::start(&kafka.address(), "test", EVENTS);
    assert_all_arrived(&consumer, &instance, &sale, &payments).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_was_set_back_is_sent_again_with_other_ids_where_it_differs() {
    let kafka = KafkaServer::start();
    let broker = kafka.address();
    let flags = ["--limits", "off", "--kafka", &broker, "--kafka-create-topics", "partitions=1"];
    let mut instance = ServerProcess::with(&flags).await;
    let sale = instance.sale(50, 0, &json!({"type": "open"})).await;
    let tokens = BuyerCrowd::register(&instance, 9).await.tokens;
    let order = json!({"flashSaleId": sale, "quantity": 1});
    let buy_with = async |instance: &ServerProcess, tokens: &[String]| {
        for token in tokens {
            instance.post("/api/v1/orders", &order, Some(token)).await;
        }
    };
    buy_with(&instance, &tokens[..3]).await;
    instance.stop_gently().await;
    let backup = tempfile::tempdir().unwrap();
    copy_ledger(&instance.data(), backup.path());
    instance.launch().await;
    buy_with(&instance, &tokens[3..6]).await;
    let lost = ledger_ids(&instance, &sale).await;
    let consumer = KafkaConsumer::start(&broker, "test", EVENTS);
    eventually("every event has arrived", HANG_LIMIT, async || {
        let ids = consumer.ids(&sale);
        lost.iter().all(|id| ids.contains(id))
    })
    .await;
    // The tables, and so the offset, are newer than the ledger that is put back.
    instance.stop_gently().await;
    copy_ledger(backup.path(), &instance.data());
    instance.flags.push("--accept-older-ledger".to_owned());
    instance.launch().await;
    buy_with(&instance, &tokens[6..]).await;
    let due = ledger_ids(&instance, &sale).await;
    let differing: Vec<&String> = due.iter().filter(|id| !lost.contains(id)).collect();
    assert!(differing.len() >= 3, "other facts have other ids: {due:?} {lost:?}");
    eventually("what the ledger has now has arrived", HANG_LIMIT, async || {
        let ids = consumer.ids(&sale);
        due.iter().all(|id| ids.contains(id))
    })
    .await;
    let ids = consumer.ids(&sale);
    let of_ledger: Vec<&String> = ids.iter().filter(|id| due.contains(id)).collect();
    assert_eq!(of_ledger, due.iter().collect::<Vec<&String>>(), "in the order of the ledger");
}

/// Copies the ledger of an instance that does not run, with its log, in place of the one that is there.
fn copy_ledger(from: &Path, to: &Path) {
    for folder in [to, from] {
        for file in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = file.file_name().into_string().unwrap();
            if !name.starts_with("ledger.db") {
                continue;
            }
            if folder == to {
                std::fs::remove_file(file.path()).unwrap();
            } else {
                std::fs::copy(file.path(), to.join(name)).unwrap();
            }
        }
    }
}

#[test]
fn an_option_that_the_client_refuses_is_a_usage_error_with_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |option: &str| {
        Command::new(env!("CARGO_BIN_EXE_doorbuster"))
            .args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"))
            .args(["--kafka", "127.0.0.1:1", "--kafka-option", option])
            .output()
            .unwrap()
    };
    for (option, words) in [
        ("no.such.option=1", "No such configuration property"),
        ("compression.type=paper", "compression.type"),
        ("nothing", "key=value"),
    ] {
        let output = serve(option);
        let printed = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{printed}");
        assert!(printed.contains("--kafka-option") && printed.contains(words), "{printed}");
    }
    assert!(!folder.path().join("data").exists(), "nothing was made");
}
