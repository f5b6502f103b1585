//! Doorbuster over HTTP beside a bare axum endpoint, in one run, with one load generator: `make bench`.
//!
//! What is told is the ratio, because the machine is shared and its speed is not ours. Every figure is the median of
//! the rounds; in a round each case follows its bare twin at once. Needs `wrk`, and the release binary beside this one.

#![expect(clippy::print_stdout, reason = "a program whose output is a table")]

mod bare;
mod doorbuster;
mod wrk;

use anyhow::Context;
use doorbuster::Doorbuster;
use std::time::Duration;
use wrk::{Load, Wrk};

/// Buyers with a token each.
const BUYERS: usize = 20_000;
/// Waiting lines: buyers × lines is how many joins can be measured, since each buyer joins a line once.
const LINES: usize = 60;

/// One row of the table.
struct Case<'a> {
    name: &'a str,
    connections: u32,
    load: Load,
    bare: Load,
    /// What must be reached and what is reached for, as ratios to bare.
    wanted: (f64, f64),
    /// True when refusals are the point.
    refuses: bool,
}

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|arg| arg == "bare") {
        return bare::serve(args.get(2).context("bare PORT")?.parse()?);
    }
    let number = |name: &str, default: u64| {
        args.iter().find_map(|arg| arg.strip_prefix(name)?.parse().ok()).unwrap_or(default)
    };
    let rounds = number("--rounds=", 3);
    let only = args.iter().find_map(|arg| arg.strip_prefix("--only=")).unwrap_or("");
    let seconds = Duration::from_secs(number("--seconds=", 5));

    let folder = tempfile::tempdir()?;
    let bare = bare::start()?;
    let shop = Doorbuster::start(folder.path())?;
    let wrk = Wrk::new(folder.path(), seconds)?;
    let tokens = shop.tokens(folder.path(), BUYERS)?;
    let cases = cases(&shop, folder.path(), &tokens)?;
    shop.warm(&wrk, &tokens)?;

    println!("| what | connections | requests/s | bare axum | ratio | wanted | reach | p50 ms | p99 ms |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for case in cases.iter().filter(|case| case.name.contains(only)) {
        let mut runs = Vec::new();
        for _ in 0..rounds {
            let bare_run = wrk.run(&bare.url, case.connections, &case.bare)?;
            let run = wrk.run(&shop.url, case.connections, &case.load)?;
            let refused = if case.refuses { run.requests - run.refused } else { run.refused };
            anyhow::ensure!(
                refused + run.errors == 0,
                "{}: {refused} of {} replies were not what the case is about, {} failed",
                case.name,
                run.requests,
                run.errors
            );
            runs.push((run.per_second() / bare_run.per_second(), run, bare_run));
        }
        runs.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (ratio, run, bare_run) = &runs[runs.len() / 2];
        println!(
            "| {} | {} | {:.0} | {:.0} | **{ratio:.2}** | {:.2} | {:.2} | {:.1} | {:.1} |",
            case.name,
            case.connections,
            run.per_second(),
            bare_run.per_second(),
            case.wanted.0,
            case.wanted.1,
            run.p50_us as f64 / 1000.0,
            run.p99_us as f64 / 1000.0,
        );
    }
    Ok(())
}

fn cases(
    shop: &Doorbuster,
    folder: &std::path::Path,
    tokens: &std::path::Path,
) -> anyhow::Result<Vec<Case<'static>>> {
    let post = |path: &str, name: &str, bodies: &[String]| -> anyhow::Result<Load> {
        let file = folder.join(name);
        std::fs::write(&file, bodies.join("\n"))?;
        Ok(Load {
            method: "POST",
            path: path.into(),
            tokens: tokens.to_owned(),
            bodies: Some(file),
            header: None,
        })
    };
    let order = |sale: &str| vec![format!(r#"{{"flashSaleId":"{sale}","quantity":1}}"#)];
    let get = |path: String, header: Option<String>| Load {
        method: "GET",
        path,
        tokens: tokens.to_owned(),
        bodies: None,
        header,
    };

    let open = shop.open_sale(10_000_000)?;
    let empty = shop.sold_out_sale()?;
    let lines: Vec<String> = (0..LINES)
        .map(|_| Ok(format!(r#"{{"flashSaleId":"{}"}}"#, shop.line()?)))
        .collect::<anyhow::Result<_>>()?;
    let status = format!("/api/v1/flash-sales/{open}");
    let upcoming = shop.upcoming_sale()?;
    let etag = shop.etag(&format!("/api/v1/flash-sales/{upcoming}"))?;

    let mut cases = Vec::new();
    for (connections, wanted) in [(256, (0.65, 0.75)), (64, (0.40, 0.60))] {
        cases.push(Case {
            name: "durable purchase",
            connections,
            load: post("/api/v1/orders", "order", &order(&open))?,
            bare: post("/orders", "order", &order(&open))?,
            wanted,
            refuses: false,
        });
    }
    for (connections, wanted) in [(256, (0.65, 0.75)), (64, (0.40, 0.60))] {
        cases.push(Case {
            name: "join the line",
            connections,
            load: post("/api/v1/queue/join", "join", &lines)?,
            bare: post("/orders", "join", &lines)?,
            wanted,
            refuses: false,
        });
    }
    cases.push(Case {
        name: "sold out",
        connections: 256,
        load: post("/api/v1/orders", "empty", &order(&empty))?,
        bare: post("/orders", "empty", &order(&empty))?,
        wanted: (0.90, 1.2),
        refuses: true,
    });
    cases.push(Case {
        name: "sale status",
        connections: 256,
        load: get(status, None),
        bare: get("/status".into(), None),
        wanted: (0.95, 0.95),
        refuses: false,
    });
    cases.push(Case {
        name: "sale status, not modified",
        connections: 256,
        load: get(format!("/api/v1/flash-sales/{upcoming}"), Some(format!("If-None-Match: {etag}"))),
        bare: get("/status".into(), None),
        wanted: (0.95, 0.95),
        refuses: false,
    });
    Ok(cases)
}
