//! Waits for a condition. A limit here only ends a test that hangs: how fast something must be is asserted elsewhere, with
//! [`crate::delay::SchedulingDelay`].

use std::time::{Duration, Instant};

/// Ends a wait of a test that hangs. It is long because a busy machine is slow; a test that does not hang never waits for it.
pub const HANG_LIMIT: Duration = Duration::from_secs(180);

const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Waits until the condition holds.
pub async fn eventually(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> bool) {
    eventually_some(what, limit, async || condition().await.then_some(())).await;
}

/// Waits until there is a value.
pub async fn eventually_some<T>(what: &str, limit: Duration, mut value: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Deadline::start(what, limit);
    loop {
        if let Some(value) = value().await {
            return value;
        }
        deadline.check();
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Waits until the condition holds, without a runtime.
pub fn eventually_blocking(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Deadline::start(what, limit);
    while !condition() {
        deadline.check();
        std::thread::sleep(POLL_INTERVAL);
    }
}

struct Deadline<'a> {
    what: &'a str,
    limit: Duration,
    started: Instant,
}

impl<'a> Deadline<'a> {
    #[expect(clippy::disallowed_methods, reason = "a test that hangs ends by the machine's clock")]
    fn start(what: &'a str, limit: Duration) -> Self {
        Self { what, limit, started: Instant::now() }
    }

    fn check(&self) {
        let elapsed = self.started.elapsed();
        assert!(elapsed < self.limit, "waited {elapsed:.1?} in vain: {}", self.what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_the_condition_holds() {
        let mut polls = 0;
        eventually_blocking("the third poll", HANG_LIMIT, || {
            polls += 1;
            polls == 3
        });
        assert_eq!(polls, 3);
    }

    #[test]
    #[should_panic(expected = "in vain: a condition that never holds")]
    fn a_wait_that_hangs_says_what_it_waited_for() {
        eventually_blocking("a condition that never holds", Duration::from_millis(20), || false);
    }
}
