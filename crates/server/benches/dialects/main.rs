//! The dialects beside the native API, in one run, with one load generator: `make bench`.
//!
//! Each call of a dialect is measured right after the native call that does the same; the result is their ratio, because the machine is
//! shared. Buyers are new in one row (their guests are stored), and known in the other: a longer run of the same load has reached them before.
//! Needs `wrk`, and the release binary beside this one; `--binary=PATH` measures another one, `--only=NAME` one dialect.

#![expect(clippy::print_stdout, reason = "a program whose output is a table")]

#[expect(dead_code, reason = "the other benchmarks ask more of it")]
#[path = "../common/mod.rs"]
mod common;

use common::figures::FigureLog;
use common::files::Files;
use common::instance::Instance;
use common::shop::Shop;
use common::wrk::{Load, Run, Wrk};
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Buyers with a token each, for the native calls.
const BUYERS: usize = 20_000;
/// Buyers of a dialect in a round: more than can be served in it.
const GUESTS: usize = 400_000;
/// Lines that the native buyers join in a round.
const LINES: usize = 30;
const CONNECTIONS: u32 = 256;
/// How many times as long as a measured load the one runs that makes its buyers known.
const WARM_UP_FACTOR: u32 = 6;

/// Limits so wide that the generator, which has one address, does not reach them.
const FLAGS: [&str; 10] = [
    "--dialects",
    "turnstile,holds,drop",
    "--dialect-admin",
    "open",
    "--limit-turnstile",
    "1000000000/1s",
    "--limit-drop",
    "1000000000/1s",
    "--limit-dialect-address",
    "1000000000/1s",
];

/// A dialect's call and the native one that does the same.
struct Measurement {
    dialect: &'static str,
    call: &'static str,
    buyers: &'static str,
    /// The ratio to the native call that must be reached, where one is wanted.
    wanted: Option<f64>,
    rounds: Vec<Round>,
}

struct Round {
    run: Run,
    native: f64,
}

impl Round {
    fn ratio(&self) -> f64 {
        self.run.per_second() / self.native
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        args.iter().find_map(|arg| arg.strip_prefix(name)?.parse().ok()).unwrap_or(default)
    };
    let rounds = number("--rounds=", 3);
    let only = args.iter().find_map(|arg| arg.strip_prefix("--only=")).unwrap_or("");
    let server = MeasuredServer {
        binary: args.iter().find_map(|arg| arg.strip_prefix("--binary=")).map(Path::new),
        seconds: Duration::from_secs(number("--seconds=", 5)),
    };
    let figures = FigureLog::start(&args, &format!("{} s", server.seconds.as_secs()));

    let row =
        |dialect, call, buyers, wanted| Measurement { dialect, call, buyers, wanted, rounds: Vec::new() };
    let mut measured = [
        row("drop", "purchase", "new", Some(0.6)),
        row("drop", "purchase", "known", Some(0.9)),
        row("drop", "status", "", None),
        row("turnstile", "purchase", "new", Some(0.5)),
        row("turnstile", "purchase", "known", Some(0.75)),
        row("holds", "buy (joins the line)", "new", None),
        row("holds", "buy (joins the line)", "known", Some(0.9)),
    ];
    for round in 0..rounds {
        if "drop".contains(only) {
            server.measure(|bench| bench.measure_drop(round, &mut measured[0..3]))?;
        }
        if "turnstile".contains(only) {
            server.measure(|bench| bench.measure_turnstile(round, &mut measured[3..5]))?;
        }
        if "holds".contains(only) {
            server.measure(|bench| bench.measure_holds(round, &mut measured[5..7]))?;
        }
    }
    print_table(&mut measured);
    for row in &measured {
        let name = [row.dialect, row.call, row.buyers].join(", ");
        let rounds = row.rounds.iter().map(|round| (round.ratio(), round.run.p99_us));
        figures.record_load(name.trim_end_matches(", "), "ratio to native", rounds);
    }
    print!("{}", figures.close_table("dialects")?);
    Ok(ExitCode::from(figures.exit_code()))
}

/// What is measured, and for how long each load.
struct MeasuredServer<'a> {
    binary: Option<&'a Path>,
    seconds: Duration,
}

impl MeasuredServer<'_> {
    /// Measures on a new instance: one remembers 500,000 guests as known, and a round of one dialect has nearly as many.
    fn measure(&self, measure: impl FnOnce(&Bench<'_>) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let instance = Instance::serve_binary(self.binary, &folder.path().join("data"), &FLAGS);
        let shop = Shop::enter(&instance, &instance.key())?;
        let bench = Bench {
            wrk: Wrk::new(folder.path(), self.seconds)?,
            warm_up: Wrk::new(folder.path(), self.seconds * WARM_UP_FACTOR)?,
            tokens: shop.tokens(folder.path(), BUYERS)?,
            folder: folder.path(),
            client: reqwest::blocking::Client::new(),
            sale: shop.open_sale(10_000_000)?,
            shop,
        };
        bench.shop.warm(&bench.wrk, &bench.tokens)?;
        measure(&bench)
    }
}

struct Bench<'a> {
    wrk: Wrk,
    /// Runs the loads that make their buyers known.
    warm_up: Wrk,
    tokens: std::path::PathBuf,
    folder: &'a Path,
    client: reqwest::blocking::Client,
    shop: Shop,
    /// A running sale that sells at once, without a limit that a buyer reaches.
    sale: String,
}

impl Bench<'_> {
    fn measure_drop(&self, round: u64, rows: &mut [Measurement]) -> anyhow::Result<()> {
        let names = self.guests("drop", round, |name| json!({"userId": name}))?;
        let sale = json!({
            "startTime": "2020-01-01T00:00:00Z", "endTime": "2100-01-01T00:00:00Z",
            "totalStock": 10_000_000, "productName": "Lamp",
        });
        // A sale of its own for each load, in which no buyer has bought yet.
        self.measure_new_and_known(&mut rows[..2], Self::native_purchases, |_| {
            self.post("/dialects/drop/api/sale/init", &sale)?;
            Ok(self.post_load("/dialects/drop/api/sale/purchase", &names))
        })?;
        let native = self.native(&self.files().get(&format!("/api/v1/flash-sales/{}", self.sale), None))?;
        let status = self.files().get("/dialects/drop/api/sale/status", None);
        rows[2].rounds.push(Round { run: self.run(&status)?, native });
        Ok(())
    }

    fn measure_turnstile(&self, round: u64, rows: &mut [Measurement]) -> anyhow::Result<()> {
        let names = self.guests("turnstile", round, |name| json!({"userId": name, "productId": "lamp"}))?;
        self.measure_new_and_known(rows, Self::native_purchases, |pass| {
            let mut load = self.post_load("/dialects/turnstile/api/buy", &names);
            load.header = Some(format!("Idempotency-Key: {round}-{pass}-{{n}}"));
            Ok(load)
        })
    }

    fn measure_holds(&self, round: u64, rows: &mut [Measurement]) -> anyhow::Result<()> {
        self.measure_new_and_known(rows, Self::native_joins, |_| {
            // A line of its own, in which no buyer waits yet.
            let sale = self.shop.line()?;
            let buyers = self.guests(
                "holds",
                round,
                |name| json!({"email": format!("{name}@example.com"), "flashSaleId": sale}),
            )?;
            Ok(self.post_load("/dialects/holds/orders/buy", &buyers))
        })
    }

    /// Measures a load of buyers in two rows: new, and known. `load` makes it for a pass; its buyers are the same in each, in one order.
    fn measure_new_and_known(
        &self,
        rows: &mut [Measurement],
        native: fn(&Self) -> anyhow::Result<f64>,
        load: impl Fn(usize) -> anyhow::Result<Load>,
    ) -> anyhow::Result<()> {
        let [new, known] = rows else { anyhow::bail!("one row for new buyers and one for known ones") };
        new.rounds.push(Round { native: native(self)?, run: self.run_once(&load(0)?)? });
        // Buyers that it reaches twice are refused.
        let reached = self.warm_up.run(&self.shop.url, CONNECTIONS, &load(1)?)?.requests;
        let round = Round { native: native(self)?, run: self.run_once(&load(2)?)? };
        let asked = round.run.requests;
        anyhow::ensure!(asked <= reached, "of {asked} buyers only {reached} were known");
        known.rounds.push(round);
        Ok(())
    }

    fn native_purchases(&self) -> anyhow::Result<f64> {
        let orders = self.files().orders("orders", std::slice::from_ref(&self.sale))?;
        self.native(&self.files().post("/api/v1/orders", &orders))
    }

    fn native_joins(&self) -> anyhow::Result<f64> {
        let lines: Vec<String> = (0..LINES).map(|_| self.shop.line()).collect::<anyhow::Result<_>>()?;
        let lines = self.files().joins("lines", &lines)?;
        self.native(&self.files().post("/api/v1/queue/join", &lines))
    }

    fn native(&self, load: &Load) -> anyhow::Result<f64> {
        Ok(self.run(load)?.per_second())
    }

    fn run(&self, load: &Load) -> anyhow::Result<Run> {
        let run = self.wrk.run(&self.shop.url, CONNECTIONS, load)?;
        let Run { requests, refused, errors, .. } = run;
        anyhow::ensure!(
            refused + errors == 0,
            "{}: of {requests} requests {refused} were refused and {errors} failed",
            load.path
        );
        Ok(run)
    }

    /// Runs a load that must reach each buyer once at most.
    fn run_once(&self, load: &Load) -> anyhow::Result<Run> {
        let run = self.run(load)?;
        anyhow::ensure!(run.requests < GUESTS as u64, "{} requests of {GUESTS} buyers", run.requests);
        Ok(run)
    }

    /// A body for each guest of a round; the same ones in each call for a round.
    fn guests(
        &self,
        dialect: &str,
        round: u64,
        body: impl Fn(String) -> Value,
    ) -> anyhow::Result<std::path::PathBuf> {
        let bodies: Vec<String> =
            (0..GUESTS).map(|n| body(format!("{dialect}-{round}-{n}")).to_string()).collect();
        self.files().bodies("guests", &bodies)
    }

    /// A request of each buyer. Dialects know buyers by their names: the token is none.
    fn post_load(&self, path: &str, bodies: &Path) -> Load {
        let tokens = self.folder.join("no-token");
        // Writing one word into a folder of this program fails only with the disk, and then the next step fails too.
        let _written = std::fs::write(&tokens, "none");
        Load {
            method: "POST",
            path: path.into(),
            tokens,
            bodies: Some(bodies.to_owned()),
            is_spread: false,
            header: None,
        }
    }

    fn files(&self) -> Files<'_> {
        Files { folder: self.folder, tokens: &self.tokens }
    }

    fn post(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let reply = self.client.post(format!("{}{path}", self.shop.url)).json(body).send()?;
        let status = reply.status();
        anyhow::ensure!(status.is_success(), "{path}: {status} {}", reply.text()?);
        Ok(())
    }
}

fn print_table(measured: &mut [Measurement]) {
    println!(
        "| dialect | call | buyers | requests/s | native, requests/s | ratio to native | wanted | | p50, ms | p99, ms |"
    );
    println!("| --- | --- | --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |");
    for row in measured {
        row.rounds.sort_by(|one, other| one.ratio().total_cmp(&other.ratio()));
        let Some(round) = row.rounds.get(row.rounds.len() / 2) else { continue };
        let wanted = match row.wanted {
            Some(wanted) => {
                format!("{wanted:.2} | {}", if round.ratio() < wanted { "missed" } else { "met" })
            }
            None => String::from(" | "),
        };
        println!(
            "| {} | {} | {} | {:.0} | {:.0} | **{:.2}** | {wanted} | {:.1} | {:.1} |",
            row.dialect,
            row.call,
            row.buyers,
            round.run.per_second(),
            round.native,
            round.ratio(),
            round.run.p50_us as f64 / 1000.0,
            round.run.p99_us as f64 / 1000.0,
        );
    }
    println!();
    println!(
        "The design of `holds` promises 1,000 holds a second; that of `drop` 5,000 requests a second for 1,000 users,"
    );
    println!("95 of 100 within 100 ms. Here {CONNECTIONS} clients ask at a time.");
}
