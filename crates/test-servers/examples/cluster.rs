//! The cluster of `scripts/cluster.sh`, which documents the arguments and the variables: runs until Ctrl-C, or plays a rehearsal on it.
//! It never keeps anything.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for a terminal; a failure here ends it"
)]

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;
use test_servers::cluster::{ClusterSettings, RunningCluster};
use test_servers::doorbuster::ADMIN_EMAIL;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Lines of each log that are shown after a failure.
const LOG_LINES: usize = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let settings = ClusterSettings {
        binary: PathBuf::from(std::env::var_os("DOORBUSTER_BINARY").expect("DOORBUSTER_BINARY is set")),
        instances: count("INSTANCES", 3),
        workers: count("WORKERS", 2),
        serve_flags: std::env::var("SERVE_FLAGS")
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        admin_password: random_password(),
    };
    let cluster = match RunningCluster::start(&settings) {
        Ok(cluster) => cluster,
        Err(output) => {
            eprintln!("The tables could not be made: {output}");
            return ExitCode::FAILURE;
        }
    };
    for (no, instance) in (1..).zip(&cluster.instances) {
        println!("instance {no}: {}, metrics {}", instance.url, instance.metrics_url());
    }
    for (no, worker) in (1..).zip(&cluster.workers) {
        println!("worker {no}: metrics {}", worker.metrics_url());
    }
    let code = match arguments.split_first() {
        Some((command, flags)) if command == "rehearse" => rehearse(&settings, &cluster, flags),
        _ => run_until_signal(&settings, &cluster),
    };
    if code != 0 {
        for process in cluster.processes() {
            eprintln!("--- the end of the log of {}:\n{}", process.url, process.log_tail(LOG_LINES));
        }
    }
    ExitCode::from(code)
}

/// Runs until Ctrl-C or SIGTERM, or until a process ends by itself, which is a failure.
fn run_until_signal(settings: &ClusterSettings, cluster: &RunningCluster) -> u8 {
    println!(
        "\nAll of it is behind {}; sign in as {ADMIN_EMAIL} with the password {}.",
        cluster.nginx.url(),
        settings.admin_password
    );
    println!(
        "PostgreSQL is {}, Redis {}. Ctrl-C ends everything and keeps nothing.",
        cluster.database,
        cluster.servers.redis().url()
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = stop_signals();
        loop {
            tokio::select! {
                _ = interrupt.recv() => return 0,
                _ = terminate.recv() => return 0,
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
            if let Some(ended) = cluster.processes().find(|process| process.has_ended()) {
                eprintln!("{} has ended; the cluster stops.", ended.url);
                return 1;
            }
        }
    })
}

/// Plays a drop through nginx; its verdict is the exit code.
fn rehearse(settings: &ClusterSettings, cluster: &RunningCluster, flags: &[String]) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Caught, so that Ctrl-C ends the rehearsal, which still needs the cluster to judge what was played.
    let _signals = runtime.block_on(async { stop_signals() });
    let report = std::env::var_os("REPORT")
        .filter(|folder| !folder.is_empty())
        .map_or_else(|| cluster.servers.folder.path().join("report"), PathBuf::from);
    let status = Command::new(&settings.binary)
        .args(["rehearse", "--url", &cluster.nginx.url(), "--database", &cluster.database, "--token-key"])
        .arg(cluster.write_token_key())
        .arg("--report")
        .arg(report)
        .args(flags)
        .env("DOORBUSTER_ADMIN_EMAIL", ADMIN_EMAIL)
        .env("DOORBUSTER_ADMIN_PASSWORD", &settings.admin_password)
        .status()
        .unwrap();
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn stop_signals() -> (Signal, Signal) {
    (signal(SignalKind::interrupt()).unwrap(), signal(SignalKind::terminate()).unwrap())
}

fn count(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |value| {
        value.parse().unwrap_or_else(|_| panic!("{variable} is a number, not '{value}'"))
    })
}

fn random_password() -> String {
    let mut bytes = [0; 12];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
