//! The network between an instance and its servers is cut, stalled and slow. The others sell on, and it says when to ask again.

use crate::flood::{BuyerFlood, run_twice_during_sale};
use crate::topology::{ClusterLayout, ClusterMember};
use test_servers::proxy::TcpProxy;

fn to_postgres(member: &ClusterMember) -> &TcpProxy {
    &member.to_postgres
}

fn to_redis(member: &ClusterMember) -> &TcpProxy {
    member.to_redis.as_ref().unwrap()
}

/// Breaks a connection of the first instance, while buyers buy there and elsewhere.
async fn assert_survives_break(select: fn(&ClusterMember) -> &TcpProxy, break_it: fn(&TcpProxy)) {
    run_twice_during_sale(ClusterLayout::with_instances(3), async |topology, flood| {
        let proxy = select(&topology.instances[0]);
        break_it(proxy);
        flood.wait_until_refused(20).await;
        flood.wait_until_sold(50).await;
        proxy.heal();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_cut_off_from_postgres_refuses_and_the_others_sell() {
    assert_survives_break(to_postgres, TcpProxy::cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_cut_off_from_redis_refuses_and_the_others_sell() {
    assert_survives_break(to_redis, TcpProxy::cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_hears_nothing_from_postgres_refuses_and_the_others_sell() {
    assert_survives_break(to_postgres, TcpProxy::stall).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_hears_nothing_from_redis_refuses_and_the_others_sell() {
    assert_survives_break(to_redis, TcpProxy::stall).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_network_makes_an_instance_slow_and_nothing_wrong() {
    let topology = ClusterLayout::with_instances(3).start().await;
    let sale = topology.sale().await;
    let flood = BuyerFlood::start_at_all(&topology, &sale);
    for select in [to_postgres, to_redis] {
        let proxy = select(&topology.instances[0]);
        proxy.slow(40);
        flood.wait_until_sold(200).await;
        proxy.heal();
    }
    topology.wait_until_recovered().await;
    topology.assert_promises_kept(&sale, &flood.stop().await).await;
}
