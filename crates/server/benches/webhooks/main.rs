//! Webhooks to a fast receiver: how many deliveries a second arrive while buyers buy, and how long the rest takes: `make bench`.
//! Needs `wrk`, and the release binary beside this one.

#![expect(clippy::print_stdout, reason = "a program whose output is a table")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

#[expect(dead_code, reason = "the other benchmarks ask more of it")]
#[path = "../common/mod.rs"]
mod common;

use common::files::Files;
use common::instance::Instance;
use common::shop::Shop;
use common::wrk::Wrk;
use std::time::{Duration, Instant};
use test_servers::receiver::WebhookReceiver;

/// How often arrivals are counted, and after how long without one the rest is taken for arrived.
const COUNT_INTERVAL: Duration = Duration::from_millis(100);
const QUIET_TIME: Duration = Duration::from_secs(3);

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let seconds = args.iter().find_map(|arg| arg.strip_prefix("--seconds=")?.parse().ok()).unwrap_or(5);
    let folder = tempfile::tempdir()?;
    let flags = [
        "--limits",
        "off",
        "--public-url",
        "https://shop.example",
        "--webhooks-allow-http",
        "--webhooks-allow-private",
        "127.0.0.1",
    ];
    let instance = Instance::serve(&folder.path().join("data"), &flags);
    let shop = Shop::enter(&instance, &instance.key())?;
    let receiver = WebhookReceiver::with_status(204);
    shop.create_webhook(&receiver.url("/hooks"), "order.confirmed")?;
    let wrk = Wrk::new(folder.path(), Duration::from_secs(seconds))?;
    let tokens = shop.tokens(folder.path(), 1_000)?;
    shop.warm(&wrk, &tokens)?;
    let sale = shop.open_sale(4_000_000)?;
    let files = Files { folder: folder.path(), tokens: &tokens };
    let load = files.post("/api/v1/orders", &files.orders("bodies", std::slice::from_ref(&sale))?);
    // Few connections, so that there is a rush of seconds and not a backlog of hours.
    let purchases = wrk.run(&shop.url, 2, &load)?.per_second();
    let during = receiver.count_requests();
    println!(
        "webhooks: {:.0} a second arrive during {purchases:.0} purchases a second",
        during as f64 / seconds as f64
    );

    let began = Instant::now();
    let (mut last, mut last_at) = (during, began);
    while last_at.elapsed() < QUIET_TIME {
        std::thread::sleep(COUNT_INTERVAL);
        let count = receiver.count_requests();
        if count > last {
            (last, last_at) = (count, Instant::now());
        }
    }
    let rest = (last - during) as f64;
    let rest_s = (last_at - began).as_secs_f64().max(COUNT_INTERVAL.as_secs_f64());
    println!(
        "webhooks: the other {rest:.0} arrive in {rest_s:.1} s, {:.0} a second (500 are wanted)",
        rest / rest_s
    );
    Ok(())
}
