//! Metrics in the OpenMetrics text format, served on an address of their own. Handles are made once, at the start: a
//! request on a hot route hashes no label and allocates nothing here.

use super::latency::{BOUNDS_S, LatencyHistogram};
use super::sales::{SaleGauges, SalesCollector};
use prometheus_client::encoding::{EncodeLabelSet, text};
pub use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Every metric of this process.
#[derive(Debug)]
pub struct ServerMetrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    problems: Family<CodeLabels, Counter>,
    limited: Family<ClassLabels, Counter>,
    shed: Family<ClassLabels, Counter>,
    latencies: Mutex<HashMap<RouteLabels, Arc<LatencyHistogram>>>,
    /// Requests being answered now.
    pub in_flight: Gauge,
    pub connections: Gauge,
    limited_connections: Family<ReasonLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabels {
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

impl Default for ServerMetrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("doorbuster")),
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BOUNDS_S)),
            problems: Family::default(),
            limited: Family::default(),
            shed: Family::default(),
            latencies: Mutex::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            limited_connections: Family::default(),
        };
        metrics.register("http_requests", "HTTP requests answered", metrics.requests.clone());
        metrics.register("http_request_seconds", "Time to answer a HTTP request", metrics.seconds.clone());
        metrics.register("http_in_flight", "HTTP requests being answered", metrics.in_flight.clone());
        metrics.register("http_connections", "Open connections", metrics.connections.clone());
        metrics.register(
            "http_connections_limited",
            "Connections above a limit, on which only probes were answered",
            metrics.limited_connections.clone(),
        );
        metrics.register("problems", "Refusals and failures answered, by code", metrics.problems.clone());
        metrics.register("limited", "Requests over a limit, by its class", metrics.limited.clone());
        metrics.register(
            "requests_shed",
            "Requests that a busy server refused before others, by their class",
            metrics.shed.clone(),
        );
        metrics
    }
}

impl ServerMetrics {
    /// Adds a metric to what is served. Keep a clone of it to count with.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).register(name, help, metric);
    }

    /// Lets a crate that has metrics of its own add them.
    pub fn with_registry(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Shows the counters of all sales as they are at each scrape.
    pub fn register_sale_gauges(&self, sales: impl Fn() -> Vec<SaleGauges> + Send + Sync + 'static) {
        self.with_registry(|registry| registry.register_collector(Box::new(SalesCollector::new(sales))));
    }

    /// The counter of requests over the limit of this class.
    #[must_use]
    pub fn limited_counter(&self, class: &'static str) -> Counter {
        self.limited.get_or_create_owned(&ClassLabels { class })
    }

    /// The counter of requests of this class that a busy server refused.
    #[must_use]
    pub fn shed_counter(&self, class: &'static str) -> Counter {
        self.shed.get_or_create_owned(&ClassLabels { class })
    }

    /// The handles of one method of one route.
    #[must_use]
    pub fn route_metrics(&self, method: &'static str, route: &str) -> RouteMetrics {
        let labels = RouteLabels { method, route: route.to_owned() };
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        RouteMetrics {
            latency: Arc::clone(latencies.entry(labels.clone()).or_default()),
            seconds: self.seconds.get_or_create_owned(&labels),
            requests: self.requests.clone(),
            counters: Default::default(),
            route: route.into(),
            labels,
        }
    }

    /// How long answers of one method of one route took; `None` when there is no such route.
    #[must_use]
    pub fn route_latency(&self, method: &'static str, route: &str) -> Option<Arc<LatencyHistogram>> {
        let labels = RouteLabels { method, route: route.to_owned() };
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).get(&labels).cloned()
    }

    /// Counts a connection above a limit.
    pub fn count_limited_connection(&self, reason: &'static str) {
        self.limited_connections.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// The counter of refusals and failures with this code.
    #[must_use]
    pub fn problem_counter(&self, code: &'static str) -> Counter {
        self.problems.get_or_create_owned(&CodeLabels { code })
    }

    /// All metrics as text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(16 * 1024);
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a String cannot fail.
        let _ = text::encode(&mut out, &registry);
        out
    }
}

/// Statuses that have a counter of their own in every route; any other is found by its label.
const STATUSES: [u16; 24] = [
    200, 201, 202, 204, 303, 304, 400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 415, 422, 425, 429, 500,
    501, 503, 504,
];

/// The index in [`STATUSES`] of each status, by status minus 200; `u8::MAX` for the rest.
const STATUS_INDEX: [u8; 400] = {
    let mut index = [u8::MAX; 400];
    let mut at: u8 = 0;
    while (at as usize) < STATUSES.len() {
        index[STATUSES[at as usize] as usize - 200] = at;
        at += 1;
    }
    index
};

/// Counts the requests of one method of one route.
#[derive(Debug)]
pub struct RouteMetrics {
    route: Arc<str>,
    labels: RouteLabels,
    requests: Family<RequestLabels, Counter>,
    counters: [OnceLock<Counter>; STATUSES.len()],
    seconds: Histogram,
    latency: Arc<LatencyHistogram>,
}

impl RouteMetrics {
    pub fn observe(&self, status: u16, seconds: f64) {
        self.seconds.observe(seconds);
        self.latency.observe(seconds);
        let index = STATUS_INDEX.get(usize::from(status).wrapping_sub(200)).copied().unwrap_or(u8::MAX);
        match self.counters.get(usize::from(index)) {
            Some(counter) => counter.get_or_init(|| self.counter(status)).inc(),
            None => self.counter(status).inc(),
        };
    }

    /// The route, as the router writes it.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.route
    }

    /// The same, to keep.
    #[must_use]
    pub fn shared_route(&self) -> Arc<str> {
        Arc::clone(&self.route)
    }

    fn counter(&self, status: u16) -> Counter {
        let RouteLabels { method, route } = self.labels.clone();
        self.requests.get_or_create_owned(&RequestLabels { method, route, status })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_method_and_status() {
        let metrics = ServerMetrics::default();
        let route = metrics.route_metrics("POST", "/api/v1/orders");
        for status in [201, 201, 409, 418] {
            route.observe(status, 0.003);
        }
        let text = metrics.encode();
        let line = |status, count| {
            format!(
                r#"doorbuster_http_requests_total{{method="POST",route="/api/v1/orders",status="{status}"}} {count}"#
            )
        };
        for expected in [line(201, 2), line(409, 1), line(418, 1)] {
            assert!(text.contains(&expected), "{expected} in\n{text}");
        }
        assert!(
            text.contains(r#"http_request_seconds_count{method="POST",route="/api/v1/orders"} 4"#),
            "{text}"
        );
    }
}
