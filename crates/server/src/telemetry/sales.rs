//! The counters of sales as gauges, read from the published views at each scrape: nothing is counted twice, and a sale that is
//! over costs nothing.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;

/// The counters of one sale.
#[derive(Clone, Debug)]
pub struct SaleGauges {
    pub sale: String,
    /// In the order of [`SALE_GAUGES`].
    pub values: [i64; SALE_GAUGES.len()],
}

/// The gauges of a sale and what they mean.
pub const SALE_GAUGES: [(&str, &str); 7] = [
    ("quantity", "Units of the sale"),
    ("available", "Units that are free"),
    ("admitted", "Units set aside for buyers whose turn it is"),
    ("held", "Units held for payment"),
    ("sold", "Units sold"),
    ("waiting", "Buyers in line"),
    ("version", "Number of the sale's last event"),
];

type SaleGaugesReader = Box<dyn Fn() -> Vec<SaleGauges> + Send + Sync>;

/// Reads the counters of all sales.
pub struct SalesCollector {
    sales: SaleGaugesReader,
}

impl SalesCollector {
    /// Reads them with `sales`.
    #[must_use]
    pub fn new(sales: impl Fn() -> Vec<SaleGauges> + Send + Sync + 'static) -> Self {
        Self { sales: Box::new(sales) }
    }
}

impl fmt::Debug for SalesCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SalesCollector")
    }
}

impl Collector for SalesCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let sales = (self.sales)();
        for (at, (name, help)) in SALE_GAUGES.iter().enumerate() {
            let kind = ConstGauge::new(0_i64).metric_type();
            let name = format!("sale_{name}");
            let mut gauge = encoder.encode_descriptor(&name, help, None, kind)?;
            for row in &sales {
                let value = ConstGauge::new(row.values[at]);
                value.encode(gauge.encode_family(&[("sale", row.sale.as_str())])?)?;
            }
        }
        Ok(())
    }
}
