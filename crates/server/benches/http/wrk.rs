//! Runs `wrk` with `load.lua` and reads its result.

use anyhow::Context;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How `wrk` is run.
pub struct Wrk {
    script: PathBuf,
    seconds: Duration,
}

/// What is sent.
pub struct Load {
    pub method: &'static str,
    pub path: String,
    pub tokens: PathBuf,
    pub bodies: Option<PathBuf>,
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
}

impl Wrk {
    pub fn new(folder: &Path, seconds: Duration) -> anyhow::Result<Self> {
        let script = folder.join("load.lua");
        std::fs::write(&script, include_str!("load.lua"))?;
        Ok(Self { script, seconds })
    }

    pub fn run(&self, url: &str, connections: u32, load: &Load) -> anyhow::Result<Run> {
        let mut command = Command::new("wrk");
        command.args([
            "-t2",
            &format!("-c{connections}"),
            &format!("-d{}s", self.seconds.as_secs()),
            // A slow reply is a reply: the peer's slowest are beyond wrk's own two seconds.
            "--timeout=10s",
            "--latency",
            "-s",
        ]);
        command.arg(&self.script).arg(url).arg("--").args([load.method, &load.path]).arg(&load.tokens);
        command.arg(load.bodies.as_deref().unwrap_or(Path::new("-")));
        command.args(&load.header);
        let output = command.output().context("wrk cannot be run; install it: apt-get install wrk")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let result = text.lines().find_map(|line| line.strip_prefix("result ")).with_context(|| {
            format!("wrk told no result: {text}{}", String::from_utf8_lossy(&output.stderr))
        })?;
        let field = |name: &str| -> anyhow::Result<u64> {
            let value = result.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            Ok(value.with_context(|| format!("wrk told no {name}"))?.parse()?)
        };
        Ok(Run {
            requests: field("requests")?,
            us: field("us")?,
            p50_us: field("p50_us")?,
            p99_us: field("p99_us")?,
            refused: field("refused")?,
            errors: field("errors")?,
        })
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
    anyhow::bail!("nobody listens on port {port} after ten seconds")
}
