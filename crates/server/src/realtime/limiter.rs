//! Limits the number of sockets: in total, of one buyer, from one client's network. A [`SocketPermit`] counts until it is dropped, when the
//! connection ends; leaving the namespace does not free it. It never reads a token.

use super::SocketSettings;
use crate::client_network::ClientNetwork;
use sale::BuyerId;
use socketioxide::extract::SocketRef;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone)]
pub struct ConnectionLimiter(Arc<LimiterState>);

struct LimiterState {
    settings: SocketSettings,
    counts: Mutex<SocketCounts>,
}

#[derive(Default)]
struct SocketCounts {
    all: u32,
    buyers: HashMap<BuyerId, u32>,
    networks: HashMap<ClientNetwork, u32>,
}

/// The limit that a socket would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapacityReached {
    Total,
    /// With the limit.
    Buyer(u32),
    /// With the limit.
    Address(u32),
}

impl CapacityReached {
    /// The code in metrics and in the `connect_error`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Total => "overloaded",
            Self::Buyer(_) => "too_many_tabs",
            Self::Address(_) => "too_many_sockets",
        }
    }
}

impl std::fmt::Display for CapacityReached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Total => {
                f.write_str("overloaded: too many people are watching at once; try again in a moment")
            }
            Self::Buyer(max) => write!(
                f,
                "too_many_tabs: you have {max} pages of this shop open already; close some of them, your place is kept"
            ),
            Self::Address(max) => write!(
                f,
                "too_many_sockets: {max} pages of this shop are open at your address already; try again later"
            ),
        }
    }
}

/// The client of a connection, and its permit. It lives as long as the connection, or, with long polling, as long as the state
/// that Engine.IO keeps between two requests.
#[derive(Clone)]
pub struct SocketPeer {
    address: IpAddr,
    permit: Arc<Mutex<Option<SocketPermit>>>,
}

impl From<IpAddr> for SocketPeer {
    fn from(address: IpAddr) -> Self {
        Self { address, permit: Arc::default() }
    }
}

impl SocketPeer {
    /// Acquires a permit, and releases the previous one.
    pub fn acquire_permit(
        &self,
        limiter: &ConnectionLimiter,
        buyer: Option<BuyerId>,
    ) -> Result<(), CapacityReached> {
        let permit = limiter.acquire_permit(buyer, self.address.into())?;
        let previous = self.permit.lock().unwrap_or_else(PoisonError::into_inner).replace(permit);
        // Dropping it locks the limiter, so it happens after the permit is unlocked.
        drop(previous);
        Ok(())
    }

    /// Acquires a permit without a buyer, unless the connection has one.
    pub fn require_permit(&self, limiter: &ConnectionLimiter) -> Result<(), CapacityReached> {
        let has_permit = self.permit.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if has_permit { Ok(()) } else { self.acquire_permit(limiter, None) }
    }

    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The buyer of the permit; `None` before the handshake, and of a socket without an account.
    #[must_use]
    pub fn buyer(&self) -> Option<BuyerId> {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|permit| permit.buyer)
    }
}

/// The client of a socket, which the HTTP edge has put into the request that opened the connection.
pub fn socket_peer(socket: &SocketRef) -> SocketPeer {
    let peer = socket.req_parts().extensions.get::<SocketPeer>().cloned();
    peer.unwrap_or_else(|| SocketPeer::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}

struct SocketPermit {
    limiter: ConnectionLimiter,
    buyer: Option<BuyerId>,
    network: ClientNetwork,
}

impl ConnectionLimiter {
    pub fn new(settings: SocketSettings) -> Self {
        Self(Arc::new(LimiterState { settings, counts: Mutex::default() }))
    }

    fn acquire_permit(
        &self,
        buyer: Option<BuyerId>,
        network: ClientNetwork,
    ) -> Result<SocketPermit, CapacityReached> {
        let SocketSettings { sockets_max, buyer_max, address_max, .. } = self.0.settings;
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.all >= sockets_max {
            return Err(CapacityReached::Total);
        }
        if buyer.is_some_and(|buyer| counts.buyers.get(&buyer).is_some_and(|n| *n >= buyer_max)) {
            return Err(CapacityReached::Buyer(buyer_max));
        }
        if counts.networks.get(&network).is_some_and(|n| *n >= address_max) {
            return Err(CapacityReached::Address(address_max));
        }
        counts.all += 1;
        *counts.networks.entry(network).or_default() += 1;
        if let Some(buyer) = buyer {
            *counts.buyers.entry(buyer).or_default() += 1;
        }
        Ok(SocketPermit { limiter: self.clone(), buyer, network })
    }
}

impl Drop for SocketPermit {
    fn drop(&mut self) {
        let mut counts = self.limiter.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        decrement_count(&mut counts.networks, &self.network);
        if let Some(buyer) = self.buyer {
            decrement_count(&mut counts.buyers, &buyer);
        }
    }
}

fn decrement_count<K: Hash + Eq>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use uuid::Uuid;

    fn limiter() -> ConnectionLimiter {
        let (ping_interval, ping_timeout) = (Duration::from_secs(25), Duration::from_secs(20));
        ConnectionLimiter::new(SocketSettings {
            sockets_max: 4,
            buyer_max: 2,
            address_max: 3,
            ping_interval,
            ping_timeout,
        })
    }

    fn network(address: &str) -> ClientNetwork {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn each_limit_holds_and_a_place_that_is_left_is_free() {
        let (limiter, ada) = (limiter(), Some(BuyerId(Uuid::from_u128(1))));
        // Two addresses of one customer, and another customer.
        let [home, hall, office] = ["2001:db8::1", "2001:db8::2", "10.0.0.2"].map(network);
        let first = limiter.acquire_permit(ada, home).ok().unwrap();
        let _second = limiter.acquire_permit(ada, home).ok().unwrap();
        assert_eq!(limiter.acquire_permit(ada, office).err(), Some(CapacityReached::Buyer(2)));
        let _third = limiter.acquire_permit(None, hall).ok().unwrap();
        assert_eq!(limiter.acquire_permit(None, home).err(), Some(CapacityReached::Address(3)));
        let _fourth = limiter.acquire_permit(None, office).ok().unwrap();
        assert_eq!(limiter.acquire_permit(None, office).err(), Some(CapacityReached::Total));
        drop(first);
        let _fifth = limiter.acquire_permit(ada, home).ok().unwrap();
    }

    #[test]
    fn a_second_handshake_on_a_connection_has_one_permit() {
        let (limiter, ada) = (limiter(), Some(BuyerId(Uuid::from_u128(1))));
        let peer = SocketPeer::from(IpAddr::from([10, 0, 0, 1]));
        for buyer in [None, ada, None, ada] {
            peer.acquire_permit(&limiter, buyer).unwrap();
            assert_eq!(limiter.0.counts.lock().unwrap().all, 1);
        }
        drop(peer);
        assert_eq!(limiter.0.counts.lock().unwrap().all, 0);
    }

    #[test]
    fn a_dropped_permit_leaves_nothing_behind() {
        let limiter = limiter();
        drop(limiter.acquire_permit(Some(BuyerId(Uuid::from_u128(1))), network("10.0.0.1")).ok().unwrap());
        let counts = limiter.0.counts.lock().unwrap();
        assert_eq!((counts.all, counts.buyers.len(), counts.networks.len()), (0, 0, 0));
    }
}
