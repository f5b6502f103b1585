//! How far a follower is behind the ledger, and a receiver of events also behind the payments, for people and alerts: in events, and in the
//! time since it had delivered everything.
//! Every process measures it, whichever of them delivers. Nothing waits for it.

use super::follower_progress::FollowerProgress;
use crate::store::Store;
pub use crate::store::event_receivers::UndeliveredPayments;
use crate::telemetry::metrics::Gauge;
use engine::SaleViews;
use sale::Timestamp;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub const MEASURE_INTERVAL: Duration = Duration::from_millis(MEASURE_INTERVAL_MS.unsigned_abs());
const MEASURE_INTERVAL_MS: i64 = 1_000;

/// Steps of payments without a number that are counted: each process counts them once a second.
const COUNTED_MAX: u32 = 10_000;

/// Moments that are kept. When there are more, every other one is dropped, and from then on they are twice as far apart: a lag
/// of hours is measured less finely.
const MOMENTS_MAX: usize = 512;

/// The last measurement; clones share it.
#[derive(Clone, Debug, Default)]
pub struct FollowerLag {
    /// Events that are not delivered yet.
    pub events: Gauge,
    /// Seconds since everything was delivered.
    pub seconds: Gauge,
    history: Arc<Mutex<LagHistory>>,
}

impl FollowerLag {
    /// A lag that is shown by these gauges.
    #[must_use]
    pub fn new(events: Gauge, seconds: Gauge) -> Self {
        Self { events, seconds, history: Arc::default() }
    }

    /// Measures, with the steps of payments that a receiver has not delivered; any other follower has none.
    pub fn measure(
        &self,
        views: &SaleViews,
        progress: &FollowerProgress,
        payments: UndeliveredPayments,
        now: Timestamp,
    ) {
        let published = views.list().iter().map(|view| view.seq.0).sum::<u64>();
        let behind = progress.count_behind(views);
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let since = history.record(now, published, published.saturating_sub(behind));
        let ms = if behind == 0 { 0 } else { now.ms_since(since).max(0) };
        let payments_ms = payments.since.map_or(0, |since| now.ms_since(since));
        self.events.set(i64::try_from(behind.saturating_add(payments.count)).unwrap_or(i64::MAX));
        self.seconds.set(ms.max(payments_ms) / 1000);
    }
}

/// The steps of payments that a receiver of events has not delivered; none while the tables do not answer, which is logged elsewhere.
pub async fn find_undelivered_payments(store: &Store, receiver: &str) -> UndeliveredPayments {
    crate::store::event_receivers::find_undelivered(store, receiver, COUNTED_MAX).await.unwrap_or_default()
}

/// How many events there were at which moments, oldest first.
#[derive(Debug, Default)]
struct LagHistory {
    moments: VecDeque<(Timestamp, u64)>,
    spacing_ms: i64,
}

impl LagHistory {
    /// Records how many events there are, and returns when there were no more than `delivered`, or the first moment that is kept.
    fn record(&mut self, now: Timestamp, published: u64, delivered: u64) -> Timestamp {
        if self.moments.len() >= MOMENTS_MAX {
            let mut is_kept = false;
            self.moments.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            self.spacing_ms = (self.spacing_ms * 2).max(2 * MEASURE_INTERVAL_MS);
        }
        if self.moments.back().is_none_or(|(last, _)| now.ms_since(*last) >= self.spacing_ms) {
            self.moments.push_back((now, published));
        }
        // Older moments are not needed any more.
        while self.moments.get(1).is_some_and(|(_, published)| *published <= delivered) {
            self.moments.pop_front();
        }
        if self.moments.len() == 1 {
            self.spacing_ms = 0;
        }
        self.moments.front().map_or(now, |(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_000_000);

    #[test]
    fn steps_of_payments_that_wait_are_part_of_the_lag() {
        let (lag, views, progress) =
            (FollowerLag::default(), SaleViews::default(), FollowerProgress::default());
        let payments = UndeliveredPayments { count: 3, since: Some(START) };
        lag.measure(&views, &progress, payments, START.plus_s(9));
        assert_eq!((lag.events.get(), lag.seconds.get()), (3, 9));
        lag.measure(&views, &progress, UndeliveredPayments::default(), START.plus_s(10));
        assert_eq!((lag.events.get(), lag.seconds.get()), (0, 0));
    }

    #[test]
    fn a_follower_that_keeps_up_is_not_behind_however_much_happens() {
        let mut history = LagHistory::default();
        for second in 0..2_000 {
            let now = START.plus_s(second);
            let published = u64::from(second) * 1_000;
            assert_eq!(history.record(now, published, published), now);
            assert_eq!(history.moments.len(), 1);
        }
    }

    #[test]
    fn the_lag_is_the_time_since_there_was_no_more_than_is_delivered() {
        let mut history = LagHistory::default();
        for second in 0..100_u32 {
            history.record(START.plus_s(second), u64::from(second) * 10, 0);
        }
        // 99 seconds have passed, and the follower is where the ledger was after 40.
        assert_eq!(history.record(START.plus_s(100), 1_000, 405), START.plus_s(40));
        assert_eq!(history.record(START.plus_s(101), 1_000, 1_000), START.plus_s(101));
    }

    #[test]
    fn a_lag_of_hours_is_bounded_in_memory_and_measured_less_finely() {
        let mut history = LagHistory::default();
        let day_s = 86_400;
        for second in 0..day_s {
            let since = history.record(START.plus_s(second), u64::from(second) + 1, 1);
            assert_eq!(since, START, "after {second} s");
            assert!(history.moments.len() <= MOMENTS_MAX);
        }
        let since = history.record(START.plus_s(day_s), u64::from(day_s), u64::from(day_s) / 2);
        let lag_s = START.plus_s(day_s).ms_since(since) / 1000;
        assert!((42_000..=45_000).contains(&lag_s), "{lag_s}");
    }
}
