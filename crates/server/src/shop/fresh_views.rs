//! The state of a sale for readers who may have been answered by another instance. The published views of this process follow what others
//! decide a moment later; a reader must never see less than it was answered before, wherever that was.
//!
//! In a cluster the engine reads the sale where it is decided. One read of a sale is in flight at a time, and all who wait share the next
//! one: it starts after they have asked, so it contains everything that was answered before. However many read, a sale costs one read at
//! a time, and a reader waits for two at most.

use super::Shop;
use super::catalogue::CatalogueError;
use super::sales::ListedSale;
use crate::store::StoreError;
use engine::{Engine, EngineError, SaleView};
use futures::future::try_join_all;
use sale::{SaleId, Timestamp};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// For so long after its end a sale may have admissions and orders that this process does not know of: it is polled every ten seconds then.
const JUST_ENDED_MS: i64 = 60_000;

type ReadResult = Result<Arc<SaleView>, EngineError>;

/// The reads that are in flight; clones share them.
#[derive(Clone, Default)]
pub struct FreshViews(Arc<Mutex<HashMap<SaleId, Vec<oneshot::Sender<ReadResult>>>>>);

/// The sale as it is now: with everything that any instance has answered.
///
/// # Errors
/// When the engine does not answer.
pub async fn read_now(shop: &Shop, sale: ListedSale) -> Result<ListedSale, EngineError> {
    let view = read_view(shop, sale.view.id).await?;
    Ok(ListedSale { view, ..sale })
}

/// [`read_now`] of several sales, in their order.
///
/// # Errors
/// When the engine does not answer.
pub async fn read_all_now(shop: &Shop, sales: Vec<ListedSale>) -> Result<Vec<ListedSale>, EngineError> {
    try_join_all(sales.into_iter().map(|sale| read_now(shop, sale))).await
}

/// Units of a sale that are not sold now.
///
/// # Errors
/// When the engine does not answer, or has no such sale.
pub async fn count_unsold(shop: &Shop, sale: SaleId) -> Result<u32, EngineError> {
    Ok(read_view(shop, sale).await?.counters.unsold())
}

/// Makes the sales known here that another instance has made or edited.
///
/// # Errors
/// When the tables or the engine do not answer.
pub async fn refresh_listings(shop: &Shop) -> Result<(), CatalogueError> {
    if !shop.tenancy.is_cluster() {
        return Ok(());
    }
    shop.catalogue.refresh_for_reader(&shop.store).await?;
    let listed = shop.catalogue.all();
    let unknown = listed.iter().map(|listing| listing.sale);
    let unknown = unknown.filter(|sale| shop.engine.views().get(*sale).is_none());
    Ok(refresh_views(shop, unknown).await?)
}

/// The sales of which this process may know less than was answered elsewhere, of those in which an order can be made or paid for now: the
/// one that is asked for, or all. A process that decides alone knows everything.
///
/// # Errors
/// When the tables do not answer.
pub(super) async fn list_selling(shop: &Shop, sale: Option<SaleId>) -> Result<Vec<SaleId>, StoreError> {
    if !shop.tenancy.is_cluster() {
        return Ok(Vec::new());
    }
    // Another instance may have made one a moment ago.
    shop.catalogue.refresh_for_reader(&shop.store).await?;
    if let Some(sale) = sale {
        return Ok(shop.catalogue.listing(sale).map(|listing| listing.sale).into_iter().collect());
    }
    let now = shop.engine.now();
    let may_sell = |sale| shop.engine.views().get(sale).is_none_or(|view| may_sell(&view, now));
    Ok(shop.catalogue.all().iter().map(|listing| listing.sale).filter(|sale| may_sell(*sale)).collect())
}

/// Publishes in this process what any instance has answered in these sales.
///
/// # Errors
/// When the engine does not answer.
pub(super) async fn refresh_views(
    shop: &Shop,
    sales: impl IntoIterator<Item = SaleId>,
) -> Result<(), EngineError> {
    try_join_all(sales.into_iter().map(|sale| read_view(shop, sale))).await?;
    Ok(())
}

/// Whether orders can be made or paid for, or could a moment ago.
fn may_sell(view: &SaleView, now: Timestamp) -> bool {
    let has_just_ended = now < view.policy.ends_at.plus_ms(JUST_ENDED_MS);
    !view.is_over(now) || has_just_ended || view.counters.admitted + view.counters.held > 0
}

async fn read_view(shop: &Shop, sale: SaleId) -> ReadResult {
    if shop.tenancy.is_cluster() {
        return shop.fresh_views.read(&shop.engine, sale).await;
    }
    // This process decides alone, and publishes before it answers.
    shop.engine.views().get(sale).ok_or(EngineError::NoSuchSale)
}

impl FreshViews {
    async fn read(&self, engine: &Engine, sale: SaleId) -> ReadResult {
        let (reply, result) = oneshot::channel();
        let is_running = match self.lock().entry(sale) {
            Entry::Occupied(mut waiting) => {
                waiting.get_mut().push(reply);
                true
            }
            Entry::Vacant(idle) => {
                idle.insert(vec![reply]);
                false
            }
        };
        if !is_running {
            // A task: it goes on for the others when its first reader is gone.
            tokio::spawn(self.clone().read_while_wanted(engine.clone(), sale));
        }
        result.await.unwrap_or(Err(EngineError::Stopped))
    }

    async fn read_while_wanted(self, engine: Engine, sale: SaleId) {
        while let Some(readers) = self.take_readers(sale) {
            let result = engine.sale(sale).await;
            for reader in readers {
                // One that is gone needs no reply.
                let _gone = reader.send(result.clone());
            }
        }
    }

    /// Those who wait for the next read of a sale; without any the sale is idle again.
    fn take_readers(&self, sale: SaleId) -> Option<Vec<oneshot::Sender<ReadResult>>> {
        let mut all = self.lock();
        let readers = std::mem::take(all.get_mut(&sale)?);
        if readers.is_empty() {
            all.remove(&sale);
            return None;
        }
        Some(readers)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SaleId, Vec<oneshot::Sender<ReadResult>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
