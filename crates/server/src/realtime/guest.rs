//! Whom a socket belongs to, and how much it may still ask. It never sends anything.

use super::gate::Pass;
use crate::auth::tokens::Tokens;
use crate::shop::live::Seat;
use sale::{BuyerId, Timestamp};
use std::sync::{Mutex, PoisonError};

/// Requests that a socket may make at once, and then a second. A page makes three when it opens.
const BURST: i64 = 20;
const PER_SECOND: i64 = 2;

/// The one behind a socket.
pub struct Guest {
    /// Who it is, for those who have signed in.
    pub buyer: Option<BuyerId>,
    token: Option<Box<str>>,
    budget: Mutex<Budget>,
    _pass: Pass,
    _seat: Option<Seat>,
}

struct Budget {
    /// Thousandths of a request.
    left: i64,
    at: Timestamp,
}

impl Guest {
    /// A guest with this token, which has been checked.
    pub fn new(signed_in: Option<(BuyerId, &str, Seat)>, pass: Pass, now: Timestamp) -> Self {
        let (buyer, token, seat) = match signed_in {
            Some((buyer, token, seat)) => (Some(buyer), Some(token.into()), Some(seat)),
            None => (None, None, None),
        };
        let budget = Mutex::new(Budget { left: BURST * 1000, at: now });
        Self { buyer, token, budget, _pass: pass, _seat: seat }
    }

    /// Whether the token it came with is no longer good: it has expired, or its session was ended.
    pub fn is_over(&self, tokens: &Tokens, now: Timestamp) -> bool {
        self.token.as_deref().is_some_and(|token| tokens.verify(token, now).is_err())
    }

    /// Takes one request from what it may make.
    pub fn may_ask(&self, now: Timestamp) -> bool {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        // A thousandth of a request a millisecond for each request a second.
        let gained = now.ms_since(budget.at).clamp(0, 3_600_000) * PER_SECOND;
        budget.left = (budget.left + gained).min(BURST * 1000);
        budget.at = now;
        let may = budget.left >= 1000;
        if may {
            budget.left -= 1000;
        }
        may
    }
}
