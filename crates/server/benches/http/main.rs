//! Doorbuster over HTTP beside a bare axum endpoint and beside a peer, in one run, with one load generator: `make bench`.
//!
//! The result is the ratio, because the machine is shared and its speed is not ours. Every result is the median of
//! the rounds; in a round each server follows the bare endpoint at once. Needs `wrk`, and the release binary beside this one.

#![expect(clippy::print_stdout, reason = "a program whose output is a table")]

mod cases;
#[expect(dead_code, reason = "the other benchmarks ask more of it")]
#[path = "../common/mod.rs"]
mod common;
mod peer;

use anyhow::Context;
use cases::{Case, Sales};
use common::bare;
use common::figures::{BetterDirection, FigureLog};
use common::instance::Instance;
use common::shop::Shop;
use common::wrk::{Load, Run, Wrk};
use peer::{Fsync, PeerServer};
use std::process::ExitCode;
use std::time::Duration;

/// Buyers with a token each.
const BUYERS: usize = 20_000;

/// Who is measured beside the bare endpoint.
struct Server<'a> {
    name: &'static str,
    /// Confirmed purchases that a power cut may take.
    loses: &'static str,
    url: &'a str,
    peer: Option<(&'a PeerServer, Fsync)>,
}

/// One measurement of a server, with that of the bare endpoint right before it.
struct Round {
    run: Run,
    bare: Run,
}

impl Round {
    fn ratio(&self) -> f64 {
        self.run.per_second() / self.bare.per_second()
    }

    fn p99_ratio(&self) -> f64 {
        self.run.p99_us as f64 / self.bare.p99_us as f64
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|arg| arg == "bare") {
        return bare::serve(args.get(2).context("bare PORT")?.parse()?).map(|()| ExitCode::SUCCESS);
    }
    let number = |name: &str, default: u64| {
        args.iter().find_map(|arg| arg.strip_prefix(name)?.parse().ok()).unwrap_or(default)
    };
    let rounds = number("--rounds=", 3);
    let only = args.iter().find_map(|arg| arg.strip_prefix("--only=")).unwrap_or("");
    let seconds = Duration::from_secs(number("--seconds=", 5));
    let figures = FigureLog::start(&args, &format!("{} s", seconds.as_secs()));

    let folder = tempfile::tempdir()?;
    let bare = bare::start()?;
    let instance = Instance::serve(&folder.path().join("data"), &[]);
    let shop = Shop::enter(&instance, &instance.key())?;
    let wrk = Wrk::new(folder.path(), seconds)?;
    let tokens = shop.tokens(folder.path(), BUYERS)?;
    let sales = Sales::make(&shop)?;
    bare::check(&bare, &shop, &sales.open)?;
    let peer = start_peer(folder.path(), &shop, &sales)?;
    let cases = cases::all(&shop, peer.as_ref(), folder.path(), &tokens, &sales)?;
    shop.warm(&wrk, &tokens)?;

    let mut servers = vec![Server { name: "Doorbuster", loses: "nothing", url: &shop.url, peer: None }];
    if let Some(peer) = &peer {
        let rows = [
            ("Express + Redis, fsync each second", "1 s of orders", Fsync::EverySecond),
            ("Express + Redis, fsync always", "nothing", Fsync::Always),
        ];
        servers.extend(rows.map(|(name, loses, fsync)| Server {
            name,
            loses,
            url: &peer.url,
            peer: Some((peer, fsync)),
        }));
    }

    println!(
        "| what | connections | server | a power cut takes | requests/s | bare axum, requests/s | ratio to bare | \
         wanted | reach for | | p50, ms | p99, ms | p99 to bare's, median |"
    );
    println!("| --- | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: |");
    for case in cases.iter().filter(|case| case.name.contains(only)) {
        for (server, rounds) in servers.iter().zip(measure(case, &servers, &bare.url, &wrk, rounds)?) {
            let mut p99_ratios: Vec<f64> = rounds.iter().map(Round::p99_ratio).collect();
            p99_ratios.sort_by(f64::total_cmp);
            if let Some(round) = rounds.get(rounds.len() / 2) {
                print_row(case, server, round, p99_ratios[p99_ratios.len() / 2]);
            }
            // The peer is what it is.
            if server.peer.is_none() {
                let row = format!("{}, {} connections", case.name, case.connections);
                let rounds = rounds.iter().map(|round| (round.ratio(), round.run.p99_us));
                figures.record_load(&row, "ratio to bare", rounds);
                figures.record(&format!("{row}: p99 to bare's"), BetterDirection::Lower, p99_ratios);
            }
        }
    }
    print!("{}", figures.close_table("http")?);
    Ok(ExitCode::from(figures.exit_code()))
}

/// Starts the peer and warms it up as Doorbuster is, or says in a sentence why there is none.
fn start_peer(folder: &std::path::Path, shop: &Shop, sales: &Sales) -> anyhow::Result<Option<PeerServer>> {
    if let Some(reason) = peer::missing() {
        println!("The peer (Express + Redis) is left out: {reason}.\n");
        return Ok(None);
    }
    let peer = PeerServer::start(folder, BUYERS, &sales.open, &sales.sold_out)?;
    peer.check(shop, &sales.open, &sales.sold_out)?;
    // Its code is compiled while it runs: the first seconds are not what it can do.
    let body = folder.join("warm");
    std::fs::write(&body, format!(r#"{{"flashSaleId":"{}","quantity":1}}"#, sales.open))?;
    let (path, tokens) = ("/api/v1/orders".into(), peer.tokens.clone());
    let load = Load { method: "POST", path, tokens, bodies: Some(body), is_spread: false, header: None };
    Wrk::new(folder, Duration::from_secs(3))?.run(&peer.url, 32, &load)?;
    Ok(Some(peer))
}

/// The rounds of each server, the one in the middle being its median by ratio.
fn measure(
    case: &Case,
    servers: &[Server<'_>],
    bare: &str,
    wrk: &Wrk,
    rounds: u64,
) -> anyhow::Result<Vec<Vec<Round>>> {
    let mut measured: Vec<Vec<Round>> = servers.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (server, into) in servers.iter().zip(&mut measured) {
            let load = match server.peer {
                None => Some(&case.load),
                Some((peer, fsync)) => {
                    peer.set_fsync(fsync)?;
                    case.peer.as_ref()
                }
            };
            // What is refused is not written down: when it would reach the disk makes no difference.
            let same = case.refuses && matches!(server.peer, Some((_, Fsync::Always)));
            let Some(load) = load.filter(|_| !same) else { continue };
            let bare = wrk.run(bare, case.connections, &case.bare)?;
            let run = wrk.run(server.url, case.connections, load)?;
            let wrong = if case.refuses { run.requests - run.refused } else { run.refused };
            anyhow::ensure!(
                wrong + run.errors == 0,
                "{}, {}: {wrong} of {} replies were not what the case is about, {} failed",
                case.name,
                server.name,
                run.requests,
                run.errors
            );
            into.push(Round { run, bare });
        }
    }
    for rounds in &mut measured {
        rounds.sort_by(|one, other| one.ratio().total_cmp(&other.ratio()));
    }
    Ok(measured)
}

fn print_row(case: &Case, server: &Server<'_>, round: &Round, p99_ratio: f64) {
    // What is wanted is wanted of Doorbuster; the peer is what it is.
    let (must, may) = case.wanted;
    let wanted = match server.peer {
        None => format!("{must:.2} | {may:.2} | {}", if round.ratio() < must { "missed" } else { "met" }),
        Some(_) => "| |".to_owned(),
    };
    println!(
        "| {} | {} | {} | {} | {:.0} | {:.0} | **{:.2}** | {wanted} | {:.1} | {:.1} | {p99_ratio:.1} |",
        case.name,
        case.connections,
        server.name,
        if case.refuses || case.load.method == "GET" { "" } else { server.loses },
        round.run.per_second(),
        round.bare.per_second(),
        round.ratio(),
        round.run.p50_us as f64 / 1000.0,
        round.run.p99_us as f64 / 1000.0,
    );
}
