//! Sessions that were revoked before their access tokens expire. Bounded, and without cost while there are none.
//! It never forgets a session whose tokens could still be valid, unless there are more than [`REVOKED_MAX`].

use sale::time::Timestamp;
use std::collections::HashMap;
use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;

/// Sessions remembered at most, some 50 bytes each. More logouts than this within a token's life is an attack on the
/// login; the oldest are removed first, and their tokens stay valid until they expire.
pub const REVOKED_MAX: u32 = 1_000_000;

/// The revoked sessions, each until the last of its access tokens has expired.
#[derive(Debug, Default)]
pub struct RevokedSessions {
    len: AtomicUsize,
    until: RwLock<HashMap<Uuid, Timestamp>>,
}

impl RevokedSessions {
    /// Revokes `session`; after `until` no token of it can be valid.
    pub fn insert(&self, session: Uuid, until: Timestamp, now: Timestamp) {
        let mut sessions = self.until.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if sessions.len() >= REVOKED_MAX as usize {
            forget_oldest(&mut sessions, now);
        }
        sessions.insert(session, until);
        self.len.store(sessions.len(), Ordering::Release);
    }

    #[must_use]
    pub fn contains(&self, session: Uuid) -> bool {
        self.len.load(Ordering::Acquire) > 0
            && self.until.read().unwrap_or_else(std::sync::PoisonError::into_inner).contains_key(&session)
    }

    /// Forgets sessions whose tokens have all expired.
    pub fn forget_expired(&self, now: Timestamp) {
        let mut sessions = self.until.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        sessions.retain(|_, until| *until > now);
        self.len.store(sessions.len(), Ordering::Release);
    }
}

/// Removes the expired sessions, or else the oldest tenth at once, so that a full set does not need a scan for each logout.
fn forget_oldest(sessions: &mut HashMap<Uuid, Timestamp>, now: Timestamp) {
    let mut ends: Vec<Timestamp> = sessions.values().copied().collect();
    let tenth = ends.len() / 10;
    let (_, cutoff, _) = ends.select_nth_unstable(tenth);
    let cutoff = now.max(*cutoff);
    sessions.retain(|_, until| *until > cutoff);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revoked_session_is_remembered_until_its_tokens_have_expired() {
        let revoked = RevokedSessions::default();
        let session = Uuid::from_u128(7);
        assert!(!revoked.contains(session));
        revoked.insert(session, Timestamp(100), Timestamp(0));
        assert!(revoked.contains(session));
        revoked.forget_expired(Timestamp(99));
        assert!(revoked.contains(session));
        revoked.forget_expired(Timestamp(100));
        assert!(!revoked.contains(session));
    }
}
