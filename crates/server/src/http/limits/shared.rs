//! Buckets that instances share through a Valkey. Reads alone are counted in
//! memory and reported twice a second. Requests that arrive together share one call. While Valkey is down, slow, full or
//! read-only, this process counts on its own: no request waits for Valkey longer than
//! [`LimiterTimeouts::count`], and none is refused.

mod returns;
mod valkey;

use super::buckets::{BucketLevel, BucketTable, GcraParameters, UsageReport};
use super::{LimitClass, LimitKey};
use crate::clock::TimeSource;
use crate::telemetry::metrics::Counter;
use engine::valkey_connection::ValkeyAddress;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use returns::PendingReturns;
use sale::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use valkey::{LimiterServer, LimiterUnavailable};

/// Requests in a call, which takes Valkey a millisecond. Alone in a call a request costs Valkey's processor 39 µs, among 128 it
/// costs 9 µs (in a pipeline of 128 calls with one key each: 12 µs).
const CALL_LEN_MAX: usize = 128;
/// Calls in flight: Valkey works on one while the next is on its way.
const CALLS_IN_FLIGHT: usize = 2;
/// Requests in the queue: more cannot be counted within the timeout.
const QUEUE_LEN_MAX: usize = 4096;
/// How often reads are reported.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
/// Keys in a report; the rest comes with the next one.
const REPORT_LEN_MAX: usize = 16_384;
/// Pause between two attempts to connect.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Copy)]
pub struct LimiterTimeouts {
    /// How long a request waits for the shared level.
    pub count: Duration,
    /// How long connecting may take, with the probe. No request waits for it.
    pub connect: Duration,
}

impl Default for LimiterTimeouts {
    /// The usual latency of a count is a hundredth of its timeout, which is little beside a purchase.
    fn default() -> Self {
        Self { count: Duration::from_millis(100), connect: Duration::from_secs(1) }
    }
}

pub struct SharedLimiterSettings {
    pub address: ValkeyAddress,
    pub timeouts: LimiterTimeouts,
    /// The clock of this process; the buckets in Valkey use Valkey's.
    pub now: TimeSource,
    /// Requests that this process counted on its own, because Valkey did not answer.
    pub counted_alone: Counter,
}

/// The handle of the connection's task.
#[derive(Debug)]
pub struct SharedLimiter {
    inbox: mpsc::Sender<CountRequest>,
    is_connected: Arc<AtomicBool>,
    returns: Arc<PendingReturns>,
    counted_alone: Counter,
    timeout: Duration,
}

struct CountRequest {
    entry: BucketEntry,
    reply: oneshot::Sender<BucketLevel>,
}

/// The arguments of a call for one bucket.
#[derive(Debug, Clone, Copy)]
struct BucketEntry {
    class: LimitClass,
    key: LimitKey,
    parameters: GcraParameters,
    /// The level in this process.
    known_us: i64,
    /// Requests that were served already. 0: one request asks to be allowed. Negative: so many are taken back.
    served: i64,
}

impl SharedLimiter {
    /// Tries to connect once, then spawns the connection's task, which ends with this handle.
    pub(super) async fn start(settings: SharedLimiterSettings, read: Arc<BucketTable>) -> Self {
        let SharedLimiterSettings { address, timeouts, now, counted_alone } = settings;
        let (sender, inbox) = mpsc::channel(QUEUE_LEN_MAX);
        let is_connected = Arc::new(AtomicBool::new(false));
        let returns = Arc::<PendingReturns>::default();
        let mut task = LimiterTask {
            address,
            timeouts,
            now,
            read,
            inbox,
            is_connected: Arc::clone(&is_connected),
            returns: Arc::clone(&returns),
            is_outage_logged: false,
        };
        let server = task.connect().await;
        tokio::spawn(task.run(server));
        Self { inbox: sender, is_connected, returns, counted_alone, timeout: timeouts.count }
    }

    pub(super) async fn count_request(
        &self,
        class: LimitClass,
        buckets: &BucketTable,
        key: LimitKey,
        now: Timestamp,
    ) -> BucketLevel {
        match class {
            LimitClass::Read => return buckets.count_and_report(key, now),
            // A second limit, so high that each instance may count its own part.
            LimitClass::DialectAddress => return buckets.count_request(key, now),
            _ => {}
        }
        // A request over the level that is known here is refused without a call.
        let known = buckets.peek_level(key, now);
        if !known.allowed {
            return known;
        }
        let entry =
            BucketEntry { class, key, parameters: buckets.parameters(), known_us: known.level_us, served: 0 };
        if let Some(level) = self.count_remotely(entry).await {
            buckets.merge_level(key, now, level.level_us);
            return level;
        }
        self.counted_alone.inc();
        buckets.count_request(key, now)
    }

    /// Takes back a request that was counted. When Valkey does not answer, it is taken back there once it answers.
    pub(super) async fn return_request(
        &self,
        class: LimitClass,
        buckets: &BucketTable,
        key: LimitKey,
        now: Timestamp,
    ) {
        buckets.return_request(key, now);
        let entry = BucketEntry { class, key, parameters: buckets.parameters(), known_us: 0, served: -1 };
        if self.count_remotely(entry).await.is_none() {
            self.returns.add(entry);
        }
    }

    async fn count_remotely(&self, entry: BucketEntry) -> Option<BucketLevel> {
        if !self.is_connected.load(Ordering::Relaxed) {
            return None;
        }
        let (reply, receiver) = oneshot::channel();
        self.inbox.try_send(CountRequest { entry, reply }).ok()?;
        tokio::time::timeout(self.timeout, receiver).await.ok()?.ok()
    }
}

/// The task that owns the connection.
struct LimiterTask {
    address: ValkeyAddress,
    timeouts: LimiterTimeouts,
    now: TimeSource,
    read: Arc<BucketTable>,
    inbox: mpsc::Receiver<CountRequest>,
    is_connected: Arc<AtomicBool>,
    returns: Arc<PendingReturns>,
    is_outage_logged: bool,
}

/// The [`SharedLimiter`] was dropped.
struct LimiterClosed;

impl LimiterTask {
    async fn run(mut self, mut server: Option<LimiterServer>) {
        loop {
            if let Some(connected) = server
                && self.serve_requests(connected).await.is_err()
            {
                return;
            }
            // Waits after a failure too: a server that passes the probe may fail again at once.
            if self.wait_to_retry().await.is_err() {
                return;
            }
            server = self.connect().await;
        }
    }

    /// Connects, and probes whether the server can count.
    async fn connect(&mut self) -> Option<LimiterServer> {
        let connected = async {
            let server = LimiterServer::connect(&self.address, self.timeouts).await?;
            // First of all: a request that Valkey counted after its caller had given up would refuse the next one.
            self.returns.send(&server).await?;
            Ok(server)
        };
        match connected.await {
            Ok(server) => {
                if self.is_outage_logged {
                    tracing::info!("Valkey answers again: all instances share the rate limits");
                }
                self.is_outage_logged = false;
                self.is_connected.store(true, Ordering::Relaxed);
                Some(server)
            }
            Err(error) => {
                self.mark_unavailable(&error);
                None
            }
        }
    }

    /// Stops requests from using the connection. Those that wait see that their reply is dropped.
    fn mark_unavailable(&mut self, error: &LimiterUnavailable) {
        self.is_connected.store(false, Ordering::Relaxed);
        if !self.is_outage_logged {
            tracing::warn!(%error, "the Valkey of the rate limits does not answer; this instance limits on its own; connecting again every 250 ms");
        }
        self.is_outage_logged = true;
    }

    /// Waits before the next attempt. Drops queued requests meanwhile, which are then counted locally at once.
    async fn wait_to_retry(&mut self) -> Result<(), LimiterClosed> {
        let pause = tokio::time::sleep(RETRY_INTERVAL);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return Ok(()),
                request = self.inbox.recv() => drop(request.ok_or(LimiterClosed)?),
            }
        }
    }

    /// Sends calls until the server fails.
    async fn serve_requests(&mut self, server: LimiterServer) -> Result<(), LimiterClosed> {
        let mut calls: FuturesUnordered<BoxFuture<'static, Result<FinishedCall, LimiterUnavailable>>> =
            FuturesUnordered::new();
        let (mut calls_in_flight, mut is_reporting) = (0, false);
        let mut report = tokio::time::interval(REPORT_INTERVAL);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut requests = Vec::new();
        loop {
            let done = tokio::select! {
                Some(done) = calls.next() => done,
                len = self.inbox.recv_many(&mut requests, CALL_LEN_MAX), if calls_in_flight < CALLS_IN_FLIGHT => {
                    if len == 0 {
                        return Err(LimiterClosed);
                    }
                    calls_in_flight += 1;
                    calls.push(count_batch(server.clone(), std::mem::take(&mut requests)).boxed());
                    continue;
                }
                _ = report.tick(), if !is_reporting => {
                    is_reporting = true;
                    let tables = (Arc::clone(&self.read), Arc::clone(&self.returns));
                    calls.push(send_reports(server.clone(), tables, Arc::clone(&self.now)).boxed());
                    continue;
                }
            };
            match done {
                Ok(FinishedCall::Counted) => calls_in_flight -= 1,
                Ok(FinishedCall::Reported) => is_reporting = false,
                Err(error) => {
                    self.mark_unavailable(&error);
                    return Ok(());
                }
            }
        }
    }
}

enum FinishedCall {
    Counted,
    Reported,
}

async fn count_batch(
    server: LimiterServer,
    mut requests: Vec<CountRequest>,
) -> Result<FinishedCall, LimiterUnavailable> {
    // A request that stopped waiting was counted locally.
    requests.retain(|request| !request.reply.is_closed());
    let entries: Vec<BucketEntry> = requests.iter().map(|request| request.entry).collect();
    let levels = server.count_requests(&entries).await?;
    for (request, level) in requests.into_iter().zip(levels) {
        let _gone = request.reply.send(level);
    }
    Ok(FinishedCall::Counted)
}

/// Reports reads, and takes back what could not be taken back at once.
async fn send_reports(
    server: LimiterServer,
    (read, returns): (Arc<BucketTable>, Arc<PendingReturns>),
    now: TimeSource,
) -> Result<FinishedCall, LimiterUnavailable> {
    returns.send(&server).await?;
    for reports in read.take_reports(now(), REPORT_LEN_MAX).chunks(CALL_LEN_MAX) {
        let entry = |report: &UsageReport| BucketEntry {
            class: LimitClass::Read,
            key: report.key,
            parameters: read.parameters(),
            known_us: report.level_us,
            served: i64::from(report.served),
        };
        let entries: Vec<BucketEntry> = reports.iter().map(entry).collect();
        let levels = server.count_requests(&entries).await?;
        for (report, level) in reports.iter().zip(levels) {
            read.merge_level(report.key, now(), level.level_us);
        }
    }
    Ok(FinishedCall::Reported)
}
