//! How long a follower waits after a failure: exponential backoff with jitter, so that many processes do not retry at the same
//! moment. It does not wait itself.

use std::time::Duration;

/// Gives numbers from 0 up to, not including, 1. Built in `commands`; tests give their own.
pub type RandomSource = Box<dyn FnMut() -> f64 + Send>;

/// Between which bounds the waits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffLimits {
    pub first: Duration,
    pub max: Duration,
}

/// For deliveries to other systems, which may be away for hours.
impl Default for BackoffLimits {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), max: Duration::from_secs(300) }
    }
}

impl BackoffLimits {
    /// For followers that need only the ledger and the tables. The engine uses the same disk or database, and the tables have to
    /// be current again within seconds after a failover.
    pub const OWN_STORES: Self = Self { first: Duration::from_millis(50), max: Duration::from_secs(5) };
}

/// The waits after consecutive failures.
pub struct Backoff {
    limits: BackoffLimits,
    random: RandomSource,
    failures: u32,
}

impl Backoff {
    #[must_use]
    pub fn new(limits: BackoffLimits, random: RandomSource) -> Self {
        Self { limits, random, failures: 0 }
    }

    /// The wait after one more failure: a random time between the first wait and a bound that doubles with each failure.
    pub fn next_delay(&mut self) -> Duration {
        let BackoffLimits { first, max } = self.limits;
        self.failures = self.failures.saturating_add(1);
        let bound = first.saturating_mul(1 << self.failures.min(20)).clamp(first, max);
        first + (bound - first).mul_f64((self.random)())
    }

    /// Starts again after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(limits: BackoffLimits, random: f64) -> Vec<u128> {
        let mut backoff = Backoff::new(limits, Box::new(move || random));
        (0..12).map(|_| backoff.next_delay().as_millis()).collect()
    }

    #[test]
    fn waits_grow_from_the_first_to_the_longest() {
        let longest = delays(BackoffLimits::default(), 0.999_999_999);
        assert_eq!(longest[..3], [1_999, 3_999, 7_999]);
        assert_eq!(longest[9..], [299_999, 299_999, 299_999]);
        assert!(delays(BackoffLimits::default(), 0.0).iter().all(|ms| *ms == 1_000));
        assert_eq!(delays(BackoffLimits::OWN_STORES, 0.5)[..2], [75, 125]);
    }

    #[test]
    fn a_success_starts_again_with_the_first_wait() {
        let mut backoff = Backoff::new(BackoffLimits::default(), Box::new(|| 0.5));
        let first = backoff.next_delay();
        assert!(backoff.next_delay() > first);
        backoff.reset();
        assert_eq!(backoff.next_delay(), first);
    }

    #[test]
    fn any_number_of_failures_has_a_wait() {
        let mut backoff = Backoff::new(BackoffLimits::default(), Box::new(|| 0.0));
        backoff.failures = u32::MAX;
        assert_eq!(backoff.next_delay(), Duration::from_secs(1));
    }
}
