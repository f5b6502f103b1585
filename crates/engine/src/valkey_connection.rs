//! Connections to a Valkey or Redis, for the decider and for the request limits alike: the address, the time limits, one command, and
//! where a cluster redirects it. It never sends a command twice, never reconnects by itself, and never shows an address, which may
//! hold a password.

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
};
use redis::{RedisError, ServerErrorKind, Value};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The address of a server: `redis://host:port/` or `rediss://…`; any node of a cluster. Clones share what is known of the cluster.
#[derive(Clone)]
pub struct ValkeyAddress {
    info: ConnectionInfo,
    cluster_nodes: Arc<Mutex<Vec<ValkeyNode>>>,
}

impl fmt::Debug for ValkeyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ValkeyAddress(…)")
    }
}

/// A text is not the address of a server. The error does not repeat it: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write an address such as redis://host:6379")]
pub struct BadValkeyAddress;

/// A node by the host and port under which a cluster names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ValkeyNode {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for ValkeyNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// How long a connection may take to be made, and a command to be answered.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionTimeouts {
    pub connect: Duration,
    pub response: Duration,
}

impl ValkeyAddress {
    /// Parses a URL.
    ///
    /// # Errors
    /// When it is not the URL of a Valkey or Redis.
    pub fn parse(text: &str) -> Result<Self, BadValkeyAddress> {
        if !["redis://", "rediss://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err(BadValkeyAddress);
        }
        let info = text.into_connection_info().map_err(|_| BadValkeyAddress)?;
        // A command is one small write: it is sent at once.
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        Ok(Self { info: info.set_tcp_settings(tcp), cluster_nodes: Arc::default() })
    }

    /// The node that the address names.
    #[must_use]
    pub fn node(&self) -> ValkeyNode {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                ValkeyNode { host: host.clone(), port: *port }
            }
            other => ValkeyNode { host: other.to_string(), port: 0 },
        }
    }

    /// The same credentials and encryption at another node.
    #[must_use]
    pub fn with_node(&self, node: &ValkeyNode) -> Self {
        let (host, port) = (node.host.clone(), node.port);
        let address = match self.info.addr().clone() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure, tls_params }
            }
            ConnectionAddr::Tcp(..) => ConnectionAddr::Tcp(host, port),
            other => other,
        };
        Self { info: self.info.clone().set_addr(address), cluster_nodes: Arc::clone(&self.cluster_nodes) }
    }

    /// The nodes of the cluster, as one of them listed them last; none where there is no cluster.
    #[must_use]
    pub fn cluster_nodes(&self) -> Vec<ValkeyNode> {
        self.cluster_nodes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the nodes of the cluster for all clones.
    pub fn keep_cluster_nodes(&self, nodes: Vec<ValkeyNode>) {
        *self.cluster_nodes.lock().unwrap_or_else(PoisonError::into_inner) = nodes;
    }

    /// Opens a connection; its clones share it.
    ///
    /// # Errors
    /// When the server cannot be reached in time, or refuses the connection.
    pub async fn connect(&self, timeouts: ConnectionTimeouts) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeouts.connect))
            .set_response_timeout(Some(timeouts.response));
        Client::open(self.info.clone())?.get_multiplexed_async_connection_with_config(&config).await
    }
}

/// How much memory a server uses, and may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValkeyMemory {
    pub used_bytes: u64,
    /// 0 without a limit.
    pub limit_bytes: u64,
}

/// Looks at the memory of one server, over a connection that is opened again after a failure.
pub struct MemoryMonitor {
    address: ValkeyAddress,
    timeouts: ConnectionTimeouts,
    connection: Option<MultiplexedConnection>,
}

impl MemoryMonitor {
    /// Connects to nothing yet.
    #[must_use]
    pub fn new(address: ValkeyAddress, timeouts: ConnectionTimeouts) -> Self {
        Self { address, timeouts, connection: None }
    }

    /// What the server uses now; `None` when it does not answer.
    pub async fn read(&mut self) -> Option<ValkeyMemory> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.address.connect(self.timeouts).await.ok()?,
        };
        let mut command = redis::cmd("INFO");
        command.arg("memory");
        let reply = send_command(connection.clone(), &command).await.ok()?;
        // A connection that failed is not used again.
        self.connection = Some(connection);
        let text = match reply {
            Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Value::VerbatimString { text, .. } => text,
            Value::SimpleString(text) => text,
            _ => return None,
        };
        parse_memory(&text)
    }
}

/// The two numbers of `INFO memory`.
fn parse_memory(text: &str) -> Option<ValkeyMemory> {
    let number = |name: &str| find_info_field(text, name)?.parse().ok();
    Some(ValkeyMemory { used_bytes: number("used_memory")?, limit_bytes: number("maxmemory")? })
}

/// A field of the text that `INFO` returns.
pub(crate) fn find_info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Sends one command once.
///
/// # Errors
/// When the server answers with an error, or not in time, or the connection breaks; then the command may have been carried out.
pub async fn send_command(mut connection: MultiplexedConnection, command: &Cmd) -> Result<Value, RedisError> {
    match connection.send_packed_command(command).await? {
        Value::ServerError(error) => Err(error.into()),
        value => Ok(value),
    }
}

#[must_use]
pub fn is_redirection(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::Moved)
}

/// The node that `asked` redirects a command to, if the error is a redirection that names one. A node without a name is on the host
/// of the one that was asked.
#[must_use]
pub fn redirected_node(error: &RedisError, asked: &ValkeyNode) -> Option<ValkeyNode> {
    let (address, _slot) = error.redirect_node().filter(|_| is_redirection(error))?;
    let (host, port) = address.rsplit_once(':')?;
    Some(ValkeyNode { host: host_or_that_of(host, asked), port: port.parse().ok()? })
}

/// A node without a name is on the host of the one that was asked.
fn host_or_that_of(host: &str, asked: &ValkeyNode) -> String {
    if host.is_empty() || host == "?" { asked.host.clone() } else { host.to_owned() }
}

/// The nodes in a reply to `CLUSTER SLOTS`, under the names by which clients reach them; each once.
#[must_use]
pub fn parse_cluster_nodes(slots: &Value, asked: &ValkeyNode) -> Vec<ValkeyNode> {
    let mut nodes = Vec::new();
    let Value::Array(ranges) = slots else { return nodes };
    for range in ranges {
        // The first and the last slot, then the nodes that have them.
        let Value::Array(parts) = range else { continue };
        for part in parts.iter().skip(2) {
            let Some(node) = parse_cluster_node(part, asked) else { continue };
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
    }
    nodes
}

fn parse_cluster_node(part: &Value, asked: &ValkeyNode) -> Option<ValkeyNode> {
    let Value::Array(fields) = part else { return None };
    let [host, Value::Int(port), ..] = fields.as_slice() else { return None };
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::Nil => "",
        _ => return None,
    };
    Some(ValkeyNode { host: host_or_that_of(host, asked), port: u16::try_from(*port).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_parsed_or_refused_and_its_password_never_shown() {
        for good in ["redis://127.0.0.1", "redis://:tulip@host:6380/2", "rediss://ada:tulip@[::1]:6379"] {
            let address = ValkeyAddress::parse(good).unwrap();
            assert!(!format!("{address:?}").contains("tulip"));
        }
        for bad in
            ["", "redis://", "http://host", "host:6379", "unix:///run/tulip", "redis://:tulip@host:port"]
        {
            let error = ValkeyAddress::parse(bad).unwrap_err().to_string();
            assert!(error.contains("redis://") && !error.contains("tulip"), "{error}");
        }
    }

    #[test]
    fn the_address_of_another_node_keeps_the_credentials() {
        let address = ValkeyAddress::parse("redis://ada:tulip@one:6379/").unwrap();
        let other = ValkeyNode { host: "two".to_owned(), port: 7000 };
        let moved = address.with_node(&other);
        assert_eq!((moved.node(), moved.info.redis_settings().password()), (other, Some("tulip")));
    }

    #[test]
    fn the_memory_of_a_server_is_read_from_its_own_words() {
        let text = "# Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\nmaxmemory:2097152\r\nmaxmemory_human:2.00M\r\n";
        let memory = ValkeyMemory { used_bytes: 1 << 20, limit_bytes: 2 << 20 };
        assert_eq!(parse_memory(text), Some(memory));
        assert_eq!(parse_memory("used_memory:many\r\nmaxmemory:0"), None);
        assert_eq!(parse_memory(""), None);
    }

    #[test]
    fn the_nodes_of_a_cluster_are_read_from_its_slots() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let node = |host: Value, port| Value::Array(vec![host, Value::Int(port), text("id")]);
        let range = |nodes: Vec<Value>| Value::Array([vec![Value::Int(0), Value::Int(9)], nodes].concat());
        let slots = Value::Array(vec![
            range(vec![node(text("10.0.0.1"), 6379), node(Value::Nil, 6380)]),
            range(vec![node(text("two.internal"), 6379), node(text("10.0.0.1"), 6379)]),
            range(vec![node(text("?"), 6381), node(text(""), 6382), node(text("far"), 70_000), Value::Nil]),
            Value::Nil,
        ]);
        let asked = ValkeyNode { host: "one".to_owned(), port: 6379 };
        let nodes: Vec<String> =
            parse_cluster_nodes(&slots, &asked).iter().map(ValkeyNode::to_string).collect();
        assert_eq!(nodes, ["10.0.0.1:6379", "one:6380", "two.internal:6379", "one:6381", "one:6382"]);
        assert!(parse_cluster_nodes(&Value::Nil, &asked).is_empty());
    }

    #[test]
    fn a_redirection_to_a_node_without_a_name_stays_on_the_host() {
        let error = |text: &str| {
            let reply = redis::parse_redis_value(text.as_bytes()).unwrap();
            let Value::ServerError(error) = reply else { panic!("no error: {text}") };
            RedisError::from(error)
        };
        let asked = ValkeyNode { host: "one".to_owned(), port: 6379 };
        let node = |text| redirected_node(&error(text), &asked).map(|node| node.to_string());
        assert_eq!(node("-MOVED 1 two:7000\r\n").as_deref(), Some("two:7000"));
        assert_eq!(node("-MOVED 1 :7001\r\n").as_deref(), Some("one:7001"));
        assert_eq!(node("-MOVED 1 ?:7001\r\n").as_deref(), Some("one:7001"));
        assert_eq!(node("-ERR no\r\n"), None);
    }
}
