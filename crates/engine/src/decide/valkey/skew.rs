//! The difference between the decision store's clock and this machine's. Sales run by the server's clock; a caller that shows
//! whether a sale has begun must go by the same. It sets no clock.

use super::calls::ValkeyLibrary;
use super::error::ValkeyError;
use crate::clock::read_wall_clock;
use sale::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// How often the difference is measured. An unsynchronised clock drifts by a millisecond in that time.
const MEASURE_INTERVAL_MS: i64 = 10_000;
/// A difference above this is logged, in milliseconds.
const SKEW_LOGGED_MS: i64 = 1_000;

/// A deliberate error of this machine's clock, in milliseconds, for rehearsals.
pub type ClockOffset = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Clones share the difference.
#[derive(Clone)]
pub struct ClockSkew {
    ms: Arc<AtomicI64>,
    clock_offset: ClockOffset,
    measured_at: Timestamp,
}

impl Default for ClockSkew {
    fn default() -> Self {
        Self::new(Arc::new(|| 0))
    }
}

impl ClockSkew {
    /// No difference yet, on a machine whose clock is wrong by `wrong_by`.
    #[must_use]
    pub fn new(clock_offset: ClockOffset) -> Self {
        Self { ms: Arc::default(), clock_offset, measured_at: Timestamp::default() }
    }

    /// Milliseconds by which the sales' clock is ahead of the machine's real one, as far as this process knows.
    #[must_use]
    pub fn difference_ms(&self) -> i64 {
        (self.clock_offset)() + self.ms.load(Ordering::Relaxed)
    }

    pub(super) async fn start(
        clock_offset: ClockOffset,
        library: &mut ValkeyLibrary,
    ) -> Result<Self, ValkeyError> {
        let skew = Self::new(clock_offset);
        let ms = skew.measure(library).await?;
        if ms.abs() > SKEW_LOGGED_MS {
            tracing::warn!(
                difference_ms = ms,
                "the clock of this machine and that of the Valkey differ; sales run by the Valkey's; set both right (NTP), the Valkey's first"
            );
        }
        Ok(skew)
    }

    /// Measures again when it is time. A server that does not answer is logged elsewhere.
    pub(super) async fn refresh(&mut self, now: Timestamp, library: &mut ValkeyLibrary) {
        if now.ms_since(self.measured_at) >= MEASURE_INTERVAL_MS {
            self.measured_at = now;
            let _away = self.measure(library).await;
        }
    }

    async fn measure(&self, library: &mut ValkeyLibrary) -> Result<i64, ValkeyError> {
        let here = || read_wall_clock().plus_ms((self.clock_offset)());
        let before = here();
        let server_time = library.server_time().await?;
        let round_trip_ms = here().ms_since(before);
        let ms = server_time.ms_since(before.plus_ms(round_trip_ms / 2));
        self.ms.store(ms, Ordering::Relaxed);
        Ok(ms)
    }
}
