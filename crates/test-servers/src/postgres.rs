//! A PostgreSQL of one's own, for tests: made in a temporary folder on a free port, killed, frozen and mended as the test
//! wants, and gone when the test has ended, however it ends. It never touches a server that it did not make.
//!
//! It runs as another user when the tests run as root, because PostgreSQL refuses root. Where PostgreSQL is not installed the
//! test fails and says so; `scripts/setup.sh` installs it.

mod install;

use crate::free_port;
use crate::process::{FrozenProcesses, ProcessGuard};
use install::PostgresInstall;
use rustix::process::Pid;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// As whom to enter. The server asks for no password; a test may want to see that this one is told nowhere.
const USER: &str = "doorbuster";
/// The password of every address.
pub const PASSWORD: &str = "a-secret-of-the-database";

/// What every server is told. Nothing here survives a crash of the machine, as no test needs that; all of it survives
/// `kill -9`.
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

/// What [`Postgres::durable`] adds: all survives a crash of the machine too, and costs what it costs in life.
const DURABLE: [&str; 4] =
    ["fsync=on", "synchronous_commit=on", "full_page_writes=on", "shared_buffers=256MB"];

/// A server. It ends with this, or with the process.
pub struct PostgresServer {
    /// Ended before the folder is removed: fields go in this order.
    running: Option<ProcessGuard>,
    install: PostgresInstall,
    folder: TempDir,
    port: u16,
    settings: Vec<String>,
    databases: AtomicU32,
}

impl PostgresServer {
    /// A server of this test's own.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// One that waits for the disk, for those who measure.
    #[must_use]
    pub fn start_durable() -> Self {
        Self::start_with(&DURABLE)
    }

    /// One with more settings, such as `max_connections=10`.
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
            port: free_port(),
            settings,
            running: None,
            databases: AtomicU32::new(0),
        };
        postgres.launch();
        postgres
    }

    /// One that all tests of this process share. Make a [`Postgres::database`] in it, and leave the server alone.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Makes an empty database, and tells its address.
    pub fn create_database(&self) -> String {
        let name = format!("shop_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.run_sql(&self.url("postgres"), &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// Runs statements with `psql`, and returns what they say: rows as lines, columns with `|` between.
    pub fn run_sql(&self, url: &str, sql: &str) -> String {
        let asked = self
            .install
            .command("psql", self.folder.path())
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
            .args(["--dbname", url, "--command", sql])
            .output()
            .unwrap();
        assert!(asked.status.success(), "{sql}: {}", String::from_utf8_lossy(&asked.stderr));
        String::from_utf8(asked.stdout).unwrap().trim_end().to_owned()
    }

    /// Runs a script that `pg_dump` has written.
    pub fn restore(&self, url: &str, script: &str) {
        let mut asked = self.install.command("psql", self.folder.path());
        asked.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", url]);
        let mut asked = asked.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        asked.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(asked.wait().unwrap().success(), "the dump cannot be restored");
    }

    /// Runs another of PostgreSQL's programs, such as `pg_dump`, and returns what it says.
    pub fn run_program(&self, name: &str, arguments: &[&str]) -> String {
        let ran = self.install.command(name, self.folder.path()).args(arguments).output().unwrap();
        assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }

    /// Its processes, the first one first.
    #[must_use]
    pub fn processes(&self) -> Vec<Pid> {
        self.running.as_ref().unwrap().processes()
    }

    /// `kill -9` to all of the server's processes.
    pub fn kill(&mut self) {
        self.running.take().unwrap().kill();
    }

    /// Starts it again after [`Postgres::kill`], and waits until it can be entered.
    pub fn launch(&mut self) {
        let mut command = self.install.command("postgres", self.folder.path());
        command.arg("-D").arg(self.folder.path().join("data")).arg("-p").arg(self.port.to_string());
        for setting in SETTINGS.into_iter().chain(self.settings.iter().map(String::as_str)) {
            command.args(["-c", setting]);
        }
        self.running = Some(self.install.start_program(&command, self.folder.path()));
        self.wait_until_ready();
    }

    /// Stops all of its processes where they are, as a machine does that has no time for them.
    #[must_use]
    pub fn freeze(&self) -> FrozenProcesses {
        self.running.as_ref().unwrap().freeze()
    }

    /// Its address; `postgres` is the database that is always there.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn wait_until_ready(&self) {
        for _ in 0..500 {
            let mut asked = self.install.command("pg_isready", self.folder.path());
            asked
                .args(["--quiet", "--host=127.0.0.1", "--username", USER, "--port"])
                .arg(self.port.to_string());
            if asked.status().unwrap().success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("PostgreSQL does not start: {log}");
    }
}
