//! The metrics of the Valkey or Redis that instances share.

use super::metrics::{Gauge, ServerMetrics};

/// The memory of the server; clones share the gauges.
#[derive(Clone, Debug, Default)]
pub struct ValkeyMemoryGauges {
    used: Gauge,
    limit: Gauge,
}

impl ValkeyMemoryGauges {
    /// Adds them to `metrics`.
    pub fn register(&self, metrics: &ServerMetrics) {
        metrics.register(
            "valkey_memory_used_bytes",
            "Memory that the Valkey uses; 0 while it does not answer",
            self.used.clone(),
        );
        metrics.register(
            "valkey_memory_limit_bytes",
            "Memory that the Valkey may use (maxmemory); 0 without a limit, or while it does not answer",
            self.limit.clone(),
        );
    }

    /// Shows what a server uses, and may use.
    pub fn set(&self, used_bytes: u64, limit_bytes: u64) {
        self.used.set(i64::try_from(used_bytes).unwrap_or(i64::MAX));
        self.limit.set(i64::try_from(limit_bytes).unwrap_or(i64::MAX));
    }
}
