//! Buckets that instances share through a Valkey. Signing in and buying are counted there, exactly, wherever a request lands;
//! reads are counted here and told of about twice a second. Requests that come at the same moment make one call. Nobody ever
//! waits for a Valkey that is away, slow, full or read-only, and nobody is refused for it: then this process counts for itself.

mod valkey;

use super::buckets::{BucketLevel, BucketTable, GcraParameters, UsageReport};
use super::{LimitClass, LimitKey};
use crate::clock::TimeSource;
use crate::telemetry::metrics::Counter;
use engine::valkey_connection::ValkeyAddress;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use sale::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use valkey::{LimiterServer, LimiterUnavailable};

/// Requests in a call, as many as the engine's own calls hold: a millisecond of Valkey's time. Of its processor a request takes
/// 39 µs in a call of its own and 9 µs among 128 (one key a call, but 128 calls in a pipeline: 12 µs).
const CALL_LEN_MAX: usize = 128;
/// Calls under way: one is being worked on while the next one travels.
const CALLS_IN_FLIGHT: usize = 2;
/// Requests that wait for a call: what a Valkey that is just not too slow takes within its timeout. For more there is no hope.
const QUEUE_LEN_MAX: usize = 4096;
/// How often the others are told of reads.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
/// Readers that they are told of at a time; the rest comes with the next report.
const REPORT_LEN_MAX: usize = 16_384;
/// How often a Valkey that is away is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// How long Valkey is waited for.
#[derive(Debug, Clone, Copy)]
pub struct LimiterTimeouts {
    /// For a request that waits for its count.
    pub count: Duration,
    /// For a new connection, in the background.
    pub connect: Duration,
}

impl Default for LimiterTimeouts {
    /// A count takes a hundredth of its timeout, which is little beside a purchase.
    fn default() -> Self {
        Self { count: Duration::from_millis(100), connect: Duration::from_secs(1) }
    }
}

pub struct SharedLimiterSettings {
    pub address: ValkeyAddress,
    pub timeouts: LimiterTimeouts,
    /// What the time is here; the buckets in Valkey go by its own clock.
    pub now: TimeSource,
    /// Counts the requests that were counted by this process alone, because Valkey did not answer.
    pub counted_alone: Counter,
}

/// The way to the shared buckets.
#[derive(Debug)]
pub struct SharedLimiter {
    inbox: mpsc::Sender<CountRequest>,
    is_connected: Arc<AtomicBool>,
    counted_alone: Counter,
    timeout: Duration,
}

/// One request that is to be counted.
struct CountRequest {
    entry: BucketEntry,
    answer: oneshot::Sender<BucketLevel>,
}

/// What a call says of one bucket.
#[derive(Debug, Clone, Copy)]
struct BucketEntry {
    class: LimitClass,
    key: LimitKey,
    parameters: GcraParameters,
    /// How full the bucket is here.
    known_us: i64,
    /// Requests that were served already; 0 asks for one.
    served: u32,
}

impl SharedLimiter {
    /// Tries to connect once, and goes on in a task of its own, which ends with this handle.
    pub(super) async fn start(settings: SharedLimiterSettings, read: Arc<BucketTable>) -> Self {
        let SharedLimiterSettings { address, timeouts, now, counted_alone } = settings;
        let (sender, inbox) = mpsc::channel(QUEUE_LEN_MAX);
        let is_there = Arc::new(AtomicBool::new(false));
        let mut link = LimiterTask {
            address,
            timeouts,
            now,
            read,
            inbox,
            is_connected: Arc::clone(&is_there),
            is_outage_logged: false,
        };
        let server = link.connect().await;
        tokio::spawn(link.run(server));
        Self { inbox: sender, is_connected: is_there, counted_alone, timeout: timeouts.count }
    }

    /// Counts one request in a bucket.
    pub(super) async fn count_request(
        &self,
        class: LimitClass,
        buckets: &BucketTable,
        key: LimitKey,
        now: Timestamp,
    ) -> BucketLevel {
        if class == LimitClass::Read {
            return buckets.count_and_report(key, now);
        }
        // Whoever is refused by what is known here needs no call.
        let known = buckets.peek_level(key, now);
        if !known.allowed {
            return known;
        }
        let entry =
            BucketEntry { class, key, parameters: buckets.parameters(), known_us: known.level_us, served: 0 };
        if let Some(standing) = self.count_remotely(entry).await {
            buckets.merge_level(key, now, standing.level_us);
            return standing;
        }
        self.counted_alone.inc();
        buckets.count_request(key, now)
    }

    async fn count_remotely(&self, entry: BucketEntry) -> Option<BucketLevel> {
        if !self.is_connected.load(Ordering::Relaxed) {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        self.inbox.try_send(CountRequest { entry, answer }).ok()?;
        tokio::time::timeout(self.timeout, answered).await.ok()?.ok()
    }
}

/// The task that holds the connection.
struct LimiterTask {
    address: ValkeyAddress,
    timeouts: LimiterTimeouts,
    now: TimeSource,
    read: Arc<BucketTable>,
    inbox: mpsc::Receiver<CountRequest>,
    is_connected: Arc<AtomicBool>,
    is_outage_logged: bool,
}

/// Nobody asks any more.
struct LimiterClosed;

impl LimiterTask {
    async fn run(mut self, mut server: Option<LimiterServer>) {
        loop {
            if let Some(there) = server
                && self.serve_requests(there).await.is_err()
            {
                return;
            }
            // Also after one that has just failed: it may take the probe, and fail again.
            if self.wait_to_retry().await.is_err() {
                return;
            }
            server = self.connect().await;
        }
    }

    /// Connects, and sees whether the server counts.
    async fn connect(&mut self) -> Option<LimiterServer> {
        match LimiterServer::connect(&self.address, self.timeouts).await {
            Ok(server) => {
                if self.is_outage_logged {
                    tracing::info!("requests are counted by all instances together again");
                }
                self.is_outage_logged = false;
                self.is_connected.store(true, Ordering::Relaxed);
                Some(server)
            }
            Err(failed) => {
                self.mark_unavailable(&failed);
                None
            }
        }
    }

    /// From now on nobody asks; those who wait are told by their answer being dropped.
    fn mark_unavailable(&mut self, failed: &LimiterUnavailable) {
        self.is_connected.store(false, Ordering::Relaxed);
        if !self.is_outage_logged {
            tracing::warn!(why = %failed, "requests are counted by this instance alone while its Valkey does not answer");
        }
        self.is_outage_logged = true;
    }

    /// Waits before the next try. Nobody who asked a moment ago is kept waiting.
    async fn wait_to_retry(&mut self) -> Result<(), LimiterClosed> {
        let pause = tokio::time::sleep(RETRY_INTERVAL);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return Ok(()),
                ask = self.inbox.recv() => drop(ask.ok_or(LimiterClosed)?),
            }
        }
    }

    /// Sends what is asked, until the server fails.
    async fn serve_requests(&mut self, server: LimiterServer) -> Result<(), LimiterClosed> {
        let mut calls: FuturesUnordered<BoxFuture<'static, Result<FinishedCall, LimiterUnavailable>>> =
            FuturesUnordered::new();
        let (mut asking, mut reporting) = (0, false);
        let mut report = tokio::time::interval(REPORT_INTERVAL);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asks = Vec::new();
        loop {
            let done = tokio::select! {
                Some(done) = calls.next() => done,
                len = self.inbox.recv_many(&mut asks, CALL_LEN_MAX), if asking < CALLS_IN_FLIGHT => {
                    if len == 0 {
                        return Err(LimiterClosed);
                    }
                    asking += 1;
                    calls.push(count_batch(server.clone(), std::mem::take(&mut asks)).boxed());
                    continue;
                }
                _ = report.tick(), if !reporting => {
                    reporting = true;
                    calls.push(send_reports(server.clone(), Arc::clone(&self.read), Arc::clone(&self.now)).boxed());
                    continue;
                }
            };
            match done {
                Ok(FinishedCall::Counted) => asking -= 1,
                Ok(FinishedCall::Reported) => reporting = false,
                Err(failed) => {
                    self.mark_unavailable(&failed);
                    return Ok(());
                }
            }
        }
    }
}

/// Which kind of call is no longer under way.
enum FinishedCall {
    Counted,
    Reported,
}

async fn count_batch(
    server: LimiterServer,
    mut asks: Vec<CountRequest>,
) -> Result<FinishedCall, LimiterUnavailable> {
    // Whoever did not wait was counted here.
    asks.retain(|ask| !ask.answer.is_closed());
    let entries: Vec<BucketEntry> = asks.iter().map(|ask| ask.entry).collect();
    let told = server.count_requests(&entries).await?;
    for (ask, standing) in asks.into_iter().zip(told) {
        let _gone = ask.answer.send(standing);
    }
    Ok(FinishedCall::Counted)
}

async fn send_reports(
    server: LimiterServer,
    read: Arc<BucketTable>,
    now: TimeSource,
) -> Result<FinishedCall, LimiterUnavailable> {
    for reports in read.take_reports(now(), REPORT_LEN_MAX).chunks(CALL_LEN_MAX) {
        let entry = |report: &UsageReport| BucketEntry {
            class: LimitClass::Read,
            key: report.key,
            parameters: read.parameters(),
            known_us: report.level_us,
            served: report.served,
        };
        let entries: Vec<BucketEntry> = reports.iter().map(entry).collect();
        let told = server.count_requests(&entries).await?;
        for (report, standing) in reports.iter().zip(told) {
            read.merge_level(report.key, now(), standing.level_us);
        }
    }
    Ok(FinishedCall::Reported)
}
