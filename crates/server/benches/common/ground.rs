//! The servers that instances share, and a shop on them: its own database, an empty Redis, and any number of instances. It never
//! measures anything.

use super::files::Files;
use super::instance::Instance;
use super::shop::Shop;
use server::auth::tokens;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use test_servers::cluster::ClusterServers;
use test_servers::nginx::NginxServer;
use test_servers::postgres::PostgresServer;
use test_servers::redis::RedisServer;

/// Instances in a cluster.
pub const INSTANCES: usize = 3;
/// Buyers with a token each.
pub const BUYERS: usize = 20_000;

/// The servers of all shops of this run.
pub struct Servers(ClusterServers);

impl Deref for Servers {
    type Target = ClusterServers;
    fn deref(&self) -> &ClusterServers {
        &self.0
    }
}

/// A shop; its instances end with it.
pub struct BenchCluster<'a> {
    pub shop: Shop,
    pub instances: Vec<Instance>,
    pub tokens: PathBuf,
    pub database: String,
    servers: &'a Servers,
    folder: PathBuf,
}

impl Servers {
    pub fn start() -> anyhow::Result<Self> {
        let servers = ClusterServers::new(PostgresServer::start_durable(), Some(RedisServer::start()));
        tokens::read_or_create_key(&servers.token_key())?;
        Ok(Self(servers))
    }

    /// A number of Redis's `INFO`.
    pub fn redis_info(&self, section: &str, name: &str) -> anyhow::Result<u64> {
        let info: String = redis::from_redis_value(self.redis().request(&["INFO", section]))?;
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(value.unwrap_or_default().trim().parse()?)
    }

    /// Prints the warnings and errors of instances by sentence, the most frequent first.
    pub fn print_warnings(&self) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let mut counts: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for line in text.lines() {
            let Some(place) = [" WARN ", " ERROR "].iter().find_map(|level| line.find(level)) else {
                continue;
            };
            // The fields follow the sentence.
            let sentence = &line[place + 1..];
            let end = sentence.find('=').map_or(sentence.len(), |at| sentence[..at].rfind(' ').unwrap_or(at));
            counts.entry(&sentence[..end]).or_insert((0, line)).0 += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        if counts.is_empty() {
            println!("No warning and no error.");
        }
        for (sentence, (count, first)) in counts {
            println!("- {count} × {}; first: `{first}`", sentence.trim());
        }
        Ok(())
    }

    /// The flags of all processes of a shop.
    fn flags(&self, database: &str) -> Vec<String> {
        self.0.flags(database, Some(&self.redis().url()))
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("instances.log")
    }
}

impl<'a> BenchCluster<'a> {
    /// A new shop with one instance, on an empty Redis.
    pub fn fresh(servers: &'a Servers, flags: &[&str]) -> anyhow::Result<Self> {
        servers.redis().request(&["FLUSHALL"]);
        let database = servers.postgres.create_database();
        let name = database.rsplit('/').next().unwrap_or_default();
        let folder = servers.folder.path().join(name);
        std::fs::create_dir(&folder)?;
        let first = serve(servers, &database, &folder.join("0"), flags);
        let shop = Shop::enter(&first, &servers.token_key())?;
        let tokens = shop.tokens(&folder, BUYERS)?;
        Ok(Self { shop, instances: vec![first], tokens, database, servers, folder })
    }

    /// Lets all instances finish, and starts so many.
    pub fn restart(&mut self, count: usize, flags: &[&str]) -> anyhow::Result<()> {
        self.stop()?;
        for no in 0..count {
            let data = self.folder.join(no.to_string());
            self.instances.push(serve(self.servers, &self.database, &data, flags));
        }
        self.shop.url.clone_from(&self.instances[0].url);
        Ok(())
    }

    /// Lets all instances finish.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.instances.drain(..).try_for_each(Instance::stop)
    }

    /// A worker beside the instances.
    pub fn worker(&self) -> Instance {
        let flags = self.servers.flags(&self.database);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        Instance::work(&self.folder.join("worker"), &flags, &self.servers.log())
    }

    /// Where the instances are.
    pub fn urls(&self) -> Vec<String> {
        self.instances.iter().map(|instance| instance.url.clone()).collect()
    }

    pub fn files(&self) -> Files<'_> {
        Files { folder: &self.folder, tokens: &self.tokens }
    }

    /// What PostgreSQL answers in the shop's database: a number.
    pub fn number(&self, sql: &str) -> anyhow::Result<u64> {
        Ok(self.servers.postgres.run_sql(&self.database, sql).parse()?)
    }
}

/// nginx with one worker in front of these.
pub fn proxy(urls: &[String]) -> NginxServer {
    NginxServer::start_cluster(urls)
}

fn serve(servers: &Servers, database: &str, data: &Path, flags: &[&str]) -> Instance {
    let shared = servers.flags(database);
    let all: Vec<&str> = shared.iter().map(String::as_str).chain(flags.iter().copied()).collect();
    Instance::serve_with_log(data, &all, &servers.log())
}
