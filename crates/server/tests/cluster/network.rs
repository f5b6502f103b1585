//! The network between an instance and its servers is cut, stalled and slow. The others sell on, and it says when to ask again.

use crate::flood::{Flood, twice_in_mid_sale};
use crate::topology::{Layout, Member};
use own_servers::wire::Wire;

fn to_postgres(member: &Member) -> &Wire {
    &member.to_postgres
}

fn to_redis(member: &Member) -> &Wire {
    member.to_redis.as_ref().unwrap()
}

/// Breaks a wire of the first instance in a way, while buyers buy there and elsewhere.
async fn broken(wire: fn(&Member) -> &Wire, break_it: fn(&Wire)) {
    twice_in_mid_sale(Layout::of(3), async |topology, flood| {
        let wire = wire(&topology.instances[0]);
        break_it(wire);
        flood.is_refused(20).await;
        flood.sells(50).await;
        wire.heal();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_cut_off_from_postgres_refuses_and_the_others_sell() {
    broken(to_postgres, Wire::cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_cut_off_from_redis_refuses_and_the_others_sell() {
    broken(to_redis, Wire::cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_hears_nothing_from_postgres_refuses_and_the_others_sell() {
    broken(to_postgres, Wire::stall).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_hears_nothing_from_redis_refuses_and_the_others_sell() {
    broken(to_redis, Wire::stall).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_network_makes_an_instance_slow_and_nothing_wrong() {
    let topology = Layout::of(3).start().await;
    let sale = topology.sale().await;
    let flood = Flood::at_all(&topology, &sale);
    for wire in [to_postgres, to_redis] {
        let wire = wire(&topology.instances[0]);
        wire.slow(40);
        flood.sells(200).await;
        wire.heal();
    }
    topology.is_back().await;
    topology.keeps_its_promises(&sale, &flood.stop().await).await;
}
