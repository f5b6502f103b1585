//! Many Doorbusters on one Valkey and one PostgreSQL, beside a bare axum endpoint: purchases through one instance, through nginx, and
//! through several at once; how the cost grows with instances, sales and the ledger; and where processor time and memory go.
//!
//! All on this machine, started here and thrown away: a PostgreSQL that waits for the disk, a Redis that keeps nothing, nginx with
//! `deploy/nginx/cluster.conf`, release binaries, and `wrk`. The result is the ratio, because the machine is shared and its speed
//! is not ours: every result is the median of the rounds, and in a round the bare endpoint runs directly before.
//!
//! `cargo bench -p server --bench cluster -- [--rounds=N] [--seconds=N] [--only=TEXT] [--big]`. `--only` takes the parts whose name
//! holds the text: `instance`, `nginx`, `side by side`, `sales`, `price`, `processor`, `idle`, `memory`, `ledger`. `--big` has a ledger of ten
//! million rows too, which takes minutes more, and several GB of memory and disk. `--save=FILE` and `--compare=FILE`: docs/benchmarks.md.

#![expect(clippy::print_stdout, reason = "a program whose output is a table")]

#[expect(dead_code, reason = "the other benchmarks ask more of it")]
#[path = "../common/mod.rs"]
mod common;

mod ratios;

mod growth;
mod purchases;

mod costs;
mod ledger;

use anyhow::Context;
use common::bare::{self, BareServer};
use common::figures::FigureLog;
use common::ground::{self, Servers};
use common::processor;
use common::wrk::Wrk;
use ratios::Measure;
use std::process::ExitCode;
use std::time::Duration;

/// Rows of the ledger that a state is folded from, and with `--big`.
const ROWS: u64 = 1_000_000;
const ROWS_BIG: u64 = 10_000_000;

/// One part of the benchmark: its name, and what measures it.
type Part = (&'static str, fn(&Bench<'_>) -> anyhow::Result<()>);

/// In this order.
const PARTS: [Part; 9] = [
    ("one instance", purchases::one_instance),
    ("behind nginx", purchases::behind_nginx),
    ("side by side", growth::instances),
    ("sales", growth::sales),
    ("price", growth::price),
    ("processor", costs::processor),
    ("idle polling", costs::idle_polling),
    ("memory", costs::memory),
    ("ledger", ledger::grow),
];

/// What all parts work with.
pub struct Bench<'a> {
    servers: &'a Servers,
    measure: Measure<'a>,
    /// Rows of the longest ledger.
    rows_max: u64,
}

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|arg| arg == "bare") {
        return bare::serve(args.get(2).context("bare PORT")?.parse()?).map(|()| ExitCode::SUCCESS);
    }
    let number = |name: &str, default: u64| {
        args.iter().find_map(|arg| arg.strip_prefix(name)?.parse().ok()).unwrap_or(default)
    };
    let only = args.iter().find_map(|arg| arg.strip_prefix("--only=")).unwrap_or("");
    let seconds = Duration::from_secs(number("--seconds=", 5));
    let figures = FigureLog::start(&args, &format!("{} s", seconds.as_secs()));

    let servers = Servers::start()?;
    let bares: Vec<BareServer> =
        (0..ground::INSTANCES).map(|_| bare::start()).collect::<anyhow::Result<_>>()?;
    let wrk = Wrk::new(servers.folder.path(), seconds)?;
    let bench = Bench {
        servers: &servers,
        measure: Measure {
            wrk: &wrk,
            bares: &bares,
            rounds: number("--rounds=", 3),
            seconds,
            figures: &figures,
        },
        rows_max: if args.iter().any(|arg| arg == "--big") { ROWS_BIG } else { ROWS },
    };
    let measured = PARTS.iter().filter(|(name, _)| name.contains(only)).try_for_each(|(name, measure)| {
        println!("\n### {name}\n");
        measure(&bench)?;
        print!("{}", figures.close_table(&format!("cluster, {name}"))?);
        anyhow::Ok(())
    });
    // Also of a run that failed, for its reason.
    println!("\n### What the instances said\n");
    servers.print_warnings()?;
    measured?;
    Ok(ExitCode::from(figures.exit_code()))
}
