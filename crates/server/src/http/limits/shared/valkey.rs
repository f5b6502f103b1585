//! The Valkey (or Redis) that holds the shared levels: connecting, and the one script that counts. It never sends a call again
//! that may have been taken, and never shows the address, in which a password may stand.

use super::super::{LimitClass, LimitKey};
use super::{BucketEntry, BucketLevel, COUNT_TIMEOUT, GcraParameters};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
};
use redis::{RedisError, ServerErrorKind, Value, cmd};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How long it may take until a server counts; nobody waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a cluster's hint where the levels are is followed in a row.
const REDIRECTS_MAX: usize = 3;
const SCRIPT: &str = include_str!("level.lua");
/// What all keys begin with. The part in braces puts them into one slot of a cluster, so that one call may hold many; a node
/// counts about a hundred thousand a second.
const PREFIX: &str = "doorbuster:{limit}:";
/// A bucket that shows whether a server can be written to.
const PROBE: GcraParameters = GcraParameters { interval_us: 1_000, burst_us: 1_000_000 };

/// Where a Valkey is: `redis://host:port/` or `rediss://…`.
#[derive(Clone)]
pub struct LimiterAddress(ConnectionInfo);

impl fmt::Debug for LimiterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(…)")
    }
}

/// It is no address. What was written is not repeated: a password may stand in it.
#[derive(Debug, thiserror::Error)]
#[error("write an address such as redis://host:6379")]
pub struct LimiterAddressError;

impl LimiterAddress {
    /// Reads it.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, LimiterAddressError> {
        let is_remote = ["redis://", "rediss://"].iter().any(|scheme| text.starts_with(scheme));
        let info = text.into_connection_info().map_err(|_| LimiterAddressError)?;
        // A call is one small write, and waits for nothing to be put behind it.
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        is_remote.then(|| Self(info.set_tcp_settings(tcp))).ok_or(LimiterAddressError)
    }

    /// The same, at another node.
    fn with_node(&self, host: Option<&str>, port: u16) -> Self {
        let address = match self.0.addr().clone() {
            ConnectionAddr::TcpTls { host: own, insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host: host.map_or(own, str::to_owned), port, insecure, tls_params }
            }
            ConnectionAddr::Tcp(own, _) => ConnectionAddr::Tcp(host.map_or(own, str::to_owned), port),
            other => other,
        };
        Self(self.0.clone().set_addr(address))
    }
}

/// Why a server does not count.
#[derive(Debug, thiserror::Error)]
pub enum LimiterUnavailable {
    /// It said so, or cannot be reached, or did not answer in time.
    #[error("{0}")]
    Server(#[from] RedisError),
    /// It did not get ready in time.
    #[error("it took too long to connect")]
    ConnectTimeout,
    /// It said something else than the script does.
    #[error("its answer is not understood")]
    UnexpectedReply,
}

/// A server that counts.
#[derive(Clone)]
pub struct LimiterServer {
    connection: MultiplexedConnection,
    script: Arc<str>,
}

impl LimiterServer {
    /// Connects, brings the script, and sees whether it can write.
    pub async fn connect(address: &LimiterAddress) -> Result<Self, LimiterUnavailable> {
        let connecting = Self::connect_with_redirects(address.clone());
        tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| LimiterUnavailable::ConnectTimeout)?
    }

    async fn connect_with_redirects(mut address: LimiterAddress) -> Result<Self, LimiterUnavailable> {
        let mut hops = 1;
        loop {
            let server = Self::open_connection(&address).await?;
            match server.probe().await {
                Err(LimiterUnavailable::Server(error)) if hops < REDIRECTS_MAX && is_moved(&error) => {
                    let (node, _slot) = error.redirect_node().ok_or(LimiterUnavailable::UnexpectedReply)?;
                    let (host, port) = node.rsplit_once(':').ok_or(LimiterUnavailable::UnexpectedReply)?;
                    // A node without a name is on the same host.
                    let host = Some(host).filter(|host| !host.is_empty() && *host != "?");
                    address = address
                        .with_node(host, port.parse().map_err(|_| LimiterUnavailable::UnexpectedReply)?);
                    hops += 1;
                }
                probed => return probed.map(|()| server),
            }
        }
    }

    async fn open_connection(address: &LimiterAddress) -> Result<Self, LimiterUnavailable> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(COUNT_TIMEOUT));
        let client = Client::open(address.0.clone())?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let loaded = send_command(&mut connection, cmd("SCRIPT").arg("LOAD").arg(SCRIPT)).await?;
        let Value::BulkString(name) = loaded else { return Err(LimiterUnavailable::UnexpectedReply) };
        let script = String::from_utf8(name).map_err(|_| LimiterUnavailable::UnexpectedReply)?;
        Ok(Self { connection, script: script.into() })
    }

    async fn probe(&self) -> Result<(), LimiterUnavailable> {
        let key = format!("{PREFIX}probe");
        self.run_script(&[(key, PROBE, 0, 1)]).await.map(drop)
    }

    /// Counts requests, and says how each bucket stands.
    pub async fn count_requests(
        &self,
        entries: &[BucketEntry],
    ) -> Result<Vec<BucketLevel>, LimiterUnavailable> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<ScriptArguments> = entries
            .iter()
            .map(|entry| (bucket_key(entry.class, entry.key), entry.parameters, entry.known_us, entry.served))
            .collect();
        self.run_script(&rows).await
    }

    async fn run_script(&self, rows: &[ScriptArguments]) -> Result<Vec<BucketLevel>, LimiterUnavailable> {
        let mut connection = self.connection.clone();
        let told = match send_command(&mut connection, &build_command("EVALSHA", &self.script, rows)).await {
            // A server that was started anew or emptied does not know the script, and has not run it.
            Err(error) if is_unknown_script(&error) => {
                send_command(&mut connection, &build_command("EVAL", SCRIPT, rows)).await?
            }
            told => told?,
        };
        let Value::Array(told) = told else { return Err(LimiterUnavailable::UnexpectedReply) };
        if told.len() != rows.len() {
            return Err(LimiterUnavailable::UnexpectedReply);
        }
        told.iter().map(parse_level).collect()
    }
}

/// The name of a bucket, its pace, how full it is known to be, and what was served already.
type ScriptArguments = (String, GcraParameters, i64, u32);

fn bucket_key(class: LimitClass, key: LimitKey) -> String {
    let class = match class {
        LimitClass::Auth => "auth",
        LimitClass::Buy => "buy",
        LimitClass::Read => "read",
    };
    format!("{PREFIX}{class}:{:x}", key.0)
}

fn build_command(how: &str, script: &str, rows: &[ScriptArguments]) -> Cmd {
    let mut command = cmd(how);
    command.arg(script).arg(rows.len());
    for (name, ..) in rows {
        command.arg(name);
    }
    for (_, pace, known_us, served) in rows {
        command.arg(pace.interval_us).arg(pace.burst_us).arg(known_us).arg(served);
    }
    command
}

fn parse_level(value: &Value) -> Result<BucketLevel, LimiterUnavailable> {
    match value {
        Value::Int(level_us) if *level_us >= 0 => Ok(BucketLevel { allowed: true, level_us: *level_us }),
        Value::Int(told) => Ok(BucketLevel { allowed: false, level_us: -1 - told }),
        _ => Err(LimiterUnavailable::UnexpectedReply),
    }
}

async fn send_command(connection: &mut MultiplexedConnection, command: &Cmd) -> Result<Value, RedisError> {
    match connection.send_packed_command(command).await? {
        Value::ServerError(error) => Err(error.into()),
        value => Ok(value),
    }
}

fn is_moved(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::Moved)
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    use test_servers::redis::RedisServer;

    #[test]
    fn an_address_is_read_or_refused_and_its_password_never_shown() {
        for good in ["redis://127.0.0.1", "redis://:tulip@host:6380/2", "rediss://ada:tulip@[::1]:6379"] {
            let address = LimiterAddress::parse(good).unwrap();
            assert!(!format!("{address:?}").contains("tulip"));
        }
        for bad in
            ["", "redis://", "http://host", "host:6379", "unix:///run/tulip", "redis://:tulip@host:port"]
        {
            let error = LimiterAddress::parse(bad).unwrap_err().to_string();
            assert!(error.contains("redis://") && !error.contains("tulip"), "{error}");
        }
    }

    #[test]
    fn a_hint_to_another_node_keeps_how_to_get_in() {
        let address = LimiterAddress::parse("redis://ada:tulip@one:6379/").unwrap();
        let moved = address.with_node(Some("two"), 7000);
        assert_eq!(moved.0.addr().to_string(), "two:7000");
        assert_eq!(moved.with_node(None, 7001).0.addr().to_string(), "two:7001");
        assert_eq!(moved.0.redis_settings().password(), Some("tulip"));
    }

    /// What one instance asks or tells: after so many microseconds, with so much known, and so many served.
    fn step() -> impl Strategy<Value = (i64, i64, u32)> {
        (
            0..15_000_000_i64,
            prop_oneof![4 => Just(0), 1 => 0..30_000_000_i64],
            prop_oneof![3 => Just(0), 1 => 1..5_u32],
        )
    }

    #[test]
    fn the_script_counts_as_the_buckets_in_memory_do() {
        const START_US: i64 = 1_800_000_000_000_000;
        let pace = GcraParameters { interval_us: 10_000_000, burst_us: 30_000_000 };
        let clock = "local now = time[1] * 1000000 + time[2]";
        let expiry = "math.ceil(level / 1000)";
        assert!(SCRIPT.contains(clock) && SCRIPT.contains(expiry));
        // The test turns the script's clock; keys would vanish by the server's own.
        let script = SCRIPT.replace(clock, "local now = tonumber(ARGV[#ARGV])").replace(expiry, "86400000");
        let server = RedisServer::start();
        let strategy = proptest::collection::vec(step(), 1..40);
        let mut runner = TestRunner::new(Config { cases: 100, ..Config::default() });
        let outcome = runner.run(&strategy, |steps| {
            server.ask(&["FLUSHALL"]);
            let (mut now_us, mut empty_at) = (START_US, START_US);
            for (after_us, known_us, served) in steps {
                now_us += after_us;
                let level_us = empty_at - now_us;
                let expected = if served == 0 {
                    pace.count_request(pace.clamp_level(level_us).max(known_us))
                } else {
                    let told_us = pace.clamp_level(level_us) + i64::from(served) * pace.interval_us;
                    BucketLevel { allowed: true, level_us: pace.clamp_level(told_us.max(known_us)) }
                };
                empty_at = now_us + expected.level_us;
                let mut call = build_command("EVAL", &script, &[("key".into(), pace, known_us, served)]);
                let Value::Array(told) = server.send(call.arg(now_us)).unwrap() else { panic!("no array") };
                prop_assert_eq!(parse_level(&told[0]).unwrap(), expected);
            }
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{error}"));
    }
}
