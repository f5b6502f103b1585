//! Whom a socket belongs to, and how much it may still ask. It never sends anything, and it keeps no token.

use crate::auth::Session;
use crate::auth::tokens::AccessTokens;
use crate::shop::live_updates::Subscription;
use sale::{BuyerId, Timestamp};
use std::sync::{Mutex, PoisonError};

/// Requests that a socket may make at once, and then a second. A page makes three when it opens.
const BURST: i64 = 20;
const PER_SECOND: i64 = 2;
/// Requests beyond that, one after the other, each answered with `rate_limited`: who still goes on does not listen.
const REFUSED_MAX: u32 = 200;

/// The one behind a socket.
pub struct SocketSession {
    /// Since when it is in: how things stand is asked after that.
    pub connected_at: Timestamp,
    session: Option<Session>,
    budget: Mutex<RequestBudget>,
    _subscription: Option<Subscription>,
}

struct RequestBudget {
    /// Thousandths of a request.
    milli_requests: i64,
    at: Timestamp,
    /// Requests refused since the last one that was not.
    refused: u32,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    Granted,
    /// It is one too many, and told so.
    RateLimited,
    /// It is one of far too many: whoever sends them is shown out.
    Disconnect,
}

impl SocketSession {
    /// A guest whose token, if there is one, has been checked and says this.
    pub fn new(signed_in: Option<(Session, Subscription)>, now: Timestamp) -> Self {
        let (session, seat) = signed_in.unzip();
        let budget = Mutex::new(RequestBudget { milli_requests: BURST * 1000, at: now, refused: 0 });
        Self { connected_at: now, session, budget, _subscription: seat }
    }

    /// Who it is, for those who have signed in.
    pub fn buyer(&self) -> Option<BuyerId> {
        self.session.map(|session| session.buyer)
    }

    /// Whether the token it came with is no longer good: it has expired, or its session was ended.
    pub fn has_ended(&self, tokens: &AccessTokens, now: Timestamp) -> bool {
        self.session.is_some_and(|session| tokens.check_session(&session, now).is_err())
    }

    /// Takes one request from what it may make.
    pub fn spend_request(&self, now: Timestamp) -> Permission {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        // A thousandth of a request a millisecond for each request a second.
        let gained = now.ms_since(budget.at).clamp(0, 3_600_000) * PER_SECOND;
        budget.milli_requests = (budget.milli_requests + gained).min(BURST * 1000);
        budget.at = now;
        if budget.milli_requests >= 1000 {
            budget.milli_requests -= 1000;
            budget.refused = 0;
            return Permission::Granted;
        }
        budget.refused += 1;
        if budget.refused > REFUSED_MAX { Permission::Disconnect } else { Permission::RateLimited }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_ask_a_few_things_at_once_and_who_floods_is_shown_out() {
        let guest = SocketSession::new(None, Timestamp(0));
        let all = |n: u32, at: i64| (0..n).map(|_| guest.spend_request(Timestamp(at))).collect::<Vec<_>>();
        assert!(all(20, 0).iter().all(|may| *may == Permission::Granted));
        assert!(all(REFUSED_MAX, 0).iter().all(|may| *may == Permission::RateLimited));
        assert_eq!(all(1, 0), [Permission::Disconnect]);
        assert_eq!(all(3, 1_000), [Permission::Granted, Permission::Granted, Permission::RateLimited]);
    }
}
