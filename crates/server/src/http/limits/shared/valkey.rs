//! The connection to the Valkey (or Redis) that holds the shared levels, and the script that counts there. It never repeats a
//! call that may have run, and never shows the address, which may contain a password.

use super::super::{LimitClass, LimitKey};
use super::{BucketEntry, BucketLevel, GcraParameters, LimiterTimeouts};
use engine::valkey_connection::{
    ConnectionTimeouts, ValkeyAddress, is_redirection, redirected_node, send_command,
};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value, cmd};
use std::sync::Arc;

/// `MOVED` replies of a cluster that are followed in a row.
const REDIRECTS_MAX: usize = 3;
const SCRIPT: &str = include_str!("level.lua");
/// The prefix of all keys. Its hash tag puts them into one slot of a cluster, so that one call may have many keys; a node counts
/// about a hundred thousand requests a second.
const PREFIX: &str = "doorbuster:{limit}:";
/// The bucket of the probe, which finds out whether the server takes writes.
const PROBE: GcraParameters = GcraParameters { interval_us: 1_000, burst_us: 1_000_000 };

/// Why the server cannot count.
#[derive(Debug, thiserror::Error)]
pub enum LimiterUnavailable {
    #[error("{0}")]
    Server(#[from] RedisError),
    #[error("it took too long to connect")]
    ConnectTimeout,
    #[error("its answer is not understood")]
    UnexpectedReply,
}

/// A connected server that has the script.
#[derive(Clone)]
pub struct LimiterServer {
    connection: MultiplexedConnection,
    script: Arc<str>,
}

impl LimiterServer {
    /// Connects, loads the script, and probes whether the server takes writes.
    pub async fn connect(
        address: &ValkeyAddress,
        timeouts: LimiterTimeouts,
    ) -> Result<Self, LimiterUnavailable> {
        let connecting = Self::connect_with_redirects(address.clone(), timeouts);
        tokio::time::timeout(timeouts.connect, connecting)
            .await
            .map_err(|_| LimiterUnavailable::ConnectTimeout)?
    }

    async fn connect_with_redirects(
        mut address: ValkeyAddress,
        timeouts: LimiterTimeouts,
    ) -> Result<Self, LimiterUnavailable> {
        let mut hops = 1;
        loop {
            let server = Self::open_connection(&address, timeouts).await?;
            match server.probe().await {
                Err(LimiterUnavailable::Server(error)) if hops < REDIRECTS_MAX && is_redirection(&error) => {
                    let node = redirected_node(&error, &address.node());
                    address = address.with_node(&node.ok_or(LimiterUnavailable::UnexpectedReply)?);
                    hops += 1;
                }
                probed => return probed.map(|()| server),
            }
        }
    }

    async fn open_connection(
        address: &ValkeyAddress,
        timeouts: LimiterTimeouts,
    ) -> Result<Self, LimiterUnavailable> {
        let timeouts = ConnectionTimeouts { connect: timeouts.connect, response: timeouts.count };
        let connection = address.connect(timeouts).await?;
        let loaded = send_command(connection.clone(), cmd("SCRIPT").arg("LOAD").arg(SCRIPT)).await?;
        let Value::BulkString(name) = loaded else { return Err(LimiterUnavailable::UnexpectedReply) };
        let script = String::from_utf8(name).map_err(|_| LimiterUnavailable::UnexpectedReply)?;
        Ok(Self { connection, script: script.into() })
    }

    async fn probe(&self) -> Result<(), LimiterUnavailable> {
        let key = format!("{PREFIX}probe");
        self.run_script(&[(key, PROBE, 0, 1)]).await.map(drop)
    }

    /// Counts requests, and returns the level of each bucket.
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
        let connection = || self.connection.clone();
        let reply = match send_command(connection(), &build_command("EVALSHA", &self.script, rows)).await {
            // A restarted or flushed server does not know the script, so the call has not run.
            Err(error) if is_unknown_script(&error) => {
                send_command(connection(), &build_command("EVAL", SCRIPT, rows)).await?
            }
            reply => reply?,
        };
        let Value::Array(reply) = reply else { return Err(LimiterUnavailable::UnexpectedReply) };
        if reply.len() != rows.len() {
            return Err(LimiterUnavailable::UnexpectedReply);
        }
        reply.iter().map(parse_level).collect()
    }
}

/// The key of a bucket, its parameters, the level known here, and the requests served already or, if negative, taken back.
type ScriptArguments = (String, GcraParameters, i64, i64);

fn bucket_key(class: LimitClass, key: LimitKey) -> String {
    let class = match class {
        LimitClass::Auth => "auth",
        LimitClass::Refresh => "refresh",
        LimitClass::Guess => "guess",
        LimitClass::Buy => "buy",
        LimitClass::Read => "read",
        LimitClass::Turnstile => "turnstile",
        LimitClass::Drop => "drop",
        LimitClass::DialectAddress => "dialect",
    };
    format!("{PREFIX}{class}:{:x}", key.0)
}

fn build_command(how: &str, script: &str, rows: &[ScriptArguments]) -> Cmd {
    let mut command = cmd(how);
    command.arg(script).arg(rows.len());
    for (name, ..) in rows {
        command.arg(name);
    }
    for (_, parameters, known_us, served) in rows {
        command.arg(parameters.interval_us).arg(parameters.burst_us).arg(known_us).arg(served);
    }
    command
}

fn parse_level(value: &Value) -> Result<BucketLevel, LimiterUnavailable> {
    match value {
        Value::Int(level_us) if *level_us >= 0 => Ok(BucketLevel { allowed: true, level_us: *level_us }),
        Value::Int(reply) => Ok(BucketLevel { allowed: false, level_us: -1 - reply }),
        _ => Err(LimiterUnavailable::UnexpectedReply),
    }
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

    /// A call of an instance: microseconds since the last one, the level known here, requests served already; -1 takes one back.
    fn step() -> impl Strategy<Value = (i64, i64, i64)> {
        (
            0..15_000_000_i64,
            prop_oneof![4 => Just(0), 1 => 0..30_000_000_i64],
            prop_oneof![3 => Just(0), 1 => 1..5_i64, 1 => Just(-1)],
        )
    }

    #[test]
    fn the_script_counts_as_the_buckets_in_memory_do() {
        const START_US: i64 = 1_800_000_000_000_000;
        let parameters = GcraParameters { interval_us: 10_000_000, burst_us: 30_000_000 };
        let clock = "local now = time[1] * 1000000 + time[2]";
        let expiry = "math.ceil(level / 1000)";
        assert!(SCRIPT.contains(clock) && SCRIPT.contains(expiry));
        // The test replaces the clock of the script; keys would expire by the server's own.
        let script = SCRIPT.replace(clock, "local now = tonumber(ARGV[#ARGV])").replace(expiry, "86400000");
        let server = RedisServer::start();
        let strategy = proptest::collection::vec(step(), 1..40);
        let mut runner = TestRunner::new(Config { cases: 100, ..Config::default() });
        let outcome = runner.run(&strategy, |steps| {
            server.request(&["FLUSHALL"]);
            let (mut now_us, mut empty_at) = (START_US, START_US);
            for (after_us, known_us, served) in steps {
                now_us += after_us;
                let level_us = empty_at - now_us;
                let expected = if served < 0 {
                    parameters.return_request(level_us)
                } else if served == 0 {
                    parameters.count_request(parameters.clamp_level(level_us).max(known_us))
                } else {
                    let added_us = parameters.clamp_level(level_us) + served * parameters.interval_us;
                    BucketLevel { allowed: true, level_us: parameters.clamp_level(added_us.max(known_us)) }
                };
                empty_at = now_us + expected.level_us;
                let mut call =
                    build_command("EVAL", &script, &[("key".into(), parameters, known_us, served)]);
                let Value::Array(reply) = server.send(call.arg(now_us)).unwrap() else { panic!("no array") };
                prop_assert_eq!(parse_level(&reply[0]).unwrap(), expected);
            }
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{error}"));
    }
}
