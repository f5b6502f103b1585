//! Redis is killed, emptied, filled, made to follow another, and replaced by one that is behind. Nothing is sold twice, and nothing
//! that was told is lost.

use crate::flood::{Flood, twice_in_mid_sale};
use crate::topology::{Layout, Topology};
use own_servers::redis::Server;
use own_servers::wire::Wire;

/// What is decided while a replica hears nothing.
const BEHIND: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_and_comes_back_empty_is_handed_what_was_sold() {
    twice_in_mid_sale(Layout::of(3), async |topology, flood| {
        topology.redis_mut().kill();
        flood.is_refused(20).await;
        tokio::task::block_in_place(|| topology.redis_mut().restart());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_and_keeps_a_log_is_not_believed_and_sells_on() {
    twice_in_mid_sale(
        Layout::of(3).redis(&["--appendonly", "yes", "--appendfsync", "everysec"]),
        async |topology, flood| {
            topology.redis_mut().kill();
            flood.is_refused(20).await;
            tokio::task::block_in_place(|| topology.redis_mut().restart());
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_back_from_an_old_file_does_not_sell_again_what_was_sold_since() {
    twice_in_mid_sale(Layout::of(3), async |topology, flood| {
        topology.redis().ask(&["SAVE"]);
        flood.sells(100).await;
        topology.redis_mut().kill();
        tokio::task::block_in_place(|| topology.redis_mut().restart());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_emptied_is_handed_what_was_sold() {
    twice_in_mid_sale(Layout::of(3), async |topology, _| {
        topology.redis().ask(&["FLUSHALL"]);
        topology.redis().ask(&["FUNCTION", "FLUSH"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_full_sells_nothing_and_loses_nothing() {
    twice_in_mid_sale(Layout::of(3), async |topology, flood| {
        topology.redis().ask(&["CONFIG", "SET", "maxmemory", "1"]);
        flood.is_refused(20).await;
        topology.redis().ask(&["CONFIG", "SET", "maxmemory", "0"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_may_only_be_read_sells_nothing_and_loses_nothing() {
    let other = Server::start();
    twice_in_mid_sale(Layout::of(3), async |topology, flood| {
        topology.redis().ask(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
        flood.is_refused(20).await;
        topology.redis().ask(&["REPLICAOF", "NO", "ONE"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_still_reads_its_file_is_waited_for() {
    // A server looks up from reading once a kilobyte.
    let slowly = ["--loading-process-events-interval-bytes", "1024", "--rdbcompression", "no"];
    twice_in_mid_sale(Layout::of(3).redis(&slowly), async |topology, flood| {
        for no in 0..10 {
            topology.redis().ask(&["SET", &format!("other{no}"), &"x".repeat(2_000)]);
        }
        topology.redis().ask(&["SAVE"]);
        topology.redis_mut().kill();
        tokio::task::block_in_place(|| {
            topology.redis_mut().restart_with(&["--key-load-delay", "20000"], "LOADING");
        });
        flood.is_refused(20).await;
        tokio::task::block_in_place(|| topology.redis().until("PING", "PONG"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stands_still_makes_nobody_wait_long() {
    twice_in_mid_sale(Layout::of(3), async |topology, flood| {
        let frozen = topology.redis().freeze();
        flood.is_refused(20).await;
        drop(frozen);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_a_thousand_decisions_behind_is_not_believed() {
    let mut topology = Layout::of(3).start().await;
    let sale = topology.sale().await;
    let flood = Flood::at_all(&topology, &sale);
    flood.sells(100).await;
    let replica = behind(&topology, &flood).await;
    topology.redis_mut().kill();
    replica.ask(&["REPLICAOF", "NO", "ONE"]);
    topology.wires_to_redis().for_each(|wire| wire.lead_to(replica.port()));
    topology.is_back().await;
    flood.sells(100).await;
    topology.keeps_its_promises(&sale, &flood.stop().await).await;
    topology.sells_out().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_servers_that_both_decide_none_sells_a_unit_of_the_other() {
    let topology = Layout::of(3).start().await;
    let sale = topology.sale().await;
    let flood = Flood::at_all(&topology, &sale);
    flood.sells(100).await;
    let replica = behind(&topology, &flood).await;
    replica.ask(&["REPLICAOF", "NO", "ONE"]);
    // The first instance has not heard of it, and goes on with the old one.
    topology.wires_to_redis().skip(1).for_each(|wire| wire.lead_to(replica.port()));
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    topology.wires_to_redis().for_each(|wire| wire.lead_to(replica.port()));
    topology.is_back().await;
    flood.sells(100).await;
    topology.keeps_its_promises(&sale, &flood.stop().await).await;
    topology.sells_out().await;
}

/// A replica of the cluster's Redis that has not heard of the last thousand purchases.
async fn behind(topology: &Topology, flood: &Flood) -> Server {
    let replica = Server::start();
    let wire = Wire::to(topology.redis().port());
    tokio::task::block_in_place(|| replica.follow(wire.port()));
    wire.cut();
    flood.sells(BEHIND).await;
    replica
}
