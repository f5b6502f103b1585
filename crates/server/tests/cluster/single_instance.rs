//! One instance on PostgreSQL, which decides in its memory: the same bad days, as far as they concern it.

use crate::flood::{BuyerFlood, run_twice_during_sale};
use crate::topology::ClusterLayout;
use test_servers::proxy::TcpProxy;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_instance_on_a_database_loses_nothing_when_it_is_killed_again_and_again() {
    let mut topology = ClusterLayout::alone().start().await;
    let sale = topology.sale().await;
    let flood = BuyerFlood::start_at_all(&topology, &sale);
    for _ in 0..5 {
        flood.wait_until_sold(50).await;
        topology.instances[0].process.kill();
        topology.instances[0].process.launch().await;
    }
    topology.wait_until_recovered().await;
    topology.assert_promises_kept(&sale, &flood.stop().await).await;
    topology.assert_sells_out().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_instance_that_is_cut_off_from_its_database_says_so_and_comes_back() {
    run_twice_during_sale(ClusterLayout::alone(), async |topology, flood| {
        for break_it in [TcpProxy::cut as fn(&TcpProxy), TcpProxy::stall] {
            let proxy = &topology.instances[0].to_postgres;
            break_it(proxy);
            flood.wait_until_refused(20).await;
            proxy.heal();
            flood.wait_until_sold(20).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_nginx_requests_get_503_with_retry_after_while_the_instance_is_replaced() {
    let mut topology = ClusterLayout::alone().behind_nginx().start().await;
    let sale = topology.sale().await;
    let behind = [topology.nginx.as_ref().unwrap().url()].into();
    let flood = BuyerFlood::start_at_urls(&topology, &behind, &sale);
    for _ in 0..2 {
        flood.wait_until_sold(50).await;
        topology.instances[0].process.stop_gently().await;
        flood.wait_until_refused(10).await;
        topology.instances[0].process.launch().await;
    }
    flood.wait_until_sold(50).await;
    topology.nginx.as_mut().unwrap().kill();
    tokio::task::block_in_place(|| topology.nginx.as_mut().unwrap().launch());
    flood.wait_until_sold(50).await;
    topology.assert_promises_kept(&sale, &flood.stop().await).await;
}
