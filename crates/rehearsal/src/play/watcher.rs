//! Looks at the sale again and again as the admin, and keeps what it was told. One look at a time, so that what it saw has an
//! order.

use crate::judge::Observation;
use crate::stage::Stage;
use crate::told::Moment;
use crate::watch::Stopwatch;
use sale::SaleId;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// An instance that has answered nobody for this long is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// Observations that are kept: nearly three hours of them.
const KEPT_MAX: usize = 20_000;

/// Looks, until it is stopped or dropped.
pub(super) struct Watcher {
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    observations: Mutex<Vec<Observation>>,
    /// When the last look was answered, in microseconds of the stopwatch.
    heard_us: AtomicU64,
}

impl Watcher {
    pub(super) fn start(stage: Arc<Stage>, sale: SaleId, watch: Stopwatch) -> Self {
        let seen = Arc::new(Seen::default());
        seen.heard_us.store(watch.now().0, Ordering::Relaxed);
        let keeps = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                if let Ok(overview) = stage.look(sale, &watch).await {
                    keeps.heard_us.store(watch.now().0, Ordering::Relaxed);
                    let mut observations = keeps.observations.lock().unwrap_or_else(PoisonError::into_inner);
                    if observations.len() < KEPT_MAX {
                        observations.push(overview.observation);
                    }
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Self { seen, task }
    }

    pub(super) fn stop(&self) {
        self.task.abort();
    }

    pub(super) fn latest(&self) -> Option<Observation> {
        self.seen.observations.lock().unwrap_or_else(PoisonError::into_inner).last().copied()
    }

    pub(super) fn observations(&self) -> Vec<Observation> {
        self.seen.observations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The instance was away on purpose until now.
    pub(super) fn excuse(&self, now: Moment) {
        self.seen.heard_us.fetch_max(now.0, Ordering::Relaxed);
    }

    /// Says so if the instance has been silent for too long, to the watcher and to the crowd.
    pub(super) fn silence(&self, now: Moment, crowd_heard: Moment) -> Option<String> {
        let heard_us = self.seen.heard_us.load(Ordering::Relaxed).max(crowd_heard.0);
        let silent_us = now.0.saturating_sub(heard_us);
        (u128::from(silent_us) > SILENCE_MAX.as_micros())
            .then(|| format!("the instance has not answered for {} s", silent_us / 1_000_000))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}
