//! The loop of every follower, shared or local: wake up, run a round, rest, back off after a failure, stop. What a round does is
//! the runner's part. Each follower has a thread of its own, because reading may wait for a disk.

use super::backoff::{Backoff, RandomSource};
use super::follower::{FollowerError, FollowerPace};
use crate::telemetry::followers::FollowerMetrics;
use engine::Engine;
use engine::clock::start_stopwatch;
use engine::error_text::describe_error;
use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A rest while the pipeline is busy is never longer, however slow the disk made the work before it.
const REST_MAX: Duration = Duration::from_millis(500);
/// A receiver that takes no deliveries is logged so often.
const DELIVERY_LOG_INTERVAL: Duration = Duration::from_secs(60);
/// A process that does not deliver looks so often how far the other is.
const OBSERVE_INTERVAL: Duration = Duration::from_millis(150);

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoundResult {
    /// More was published than the round delivered.
    More,
    /// All is delivered that was published when the round began.
    CaughtUp,
    /// Another process delivers.
    Observed,
}

/// What a runner does, step by step.
pub(super) trait FollowerRounds: Send + 'static {
    /// Whether a round may be dropped in the middle when the follower stops.
    const STOPS_IN_A_ROUND: bool;

    /// Reads and delivers a batch of each sale that lags.
    fn run_round(&mut self) -> impl Future<Output = Result<RoundResult, FollowerError>>;

    /// Resolves when there is work although nothing new was published.
    fn wait_for_work(&self) -> impl Future<Output = ()>;

    /// How many writers of the tables have had to wait for another one so far, followers not counted.
    fn count_write_waits(&self) -> u64 {
        0
    }

    /// Called after a round that failed.
    fn handle_failure(&mut self) -> impl Future<Output = ()>;

    /// Called once when the follower stops.
    fn finish(self) -> impl Future<Output = ()>;
}

/// What the loop needs besides the rounds.
pub(super) struct LoopDependencies {
    pub(super) name: &'static str,
    pub(super) engine: Engine,
    pub(super) pace: FollowerPace,
    pub(super) metrics: FollowerMetrics,
    pub(super) random: RandomSource,
}

/// A follower that runs. It stops when this is dropped, too.
pub struct FollowerThread {
    name: &'static str,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl FollowerThread {
    pub(super) fn start<R: FollowerRounds>(rounds: R, dependencies: LoopDependencies) -> io::Result<Self> {
        let (stop, stopping) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (name, nice) = (dependencies.name, dependencies.pace.nice);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            lower_priority(name, nice);
            runtime.block_on(run_rounds(rounds, dependencies, stopping));
        })?;
        Ok(Self { name, stop, thread })
    }

    /// Stops it and waits for its end. A shared follower finishes the batch that it delivers. Blocks.
    pub fn stop(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!(
                follower = self.name,
                "a follower panicked and has delivered nothing since; the next start continues from its offsets; report it"
            );
        }
    }
}

/// Lowers the priority of this thread and of the threads that it starts, such as sqlx's thread of a SQLite connection.
fn lower_priority(name: &'static str, nice: i32) {
    #[cfg(target_os = "linux")]
    if nice != 0
        && let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), nice)
    {
        tracing::warn!(
            follower = name,
            %error,
            "the priority of a follower cannot be lowered; it competes with purchases for the processor"
        );
    }
}

async fn run_rounds<R: FollowerRounds>(
    mut rounds: R,
    dependencies: LoopDependencies,
    mut stopping: watch::Receiver<bool>,
) {
    let LoopDependencies { name, engine, pace, metrics, random } = dependencies;
    let mut changes = engine.views().subscribe_changes();
    let mut backoff = Backoff::new(pace.backoff, random);
    let mut outage = FollowerOutage::default();
    let mut log = FailureLog::default();
    // The channel of a follower that was dropped is closed: that stops it, too.
    while stopping.has_changed().is_ok() && !*stopping.borrow() {
        changes.borrow_and_update();
        let (started, waits) = (start_stopwatch(), rounds.count_write_waits());
        let result = if R::STOPS_IN_A_ROUND {
            tokio::select! {
                result = rounds.run_round() => result,
                _ = stopping.wait_for(|stop| *stop) => break,
            }
        } else {
            rounds.run_round().await
        };
        let activity = RoundActivity {
            is_selling: changes.has_changed().unwrap_or(false),
            has_writer_waited: rounds.count_write_waits() > waits,
        };
        let rest = match &result {
            Ok(round) => find_rest(*round, started.elapsed(), activity, &pace),
            Err(FollowerError::ReceiverGone) => break,
            Err(failure) => {
                let retry = backoff.next_delay();
                if log.is_due(failure, start_stopwatch()) {
                    log_failure(name, failure, retry);
                }
                if !matches!(failure, FollowerError::Overtaken) {
                    metrics.failed.inc();
                }
                if !matches!(failure, FollowerError::Overtaken) {
                    outage.begin(start_stopwatch());
                }
                rounds.handle_failure().await;
                retry
            }
        };
        if result.is_ok() {
            backoff.reset();
            if let Some(lasted) = outage.end(start_stopwatch()) {
                let outage_s = lasted.as_secs();
                tracing::info!(
                    follower = name,
                    outage_s,
                    "a follower delivers again; it was behind for {outage_s} s"
                );
            }
        }
        if !rest.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                _ = stopping.wait_for(|stop| *stop) => break,
            }
        }
        if matches!(result, Ok(RoundResult::CaughtUp)) {
            tokio::select! {
                Ok(()) = changes.changed() => {}
                () = rounds.wait_for_work() => {}
                () = tokio::time::sleep(pace.idle_max) => {}
                _ = stopping.wait_for(|stop| *stop) => break,
            }
        }
    }
    rounds.finish().await;
}

/// What went on beside a round.
#[derive(Clone, Copy, Debug)]
struct RoundActivity {
    /// Whether events were published.
    is_selling: bool,
    /// Whether a writer of the tables had to wait for another one.
    has_writer_waited: bool,
}

/// How long a follower rests after a round that took `elapsed`. One that has much to catch up with would take each second turn at the
/// tables, and buyers whose requests write into them would wait for it: it rests then, too.
fn find_rest(
    round: RoundResult,
    elapsed: Duration,
    activity: RoundActivity,
    pace: &FollowerPace,
) -> Duration {
    let busy_rest = (elapsed * pace.rest_factor).min(REST_MAX);
    match round {
        RoundResult::Observed => OBSERVE_INTERVAL,
        RoundResult::More if activity.is_selling || activity.has_writer_waited => busy_rest,
        RoundResult::More => Duration::ZERO,
        RoundResult::CaughtUp if activity.is_selling => busy_rest.max(pace.rest_min),
        RoundResult::CaughtUp => pace.rest_min,
    }
}

/// The time from the first failed round to the next one that works.
#[derive(Debug, Default)]
struct FollowerOutage(Option<Instant>);

impl FollowerOutage {
    fn begin(&mut self, now: Instant) {
        self.0.get_or_insert(now);
    }

    /// How long it lasted, if there was one.
    fn end(&mut self, now: Instant) -> Option<Duration> {
        self.0.take().map(|began| now.saturating_duration_since(began))
    }
}

/// When a failure was logged last.
#[derive(Debug, Default)]
struct FailureLog(Option<Instant>);

impl FailureLog {
    /// Whether to log a failure: what a receiver says is logged once in [`DELIVERY_LOG_INTERVAL`], everything else each time.
    fn is_due(&mut self, failure: &FollowerError, now: Instant) -> bool {
        if !matches!(failure, FollowerError::Delivery(_)) {
            return true;
        }
        let is_due = self.0.is_none_or(|last| now.saturating_duration_since(last) >= DELIVERY_LOG_INTERVAL);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}

fn log_failure(name: &'static str, failure: &FollowerError, retry: Duration) {
    let retry_ms = u64::try_from(retry.as_millis()).unwrap_or(u64::MAX);
    if matches!(failure, FollowerError::Overtaken) {
        tracing::info!(
            follower = name,
            retry_ms,
            "the offset of a follower was moved by another process or a rewind; it reads its offsets again"
        );
        return;
    }
    let error = describe_error(failure);
    tracing::warn!(
        follower = name,
        error,
        retry_ms,
        "a follower failed; its deliveries are retried, selling continues; fix the cause that the error names"
    );
}

#[cfg(test)]
mod tests {
    use super::super::backoff::BackoffLimits;
    use super::*;

    #[test]
    fn what_a_receiver_says_is_logged_once_a_minute_and_other_failures_each_time() {
        let start = start_stopwatch();
        let at = |s| start + Duration::from_secs(s);
        let (refused, mut log) = (FollowerError::Delivery("no topic".into()), FailureLog::default());
        let due: Vec<bool> = [0, 1, 59, 60, 61].map(|s| log.is_due(&refused, at(s))).into();
        assert_eq!(due, [true, false, false, true, false]);
        assert!(log.is_due(&FollowerError::Overtaken, at(62)));
    }

    #[test]
    fn an_outage_lasts_from_the_first_failure_to_the_first_success_and_ends_once() {
        let start = start_stopwatch();
        let at = |s| start + Duration::from_secs(s);
        let mut outage = FollowerOutage::default();
        assert_eq!(outage.end(at(0)), None);
        outage.begin(at(1));
        outage.begin(at(5));
        assert_eq!(outage.end(at(8)), Some(Duration::from_secs(7)));
        assert_eq!(outage.end(at(9)), None);
    }

    #[test]
    fn who_has_much_to_catch_up_with_rests_when_writers_wait_or_buyers_buy() {
        let pace = FollowerPace {
            batch_len_max: 400,
            rest_factor: 24,
            rest_min: Duration::from_millis(3),
            idle_max: Duration::from_millis(250),
            nice: 10,
            backoff: BackoffLimits::OWN_STORES,
        };
        let rest_ms = |round, elapsed_ms, is_selling, has_writer_waited| {
            let activity = RoundActivity { is_selling, has_writer_waited };
            find_rest(round, Duration::from_millis(elapsed_ms), activity, &pace).as_millis()
        };
        assert_eq!(rest_ms(RoundResult::More, 10, false, false), 0);
        assert_eq!(rest_ms(RoundResult::More, 10, true, false), 240);
        assert_eq!(rest_ms(RoundResult::More, 10, false, true), 240);
        assert_eq!(rest_ms(RoundResult::More, 1_000, false, true), 500, "never longer");
        // What little is new is written at once: an admin's list waits for it.
        assert_eq!(rest_ms(RoundResult::CaughtUp, 10, false, true), 3);
        assert_eq!(rest_ms(RoundResult::CaughtUp, 10, true, false), 240);
    }
}
