//! Time as a port: the pipeline reads a [`Clock`], and the law gets each moment as an argument. Nothing else in the workspace
//! reads the machine's clock.

use futures::future::BoxFuture;
use sale::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Reads the time and waits for it.
pub trait Clock: Send + Sync + 'static {
    /// The time now, never earlier than an earlier call returned.
    fn now(&self) -> Timestamp;
    /// Resolves once [`Clock::now`] is `at` or later.
    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()>;
    /// True while the machine's clock is behind: after a restart only the clock checkpoint says how far time has come.
    fn is_ahead_of_machine(&self) -> bool {
        false
    }
}

/// How much faster or slower than real time the clock may run to come back to the wall clock: a hold of five minutes is never
/// more than 15 s longer or shorter than promised, whatever happens to the machine's clock.
const SLEW_PERCENT: i64 = 5;
/// How often the clock is compared with the wall clock while it is right.
const COMPARE_INTERVAL: Duration = Duration::from_millis(100);
/// How often it is moved towards the wall clock while it is wrong.
const SLEW_INTERVAL: Duration = Duration::from_millis(20);
/// Differences below this are scheduling noise and are left alone, in microseconds.
const SLEW_IGNORED_US: i64 = 2_000;
/// A difference above this is logged, in microseconds.
const JUMP_LOGGED_US: i64 = 1_000_000;

/// The longest single wait, so that a sleeper notices when the clock was slewed: at 5 % it is 25 ms late at most.
const SLEEP_MAX: Duration = Duration::from_millis(500);

/// The machine's clock, made safe: it starts at the wall clock's time (or at `not_before`, if that is later), runs with the
/// monotonic clock, and comes back to the wall clock at a rate of at most 5 %. It never jumps and never runs backwards: when the
/// machine's clock jumps by an hour, no hold expires early and no line stands still.
pub struct SystemClock {
    time: Arc<SlewedTime>,
}

struct SlewedTime {
    started: Instant,
    /// Microseconds since the epoch at `started`, as slewed until now.
    anchor_us: AtomicI64,
    /// The latest time that was returned, in microseconds: slewing back never goes below it.
    latest_us: AtomicI64,
    /// True while the wall clock is behind by more than is noise.
    is_ahead: AtomicBool,
}

impl SystemClock {
    /// Starts the clock and the thread that keeps it near the wall clock; that thread ends with the last `Arc`.
    ///
    /// # Panics
    /// When the operating system refuses a thread at start-up.
    #[must_use]
    pub fn start(not_before: Timestamp) -> Arc<Self> {
        Self::start_with_offset(not_before, || 0)
    }

    /// The same on a machine whose wall clock is wrong by a number of milliseconds that may change at any time: a rehearsal
    /// makes the clock jump with it.
    ///
    /// # Panics
    /// When the operating system refuses a thread at start-up.
    #[must_use]
    pub fn start_with_offset(
        not_before: Timestamp,
        wrong_by_ms: impl Fn() -> i64 + Send + 'static,
    ) -> Arc<Self> {
        let wall_us = move || read_wall_us().saturating_add(wrong_by_ms().saturating_mul(1000));
        let starts_us = wall_us();
        let anchor_us = starts_us.max(not_before.0 * 1000);
        if anchor_us - starts_us > JUMP_LOGGED_US {
            tracing::warn!(
                behind_ms = (anchor_us - starts_us) / 1000,
                "the machine's clock is behind the ledger; time continues from the ledger's last moment; correct the machine's clock"
            );
        }
        let time = Arc::new(SlewedTime::start_at(anchor_us));
        time.is_ahead.store(anchor_us - starts_us > JUMP_LOGGED_US, Ordering::Relaxed);
        let weak = Arc::downgrade(&time);
        std::thread::Builder::new()
            .name("clock".into())
            .spawn(move || {
                let mut is_logged = false;
                while let Some(time) = weak.upgrade() {
                    let error_us = wall_us() - time.now_us();
                    time.slew(error_us);
                    time.is_ahead.store(error_us < -JUMP_LOGGED_US, Ordering::Relaxed);
                    if error_us.abs() > JUMP_LOGGED_US && !is_logged {
                        tracing::error!(
                            difference_ms = error_us / 1000,
                            "the machine's clock has jumped; sales follow it slowly, at most 5 % faster or slower"
                        );
                    }
                    is_logged = error_us.abs() > JUMP_LOGGED_US;
                    drop(time);
                    let is_right = error_us.abs() < SLEW_IGNORED_US;
                    std::thread::sleep(if is_right { COMPARE_INTERVAL } else { SLEW_INTERVAL });
                }
            })
            .expect("a thread for the clock can be started");
        Arc::new(Self { time })
    }
}

impl SlewedTime {
    fn start_at(anchor_us: i64) -> Self {
        Self {
            started: start_stopwatch(),
            anchor_us: AtomicI64::new(anchor_us),
            latest_us: AtomicI64::new(anchor_us),
            is_ahead: AtomicBool::new(false),
        }
    }

    fn now_us(&self) -> i64 {
        let elapsed_us = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        let now_us = self.anchor_us.load(Ordering::Relaxed).saturating_add(elapsed_us);
        now_us.max(self.latest_us.fetch_max(now_us, Ordering::Relaxed))
    }

    fn slew(&self, error_us: i64) {
        self.anchor_us.fetch_add(slew_us(error_us), Ordering::Relaxed);
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.time.now_us().div_euclid(1000))
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let time = Arc::clone(&self.time);
        Box::pin(async move {
            loop {
                let wait_us = at.0.saturating_mul(1000).saturating_sub(time.now_us());
                if wait_us <= 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_micros(wait_us.unsigned_abs()).min(SLEEP_MAX)).await;
            }
        })
    }

    fn is_ahead_of_machine(&self) -> bool {
        self.time.is_ahead.load(Ordering::Relaxed)
    }
}

/// The step towards the wall clock for one period of [`SLEW_INTERVAL`], in microseconds.
fn slew_us(error_us: i64) -> i64 {
    let step_max_us = i64::try_from(SLEW_INTERVAL.as_micros()).unwrap_or(i64::MAX) * SLEW_PERCENT / 100;
    if error_us.abs() < SLEW_IGNORED_US { 0 } else { error_us.clamp(-step_max_us, step_max_us) }
}

#[expect(clippy::disallowed_methods, reason = "the one reader of the machine's wall clock")]
fn read_wall_us() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// The machine's wall clock, to compare it with another machine's, or with a ledger before its engine starts, and for the times of
/// signatures, which the sender's and the receiver's machines compare. Nothing of a sale is decided by it.
#[must_use]
pub fn read_wall_clock() -> Timestamp {
    Timestamp(read_wall_us().div_euclid(1000))
}

/// Starts a stopwatch, for measurements and timeouts, never for decisions.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one reader of the machine's monotonic clock")]
pub fn start_stopwatch() -> Instant {
    Instant::now()
}

/// A clock that a test sets. Sleepers wake when it is moved past their moment.
#[derive(Default)]
pub struct ManualClock {
    now_ms: AtomicI64,
    moved: tokio::sync::watch::Sender<i64>,
}

impl ManualClock {
    #[must_use]
    pub fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self { now_ms: AtomicI64::new(now.0), moved: tokio::sync::watch::Sender::new(now.0) })
    }

    /// Moves the clock, also backwards.
    pub fn set(&self, now: Timestamp) {
        self.now_ms.store(now.0, Ordering::SeqCst);
        self.moved.send_replace(now.0);
    }

    /// Moves the clock forward.
    pub fn advance_ms(&self, ms: i64) {
        self.set(self.now().plus_ms(ms));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now_ms.load(Ordering::SeqCst))
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let mut moved = self.moved.subscribe();
        Box::pin(async move {
            if moved.wait_for(|now_ms| *now_ms >= at.0).await.is_err() {
                // The clock is dropped: its time never comes.
                std::future::pending::<()>().await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_of_an_hour_is_followed_at_five_percent() {
        let hour_us = 3_600_000_000;
        assert_eq!(slew_us(hour_us), 1_000, "1 ms in 20 ms");
        assert_eq!(slew_us(-hour_us), -1_000);
    }

    #[test]
    fn noise_is_left_alone_and_a_small_error_is_mended_at_once() {
        assert_eq!(slew_us(1_999), 0);
        assert_eq!(slew_us(-1_999), 0);
        assert_eq!(slew_us(2_000), 1_000);
    }

    #[test]
    fn time_continues_from_the_ledger_when_the_wall_clock_is_behind() {
        let ahead = Timestamp(read_wall_us() / 1000).plus_s(3600);
        let clock = SystemClock::start(ahead);
        let first = clock.now();
        assert!(first >= ahead);
        assert!(clock.now() >= first);
    }

    #[test]
    fn time_never_runs_backwards_while_it_is_slewed_back() {
        let time = SlewedTime::start_at(0);
        let mut last_us = 0;
        for _ in 0..1000 {
            time.slew(-3_600_000_000);
            let now_us = time.now_us();
            assert!(now_us >= last_us, "{now_us} after {last_us}");
            last_us = now_us;
        }
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_moment_has_come_also_while_time_is_slewed() {
        let clock = SystemClock::start(Timestamp::default());
        let at = clock.now().plus_ms(30);
        clock.time.slew(-3_600_000_000);
        clock.sleep_until(at).await;
        assert!(clock.now() >= at);
    }
}
