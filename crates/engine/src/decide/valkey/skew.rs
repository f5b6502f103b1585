//! By how much the deciding server's clock differs from this machine's. Sales run by the server's; whoever tells a buyer that a sale
//! has begun should go by the same. It sets no clock.

use super::calls::Library;
use super::nodes::ValkeyError;
use crate::clock::wall;
use sale::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// How often it is measured. A clock that is not kept right drifts by a millisecond in that time.
const MEASURE_EVERY_MS: i64 = 10_000;
/// A difference above this is told in the log, in milliseconds.
const TOLD_MS: i64 = 1_000;

/// Milliseconds by which the clock of this machine is to be taken for wrong: a rehearsal makes it so.
pub type WrongBy = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A difference of clocks; clones share it.
#[derive(Clone)]
pub struct Skew {
    ms: Arc<AtomicI64>,
    wrong_by: WrongBy,
    measured_at: Timestamp,
}

impl Default for Skew {
    fn default() -> Self {
        Self::of(Arc::new(|| 0))
    }
}

impl Skew {
    /// None yet, on a machine whose clock is wrong by so much.
    #[must_use]
    pub fn of(wrong_by: WrongBy) -> Self {
        Self { ms: Arc::default(), wrong_by, measured_at: Timestamp::default() }
    }

    /// Milliseconds by which the clock that sales run by is ahead of the machine's real one, as far as this process can tell.
    #[must_use]
    pub fn ms(&self) -> i64 {
        (self.wrong_by)() + self.ms.load(Ordering::Relaxed)
    }

    /// Asks the server.
    pub(super) async fn measured(wrong_by: WrongBy, library: &mut Library) -> Result<Self, ValkeyError> {
        let skew = Self::of(wrong_by);
        let ms = skew.measure(library).await?;
        if ms.abs() > TOLD_MS {
            tracing::warn!(
                difference_ms = ms,
                "the clock of this machine and that of the Valkey differ; sales run by the Valkey's"
            );
        }
        Ok(skew)
    }

    /// Asks the server again when it is time. One that does not answer is told of elsewhere.
    pub(super) async fn keep_up(&mut self, now: Timestamp, library: &mut Library) {
        if now.ms_since(self.measured_at) >= MEASURE_EVERY_MS {
            self.measured_at = now;
            let _away = self.measure(library).await;
        }
    }

    async fn measure(&self, library: &mut Library) -> Result<i64, ValkeyError> {
        let here = || wall().plus_ms((self.wrong_by)());
        let before = here();
        let told = library.time().await?;
        let way_ms = here().ms_since(before);
        let ms = told.ms_since(before.plus_ms(way_ms / 2));
        self.ms.store(ms, Ordering::Relaxed);
        Ok(ms)
    }
}
