//! The metrics of mails. No address is named in a label.

use super::metrics::ServerMetrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// Counts mails; clones share the counters.
#[derive(Clone, Debug, Default)]
pub struct MailMetrics {
    mails: Family<MailLabels, Counter>,
    waiting: Gauge,
    oldest_seconds: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MailLabels {
    outcome: &'static str,
}

impl MailMetrics {
    /// Adds them to `metrics`.
    pub fn register(&self, metrics: &ServerMetrics) {
        metrics.register("mails", "Tries to send a mail, by what became of it", self.mails.clone());
        metrics.register(
            "mails_waiting",
            "Mails that are to be sent, counted up to 10,000",
            self.waiting.clone(),
        );
        metrics.register(
            "mails_oldest_seconds",
            "Time for which the mail has been due that has been due longest",
            self.oldest_seconds.clone(),
        );
    }

    /// Counts mails by what became of them.
    pub fn count(&self, outcome: &'static str, mails: usize) {
        if mails > 0 {
            self.mails.get_or_create(&MailLabels { outcome }).inc_by(mails as u64);
        }
    }

    /// Sets how many mails wait, and for how long the oldest of those that are due has been due.
    pub fn set_waiting(&self, mails: i64, oldest_ms: i64) {
        self.waiting.set(mails);
        self.oldest_seconds.set(oldest_ms.max(0) / 1_000);
    }
}
