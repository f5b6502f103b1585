//! A Kafka broker for a test, in KRaft mode on one node: on reserved ports, in a temporary folder, killed, frozen, emptied, kept from
//! writing and restarted as the test wants; it ends with the test. It never touches a broker that it did not start.
//!
//! It is an installed Kafka 4.1 or a later 4, or the jars that `scripts/setup.sh servers` puts into `target/tools/kafka`. Without either the
//! test fails and says so.

use crate::ReservedPort;
use crate::process::{FrozenProcesses, ProcessGuard};
use crate::proxy::TcpProxy;
use crate::wait::{HANG_LIMIT, eventually_blocking};
use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Folders of the jars of an installed Kafka.
const INSTALLED: [&str; 2] = ["/opt/kafka/libs", "/usr/share/kafka/libs"];
/// A fixed one: a broker that is started again on a new disk is the same cluster to its clients.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";
/// A small broker that starts fast.
const JAVA_OPTIONS: [&str; 5] =
    ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"];

/// A running broker. It ends when this is dropped, or with the process.
pub struct KafkaServer {
    /// Ended before the folder is removed: fields go in this order.
    running: Option<ProcessGuard>,
    folder: TempDir,
    port: ReservedPort,
    controller: ReservedPort,
    /// Its second listener, to which clients come through the proxy.
    proxied: ReservedPort,
    proxy: TcpProxy,
    settings: Vec<String>,
}

impl KafkaServer {
    /// Starts a broker that makes no topics by itself.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more settings, such as `["message.max.bytes=1000"]`.
    #[must_use]
    pub fn start_with(settings: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("test-kafka-").tempdir().unwrap();
        let proxied = ReservedPort::reserve();
        let mut server = Self {
            running: None,
            proxy: TcpProxy::to(proxied.get()),
            proxied,
            folder,
            port: ReservedPort::reserve(),
            controller: ReservedPort::reserve(),
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
        };
        server.format_disk();
        server.restart();
        server
    }

    /// The address for clients.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.get())
    }

    /// The address for clients whose network the test breaks by [`Self::proxy`]. The broker names it to them as its own.
    #[must_use]
    pub fn proxied_address(&self) -> String {
        format!("127.0.0.1:{}", self.proxy.port())
    }

    /// The network between the broker and the clients of [`Self::proxied_address`].
    #[must_use]
    pub fn proxy(&self) -> &TcpProxy {
        &self.proxy
    }

    /// Lets every write to a file fail, as on a full disk, until it is started again. A limit of the process does it, because only root
    /// can make a disk that is small: the broker sees the same failed write, with another error number (`EFBIG` for `ENOSPC`).
    pub fn fail_writes(&self) {
        let process = self.running.as_ref().unwrap().id();
        let none = Rlimit { current: Some(0), ..getrlimit(Resource::Fsize) };
        prlimit(Some(process), Resource::Fsize, none).unwrap();
    }

    /// True once it has ended by itself.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.running.as_ref().is_none_or(ProcessGuard::has_ended)
    }

    /// Kills it as a crash does.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    /// Starts it again, on the same ports and folder.
    pub fn restart(&mut self) {
        self.kill();
        let program = java("kafka.Kafka", &[self.properties_file().to_str().unwrap()]);
        let running = self.running.insert(ProcessGuard::start(&program, self.folder.path(), "KILL"));
        let (port, folder) = (self.port.get(), &self.folder);
        eventually_blocking("Kafka listens", HANG_LIMIT, || {
            let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            assert!(!running.has_ended(), "Kafka has ended: {log}");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
    }

    /// Kills it and starts it on an empty disk.
    pub fn restart_empty(&mut self) {
        self.kill();
        fs::remove_dir_all(self.data()).unwrap();
        self.format_disk();
        self.restart();
    }

    /// Stops it until the value is dropped.
    #[must_use]
    pub fn freeze(&self) -> FrozenProcesses {
        self.running.as_ref().unwrap().freeze()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn properties_file(&self) -> PathBuf {
        self.folder.path().join("server.properties")
    }

    /// Writes the settings, and the files of a new broker.
    fn format_disk(&self) {
        let (port, controller) = (self.port.get(), self.controller.get());
        let (proxied, proxy) = (self.proxied.get(), self.proxy.port());
        let properties = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{proxied},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{proxy}\n\
             inter.broker.listener.name=PLAINTEXT\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             controller.listener.names=CONTROLLER\n\
             log.dirs={}\n\
             auto.create.topics.enable=false\n\
             offsets.topic.num.partitions=1\n\
             offsets.topic.replication.factor=1\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\n\
             {}\n",
            self.data().display(),
            self.settings.join("\n"),
        );
        fs::write(self.properties_file(), properties).unwrap();
        let file = self.properties_file();
        let words = ["format", "-t", CLUSTER_ID, "-c", file.to_str().unwrap()];
        let formatted = java("kafka.tools.StorageTool", &words).output().unwrap();
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
    }
}

/// A program of Kafka.
fn java(class: &str, words: &[&str]) -> Command {
    let mut command = Command::new("java");
    command.args(JAVA_OPTIONS).arg("-cp").arg(find_jars().join("*")).arg(class).args(words);
    command
}

/// The folder of Kafka's jars.
fn find_jars() -> PathBuf {
    let downloaded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/kafka");
    let mut folders = INSTALLED.iter().map(PathBuf::from).chain([downloaded]);
    let has_jars = |folder: &PathBuf| {
        let files = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        files.into_iter().any(|file| is_usable(&file.file_name().to_string_lossy()))
    };
    folders.find(has_jars).expect("Kafka 4.1 or a later 4 is there: run `scripts/setup.sh servers`")
}

/// Whether this is the jar of a broker that takes the settings above.
fn is_usable(file_name: &str) -> bool {
    let version = file_name.strip_prefix("kafka_2.13-").and_then(|rest| rest.strip_prefix("4."));
    let minor = version.and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    minor.is_some_and(|minor| minor >= 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_of_version_4_1_or_a_later_4() {
        for (name, is_right) in [
            ("kafka_2.13-4.1.1.jar", true),
            ("kafka_2.13-4.10.0.jar", true),
            ("kafka_2.13-4.0.1.jar", false),
            ("kafka_2.13-3.9.1.jar", false),
            ("kafka_2.13-5.0.0.jar", false),
            ("kafka_2.12-4.1.1.jar", false),
            ("kafka-clients-4.1.1.jar", false),
        ] {
            assert_eq!(is_usable(name), is_right, "{name}");
        }
    }

    #[test]
    fn a_broker_listens_again_on_its_port_after_a_kill_and_on_an_empty_disk() {
        let mut server = KafkaServer::start();
        let address = server.address();
        server.kill();
        assert!(TcpStream::connect(&address).is_err());
        server.restart();
        server.restart_empty();
        assert!(TcpStream::connect(&address).is_ok());
        assert!(TcpStream::connect(server.proxied_address()).is_ok());
    }

    #[test]
    fn a_broker_that_cannot_write_ends_and_starts_again() {
        let mut server = KafkaServer::start();
        server.fail_writes();
        eventually_blocking("the broker ends", HANG_LIMIT, || server.has_ended());
        server.restart();
        assert!(!server.has_ended());
    }
}
