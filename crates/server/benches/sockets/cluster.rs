//! A crowd of signed-in buyers, all in the line of one sale, over three instances on Valkey and PostgreSQL: whether all get a socket and
//! keep it, what a socket needs of memory and processor time, and how long further buyers wait to join and those in line for their position
//! over HTTP, while all watch. The instances have the limits of sockets and connections that are shipped.
//!
//! One process holds the clients of one instance, from addresses of their own ([`super::crowd`]); this one sends the requests.

use super::common::ground::{BenchCluster, INSTANCES, Servers};
use super::common::processor::{ProcessorTime, processes, used_us};
use super::crowd::{CrowdPart, CrowdProcess, EntryCounts, WatchCounts};
use super::requests::{PacedLoad, PacedReplies};
use super::{at, memory_kib};
use anyhow::Context;
use server::commands::open_files;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a start, or the arrival of the crowd, leaves to be done is done by then.
const SETTLING: Duration = Duration::from_secs(5);
/// Files of a process besides its sockets and the connections of requests.
const OTHER_FILES: u64 = 1_000;
/// The time within which 99 of 100 joins, and of positions, are wanted.
const P99_WANTED_MS: f64 = 100.0;
/// Memory of a signed-in socket whose buyer waits, at most.
const SOCKET_WANTED_KIB: f64 = 24.0;

/// How large the crowd is, and what it does.
pub struct ClusterLoad {
    pub clients: usize,
    pub seconds: u64,
    pub joins_per_second: u64,
    pub positions_per_second: u64,
    /// Buyers whose turn comes each second; with 0 all wait for the start of the sale.
    pub admitted_per_second: u64,
}

/// What the crowd and the requests came to.
struct ClusterRun {
    entries: EntryCounts,
    watched: WatchCounts,
    joins: PacedReplies,
    positions: PacedReplies,
    /// Memory of the instances for each socket, once all were in line and at the end.
    entered_kib: f64,
    end_kib: f64,
    /// While requests were sent.
    elapsed: Duration,
    processor: ProcessorTime,
    generator_us: u64,
}

pub fn run(load: &ClusterLoad) -> anyhow::Result<()> {
    let files_max = open_files::raise_to_maximum().unwrap_or(u64::MAX);
    let files = load.clients.div_ceil(INSTANCES) as u64 + OTHER_FILES;
    anyhow::ensure!(
        files <= files_max,
        "a process needs {files} open files of the {files_max} that it may have"
    );

    let servers = Servers::start()?;
    let measured = measure(&servers, load);
    println!("\n### What the instances said\n");
    servers.print_warnings()?;
    measured?.print(load);
    Ok(())
}

fn measure(servers: &Servers, load: &ClusterLoad) -> anyhow::Result<ClusterRun> {
    let mut cluster = BenchCluster::fresh(servers, &[])?;
    cluster.restart(INSTANCES, &[])?;
    let sale = match load.admitted_per_second {
        0 => cluster.shop.line()?,
        per_second => cluster.shop.moving_line(per_second)?,
    };
    let folder = tempfile::tempdir()?;
    let joining = usize::try_from(load.joins_per_second * load.seconds)?;
    let tokens = cluster.shop.tokens(folder.path(), load.clients + joining)?;
    std::thread::sleep(SETTLING);

    let instances = processes(&cluster);
    let memory = || instances.iter().map(|process| memory_kib(*process)).sum::<anyhow::Result<f64>>();
    let before_kib = memory()?;
    let began = Instant::now();
    let (mut crowds, entries) = start_crowds(&cluster, &sale, &tokens, load.clients)?;
    println!("{} of {} are in line after {:.0?}", entries.entered, load.clients, began.elapsed());
    let each_kib = |kib: f64| (kib - before_kib) / entries.entered as f64;
    std::thread::sleep(SETTLING);
    let entered_kib = each_kib(memory()?);

    let text = std::fs::read_to_string(&tokens)?;
    let tokens: Vec<&str> = text.lines().collect();
    let (waiting, joining) = tokens.split_at_checked(load.clients).context("too few tokens")?;
    let requests = PacedLoad {
        urls: &cluster.urls(),
        sale: &sale,
        joining,
        waiting,
        joins_per_second: load.joins_per_second,
        positions_per_second: load.positions_per_second,
        duration: Duration::from_secs(load.seconds),
    };
    crowds.iter_mut().try_for_each(CrowdProcess::watch)?;
    let generator: Vec<u32> = crowds.iter().map(CrowdProcess::id).chain([std::process::id()]).collect();
    let generator_us = || generator.iter().map(|process| used_us(*process)).sum::<anyhow::Result<u64>>();
    let processor = || ProcessorTime::so_far(servers, &instances, None);
    let (processor_before, generator_before, began) = (processor()?, generator_us()?, Instant::now());
    let (joins, positions) = requests.run()?;
    let elapsed = began.elapsed();
    let (processor, generator_us) =
        (processor()?.since(processor_before), generator_us()? - generator_before);
    let end_kib = each_kib(memory()?);

    let mut watched = WatchCounts::default();
    for crowd in crowds {
        let counts = crowd.count()?;
        watched.dropped += counts.dropped;
        watched.silent += counts.silent;
        watched.updates += counts.updates;
    }
    Ok(ClusterRun {
        entries,
        watched,
        joins,
        positions,
        entered_kib,
        end_kib,
        elapsed,
        processor,
        generator_us,
    })
}

/// Brings all clients into the line, spread over the instances.
fn start_crowds(
    cluster: &BenchCluster<'_>,
    sale: &str,
    tokens: &Path,
    clients: usize,
) -> anyhow::Result<(Vec<CrowdProcess>, EntryCounts)> {
    let urls = cluster.urls();
    let part = |(first, url)| CrowdPart { url, sale, tokens, first, step: INSTANCES, clients };
    let parts = urls.iter().map(String::as_str).enumerate().map(part);
    let mut crowds: Vec<CrowdProcess> =
        parts.map(|part| CrowdProcess::start(&part)).collect::<anyhow::Result<_>>()?;
    let mut all = EntryCounts::default();
    for crowd in &mut crowds {
        let EntryCounts { entered, refused } = crowd.wait_until_entered()?;
        all.entered += entered;
        all.refused += refused;
    }
    Ok((crowds, all))
}

impl ClusterRun {
    fn print(mut self, load: &ClusterLoad) {
        println!(
            "\n### {} signed-in buyers in one line over {INSTANCES} instances, {} joins and {} positions a second for {} s\n",
            load.clients, load.joins_per_second, load.positions_per_second, load.seconds
        );
        println!(
            "| connected | refused | dropped | without an update | updates/s | joins, p50 / p99, ms | failed | positions, p50 / p99, ms | \
             failed | memory of a socket, KiB: all in line / at the end | cores used: instances | Redis | PostgreSQL | generator |"
        );
        println!(
            "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
        );
        let cores = |us: u64| us as f64 / self.elapsed.as_micros() as f64;
        let cores = [
            cores(self.processor.instances_us),
            cores(self.processor.redis_us),
            cores(self.processor.postgres_us),
            cores(self.generator_us),
        ];
        let (joins, positions) = (self.joins.percentiles(), self.positions.percentiles());
        println!(
            "| {} | {} | {} | {} | {:.0} | {:.1} / {:.1} | {} | {:.1} / {:.1} | {} | {:.1} / {:.1} | {} |",
            self.entries.entered,
            self.entries.refused,
            self.watched.dropped,
            self.watched.silent,
            self.watched.updates as f64 / self.elapsed.as_secs_f64(),
            joins.0,
            joins.1,
            self.joins.failed,
            positions.0,
            positions.1,
            self.positions.failed,
            self.entered_kib,
            self.end_kib,
            cores.map(|used| format!("{used:.2}")).join(" | "),
        );
        for (what, replies) in [("join", &self.joins), ("position", &self.positions)] {
            if let Some(failure) = &replies.first_failure {
                println!("\nThe first failed request of {what}: {failure}");
            }
        }
        let lost = self.entries.refused + self.watched.dropped + self.watched.silent;
        let failed = self.joins.failed + self.positions.failed;
        let is_met = lost == 0 && failed == 0 && joins.1.max(positions.1) < P99_WANTED_MS;
        println!(
            "\nAll connected, nobody dropped, no failed request, and p99 below {P99_WANTED_MS:.0} ms: {}",
            if is_met { "met" } else { "missed" }
        );
        println!(
            "A socket takes {SOCKET_WANTED_KIB:.0} KiB at most once all are in line: {}",
            if self.entered_kib <= SOCKET_WANTED_KIB { "met" } else { "missed" }
        );
    }
}

impl PacedReplies {
    /// p50 and p99 in milliseconds; 0 without any.
    fn percentiles(&mut self) -> (f64, f64) {
        match self.latencies_ms.as_mut_slice() {
            [] => (0.0, 0.0),
            all => (at(all, 0.5), at(all, 0.99)),
        }
    }
}
