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
const REACH_TIMEOUT: Duration = Duration::from_millis(400);
/// How long one may take that nobody waits for, or that a start waits for.
const REACH_PATIENCE: Duration = Duration::from_secs(2);
/// Between two tries to reach a server that is away.
const REACH_EVERY: Duration = Duration::from_millis(50);

/// Why a server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ValkeyError {
    /// The server, or the way to it, failed.
    #[error("Valkey failed")]
    Server(#[from] RedisError),
    /// The server is away, and is being tried.
    #[error("the Valkey at {server} is away")]
    Away {
        /// Which.
        server: String,
    },
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
    links: HashMap<Node, Link>,
    /// The node of each key that is not on the first one.
    homes: HashMap<String, Node>,
}

/// The way to a node.
enum Link {
    Up(MultiplexedConnection),
    /// It could not be reached; this tries until it can.
    Away(JoinHandle<MultiplexedConnection>),
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Self::Away(trying) = self {
            trying.abort();
        }
    }
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
        Ok(Self { info, first, links: HashMap::new(), homes: HashMap::new() })
    }

    /// Connects to the first server, and takes its time.
    pub(super) async fn connect(&mut self) -> Result<(), ValkeyError> {
        let connection = reach(&self.info, &self.first, REACH_PATIENCE).await?;
        self.links.insert(self.first.clone(), Link::Up(connection));
        Ok(())
    }

    /// A connection to the node that has this key.
    pub(super) async fn connection(&mut self, key: &str) -> Result<MultiplexedConnection, ValkeyError> {
        let node = self.home(key);
        match self.links.get_mut(&node) {
            Some(Link::Up(connection)) => return Ok(connection.clone()),
            Some(Link::Away(trying)) if !trying.is_finished() => {
                return Err(ValkeyError::Away { server: name_of(&node) });
            }
            Some(Link::Away(trying)) => {
                if let Ok(connection) = trying.await {
                    self.links.insert(node, Link::Up(connection.clone()));
                    return Ok(connection);
                }
            }
            None => {}
        }
        match reach(&self.info, &node, REACH_TIMEOUT).await {
            Ok(connection) => {
                self.links.insert(node, Link::Up(connection.clone()));
                Ok(connection)
            }
            Err(error) => {
                let trying = tokio::spawn(reach_at_last(self.info.clone(), node.clone()));
                self.links.insert(node, Link::Away(trying));
                Err(error)
            }
        }
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
        self.links.remove(&node);
    }

    fn home(&self, key: &str) -> Node {
        self.homes.get(key).unwrap_or(&self.first).clone()
    }
}

/// Tries until the server can be reached and decided in.
async fn reach_at_last(info: redis::ConnectionInfo, node: Node) -> MultiplexedConnection {
    let mut is_told = false;
    loop {
        match reach(&info, &node, REACH_PATIENCE).await {
            Ok(connection) => {
                tracing::info!(server = name_of(&node), "the Valkey is back");
                return connection;
            }
            Err(error) if is_told => tracing::debug!(error = &error as &dyn std::error::Error, "not yet"),
            Err(error) => {
                is_told = true;
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    server = name_of(&node),
                    "a Valkey cannot be reached; nothing is sold there, and it is tried again"
                );
            }
        }
        tokio::time::sleep(REACH_EVERY).await;
    }
}

/// Connects to a server, looks whether it may be decided in, and brings the library.
async fn reach(
    info: &redis::ConnectionInfo,
    node: &Node,
    limit: Duration,
) -> Result<MultiplexedConnection, ValkeyError> {
    let reached = tokio::time::timeout(limit, async {
        let mut connection = connect(info, node).await?;
        library::prepare(&mut connection, &name_of(node)).await?;
        Ok(connection)
    });
    reached.await.unwrap_or_else(|_| Err(ValkeyError::Away { server: name_of(node) }))
}

async fn connect(
    info: &redis::ConnectionInfo,
    (host, port): &Node,
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
        .set_connection_timeout(Some(REACH_PATIENCE))
        .set_response_timeout(Some(RESPONSE_TIMEOUT));
    Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await
}

fn name_of((host, port): &Node) -> String {
    format!("{host}:{port}")
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
