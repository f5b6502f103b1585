//! A Doorbuster as its own process: the release binary beside the benchmark, with limits on, but wide, because the generator has one
//! address and few buyers. It ends when its value is dropped.

use server::commands::instance::TOKEN_KEY_FILE;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;
pub use test_servers::doorbuster::ADMIN_EMAIL as EMAIL;
use test_servers::doorbuster::{DoorbusterProcess, DoorbusterRole};

pub const PASSWORD: &str = "only for this run";

/// On a long ledger a start takes minutes.
const START_TIMEOUT: Duration = Duration::from_mins(15);

/// A running instance, or a worker.
pub struct Instance(DoorbusterProcess);

impl Deref for Instance {
    type Target = DoorbusterProcess;
    fn deref(&self) -> &DoorbusterProcess {
        &self.0
    }
}

impl Instance {
    /// Serves from a folder.
    pub fn serve(data: &Path, flags: &[&str]) -> Self {
        Self::serve_binary(None, data, flags)
    }

    /// Serves from a folder with another binary than the one beside the benchmark, if one is given.
    pub fn serve_binary(binary: Option<&Path>, data: &Path, flags: &[&str]) -> Self {
        let binary = binary.unwrap_or(Path::new(env!("CARGO_BIN_EXE_doorbuster")));
        Self::start(binary, DoorbusterRole::Serve, data, flags, None)
    }

    /// Serves from a folder, with its output at the end of a file.
    pub fn serve_with_log(data: &Path, flags: &[&str], log: &Path) -> Self {
        Self::start(
            Path::new(env!("CARGO_BIN_EXE_doorbuster")),
            DoorbusterRole::Serve,
            data,
            flags,
            Some(log),
        )
    }

    /// A worker, with its output at the end of a file.
    pub fn work(data: &Path, flags: &[&str], log: &Path) -> Self {
        Self::start(
            Path::new(env!("CARGO_BIN_EXE_doorbuster")),
            DoorbusterRole::Worker,
            data,
            flags,
            Some(log),
        )
    }

    /// The key that it signs tokens with, where it has made one itself.
    pub fn key(&self) -> PathBuf {
        self.data.join(TOKEN_KEY_FILE)
    }

    /// Lets it drain, as an operator does.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.0.terminate();
        let code = self.0.wait();
        anyhow::ensure!(code == 0, "an instance ended with {code} after SIGTERM");
        Ok(())
    }

    fn start(binary: &Path, role: DoorbusterRole, data: &Path, flags: &[&str], log: Option<&Path>) -> Self {
        let limits = ["--limit-buy", "1000000000/15m", "--limit-read", "1000000000/1m"];
        let limits = if role == DoorbusterRole::Serve { &limits[..] } else { &[] };
        let mut process = DoorbusterProcess::new(binary, role, &[limits, flags].concat());
        PASSWORD.clone_into(&mut process.admin_password);
        data.clone_into(&mut process.data);
        if let Some(log) = log {
            log.clone_into(&mut process.log);
        }
        process.spawn();
        process.wait_until_ready(START_TIMEOUT);
        Self(process)
    }
}
