//! The metrics of sockets. No buyer and no address is named in a label.

use super::metrics::ServerMetrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// Counts sockets and what is sent to them; clones share them.
#[derive(Clone, Debug, Default)]
pub struct SocketMetrics {
    /// Sockets that are open now.
    pub open: Gauge,
    refused: Family<ReasonLabels, Counter>,
    sent: Family<UpdateLabels, Counter>,
    dropped: Counter,
    /// Events read from the ledger for them.
    pub followed: Counter,
    /// Times that the ledger could not be read for them.
    failures: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpdateLabels {
    event: &'static str,
}

impl SocketMetrics {
    /// Counts failures with the counter of the follower that reads the ledger for sockets.
    #[must_use]
    pub fn with_failures(failures: Counter) -> Self {
        Self { failures, ..Self::default() }
    }

    /// Adds them to `metrics`.
    pub fn register(&self, metrics: &ServerMetrics) {
        metrics.register("sockets_open", "Sockets that are open", self.open.clone());
        metrics.register("sockets_refused", "Sockets that were refused", self.refused.clone());
        metrics.register("socket_updates_sent", "Updates handed to sockets", self.sent.clone());
        metrics.register(
            "socket_updates_dropped",
            "Updates that a socket had no room for, because its client does not read",
            self.dropped.clone(),
        );
        metrics.register("live_events", "Events read from the ledger for sockets", self.followed.clone());
        metrics.register(
            "live_failures",
            "Times that the ledger could not be read for sockets",
            self.failures.clone(),
        );
    }

    /// Adds those of the dialect `turnstile` to `metrics`.
    pub fn register_turnstile(&self, metrics: &ServerMetrics) {
        metrics.register(
            "turnstile_sockets_open",
            "Sockets of the turnstile that are open",
            self.open.clone(),
        );
        metrics.register(
            "turnstile_sockets_refused",
            "Sockets of the turnstile that were refused",
            self.refused.clone(),
        );
        metrics.register(
            "turnstile_updates_sent",
            "Updates handed to sockets of the turnstile",
            self.sent.clone(),
        );
        metrics.register(
            "turnstile_updates_dropped",
            "Updates that a socket of the turnstile had no room for, because its client does not read",
            self.dropped.clone(),
        );
    }

    /// Counts a socket that was refused.
    pub fn count_refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts an update for so many sockets, and how many of them had a full buffer.
    pub fn count_sent(&self, event: &'static str, sockets: usize, dropped: usize) {
        let sent = u64::try_from(sockets.saturating_sub(dropped)).unwrap_or(u64::MAX);
        self.sent.get_or_create(&UpdateLabels { event }).inc_by(sent);
        self.dropped.inc_by(u64::try_from(dropped).unwrap_or(u64::MAX));
    }
}
