//! The metrics of webhooks. No endpoint and no event is named in a label.

use super::metrics::ServerMetrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// Counts tries and deliveries; clones share them.
#[derive(Clone, Debug, Default)]
pub struct WebhookMetrics {
    deliveries: Family<TryLabels, Counter>,
    disabled: Counter,
    pending: Gauge,
    in_flight: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TryLabels {
    outcome: &'static str,
}

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryOutcome {
    Delivered,
    /// It is tried again.
    Retried,
    /// It was the last try.
    GaveUp,
}

impl TryOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::GaveUp => "gave_up",
        }
    }
}

impl WebhookMetrics {
    /// Adds them to `metrics`.
    pub fn register(&self, metrics: &ServerMetrics) {
        for outcome in [TryOutcome::Delivered, TryOutcome::Retried, TryOutcome::GaveUp] {
            drop(self.deliveries.get_or_create(&TryLabels { outcome: outcome.as_str() }));
        }
        metrics.register(
            "webhook_deliveries",
            "Tries to deliver an event to an endpoint, by what came of them",
            self.deliveries.clone(),
        );
        metrics.register(
            "webhook_endpoints_disabled",
            "Endpoints that were disabled because they failed or were gone",
            self.disabled.clone(),
        );
        metrics.register(
            "webhook_deliveries_pending",
            "Deliveries that wait for their first or next try, counted up to 100,000, where this process sends",
            self.pending.clone(),
        );
        metrics.register(
            "webhook_deliveries_in_flight",
            "Deliveries that wait for a reply",
            self.in_flight.clone(),
        );
    }

    /// Counts a try.
    pub fn count_try(&self, outcome: TryOutcome) {
        self.deliveries.get_or_create(&TryLabels { outcome: outcome.as_str() }).inc();
    }

    /// Counts an endpoint that was disabled.
    pub fn count_disabled(&self) {
        self.disabled.inc();
    }

    /// Sets how many deliveries wait.
    pub fn set_pending(&self, pending: u64) {
        self.pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
    }

    /// Sets how many deliveries wait for a reply.
    pub fn set_in_flight(&self, in_flight: usize) {
        self.in_flight.set(i64::try_from(in_flight).unwrap_or(i64::MAX));
    }
}
