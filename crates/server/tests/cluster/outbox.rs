//! What an instance decided and did not record before it died is recorded once by the others, and a retry returns it.

use crate::flood::BuyerFlood;
use crate::topology::{ClusterLayout, RunningCluster, order_at};
use reqwest::StatusCode;
use sale::OrderId;
use serde_json::{Value, json};
use std::time::Duration;
use test_servers::wait::{HANG_LIMIT, eventually, eventually_some};

/// Orders that wait in the outbox when the instance dies.
const WAITING: usize = 8;

/// Decides some orders at the first instance, and kills it before any is recorded: the tokens of their buyers.
async fn kill_after_decision(topology: &mut RunningCluster, sale: &str, round: usize) -> Vec<String> {
    let order = json!({"flashSaleId": sale, "quantity": 1});
    let tokens = topology.buyers(WAITING);
    let frozen = topology.servers.postgres.freeze();
    let first = &topology.instances[0].process;
    let asking = tokens.iter().map(|token| {
        let request =
            first.client.post(format!("{}/api/v1/orders", first.url)).bearer_auth(token).json(&order);
        tokio::spawn(request.header("Idempotency-Key", format!("round-{round}")).send())
    });
    let asking: Vec<_> = asking.collect();
    let outbox = format!("doorbuster:{{{sale}}}:outbox");
    while topology.redis().request_number(&["XLEN", &outbox]) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    topology.instances[0].process.kill();
    for call in asking {
        let response = call.await.unwrap().map(|reply| reply.status());
        assert!(response.is_err(), "no caller got a reply: {response:?}");
    }
    drop(frozen);
    tokens
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_of_a_killed_instance_are_recorded_once_and_returned_to_a_repetition() {
    let mut topology = ClusterLayout::with_instances(3).workers(2).start().await;
    let sale = topology.sale().await;
    let mut sold = 0;
    for round in 0..4 {
        let tokens = kill_after_decision(&mut topology, &sale, round).await;
        let key = format!("round-{round}");
        for (no, token) in tokens.iter().enumerate() {
            let output = repeat_order(&topology, &sale, no % 2 + 1, token, &key).await;
            let again = repeat_order(&topology, &sale, (no + 1) % 2 + 1, token, &key).await;
            assert_eq!(output["id"], again["id"], "the same key is the same order");
            let orders = topology.orders_in_the_ledger(&sale).await;
            let order = OrderId(output["id"].as_str().unwrap().parse().unwrap());
            assert!(orders.contains_key(&order), "{order} was returned and is not recorded");
            sold += 1;
        }
        assert_eq!(topology.orders_in_the_ledger(&sale).await.len(), sold, "each once");
        topology.instances[0].process.launch().await;
    }
    topology.verify().await;
    topology.wait_until_recovered().await;
}

/// Asks another instance with the same key until there is an order.
async fn repeat_order(topology: &RunningCluster, sale: &str, at: usize, token: &str, key: &str) -> Value {
    let order = json!({"flashSaleId": sale, "quantity": 1});
    let process = &topology.instances[at].process;
    eventually_some("an order", HANG_LIMIT, async || {
        match order_at(process, token, Some(key), &order).await {
            Some((StatusCode::CREATED, body)) => Some(body),
            Some((StatusCode::SERVICE_UNAVAILABLE | StatusCode::CONFLICT, _)) | None => None,
            Some((status, body)) => panic!("{status} {body}"),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_without_a_repetition_are_recorded_too() {
    let mut topology = ClusterLayout::with_instances(2).workers(2).start().await;
    let sale = topology.sale().await;
    kill_after_decision(&mut topology, &sale, 0).await;
    eventually("a worker records what no buyer asks for", HANG_LIMIT, async || {
        !topology.orders_in_the_ledger(&sale).await.is_empty()
    })
    .await;
    topology.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_are_killed_delay_what_is_due_and_lose_nothing() {
    let mut topology = ClusterLayout::with_instances(2).workers(2).start().await;
    let sale = topology.sale().await;
    let flood = BuyerFlood::start_at_all(&topology, &sale);
    for no in [0, 1, 0, 1] {
        flood.wait_until_sold(50).await;
        topology.workers[no].process.kill();
        flood.wait_until_sold(50).await;
        topology.workers[no].process.launch().await;
    }
    topology.assert_promises_kept(&sale, &flood.stop().await).await;
    topology.assert_line_sells_out().await;
}
