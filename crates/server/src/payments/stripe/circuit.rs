//! The circuit before Stripe's API: after repeated failures no request is sent for a while, then a single one tries again. Pure: the time is
//! an argument. It never knows what a request is about.

use sale::Timestamp;

/// Failures in a row that open the circuit.
const FAILURES_MAX: u32 = 5;

/// How long an open circuit lets nothing through, in milliseconds; doubled with each failed try.
const PAUSE_MS_MIN: i64 = 2_000;
const PAUSE_MS_MAX: i64 = 60_000;

/// Counts failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CircuitBreaker {
    state: CircuitState,
    failures: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CircuitState {
    #[default]
    Closed,
    Open {
        since: Timestamp,
        pause_ms: i64,
        try_at: Timestamp,
        /// A request was let through and has not come back.
        is_trying: bool,
    },
}

impl CircuitBreaker {
    /// Whether a request may be sent now. While the circuit is open, one request for each pause may, and the others may not.
    pub fn admit(&mut self, now: Timestamp) -> bool {
        match &mut self.state {
            CircuitState::Closed => true,
            CircuitState::Open { try_at, .. } if now < *try_at => false,
            CircuitState::Open { pause_ms, try_at, is_trying, .. } => {
                *try_at = now.plus_ms(*pause_ms);
                *is_trying = true;
                true
            }
        }
    }

    /// Stripe answered, whatever it said. True when the circuit was open before.
    pub fn record_reply(&mut self) -> bool {
        let was_open = self.open_since().is_some();
        *self = Self::default();
        was_open
    }

    /// There was no answer, or one that says that Stripe cannot answer now. True when that opens the circuit.
    pub fn record_failure(&mut self, now: Timestamp) -> bool {
        self.failures = self.failures.saturating_add(1);
        match self.state {
            CircuitState::Closed if self.failures < FAILURES_MAX => false,
            CircuitState::Closed => {
                let try_at = now.plus_ms(PAUSE_MS_MIN);
                self.state =
                    CircuitState::Open { since: now, pause_ms: PAUSE_MS_MIN, try_at, is_trying: false };
                true
            }
            CircuitState::Open { since, pause_ms, is_trying: true, .. } => {
                let pause_ms = pause_ms.saturating_mul(2).min(PAUSE_MS_MAX);
                let try_at = now.plus_ms(pause_ms);
                self.state = CircuitState::Open { since, pause_ms, try_at, is_trying: false };
                false
            }
            // It was under way when the circuit opened.
            CircuitState::Open { is_trying: false, .. } => false,
        }
    }

    /// Since when nothing is let through; `None` while the circuit is closed.
    #[must_use]
    pub fn open_since(&self) -> Option<Timestamp> {
        match self.state {
            CircuitState::Closed => None,
            CircuitState::Open { since, .. } => Some(since),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000);

    fn open_circuit() -> CircuitBreaker {
        let mut circuit = CircuitBreaker::default();
        for failure in 1..=FAILURES_MAX {
            assert!(circuit.admit(START));
            assert_eq!(circuit.record_failure(START), failure == FAILURES_MAX);
        }
        circuit
    }

    #[test]
    fn a_reply_between_failures_keeps_it_closed() {
        let mut circuit = CircuitBreaker::default();
        for _ in 0..10 {
            for _ in 1..FAILURES_MAX {
                assert!(!circuit.record_failure(START));
            }
            assert!(!circuit.record_reply());
        }
        assert_eq!(circuit.open_since(), None);
    }

    #[test]
    fn an_open_circuit_lets_one_request_through_at_a_time() {
        let mut circuit = open_circuit();
        assert_eq!(circuit.open_since(), Some(START));
        assert!(!circuit.admit(START.plus_ms(PAUSE_MS_MIN - 1)));
        let later = START.plus_ms(PAUSE_MS_MIN);
        assert!(circuit.admit(later));
        assert!(!circuit.admit(later), "the first one has not come back");
        assert!(circuit.record_reply());
        assert!(circuit.admit(later) && circuit.admit(later));
    }

    #[test]
    fn each_failed_try_doubles_the_pause_up_to_a_minute() {
        let mut circuit = open_circuit();
        let (mut now, mut pause_ms) = (START, PAUSE_MS_MIN);
        for _ in 0..10 {
            now = now.plus_ms(pause_ms);
            assert!(circuit.admit(now));
            assert!(!circuit.record_failure(now), "it was open before");
            pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
            assert!(!circuit.admit(now.plus_ms(pause_ms - 1)));
        }
        assert_eq!(circuit.open_since(), Some(START));
    }
}
