//! A PostgreSQL for a test: in a temporary folder, on a reserved port, killed, frozen and restarted as the test wants; it ends with
//! the test. It never touches a server that it did not start.
//!
//! It runs as another user when the tests run as root, because PostgreSQL refuses root. Without PostgreSQL on this machine the
//! test fails and says so; `scripts/setup.sh` installs it.

mod install;

use crate::ReservedPort;
use crate::process::{FrozenProcesses, ProcessGuard};
use crate::wait::{HANG_LIMIT, eventually_blocking};
use install::PostgresInstall;
use rustix::process::Pid;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// The server asks this user for no password.
const USER: &str = "doorbuster";
/// The password in every address: tests look that it is shown nowhere.
pub const PASSWORD: &str = "a-secret-of-the-database";

/// Settings of every server. Its data survive `kill -9`, but not a crash of the machine, which no test makes.
const SETTINGS: [&str; 9] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=300",
    "shared_buffers=32MB",
    "fsync=off",
    "full_page_writes=off",
    "jit=off",
    "autovacuum_naptime=1min",
    "log_min_messages=fatal",
];

/// Settings of [`PostgresServer::start_durable`]: the data survive a crash of the machine too, at the cost that users pay.
const DURABLE: [&str; 4] =
    ["fsync=on", "synchronous_commit=on", "full_page_writes=on", "shared_buffers=256MB"];

/// A running PostgreSQL. It ends when this is dropped, or with the process.
pub struct PostgresServer {
    /// Ended before the folder is removed: fields go in this order.
    running: Option<ProcessGuard>,
    install: PostgresInstall,
    folder: TempDir,
    port: ReservedPort,
    settings: Vec<String>,
    databases: AtomicU32,
}

impl PostgresServer {
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server that waits for the disk, for benchmarks.
    #[must_use]
    pub fn start_durable() -> Self {
        Self::start_with(&DURABLE)
    }

    /// A server with more settings, such as `max_connections=10`.
    #[must_use]
    pub fn start_with(settings: &[&str]) -> Self {
        let install = PostgresInstall::find();
        let folder = tempfile::Builder::new().prefix("test-postgres-").tempdir().unwrap();
        install.give_folder(folder.path());
        let made = install
            .command("initdb", folder.path())
            .args([
                "--username",
                USER,
                "--auth=trust",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
                "--pgdata",
            ])
            .arg(folder.path().join("data"))
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let settings = settings.iter().map(ToString::to_string).collect();
        let mut postgres = Self {
            install,
            folder,
            port: ReservedPort::reserve(),
            settings,
            running: None,
            databases: AtomicU32::new(0),
        };
        postgres.launch();
        postgres
    }

    /// A server that all tests of this process share. Each test calls [`PostgresServer::create_database`], and leaves the server as it is.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Makes an empty database, and returns its address.
    pub fn create_database(&self) -> String {
        let name = format!("shop_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.run_sql(&self.url("postgres"), &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// Runs statements with `psql`, and returns their result: rows as lines, columns with `|` between.
    pub fn run_sql(&self, url: &str, sql: &str) -> String {
        let output = self
            .install
            .command("psql", self.folder.path())
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
            .args(["--dbname", url, "--command", sql])
            .output()
            .unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Runs a script of `pg_dump`.
    pub fn restore(&self, url: &str, script: &str) {
        let mut psql = self.install.command("psql", self.folder.path());
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", url]);
        let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        psql.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(psql.wait().unwrap().success(), "the dump cannot be restored");
    }

    /// Runs another of PostgreSQL's programs, such as `pg_dump`, and returns its output.
    pub fn run_program(&self, name: &str, arguments: &[&str]) -> String {
        let ran = self.install.command(name, self.folder.path()).args(arguments).output().unwrap();
        assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }

    /// Its processes; the postmaster is the first.
    #[must_use]
    pub fn processes(&self) -> Vec<Pid> {
        self.running.as_ref().unwrap().processes()
    }

    /// `kill -9` to all of the server's processes.
    pub fn kill(&mut self) {
        self.running.take().unwrap().kill();
    }

    /// Starts it again after [`PostgresServer::kill`], and waits until it accepts connections.
    pub fn launch(&mut self) {
        let mut command = self.install.command("postgres", self.folder.path());
        command.arg("-D").arg(self.folder.path().join("data")).arg("-p").arg(self.port.get().to_string());
        for setting in SETTINGS.into_iter().chain(self.settings.iter().map(String::as_str)) {
            command.args(["-c", setting]);
        }
        self.running = Some(self.install.start_program(&command, self.folder.path()));
        self.wait_until_ready();
    }

    /// Stops all of its processes until the value is dropped.
    #[must_use]
    pub fn freeze(&self) -> FrozenProcesses {
        self.running.as_ref().unwrap().freeze()
    }

    /// The address of a database; `postgres` always exists.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port.get())
    }

    pub fn port(&self) -> u16 {
        self.port.get()
    }

    fn wait_until_ready(&self) {
        eventually_blocking("PostgreSQL accepts connections", HANG_LIMIT, || {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(!self.running.as_ref().unwrap().has_ended(), "PostgreSQL has ended: {}", log());
            let mut probe = self.install.command("pg_isready", self.folder.path());
            probe.args(["--quiet", "--host=127.0.0.1", "--username", USER, "--port"]);
            probe.arg(self.port.get().to_string()).status().unwrap().success()
        });
    }
}
