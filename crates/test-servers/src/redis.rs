//! A Redis or Valkey of one's own, for tests: on a free port, in a temporary folder, killed, frozen and mended as the test wants,
//! and gone when the test has ended, however it ends. It never touches a server that it did not make.
//!
//! Where neither is installed the test fails and says so; `scripts/setup.sh` installs one.

use crate::free_port;
use crate::process::{FrozenProcesses, ProcessGuard};
use rustix::process::Pid;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How often it is looked whether a server has come to say something, and for how long.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
const POLLS_MAX: u32 = 1_000;
/// How long a server may be silent: one that stands still is not waited for.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);
/// The programs that will do, the first that is there.
const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];

/// A server. It ends with this, or with the process.
pub struct RedisServer {
    /// Ended before the folder is removed: fields go in this order.
    running: Option<ProcessGuard>,
    folder: TempDir,
    port: u16,
    settings: Vec<String>,
}

impl RedisServer {
    /// A server of this test's own, that keeps nothing over a restart.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more settings, such as `["--maxmemory", "10mb"]`.
    #[must_use]
    pub fn start_with(settings: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("test-redis-").tempdir().unwrap();
        let mut server = Self { running: None, folder, port: free_port(), settings: Vec::new() };
        server.restart_with(settings, "PONG");
        server
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its processes, the first one first.
    #[must_use]
    pub fn processes(&self) -> Vec<Pid> {
        self.running.as_ref().unwrap().processes()
    }

    /// Kills it as a crash does.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    /// Starts it again, on the same port and folder.
    pub fn restart(&mut self) {
        self.restart_with(&[], "PONG");
    }

    /// Starts it again with more settings, and waits until it answers a `PING` so; `LOADING` is an answer too.
    pub fn restart_with(&mut self, settings: &[&str], answer: &str) {
        self.kill();
        self.settings.extend(settings.iter().map(|setting| (*setting).to_owned()));
        let mut program = Command::new(find_program());
        program
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(self.folder.path());
        program.args(["--appendonly", "no", "--save", "", "--repl-diskless-sync-delay", "0"]);
        program.args(&self.settings);
        // Killed, it cannot write what it has to the disk at the last moment.
        let running = self.running.insert(ProcessGuard::start(&program, self.folder.path(), "KILL"));
        for _ in 0..POLLS_MAX {
            let has_ended = running.has_ended();
            let told = send_to_port(self.port, redis::cmd("PING")).map_or_else(
                |error| error.to_string(),
                |value| redis::from_redis_value::<String>(value).unwrap_or_default(),
            );
            if told.contains(answer) || (answer == "LOADING" && told.contains("oading")) {
                return;
            }
            assert!(!has_ended, "Redis does not start: {}", read_log(&self.folder));
            std::thread::sleep(POLL_INTERVAL);
        }
        panic!("Redis does not come to say {answer}: {}", read_log(&self.folder));
    }

    /// Stops it where it is, as a machine does that has no time for it.
    #[must_use]
    pub fn freeze(&self) -> FrozenProcesses {
        self.running.as_ref().unwrap().freeze()
    }

    /// Makes it a replica of another, and waits until it has all that the other has. Commands pass through the port `through`:
    /// that of the other, or of a wire to it.
    pub fn replicate_from(&self, through: u16) {
        self.ask(&["REPLICAOF", "127.0.0.1", &through.to_string()]);
        self.wait_for_replies(
            &["INFO", "replication"],
            &["master_link_status:up", "master_sync_in_progress:0"],
        );
    }

    /// Asks until the answer holds a text.
    pub fn wait_for_reply(&self, word: &str, text: &str) {
        self.wait_for_replies(&[word], &[text]);
    }

    /// Asks until the answer holds all texts.
    pub fn wait_for_replies(&self, words: &[&str], texts: &[&str]) {
        for _ in 0..POLLS_MAX {
            let told = self.try_ask(words).map(|value| format!("{value:?}")).unwrap_or_default();
            if texts.iter().all(|text| told.contains(text)) {
                return;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        panic!("{words:?} does not come to say {texts:?}");
    }

    /// Sends a command as an operator would.
    pub fn ask(&self, words: &[&str]) -> redis::Value {
        self.try_ask(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Sends a command whose answer is a number.
    pub fn ask_number(&self, words: &[&str]) -> i64 {
        let told = self.ask(words);
        redis::from_redis_value(told).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Sends a command that may be refused.
    ///
    /// # Errors
    /// When there is no answer, or a refusal.
    pub fn try_ask(&self, words: &[&str]) -> Result<redis::Value, redis::RedisError> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        self.send(&command)
    }

    /// The same with a command whose words are no texts.
    ///
    /// # Errors
    /// When there is no answer, or a refusal.
    pub fn send(&self, command: &redis::Cmd) -> Result<redis::Value, redis::RedisError> {
        send_to_port(self.port, command.clone())
    }
}

fn send_to_port(port: u16, command: redis::Cmd) -> Result<redis::Value, redis::RedisError> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
    let mut connection = client.get_connection_with_timeout(REPLY_TIMEOUT)?;
    // A restart that has to read a file, or a large command, takes its time; one that stands still for ever is told.
    connection.set_read_timeout(Some(REPLY_TIMEOUT * 10))?;
    command.query(&mut connection)
}

/// What the server has said.
fn read_log(folder: &TempDir) -> String {
    std::fs::read_to_string(folder.path().join("log")).unwrap_or_default()
}

fn find_program() -> &'static str {
    let is_there = |program: &&str| Command::new(program).arg("--version").output().is_ok();
    PROGRAMS.into_iter().find(is_there).expect("Redis is installed (scripts/setup.sh installs it)")
}

/// Several servers that share the keys.
pub struct RedisCluster {
    /// Each has as many slots as the others.
    pub servers: Vec<RedisServer>,
}

/// Slots of a cluster.
const SLOTS: usize = 16_384;

impl RedisCluster {
    /// So many servers that know each other.
    #[must_use]
    pub fn start(nodes: usize) -> Self {
        let servers: Vec<RedisServer> =
            (0..nodes).map(|_| RedisServer::start_with(&["--cluster-enabled", "yes"])).collect();
        for (no, server) in servers.iter().enumerate() {
            let (first, last) = (SLOTS * no / nodes, SLOTS * (no + 1) / nodes - 1);
            server.ask(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
            server.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(no + 1).to_string()]);
        }
        for server in &servers[1..] {
            servers[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &server.port().to_string()]);
        }
        for server in &servers {
            let nodes = format!("cluster_known_nodes:{nodes}");
            server.wait_for_replies(&["CLUSTER", "INFO"], &["cluster_state:ok", &nodes]);
        }
        Self { servers }
    }

    /// The address of one of them.
    #[must_use]
    pub fn url(&self) -> String {
        self.servers[0].url()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::TcpProxy;

    #[test]
    fn a_replica_hears_through_a_wire_until_it_is_cut_and_can_be_promoted() {
        let mut primary = RedisServer::start();
        let wire = TcpProxy::to(primary.port());
        let replica = RedisServer::start();
        primary.ask(&["SET", "count", "1"]);
        replica.replicate_from(wire.port());
        assert_eq!(replica.ask_number(&["GET", "count"]), 1);
        primary.ask(&["INCR", "count"]);
        replica.wait_for_replies(&["GET", "count"], &["2"]);
        wire.cut();
        primary.ask(&["INCR", "count"]);
        primary.kill();
        assert!(replica.try_ask(&["INCR", "count"]).is_err(), "a replica only reads");
        replica.ask(&["REPLICAOF", "NO", "ONE"]);
        assert_eq!(replica.ask_number(&["INCR", "count"]), 3);
        primary.restart();
        assert_eq!(primary.ask_number(&["DBSIZE"]), 0, "it keeps nothing");
    }

    #[test]
    fn a_frozen_server_says_nothing_and_goes_on() {
        let server = RedisServer::start();
        let frozen = server.freeze();
        let connection =
            redis::Client::open(server.url()).unwrap().get_connection_with_timeout(REPLY_TIMEOUT / 10);
        assert!(connection.is_err());
        drop(frozen);
        server.wait_for_reply("PING", "PONG");
    }
}
