//! What the person on call sees: logs and metrics. Nothing here ever carries a secret, a token or an e-mail address.

pub mod followers;
pub mod latency;
pub mod logs;
pub mod mails;
pub mod metrics;
pub mod payments;
pub mod purchases;
pub mod sales;
pub mod sockets;
pub mod stripe;
pub mod valkey;
pub mod webhooks;

use std::time::Instant;

/// Measures a span of work. Besides the clock, only this reads the time.
#[derive(Debug, Clone, Copy)]
pub struct WorkTimer(Instant);

impl WorkTimer {
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "spans of work are timed in telemetry")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Seconds since the start.
    #[must_use]
    pub fn elapsed_s(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
