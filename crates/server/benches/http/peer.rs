//! The peer: what a team would build instead, in `benches/peer`. Express on every core and one Lua script in Redis, started
//! here with a Redis of its own. Where Node, its packages or Redis are missing, the peer is left out and that is said.

use super::common::bare;
use super::common::shop::Shop;
use super::common::wrk::wait_for;
use anyhow::Context;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use test_servers::ReservedPort;

/// It signs the tokens of a server that ends with this run.
const SECRET: &str = "only for this run";

/// When Redis writes to the disk.
#[derive(Clone, Copy)]
pub enum Fsync {
    EverySecond,
    Always,
}

/// A running peer; ends with the value.
pub struct PeerServer {
    pub url: String,
    /// Tokens of as many buyers as Doorbuster's, one a line.
    pub tokens: PathBuf,
    redis_port: ReservedPort,
    _server: ChildProcess,
    _redis: ChildProcess,
    _port: ReservedPort,
}

/// A process that ends with the value. The workers of a cluster follow their first process.
struct ChildProcess(Child);

impl Drop for ChildProcess {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// What is missing, as a sentence, if something is.
pub fn missing() -> Option<&'static str> {
    let runs = |program: &str| {
        let printed = Command::new(program).arg("--version").output();
        printed.is_ok_and(|printed| printed.status.success())
    };
    if !runs("node") {
        return Some("there is no Node here");
    }
    if !home().join("node_modules/express").exists() {
        return Some("its packages are not installed (npm ci in benches/peer)");
    }
    if !runs("redis-server") {
        return Some("there is no Redis here (apt-get install redis-server)");
    }
    None
}

impl PeerServer {
    /// Starts Redis and the server, with an open sale and one that is sold out.
    pub fn start(folder: &Path, buyers: usize, open: &str, sold_out: &str) -> anyhow::Result<Self> {
        let data = folder.join("redis");
        std::fs::create_dir(&data)?;
        let (port, redis_port) = (ReservedPort::reserve(), ReservedPort::reserve());
        let redis = Command::new("redis-server")
            .args(["--port", &redis_port.get().to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(&data)
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""])
            // Rewriting the file in the middle of a run would cost the peer what no row of it shows.
            .args(["--auto-aof-rewrite-percentage", "0"])
            .stdout(Stdio::null())
            .spawn()
            .map(ChildProcess)?;
        wait_for(redis_port.get()).context("Redis did not start")?;

        let server = Command::new("node")
            .arg(home().join("server.js"))
            .args([
                format!("--port={}", port.get()),
                format!("--redis={}", redis_port.get()),
                format!("--secret={SECRET}"),
            ])
            .args([format!("--sale={open}:10000000:1000000"), format!("--sale={sold_out}:0:1")])
            .env("NODE_ENV", "production")
            .spawn()
            .map(ChildProcess)?;
        wait_for(port.get()).context("the peer did not start")?;

        let printed = Command::new("node")
            .arg(home().join("tokens.js"))
            .args([format!("--secret={SECRET}"), format!("--count={buyers}")])
            .output()?;
        anyhow::ensure!(
            printed.status.success(),
            "the peer's tokens: {}",
            String::from_utf8_lossy(&printed.stderr)
        );
        let tokens = folder.join("peer-tokens");
        std::fs::write(&tokens, printed.stdout)?;
        let url = format!("http://127.0.0.1:{}", port.get());
        Ok(Self { url, tokens, redis_port, _server: server, _redis: redis, _port: port })
    }

    pub fn set_fsync(&self, fsync: Fsync) -> anyhow::Result<()> {
        let when = match fsync {
            Fsync::EverySecond => "everysec",
            Fsync::Always => "always",
        };
        let mut connection = TcpStream::connect(("127.0.0.1", self.redis_port.get()))?;
        write!(connection, "CONFIG SET appendfsync {when}\r\n")?;
        let mut reply = [0; 5];
        connection.read_exact(&mut reply)?;
        anyhow::ensure!(&reply == b"+OK\r\n", "Redis does not take appendfsync {when}");
        Ok(())
    }

    /// Both must do the same work, or the table compares nothing: the same members in an order, the same refusal.
    pub fn check(&self, shop: &Shop, open: &str, sold_out: &str) -> anyhow::Result<()> {
        let tokens = std::fs::read_to_string(&self.tokens)?;
        let token = tokens.lines().next().context("no token")?;
        let client = reqwest::blocking::Client::new();
        let buy = |sale: &str, token: &str| -> anyhow::Result<(u16, Value)> {
            let body = json!({"flashSaleId": sale, "quantity": 1});
            let url = format!("{}/api/v1/orders", self.url);
            let reply = client.post(url).json(&body).bearer_auth(token).send()?;
            Ok((reply.status().as_u16(), reply.json()?))
        };
        let (status, order) = buy(open, token)?;
        let ours = shop.order(open)?;
        anyhow::ensure!(
            status == 201 && bare::members(&order) == bare::members(&ours),
            "the peer's order is another document: {status} {order} beside {ours}"
        );
        let (status, refusal) = buy(sold_out, token)?;
        anyhow::ensure!(status == 409 && refusal["code"] == "sold_out", "sold out: {status} {refusal}");
        let (status, refusal) = buy(open, "unknown")?;
        anyhow::ensure!(status == 401, "an unknown token: {status} {refusal}");
        Ok(())
    }
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/peer")
}
