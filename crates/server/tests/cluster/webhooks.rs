//! Webhooks of a cluster: the worker that sends is killed in the middle, and the database fails over. Every event arrives once or more,
//! and none is invented.

use crate::real::instance::{ServerProcess, text};
use crate::topology::{ClusterLayout, RunningCluster, order_at};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use test_servers::receiver::{ReceiverAction, WebhookReceiver};
use test_servers::wait::{HANG_LIMIT, eventually};

const FLAGS: [&str; 5] = [
    "--public-url",
    "https://shop.example",
    "--webhooks-allow-http",
    "--webhooks-allow-private",
    "127.0.0.1",
];
/// Long enough that a kill finds deliveries without a reply.
const SLOW: Duration = Duration::from_millis(200);
/// Orders of one step of a test.
const ORDERS: usize = 20;

/// A cluster with workers, a slow receiver of confirmed orders, and a sale.
async fn start(workers: usize) -> (RunningCluster, WebhookReceiver, String) {
    let topology = ClusterLayout::with_instances(2).workers(workers).all_with(&FLAGS).start().await;
    let receiver = WebhookReceiver::start(|_, _| ReceiverAction::Delay(SLOW, 204));
    let first = &topology.instances[0].process;
    let sale = topology.sale().await;
    let body = json!({"url": receiver.url("/hooks"), "types": ["order.confirmed"], "flashSaleIds": [sale]});
    first.post("/api/v1/admin/webhooks", &body, Some(&first.admin)).await;
    (topology, receiver, sale)
}

/// Buys at all instances, each order until it is answered; an answer that was lost may have sold one more.
async fn buy(topology: &RunningCluster, sale: &str) {
    let order = json!({"flashSaleId": sale, "quantity": 1});
    for (no, token) in topology.buyers(ORDERS).into_iter().enumerate() {
        let process = topology.processes()[no % 2];
        eventually("an order is confirmed", HANG_LIMIT, async || {
            let reply = order_at(process, &token, Some("one"), &order).await;
            reply.is_some_and(|(status, _)| status.is_success())
        })
        .await;
    }
}

/// The ids of the confirmed orders' events, from the ledger.
async fn confirmed_ids(process: &ServerProcess, sale: &str) -> BTreeSet<String> {
    let (mut ids, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let path = format!("/api/v1/admin/flash-sales/{sale}/events?limit=200{cursor}");
        let page = process.get(&path, Some(&process.admin)).await;
        let items = page["items"].as_array().unwrap().iter();
        let confirmed = items.filter(|event: &&Value| event["type"] == "doorbuster.order.confirmed");
        ids.extend(confirmed.map(|event| text(event, "id")));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

fn received_ids(receiver: &WebhookReceiver) -> BTreeSet<String> {
    receiver.requests().iter().map(|request| request.headers["webhook-id"].clone()).collect()
}

/// Waits until the receiver has all that the ledger has, and wants nothing else to have come.
async fn assert_all_arrived(topology: &RunningCluster, receiver: &WebhookReceiver, sale: &str) {
    let recorded = confirmed_ids(topology.processes()[0], sale).await;
    eventually("every event has arrived", HANG_LIMIT, async || recorded.is_subset(&received_ids(receiver)))
        .await;
    assert_eq!(received_ids(receiver), recorded, "none is invented");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_in_the_middle_of_deliveries_leaves_them_to_another() {
    let (mut topology, receiver, sale) = start(2).await;
    // One of the two sends: each is killed once, and the other is there.
    for worker in 0..2 {
        let before = receiver.count_requests();
        buy(&topology, &sale).await;
        eventually("some are under way", HANG_LIMIT, async || receiver.count_requests() > before + 2).await;
        topology.workers[worker].process.kill();
        buy(&topology, &sale).await;
        assert_all_arrived(&topology, &receiver, &sale).await;
        topology.workers[worker].process.launch().await;
    }
    buy(&topology, &sale).await;
    assert_all_arrived(&topology, &receiver, &sale).await;
    topology.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_go_on_after_the_database_was_killed_while_they_were_sent() {
    let (mut topology, receiver, sale) = start(2).await;
    for _ in 0..2 {
        let before = receiver.count_requests();
        buy(&topology, &sale).await;
        eventually("some are under way", HANG_LIMIT, async || receiver.count_requests() > before + 2).await;
        tokio::task::block_in_place(|| {
            topology.servers.postgres.kill();
            topology.servers.postgres.launch();
        });
        topology.wait_until_recovered().await;
        buy(&topology, &sale).await;
        assert_all_arrived(&topology, &receiver, &sale).await;
    }
    topology.verify().await;
}
