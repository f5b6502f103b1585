//! A cluster of Doorbuster as plain processes: PostgreSQL, Redis, instances, workers, and nginx with the configuration that users get.
//! Tests, benchmarks and `make cluster` start theirs from these parts. It never shares a server with another cluster.

use crate::doorbuster::{DoorbusterProcess, DoorbusterRole};
use crate::nginx::NginxServer;
use crate::postgres::PostgresServer;
use crate::redis::RedisServer;
use crate::wait::HANG_LIMIT;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What the instances of a cluster share.
pub struct ClusterServers {
    pub postgres: PostgresServer,
    /// Without one, a single instance decides in its memory.
    pub redis: Option<RedisServer>,
    pub folder: TempDir,
}

impl ClusterServers {
    #[must_use]
    pub fn new(postgres: PostgresServer, redis: Option<RedisServer>) -> Self {
        let folder = tempfile::Builder::new().prefix("test-cluster-").tempdir().unwrap();
        Self { postgres, redis, folder }
    }

    #[must_use]
    pub fn redis(&self) -> &RedisServer {
        self.redis.as_ref().expect("the cluster has a Redis")
    }

    /// A file for the key that all instances sign with.
    #[must_use]
    pub fn token_key(&self) -> PathBuf {
        self.folder.path().join("token-key.pem")
    }

    /// The flags of each process that name the servers; the addresses may be those of proxies.
    #[must_use]
    pub fn flags(&self, database: &str, valkey: Option<&str>) -> Vec<String> {
        let valkey = valkey.map(|valkey| ["--valkey".to_owned(), valkey.to_owned()]);
        let key = ["--token-key".to_owned(), self.token_key().display().to_string()];
        ["--database".to_owned(), database.to_owned()]
            .into_iter()
            .chain(valkey.into_iter().flatten())
            .chain(key)
            .collect()
    }
}

/// What a running cluster is made of.
pub struct ClusterSettings {
    pub binary: PathBuf,
    pub instances: usize,
    pub workers: usize,
    /// More flags of each instance.
    pub serve_flags: Vec<String>,
    pub admin_password: String,
}

/// A whole cluster. Its processes end before its servers: fields go in this order.
pub struct RunningCluster {
    pub nginx: NginxServer,
    pub instances: Vec<DoorbusterProcess>,
    pub workers: Vec<DoorbusterProcess>,
    pub database: String,
    pub servers: ClusterServers,
}

impl RunningCluster {
    /// Starts all, and waits until all is ready. Instances only serve where there are workers.
    ///
    /// # Errors
    /// When the tables cannot be made: the output of `doorbuster migrate`.
    pub fn start(settings: &ClusterSettings) -> Result<Self, String> {
        let servers = ClusterServers::new(PostgresServer::start_durable(), Some(RedisServer::start()));
        let database = servers.postgres.create_database();
        run_migrations(&settings.binary, &database)?;
        let servers_flags = ["--database", &database, "--valkey", &servers.redis().url(), "--migrate", "off"];
        let start = |role: DoorbusterRole, flags: &[&str]| {
            let all = [&servers_flags[..], flags].concat();
            let mut process = DoorbusterProcess::new(&settings.binary, role, &all);
            process.admin_password.clone_from(&settings.admin_password);
            process.end_signal = "TERM";
            process.spawn();
            process
        };
        let mut serve_flags: Vec<&str> = settings.serve_flags.iter().map(String::as_str).collect();
        if settings.workers > 0 {
            serve_flags.extend(["--roles", "api"]);
        }
        // The first makes the admin; the others find it.
        let mut instances = Vec::new();
        for _ in 0..settings.instances {
            let instance = start(DoorbusterRole::Serve, &serve_flags);
            instance.wait_until_ready(HANG_LIMIT);
            instances.push(instance);
        }
        let workers: Vec<_> = (0..settings.workers).map(|_| start(DoorbusterRole::Worker, &[])).collect();
        workers.iter().for_each(|worker| worker.wait_until_ready(HANG_LIMIT));
        let urls: Vec<String> = instances.iter().map(|instance| instance.url.clone()).collect();
        let nginx = NginxServer::start_deployed(&urls);
        Ok(Self { nginx, instances, workers, database, servers })
    }

    /// Writes the key that the instances sign with, so that a rehearsal can sign its buyers' tokens.
    #[must_use]
    pub fn write_token_key(&self) -> PathBuf {
        let key = self
            .servers
            .postgres
            .run_sql(&self.database, "SELECT value FROM secrets WHERE name = 'token-key'");
        std::fs::write(self.servers.token_key(), format!("{key}\n")).unwrap();
        self.servers.token_key()
    }

    pub fn processes(&self) -> impl Iterator<Item = &DoorbusterProcess> {
        self.instances.iter().chain(&self.workers)
    }
}

impl Drop for RunningCluster {
    fn drop(&mut self) {
        // All drain at the same time; each is waited for when its field is dropped.
        self.processes().filter(|process| !process.has_ended()).for_each(DoorbusterProcess::terminate);
    }
}

fn run_migrations(binary: &Path, database: &str) -> Result<(), String> {
    let output = Command::new(binary).arg("migrate").env("DOORBUSTER_DATABASE", database).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&text).into_owned())
}
