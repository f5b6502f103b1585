//! Buyers who buy again and again at whichever instance answers, each purchase with a key of its own, and remember what they were
//! told. They give no purchase up: when they have stopped, all that was sold was told.

use crate::real::crowd::ConfirmedOrders;
use crate::real::instance::{ServerProcess, text};
use crate::real::retrying_client::{RequestTally, RetryingClient};
use crate::topology::{ClusterLayout, RunningCluster};
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use test_servers::wait::{HANG_LIMIT, eventually};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Buyers at a time: enough to fill batches.
const BUYERS: usize = 24;
/// How long a buyer rests after each: the machine also has to do the rest.
const REST: Duration = Duration::from_millis(10);

pub struct BuyerFlood {
    buyers: Vec<JoinHandle<Vec<(String, String)>>>,
    stop: Arc<AtomicBool>,
    sold: Arc<AtomicUsize>,
    met: Arc<Mutex<RequestTally>>,
}

impl BuyerFlood {
    /// Begins to buy at all instances.
    pub fn start_at_all(topology: &RunningCluster, sale: &str) -> Self {
        Self::start_at(topology, &topology.processes(), sale)
    }

    /// Begins to buy at some.
    pub fn start_at(topology: &RunningCluster, processes: &[&ServerProcess], sale: &str) -> Self {
        let urls: Arc<[String]> = processes.iter().map(|process| process.url.clone()).collect();
        Self::start_at_urls(topology, &urls, sale)
    }

    /// Begins to buy at some addresses.
    pub fn start_at_urls(topology: &RunningCluster, urls: &Arc<[String]>, sale: &str) -> Self {
        let (permits, met) = (Arc::new(Semaphore::new(BUYERS)), Arc::default());
        let (stop, sold) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let buyers = topology.buyers(BUYERS).into_iter().enumerate().map(|(no, token)| {
            let client = topology.instances[0].process.retrying_client(&permits, &met, no, token);
            let client = RetryingClient { urls: Arc::clone(urls), ..client };
            let (stop, sold, sale) = (Arc::clone(&stop), Arc::clone(&sold), sale.to_owned());
            tokio::spawn(async move { buy(client, &sale, &stop, &sold).await })
        });
        Self {
            buyers: buyers.collect(),
            stop: Arc::clone(&stop),
            sold: Arc::clone(&sold),
            met: Arc::clone(&met),
        }
    }

    /// Waits until so many more are sold than now.
    pub async fn wait_until_sold(&self, more: usize) {
        let wanted = self.sold.load(Ordering::Relaxed) + more;
        let what = format!("{more} purchases");
        eventually(&what, HANG_LIMIT, async || self.sold.load(Ordering::Relaxed) >= wanted).await;
    }

    /// Waits until so many more have been told to come back later.
    pub async fn wait_until_refused(&self, more: u64) {
        let refused = || self.met.lock().unwrap().refused_for_now;
        let wanted = refused() + more;
        eventually(&format!("{more} refusals"), HANG_LIMIT, async || refused() >= wanted).await;
    }

    /// Lets every buyer come to the end of the purchase that they are at.
    pub async fn stop(self) -> ConfirmedOrders {
        self.stop.store(true, Ordering::Relaxed);
        let mut confirmed = Vec::new();
        for buyer in self.buyers {
            confirmed.extend(buyer.await.unwrap());
        }
        ConfirmedOrders { confirmed, stats: self.met.lock().unwrap().clone() }
    }
}

/// Does something to a cluster in the middle of a sale, and again when it has come back. It comes back each time, and what was told
/// is what was sold.
pub async fn run_twice_during_sale(
    layout: ClusterLayout,
    happens: impl AsyncFn(&mut RunningCluster, &BuyerFlood),
) {
    let mut topology = layout.start().await;
    let sale = topology.sale().await;
    let flood = BuyerFlood::start_at_all(&topology, &sale);
    for _ in 0..2 {
        flood.wait_until_sold(100).await;
        happens(&mut topology, &flood).await;
        topology.wait_until_recovered().await;
    }
    flood.wait_until_sold(100).await;
    topology.assert_promises_kept(&sale, &flood.stop().await).await;
    topology.assert_sells_out().await;
}

async fn buy(
    mut client: RetryingClient,
    sale: &str,
    stop: &AtomicBool,
    sold: &AtomicUsize,
) -> Vec<(String, String)> {
    let mut reply = Vec::new();
    let order = json!({"flashSaleId": sale, "quantity": 1});
    while !stop.load(Ordering::Relaxed) {
        // Each purchase begins at another instance.
        client.number += 1;
        let key = format!("purchase-{}", reply.len());
        let (status, body) = client.send("POST", "/api/v1/orders", Some(&key), Some(&order)).await;
        assert_eq!((status.as_u16(), body["status"].as_str()), (201, Some("confirmed")), "{body}");
        reply.push((client.token.clone(), text(&body, "id")));
        sold.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(REST).await;
    }
    reply
}
