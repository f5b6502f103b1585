//! Polls the sale's overview as the admin, and keeps the samples. One poll at a time, so that the samples have an
//! order.

use crate::clock::RunClock;
use crate::judge::StockSample;
use crate::merchant::MerchantClient;
use crate::observations::RunInstant;
use sale::SaleId;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// An instance without any reply for this long counts as dead.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// Observations that are kept: nearly three hours of them.
const SAMPLES_MAX: usize = 20_000;

/// Polls until it is stopped or dropped.
pub(super) struct StockSampler {
    state: Arc<SamplerState>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct SamplerState {
    samples: Mutex<Vec<StockSample>>,
    /// When the last poll got its reply, in microseconds of the stopwatch.
    last_reply_us: AtomicU64,
}

impl StockSampler {
    pub(super) fn start(merchant: Arc<MerchantClient>, sale: SaleId, watch: RunClock) -> Self {
        let seen = Arc::new(SamplerState::default());
        seen.last_reply_us.store(watch.now().0, Ordering::Relaxed);
        let keeps = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                if let Ok(overview) = merchant.load_overview(sale, &watch).await {
                    keeps.last_reply_us.store(watch.now().0, Ordering::Relaxed);
                    let mut observations = keeps.samples.lock().unwrap_or_else(PoisonError::into_inner);
                    if observations.len() < SAMPLES_MAX {
                        observations.push(overview.stock);
                    }
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        });
        Self { state: seen, task }
    }

    pub(super) fn stop(&self) {
        self.task.abort();
    }

    pub(super) fn latest(&self) -> Option<StockSample> {
        self.state.samples.lock().unwrap_or_else(PoisonError::into_inner).last().copied()
    }

    pub(super) fn samples(&self) -> Vec<StockSample> {
        self.state.samples.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The instance was away on purpose until now.
    pub(super) fn reset_silence(&self, now: RunInstant) {
        self.state.last_reply_us.fetch_max(now.0, Ordering::Relaxed);
    }

    /// The reason to stop, if the instance has been silent for too long, for both the sampler and the crowd.
    pub(super) fn check_silence(&self, now: RunInstant, crowd_heard: RunInstant) -> Option<String> {
        let heard_us = self.state.last_reply_us.load(Ordering::Relaxed).max(crowd_heard.0);
        let silent_us = now.0.saturating_sub(heard_us);
        (u128::from(silent_us) > SILENCE_MAX.as_micros())
            .then(|| format!("the instance has not answered for {} s", silent_us / 1_000_000))
    }
}

impl Drop for StockSampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}
