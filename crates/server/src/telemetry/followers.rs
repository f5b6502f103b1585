//! The metrics of the ledger's followers, the same for every follower and labelled with its name.

use super::metrics::{Counter, Gauge, ServerMetrics};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;

/// The metrics of all followers of this process.
#[derive(Clone, Debug, Default)]
pub struct FollowerMetricFamilies {
    lag_events: Family<FollowerLabels, Gauge>,
    lag_seconds: Family<FollowerLabels, Gauge>,
    deliveries: Family<DeliveryLabels, Counter>,
}

/// The metrics of one follower; clones share them.
#[derive(Clone, Debug, Default)]
pub struct FollowerMetrics {
    pub lag_events: Gauge,
    pub lag_seconds: Gauge,
    /// Batches that were delivered.
    pub delivered: Counter,
    /// Times that a batch could not be read or delivered.
    pub failed: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FollowerLabels {
    follower: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    follower: &'static str,
    outcome: &'static str,
}

impl FollowerMetricFamilies {
    pub fn register(&self, metrics: &ServerMetrics) {
        metrics.register(
            "follower_lag_events",
            "Events that a follower has not delivered yet",
            self.lag_events.clone(),
        );
        metrics.register(
            "follower_lag_seconds",
            "Time since a follower had delivered everything",
            self.lag_seconds.clone(),
        );
        metrics.register("follower_deliveries", "Batches of a follower, by outcome", self.deliveries.clone());
    }

    /// The metrics of the follower with this name.
    #[must_use]
    pub fn for_follower(&self, follower: &'static str) -> FollowerMetrics {
        let deliveries = |outcome| self.deliveries.get_or_create_owned(&DeliveryLabels { follower, outcome });
        FollowerMetrics {
            lag_events: self.lag_events.get_or_create_owned(&FollowerLabels { follower }),
            lag_seconds: self.lag_seconds.get_or_create_owned(&FollowerLabels { follower }),
            delivered: deliveries("delivered"),
            failed: deliveries("failed"),
        }
    }
}
