//! The cost of a long ledger: for a sale of a given number of rows in PostgreSQL, how long it takes to restore its state into an
//! empty Redis, how long an instance takes to start, and what a purchase costs.

use super::Bench;
use super::ground::BenchCluster;
use super::processor::peak_mib;
use super::purchases::purchase;
use anyhow::Context;
use engine::clock::start_stopwatch;
use engine::record::LedgerReader;
use engine::record::postgres::{AppendResult, EventRange, PostgresAddress, PostgresReader, SharedWriter};
use sale::{BuyerId, Command, EventSeq, OrderId, SaleId, SaleState};
use std::time::Duration;
use uuid::Uuid;

/// No instance writes the tables meanwhile: ten million rows would keep a worker busy for minutes.
const FLAGS: [&str; 2] = ["--roles", "api"];
/// Units of the sale: half of the longest ledger's rows are units that were held, then paid.
const UNITS: u32 = 10_000_000;
const CONNECTIONS: u32 = 256;
/// Rows that are written in one go.
const RANGE_LEN: usize = 8_192;
/// How often a buyer tries until it works, and for how long.
const TRY_EVERY: Duration = Duration::from_millis(5);
const TIMEOUT: Duration = Duration::from_mins(15);

/// A fresh ledger, a million rows, and with `--big` ten million.
pub fn grow(bench: &Bench<'_>) -> anyhow::Result<()> {
    println!(
        "| rows | written in, s | starting while Redis is empty, s | then until the first purchase, s | starting while Redis has the \
         sale, s | from FLUSHALL until the first purchase, s | Redis, MiB | instance at most, MiB | purchases/s | bare axum, requests/s | \
         ratio to bare | p99, ms | failed |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut rows = vec![0, super::ROWS];
    rows.extend((bench.rows_max > super::ROWS).then_some(bench.rows_max));
    rows.into_iter().try_for_each(|rows| measure_rows(bench, rows))
}

fn measure_rows(bench: &Bench<'_>, rows: u64) -> anyhow::Result<()> {
    let mut ground = BenchCluster::fresh(bench.servers, &FLAGS)?;
    let sale = ground.shop.holding_sale(UNITS)?;
    ground.stop()?;
    let written_s = timed(|| fill(&ground.database, &sale, rows))?;

    bench.servers.redis().request(&["FLUSHALL", "ASYNC"]);
    let empty_s = timed(|| ground.restart(1, &FLAGS))?;
    let first_s = timed(|| buy(&ground, &sale))?;
    ground.stop()?;
    let kept_s = timed(|| ground.restart(1, &FLAGS))?;
    buy(&ground, &sale)?;
    bench.servers.redis().request(&["FLUSHALL", "ASYNC"]);
    let rebuilt_s = timed(|| buy(&ground, &sale))?;
    let redis_mib = bench.servers.redis_info("memory", "used_memory")? >> 20;
    let peak_mib = peak_mib(ground.instances[0].id().cast_unsigned())?;

    ground.shop.warm(bench.measure.wrk, &ground.tokens)?;
    let case = purchase("purchase", CONNECTIONS, &ground.files(), std::slice::from_ref(&sale))?;
    let rounds = bench.measure.measure_rounds(&format!("{rows} rows"), &case, &ground.urls(), None)?;
    let round = rounds.get(rounds.len() / 2).context("no round")?;
    println!(
        "| {rows} | {written_s:.1} | {empty_s:.2} | {first_s:.2} | {kept_s:.2} | {rebuilt_s:.2} | {redis_mib} | {peak_mib} | {:.0} | {:.0} \
         | **{:.2}** | {:.1} | {} |",
        round.run.per_second(),
        round.bare_per_second,
        round.ratio(),
        round.run.p99_us as f64 / 1000.0,
        round.failed,
    );
    Ok(())
}

fn timed(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let started = start_stopwatch();
    work()?;
    Ok(started.elapsed().as_secs_f64())
}

/// Repeats a purchase until it succeeds.
fn buy(ground: &BenchCluster<'_>, sale: &str) -> anyhow::Result<()> {
    let started = start_stopwatch();
    while !ground.shop.is_served(sale)? {
        anyhow::ensure!(started.elapsed() < TIMEOUT, "no purchase succeeds after {TIMEOUT:?}");
        std::thread::sleep(TRY_EVERY);
    }
    Ok(())
}

/// Decides so many events by the law, each unit held and then paid by a buyer of its own, and records them as the instances do,
/// in longer ranges.
fn fill(database: &str, sale: &str, rows: u64) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let sale = SaleId(sale.parse::<Uuid>()?);
        let address = PostgresAddress::parse(database)?;
        let reader = PostgresReader::open(&address).await?;
        let mut state = SaleState::new();
        reader.read_entries(sale, EventSeq(0), RANGE_LEN).await?.iter().for_each(|entry| state.apply(entry));
        let mut writer = SharedWriter::join(&address).await?;
        let head = *writer.load_heads(&[sale]).await?.get(&sale).context("the ledger has no such sale")?;
        anyhow::ensure!(head.head == state.seq(), "another process writes the sale");

        let (mut before, mut entries, mut no) = (head.head, Vec::new(), 0);
        let last = EventSeq(before.0 + rows);
        while before < last {
            while entries.len() < RANGE_LEN && state.seq() < last {
                no += 1;
                let (buyer, order) =
                    (BuyerId(scattered(no)), OrderId::with_sale_suffix(scattered(!no), sale));
                let reserve = Command::Reserve { buyer, order, quantity: 1, key: None };
                state.step(state.latest_time(), &reserve, &mut entries);
                state.step(state.latest_time(), &Command::Confirm { buyer, order }, &mut entries);
            }
            let range = EventRange { sale, epoch: head.epoch, before, entries: &entries };
            let results = writer.write(&[range]).await?;
            anyhow::ensure!(results == [AppendResult::Recorded], "a range was not recorded: {results:?}");
            before = state.seq();
            entries.clear();
        }
        Ok(())
    })
}

/// Ids look random, as they do in life.
fn scattered(no: u64) -> Uuid {
    Uuid::from_u64_pair(no.wrapping_mul(0x9e37_79b9_7f4a_7c15), no.wrapping_mul(0xd1b5_4a32_d192_ed03))
}
