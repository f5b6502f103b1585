//! How long this process takes to answer, for the admin's page: counts by duration, which only grow. The difference of two readings is
//! what happened between them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bounds in seconds: 0.25 ms to 10 s, dense where a purchase should be (p99 ≤ 15 ms).
pub const BOUNDS_S: [f64; 14] =
    [0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 1.0, 3.0, 10.0];

/// Replies by duration: one count for each bound (up to and with it), and one for what is longer than all.
pub type LatencyCounts = [u64; BOUNDS_S.len() + 1];

/// The counts of one route.
#[derive(Debug, Default)]
pub struct LatencyHistogram([AtomicU64; BOUNDS_S.len() + 1]);

impl LatencyHistogram {
    pub fn observe(&self, seconds: f64) {
        let slot = BOUNDS_S.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.0.get(slot) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts as they are now.
    #[must_use]
    pub fn counts(&self) -> LatencyCounts {
        std::array::from_fn(|slot| self.0[slot].load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_counted_at_the_first_bound_that_it_does_not_exceed() {
        let latency = LatencyHistogram::default();
        for seconds in [0.0001, 0.00025, 0.0003, 9.9, 11.0] {
            latency.observe(seconds);
        }
        let counts = latency.counts();
        assert_eq!((counts[0], counts[1], counts[13], counts[14]), (2, 1, 1, 1));
        assert_eq!(counts.iter().sum::<u64>(), 5);
    }
}
