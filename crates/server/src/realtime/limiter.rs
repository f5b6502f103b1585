//! How many sockets there may be: of all, of one buyer, from one address. A place is free again when its [`Pass`] is dropped,
//! which is when its connection ends: who leaves the namespace but keeps the connection keeps the place. It never looks at a
//! token.

use super::SocketSettings;
use sale::BuyerId;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts who is in.
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
    addresses: HashMap<IpAddr, u32>,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapacityReached {
    /// The house is full.
    Total,
    /// The buyer has enough tabs.
    Buyer(u32),
    /// The address has enough sockets.
    Address(u32),
}

impl CapacityReached {
    /// The reason as metrics and clients are told it.
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

/// One who comes from this address, and their place once they have one. It lives as long as the connection, or, with long
/// polling, as long as what Engine.IO keeps between two requests.
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
    /// Gives them a place, in exchange for the one they had.
    pub fn acquire_permit(
        &self,
        gate: &ConnectionLimiter,
        buyer: Option<BuyerId>,
    ) -> Result<(), CapacityReached> {
        let pass = gate.acquire_permit(buyer, self.address)?;
        let former = self.permit.lock().unwrap_or_else(PoisonError::into_inner).replace(pass);
        // It locks the gate, so not while the place is locked.
        drop(former);
        Ok(())
    }
}

struct SocketPermit {
    limiter: ConnectionLimiter,
    buyer: Option<BuyerId>,
    address: IpAddr,
}

impl ConnectionLimiter {
    pub fn new(settings: SocketSettings) -> Self {
        Self(Arc::new(LimiterState { settings, counts: Mutex::default() }))
    }

    /// Lets somebody in, or says why not.
    fn acquire_permit(
        &self,
        buyer: Option<BuyerId>,
        address: IpAddr,
    ) -> Result<SocketPermit, CapacityReached> {
        let SocketSettings { sockets_max, buyer_max, address_max, .. } = self.0.settings;
        let mut crowd = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if crowd.all >= sockets_max {
            return Err(CapacityReached::Total);
        }
        if buyer.is_some_and(|buyer| crowd.buyers.get(&buyer).is_some_and(|n| *n >= buyer_max)) {
            return Err(CapacityReached::Buyer(buyer_max));
        }
        if crowd.addresses.get(&address).is_some_and(|n| *n >= address_max) {
            return Err(CapacityReached::Address(address_max));
        }
        crowd.all += 1;
        *crowd.addresses.entry(address).or_default() += 1;
        if let Some(buyer) = buyer {
            *crowd.buyers.entry(buyer).or_default() += 1;
        }
        Ok(SocketPermit { limiter: self.clone(), buyer, address })
    }
}

impl Drop for SocketPermit {
    fn drop(&mut self) {
        let mut crowd = self.limiter.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        crowd.all -= 1;
        decrement_count(&mut crowd.addresses, &self.address);
        if let Some(buyer) = self.buyer {
            decrement_count(&mut crowd.buyers, &buyer);
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

    fn gate() -> ConnectionLimiter {
        let (ping_interval, ping_timeout) = (Duration::from_secs(25), Duration::from_secs(20));
        ConnectionLimiter::new(SocketSettings {
            sockets_max: 4,
            buyer_max: 2,
            address_max: 3,
            ping_interval,
            ping_timeout,
        })
    }

    #[test]
    fn each_limit_holds_and_a_place_that_is_left_is_free() {
        let (gate, ada) = (gate(), Some(BuyerId(Uuid::from_u128(1))));
        let [home, office]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let first = gate.acquire_permit(ada, home).ok().unwrap();
        let _second = gate.acquire_permit(ada, home).ok().unwrap();
        assert_eq!(gate.acquire_permit(ada, office).err(), Some(CapacityReached::Buyer(2)));
        let _third = gate.acquire_permit(None, home).ok().unwrap();
        assert_eq!(gate.acquire_permit(None, home).err(), Some(CapacityReached::Address(3)));
        let _fourth = gate.acquire_permit(None, office).ok().unwrap();
        assert_eq!(gate.acquire_permit(None, office).err(), Some(CapacityReached::Total));
        drop(first);
        let _fifth = gate.acquire_permit(ada, home).ok().unwrap();
    }

    #[test]
    fn who_comes_again_over_the_same_connection_has_one_place() {
        let (gate, ada) = (gate(), Some(BuyerId(Uuid::from_u128(1))));
        let visitor = SocketPeer::from(IpAddr::from([10, 0, 0, 1]));
        for buyer in [None, ada, None, ada] {
            visitor.acquire_permit(&gate, buyer).unwrap();
            assert_eq!(gate.0.counts.lock().unwrap().all, 1);
        }
        drop(visitor);
        assert_eq!(gate.0.counts.lock().unwrap().all, 0);
    }

    #[test]
    fn nobody_is_remembered_who_has_left() {
        let gate = gate();
        drop(gate.acquire_permit(Some(BuyerId(Uuid::from_u128(1))), [10, 0, 0, 1].into()).ok().unwrap());
        let crowd = gate.0.counts.lock().unwrap();
        assert_eq!((crowd.all, crowd.buyers.len(), crowd.addresses.len()), (0, 0, 0));
    }
}
