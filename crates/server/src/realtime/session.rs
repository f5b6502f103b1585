//! The session of a socket, and request budgets. It never sends anything, and it keeps no token.

use crate::auth::Session;
use crate::auth::tokens::AccessTokens;
use crate::shop::live_updates::Subscription;
use sale::{BuyerId, Timestamp};
use std::sync::{Mutex, PoisonError};

/// Requests that a socket may make at once, then per second. A page makes three when it opens.
const BURST: i64 = 20;
const PER_SECOND: i64 = 2;
/// Consecutive requests that are answered with `rate_limited` before the socket is disconnected.
const REFUSED_MAX: u32 = 200;

pub struct SocketSession {
    /// Before any snapshot of the buyer is loaded.
    pub connected_at: Timestamp,
    session: Option<Session>,
    /// Whether the client wants to be sent how the buyer moves forward in line, and not only the turn.
    pub wants_positions: bool,
    budget: RequestBudget,
    _subscription: Option<Subscription>,
}

/// How many requests a socket may make.
pub struct RequestBudget {
    /// Requests at once.
    burst: i64,
    per_second: i64,
    spent: Mutex<SpentBudget>,
}

struct SpentBudget {
    /// Thousandths of a request.
    milli_requests: i64,
    at: Timestamp,
    /// Consecutive refused requests.
    refused: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    Granted,
    /// Over the budget.
    RateLimited,
    /// Far over the budget.
    Disconnect,
}

impl SocketSession {
    /// `signed_in` is the session of a verified token.
    pub fn new(signed_in: Option<(Session, Subscription)>, now: Timestamp) -> Self {
        let (session, subscription) = signed_in.unzip();
        let budget = RequestBudget::new(BURST, PER_SECOND, now);
        Self { connected_at: now, session, wants_positions: true, budget, _subscription: subscription }
    }

    /// The same for a client that reads the positions from the line's feed.
    pub fn without_positions(self) -> Self {
        Self { wants_positions: false, ..self }
    }

    pub fn buyer(&self) -> Option<BuyerId> {
        self.session.map(|session| session.buyer)
    }

    /// Whether the token has expired, or its session was revoked. False without a token.
    pub fn has_ended(&self, tokens: &AccessTokens, now: Timestamp) -> bool {
        self.session.is_some_and(|session| tokens.check_session(&session, now).is_err())
    }

    pub fn spend_request(&self, now: Timestamp) -> Permission {
        self.budget.spend_request(now)
    }
}

impl RequestBudget {
    /// So many requests at once, then so many a second.
    pub fn new(burst: i64, per_second: i64, now: Timestamp) -> Self {
        let spent = Mutex::new(SpentBudget { milli_requests: burst * 1000, at: now, refused: 0 });
        Self { burst, per_second, spent }
    }

    pub fn spend_request(&self, now: Timestamp) -> Permission {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        // One request a second is a thousandth of a request a millisecond.
        let gained = now.ms_since(spent.at).clamp(0, 3_600_000) * self.per_second;
        spent.milli_requests = (spent.milli_requests + gained).min(self.burst * 1000);
        spent.at = now;
        if spent.milli_requests >= 1000 {
            spent.milli_requests -= 1000;
            spent.refused = 0;
            return Permission::Granted;
        }
        spent.refused += 1;
        if spent.refused > REFUSED_MAX { Permission::Disconnect } else { Permission::RateLimited }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_make_a_few_requests_at_once_and_a_flood_is_disconnected() {
        let session = SocketSession::new(None, Timestamp(0));
        let all = |n: u32, at: i64| (0..n).map(|_| session.spend_request(Timestamp(at))).collect::<Vec<_>>();
        assert!(all(20, 0).iter().all(|permission| *permission == Permission::Granted));
        assert!(all(REFUSED_MAX, 0).iter().all(|permission| *permission == Permission::RateLimited));
        assert_eq!(all(1, 0), [Permission::Disconnect]);
        assert_eq!(all(3, 1_000), [Permission::Granted, Permission::Granted, Permission::RateLimited]);
    }
}
