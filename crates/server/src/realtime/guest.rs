//! Whom a socket belongs to, and how much it may still ask. It never sends anything, and it keeps no token.

use crate::auth::Session;
use crate::auth::tokens::Tokens;
use crate::shop::live::Seat;
use sale::{BuyerId, Timestamp};
use std::sync::{Mutex, PoisonError};

/// Requests that a socket may make at once, and then a second. A page makes three when it opens.
const BURST: i64 = 20;
const PER_SECOND: i64 = 2;
/// Requests beyond that, one after the other, each answered with `rate_limited`: who still goes on does not listen.
const REFUSED_MAX: u32 = 200;

/// The one behind a socket.
pub struct Guest {
    /// Since when it is in: how things stand is asked after that.
    pub came_at: Timestamp,
    session: Option<Session>,
    budget: Mutex<Budget>,
    _seat: Option<Seat>,
}

struct Budget {
    /// Thousandths of a request.
    left: i64,
    at: Timestamp,
    /// Requests refused since the last one that was not.
    refused: u32,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// It is answered.
    Ask,
    /// It is one too many, and told so.
    Wait,
    /// It is one of far too many: whoever sends them is shown out.
    Go,
}

impl Guest {
    /// A guest whose token, if there is one, has been checked and says this.
    pub fn new(signed_in: Option<(Session, Seat)>, now: Timestamp) -> Self {
        let (session, seat) = signed_in.unzip();
        let budget = Mutex::new(Budget { left: BURST * 1000, at: now, refused: 0 });
        Self { came_at: now, session, budget, _seat: seat }
    }

    /// Who it is, for those who have signed in.
    pub fn buyer(&self) -> Option<BuyerId> {
        self.session.map(|session| session.buyer)
    }

    /// Whether the token it came with is no longer good: it has expired, or its session was ended.
    pub fn is_over(&self, tokens: &Tokens, now: Timestamp) -> bool {
        self.session.is_some_and(|session| tokens.check_session(&session, now).is_err())
    }

    /// Takes one request from what it may make.
    pub fn may_ask(&self, now: Timestamp) -> May {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        // A thousandth of a request a millisecond for each request a second.
        let gained = now.ms_since(budget.at).clamp(0, 3_600_000) * PER_SECOND;
        budget.left = (budget.left + gained).min(BURST * 1000);
        budget.at = now;
        if budget.left >= 1000 {
            budget.left -= 1000;
            budget.refused = 0;
            return May::Ask;
        }
        budget.refused += 1;
        if budget.refused > REFUSED_MAX { May::Go } else { May::Wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_ask_a_few_things_at_once_and_who_floods_is_shown_out() {
        let guest = Guest::new(None, Timestamp(0));
        let all = |n: u32, at: i64| (0..n).map(|_| guest.may_ask(Timestamp(at))).collect::<Vec<_>>();
        assert!(all(20, 0).iter().all(|may| *may == May::Ask));
        assert!(all(REFUSED_MAX, 0).iter().all(|may| *may == May::Wait));
        assert_eq!(all(1, 0), [May::Go]);
        assert_eq!(all(3, 1_000), [May::Ask, May::Ask, May::Wait]);
    }
}
