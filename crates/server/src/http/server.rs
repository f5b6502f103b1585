//! The listener of the API: accepts connections, limits how many are served, and drains them when the process stops. What
//! happens on one connection is in [`connection`]. It never reads a request.

mod connection;
mod deadlines;
mod handle;
mod head_inspector;
mod slots;
mod tracked_stream;

pub use slots::ConnectionLimit;

use super::edge::HttpEdge;
use connection::serve_connection;
use deadlines::DeadlineSweeper;
use slots::ConnectionSlots;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

/// The limits of the listener and of its connections.
#[derive(Debug, Clone, Copy)]
pub struct ServerSettings {
    /// Open connections. On further ones only probes are answered.
    pub connections_max: u32,
    /// Open connections of one client's network, without those that have become a WebSocket.
    pub network_connections_max: u32,
    /// From the first byte of a request's head to its last.
    pub head_limit: Duration,
    /// Between two requests of a connection.
    pub idle_limit: Duration,
    /// From a request's head to its reply.
    pub answer_limit: Duration,
    /// How long bytes for the peer of an upgraded connection may stay unread.
    pub behind_limit: Duration,
    /// How long requests in flight may take once the process stops.
    pub drain_limit: Duration,
}

/// Connections in the operating system's backlog: all clients of a drop connect in the same second.
const BACKLOG: u32 = 4096;

/// Pause of the accept loop after an error of the system, usually a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds an address without listening: clients that connect before [`listen`] are refused at once and try another instance.
///
/// # Errors
/// When the address is in use, or does not belong to this machine.
pub fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Listens. From here on clients can connect; they wait until [`serve`] accepts them.
///
/// # Errors
/// When another process that had bound the address has listened first.
pub fn listen(socket: TcpSocket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)
}

/// Serves until `stop` is true, then drains. Returns how many connections were still open at the end of the drain limit.
pub async fn serve(
    listener: TcpListener,
    edge: Arc<HttpEdge>,
    settings: ServerSettings,
    mut stop: watch::Receiver<bool>,
) -> usize {
    let slots = ConnectionSlots::new(settings.connections_max, settings.network_connections_max);
    let sweeper = Arc::new(DeadlineSweeper::new(settings));
    let sweeping = tokio::spawn(Arc::clone(&sweeper).run());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let handle = sweeper.track_connection();
                let address = Some(peer.ip()).filter(|address| !edge.is_trusted_proxy(*address));
                let slot = slots.admit(address, &handle);
                if let Some(limit) = slot.limit() {
                    edge.count_limited_connection(limit);
                }
                let edge = Arc::clone(&edge);
                tokio::spawn(async move {
                    serve_connection(stream, peer, slot, &edge, &handle).await;
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed; trying again in 50 ms; check the limit of open files");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    sweeper.finish_connections();
    let cut = match tokio::time::timeout(settings.drain_limit, slots.wait_until_empty()).await {
        Ok(()) => 0,
        Err(_) => slots.open(),
    };
    sweeping.abort();
    cut
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
