//! Runs `wrk` with `load.lua` and reads its result.

use anyhow::Context;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// How `wrk` is run.
pub struct Wrk {
    script: PathBuf,
    seconds: Duration,
}

/// What is sent.
#[derive(Clone)]
pub struct Load {
    pub method: &'static str,
    pub path: String,
    pub tokens: PathBuf,
    pub bodies: Option<PathBuf>,
    /// True when one request after the other has another body; else each body is sent with every token before the next one's turn.
    pub is_spread: bool,
    pub header: Option<String>,
}

/// What came back.
pub struct Run {
    pub requests: u64,
    pub us: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    /// Replies with a status of 400 or more.
    pub refused: u64,
    /// Requests without a reply.
    pub errors: u64,
}

impl Run {
    pub fn per_second(&self) -> f64 {
        self.requests as f64 * 1e6 / self.us as f64
    }

    fn read(output: &Output) -> anyhow::Result<Self> {
        let text = String::from_utf8_lossy(&output.stdout);
        let result = text.lines().find_map(|line| line.strip_prefix("result ")).with_context(|| {
            format!("wrk printed no result: {text}{}", String::from_utf8_lossy(&output.stderr))
        })?;
        let field = |name: &str| -> anyhow::Result<u64> {
            let value = result.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            Ok(value.with_context(|| format!("wrk printed no {name}"))?.parse()?)
        };
        Ok(Self {
            requests: field("requests")?,
            us: field("us")?,
            p50_us: field("p50_us")?,
            p99_us: field("p99_us")?,
            refused: field("refused")?,
            errors: field("errors")?,
        })
    }

    /// Runs of the same time as one. Its latencies are those of the slowest.
    fn together(runs: &[Self]) -> Self {
        let sum = |of: fn(&Self) -> u64| runs.iter().map(of).sum();
        let most = |of: fn(&Self) -> u64| runs.iter().map(of).max().unwrap_or(0);
        Self {
            requests: sum(|run| run.requests),
            us: most(|run| run.us),
            p50_us: most(|run| run.p50_us),
            p99_us: most(|run| run.p99_us),
            refused: sum(|run| run.refused),
            errors: sum(|run| run.errors),
        }
    }
}

impl Wrk {
    pub fn new(folder: &Path, seconds: Duration) -> anyhow::Result<Self> {
        let script = folder.join("load.lua");
        std::fs::write(&script, include_str!("load.lua"))?;
        Ok(Self { script, seconds })
    }

    pub fn run(&self, url: &str, connections: u32, load: &Load) -> anyhow::Result<Run> {
        Run::read(&self.start(url, connections, 2, load)?.wait_with_output()?)
    }

    /// The same at several servers at once, with an equal part of the connections each.
    pub fn run_all(&self, urls: &[String], connections: u32, load: &Load) -> anyhow::Result<Run> {
        let [_, _, ..] = urls else { return self.run(&urls[0], connections, load) };
        let each = connections.div_ceil(u32::try_from(urls.len())?);
        let running: Vec<Child> =
            urls.iter().map(|url| self.start(url, each, 1, load)).collect::<anyhow::Result<_>>()?;
        let runs = running.into_iter().map(|child| Run::read(&child.wait_with_output()?));
        Ok(Run::together(&runs.collect::<anyhow::Result<Vec<_>>>()?))
    }

    fn start(&self, url: &str, connections: u32, threads: u32, load: &Load) -> anyhow::Result<Child> {
        let mut command = Command::new("wrk");
        command.args([
            &format!("-t{threads}"),
            &format!("-c{connections}"),
            &format!("-d{}s", self.seconds.as_secs()),
            // A slow reply is a reply: the peer's slowest are beyond wrk's own two seconds.
            "--timeout=10s",
            "--latency",
            "-s",
        ]);
        command.arg(&self.script).arg(url).arg("--").args([load.method, &load.path]).arg(&load.tokens);
        command.arg(load.bodies.as_deref().unwrap_or(Path::new("-")));
        command.args([threads.to_string().as_str(), if load.is_spread { "spread" } else { "in-turn" }]);
        command.args(&load.header).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().context("wrk cannot be run; install it: apt-get install wrk")
    }
}

/// Waits until someone listens on the port.
pub fn wait_for(port: u16) -> anyhow::Result<()> {
    for _ in 0..1000 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    anyhow::bail!("no process listens on port {port} after ten seconds")
}
