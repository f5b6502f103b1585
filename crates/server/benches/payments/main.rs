//! Payments through the sandbox over HTTP, and replies to webhooks of Stripe, on the embedded default and on PostgreSQL: `make bench`.
//!
//! First buyers hold units, then all of them pay over 256 connections, each order once. A payment is counted when its reply says that the
//! order is confirmed, so it is durable. A webhook is signed and of a payment that the shop does not have; its reply says that it is kept. The
//! generator shares the cores with the server. `--binary=PATH` measures another build of it.

#![expect(clippy::print_stdout, reason = "a program whose output is a table")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

#[expect(dead_code, reason = "the other benchmarks ask more of it")]
#[path = "../common/mod.rs"]
mod common;

use anyhow::Context;
use common::figures::{BetterDirection, FigureLog};
use common::instance::Instance;
use common::shop::Shop;
use futures::stream::{self, StreamExt, TryStreamExt};
use reqwest::Client;
use serde_json::{Value, json};
use server::auth::tokens;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use test_servers::postgres::PostgresServer;
use test_servers::stripe::{self, StripeStandIn, TEST_KEY, TEST_WEBHOOK_SECRET};

const CONNECTIONS: usize = 256;

/// Stripe sends some at a time.
const WEBHOOK_CONNECTIONS: usize = 16;

/// A webhook of Stripe is answered within this time, the slowest, too.
const WEBHOOK_REPLY_MS_MAX: f64 = 100.0;

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

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        args.iter().find_map(|arg| arg.strip_prefix(name)?.parse().ok()).unwrap_or(default)
    };
    let (rounds, payments) = (number("--rounds=", 3), number("--payments=", 10_000));
    let binary = args.iter().find_map(|arg| arg.strip_prefix("--binary=")).map(Path::new);
    let only = args.iter().find_map(|arg| arg.strip_prefix("--only=")).unwrap_or("");
    let figures = FigureLog::start(&args, &format!("{payments} payments"));
    let runtime = tokio::runtime::Runtime::new()?;

    println!(
        "| payments on | payments/s | wanted | reach for | | p50, ms | p99, ms | orders/s before them | p99, ms |"
    );
    println!("| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |");
    let mut webhooks = Vec::new();
    for (backend, wanted, reach_for) in BACKENDS.into_iter().filter(|(name, ..)| name.contains(only)) {
        let folder = tempfile::tempdir()?;
        let postgres = (backend == "PostgreSQL").then(PostgresServer::start_durable);
        let database = postgres.as_ref().map(PostgresServer::create_database);
        let key = folder.path().join("key.pem");
        tokens::read_or_create_key(&key)?;
        let key_path = key.display().to_string();
        let on_database: Vec<&str> = database.iter().flat_map(|url| ["--database", url]).collect();
        let flags = [&["--token-key", key_path.as_str()][..], &on_database].concat();
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
        figures.record(
            &format!("{backend}: payments/s"),
            BetterDirection::Higher,
            measured.iter().map(|(_, paid)| paid.per_second()),
        );
        figures.record(
            &format!("{backend}: ratio to orders/s before them"),
            BetterDirection::Higher,
            measured.iter().map(|(held, paid)| paid.per_second() / held.per_second()),
        );
        figures.record(
            &format!("{backend}: p99, ms"),
            BetterDirection::Lower,
            measured.iter().map(|(_, paid)| paid.percentile_ms(99)),
        );
        drop(instance);
        let stripe = StripeStandIn::start();
        let secrets = [("key", TEST_KEY), ("secret", TEST_WEBHOOK_SECRET)];
        let secrets = secrets.map(|(name, text)| (folder.path().join(name), text));
        for (path, text) in &secrets {
            std::fs::write(path, text)?;
        }
        let [key, secret] = secrets.map(|(path, _)| path.display().to_string());
        let paid = [
            &["--payments", "stripe", "--public-url", "https://shop.example", "--stripe-api", stripe.url()][..],
            &["--stripe-key-file", &key, "--stripe-webhook-secret-file", &secret],
        ];
        let flags = [flags, paid.concat()].concat();
        let instance = Instance::serve_binary(binary, &folder.path().join("data"), &flags);
        webhooks.push((backend, runtime.block_on(send_webhooks(&instance.url, payments))?));
    }
    print!("{}", figures.close_table("payments")?);
    println!("\n| webhooks on | a second | p50, ms | p99, ms | slowest, ms | wanted, ms | |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | --- |");
    for (backend, times) in webhooks {
        let slowest_ms = times.percentile_ms(100);
        println!(
            "| {backend} | {:.0} | {:.1} | {:.1} | **{slowest_ms:.1}** | {WEBHOOK_REPLY_MS_MAX:.0} | {} |",
            times.per_second(),
            times.percentile_ms(50),
            times.percentile_ms(99),
            if slowest_ms > WEBHOOK_REPLY_MS_MAX { "missed" } else { "met" },
        );
        figures.record(&format!("{backend}: webhooks/s"), BetterDirection::Higher, [times.per_second()]);
        figures.record(&format!("{backend}: p99, ms"), BetterDirection::Lower, [times.percentile_ms(99)]);
    }
    print!("{}", figures.close_table("payments, webhooks")?);
    Ok(ExitCode::from(figures.exit_code()))
}

/// Sends webhooks of payments that the shop does not have, as another shop on the same account causes them.
async fn send_webhooks(url: &str, count: usize) -> anyhow::Result<PhaseTimes> {
    let client = Client::builder().pool_max_idle_per_host(WEBHOOK_CONNECTIONS).build()?;
    let now_s = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let events = (0..count).map(|number| {
        let payment = uuid::Uuid::new_v4().to_string();
        let session = json!({"object": "checkout.session", "metadata": {"doorbuster_payment": payment}});
        let event = json!({"id": format!("evt_{number}"), "object": "event", "type": "checkout.session.completed",
            "livemode": false, "data": {"object": session}});
        let body = event.to_string();
        (stripe::sign(TEST_WEBHOOK_SECRET, now_s, body.as_bytes()), body)
    });
    let (times, _) = run_phase(events.collect(), WEBHOOK_CONNECTIONS, async |(signature, body)| {
        let request = client.post(format!("{url}/webhooks/stripe")).header("stripe-signature", signature);
        let status = request.body(body).send().await?.status();
        anyhow::ensure!(status.is_success(), "a webhook was answered with {status}");
        Ok(())
    })
    .await?;
    Ok(times)
}

/// Has each buyer hold a unit, and then pay for it.
async fn hold_and_pay(url: &str, sale: &str, buyers: &str) -> anyhow::Result<(PhaseTimes, PhaseTimes)> {
    let client = Client::builder().pool_max_idle_per_host(CONNECTIONS).build()?;
    let buyers: Vec<String> = buyers.lines().map(str::to_owned).collect();
    let (holding, orders) = run_phase(buyers, CONNECTIONS, async |token| {
        let body = json!({"flashSaleId": sale, "quantity": 1});
        let order = post(&client, &format!("{url}/api/v1/orders"), &token, &body).await?;
        let id = order["id"].as_str().context("an order without an id")?.to_owned();
        Ok(HeldOrder { id, token })
    })
    .await?;
    let (paying, _) = run_phase(orders, CONNECTIONS, async |order: HeldOrder| {
        let path = format!("{url}/api/v1/orders/{}/pay", order.id);
        let paid = post(&client, &path, &order.token, &json!({"method": "sandbox:approve"})).await?;
        anyhow::ensure!(paid["status"] == "confirmed", "a payment was answered with {paid}");
        Ok(())
    })
    .await?;
    Ok((holding, paying))
}

/// Makes a request for each item, some at a time.
async fn run_phase<T, U>(
    items: Vec<T>,
    connections: usize,
    request: impl AsyncFn(T) -> anyhow::Result<U>,
) -> anyhow::Result<(PhaseTimes, Vec<U>)> {
    let began = Instant::now();
    let done: Vec<(Duration, U)> = stream::iter(items)
        .map(|item| async {
            let began = Instant::now();
            let reply = request(item).await?;
            anyhow::Ok((began.elapsed(), reply))
        })
        .buffer_unordered(connections)
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
