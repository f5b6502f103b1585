//! Buckets that instances share through a Valkey. Signing in and buying are counted there, exactly, wherever a request lands;
//! reads are counted here and told of about twice a second. Requests that come at the same moment make one call. Nobody ever
//! waits for a Valkey that is away, slow, full or read-only, and nobody is refused for it: then this process counts for itself.

mod server;

use super::buckets::{Buckets, Pace, Report, Standing};
use super::{Class, Key};
use crate::clock::Now;
use crate::telemetry::metrics::Counter;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use sale::time::Timestamp;
pub use server::{Address, AddressError};
use server::{Failed, Server};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

/// How long a request waits for what all have counted: a hundred times what it takes, and little beside a purchase.
const PATIENCE: Duration = Duration::from_millis(100);
/// Requests in a call, as many as the engine's own calls hold: a millisecond of Valkey's time. Of its processor a request takes
/// 39 µs in a call of its own and 9 µs among 128 (one key a call, but 128 calls in a pipeline: 12 µs).
const CALL_LEN_MAX: usize = 128;
/// Calls under way: one is being worked on while the next one travels.
const CALLS_IN_FLIGHT: usize = 2;
/// Requests that wait for a call: what a Valkey that is just not too slow takes within [`PATIENCE`]. For more there is no hope.
const WAITING_MAX: usize = 4096;
/// How often the others are told of reads.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// Readers that they are told of at a time; the rest comes with the next report.
const REPORT_LEN_MAX: usize = 16_384;
/// How often a Valkey that is away is tried again.
const RETRY_EVERY: Duration = Duration::from_millis(250);

/// What sharing needs.
pub struct Settings {
    /// Where.
    pub address: Address,
    /// What the time is here; the buckets in Valkey go by its own clock.
    pub now: Now,
    /// Counts the requests that were counted by this process alone, because Valkey did not answer.
    pub counted_alone: Counter,
}

/// The way to the shared buckets.
#[derive(Debug)]
pub struct Shared {
    inbox: mpsc::Sender<Ask>,
    is_there: Arc<AtomicBool>,
    counted_alone: Counter,
}

/// One request that is to be counted.
struct Ask {
    entry: Entry,
    answer: oneshot::Sender<Standing>,
}

/// What a call says of one bucket.
#[derive(Debug, Clone, Copy)]
struct Entry {
    class: Class,
    key: Key,
    pace: Pace,
    /// How full the bucket is here.
    known_us: i64,
    /// Requests that were served already; 0 asks for one.
    served: u32,
}

impl Shared {
    /// Tries to connect once, and goes on in a task of its own, which ends with this handle.
    pub(super) async fn start(settings: Settings, read: Arc<Buckets>) -> Self {
        let Settings { address, now, counted_alone } = settings;
        let (sender, inbox) = mpsc::channel(WAITING_MAX);
        let is_there = Arc::new(AtomicBool::new(false));
        let mut link =
            Link { address, now, read, inbox, is_there: Arc::clone(&is_there), is_away_told: false };
        let server = link.reach().await;
        tokio::spawn(link.run(server));
        Self { inbox: sender, is_there, counted_alone }
    }

    /// Counts one request in a bucket.
    pub(super) async fn take(&self, class: Class, buckets: &Buckets, key: Key, now: Timestamp) -> Standing {
        if class == Class::Read {
            return buckets.take_and_report(key, now);
        }
        // Whoever is refused by what is known here needs no call.
        let known = buckets.look(key, now);
        if !known.allowed {
            return known;
        }
        let entry = Entry { class, key, pace: buckets.pace(), known_us: known.level_us, served: 0 };
        if let Some(standing) = self.ask(entry).await {
            buckets.learn(key, now, standing.level_us);
            return standing;
        }
        self.counted_alone.inc();
        buckets.take(key, now)
    }

    async fn ask(&self, entry: Entry) -> Option<Standing> {
        if !self.is_there.load(Ordering::Relaxed) {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        self.inbox.try_send(Ask { entry, answer }).ok()?;
        tokio::time::timeout(PATIENCE, answered).await.ok()?.ok()
    }
}

/// The task that holds the connection.
struct Link {
    address: Address,
    now: Now,
    read: Arc<Buckets>,
    inbox: mpsc::Receiver<Ask>,
    is_there: Arc<AtomicBool>,
    is_away_told: bool,
}

/// Nobody asks any more.
struct Ended;

impl Link {
    async fn run(mut self, mut server: Option<Server>) {
        loop {
            if let Some(there) = server
                && self.serve(there).await.is_err()
            {
                return;
            }
            // Also after one that has just failed: it may take the probe, and fail again.
            if self.pause().await.is_err() {
                return;
            }
            server = self.reach().await;
        }
    }

    /// Connects, and sees whether the server counts.
    async fn reach(&mut self) -> Option<Server> {
        match Server::connect(&self.address).await {
            Ok(server) => {
                if self.is_away_told {
                    tracing::info!("requests are counted by all instances together again");
                }
                self.is_away_told = false;
                self.is_there.store(true, Ordering::Relaxed);
                Some(server)
            }
            Err(failed) => {
                self.lose(&failed);
                None
            }
        }
    }

    /// From now on nobody asks; those who wait are told by their answer being dropped.
    fn lose(&mut self, failed: &Failed) {
        self.is_there.store(false, Ordering::Relaxed);
        if !self.is_away_told {
            tracing::warn!(why = %failed, "requests are counted by this instance alone while its Valkey does not answer");
        }
        self.is_away_told = true;
    }

    /// Waits before the next try. Nobody who asked a moment ago is kept waiting.
    async fn pause(&mut self) -> Result<(), Ended> {
        let pause = tokio::time::sleep(RETRY_EVERY);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return Ok(()),
                ask = self.inbox.recv() => drop(ask.ok_or(Ended)?),
            }
        }
    }

    /// Sends what is asked, until the server fails.
    async fn serve(&mut self, server: Server) -> Result<(), Ended> {
        let mut calls: FuturesUnordered<BoxFuture<'static, Result<Done, Failed>>> = FuturesUnordered::new();
        let (mut asking, mut reporting) = (0, false);
        let mut report = tokio::time::interval(REPORT_EVERY);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asks = Vec::new();
        loop {
            let done = tokio::select! {
                Some(done) = calls.next() => done,
                len = self.inbox.recv_many(&mut asks, CALL_LEN_MAX), if asking < CALLS_IN_FLIGHT => {
                    if len == 0 {
                        return Err(Ended);
                    }
                    asking += 1;
                    calls.push(ask_all(server.clone(), std::mem::take(&mut asks)).boxed());
                    continue;
                }
                _ = report.tick(), if !reporting => {
                    reporting = true;
                    calls.push(report_all(server.clone(), Arc::clone(&self.read), Arc::clone(&self.now)).boxed());
                    continue;
                }
            };
            match done {
                Ok(Done::Asked) => asking -= 1,
                Ok(Done::Reported) => reporting = false,
                Err(failed) => {
                    self.lose(&failed);
                    return Ok(());
                }
            }
        }
    }
}

/// Which kind of call is no longer under way.
enum Done {
    Asked,
    Reported,
}

async fn ask_all(server: Server, mut asks: Vec<Ask>) -> Result<Done, Failed> {
    // Whoever did not wait was counted here.
    asks.retain(|ask| !ask.answer.is_closed());
    let entries: Vec<Entry> = asks.iter().map(|ask| ask.entry).collect();
    let told = server.count(&entries).await?;
    for (ask, standing) in asks.into_iter().zip(told) {
        let _gone = ask.answer.send(standing);
    }
    Ok(Done::Asked)
}

async fn report_all(server: Server, read: Arc<Buckets>, now: Now) -> Result<Done, Failed> {
    for reports in read.reports(now(), REPORT_LEN_MAX).chunks(CALL_LEN_MAX) {
        let entry = |report: &Report| Entry {
            class: Class::Read,
            key: report.key,
            pace: read.pace(),
            known_us: report.level_us,
            served: report.served,
        };
        let entries: Vec<Entry> = reports.iter().map(entry).collect();
        let told = server.count(&entries).await?;
        for (report, standing) in reports.iter().zip(told) {
            read.learn(report.key, now(), standing.level_us);
        }
    }
    Ok(Done::Reported)
}
