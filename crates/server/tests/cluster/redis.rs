//! Redis is killed, emptied, filled, made to follow another, and replaced by one that is behind. Nothing is sold twice, and nothing
//! that was confirmed is lost.

use crate::flood::{BuyerFlood, run_twice_during_sale};
use crate::topology::{ClusterLayout, RunningCluster};
use test_servers::proxy::TcpProxy;
use test_servers::redis::RedisServer;

/// Decisions that a replica misses.
const BEHIND: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_and_comes_back_empty_is_handed_what_was_sold() {
    run_twice_during_sale(ClusterLayout::with_instances(3), async |topology, flood| {
        topology.redis_mut().kill();
        flood.wait_until_refused(20).await;
        tokio::task::block_in_place(|| topology.redis_mut().restart());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_redis_with_a_log_is_restored_from_the_ledger_and_sells_on() {
    run_twice_during_sale(
        ClusterLayout::with_instances(3).redis(&["--appendonly", "yes", "--appendfsync", "everysec"]),
        async |topology, flood| {
            topology.redis_mut().kill();
            flood.wait_until_refused(20).await;
            tokio::task::block_in_place(|| topology.redis_mut().restart());
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_back_from_an_old_file_does_not_sell_again_what_was_sold_since() {
    run_twice_during_sale(ClusterLayout::with_instances(3), async |topology, flood| {
        topology.redis().request(&["SAVE"]);
        flood.wait_until_sold(100).await;
        topology.redis_mut().kill();
        tokio::task::block_in_place(|| topology.redis_mut().restart());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_emptied_is_handed_what_was_sold() {
    run_twice_during_sale(ClusterLayout::with_instances(3), async |topology, _| {
        topology.redis().request(&["FLUSHALL"]);
        topology.redis().request(&["FUNCTION", "FLUSH"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_full_sells_nothing_and_loses_nothing() {
    run_twice_during_sale(ClusterLayout::with_instances(3), async |topology, flood| {
        topology.redis().request(&["CONFIG", "SET", "maxmemory", "1"]);
        flood.wait_until_refused(20).await;
        topology.redis().request(&["CONFIG", "SET", "maxmemory", "0"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_may_only_be_read_sells_nothing_and_loses_nothing() {
    let other = RedisServer::start();
    run_twice_during_sale(ClusterLayout::with_instances(3), async |topology, flood| {
        topology.redis().request(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
        flood.wait_until_refused(20).await;
        topology.redis().request(&["REPLICAOF", "NO", "ONE"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_still_reads_its_file_is_waited_for() {
    // A server looks up from reading once a kilobyte.
    let slowly = ["--loading-process-events-interval-bytes", "1024", "--rdbcompression", "no"];
    run_twice_during_sale(ClusterLayout::with_instances(3).redis(&slowly), async |topology, flood| {
        for no in 0..10 {
            topology.redis().request(&["SET", &format!("other{no}"), &"x".repeat(2_000)]);
        }
        topology.redis().request(&["SAVE"]);
        topology.redis_mut().kill();
        tokio::task::block_in_place(|| {
            topology.redis_mut().restart_with(&["--key-load-delay", "20000"], "LOADING");
        });
        flood.wait_until_refused(20).await;
        tokio::task::block_in_place(|| topology.redis().wait_for_reply("PING", "PONG"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_redis_delays_no_caller_long() {
    run_twice_during_sale(ClusterLayout::with_instances(3), async |topology, flood| {
        let frozen = topology.redis().freeze();
        flood.wait_until_refused(20).await;
        drop(frozen);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_a_thousand_decisions_behind_is_restored_from_the_ledger() {
    let mut topology = ClusterLayout::with_instances(3).start().await;
    let sale = topology.sale().await;
    let flood = BuyerFlood::start_at_all(&topology, &sale);
    flood.wait_until_sold(100).await;
    let replica = outdated_replica(&topology, &flood).await;
    topology.redis_mut().kill();
    replica.request(&["REPLICAOF", "NO", "ONE"]);
    topology.proxies_to_redis().for_each(|proxy| proxy.redirect_to(replica.port()));
    topology.wait_until_recovered().await;
    flood.wait_until_sold(100).await;
    topology.assert_promises_kept(&sale, &flood.stop().await).await;
    topology.assert_sells_out().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_servers_that_both_decide_none_sells_a_unit_of_the_other() {
    let topology = ClusterLayout::with_instances(3).start().await;
    let sale = topology.sale().await;
    let flood = BuyerFlood::start_at_all(&topology, &sale);
    flood.wait_until_sold(100).await;
    let replica = outdated_replica(&topology, &flood).await;
    replica.request(&["REPLICAOF", "NO", "ONE"]);
    // The first instance still uses the old server.
    topology.proxies_to_redis().skip(1).for_each(|proxy| proxy.redirect_to(replica.port()));
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    topology.proxies_to_redis().for_each(|proxy| proxy.redirect_to(replica.port()));
    topology.wait_until_recovered().await;
    flood.wait_until_sold(100).await;
    topology.assert_promises_kept(&sale, &flood.stop().await).await;
    topology.assert_sells_out().await;
}

/// A replica of the cluster's Redis that has not heard of the last thousand purchases.
async fn outdated_replica(topology: &RunningCluster, flood: &BuyerFlood) -> RedisServer {
    let replica = RedisServer::start();
    let proxy = TcpProxy::to(topology.redis().port());
    tokio::task::block_in_place(|| replica.replicate_from(proxy.port()));
    proxy.cut();
    flood.wait_until_sold(BEHIND).await;
    replica
}
