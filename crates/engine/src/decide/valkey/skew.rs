//! By how much the deciding server's clock differs from this machine's. Sales run by the server's; whoever tells a buyer that a sale
//! has begun should go by the same. It sets no clock.

use super::calls::ValkeyLibrary;
use super::error::ValkeyError;
use crate::clock::read_wall_clock;
use sale::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// How often it is measured. A clock that is not kept right drifts by a millisecond in that time.
const MEASURE_INTERVAL_MS: i64 = 10_000;
/// A difference above this is told in the log, in milliseconds.
const SKEW_LOGGED_MS: i64 = 1_000;

/// Milliseconds by which the clock of this machine is to be taken for wrong: a rehearsal makes it so.
pub type ClockOffset = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A difference of clocks; clones share it.
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
    /// None yet, on a machine whose clock is wrong by so much.
    #[must_use]
    pub fn new(wrong_by: ClockOffset) -> Self {
        Self { ms: Arc::default(), clock_offset: wrong_by, measured_at: Timestamp::default() }
    }

    /// Milliseconds by which the clock that sales run by is ahead of the machine's real one, as far as this process can tell.
    #[must_use]
    pub fn ms(&self) -> i64 {
        (self.clock_offset)() + self.ms.load(Ordering::Relaxed)
    }

    pub(super) async fn start(
        wrong_by: ClockOffset,
        library: &mut ValkeyLibrary,
    ) -> Result<Self, ValkeyError> {
        let skew = Self::new(wrong_by);
        let ms = skew.measure(library).await?;
        if ms.abs() > SKEW_LOGGED_MS {
            tracing::warn!(
                difference_ms = ms,
                "the clock of this machine and that of the Valkey differ; sales run by the Valkey's"
            );
        }
        Ok(skew)
    }

    /// Asks the server again when it is time. One that does not answer is told of elsewhere.
    pub(super) async fn refresh(&mut self, now: Timestamp, library: &mut ValkeyLibrary) {
        if now.ms_since(self.measured_at) >= MEASURE_INTERVAL_MS {
            self.measured_at = now;
            let _away = self.measure(library).await;
        }
    }

    async fn measure(&self, library: &mut ValkeyLibrary) -> Result<i64, ValkeyError> {
        let here = || read_wall_clock().plus_ms((self.clock_offset)());
        let before = here();
        let told = library.server_time().await?;
        let way_ms = here().ms_since(before);
        let ms = told.ms_since(before.plus_ms(way_ms / 2));
        self.ms.store(ms, Ordering::Relaxed);
        Ok(ms)
    }
}
