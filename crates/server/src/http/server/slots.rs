//! How many connections are served: in all, and of one client's network. Those above a limit get one of a few reserve slots, where
//! only probes are answered, so that a load balancer can ask a server that is full. It never reads from a connection.

use super::handle::{ConnectionCommand, ConnectionHandle};
use crate::client_network::ClientNetwork;
use crate::http::load_shedding::OpenSocket;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use tokio::sync::Notify;

/// Connections in the reserve: a few probes, the clients that are refused, and a file for each. A further one takes the place of the
/// oldest that is not being answered, so that connections without a request cannot fill it.
pub(super) const RESERVE_MAX: usize = 16;

/// The limit that a connection is above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionLimit {
    /// Of all connections.
    Total,
    /// Of the connections from one network.
    Network,
}

pub(super) struct ConnectionSlots {
    connections_max: u32,
    network_max: u32,
    counts: Mutex<SlotCounts>,
    emptied: Notify,
}

#[derive(Default)]
struct SlotCounts {
    /// Without the reserve.
    all: u32,
    networks: HashMap<ClientNetwork, u32>,
    reserve: VecDeque<Weak<ConnectionHandle>>,
    /// With the reserve.
    open: usize,
}

/// The slot of an open connection, freed when the last clone is dropped.
#[derive(Clone)]
pub(super) struct ConnectionSlot(Arc<SlotState>);

struct SlotState {
    slots: Arc<ConnectionSlots>,
    limit: Option<ConnectionLimit>,
    /// Whether it counts for its network, and for which.
    network: Option<ClientNetwork>,
    is_counted: AtomicBool,
    /// Set once it is a WebSocket.
    socket: OnceLock<OpenSocket>,
}

impl ConnectionSlots {
    pub(super) fn new(connections_max: u32, network_max: u32) -> Arc<Self> {
        Arc::new(Self { connections_max, network_max, counts: Mutex::default(), emptied: Notify::new() })
    }

    /// A slot for a new connection, perhaps in the reserve. `address` is `None` for a trusted proxy, which brings the connections
    /// of many clients.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        handle: &Arc<ConnectionHandle>,
    ) -> ConnectionSlot {
        let network = address.map(ClientNetwork::from);
        let mut counts = self.lock();
        let of_network = network.and_then(|network| counts.networks.get(&network)).copied().unwrap_or(0);
        let limit = if network.is_some() && of_network >= self.network_max {
            Some(ConnectionLimit::Network)
        } else {
            (counts.all >= self.connections_max).then_some(ConnectionLimit::Total)
        };
        counts.open += 1;
        match limit {
            Some(_) => counts.enter_reserve(handle),
            None => {
                counts.all += 1;
                if let Some(network) = network {
                    *counts.networks.entry(network).or_default() += 1;
                }
            }
        }
        let is_counted = AtomicBool::new(limit.is_none());
        let (slots, socket) = (Arc::clone(self), OnceLock::new());
        ConnectionSlot(Arc::new(SlotState { slots, limit, network, is_counted, socket }))
    }

    /// Connections that are open, those in the reserve too.
    pub(super) fn open(&self) -> usize {
        self.lock().open
    }

    /// Waits until no connection is open.
    pub(super) async fn wait_until_empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.open() == 0 {
                return;
            }
            emptied.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, SlotCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SlotCounts {
    fn enter_reserve(&mut self, handle: &Arc<ConnectionHandle>) {
        self.reserve.retain(|connection| connection.strong_count() > 0);
        if self.reserve.len() >= RESERVE_MAX {
            let is_waiting = |connection: &Weak<ConnectionHandle>| {
                connection.upgrade().is_none_or(|handle| !handle.is_answering())
            };
            let oldest = self.reserve.iter().position(is_waiting).unwrap_or(0);
            let evicted = self.reserve.remove(oldest).and_then(|connection| connection.upgrade());
            if let Some(evicted) = evicted {
                evicted.send_command(ConnectionCommand::Close);
            }
        }
        self.reserve.push_back(Arc::downgrade(handle));
    }
}

impl ConnectionSlot {
    /// The limit that put the connection into the reserve.
    pub(super) fn limit(&self) -> Option<ConnectionLimit> {
        self.0.limit
    }

    /// Takes the connection out of its network's share, once it is a WebSocket: sockets have a limit of their own. It stays one of
    /// all connections.
    pub(super) fn leave_network(&self) {
        self.0.leave_network();
    }

    /// Keeps the count of a WebSocket until the connection ends.
    pub(super) fn keep_socket(&self, socket: OpenSocket) {
        let _first = self.0.socket.set(socket);
    }
}

impl SlotState {
    fn leave_network(&self) {
        let Some(network) = self.network else { return };
        if self.is_counted.swap(false, Ordering::AcqRel) {
            let mut counts = self.slots.lock();
            if let Some(count) = counts.networks.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    counts.networks.remove(&network);
                }
            }
        }
    }
}

impl Drop for SlotState {
    fn drop(&mut self) {
        self.leave_network();
        let mut counts = self.slots.lock();
        counts.open -= 1;
        if self.limit.is_none() {
            counts.all -= 1;
        }
        if counts.open == 0 {
            drop(counts);
            self.slots.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ServerSettings;
    use super::super::handle::PhaseDeadlines;
    use super::*;
    use std::time::Duration;

    fn handle() -> Arc<ConnectionHandle> {
        let limit = Duration::from_secs(1);
        let settings = ServerSettings {
            connections_max: 4,
            network_connections_max: 2,
            head_limit: limit,
            idle_limit: limit,
            answer_limit: limit,
            behind_limit: limit,
            drain_limit: limit,
        };
        Arc::new(ConnectionHandle::new(Arc::new(PhaseDeadlines::new(settings, limit))))
    }

    #[test]
    fn a_network_has_a_share_and_a_proxy_has_all() {
        let slots = ConnectionSlots::new(4, 2);
        let from = |address: &str| slots.admit(Some(address.parse().unwrap()), &handle());
        let (first, _second) = (from("2001:db8::1"), from("2001:db8::2"));
        assert_eq!(from("2001:db8::3").limit(), Some(ConnectionLimit::Network));
        let _third = from("10.0.0.1");
        let _fourth = slots.admit(None, &handle());
        assert_eq!(from("10.0.0.2").limit(), Some(ConnectionLimit::Total));
        assert_eq!(slots.admit(None, &handle()).limit(), Some(ConnectionLimit::Total));
        drop(first);
        assert_eq!(from("2001:db8::3").limit(), None);
    }

    #[test]
    fn a_websocket_leaves_the_share_and_stays_a_connection() {
        let slots = ConnectionSlots::new(2, 1);
        let from = |address: &str| slots.admit(Some(address.parse().unwrap()), &handle());
        let socket = from("10.0.0.1");
        socket.leave_network();
        socket.leave_network();
        let _page = from("10.0.0.1");
        assert_eq!(from("10.0.0.2").limit(), Some(ConnectionLimit::Total));
        drop(socket);
        assert_eq!(from("10.0.0.2").limit(), None);
    }

    #[tokio::test]
    async fn the_reserve_closes_its_oldest_and_nothing_is_left_behind() {
        let slots = ConnectionSlots::new(0, 1);
        let address = Some("10.0.0.1".parse().unwrap());
        let handles: Vec<_> = (0..=RESERVE_MAX).map(|_| handle()).collect();
        let held: Vec<_> = handles.iter().map(|handle| slots.admit(address, handle)).collect();
        let closed = handles.iter().map(|handle| handle.command() == ConnectionCommand::Close);
        assert_eq!(closed.collect::<Vec<_>>(), [vec![true], vec![false; RESERVE_MAX]].concat());
        drop(held);
        slots.wait_until_empty().await;
        let counts = slots.lock();
        assert_eq!((counts.all, counts.open, counts.networks.len()), (0, 0, 0));
    }
}
