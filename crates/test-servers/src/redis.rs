//! A Redis or Valkey for a test: on a reserved port, in a temporary folder, killed, frozen and restarted as the test wants; it ends
//! with the test. It never touches a server that it did not start.
//!
//! Without either on this machine the test fails and says so; `scripts/setup.sh` installs one.

use crate::ReservedPort;
use crate::process::{FrozenProcesses, ProcessGuard};
use crate::wait::{HANG_LIMIT, eventually_blocking};
use rustix::process::Pid;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// A frozen server never replies; others reply within this time, ten times as long to a large command.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);
/// The first of these that is installed is used.
const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];

/// A running Redis. It ends when this is dropped, or with the process.
pub struct RedisServer {
    /// Ended before the folder is removed: fields go in this order.
    running: Option<ProcessGuard>,
    folder: TempDir,
    port: ReservedPort,
    settings: Vec<String>,
}

impl RedisServer {
    /// Starts a server that keeps nothing over a restart.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more settings, such as `["--maxmemory", "10mb"]`.
    #[must_use]
    pub fn start_with(settings: &[&str]) -> Self {
        Self::start_on(ReservedPort::reserve(), settings)
    }

    fn start_on(port: ReservedPort, settings: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("test-redis-").tempdir().unwrap();
        let mut server = Self { running: None, folder, port, settings: Vec::new() };
        server.restart_with(settings, "PONG");
        server
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port.get())
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.get()
    }

    /// Its processes; the server is the first.
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

    /// Starts it again with more settings, and waits for this reply to a `PING`, which may be `LOADING`.
    pub fn restart_with(&mut self, settings: &[&str], answer: &str) {
        self.kill();
        self.settings.extend(settings.iter().map(|setting| (*setting).to_owned()));
        let mut program = Command::new(find_program());
        program
            .args(["--port", &self.port.get().to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(self.folder.path());
        program.args(["--appendonly", "no", "--save", "", "--repl-diskless-sync-delay", "0"]);
        program.args(&self.settings);
        // A killed server writes nothing to the disk at the last moment.
        let running = self.running.insert(ProcessGuard::start(&program, self.folder.path(), "KILL"));
        let (port, folder) = (self.port.get(), &self.folder);
        eventually_blocking(&format!("Redis replies {answer}"), HANG_LIMIT, || {
            let has_ended = running.has_ended();
            let reply = send_to_port(port, redis::cmd("PING")).map_or_else(
                |error| error.to_string(),
                |value| redis::from_redis_value::<String>(value).unwrap_or_default(),
            );
            let is_expected = reply.contains(answer) || (answer == "LOADING" && reply.contains("oading"));
            assert!(is_expected || !has_ended, "Redis has ended: {}", read_log(folder));
            is_expected
        });
    }

    /// Stops it until the value is dropped.
    #[must_use]
    pub fn freeze(&self) -> FrozenProcesses {
        self.running.as_ref().unwrap().freeze()
    }

    /// Makes it a replica of another server, and waits until it has all of that server's data. `port` is that server's, or that of
    /// a proxy to it.
    pub fn replicate_from(&self, port: u16) {
        self.request(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
        self.wait_for_replies(
            &["INFO", "replication"],
            &["master_link_status:up", "master_sync_in_progress:0"],
        );
    }

    /// Sends a command again and again until the reply holds a text.
    pub fn wait_for_reply(&self, command: &str, text: &str) {
        self.wait_for_replies(&[command], &[text]);
    }

    /// Sends a command again and again until the reply holds all texts.
    pub fn wait_for_replies(&self, words: &[&str], texts: &[&str]) {
        eventually_blocking(&format!("{words:?} replies {texts:?}"), HANG_LIMIT, || {
            let reply = self.try_request(words).map(|value| format!("{value:?}")).unwrap_or_default();
            texts.iter().all(|text| reply.contains(text))
        });
    }

    /// Sends a command that must succeed.
    pub fn request(&self, words: &[&str]) -> redis::Value {
        self.try_request(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Sends a command whose reply is a number.
    pub fn request_number(&self, words: &[&str]) -> i64 {
        redis::from_redis_value(self.request(words)).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Sends a command that may be refused.
    ///
    /// # Errors
    /// When there is no reply, or an error as the reply.
    pub fn try_request(&self, words: &[&str]) -> Result<redis::Value, redis::RedisError> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        self.send(&command)
    }

    /// Sends a command with binary arguments.
    ///
    /// # Errors
    /// When there is no reply, or an error as the reply.
    pub fn send(&self, command: &redis::Cmd) -> Result<redis::Value, redis::RedisError> {
        send_to_port(self.port.get(), command.clone())
    }
}

fn send_to_port(port: u16, command: redis::Cmd) -> Result<redis::Value, redis::RedisError> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
    let mut connection = client.get_connection_with_timeout(REPLY_TIMEOUT)?;
    // A restart that reads a file, or a large command, takes longer.
    connection.set_read_timeout(Some(REPLY_TIMEOUT * 10))?;
    command.query(&mut connection)
}

fn read_log(folder: &TempDir) -> String {
    std::fs::read_to_string(folder.path().join("log")).unwrap_or_default()
}

fn find_program() -> &'static str {
    let is_there = |program: &&str| Command::new(program).arg("--version").output().is_ok();
    PROGRAMS.into_iter().find(is_there).expect("Redis is installed (scripts/setup.sh installs it)")
}

/// The nodes of a Redis Cluster.
pub struct RedisCluster {
    /// Each owns as many slots as the others.
    pub servers: Vec<RedisServer>,
}

/// Slots of every Redis Cluster (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>).
const SLOTS: usize = 16_384;

impl RedisCluster {
    #[must_use]
    pub fn start(nodes: usize) -> Self {
        let servers: Vec<RedisServer> = (0..nodes)
            .map(|_| RedisServer::start_on(ReservedPort::reserve_with_bus(), &["--cluster-enabled", "yes"]))
            .collect();
        for (no, server) in servers.iter().enumerate() {
            let (first, last) = (SLOTS * no / nodes, SLOTS * (no + 1) / nodes - 1);
            server.request(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
            server.request(&["CLUSTER", "SET-CONFIG-EPOCH", &(no + 1).to_string()]);
        }
        for server in &servers[1..] {
            servers[0].request(&["CLUSTER", "MEET", "127.0.0.1", &server.port().to_string()]);
        }
        for server in &servers {
            let nodes = format!("cluster_known_nodes:{nodes}");
            server.wait_for_replies(&["CLUSTER", "INFO"], &["cluster_state:ok", &nodes]);
        }
        Self { servers }
    }

    /// The address of one node.
    #[must_use]
    pub fn url(&self) -> String {
        self.servers[0].url()
    }

    /// Adds a replica of the first node, and waits until all nodes know it.
    ///
    /// # Panics
    /// When it does not become one.
    #[must_use]
    pub fn add_replica(&self) -> RedisServer {
        let replica = RedisServer::start_on(ReservedPort::reserve_with_bus(), &["--cluster-enabled", "yes"]);
        let first = &self.servers[0];
        let redis::Value::BulkString(id) = first.request(&["CLUSTER", "MYID"]) else {
            panic!("a node has an id")
        };
        first.request(&["CLUSTER", "MEET", "127.0.0.1", &replica.port().to_string()]);
        let nodes = format!("cluster_known_nodes:{}", self.servers.len() + 1);
        for server in self.servers.iter().chain([&replica]) {
            server.wait_for_replies(&["CLUSTER", "INFO"], &["cluster_state:ok", &nodes]);
        }
        replica.request(&["CLUSTER", "REPLICATE", &String::from_utf8_lossy(&id)]);
        replica.wait_for_replies(&["INFO", "replication"], &["role:slave", "master_link_status:up"]);
        replica
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::TcpProxy;

    #[test]
    fn a_replica_follows_through_a_proxy_until_that_is_cut_and_can_be_promoted() {
        let mut primary = RedisServer::start();
        let proxy = TcpProxy::to(primary.port());
        let replica = RedisServer::start();
        primary.request(&["SET", "count", "1"]);
        replica.replicate_from(proxy.port());
        assert_eq!(replica.request_number(&["GET", "count"]), 1);
        primary.request(&["INCR", "count"]);
        replica.wait_for_replies(&["GET", "count"], &["2"]);
        proxy.cut();
        primary.request(&["INCR", "count"]);
        primary.kill();
        assert!(replica.try_request(&["INCR", "count"]).is_err(), "a replica only reads");
        replica.request(&["REPLICAOF", "NO", "ONE"]);
        assert_eq!(replica.request_number(&["INCR", "count"]), 3);
        primary.restart();
        assert_eq!(primary.request_number(&["DBSIZE"]), 0, "it keeps nothing");
    }

    #[test]
    fn a_frozen_server_does_not_reply_until_it_is_thawed() {
        let server = RedisServer::start();
        let frozen = server.freeze();
        let connection =
            redis::Client::open(server.url()).unwrap().get_connection_with_timeout(REPLY_TIMEOUT / 10);
        assert!(connection.is_err());
        drop(frozen);
        server.wait_for_reply("PING", "PONG");
    }
}
