//! The catalogue in memory, for the hot path: which sales there are, under which names, selling what. Loaded from the tables at
//! the start, after each edit by an admin, and when another process has edited. What a sale promises and how it stands is in the
//! engine's views, never here.

use super::idempotency_keys::KeyRefusal;
use super::tenancy::Tenancy;
use crate::store::changes::{self, ChangeCounter};
use crate::store::locks::AdvisoryLock;
use crate::store::products::Product;
use crate::store::sales::SaleRow;
use crate::store::{Store, StoreError, sales};
use arc_swap::ArcSwap;
use engine::EngineError;
use sale::{PolicyProblem, Refusal, SaleId, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard};

/// The catalogue's part of one sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleListing {
    pub sale: SaleId,
    /// Its name in addresses.
    pub slug: String,
    pub product: Arc<Product>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with each edit of the listing or its product, also across restarts.
    pub revision: u64,
}

/// Every sale that is announced and not deleted.
#[derive(Default)]
pub struct SaleCatalogue {
    tenancy: Tenancy,
    index: ArcSwap<CatalogueIndex>,
    /// Admins edit one after the other: an edit is read, decided by the engine and written, and must not meet another.
    edit_lock: Mutex<()>,
    /// One reads the tables at a time, so that an older reading never replaces a newer one.
    reload_lock: Mutex<()>,
    /// The last reading for somebody who asked for what is not here.
    last_miss_reload: Mutex<Option<Instant>>,
    /// How many such readings were begun.
    miss_reloads: AtomicU64,
}

#[derive(Default)]
struct CatalogueIndex {
    /// The last change of the tables that is certainly in it.
    changes: Option<i64>,
    all: Vec<Arc<SaleListing>>,
    by_id: HashMap<SaleId, Arc<SaleListing>>,
    by_slug: HashMap<String, Arc<SaleListing>>,
}

/// Time between two readings for those who ask for what is not here: whoever guesses ids costs twenty small queries a second.
const MISS_RELOAD_INTERVAL: Duration = Duration::from_millis(50);

/// The right to edit, until it is dropped.
pub(super) struct EditLock<'a> {
    _cluster_lock: Option<AdvisoryLock>,
    _local_lock: MutexGuard<'a, ()>,
}

/// Why an edit of the catalogue did not happen, by rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogueRefusal {
    /// There is no such sale.
    SaleUnknown,
    /// There is no such product.
    ProductUnknown,
    /// A sale is to sell a product that does not exist.
    NoSuchProduct,
    /// Another sale has this slug.
    SlugTaken,
    /// A sale that is not over sells this product.
    ProductInUse,
    /// A sale's price is in another currency than its product's list price.
    CurrencyDiffers,
    /// The sale would make no sense.
    BadPolicy(Vec<PolicyProblem>),
    Law(Refusal),
    /// The request's idempotency key does not allow it.
    Key(KeyRefusal),
}

impl From<KeyRefusal> for CatalogueRefusal {
    fn from(refusal: KeyRefusal) -> Self {
        Self::Key(refusal)
    }
}

/// Why an edit of the catalogue failed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The tables cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine cannot answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] engine::record::ReadError),
}

/// The outer result is whether there is an answer, the inner one the answer.
pub type CatalogueResult<T> = Result<Result<T, CatalogueRefusal>, CatalogueError>;

impl SaleCatalogue {
    /// The catalogue as the tables have it.
    ///
    /// # Errors
    /// When the tables cannot be asked.
    pub async fn load(store: &Store, sharing: Tenancy) -> Result<Self, StoreError> {
        let catalogue = Self { tenancy: sharing, ..Self::default() };
        catalogue.refresh(store).await?;
        Ok(catalogue)
    }

    /// The listing of a sale.
    #[must_use]
    pub fn listing(&self, sale: SaleId) -> Option<Arc<SaleListing>> {
        self.index.load().by_id.get(&sale).cloned()
    }

    /// Whether a sale is listed.
    #[must_use]
    pub fn contains(&self, sale: SaleId) -> bool {
        self.index.load().by_id.contains_key(&sale)
    }

    /// The listing of the sale with this slug.
    #[must_use]
    pub fn find_by_slug(&self, slug: &str) -> Option<Arc<SaleListing>> {
        self.index.load().by_slug.get(slug).cloned()
    }

    /// The listing that an address names by its id or its slug; a slug is never an id.
    #[must_use]
    pub fn find(&self, id_or_slug: &str) -> Option<Arc<SaleListing>> {
        match id_or_slug.parse() {
            Ok(sale) => self.listing(sale),
            Err(_) => self.find_by_slug(id_or_slug),
        }
    }

    /// All listings, newest first.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<SaleListing>> {
        self.index.load().all.clone()
    }

    /// Reads the tables again if they have changed. One small query when they have not.
    ///
    /// # Errors
    /// When the tables cannot be asked; the catalogue is as it was.
    pub async fn refresh(&self, store: &Store) -> Result<(), StoreError> {
        let _alone = self.reload_lock.lock().await;
        // Asked before the listings: they may be newer than this says, never older.
        let changes = changes::current_count(store, ChangeCounter::Catalogue).await?;
        if self.index.load().changes == Some(changes) {
            return Ok(());
        }
        let mut index = CatalogueIndex { changes: Some(changes), ..CatalogueIndex::default() };
        for SaleRow { id, slug, product, revision, created_at } in sales::list(store).await? {
            let listing = Arc::new(SaleListing { sale: id, slug, product, created_at, revision });
            index.by_id.insert(id, Arc::clone(&listing));
            index.by_slug.insert(listing.slug.clone(), Arc::clone(&listing));
            index.all.push(listing);
        }
        self.index.store(Arc::new(index));
        Ok(())
    }

    /// Reads the tables for somebody who asked for what is not here: another process may have made it a moment ago. Those who
    /// come at the same time share a reading, and there is one in [`MISSES_REST`] at most. An error is not theirs to hear: then
    /// what they asked for is not here.
    pub(super) async fn refresh_for_miss(&self, store: &Store) {
        if !self.tenancy.is_cluster() {
            return;
        }
        let begun = self.miss_reloads.load(Ordering::Acquire);
        let mut last = self.last_miss_reload.lock().await;
        // Begun after the question came: it has seen what was there by then.
        if self.miss_reloads.load(Ordering::Acquire) > begun {
            return;
        }
        if let Some(last) = *last {
            tokio::time::sleep(MISS_RELOAD_INTERVAL.saturating_sub(last.elapsed())).await;
        }
        self.miss_reloads.fetch_add(1, Ordering::Release);
        *last = Some(engine::clock::start_stopwatch());
        if let Err(error) = self.refresh(store).await {
            tracing::debug!(%error, "the catalogue cannot be looked at anew");
        }
    }

    /// Waits until nobody else edits, here or at another process, and knows then what they did.
    ///
    /// # Errors
    /// When the tables cannot be asked, or somebody at another process edits for too long.
    pub(super) async fn lock_for_edit(&self, store: &Store) -> Result<EditLock<'_>, StoreError> {
        let here = self.edit_lock.lock().await;
        let everywhere = match self.tenancy {
            Tenancy::Single => None,
            Tenancy::Cluster => Some(store.lock_catalogue().await?),
        };
        if everywhere.is_some() {
            self.refresh(store).await?;
        }
        Ok(EditLock { _cluster_lock: everywhere, _local_lock: here })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn a_thousand_who_ask_for_nothing_at_once_cost_a_reading_or_two() {
        let (_folder, store) = store().await;
        let catalogue = SaleCatalogue::load(&store, Tenancy::Cluster).await.unwrap();
        let asked = (0..1_000).map(|_| catalogue.refresh_for_miss(&store));
        futures::future::join_all(asked).await;
        let begun = catalogue.miss_reloads.load(Ordering::Acquire);
        assert!((1..=2).contains(&begun), "{begun}");
        catalogue.refresh_for_miss(&store).await;
        assert_eq!(
            catalogue.miss_reloads.load(Ordering::Acquire),
            begun + 1,
            "who comes later has one of their own"
        );
    }

    #[tokio::test]
    async fn whoever_is_alone_reads_nothing_for_those_who_ask_for_nothing() {
        let (_folder, store) = store().await;
        let catalogue = SaleCatalogue::load(&store, Tenancy::Single).await.unwrap();
        catalogue.refresh_for_miss(&store).await;
        assert_eq!(catalogue.miss_reloads.load(Ordering::Acquire), 0);
    }
}
