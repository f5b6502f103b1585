//! Connections to the servers that decide: one to each node, with the library loaded before the first call goes over it.
//! Follows a cluster's redirections. It never sends a call a second time unless the server said that it did not take it, and it
//! never keeps a caller waiting for a server that is away: that one is tried in the background, and nobody is sent there meanwhile.

use super::library;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisError};
use redis::{ServerErrorKind, Value};
use std::collections::HashMap;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long a call may take: longer than a server stands still to fork, and not so long that a caller would give up.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a caller waits for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(400);
/// How long one may take that nobody waits for, or that a start waits for.
const BACKGROUND_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two tries to reach a server that is away.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(50);

/// Why a server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ValkeyError {
    /// The server, or the way to it, failed.
    #[error("Valkey failed")]
    Server(#[from] RedisError),
    /// The server is away, and is being tried.
    #[error("the Valkey at {server} is away")]
    Unreachable { server: String },
    /// The server is not set up for what it is to keep.
    #[error("the Valkey at {server} cannot be decided in: {what}")]
    Unfit { server: String, what: String },
    /// The server has a library that a newer doorbuster has brought.
    #[error("the Valkey at {server} has library {theirs}, this doorbuster speaks {ours}: update it")]
    NewerLibrary { server: String, theirs: u32, ours: u32 },
    /// See [`super::wire::WireError`].
    #[error(transparent)]
    Wire(#[from] super::wire::WireError),
    /// What has to be handed over cannot be read, or its epoch not be raised.
    #[error(transparent)]
    Ledger(#[from] crate::record::ReadError),
    /// A sale's state could not be handed over for too long.
    #[error("the state of sale {sale} could not be handed over: {what}")]
    RestoreFailed {
        sale: sale::SaleId,
        /// What the server said last.
        what: String,
    },
}

/// A node: host and port, as a cluster names it.
type NodeAddress = (String, u16);

/// The servers, by the names under which they are told of.
pub(super) struct ValkeyNodes {
    info: redis::ConnectionInfo,
    first: NodeAddress,
    connections: HashMap<NodeAddress, NodeConnection>,
    /// The node of each key that is not on the first one.
    key_nodes: HashMap<String, NodeAddress>,
}

/// The way to a node.
enum NodeConnection {
    Connected(MultiplexedConnection),
    /// It could not be reached; this tries until it can.
    Reconnecting(JoinHandle<MultiplexedConnection>),
}

impl Drop for NodeConnection {
    fn drop(&mut self) {
        if let Self::Reconnecting(trying) = self {
            trying.abort();
        }
    }
}

impl ValkeyNodes {
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
        Ok(Self { info, first, connections: HashMap::new(), key_nodes: HashMap::new() })
    }

    /// Connects to the first server, and takes its time.
    pub(super) async fn connect(&mut self) -> Result<(), ValkeyError> {
        let connection = connect_and_prepare(&self.info, &self.first, BACKGROUND_CONNECT_TIMEOUT).await?;
        self.connections.insert(self.first.clone(), NodeConnection::Connected(connection));
        Ok(())
    }

    /// A connection to the node that has this key.
    pub(super) async fn connection(&mut self, key: &str) -> Result<MultiplexedConnection, ValkeyError> {
        let node = self.node_of(key);
        match self.connections.get_mut(&node) {
            Some(NodeConnection::Connected(connection)) => return Ok(connection.clone()),
            Some(NodeConnection::Reconnecting(trying)) if !trying.is_finished() => {
                return Err(ValkeyError::Unreachable { server: format_node(&node) });
            }
            Some(NodeConnection::Reconnecting(trying)) => {
                if let Ok(connection) = trying.await {
                    self.connections.insert(node, NodeConnection::Connected(connection.clone()));
                    return Ok(connection);
                }
            }
            None => {}
        }
        match connect_and_prepare(&self.info, &node, CONNECT_TIMEOUT).await {
            Ok(connection) => {
                self.connections.insert(node, NodeConnection::Connected(connection.clone()));
                Ok(connection)
            }
            Err(error) => {
                let trying = tokio::spawn(reconnect_until_ready(self.info.clone(), node.clone()));
                self.connections.insert(node, NodeConnection::Reconnecting(trying));
                Err(error)
            }
        }
    }

    /// Takes a failed call into account. True when the same call may be sent again at once, because no server took it.
    pub(super) fn handle_error(&mut self, key: &str, error: &RedisError) -> bool {
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::Moved) => match self.redirected_node(key, error) {
                Some(node) => {
                    self.key_nodes.insert(key.to_owned(), node);
                    true
                }
                None => false,
            },
            // A function that is not there was not called. The library is brought with the next connection.
            _ if is_unknown_function(error) => {
                self.disconnect(key);
                true
            }
            // A server that answers may have become another one: a replica, an older one, one that is set up anew.
            _ => {
                self.disconnect(key);
                self.key_nodes.remove(key);
                false
            }
        }
    }

    /// Where a key is, as the node says that does not have it. A node without a name is on the same host.
    fn redirected_node(&self, key: &str, error: &RedisError) -> Option<NodeAddress> {
        let (address, _slot) = error.redirect_node()?;
        let (host, port) = address.rsplit_once(':')?;
        let host = if host.is_empty() || host == "?" { self.node_of(key).0 } else { host.to_owned() };
        Some((host, port.parse().ok()?))
    }

    fn disconnect(&mut self, key: &str) {
        let node = self.node_of(key);
        self.connections.remove(&node);
    }

    fn node_of(&self, key: &str) -> NodeAddress {
        self.key_nodes.get(key).unwrap_or(&self.first).clone()
    }
}

/// Tries until the server can be reached and decided in.
async fn reconnect_until_ready(info: redis::ConnectionInfo, node: NodeAddress) -> MultiplexedConnection {
    let mut is_told = false;
    loop {
        match connect_and_prepare(&info, &node, BACKGROUND_CONNECT_TIMEOUT).await {
            Ok(connection) => {
                tracing::info!(server = format_node(&node), "the Valkey is back");
                return connection;
            }
            Err(error) if is_told => tracing::debug!(error = &error as &dyn std::error::Error, "not yet"),
            Err(error) => {
                is_told = true;
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    server = format_node(&node),
                    "a Valkey cannot be reached; nothing is sold there, and it is tried again"
                );
            }
        }
        tokio::time::sleep(RECONNECT_INTERVAL).await;
    }
}

/// Connects to a server, looks whether it may be decided in, and brings the library.
async fn connect_and_prepare(
    info: &redis::ConnectionInfo,
    node: &NodeAddress,
    limit: Duration,
) -> Result<MultiplexedConnection, ValkeyError> {
    let reached = tokio::time::timeout(limit, async {
        let mut connection = connect(info, node).await?;
        library::prepare_server(&mut connection, &format_node(node)).await?;
        Ok(connection)
    });
    reached.await.unwrap_or_else(|_| Err(ValkeyError::Unreachable { server: format_node(node) }))
}

async fn connect(
    info: &redis::ConnectionInfo,
    (host, port): &NodeAddress,
) -> Result<MultiplexedConnection, RedisError> {
    let (host, port) = (host.clone(), *port);
    let info = match info.addr() {
        ConnectionAddr::Tcp(..) => info.clone().set_addr(ConnectionAddr::Tcp(host, port)),
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            let (insecure, tls_params) = (*insecure, tls_params.clone());
            info.clone().set_addr(ConnectionAddr::TcpTls { host, port, insecure, tls_params })
        }
        _ => info.clone(),
    };
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(BACKGROUND_CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT));
    Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await
}

fn format_node((host, port): &NodeAddress) -> String {
    format!("{host}:{port}")
}

pub(super) async fn send_command(
    mut connection: MultiplexedConnection,
    command: Cmd,
) -> Result<Value, RedisError> {
    match connection.send_packed_command(&command).await? {
        Value::ServerError(error) => Err(error.into()),
        value => Ok(value),
    }
}

fn is_unknown_function(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("Function not found"))
}
