//! Connections to the decision stores: one to each node, with the library loaded before the first call, except in replicas of a cluster, which only
//! redirect. It follows a cluster's redirections. It never sends a call a second time unless the server said that it did not take it, and no caller waits for a
//! server that cannot be reached: a task in the background reconnects, and calls fail meanwhile.

use super::error::ValkeyError;
use super::library;
use crate::error_text::describe_error;
use crate::valkey_connection::{
    ConnectionTimeouts, ValkeyAddress, ValkeyNode, is_redirection, redirected_node,
};
use redis::RedisError;
use redis::aio::MultiplexedConnection;
use std::collections::HashMap;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long a call may take: longer than a server pauses to fork, and less than a caller waits.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a caller waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(400);
/// How long a connection may take that no caller waits for, or that a start waits for.
const BACKGROUND_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two tries to reach a server.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(50);

/// The servers, by the names under which a cluster names them.
pub(super) struct ValkeyNodes {
    address: ValkeyAddress,
    first: ValkeyNode,
    connections: HashMap<ValkeyNode, NodeConnection>,
    /// The node of each key that is not on the first one.
    key_nodes: HashMap<String, ValkeyNode>,
    /// Connections made so far.
    pub(super) connection_count: u64,
    /// How long a reply is waited for.
    pub(super) response_timeout: Duration,
}

/// The connection to a node.
enum NodeConnection {
    Connected(MultiplexedConnection),
    /// The node could not be reached; this task tries until it can.
    Reconnecting(JoinHandle<MultiplexedConnection>),
}

impl Drop for NodeConnection {
    fn drop(&mut self) {
        if let Self::Reconnecting(task) = self {
            task.abort();
        }
    }
}

impl ValkeyNodes {
    /// Connects to nothing yet.
    pub(super) fn new(address: &ValkeyAddress) -> Self {
        let (connections, key_nodes) = (HashMap::new(), HashMap::new());
        let response_timeout = RESPONSE_TIMEOUT;
        Self {
            address: address.clone(),
            first: address.node(),
            connections,
            key_nodes,
            connection_count: 0,
            response_timeout,
        }
    }

    /// Connects to the first server, with the long timeout of a start.
    pub(super) async fn connect(&mut self) -> Result<(), ValkeyError> {
        let timeouts = self.timeouts();
        let connecting =
            connect_and_prepare(&self.address, &self.first, timeouts, BACKGROUND_CONNECT_TIMEOUT);
        let connection = connecting.await?;
        self.keep_connection(self.first.clone(), connection);
        Ok(())
    }

    /// A connection to the node that has this key, or to one that says which has it.
    pub(super) async fn connection(&mut self, key: &str) -> Result<MultiplexedConnection, ValkeyError> {
        let node = self.find_node(key);
        let error = match self.connection_to(&node).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        // Another node may have the key by now.
        self.key_nodes.remove(key);
        let other = self.find_node(key);
        if other == node {
            return Err(error);
        }
        let connection = self.connection_to(&other).await?;
        if other != self.first {
            // An error is then that of the node that was asked, also when the first one has come back meanwhile.
            self.key_nodes.insert(key.to_owned(), other);
        }
        Ok(connection)
    }

    async fn connection_to(&mut self, node: &ValkeyNode) -> Result<MultiplexedConnection, ValkeyError> {
        match self.connections.get_mut(node) {
            Some(NodeConnection::Connected(connection)) => return Ok(connection.clone()),
            Some(NodeConnection::Reconnecting(task)) if !task.is_finished() => {
                return Err(ValkeyError::Unreachable { server: node.to_string() });
            }
            Some(NodeConnection::Reconnecting(task)) => {
                if let Ok(connection) = task.await {
                    self.keep_connection(node.clone(), connection.clone());
                    return Ok(connection);
                }
            }
            None => {}
        }
        let timeouts = self.timeouts();
        match connect_and_prepare(&self.address, node, timeouts, CONNECT_TIMEOUT).await {
            Ok(connection) => {
                self.keep_connection(node.clone(), connection.clone());
                Ok(connection)
            }
            Err(error) => {
                let task = tokio::spawn(reconnect_until_ready(self.address.clone(), node.clone(), timeouts));
                self.connections.insert(node.clone(), NodeConnection::Reconnecting(task));
                Err(error)
            }
        }
    }

    /// Takes a failed call into account. True when the same call may be sent again at once, because no server took it.
    pub(super) fn handle_error(&mut self, key: &str, error: &RedisError) -> bool {
        if is_redirection(error) {
            let Some(node) = redirected_node(error, &self.find_node(key)) else { return false };
            let may_again = !self.is_away(&node);
            self.key_nodes.insert(key.to_owned(), node);
            return may_again;
        }
        self.disconnect(key);
        // A function that is not there was not called; the next connection loads the library.
        if is_unknown_function(error) {
            return true;
        }
        // A server that answers with an error may have become another one: a replica, an older one, an empty one.
        self.key_nodes.remove(key);
        false
    }

    /// The error of a call that is not sent again, after [`Self::handle_error`].
    pub(super) fn explain_error(&self, key: &str, error: RedisError) -> ValkeyError {
        let node = self.find_node(key);
        if is_redirection(&error) && self.is_away(&node) {
            return ValkeyError::Unreachable { server: node.to_string() };
        }
        error.into()
    }

    fn timeouts(&self) -> ConnectionTimeouts {
        ConnectionTimeouts { connect: BACKGROUND_CONNECT_TIMEOUT, response: self.response_timeout }
    }

    fn keep_connection(&mut self, node: ValkeyNode, connection: MultiplexedConnection) {
        self.connection_count += 1;
        self.connections.insert(node, NodeConnection::Connected(connection));
    }

    fn disconnect(&mut self, key: &str) {
        let node = self.find_node(key);
        self.connections.remove(&node);
    }

    /// The node that has this key, as far as is known. Any node of a cluster names the one that has it: while the first is away,
    /// another one is asked.
    pub(super) fn find_node(&self, key: &str) -> ValkeyNode {
        if let Some(node) = self.key_nodes.get(key) {
            return node.clone();
        }
        if !self.is_away(&self.first) {
            return self.first.clone();
        }
        let other = self.address.cluster_nodes().into_iter().find(|node| !self.is_away(node));
        other.unwrap_or_else(|| self.first.clone())
    }

    /// Whether a node could not be reached when it was last needed, and cannot be yet.
    fn is_away(&self, node: &ValkeyNode) -> bool {
        let connection = self.connections.get(node);
        matches!(connection, Some(NodeConnection::Reconnecting(task)) if !task.is_finished())
    }
}

/// Tries until the server can be reached and decided in.
async fn reconnect_until_ready(
    address: ValkeyAddress,
    node: ValkeyNode,
    timeouts: ConnectionTimeouts,
) -> MultiplexedConnection {
    let mut is_logged = false;
    loop {
        match connect_and_prepare(&address, &node, timeouts, BACKGROUND_CONNECT_TIMEOUT).await {
            Ok(connection) => {
                tracing::info!(server = %node, "the Valkey answers again; its sales continue");
                return connection;
            }
            Err(error) if is_logged => {
                tracing::debug!(error = describe_error(&error), server = %node, "still no Valkey");
            }
            Err(error) => {
                is_logged = true;
                tracing::error!(
                    error = describe_error(&error),
                    server = %node,
                    "a Valkey cannot be reached; its sales sell nothing; retrying every 50 ms"
                );
            }
        }
        tokio::time::sleep(RECONNECT_INTERVAL).await;
    }
}

/// Connects to a server, checks that it may be decided in, and loads the library.
async fn connect_and_prepare(
    address: &ValkeyAddress,
    node: &ValkeyNode,
    timeouts: ConnectionTimeouts,
    timeout: Duration,
) -> Result<MultiplexedConnection, ValkeyError> {
    let connecting = tokio::time::timeout(timeout, async {
        let connection = address.with_node(node).connect(timeouts).await?;
        let cluster_nodes = library::prepare_server(&connection, node).await?;
        if let Some(nodes) = cluster_nodes {
            address.keep_cluster_nodes(nodes);
        }
        Ok(connection)
    });
    connecting.await.unwrap_or_else(|_| Err(ValkeyError::Unreachable { server: node.to_string() }))
}

pub(super) fn is_unknown_function(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("Function not found"))
}
