//! A Redis of the tests' own: on a free port, in a temporary folder, gone with its handle.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How often it is looked whether a server has started, and for how long.
const LOOK_EVERY: Duration = Duration::from_millis(10);
const LOOKS: u32 = 1_000;
/// Free ports are found by asking for one, and may be taken by someone else before the server has it.
const STARTS: u32 = 5;

pub struct Server {
    folder: TempDir,
    port: u16,
    settings: Vec<String>,
    child: Option<Child>,
}

impl Server {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with more settings, such as `["--maxmemory", "10mb"]`.
    pub fn start_with(settings: &[&str]) -> Self {
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut server = Self { folder: tempfile::tempdir().unwrap(), port: 0, settings, child: None };
        for _ in 0..STARTS {
            server.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if server.launch() {
                return server;
            }
        }
        panic!("redis-server does not start: {}", server.log());
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again, on the same port and folder.
    pub fn restart(&mut self) {
        self.restart_with(&[], "PONG");
    }

    /// Starts it again with more settings, and waits until it answers a `PING` so.
    pub fn restart_with(&mut self, settings: &[&str], answer: &str) {
        self.settings.extend(settings.iter().map(|setting| (*setting).to_owned()));
        assert!(self.launch_until(answer), "redis-server does not start again: {}", self.log());
    }

    /// Asks until the answer holds a text.
    pub fn until(&self, word: &str, text: &str) {
        self.until_all(&[word], &[text]);
    }

    fn until_all(&self, words: &[&str], texts: &[&str]) {
        for _ in 0..LOOKS {
            let told = self.try_ask(words).map(|value| format!("{value:?}")).unwrap_or_default();
            if texts.iter().all(|text| told.contains(text)) {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        panic!("{words:?} does not come to say {texts:?}");
    }

    /// Sends a command as an operator would.
    pub fn ask(&self, words: &[&str]) -> redis::Value {
        self.try_ask(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    fn try_ask(&self, words: &[&str]) -> Result<redis::Value, redis::RedisError> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        self.send(&command)
    }

    pub fn send(&self, command: &redis::Cmd) -> Result<redis::Value, redis::RedisError> {
        command.query(&mut redis::Client::open(self.url())?.get_connection()?)
    }

    fn launch(&mut self) -> bool {
        self.launch_until("PONG")
    }

    fn launch_until(&mut self, answer: &str) -> bool {
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(self.folder.path())
            .args(["--logfile", "log", "--appendonly", "no", "--save", "", "--repl-diskless-sync-delay", "0"])
            .args(&self.settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed (scripts/setup.sh installs it)");
        let child = self.child.insert(child);
        for _ in 0..LOOKS {
            if child.try_wait().unwrap().is_some() {
                self.child = None;
                return false;
            }
            let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)).unwrap();
            let told = client
                .get_connection()
                .and_then(|mut connection| redis::cmd("PING").query::<String>(&mut connection))
                .unwrap_or_else(|error| error.to_string());
            if told.contains(answer) || (answer == "LOADING" && told.contains("oading")) {
                return true;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        false
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Several servers that share the keys.
pub struct Cluster {
    pub servers: Vec<Server>,
}

/// Slots of a cluster.
const SLOTS: usize = 16_384;

impl Cluster {
    pub async fn start(nodes: usize) -> Self {
        let servers: Vec<Server> =
            (0..nodes).map(|_| Server::start_with(&["--cluster-enabled", "yes"])).collect();
        for (no, server) in servers.iter().enumerate() {
            let (first, last) = (SLOTS * no / nodes, SLOTS * (no + 1) / nodes - 1);
            server.ask(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
            server.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(no + 1).to_string()]);
        }
        for server in &servers[1..] {
            servers[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &server.port().to_string()]);
        }
        for server in &servers {
            server.until_all(
                &["CLUSTER", "INFO"],
                &["cluster_state:ok", &format!("cluster_known_nodes:{nodes}")],
            );
        }
        Self { servers }
    }

    pub fn url(&self) -> String {
        self.servers[0].url()
    }
}
