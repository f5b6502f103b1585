//! The metrics of Stripe. No payment, order or buyer is named in a label.

use super::metrics::ServerMetrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// Counts requests to Stripe and webhooks from it; clones share them.
#[derive(Clone, Debug, Default)]
pub struct StripeMetrics {
    requests: Family<StripeLabels, Counter>,
    notices: Family<StripeLabels, Counter>,
    circuit_open: Gauge,
    key_refused: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StripeLabels {
    outcome: &'static str,
}

impl StripeMetrics {
    /// Adds them to `metrics`.
    pub fn register(&self, metrics: &ServerMetrics) {
        metrics.register("stripe_requests", "Requests to Stripe's API, each try", self.requests.clone());
        metrics.register("stripe_notices", "Webhooks from Stripe", self.notices.clone());
        metrics.register(
            "stripe_circuit_open",
            "1 while Stripe is asked only now and then, because it does not answer",
            self.circuit_open.clone(),
        );
        metrics.register(
            "stripe_key_refused",
            "1 while Stripe refuses the key, or a right of it",
            self.key_refused.clone(),
        );
    }

    /// Counts a try by its outcome.
    pub fn count_request(&self, outcome: &'static str) {
        self.requests.get_or_create(&StripeLabels { outcome }).inc();
    }

    /// Counts a webhook by its outcome.
    pub fn count_notice(&self, outcome: &'static str) {
        self.notices.get_or_create(&StripeLabels { outcome }).inc();
    }

    pub fn set_circuit_open(&self, is_open: bool) {
        self.circuit_open.set(is_open.into());
    }

    pub fn set_key_refused(&self, is_refused: bool) {
        self.key_refused.set(is_refused.into());
    }
}
