//! A Doorbuster as a process of its own: the release binary beside the benchmark, limits on (but wide: the generator is one address
//! and few buyers). It ends with its value.

use anyhow::Context;
use engine::clock::start_stopwatch;
use rustix::process::{Pid, Signal, kill_process};
use server::commands::instance::TOKEN_KEY_FILE;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use test_servers::ReservedPort;

/// Whose password the first start is given.
pub const EMAIL: &str = "bench@example.com";
pub const PASSWORD: &str = "only for this run";

/// How often it is looked whether it has come up, how long an answer is waited for, and how long it may take: on a long ledger
/// that is minutes.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_mins(15);

/// A running instance, or a worker.
pub struct Instance {
    /// Where it answers; of a worker, its metrics.
    pub url: String,
    pub child: Child,
    data: PathBuf,
    _port: ReservedPort,
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Instance {
    /// One that serves from a folder. What it says goes where this program's words go.
    pub fn serve(data: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        Self::start(Self::serving(data, flags), None)
    }

    /// The same, with its words at the end of a file.
    pub fn serve_with_log(data: &Path, flags: &[&str], log: &Path) -> anyhow::Result<Self> {
        Self::start(Self::serving(data, flags), Some(log))
    }

    /// A worker, with its words at the end of a file.
    pub fn work(data: &Path, flags: &[&str], log: &Path) -> anyhow::Result<Self> {
        let port = ReservedPort::reserve();
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
        command.args(["worker", "--metrics-listen", &format!("127.0.0.1:{}", port.get())]).args(flags);
        Self::start(Starting { command, port, data: data.to_owned() }, Some(log))
    }

    /// The key that it signs tokens with, where it has made one itself.
    pub fn key(&self) -> PathBuf {
        self.data.join(TOKEN_KEY_FILE)
    }

    /// Lets it finish, as an operator does.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let ended = self.child.wait()?;
        anyhow::ensure!(ended.success(), "an instance that was told to stop ended with {ended}");
        Ok(())
    }

    fn serving(data: &Path, flags: &[&str]) -> Starting {
        let port = ReservedPort::reserve();
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
        command
            .args([
                "serve",
                "--listen",
                &format!("127.0.0.1:{}", port.get()),
                "--metrics-listen",
                "127.0.0.1:0",
            ])
            .args(["--limit-buy", "1000000000/15m", "--limit-read", "1000000000/1m"])
            .args(flags)
            .env("DOORBUSTER_ADMIN_EMAIL", EMAIL)
            .env("DOORBUSTER_ADMIN_PASSWORD", PASSWORD);
        Starting { command, port, data: data.to_owned() }
    }

    fn start(starting: Starting, log: Option<&Path>) -> anyhow::Result<Self> {
        let Starting { mut command, port, data } = starting;
        command.arg("--data").arg(&data).stdout(Stdio::null());
        if let Some(log) = log {
            command.stderr(std::fs::File::options().create(true).append(true).open(log)?);
        }
        let child = command.spawn().context("the doorbuster binary cannot be started")?;
        let mut instance = Self { url: format!("http://127.0.0.1:{}", port.get()), child, data, _port: port };
        let started = start_stopwatch();
        while started.elapsed() < PATIENCE {
            if is_ready(&instance.url).unwrap_or(false) {
                return Ok(instance);
            }
            if let Some(ended) = instance.child.try_wait()? {
                anyhow::bail!("an instance ended at its start with {ended}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
        anyhow::bail!("an instance does not come up")
    }
}

/// Whether it wants requests. Its port is taken before it can answer, so that alone says nothing.
fn is_ready(url: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: doorbuster\r\nConnection: close\r\n\r\n")?;
    let mut told = [0; 12];
    stream.read_exact(&mut told)?;
    Ok(told.ends_with(b" 200"))
}

/// What is started, and where it will listen.
struct Starting {
    command: Command,
    port: ReservedPort,
    data: PathBuf,
}
