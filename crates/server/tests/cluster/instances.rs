//! Instances are killed, stopped, frozen and run by wrong clocks, in the middle of a sale.

use crate::flood::BuyerFlood;
use crate::topology::{ClusterLayout, order_at};
use documents::rfc3339;
use engine::clock::{Clock, SystemClock};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sale::Timestamp;
use serde_json::json;
use std::time::Duration;

/// How often an instance is killed.
const KILLS: usize = 22;

/// What chance is drawn from; printed, so that a failure can be played again.
fn chance() -> StdRng {
    let given = std::env::var("DOORBUSTER_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| rand::rng().random());
    eprintln!("DOORBUSTER_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_are_killed_at_random_moments_lose_nothing_and_sell_nothing_twice() {
    let mut topology = ClusterLayout::with_instances(3).start().await;
    let sale = topology.sale().await;
    let flood = BuyerFlood::start_at_all(&topology, &sale);
    let mut chance = chance();
    for _ in 0..KILLS {
        let victim = chance.random_range(0..3);
        flood.wait_until_sold(chance.random_range(1..60)).await;
        topology.instances[victim].process.kill();
        // The others go on while it is away, and while it starts.
        flood.wait_until_sold(10).await;
        topology.instances[victim].process.launch().await;
    }
    topology.wait_until_recovered().await;
    topology.assert_promises_kept(&sale, &flood.stop().await).await;
    topology.assert_line_sells_out().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_instances_are_replaced_in_mid_sale_without_a_failed_purchase() {
    let mut topology = ClusterLayout::with_instances(3).workers(2).behind_nginx().start().await;
    let sale = topology.sale().await;
    let behind = [topology.nginx.as_ref().unwrap().url()].into();
    let flood = BuyerFlood::start_at_urls(&topology, &behind, &sale);
    for no in 0..3 {
        flood.wait_until_sold(100).await;
        topology.instances[no].process.stop_gently().await;
        topology.instances[no].process.launch().await;
    }
    for no in 0..2 {
        topology.workers[no].process.stop_gently().await;
        flood.wait_until_sold(100).await;
        topology.workers[no].process.launch().await;
    }
    topology.wait_until_recovered().await;
    topology.assert_promises_kept(&sale, &flood.stop().await).await;
    topology.assert_line_sells_out().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_comes_back_after_a_rebuild_records_nothing_of_the_old_time() {
    let topology = ClusterLayout::with_instances(3).start().await;
    let sale = topology.sale().await;
    let (old, new) = topology.instances.split_at(1);
    let old = &old[0].process;
    let new: Vec<_> = new.iter().map(|member| &member.process).collect();
    let (at_old, at_new) =
        (BuyerFlood::start_at(&topology, &[old], &sale), BuyerFlood::start_at(&topology, &new, &sale));
    for _ in 0..3 {
        at_old.wait_until_sold(50).await;
        // The instance stops while it decides and records.
        let frozen = old.freeze();
        topology.redis().request(&["FLUSHALL"]);
        // The other instances restore the state again and continue from it.
        at_new.wait_until_sold(200).await;
        drop(frozen);
        topology.wait_until_recovered().await;
    }
    let (at_old, mut replies) = (at_old.stop().await, at_new.stop().await);
    topology.assert_on_time(&replies.stats);
    replies.confirmed.extend(at_old.confirmed);
    replies.stats.unexpected.extend(at_old.stats.unexpected);
    topology.assert_orders_recorded(&sale, &replies).await;
    topology.assert_sells_out().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_clocks_open_a_sale_at_one_moment_and_end_no_hold_early() {
    let topology = ClusterLayout::with_instances(3).wrong_clocks(&[0, 90_000, -90_000]).start().await;
    let clock = SystemClock::start(Timestamp::default());
    let starts_at = clock.now().plus_s(10);
    let wanted = json!({
        "quantity": 1_000, "holdSeconds": 60, "limitPerBuyer": 1_000, "startsAt": rfc3339(starts_at),
        "admission": {"type": "open"},
    });
    let sale = topology.create_sale(&wanted).await;
    let order = json!({"flashSaleId": sale, "quantity": 1});
    let tokens = topology.buyers(3);
    let mut opened = [const { None }; 3];
    while opened.iter().any(Option::is_none) {
        for (no, process) in topology.processes().into_iter().enumerate() {
            let asked_at = clock.now();
            let (status, body) = order_at(process, &tokens[no], None, &order).await.expect("a reply");
            match status.as_u16() {
                201 if opened[no].is_none() => opened[no] = Some((clock.now(), body)),
                201 => {}
                // A busy machine may not record in time.
                503 => {}
                425 => {
                    assert!(asked_at < starts_at.plus_s(45), "instance {no} opens by its own clock: {body}")
                }
                _ => panic!("{status} {body}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (no, opened) in opened.into_iter().enumerate() {
        let (at, order) = opened.unwrap();
        assert!(at >= starts_at, "instance {no} sold before the start");
        // Each pays at the next one, whose clock says that the hold has ended, or has not begun.
        let next = topology.processes()[(no + 1) % 3];
        let path = format!("/api/v1/orders/{}/pay", order["id"].as_str().unwrap());
        let paid = next.post(&path, &json!({"method": "sandbox:approve"}), Some(&tokens[no])).await;
        assert_eq!(paid["status"], "confirmed", "{paid}");
    }
    topology.verify().await;
    topology.assert_line_sells_out().await;
}
