//! A Doorbuster process: `serve` or `worker` on reserved ports, killed, frozen and started again as the test wants; it ends with the
//! test. It never knows what the process sells: tests speak HTTP to it themselves.

use crate::ReservedPort;
use crate::process::{FrozenProcesses, ProcessGuard};
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

pub const ADMIN_EMAIL: &str = "admin@doorbuster.local";

/// A probe that takes longer is made again.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum DoorbusterRole {
    Serve,
    Worker,
}

/// A process, running or not. It ends when this is dropped, or with this process.
pub struct DoorbusterProcess {
    /// Of the API; of a worker, which has none, of its probes and metrics.
    pub url: String,
    pub flags: Vec<String>,
    pub admin_password: String,
    /// What a shell does before it becomes the process, such as `ulimit -n 100 &&`.
    pub shell_prefix: String,
    /// Where output goes.
    pub log: PathBuf,
    pub data: PathBuf,
    /// The signal that ends it when this is dropped.
    pub end_signal: &'static str,
    /// Ended before the folder is removed: fields go in this order.
    running: Option<ProcessGuard>,
    folder: TempDir,
    role: DoorbusterRole,
    binary: PathBuf,
    port: ReservedPort,
    metrics_port: ReservedPort,
}

impl DoorbusterProcess {
    /// A process that is not started yet, with these flags besides its addresses and its data folder.
    #[must_use]
    pub fn new(binary: &Path, role: DoorbusterRole, flags: &[&str]) -> Self {
        let port = ReservedPort::reserve();
        let folder = tempfile::Builder::new().prefix("test-doorbuster-").tempdir().unwrap();
        Self {
            url: format!("http://127.0.0.1:{}", port.get()),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            admin_password: "a password for this test".to_owned(),
            shell_prefix: String::new(),
            log: folder.path().join("log"),
            data: folder.path().join("data"),
            end_signal: "KILL",
            running: None,
            folder,
            role,
            binary: binary.to_owned(),
            port,
            metrics_port: ReservedPort::reserve(),
        }
    }

    /// Starts the process, and does not wait until it is ready.
    pub fn spawn(&mut self) {
        // One that has ended by itself keeps its folder for this one.
        if let Some(ended) = self.running.take() {
            ended.wait();
        }
        let (address, metrics) = (self.address(), self.metrics_address());
        let mut command = Command::new("sh");
        let script = format!("{} exec \"$@\" >>\"$0\" 2>&1", self.shell_prefix);
        command.args(["-c", &script]).arg(&self.log).arg(&self.binary);
        match self.role {
            // Each buyer has an address of its own, as behind a load balancer.
            DoorbusterRole::Serve => command
                .args(["serve", "--listen", &address, "--metrics-listen", &metrics])
                .args(["--trusted-proxies", "127.0.0.1"]),
            DoorbusterRole::Worker => command.args(["worker", "--metrics-listen", &address]),
        };
        command
            .arg("--data")
            .arg(&self.data)
            .args(&self.flags)
            .env("DOORBUSTER_ADMIN_EMAIL", ADMIN_EMAIL)
            .env("DOORBUSTER_ADMIN_PASSWORD", &self.admin_password);
        self.running = Some(ProcessGuard::start(&command, self.folder.path(), self.end_signal));
    }

    /// One request to its readiness probe, without a runtime.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let probe = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(self.address())?;
            stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
            stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: doorbuster\r\nConnection: close\r\n\r\n")?;
            let mut status_line = [0; 12];
            stream.read_exact(&mut status_line)?;
            Ok(status_line.ends_with(b" 200"))
        };
        probe().unwrap_or(false)
    }

    /// Waits until it is ready, without a runtime.
    pub fn wait_until_ready(&self, limit: Duration) {
        crate::wait::eventually_blocking(&format!("{} is ready", self.url), limit, || {
            assert!(!self.has_ended(), "it ended: {}", self.log());
            self.is_ready()
        });
    }

    #[must_use]
    pub fn metrics_url(&self) -> String {
        let address =
            if self.role == DoorbusterRole::Worker { self.address() } else { self.metrics_address() };
        format!("http://{address}/metrics")
    }

    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.running().has_ended()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.running.take().expect("it runs").kill();
    }

    /// Stops all of its processes until the value is dropped.
    #[must_use]
    pub fn freeze(&self) -> FrozenProcesses {
        self.running().freeze()
    }

    /// SIGTERM, on which it drains.
    pub fn terminate(&self) {
        self.running().signal(Signal::TERM);
    }

    /// Waits for its end: the exit code.
    pub fn wait(&mut self) -> i32 {
        self.running.take().expect("it runs").wait()
    }

    #[must_use]
    pub fn id(&self) -> i32 {
        self.running().id().as_raw_nonzero().get()
    }

    /// The data folder; it need not exist.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    fn running(&self) -> &ProcessGuard {
        self.running.as_ref().expect("it runs")
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.get())
    }

    fn metrics_address(&self) -> String {
        format!("127.0.0.1:{}", self.metrics_port.get())
    }
}
