//! Which process uses the processor's time while purchases run, and how much memory and disk a buyer and an order need.
//! `docs/scaling.md` computes the needs of a larger drop from these numbers, so each is printed on its own.

use super::Bench;
use super::common::figures::BetterDirection;
use super::ground::{self, BenchCluster, INSTANCES, Servers};
use super::processor::{ProcessorTime, processes};
use super::purchases::purchase;
use anyhow::Context;
use std::time::Duration;

/// Units of a sale that does not sell out.
const UNITS: u32 = 10_000_000;
const CONNECTIONS: u32 = 256;
/// Waiting lines, so that there are joins enough for 20,000 buyers.
const LINES: usize = 60;
/// Sales without requests, to see what their upkeep costs.
const IDLE_SALES: usize = 100;
const SETTLING: Duration = Duration::from_secs(3);
/// How often it is looked whether something is over, and for how long.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOKS: u32 = 2_400;
/// Memory that comes and goes by itself.
const NOISE_BYTES: u64 = 64 << 10;

/// How far the projector is behind, in events.
const BEHIND: &str = "
SELECT COALESCE(SUM(e.head - COALESCE(f.seq, 0)), 0)::BIGINT
FROM ledger_epochs e
JOIN ledger_sales s USING (no)
LEFT JOIN followers f ON f.sale_id = s.id::TEXT AND f.name = 'projector'";

/// Processor time by part: buyers' own way alone, then the tables behind it.
pub fn processor(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut ground = BenchCluster::fresh(bench.servers, &[])?;
    let open = [ground.shop.open_sale(UNITS)?];
    println!(
        "µs of processor time a purchase, of instances that do nothing else (`--roles api`), and then of a worker:\n"
    );
    println!("| what | purchases | purchases/s | failed | instances | Redis | PostgreSQL | nginx | all |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let record = |what: &str, used: ProcessorTime, purchases: u64| {
        let each_us = used.all_us() as f64 / purchases as f64;
        bench.measure.figures.record(&format!("{what}: µs a purchase"), BetterDirection::Lower, [each_us]);
    };
    let mut bought = 0;
    for (what, count, is_proxied) in [
        ("1 instance", 1, false),
        ("3 instances at once", INSTANCES, false),
        ("nginx, 3 instances", INSTANCES, true),
    ] {
        ground.restart(count, &["--roles", "api"])?;
        ground.shop.warm(bench.measure.wrk, &ground.tokens)?;
        let proxy = is_proxied.then(|| ground::proxy(&ground.urls()));
        let urls = proxy.as_ref().map_or_else(|| ground.urls(), |proxy| vec![proxy.url()]);
        let case = purchase("purchase", CONNECTIONS, &ground.files(), &open)?;
        let instances = processes(&ground);
        let used = || ProcessorTime::so_far(bench.servers, &instances, proxy.as_ref());
        let before = used()?;
        let run = bench.measure.wrk.run_all(&urls, CONNECTIONS, &case.load)?;
        let used = used()?.since(before);
        let made = run.requests - run.refused;
        bought += made;
        println!(
            "| {what} | {made} | {:.0} | {} | {} |",
            run.per_second(),
            run.refused + run.errors,
            used.columns(made as f64)
        );
        record(what, used, made);
    }
    ground.stop()?;
    let used = project(bench.servers, &ground)?;
    println!("| the tables, by a worker afterwards | {bought} | | | {} |", used.columns(bought as f64));
    record("the tables, by a worker", used, bought);
    Ok(())
}

/// The cost of idle instances: they poll all running sales.
pub fn idle_polling(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut ground = BenchCluster::fresh(bench.servers, &[])?;
    ground.shop.open_sale(UNITS)?;
    let seconds = bench.measure.seconds;
    println!("ms of processor time a second without requests:\n");
    println!("| instances | running sales | instances | Redis | PostgreSQL | nginx | all |");
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (count, sales) in [(1, 1), (INSTANCES, 1), (INSTANCES, IDLE_SALES)] {
        ground.restart(count, &[])?;
        for _ in 1..sales {
            ground.shop.open_sale(UNITS)?;
        }
        let instances = processes(&ground);
        // What a start leaves to be done is done by then.
        std::thread::sleep(SETTLING);
        let before = ProcessorTime::so_far(bench.servers, &instances, None)?;
        std::thread::sleep(seconds);
        let used = ProcessorTime::so_far(bench.servers, &instances, None)?.since(before);
        println!("| {count} | {sales} | {} |", used.columns(seconds.as_secs_f64() * 1000.0));
        let ms_a_second = used.all_us() as f64 / 1000.0 / seconds.as_secs_f64();
        let row = format!("{count} instances, {sales} idle sales: ms a second");
        bench.measure.figures.record(&row, BetterDirection::Lower, [ms_a_second]);
    }
    Ok(())
}

/// What a buyer in line and an order take of Redis and of PostgreSQL. Without limits, whose levels are in Redis too.
pub fn memory(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut ground = BenchCluster::fresh(bench.servers, &["--limits", "off", "--roles", "api"])?;
    let open = [ground.shop.open_sale(UNITS)?];
    let lines: Vec<String> = (0..LINES).map(|_| ground.shop.line()).collect::<anyhow::Result<_>>()?;
    ground.shop.warm(bench.measure.wrk, &ground.tokens)?;
    let files = ground.files();
    let joins = files.post("/api/v1/queue/join", &files.joins("lines", &lines)?);
    let orders = purchase("purchase", CONNECTIONS, &files, &open)?.load;
    let url = ground.shop.url.clone();

    // Each is one event. The generator does not count what was under way when its time was over; the ledger does.
    println!(
        "| what | made | refused or failed | Redis, bytes each | ledger, bytes each | write-ahead log, bytes each |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let mut all = 0.0;
    for (what, load) in [("an order", orders), ("a buyer in line", joins)] {
        let before = Size::now(bench.servers, &ground)?;
        let run = bench.measure.wrk.run(&url, CONNECTIONS, &load)?;
        let grown = Size::now(bench.servers, &ground)?.since(before);
        let events = grown.events as f64;
        all += events;
        println!(
            "| {what} | {events} | {} | {:.0} | {:.0} | {:.0} |",
            run.refused + run.errors,
            grown.redis_bytes as f64 / events,
            grown.ledger_bytes as f64 / events,
            grown.wal_bytes as f64 / events,
        );
    }
    ground.stop()?;
    let before = Size::now(bench.servers, &ground)?;
    project(bench.servers, &ground)?;
    let grown = Size::now(bench.servers, &ground)?.since(before);
    println!(
        "\nThe tables, written by a worker afterwards: {:.0} bytes for each of these {all} orders and buyers in line, and {:.0} bytes of \
         write-ahead log.",
        grown.tables_bytes as f64 / all,
        grown.wal_bytes as f64 / all
    );
    Ok(())
}

/// What there is of everything.
#[derive(Clone, Copy)]
struct Size {
    redis_bytes: u64,
    events: u64,
    ledger_bytes: u64,
    tables_bytes: u64,
    wal_bytes: u64,
}

impl Size {
    /// Once what is recorded has been taken out of the outboxes.
    fn now(servers: &Servers, ground: &BenchCluster<'_>) -> anyhow::Result<Self> {
        let mut redis_bytes = servers.redis_info("memory", "used_memory")?;
        for _ in 0..LOOKS {
            std::thread::sleep(LOOK_EVERY);
            let before = std::mem::replace(&mut redis_bytes, servers.redis_info("memory", "used_memory")?);
            if before.abs_diff(redis_bytes) < NOISE_BYTES {
                break;
            }
        }
        let ledger_bytes = ground.number("SELECT pg_total_relation_size('ledger_entries')")?;
        Ok(Self {
            redis_bytes,
            events: ground.number("SELECT count(*) FROM ledger_entries")?,
            ledger_bytes,
            tables_bytes: ground.number("SELECT pg_database_size(current_database())")? - ledger_bytes,
            wal_bytes: ground.number("SELECT (pg_current_wal_lsn() - '0/0')::BIGINT")?,
        })
    }

    fn since(self, then: Self) -> Self {
        Self {
            redis_bytes: self.redis_bytes.saturating_sub(then.redis_bytes),
            events: self.events - then.events,
            ledger_bytes: self.ledger_bytes - then.ledger_bytes,
            tables_bytes: self.tables_bytes.saturating_sub(then.tables_bytes),
            wal_bytes: self.wal_bytes - then.wal_bytes,
        }
    }
}

/// Lets a worker write the tables, and prints what that took.
fn project(servers: &Servers, ground: &BenchCluster<'_>) -> anyhow::Result<ProcessorTime> {
    let before = ProcessorTime::so_far(servers, &[], None)?;
    let worker = ground.worker();
    for _ in 0..LOOKS {
        if ground.number(BEHIND)? == 0 {
            let used = ProcessorTime::so_far(servers, &[worker.id().cast_unsigned()], None)?.since(before);
            worker.stop()?;
            return Ok(used);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    None.context("the tables do not come to the ledger's end")
}
