//! The rehearsal's own time: a stopwatch that everyone in it reads. The one reader of the machine's clocks here; it is never
//! compared with what an instance says of its time.

use crate::told::Moment;
use std::time::{Duration, Instant, SystemTime};

/// Runs since the rehearsal began.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    began: Instant,
}

impl Stopwatch {
    /// Begins now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one reader of the monotonic clock in this crate")]
    pub fn start() -> Self {
        Self { began: Instant::now() }
    }

    /// The moment now.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Waits until a moment; one that is over is not waited for.
    pub async fn until(&self, moment: Moment) {
        let at = self.began + Duration::from_micros(moment.0);
        tokio::time::sleep_until(at.into()).await;
    }
}

/// The wall clock's time: for the report's heading, and for a start that is replaced before it counts. Nothing is measured by it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one reader of the wall clock in this crate")]
pub fn wall_clock() -> jiff::Timestamp {
    jiff::Timestamp::try_from(SystemTime::now()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
