//! What a sale came to. That is read from all rows of a sale, so it is kept: read anew only when the tables show more, and not
//! more often than it can be afforded. One is read at a time.

use super::Shop;
use super::board::PATIENCE;
use super::sales::Sale;
use crate::store::insight::{self, Insight};
use crate::store::orders::StatusSum;
use crate::store::{StoreError, orders, series};
use crate::telemetry::Stopwatch;
use sale::{SaleId, Seq};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Mutex;

pub use crate::store::insight::{Peak, Spans};

/// Sales whose figures are kept. Who looks at more of them at once waits a little longer.
const KEPT_MAX: usize = 64;
/// Figures of a sale that goes on are so many seconds old before they are read anew, at least …
const AGE_MIN_S: f64 = 1.5;
/// … and so many times as long as reading them took, so that all who look cost 5 % of one connection.
const AGE_FACTOR: f64 = 20.0;

/// Figures that were read; clones share them.
#[derive(Clone, Default)]
pub struct Summaries(Arc<Mutex<HashMap<SaleId, Kept>>>);

#[derive(Clone)]
struct Kept {
    seq: Seq,
    read: Stopwatch,
    took_s: f64,
    insight: Arc<Insight>,
    orders: Arc<[StatusSum]>,
}

impl Kept {
    fn will_do(&self, seq: Seq) -> bool {
        self.seq == seq || self.read.elapsed_s() < (self.took_s * AGE_FACTOR).max(AGE_MIN_S)
    }
}

/// What a sale came to.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The sale.
    pub sale: Sale,
    /// Its figures.
    pub insight: Arc<Insight>,
    /// The sums of its orders by status.
    pub orders: Arc<[StatusSum]>,
    /// Refused attempts by code.
    pub refusals: Vec<(String, u64)>,
    /// The last event that is in the figures.
    pub projected: Seq,
}

/// What a sale came to, or has come to so far.
///
/// # Errors
/// When the tables cannot be asked.
pub async fn summary(shop: &Shop, sale: Sale) -> Result<Summary, StoreError> {
    let id = sale.listing.sale;
    shop.projected.wait(id, sale.view.seq, PATIENCE).await;
    let refusals = series::refusals(&shop.store, id).await?;
    let Kept { seq, insight, orders, .. } = kept(shop, id).await?;
    Ok(Summary { sale, insight, orders, refusals, projected: seq })
}

async fn kept(shop: &Shop, sale: SaleId) -> Result<Kept, StoreError> {
    let mut all = shop.summaries.0.lock().await;
    // Looked at before the reading, so that the figures are never older than their number.
    let seq = shop.projected.applied(sale);
    if let Some(kept) = all.get(&sale).filter(|kept| kept.will_do(seq)) {
        return Ok(kept.clone());
    }
    let watch = Stopwatch::start();
    let insight = Arc::new(insight::read(&shop.store, sale).await?);
    let orders = orders::sums(&shop.store, sale).await?.into();
    let fresh = Kept { seq, read: Stopwatch::start(), took_s: watch.elapsed_s(), insight, orders };
    if all.len() >= KEPT_MAX {
        all.clear();
    }
    all.insert(sale, fresh.clone());
    Ok(fresh)
}
