//! Connections to the servers that decide: one to each node, with the library loaded before the first call goes over it.
//! Follows a cluster's redirections. It never sends a call a second time unless the server said that it did not take it.

use super::library;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisError};
use redis::{ServerErrorKind, Value};
use std::collections::HashMap;
use std::time::Duration;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a call may take: longer than a server stands still to fork.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ValkeyError {
    /// The server, or the way to it, failed.
    #[error("Valkey failed")]
    Server(#[from] RedisError),
    /// The server is not set up for what it is to keep.
    #[error("the Valkey at {server} cannot be decided in: {what}")]
    Unfit {
        /// Which.
        server: String,
        /// Why not.
        what: String,
    },
    /// The server has a library that a newer doorbuster has brought.
    #[error("the Valkey at {server} has library {theirs}, this doorbuster speaks {ours}: update it")]
    NewerLibrary {
        /// Which.
        server: String,
        /// Its version.
        theirs: u32,
        /// Our version.
        ours: u32,
    },
    /// See [`super::wire::WireError`].
    #[error(transparent)]
    Wire(#[from] super::wire::WireError),
    /// What has to be handed over cannot be read, or its epoch not be raised.
    #[error(transparent)]
    Ledger(#[from] crate::record::ReadError),
    /// A sale's state could not be handed over for too long.
    #[error("the state of sale {sale} could not be handed over: {what}")]
    HandOver {
        /// Which sale.
        sale: sale::SaleId,
        /// What the server said last.
        what: String,
    },
}

/// A node: host and port, as a cluster names it.
type Node = (String, u16);

/// The servers, by the names under which they are told of.
pub(super) struct Servers {
    info: redis::ConnectionInfo,
    first: Node,
    connections: HashMap<Node, MultiplexedConnection>,
    /// The node of each key that is not on the first one.
    homes: HashMap<String, Node>,
}

impl Servers {
    /// Knows where the first server is; connects to nothing yet.
    pub(super) fn new(url: &str) -> Result<Self, ValkeyError> {
        let info = url.into_connection_info()?;
        // A call is one small write, and waits for nothing to be put behind it.
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let info = info.set_tcp_settings(tcp);
        let first = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (host.clone(), *port),
            ConnectionAddr::TcpTls { host, port, .. } => (host.clone(), *port),
            other => (other.to_string(), 0),
        };
        Ok(Self { info, first, connections: HashMap::new(), homes: HashMap::new() })
    }

    /// A connection to the node that has this key.
    pub(super) async fn connection(&mut self, key: &str) -> Result<MultiplexedConnection, ValkeyError> {
        let node = self.home(key);
        if let Some(connection) = self.connections.get(&node) {
            return Ok(connection.clone());
        }
        let mut connection = self.connect(&node).await?;
        library::prepare(&mut connection, &format!("{}:{}", node.0, node.1)).await?;
        self.connections.insert(node, connection.clone());
        Ok(connection)
    }

    /// Takes a failed call into account. True when the same call may be sent again at once, because no server took it.
    pub(super) fn learn(&mut self, key: &str, error: &RedisError) -> bool {
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::Moved) => match self.told_node(key, error) {
                Some(node) => {
                    self.homes.insert(key.to_owned(), node);
                    true
                }
                None => false,
            },
            // A function that is not there was not called. The library is brought with the next connection.
            _ if is_unknown_function(error) => {
                self.forget(key);
                true
            }
            // A server that answers may have become another one: a replica, an older one, one that is set up anew.
            _ => {
                self.forget(key);
                self.homes.remove(key);
                false
            }
        }
    }

    /// Where a key is, as the node says that does not have it. A node without a name is on the same host.
    fn told_node(&self, key: &str, error: &RedisError) -> Option<Node> {
        let (address, _slot) = error.redirect_node()?;
        let (host, port) = address.rsplit_once(':')?;
        let host = if host.is_empty() || host == "?" { self.home(key).0 } else { host.to_owned() };
        Some((host, port.parse().ok()?))
    }

    fn forget(&mut self, key: &str) {
        let node = self.home(key);
        self.connections.remove(&node);
    }

    fn home(&self, key: &str) -> Node {
        self.homes.get(key).unwrap_or(&self.first).clone()
    }

    async fn connect(&self, node: &Node) -> Result<MultiplexedConnection, ValkeyError> {
        let (host, port) = node.clone();
        let info = match self.info.addr() {
            ConnectionAddr::Tcp(..) => self.info.clone().set_addr(ConnectionAddr::Tcp(host, port)),
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                let (insecure, tls_params) = (*insecure, tls_params.clone());
                self.info.clone().set_addr(ConnectionAddr::TcpTls { host, port, insecure, tls_params })
            }
            _ => self.info.clone(),
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        Ok(Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await?)
    }
}

/// Sends one command.
pub(super) async fn send(mut connection: MultiplexedConnection, command: Cmd) -> Result<Value, RedisError> {
    match connection.send_packed_command(&command).await? {
        Value::ServerError(error) => Err(error.into()),
        value => Ok(value),
    }
}

fn is_unknown_function(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("Function not found"))
}
