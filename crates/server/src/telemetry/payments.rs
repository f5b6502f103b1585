//! The metrics of payments. No buyer, order or method is named in a label.

use super::metrics::ServerMetrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// Counts payments and refunds; clones share them.
#[derive(Clone, Debug, Default)]
pub struct PaymentMetrics {
    payments: Family<OutcomeLabels, Counter>,
    refunds: Family<OutcomeLabels, Counter>,
    settled: Counter,
    unsettled: Gauge,
    stuck: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

impl PaymentMetrics {
    /// Adds them to `metrics`.
    pub fn register(&self, metrics: &ServerMetrics) {
        metrics.register("payments", "Requests to pay", self.payments.clone());
        metrics.register("refunds", "Requests to refund", self.refunds.clone());
        metrics.register(
            "payments_settled",
            "Payments brought to their end by the reconciler",
            self.settled.clone(),
        );
        metrics.register("payments_unsettled", "Payments between two steps", self.unsettled.clone());
        metrics.register(
            "payments_stuck",
            "Payments between the same two steps for long, unless they wait for the end of a dispute",
            self.stuck.clone(),
        );
    }

    /// Counts a request to pay by its outcome.
    pub fn count_payment(&self, outcome: &'static str) {
        self.payments.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Counts a request to refund by its outcome.
    pub fn count_refund(&self, outcome: &'static str) {
        self.refunds.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Counts payments that the reconciler finished.
    pub fn count_settled(&self, payments: u32) {
        self.settled.inc_by(payments.into());
    }

    /// Sets the number of unsettled payments, including those in progress, and how many of them have been unsettled for so long
    /// that an operator should check them.
    pub fn set_unsettled(&self, all: i64, stuck: i64) {
        self.unsettled.set(all);
        self.stuck.set(stuck);
    }
}
