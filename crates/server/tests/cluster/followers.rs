//! Kafka and mail of a cluster, whose workers share the followers by name: the worker that sends is killed in the middle, two workers both
//! believe that they hold the lock, and the database fails over. Afterwards Kafka has every event, and each mail arrived as is promised.

use crate::real::crowd::BuyerCrowd;
use crate::real::instance::{ServerProcess, text};
use crate::receivers::kafka::KafkaConsumer;
use crate::receivers::mails::assert_mails_match;
use crate::receivers::records::ShopAccess;
use crate::topology::{ClusterLayout, RunningCluster};
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;
use test_servers::kafka::KafkaServer;
use test_servers::mail::{HeldReplies, MailServer};
use test_servers::wait::{HANG_LIMIT, eventually};

/// Ends a test that hangs: after an outage a follower waits for up to half a minute before it tries again.
const ARRIVAL_LIMIT: Duration = HANG_LIMIT.saturating_mul(2);
const BUYERS: usize = 8;

/// A cluster whose two workers send to Kafka and by mail, and a sale.
struct SendingCluster {
    topology: RunningCluster,
    kafka: KafkaServer,
    mail: MailServer,
    consumer: KafkaConsumer,
    sale: String,
    buyers: Vec<String>,
}

impl SendingCluster {
    async fn start() -> Self {
        let (kafka, mail) = (KafkaServer::start(), MailServer::start());
        let (broker, relay) = (kafka.proxied_address(), mail.url());
        let flags = ["--public-url", "https://shop.example", "--kafka", &broker, "--smtp", &relay];
        let more = ["--kafka-create-topics", "partitions=3", "--mail-from", "shop@shop.example"];
        let flags = [&flags[..], &more, &["--mail-rate", "1000/1s"]].concat();
        let topology = ClusterLayout::with_instances(2).workers(2).all_with(&flags).start().await;
        let wanted = json!({
            "quantity": 1_000_000, "holdSeconds": 300, "limitPerBuyer": 1_000_000, "admission": {"type": "open"},
        });
        let sale = topology.create_sale(&wanted).await;
        let buyers = BuyerCrowd::register(&topology.instances[0].process, BUYERS).await.tokens;
        let consumer = KafkaConsumer::start(&kafka.address(), "test", "doorbuster.events");
        Self { topology, kafka, mail, consumer, sale, buyers }
    }

    /// Each buyer buys and pays at one of the instances, and one gets the money back.
    async fn buy(&self) {
        let order = json!({"flashSaleId": self.sale, "quantity": 1});
        let buying = self.buyers.iter().enumerate().map(async |(no, token)| {
            let process = self.topology.processes()[no % 2];
            let order = text(&process.post("/api/v1/orders", &order, Some(token)).await, "id");
            let pay = format!("/api/v1/orders/{order}/pay");
            process.post(&pay, &json!({"method": "sandbox:approve"}), Some(token)).await;
            order
        });
        let orders = futures::future::join_all(buying).await;
        let first = &self.topology.instances[0].process;
        let refund = format!("/api/v1/admin/orders/{}/refund", orders[0]);
        first.post(&refund, &json!({"restock": false}), Some(&first.admin)).await;
    }

    /// Buys, and returns when messages and mails of it are under way, which cannot end until they are released: Kafka gets messages and
    /// the relay gets mails, and neither replies.
    async fn buy_with_stuck_deliveries(&self) -> HeldReplies {
        self.kafka.proxy().stall_replies();
        let replies = self.mail.hold_replies();
        let (before, mails) = (self.consumer.ids(&self.sale).len(), self.mail.list_mails().len());
        self.buy().await;
        let has_new = async || self.consumer.ids(&self.sale).len() > before;
        eventually("messages are under way", HANG_LIMIT, has_new).await;
        eventually("mails are under way", HANG_LIMIT, async || self.mail.list_mails().len() > mails).await;
        replies
    }

    fn release_deliveries(&self, replies: HeldReplies) {
        drop(replies);
        self.kafka.proxy().heal();
    }

    /// The mails that a dead process was sending are not sent before its lease ends: lets 23 minutes pass for them.
    fn end_mail_leases(&self) {
        let statement = "UPDATE mails SET lease_until = 0 WHERE state = 'waiting' AND lease IS NOT NULL";
        self.topology.servers.postgres.run_sql(&self.topology.database, statement);
    }

    /// Wants Kafka to have everything, and each mail to have come, or to have come once more where a process was sending it that died.
    async fn assert_all_arrived(&self, kills: usize) {
        self.consumer.assert_all_arrived(&self.access(), &self.sale, ARRIVAL_LIMIT).await;
        assert_mails_match(&self.access(), &[&self.sale], &self.mail, kills).await;
    }

    fn access(&self) -> ShopAccess {
        let first = &self.topology.instances[0].process;
        let (url, admin) = (first.url.clone(), first.admin.clone());
        ShopAccess { url, admin, database: self.topology.database.clone() }
    }

    /// Wants one worker to show the mails that wait, and the other to show none.
    async fn assert_one_shows_waiting_mails(&self) {
        let count = async |worker: &ServerProcess| -> u64 {
            let metrics = worker.client.get(worker.metrics_url()).send().await.unwrap().text().await.unwrap();
            let count = metrics.lines().find_map(|line| line.strip_prefix("doorbuster_mails_waiting "));
            count.unwrap_or_else(|| panic!("no mails_waiting in {metrics}")).parse().unwrap()
        };
        let [first, second] = &self.topology.workers[..] else { panic!("two workers") };
        eventually("one worker shows the mails that wait", HANG_LIMIT, async || {
            let counts = [count(&first.process).await, count(&second.process).await];
            counts.contains(&0) && counts.iter().any(|count| *count > 0)
        })
        .await;
    }

    /// The advisory locks that are held, which all are of followers, and the processes of PostgreSQL that hold them.
    fn list_locks(&self) -> (HashSet<String>, HashSet<String>) {
        let rows = self.topology.servers.postgres.run_sql(
            &self.topology.database,
            "SELECT classid, objid, pid FROM pg_locks WHERE locktype = 'advisory' AND granted",
        );
        rows.lines()
            .map(|row| row.rsplit_once('|').unwrap())
            .map(|(lock, pid)| (lock.to_owned(), pid.to_owned()))
            .unzip()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_in_the_middle_of_messages_and_mails_leaves_them_to_another() {
    let mut cluster = SendingCluster::start().await;
    cluster.buy().await;
    cluster.assert_all_arrived(0).await;
    // One of the two sends: each is killed once, and the other is there.
    for worker in 0..2 {
        let replies = cluster.buy_with_stuck_deliveries().await;
        cluster.topology.workers[worker].process.kill();
        cluster.end_mail_leases();
        cluster.release_deliveries(replies);
        cluster.buy().await;
        cluster.assert_all_arrived(1).await;
        cluster.topology.workers[worker].process.launch().await;
    }
    assert!(cluster.consumer.count_repeats(&cluster.sale) > 0, "the other worker sent a batch again");
    cluster.topology.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_that_both_believe_they_hold_the_locks_send_each_mail_once_and_no_event_too_few() {
    let cluster = SendingCluster::start().await;
    cluster.buy().await;
    cluster.assert_all_arrived(0).await;
    for _ in 0..2 {
        let replies = cluster.buy_with_stuck_deliveries().await;
        cluster.assert_one_shows_waiting_mails().await;
        // The locks end with their connections. The worker that waits for Kafka does not notice, and the other one takes its lock.
        let (locks, holders) = cluster.list_locks();
        let holders: Vec<&str> = holders.iter().map(String::as_str).collect();
        for holder in &holders {
            let statement = format!("SELECT pg_terminate_backend({holder})");
            cluster.topology.servers.postgres.run_sql(&cluster.topology.database, &statement);
        }
        eventually("each lock has another holder", HANG_LIMIT, async || {
            let (held, by) = cluster.list_locks();
            locks.is_subset(&held) && holders.iter().all(|holder| !by.contains(*holder))
        })
        .await;
        cluster.release_deliveries(replies);
        cluster.buy().await;
        cluster.assert_all_arrived(0).await;
    }
    assert!(cluster.consumer.count_repeats(&cluster.sale) > 0, "both sent a batch");
    cluster.topology.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_and_mails_go_on_after_the_database_was_killed_while_they_were_sent() {
    let mut cluster = SendingCluster::start().await;
    cluster.buy().await;
    cluster.assert_all_arrived(0).await;
    for _ in 0..2 {
        let replies = cluster.buy_with_stuck_deliveries().await;
        tokio::task::block_in_place(|| {
            cluster.topology.servers.postgres.kill();
            cluster.topology.servers.postgres.launch();
        });
        cluster.release_deliveries(replies);
        cluster.topology.wait_until_recovered().await;
        cluster.buy().await;
        // A mail whose sending could not be recorded is sent again when its lease ends.
        cluster.end_mail_leases();
        cluster.assert_all_arrived(1).await;
    }
    cluster.topology.verify().await;
}
