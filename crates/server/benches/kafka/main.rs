//! Events to a Kafka beside the shop: how fast a long ledger is caught up, what a rush costs with and without it, and how soon the lag is
//! gone: `make bench`. Needs `wrk`, the jars of Kafka (`scripts/setup.sh servers`), and the release binary beside this one.

#![expect(clippy::print_stdout, reason = "a program whose output is a table")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

#[expect(dead_code, reason = "the other benchmarks ask more of it")]
#[path = "../common/mod.rs"]
mod common;

use anyhow::Context;
use common::files::Files;
use common::instance::Instance;
use common::shop::Shop;
use common::wrk::{Load, Wrk};
use std::path::Path;
use std::time::{Duration, Instant};
use test_servers::kafka::KafkaServer;

/// Events that are caught up; each purchase of a unit that is sold at once is one.
const EVENTS: u64 = 1_000_000;
const CONNECTIONS: u32 = 64;
const BUYERS: usize = 1_000;
const UNITS: u32 = 8_000_000;
/// The followers that send to Kafka: each has a topic, and reads the whole ledger.
const EVENTS_FOLLOWER: &str = "kafka";
const ATTEMPTS_FOLLOWER: &str = "kafka_attempts";
/// How often the lag is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// A lag that has not gone after so long is reported as it is.
const LAG_TIMEOUT: Duration = Duration::from_mins(10);

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str| args.iter().find_map(|arg| arg.strip_prefix(name)?.parse::<u64>().ok());
    let seconds = number("--seconds=").unwrap_or(20);
    let events = number("--events=").unwrap_or(EVENTS);
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let kafka = KafkaServer::start();
    let broker = kafka.address();
    let with_kafka = ["--limits", "off", "--kafka", &broker, "--kafka-create-topics", "partitions=12"];

    let instance = Instance::serve(&data, &["--limits", "off"]);
    let shop = Shop::enter(&instance, &instance.key())?;
    let tokens = shop.tokens(folder.path(), BUYERS)?;
    let filling = Wrk::new(folder.path(), Duration::from_secs(5))?;
    shop.warm(&filling, &tokens)?;
    let sale = shop.open_sale(UNITS)?;
    let files = Files { folder: folder.path(), tokens: &tokens };
    let load = files.post("/api/v1/orders", &files.orders("bodies", std::slice::from_ref(&sale))?);
    while shop.version(&sale)? < events {
        filling.run(&shop.url, CONNECTIONS, &load)?;
    }
    let caught_up = shop.version(&sale)?;
    instance.stop()?;

    let began = Instant::now();
    let instance = Instance::serve(&data, &with_kafka);
    let started = Instant::now();
    wait_until_sent(&instance, EVENTS_FOLLOWER)?;
    let took_s = started.elapsed().as_secs_f64();
    println!(
        "kafka: {caught_up} events are caught up in {took_s:.1} s, {:.0} a second (50,000 are wanted); the start before took {:.1} s",
        caught_up as f64 / took_s,
        (started - began).as_secs_f64()
    );
    wait_until_sent(&instance, ATTEMPTS_FOLLOWER)?;
    println!("kafka: the attempts beside them are caught up after {:.1} s", started.elapsed().as_secs_f64());
    instance.stop()?;

    let rush = Wrk::new(folder.path(), Duration::from_secs(seconds))?;
    let without = measure_rush(folder.path(), "without", &["--limits", "off"], &rush)?.0;
    let (with, lag_s) = measure_rush(folder.path(), "with", &with_kafka, &rush)?;
    println!(
        "kafka: {with:.0} purchases a second with Kafka, {without:.0} without: {:.2} (0.9 is wanted); the lag is gone {lag_s:.1} s \
         after a rush of {seconds} s (60 s are wanted)",
        with / without
    );
    Ok(())
}

/// Purchases a second of an instance of its own, and how long its lag lasts after them.
fn measure_rush(folder: &Path, name: &str, flags: &[&str], rush: &Wrk) -> anyhow::Result<(f64, f64)> {
    let own = folder.join(name);
    std::fs::create_dir_all(&own)?;
    let instance = Instance::serve(&own.join("data"), flags);
    let shop = Shop::enter(&instance, &instance.key())?;
    let tokens = shop.tokens(&own, BUYERS)?;
    shop.warm(rush, &tokens)?;
    let sale = shop.open_sale(UNITS)?;
    let files = Files { folder: &own, tokens: &tokens };
    let load: Load = files.post("/api/v1/orders", &files.orders("bodies", std::slice::from_ref(&sale))?);
    let purchases = rush.run(&shop.url, CONNECTIONS, &load)?.per_second();
    let ended = Instant::now();
    if flags.contains(&"--kafka") {
        wait_until_sent(&instance, EVENTS_FOLLOWER)?;
        wait_until_sent(&instance, ATTEMPTS_FOLLOWER)?;
    }
    let lag_s = ended.elapsed().as_secs_f64();
    instance.stop()?;
    Ok((purchases, lag_s))
}

/// Waits until Kafka has everything that a follower sends.
fn wait_until_sent(instance: &Instance, follower: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let metrics = reqwest::blocking::get(instance.metrics_url())?.text()?;
        let prefix = format!("doorbuster_follower_lag_events{{follower=\"{follower}\"}} ");
        let lag = metrics.lines().find_map(|line| line.strip_prefix(prefix.as_str()));
        let lag: u64 = lag.context("there is no lag of Kafka")?.trim().parse()?;
        // The gauge is measured at intervals, and the first measure may come before anything is read.
        if lag == 0 && began.elapsed() > Duration::from_secs(1) {
            return Ok(());
        }
        anyhow::ensure!(began.elapsed() < LAG_TIMEOUT, "{follower} still lacks {lag} events");
        std::thread::sleep(LOOK_INTERVAL);
    }
}
