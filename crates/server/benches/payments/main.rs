//! Payments through the sandbox over HTTP, on the embedded default and on PostgreSQL: `make bench`.
//!
//! First buyers hold units, then all of them pay over 256 connections, each order once. A payment is counted when its reply says that the
//! order is confirmed, so it is durable. The generator shares the cores with the server. `--binary=PATH` measures another build of it.

#![expect(clippy::print_stdout, reason = "a program whose output is a table")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

#[expect(dead_code, reason = "the other benchmarks ask more of it")]
#[path = "../common/mod.rs"]
mod common;

use anyhow::Context;
use common::instance::Instance;
use common::shop::Shop;
use futures::stream::{self, StreamExt, TryStreamExt};
use reqwest::Client;
use serde_json::{Value, json};
use server::auth::tokens;
use std::path::Path;
use std::time::{Duration, Instant};
use test_servers::postgres::PostgresServer;

const CONNECTIONS: usize = 256;

/// Where the ledger and the tables are, and the payments a second that are wanted of each.
const BACKENDS: [(&str, f64, f64); 2] = [("SQLite", 2_000.0, 3_000.0), ("PostgreSQL", 1_000.0, 1_000.0)];

/// A buyer's held order.
struct HeldOrder {
    id: String,
    token: String,
}

/// How long each request of a phase took, and all of them together.
struct PhaseTimes {
    all: Duration,
    each: Vec<Duration>,
}

impl PhaseTimes {
    fn per_second(&self) -> f64 {
        self.each.len() as f64 / self.all.as_secs_f64()
    }

    fn percentile_ms(&self, percent: usize) -> f64 {
        let index = (self.each.len() * percent / 100).min(self.each.len() - 1);
        self.each[index].as_secs_f64() * 1e3
    }
}

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        args.iter().find_map(|arg| arg.strip_prefix(name)?.parse().ok()).unwrap_or(default)
    };
    let (rounds, payments) = (number("--rounds=", 3), number("--payments=", 10_000));
    let binary = args.iter().find_map(|arg| arg.strip_prefix("--binary=")).map(Path::new);
    let only = args.iter().find_map(|arg| arg.strip_prefix("--only=")).unwrap_or("");
    let runtime = tokio::runtime::Runtime::new()?;

    println!(
        "| payments on | payments/s | wanted | reach for | | p50, ms | p99, ms | orders/s before them | p99, ms |"
    );
    println!("| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |");
    for (backend, wanted, reach_for) in BACKENDS.into_iter().filter(|(name, ..)| name.contains(only)) {
        let folder = tempfile::tempdir()?;
        let postgres = (backend == "PostgreSQL").then(PostgresServer::start_durable);
        let database = postgres.as_ref().map(PostgresServer::create_database);
        let key = folder.path().join("key.pem");
        tokens::read_or_create_key(&key)?;
        let key_path = key.display().to_string();
        let on_database = database.iter().flat_map(|url| ["--database", url]);
        let flags: Vec<&str> = ["--token-key", &key_path].into_iter().chain(on_database).collect();
        let instance = Instance::serve_binary(binary, &folder.path().join("data"), &flags);
        let shop = Shop::enter(&instance, &key)?;
        let buyers = std::fs::read_to_string(shop.tokens(folder.path(), payments)?)?;
        let mut measured = Vec::new();
        for _ in 0..rounds {
            let sale = shop.holding_sale(u32::try_from(payments)?)?;
            measured.push(runtime.block_on(hold_and_pay(&shop.url, &sale, &buyers))?);
        }
        measured.sort_by_key(|(_, paid)| paid.all);
        let (held, paid) = &measured[measured.len() / 2];
        println!(
            "| {backend} | **{:.0}** | {wanted:.0} | {reach_for:.0} | {} | {:.1} | {:.1} | {:.0} | {:.1} |",
            paid.per_second(),
            if paid.per_second() < wanted { "missed" } else { "met" },
            paid.percentile_ms(50),
            paid.percentile_ms(99),
            held.per_second(),
            held.percentile_ms(99),
        );
    }
    Ok(())
}

/// Has each buyer hold a unit, and then pay for it.
async fn hold_and_pay(url: &str, sale: &str, buyers: &str) -> anyhow::Result<(PhaseTimes, PhaseTimes)> {
    let client = Client::builder().pool_max_idle_per_host(CONNECTIONS).build()?;
    let buyers: Vec<String> = buyers.lines().map(str::to_owned).collect();
    let (holding, orders) = run_phase(buyers, async |token| {
        let body = json!({"flashSaleId": sale, "quantity": 1});
        let order = post(&client, &format!("{url}/api/v1/orders"), &token, &body).await?;
        let id = order["id"].as_str().context("an order without an id")?.to_owned();
        Ok(HeldOrder { id, token })
    })
    .await?;
    let (paying, _) = run_phase(orders, async |order: HeldOrder| {
        let path = format!("{url}/api/v1/orders/{}/pay", order.id);
        let paid = post(&client, &path, &order.token, &json!({"method": "sandbox:approve"})).await?;
        anyhow::ensure!(paid["status"] == "confirmed", "a payment was answered with {paid}");
        Ok(())
    })
    .await?;
    Ok((holding, paying))
}

/// Makes a request for each item, [`CONNECTIONS`] at a time.
async fn run_phase<T, U>(
    items: Vec<T>,
    request: impl AsyncFn(T) -> anyhow::Result<U>,
) -> anyhow::Result<(PhaseTimes, Vec<U>)> {
    let began = Instant::now();
    let done: Vec<(Duration, U)> = stream::iter(items)
        .map(|item| async {
            let began = Instant::now();
            let reply = request(item).await?;
            anyhow::Ok((began.elapsed(), reply))
        })
        .buffer_unordered(CONNECTIONS)
        .try_collect()
        .await?;
    let all = began.elapsed();
    let (mut each, replies): (Vec<_>, Vec<_>) = done.into_iter().unzip();
    each.sort();
    Ok((PhaseTimes { all, each }, replies))
}

async fn post(client: &Client, url: &str, token: &str, body: &Value) -> anyhow::Result<Value> {
    let key = uuid::Uuid::new_v4().to_string();
    let request = client.post(url).bearer_auth(token).header("Idempotency-Key", key).json(body);
    let reply = request.send().await?;
    let status = reply.status();
    let text = reply.text().await?;
    anyhow::ensure!(status.is_success(), "{url}: {status} {text}");
    Ok(serde_json::from_str(&text)?)
}
