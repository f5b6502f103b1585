//! What all buyers of a rehearsal share: the instance, the sale, the clock, and the books of what they were told.

use crate::client::{Client, Turn};
use crate::meter::Meter;
use crate::report::Count;
use crate::told::{Account, Moment};
use crate::watch::Stopwatch;
use bytes::Bytes;
use hyper::header::HeaderValue;
use sale::{BuyerId, SaleId};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// What buyers share.
pub struct Scene {
    /// The way to the instance.
    pub client: Client,
    /// The sale.
    pub sale: Sale,
    /// The time.
    pub watch: Stopwatch,
    /// When the sale starts.
    pub start: Moment,
    /// What is measured.
    pub meter: Meter,
    /// How it ended for people.
    pub outcomes: Outcomes,
    /// How long one of them waits in all.
    pub patience: Duration,
    /// True once the rehearsal is over: everyone who is still there goes home.
    over: watch::Sender<bool>,
    accounts: Vec<Mutex<Account>>,
    /// Each account's `Authorization`.
    tokens: Vec<HeaderValue>,
}

/// The sale, as requests name it.
pub struct Sale {
    /// Its id.
    pub id: SaleId,
    /// The pace of its line, if it has one.
    pub admissions_per_s: Option<u32>,
    /// Seconds that a hold lasts.
    pub hold_s: u32,
    /// `/api/v1/flash-sales/{id}`.
    pub path: String,
    /// The path that asks for a place in its line.
    pub position_path: String,
    /// The path that gives a place up.
    pub leave_path: String,
    /// The body that joins its line.
    pub join_body: Bytes,
}

impl Sale {
    /// The sale with this id.
    #[must_use]
    pub fn new(id: SaleId, admissions_per_s: Option<u32>, hold_s: u32) -> Self {
        Self {
            id,
            admissions_per_s,
            hold_s,
            path: format!("/api/v1/flash-sales/{id}"),
            position_path: format!("/api/v1/queue/position?flashSaleId={id}"),
            leave_path: format!("/api/v1/queue/leave?flashSaleId={id}"),
            join_body: format!(r#"{{"flashSaleId":"{id}"}}"#).into(),
        }
    }
}

/// A buyer's account: who, and what a request says to prove it.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Who.
    pub buyer: BuyerId,
    /// An access token.
    pub token: String,
}

impl Scene {
    /// A scene for these accounts.
    #[must_use]
    pub fn new(
        (client, sale): (Client, Sale),
        (watch, start, patience): (Stopwatch, Moment, Duration),
        credentials: Vec<Credentials>,
    ) -> Self {
        let bearer = |token: &str| {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .unwrap_or_else(|_| HeaderValue::from_static("Bearer"));
            value.set_sensitive(true);
            value
        };
        Self {
            client,
            sale,
            watch,
            start,
            patience,
            over: watch::Sender::new(false),
            meter: Meter::default(),
            outcomes: Outcomes::default(),
            tokens: credentials.iter().map(|credentials| bearer(&credentials.token)).collect(),
            accounts: credentials
                .into_iter()
                .map(|credentials| Mutex::new(Account::new(credentials.buyer)))
                .collect(),
        }
    }

    /// What an account was told.
    pub fn with_account<T>(&self, account: u32, work: impl FnOnce(&mut Account) -> T) -> T {
        work(&mut self.accounts[account as usize].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What an account proves itself with.
    pub fn token(&self, account: u32) -> HeaderValue {
        self.tokens[account as usize].clone()
    }

    /// Everything that everyone was told.
    #[must_use]
    pub fn told(&self) -> Vec<Account> {
        self.accounts
            .iter()
            .map(|account| account.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .collect()
    }

    /// The rehearsal is over: whoever waits goes home.
    pub fn send_home(&self) {
        self.over.send_replace(true);
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Waits for a connection; nothing when the rehearsal is cut short before.
    pub async fn turn(&self) -> Option<Turn<'_>> {
        let mut over = self.over.subscribe();
        tokio::select! {
            biased;
            turn = self.client.turn() => Some(turn),
            _ = over.wait_for(|over| *over) => None,
        }
    }

    /// Waits until a moment; false when the rehearsal is cut short before.
    pub async fn until(&self, moment: Moment) -> bool {
        let mut over = self.over.subscribe();
        tokio::select! {
            biased;
            () = self.watch.until(moment) => true,
            _ = over.wait_for(|over| *over) => false,
        }
    }
}

/// How it ended for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Has a unit.
    Bought,
    /// Was told that everything is sold.
    SoldOut,
    /// Paid with a card that was declined.
    Declined,
    /// Had a hold and let it go.
    LetGo,
    /// Paid when the hold was over, and was refused.
    TooLate,
    /// Gave the order or the place back.
    GaveBack,
    /// Has as many units as one may have; another tab or hand was faster.
    LimitReached,
    /// Was refused for another reason.
    TurnedAway,
    /// Waited long enough.
    LostPatience,
    /// Does not know: no reply came to the end.
    NoReply,
    /// Was sent home when the rehearsal was cut short.
    SentHome,
}

const OUTCOMES: [(Outcome, &str); 11] = [
    (Outcome::Bought, "bought"),
    (Outcome::SoldOut, "told sold out"),
    (Outcome::Declined, "card declined"),
    (Outcome::LetGo, "let the hold run out"),
    (Outcome::TooLate, "paid too late"),
    (Outcome::GaveBack, "gave it back"),
    (Outcome::LimitReached, "limit reached"),
    (Outcome::TurnedAway, "turned away"),
    (Outcome::LostPatience, "lost patience"),
    (Outcome::NoReply, "got no reply"),
    (Outcome::SentHome, "sent home"),
];

/// People who have come, and how it ended for them.
#[derive(Debug, Default)]
pub struct Outcomes {
    arrived: AtomicU64,
    ended: [AtomicU64; OUTCOMES.len()],
}

impl Outcomes {
    /// Someone pressed the button.
    pub fn arrive(&self) {
        self.arrived.fetch_add(1, Ordering::Relaxed);
    }

    /// Someone is done.
    pub fn end(&self, outcome: Outcome) {
        self.ended[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Whoever of so many people is not done is sent home.
    pub fn send_home_rest_of(&self, people: u64) {
        let still_there = people.saturating_sub(self.gone());
        self.ended[Outcome::SentHome as usize].fetch_add(still_there, Ordering::Relaxed);
    }

    /// People who have come so far.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    /// People who are done.
    #[must_use]
    pub fn gone(&self) -> u64 {
        self.ended.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// People by how it ended; only what happened.
    #[must_use]
    pub fn counts(&self) -> Vec<Count> {
        let counts = OUTCOMES.iter().map(|(outcome, name)| Count {
            name: (*name).to_owned(),
            count: self.ended[*outcome as usize].load(Ordering::Relaxed),
        });
        counts.filter(|count| count.count > 0).collect()
    }
}
