//! The rehearsal's own time: one stopwatch for all its parts, and the only reader of the machine's clocks here. It is never
//! compared with an instance's clock.

use crate::observations::RunInstant;
use std::time::{Duration, Instant, SystemTime};

/// Runs since the rehearsal began.
#[derive(Clone, Copy, Debug)]
pub struct RunClock {
    started: Instant,
}

impl RunClock {
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one reader of the monotonic clock in this crate")]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    #[must_use]
    pub fn now(&self) -> RunInstant {
        RunInstant(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Waits until a moment; one that is over is not waited for.
    pub async fn sleep_until(&self, moment: RunInstant) {
        let at = self.started + Duration::from_micros(moment.0);
        tokio::time::sleep_until(at.into()).await;
    }
}

/// The wall clock's time: for the report's heading, and for a start that is replaced before it counts. Nothing is measured by it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one reader of the wall clock in this crate")]
pub fn wall_clock() -> jiff::Timestamp {
    jiff::Timestamp::try_from(SystemTime::now()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
