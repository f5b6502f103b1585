//! What all buyers of a rehearsal share: the instance, the sale, the clock, and the logs of their requests and replies.

use crate::client::{ConnectionPermit, InstanceClient};
use crate::clock::RunClock;
use crate::dialects::DialectSale;
use crate::estimates::EstimateLog;
use crate::metrics::RequestMetrics;
use crate::observations::{AccountLog, RunInstant};
use crate::report::NamedCount;
use bytes::Bytes;
use hyper::header::HeaderValue;
use sale::{AdmissionMode, BuyerId, SaleId};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

pub struct RunContext {
    /// The way to the instance.
    pub client: InstanceClient,
    pub sale: SaleEndpoints,
    /// The sale as the clients of a dialect name it, when they are the buyers.
    pub(crate) dialect: Option<DialectSale>,
    pub clock: RunClock,
    /// When the sale starts.
    pub start: RunInstant,
    /// How buyers watch their place in line.
    pub watch: WatchMode,
    /// Sockets that buyers may open at the same time; the others poll.
    pub socket_permits: Arc<Semaphore>,
    pub metrics: RequestMetrics,
    pub estimates: EstimateLog,
    /// How it ended for people.
    pub outcomes: OutcomeCounters,
    /// How long one of them waits in all.
    pub give_up_after: Duration,
    /// True once the rehearsal is over: every buyer who is still active stops.
    stopped: watch::Sender<bool>,
    accounts: Vec<Mutex<AccountLog>>,
    /// Each account's `Authorization`.
    tokens: Vec<HeaderValue>,
}

/// How buyers who wait in line watch their place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchMode {
    /// Each asks for it, seldom when far back.
    #[default]
    Poll,
    /// Each computes it from the line's feed, once a second.
    Feed,
    /// It is sent to each.
    Socket,
}

/// The sale, as requests name it.
pub struct SaleEndpoints {
    pub id: SaleId,
    /// The pace of its line, if it has one.
    pub admissions_per_s: Option<u32>,
    /// Seconds that a hold lasts.
    pub hold_s: u32,
    /// Seconds that an admission lasts, in a sale with a line.
    pub checkout_s: u32,
    /// `/api/v1/flash-sales/{id}`.
    pub path: String,
    /// The path of the buyer's place in line.
    pub position_path: String,
    /// The path of the line's feed.
    pub line_feed_path: String,
    /// The path that gives a place up.
    pub leave_path: String,
    /// The body that joins its line.
    pub join_body: Bytes,
}

impl SaleEndpoints {
    /// The sale with this id.
    #[must_use]
    pub fn new(id: SaleId, admission: AdmissionMode, hold_s: u32) -> Self {
        let (admissions_per_s, checkout_s) = match admission {
            AdmissionMode::Open => (None, 0),
            AdmissionMode::Fifo { per_second, checkout_s, .. } => (Some(per_second), checkout_s),
        };
        Self {
            id,
            admissions_per_s,
            hold_s,
            checkout_s,
            path: format!("/api/v1/flash-sales/{id}"),
            position_path: format!("/api/v1/queue/position?flashSaleId={id}"),
            line_feed_path: format!("/api/v1/flash-sales/{id}/line-feed"),
            leave_path: format!("/api/v1/queue/leave?flashSaleId={id}"),
            join_body: format!(r#"{{"flashSaleId":"{id}"}}"#).into(),
        }
    }
}

/// A buyer's account, with the header that authenticates its requests.
#[derive(Clone, Debug)]
pub struct BuyerCredentials {
    pub buyer: BuyerId,
    pub token: String,
}

impl RunContext {
    /// A context for these accounts.
    #[must_use]
    pub fn new(
        (client, sale): (InstanceClient, SaleEndpoints),
        (clock, start, give_up_after): (RunClock, RunInstant, Duration),
        credentials: Vec<BuyerCredentials>,
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
            dialect: None,
            clock,
            start,
            give_up_after,
            watch: WatchMode::default(),
            socket_permits: Arc::new(Semaphore::new(0)),
            stopped: watch::Sender::new(false),
            metrics: RequestMetrics::default(),
            estimates: EstimateLog::default(),
            outcomes: OutcomeCounters::default(),
            tokens: credentials.iter().map(|credentials| bearer(&credentials.token)).collect(),
            accounts: credentials
                .into_iter()
                .map(|credentials| Mutex::new(AccountLog::new(credentials.buyer)))
                .collect(),
        }
    }

    /// The same with buyers who make the calls of a dialect.
    #[must_use]
    pub(crate) fn with_dialect(self, dialect: Option<DialectSale>) -> Self {
        Self { dialect, ..self }
    }

    /// The same with buyers who watch their place in this way, over so many sockets at most.
    #[must_use]
    pub(crate) fn with_watch(self, watch: WatchMode, sockets: usize) -> Self {
        Self { watch, socket_permits: Arc::new(Semaphore::new(sockets)), ..self }
    }

    /// Gives access to the log of one account.
    pub fn with_account<T>(&self, account: u32, work: impl FnOnce(&mut AccountLog) -> T) -> T {
        work(&mut self.accounts[account as usize].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What an account proves itself with.
    pub fn authorization(&self, account: u32) -> HeaderValue {
        self.tokens[account as usize].clone()
    }

    /// The access token of an account.
    pub fn token(&self, account: u32) -> &str {
        let bearer = self.tokens[account as usize].to_str().unwrap_or_default();
        bearer.strip_prefix("Bearer ").unwrap_or_default()
    }

    /// The logs of all accounts.
    #[must_use]
    pub fn account_logs(&self) -> Vec<AccountLog> {
        self.accounts
            .iter()
            .map(|account| account.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .collect()
    }

    /// Ends the rehearsal: every buyer who waits stops.
    pub fn stop_buyers(&self) {
        self.stopped.send_replace(true);
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Waits for a connection; nothing when the rehearsal is cut short before.
    pub async fn acquire_connection(&self) -> Option<ConnectionPermit<'_>> {
        let mut over = self.stopped.subscribe();
        tokio::select! {
            biased;
            turn = self.client.acquire_connection() => Some(turn),
            _ = over.wait_for(|over| *over) => None,
        }
    }

    /// Waits until a moment; false when the rehearsal is cut short before.
    pub async fn wait_until(&self, moment: RunInstant) -> bool {
        let mut over = self.stopped.subscribe();
        tokio::select! {
            biased;
            () = self.clock.sleep_until(moment) => true,
            _ = over.wait_for(|over| *over) => false,
        }
    }
}

/// The outcome of one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuyerOutcome {
    /// Has a unit.
    Bought,
    /// Got the reply that everything is sold.
    SoldOut,
    /// Paid with a card that was declined.
    Declined,
    /// Had a hold and let it go.
    HoldExpired,
    /// Paid when the hold was over, and was refused.
    TooLate,
    /// Gave the order or the place back.
    GaveBack,
    /// Has as many units as one may have; another tab or hand was faster.
    LimitReached,
    /// Was refused for another reason.
    Refused,
    GaveUp,
    /// Got no reply until the end of the run.
    NoReply,
    /// Was stopped when the rehearsal was cut short.
    Stopped,
}

const OUTCOMES: [(BuyerOutcome, &str); 11] = [
    (BuyerOutcome::Bought, "bought"),
    (BuyerOutcome::SoldOut, "sold out"),
    (BuyerOutcome::Declined, "card declined"),
    (BuyerOutcome::HoldExpired, "let the hold run out"),
    (BuyerOutcome::TooLate, "paid too late"),
    (BuyerOutcome::GaveBack, "gave it back"),
    (BuyerOutcome::LimitReached, "limit reached"),
    (BuyerOutcome::Refused, "turned away"),
    (BuyerOutcome::GaveUp, "lost patience"),
    (BuyerOutcome::NoReply, "got no reply"),
    (BuyerOutcome::Stopped, "sent home"),
];

/// The number of people who have come, and their outcomes.
#[derive(Debug, Default)]
pub struct OutcomeCounters {
    arrived: AtomicU64,
    finished: [AtomicU64; OUTCOMES.len()],
}

impl OutcomeCounters {
    pub fn record_arrival(&self) {
        self.arrived.fetch_add(1, Ordering::Relaxed);
    }

    pub fn record_end(&self, outcome: BuyerOutcome) {
        self.finished[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts every person who has no outcome yet as stopped.
    pub fn record_rest_as_stopped(&self, people: u64) {
        let still_there = people.saturating_sub(self.finished());
        self.finished[BuyerOutcome::Stopped as usize].fetch_add(still_there, Ordering::Relaxed);
    }

    /// People who have come so far.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    /// People who are done.
    #[must_use]
    pub fn finished(&self) -> u64 {
        self.finished.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// People by how it ended; only what happened.
    #[must_use]
    pub fn counts(&self) -> Vec<NamedCount> {
        let counts = OUTCOMES.iter().map(|(outcome, name)| NamedCount {
            name: (*name).to_owned(),
            count: self.finished[*outcome as usize].load(Ordering::Relaxed),
        });
        counts.filter(|count| count.count > 0).collect()
    }
}
