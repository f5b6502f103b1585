//! Instances share sales, counters, limits and idempotency keys.

use crate::topology::{ClusterLayout, RunningCluster, order_until_answered, wait_for_sale};
use engine::clock::start_stopwatch;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;
use test_servers::wait::{HANG_LIMIT, eventually};

/// 250 ms are promised; polling for it and the replies take a moment more.
const VISIBLE_WITHIN: Duration = Duration::from_millis(500);

/// Waits until an instance shows a sale so, and wants that to be soon.
async fn assert_soon_visible(
    topology: &RunningCluster,
    at: usize,
    sale: &str,
    is_so: impl Fn(&Value) -> bool,
) {
    let started = start_stopwatch();
    wait_for_sale(&topology.instances[at].process, sale, is_so).await;
    let took = started.elapsed();
    let limit = topology.delay.extend(VISIBLE_WITHIN);
    assert!(took < limit, "instance {at} shows it after {took:?}, and {limit:?} are allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_instance_sold_the_others_show_at_once() {
    let topology = ClusterLayout::with_instances(3).start().await;
    let sale = topology.sale().await;
    let order = json!({"flashSaleId": sale, "quantity": 1});
    for (sold, token) in (1..).zip(topology.buyers(20)) {
        topology.instances[0].process.post("/api/v1/orders", &order, Some(&token)).await;
        for at in [1, 2] {
            assert_soon_visible(&topology, at, &sale, |shown| shown["sold"] == sold).await;
        }
    }
    topology.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_merchant_does_at_one_instance_holds_at_all() {
    let topology = ClusterLayout::with_instances(3).start().await;
    let [first, second, third] = topology.processes()[..] else { panic!("three instances") };
    let wanted = json!({"quantity": 5, "holdSeconds": 0, "admission": {"type": "open"}});
    let sale = first.create_sale(&wanted).await;
    assert_soon_visible(&topology, 1, &sale, |shown| shown["quantity"] == 5 && shown["status"] == "active")
        .await;
    let admin = format!("/api/v1/admin/flash-sales/{sale}");
    let edit = first.client.patch(format!("{}{admin}", first.url)).bearer_auth(&first.admin);
    let edited = edit.json(&json!({"quantity": 7})).send().await.unwrap();
    assert!(edited.status().is_success(), "{}", edited.text().await.unwrap());
    assert_soon_visible(&topology, 1, &sale, |shown| shown["quantity"] == 7).await;

    second.post(&format!("{admin}/pause"), &json!({}), Some(&second.admin)).await;
    assert_soon_visible(&topology, 0, &sale, |shown| shown["status"] == "paused").await;
    let order = json!({"flashSaleId": sale, "quantity": 1});
    let token = topology.buyers(1).remove(0);
    let (status, body) = order_until_answered(third, &token, "one", &order).await;
    assert_eq!((status.as_u16(), body["code"].as_str()), (409, Some("paused")), "{body}");
    third.post(&format!("{admin}/resume"), &json!({}), Some(&third.admin)).await;
    assert_soon_visible(&topology, 0, &sale, |shown| shown["status"] == "active").await;
    let (status, body) = order_until_answered(first, &token, "one", &order).await;
    assert_eq!(status, 201, "{body}");
    first.post(&format!("{admin}/close"), &json!({}), Some(&first.admin)).await;
    assert_soon_visible(&topology, 2, &sale, |shown| shown["status"] == "closed").await;
    topology.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_holds_over_all_instances_and_a_key_is_one_key() {
    let topology = ClusterLayout::with_instances(3).start().await;
    let wanted =
        json!({"quantity": 1_000, "holdSeconds": 0, "limitPerBuyer": 2, "admission": {"type": "open"}});
    let sale = topology.create_sale(&wanted).await;
    let order = json!({"flashSaleId": sale, "quantity": 1});
    for token in topology.buyers(30) {
        // Nine clicks at once, three at each instance.
        let keys: Vec<String> = (0..9).map(|no| format!("click-{no}")).collect();
        let clicks = keys
            .iter()
            .enumerate()
            .map(|(no, key)| order_until_answered(topology.processes()[no % 3], &token, key, &order));
        let output = futures::future::join_all(clicks).await;
        let bought = output.iter().filter(|(status, _)| *status == 201).count();
        assert_eq!(bought, 2, "{output:?}");
        let refused = output.iter().filter(|(_, body)| body["code"] == "limit_reached").count();
        assert_eq!(refused, 7, "{output:?}");
    }
    let sale = topology.sale().await;
    let order = json!({"flashSaleId": sale, "quantity": 1});
    for token in topology.buyers(30) {
        let clicks =
            (0..6).map(|no| order_until_answered(topology.processes()[no % 3], &token, "the key", &order));
        let output = futures::future::join_all(clicks).await;
        let ids: HashSet<String> = output
            .iter()
            .filter(|(status, _)| *status == 201)
            .map(|(_, body)| body["id"].to_string())
            .collect();
        assert_eq!(ids.len(), 1, "{output:?}");
        let others = output.iter().filter(|(status, _)| *status != 201);
        assert!(others.clone().all(|(_, body)| body["code"] == "request_in_flight"), "{output:?}");
        let other_order = json!({"flashSaleId": sale, "quantity": 2});
        let (status, body) =
            order_until_answered(topology.processes()[2], &token, "the key", &other_order).await;
        assert_eq!((status.as_u16(), body["code"].as_str()), (422, Some("key_reused")), "{body}");
    }
    assert_eq!(topology.orders_in_the_ledger(&sale).await.len(), 30);
    topology.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_and_sessions_are_known_everywhere() {
    let topology = ClusterLayout::with_instances(3).start().await;
    let [first, second, third] = topology.processes()[..] else { panic!("three instances") };
    let account = json!({"email": "ada@example.com", "username": "ada", "password": "a password of hers"});
    let made = first.post("/api/v1/auth/register", &account, None).await;
    let known = second.get("/api/v1/auth/me", made["accessToken"].as_str()).await;
    assert_eq!(known["username"], "ada", "{known}");
    let login = json!({"username": "ada", "password": "a password of hers"});
    let token =
        third.post("/api/v1/auth/login", &login, None).await["accessToken"].as_str().unwrap().to_owned();
    let left = second.client.post(format!("{}/api/v1/auth/logout", second.url)).bearer_auth(&token);
    assert!(left.json(&json!({})).send().await.unwrap().status().is_success());
    eventually("the ended session is refused", HANG_LIMIT, async || {
        let request = first.client.get(format!("{}/api/v1/auth/me", first.url)).bearer_auth(&token);
        request.send().await.unwrap().status() == 401
    })
    .await;
}
