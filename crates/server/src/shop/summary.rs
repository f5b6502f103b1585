//! Summaries of sales. A summary reads all rows of a sale, so it is cached: it is read again only when the tables show more, and at a
//! bounded rate. One is read at a time.

use super::Shop;
use super::sales::ListedSale;
use crate::store::orders::StatusTotals;
use crate::store::statistics::{self, SaleStatistics};
use crate::store::{StoreError, orders, payments, series};
use crate::telemetry::WorkTimer;
use sale::{EventSeq, SaleId};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Mutex;

pub use crate::store::statistics::{DurationStats, PeakSecond};

/// Sales whose summary is cached, at most.
const KEPT_MAX: usize = 64;
/// A summary of a running sale is at least so many seconds old before it is read again …
const AGE_MIN_S: f64 = 1.5;
/// … and so many times as old as reading it took, so that all readers together cost 5 % of one connection.
const AGE_FACTOR: f64 = 20.0;

/// Cached summaries; clones share them.
#[derive(Clone, Default)]
pub struct SummaryCache(Arc<Mutex<HashMap<SaleId, CachedSummary>>>);

#[derive(Clone)]
struct CachedSummary {
    seq: EventSeq,
    read: WorkTimer,
    took_s: f64,
    statistics: Arc<SaleStatistics>,
    orders: Arc<[StatusTotals]>,
}

impl CachedSummary {
    fn is_fresh_enough(&self, seq: EventSeq) -> bool {
        self.seq == seq || self.read.elapsed_s() < (self.took_s * AGE_FACTOR).max(AGE_MIN_S)
    }
}

/// A sale's summary.
#[derive(Clone, Debug)]
pub struct SaleSummary {
    pub sale: ListedSale,
    pub statistics: Arc<SaleStatistics>,
    /// Totals of its orders by status.
    pub orders: Arc<[StatusTotals]>,
    /// Minor units of confirmed orders that went back in parts.
    pub refunded_parts_minor: i64,
    /// Refused attempts by code.
    pub refusals: Vec<(String, u64)>,
    /// The last event that it counts.
    pub projected: EventSeq,
}

/// Reads a sale's summary, so far if it is running.
///
/// # Errors
/// When the tables do not answer.
pub async fn load_summary(shop: &Shop, sale: ListedSale) -> Result<SaleSummary, StoreError> {
    let id = sale.listing.sale;
    shop.projected.wait_for(id, sale.view.seq, shop.catch_up_timeouts.admin).await;
    let refusals = series::count_refusals_by_code(&shop.store, id).await?;
    let CachedSummary { seq, statistics, orders, .. } = load_cached(shop, id).await?;
    let refunded_parts_minor = payments::sum_parts_of_sale(&shop.store, id).await?;
    Ok(SaleSummary { sale, statistics, orders, refunded_parts_minor, refusals, projected: seq })
}

async fn load_cached(shop: &Shop, sale: SaleId) -> Result<CachedSummary, StoreError> {
    let mut all = shop.summaries.0.lock().await;
    // Read before the rows, so that the summary is never older than its offset.
    let seq = shop.projected.delivered_seq(sale);
    if let Some(kept) = all.get(&sale).filter(|kept| kept.is_fresh_enough(seq)) {
        return Ok(kept.clone());
    }
    let watch = WorkTimer::start();
    let statistics = Arc::new(statistics::load_statistics(&shop.store, sale).await?);
    let orders = orders::totals_by_status(&shop.store, sale).await?.into();
    let fresh =
        CachedSummary { seq, read: WorkTimer::start(), took_s: watch.elapsed_s(), statistics, orders };
    if all.len() >= KEPT_MAX {
        all.clear();
    }
    all.insert(sale, fresh.clone());
    Ok(fresh)
}
