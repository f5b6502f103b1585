//! The metrics of purchases. No buyer and no sale is named in a label.

use super::metrics::ServerMetrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// Counts purchases by what came of them; clones share the counters.
#[derive(Clone, Debug, Default)]
pub struct PurchaseMetrics {
    purchases: Family<PurchaseLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PurchaseLabels {
    outcome: &'static str,
}

impl PurchaseMetrics {
    /// Adds them to `metrics`.
    pub fn register(&self, metrics: &ServerMetrics) {
        metrics.register(
            "purchases",
            "Purchases that were asked for: held, sold, repeated, failed, or the code of their refusal",
            self.purchases.clone(),
        );
    }

    /// Counts a purchase.
    pub fn count(&self, outcome: &'static str) {
        self.purchases.get_or_create(&PurchaseLabels { outcome }).inc();
    }
}
