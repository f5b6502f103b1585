//! The ids that clients have for their Engine.IO sessions. Each is random and secret, leads to the id that the service knows, and is
//! valid only from the network that opened the session. An id ends with its session; it is never logged.

use crate::client_network::ClientNetwork;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sale::BuyerId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Characters of an id of Engine.IO: 96 bits in base64.
pub const ID_LEN: usize = 16;

/// The id of a session: the client's or the service's. It has no `Debug`, so that it cannot be logged by accident.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; ID_LEN]);

impl SessionId {
    /// An id that nobody can guess.
    ///
    /// # Panics
    /// When the system has no random numbers.
    #[must_use]
    pub fn random() -> Self {
        let mut bits = [0; ID_LEN / 4 * 3];
        getrandom::fill(&mut bits).expect("the system has random numbers");
        let mut text = [0; ID_LEN];
        let written = URL_SAFE_NO_PAD.encode_slice(bits, &mut text);
        debug_assert_eq!(written, Ok(ID_LEN));
        Self(text)
    }

    /// `None` when the text is no id.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let id: [u8; ID_LEN] = text.try_into().ok()?;
        id.iter().all(is_valid).then_some(Self(id))
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8; ID_LEN] {
        &self.0
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The sessions of this process that were opened by polling. A WebSocket needs no row: no second request belongs to it.
#[derive(Default)]
pub struct SessionIds(Mutex<HashMap<SessionId, SessionRow>>);

struct SessionRow {
    engine_id: SessionId,
    network: ClientNetwork,
    buyer: Arc<BuyerLookup>,
}

type BuyerLookup = dyn Fn() -> Option<BuyerId> + Send + Sync;

/// A session that a request belongs to.
pub struct EngineSession {
    engine_id: SessionId,
    buyer: Arc<BuyerLookup>,
}

impl EngineSession {
    /// The id that the service knows.
    #[must_use]
    pub fn engine_id(&self) -> SessionId {
        self.engine_id
    }

    #[must_use]
    pub fn buyer(&self) -> Option<BuyerId> {
        (self.buyer)()
    }
}

impl SessionIds {
    /// The session of a client's id; `None` when there is none, and for a client in another network.
    #[must_use]
    pub fn find(&self, id: &str, network: ClientNetwork) -> Option<EngineSession> {
        let id = SessionId::parse(id.as_bytes())?;
        let rows = self.lock();
        let row = rows.get(&id).filter(|row| row.network == network)?;
        Some(EngineSession { engine_id: row.engine_id, buyer: Arc::clone(&row.buyer) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, SessionRow>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the row of a session until the service forgets the session: it is in the extensions of the request that opened it.
pub struct SessionGuard {
    sessions: Arc<SessionIds>,
    network: ClientNetwork,
    buyer: Arc<BuyerLookup>,
    id: OnceLock<SessionId>,
}

impl SessionGuard {
    pub fn new(
        sessions: Arc<SessionIds>,
        network: ClientNetwork,
        buyer: impl Fn() -> Option<BuyerId> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { sessions, network, buyer: Arc::new(buyer), id: OnceLock::new() })
    }

    /// Adds the row. A guard has one session.
    pub fn register(&self, id: SessionId, engine_id: SessionId) {
        if self.id.set(id).is_ok() {
            let row = SessionRow { engine_id, network: self.network, buyer: Arc::clone(&self.buyer) };
            self.sessions.lock().insert(id, row);
        }
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        let row = self.id.get().and_then(|id| self.sessions.lock().remove(id));
        // Dropping it may lock other things, so it happens after the table is unlocked.
        drop(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn network(address: &str) -> ClientNetwork {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn an_id_is_valid_in_its_network_while_its_session_lives() {
        let sessions = Arc::new(SessionIds::default());
        let guard = SessionGuard::new(Arc::clone(&sessions), network("2001:db8::1"), || None);
        let (id, engine_id) = (SessionId::random(), SessionId::random());
        guard.register(id, engine_id);
        let found =
            |text: &str, from: &str| sessions.find(text, network(from)).map(|session| session.engine_id());
        assert!(found(id.as_str(), "2001:db8::1").is_some_and(|found| found == engine_id));
        assert!(found(id.as_str(), "2001:db8::ffff").is_some_and(|found| found == engine_id));
        assert!(found(id.as_str(), "2001:db8:0:1::1").is_none(), "another network");
        assert!(found(engine_id.as_str(), "2001:db8::1").is_none(), "the public id opens nothing");
        for bad in ["", "short", "sixteen.letters.", "ÄÄÄÄÄÄÄÄ"] {
            assert!(found(bad, "2001:db8::1").is_none(), "{bad}");
        }
        drop(guard);
        assert!(found(id.as_str(), "2001:db8::1").is_none());
        assert!(sessions.lock().is_empty());
    }

    #[test]
    fn ids_differ_and_have_the_letters_of_engine_io() {
        let (one, other) = (SessionId::random(), SessionId::random());
        assert!(one != other);
        assert!(SessionId::parse(one.as_bytes()).is_some_and(|parsed| parsed == one));
    }
}
