//! The lag of the tables behind the ledger, for health checks and alerts: in events and in seconds. Every process measures it, whichever of
//! them writes the tables. Nothing waits for it.

use super::projected_offsets::ProjectedOffsets;
use crate::telemetry::metrics::Gauge;
use engine::SaleViews;
use sale::Timestamp;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub const MEASURE_EVERY: Duration = Duration::from_millis(MEASURE_EVERY_MS.unsigned_abs());
const MEASURE_EVERY_MS: i64 = 1_000;

/// Moments that are remembered. When there are more, every other one is forgotten, and from then on they are twice as far apart:
/// a lag of hours is less precise.
const MOMENTS_MAX: usize = 512;

/// The last measurement; clones share it.
#[derive(Clone, Debug, Default)]
pub struct TableLag {
    /// Events that the tables do not show yet.
    pub events: Gauge,
    /// Seconds since the tables showed everything.
    pub seconds: Gauge,
    history: Arc<Mutex<LagHistory>>,
}

impl TableLag {
    pub fn measure(&self, views: &SaleViews, projected: &ProjectedOffsets, now: Timestamp) {
        let published = views.list().iter().map(|view| view.seq.0).sum::<u64>();
        let behind = projected.count_behind(views);
        let mut past = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let since = past.record(now, published, published.saturating_sub(behind));
        let ms = if behind == 0 { 0 } else { now.ms_since(since).max(0) };
        self.events.set(i64::try_from(behind).unwrap_or(i64::MAX));
        self.seconds.set(ms / 1000);
    }
}

/// How many events there were at which moments, oldest first.
#[derive(Debug, Default)]
struct LagHistory {
    moments: VecDeque<(Timestamp, u64)>,
    spacing_ms: i64,
}

impl LagHistory {
    /// Notes how many events there are, and tells when there were no more than `shown`, or the first moment that is known.
    fn record(&mut self, now: Timestamp, published: u64, shown: u64) -> Timestamp {
        if self.moments.len() >= MOMENTS_MAX {
            let mut keeps = false;
            self.moments.retain(|_| {
                keeps = !keeps;
                keeps
            });
            self.spacing_ms = (self.spacing_ms * 2).max(2 * MEASURE_EVERY_MS);
        }
        if self.moments.back().is_none_or(|(last, _)| now.ms_since(*last) >= self.spacing_ms) {
            self.moments.push_back((now, published));
        }
        // What is older than that moment is of no more use.
        while self.moments.get(1).is_some_and(|(_, published)| *published <= shown) {
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
    fn tables_that_keep_up_are_not_behind_however_much_happens() {
        let mut past = LagHistory::default();
        for second in 0..2_000 {
            let now = START.plus_s(second);
            let published = u64::from(second) * 1_000;
            assert_eq!(past.record(now, published, published), now);
            assert_eq!(past.moments.len(), 1);
        }
    }

    #[test]
    fn the_lag_is_the_time_since_there_was_no_more_than_is_shown() {
        let mut past = LagHistory::default();
        for second in 0..100_u32 {
            past.record(START.plus_s(second), u64::from(second) * 10, 0);
        }
        // 99 seconds have gone by, and the tables are where the ledger was after 40.
        assert_eq!(past.record(START.plus_s(100), 1_000, 405), START.plus_s(40));
        assert_eq!(past.record(START.plus_s(101), 1_000, 1_000), START.plus_s(101));
    }

    #[test]
    fn a_lag_of_hours_is_bounded_in_memory_and_told_less_finely() {
        let mut past = LagHistory::default();
        let day_s = 86_400;
        for second in 0..day_s {
            let since = past.record(START.plus_s(second), u64::from(second) + 1, 1);
            assert_eq!(since, START, "after {second} s");
            assert!(past.moments.len() <= MOMENTS_MAX);
        }
        let since = past.record(START.plus_s(day_s), u64::from(day_s), u64::from(day_s) / 2);
        let told_s = START.plus_s(day_s).ms_since(since) / 1000;
        assert!((42_000..=45_000).contains(&told_s), "{told_s}");
    }
}
