//! Sockets in a crowd: memory a connection, how long a broadcast takes to the last one, and what purchases cost while everyone
//! watches: `make bench`. The clients are written down to the bytes, because 15,000 of a library's would measure the library.
//! Needs `wrk`, and the release binary beside this one.
//!
//! `-- --cluster` measures a crowd of signed-in buyers in the line of one sale over three instances instead ([`cluster`]):
//! `[--clients=50000] [--seconds=60] [--joins=500] [--positions=2000] [--admit=0]`, the last three a second.

#![expect(clippy::print_stdout, reason = "a program whose output is a table")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

mod client;
mod cluster;
mod crowd;
mod requests;

#[expect(dead_code, reason = "the other benchmarks ask more of it")]
#[path = "../common/mod.rs"]
mod common;

use anyhow::Context;
use client::SocketCrowd;
use cluster::ClusterLoad;
use common::files::Files;
use common::instance::Instance;
use common::shop::Shop;
use common::wrk::Wrk;
use std::time::{Duration, Instant};

/// Sockets by default: the budget's.
const SOCKETS: u64 = 15_000;
/// Broadcasts that are measured, and the rest before each, in which the crowd's pace allows the next one.
const BROADCASTS: usize = 20;
const REST: Duration = Duration::from_secs(3);

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|arg| arg == crowd::ARGUMENT) {
        return crowd::run(&args[2..]);
    }
    let number = |name: &str, default: u64| {
        args.iter().find_map(|arg| arg.strip_prefix(name)?.parse().ok()).unwrap_or(default)
    };
    if args.iter().any(|arg| arg == "--cluster") {
        return cluster::run(&ClusterLoad {
            clients: usize::try_from(number("--clients=", 50_000))?,
            seconds: number("--seconds=", 60),
            joins_per_second: number("--joins=", 500),
            positions_per_second: number("--positions=", 2_000),
            admitted_per_second: number("--admit=", 0),
        });
    }
    let sockets = usize::try_from(number("--sockets=", SOCKETS))?;
    let seconds = Duration::from_secs(number("--seconds=", 5));

    let folder = tempfile::tempdir()?;
    let most = (sockets + 1_000).to_string();
    let flags = [
        "--limits",
        "off",
        "--connections-max",
        &most,
        "--connections-per-address",
        &most,
        "--sockets-max",
        &most,
        "--sockets-per-address",
        &most,
    ];
    let instance = Instance::serve(&folder.path().join("data"), &flags);
    let shop = Shop::enter(&instance, &instance.key())?;
    let wrk = Wrk::new(folder.path(), seconds)?;
    let tokens = shop.tokens(folder.path(), 1_000)?;
    shop.warm(&wrk, &tokens)?;
    let sale = shop.open_sale(4_000_000)?;
    let files = Files { folder: folder.path(), tokens: &tokens };
    let load = files.post("/api/v1/orders", &files.orders("bodies", std::slice::from_ref(&sale))?);
    let before = wrk.run(&shop.url, 64, &load)?.per_second();

    let before_kib = memory_kib(instance.id().cast_unsigned())?;
    let crowd = SocketCrowd::connect_all(&shop.url, &sale, sockets)?;
    let each_kib = (memory_kib(instance.id().cast_unsigned())? - before_kib) / sockets as f64;
    println!("{sockets} sockets: {each_kib:.1} KiB of memory each (at most 45 are wanted)");

    broadcasts(&shop, &crowd, &sale)?;

    let watched = wrk.run(&shop.url, 64, &load)?.per_second();
    drop(crowd);
    // The crowd's connections close.
    std::thread::sleep(REST);
    let after = wrk.run(&shop.url, 64, &load)?.per_second();
    println!(
        "purchases a second: {before:.0} before, {after:.0} after, {watched:.0} while everyone watches: {:.2} (0.8 is wanted)",
        watched / f64::midpoint(before, after)
    );
    Ok(())
}

/// One change at a time, and how long it takes to reach everyone.
fn broadcasts(shop: &Shop, crowd: &SocketCrowd, sale: &str) -> anyhow::Result<()> {
    let mut delays_ms = Vec::new();
    let mut firsts_ms = Vec::new();
    for _ in 0..BROADCASTS {
        std::thread::sleep(REST);
        let began = Instant::now();
        shop.order(sale)?;
        let arrivals = crowd.arrivals(Some(began))?.into_iter();
        let mut arrivals: Vec<f64> = arrivals.map(|at| (at - began).as_secs_f64() * 1e3).collect();
        arrivals.sort_by(f64::total_cmp);
        firsts_ms.extend(arrivals.first());
        delays_ms.append(&mut arrivals);
    }
    println!(
        "from a request to buy to those who watch: first {:.0} ms (median), all p50 {:.0} ms, p99 {:.0} ms, last {:.0} ms \
         (p99 250 is wanted)",
        at(&mut firsts_ms, 0.5),
        at(&mut delays_ms, 0.5),
        at(&mut delays_ms, 0.99),
        at(&mut delays_ms, 1.0)
    );
    Ok(())
}

/// What this share of the values does not exceed.
fn at(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
    let index = (values.len() as f64 * share) as usize;
    values[index.min(values.len() - 1)]
}

/// Resident memory of a process.
fn memory_kib(process: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
