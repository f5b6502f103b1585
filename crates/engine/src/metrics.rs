//! The pipeline's metrics. Nothing is decided by them.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Clones share the metrics.
#[derive(Clone, Debug)]
pub struct PipelineMetrics {
    pub batch_len: Histogram,
    /// Seconds spent deciding a batch.
    pub decide_s: Histogram,
    /// Seconds spent recording a batch.
    pub record_s: Histogram,
    pub events: Counter,
    /// Batches whose recording failed.
    pub record_failures: Counter,
    /// Times that the state was discarded and folded from the ledger.
    pub rebuilds: Counter,
    /// Requests refused because the pipeline was full.
    pub overloads: Counter,
    /// Requests that wait to be decided.
    pub waiting: Gauge,
    /// 1 while the ledger takes records, 0 while it does not.
    pub recording: Gauge,
    /// 1 while the decision store answers, 0 while it does not.
    pub deciding: Gauge,
    /// 1 when another instance has claimed the ledger: this one decides nothing any more.
    pub taken_over: Gauge,
    /// 1 when damage of stored data was met: nothing is recorded until the next start.
    pub damaged: Gauge,
    /// Requests that were decided again, because they had been decided under an epoch that was over.
    pub redone: Counter,
    /// Events recorded that another process had decided and left in the outbox.
    pub recovered: Counter,
}

impl Default for PipelineMetrics {
    fn default() -> Self {
        // 50 µs to 1.6 s.
        let seconds = || Histogram::new(exponential_buckets(0.000_05, 2.0, 16));
        Self {
            batch_len: Histogram::new(exponential_buckets(1.0, 2.0, 13)),
            decide_s: seconds(),
            record_s: seconds(),
            events: Counter::default(),
            record_failures: Counter::default(),
            rebuilds: Counter::default(),
            overloads: Counter::default(),
            waiting: Gauge::default(),
            recording: Gauge::default(),
            deciding: Gauge::default(),
            taken_over: Gauge::default(),
            damaged: Gauge::default(),
            redone: Counter::default(),
            recovered: Counter::default(),
        }
    }
}

impl PipelineMetrics {
    /// Registers the metrics as `pipeline_…`.
    pub fn register(&self, registry: &mut Registry) {
        let pipeline = registry.sub_registry_with_prefix("pipeline");
        pipeline.register("batch_len", "Requests decided together", self.batch_len.clone());
        pipeline.register_with_unit("decide", "Time to decide a batch", Unit::Seconds, self.decide_s.clone());
        pipeline.register_with_unit(
            "record",
            "Time to make a batch durable",
            Unit::Seconds,
            self.record_s.clone(),
        );
        pipeline.register("events", "Events recorded", self.events.clone());
        pipeline.register(
            "record_failures",
            "Batches that could not be recorded",
            self.record_failures.clone(),
        );
        pipeline.register(
            "rebuilds",
            "Times that state was folded anew from the ledger",
            self.rebuilds.clone(),
        );
        pipeline.register(
            "overloads",
            "Requests refused because the pipeline was full",
            self.overloads.clone(),
        );
        pipeline.register("waiting", "Requests that wait to be decided", self.waiting.clone());
        pipeline.register("recording", "1 while the ledger takes records", self.recording.clone());
        pipeline.register("deciding", "1 while the decision store answers", self.deciding.clone());
        pipeline.register(
            "redone",
            "Requests decided again, because the state that they were decided from was over",
            self.redone.clone(),
        );
        pipeline.register(
            "recovered",
            "Events recorded that another process had decided and left behind",
            self.recovered.clone(),
        );
        pipeline.register(
            "taken_over",
            "1 when another instance has taken over the ledger",
            self.taken_over.clone(),
        );
        pipeline.register(
            "damaged",
            "1 when damage of stored data was met: nothing is recorded until the next start",
            self.damaged.clone(),
        );
    }
}
