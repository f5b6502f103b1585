//! Measures requests beside the bare endpoint, and prints what came out as rows of a table.

use super::common::bare::BareServer;
use super::common::figures::{BetterDirection, FigureLog};
use super::common::wrk::{Load, Run, Wrk};
use std::time::Duration;
use test_servers::nginx::NginxServer;

/// How everything is measured.
#[derive(Clone, Copy)]
pub struct Measure<'a> {
    pub wrk: &'a Wrk,
    /// The first one is the measure; all are what is behind nginx for comparison.
    pub bares: &'a [BareServer],
    pub rounds: u64,
    /// How long each run takes.
    pub seconds: Duration,
    pub figures: &'a FigureLog,
}

/// What is measured.
pub struct Case {
    pub what: String,
    pub connections: u32,
    pub load: Load,
    pub bare: Load,
    /// What must be reached and what is reached for, as ratios to bare.
    pub wanted: Option<(f64, f64)>,
    /// True when refusals are the point.
    pub refuses: bool,
}

/// The bare endpoint behind nginx, as the instances are.
pub struct ProxiedBare(pub NginxServer);

/// One measurement, with that of the bare endpoint right before it.
pub struct Round {
    pub run: Run,
    pub bare_per_second: f64,
    proxied_per_second: Option<f64>,
    /// Replies that were not what the case is about, and requests without one.
    pub failed: u64,
}

impl Round {
    pub fn ratio(&self) -> f64 {
        self.run.per_second() / self.bare_per_second
    }

    fn ratio_to_proxied(&self) -> Option<f64> {
        self.proxied_per_second.map(|proxied| self.run.per_second() / proxied)
    }
}

impl Case {
    /// Of purchases, joins and looks nothing is refused, and nothing is wanted unless it is said.
    pub fn new(what: &str, connections: u32, load: Load, bare: Load) -> Self {
        Self { what: what.to_owned(), connections, load, bare, wanted: None, refuses: false }
    }
}

impl Measure<'_> {
    /// All rounds, the one in the middle being the median by ratio; their ratios and latencies are recorded as those of `row`.
    pub fn measure_rounds(
        &self,
        row: &str,
        case: &Case,
        urls: &[String],
        proxied: Option<&ProxiedBare>,
    ) -> anyhow::Result<Vec<Round>> {
        let mut rounds = Vec::new();
        for _ in 0..self.rounds {
            let bare = self.wrk.run(&self.bares[0].url, case.connections, &case.bare)?;
            let proxied = match proxied {
                Some(ProxiedBare(nginx)) => Some(self.wrk.run(&nginx.url(), case.connections, &case.bare)?),
                None => None,
            };
            let run = self.wrk.run_all(urls, case.connections, &case.load)?;
            let wrong = if case.refuses { run.requests - run.refused } else { run.refused };
            rounds.push(Round {
                bare_per_second: bare.per_second(),
                proxied_per_second: proxied.map(|run| run.per_second()),
                failed: wrong + run.errors,
                run,
            });
        }
        rounds.sort_by(|one, other| one.ratio().total_cmp(&other.ratio()));
        let ratios = rounds.iter().map(|round| (round.ratio(), round.run.p99_us));
        self.figures.record_load(row, "ratio to bare", ratios);
        let proxied = rounds.iter().filter_map(Round::ratio_to_proxied);
        self.figures.record(&format!("{row}: ratio to bare behind nginx"), BetterDirection::Higher, proxied);
        Ok(rounds)
    }

    /// Measures it and prints its row; see [`print_head`].
    pub fn print(
        &self,
        case: &Case,
        through: &str,
        urls: &[String],
        proxied: Option<&ProxiedBare>,
    ) -> anyhow::Result<()> {
        let row = format!("{}, {} connections, {through}", case.what, case.connections);
        let rounds = self.measure_rounds(&row, case, urls, proxied)?;
        let Some(round) = rounds.get(rounds.len() / 2) else { return Ok(()) };
        let wanted = case.wanted.map_or_else(
            || " | | ".to_owned(),
            |(must, may)| {
                let word = if round.ratio() < must { "missed" } else { "met" };
                format!("{must:.2} | {may:.2} | {word}")
            },
        );
        let proxied = round.proxied_per_second.zip(round.ratio_to_proxied());
        let proxied = proxied
            .map_or_else(String::new, |(per_second, ratio)| format!(" {per_second:.0} | {ratio:.2} |"));
        println!(
            "| {} | {} | {through} | {:.0} | {:.0} | **{:.2}** |{proxied} {wanted} | {:.1} | {:.1} | {} |",
            case.what,
            case.connections,
            round.run.per_second(),
            round.bare_per_second,
            round.ratio(),
            round.run.p50_us as f64 / 1000.0,
            round.run.p99_us as f64 / 1000.0,
            round.failed,
        );
        Ok(())
    }
}

/// The head of a table of such rows.
pub fn print_head(is_proxied: bool) {
    let (columns, line) = if is_proxied {
        (" bare behind nginx, requests/s | ratio to that |", " ---: | ---: |")
    } else {
        ("", "")
    };
    println!(
        "| what | connections | through | requests/s | bare axum, requests/s | ratio to bare |{columns} wanted | reach for | \
         | p50, ms | p99, ms | failed |"
    );
    println!("| --- | ---: | --- | ---: | ---: | ---: |{line} ---: | ---: | --- | ---: | ---: | ---: |");
}
