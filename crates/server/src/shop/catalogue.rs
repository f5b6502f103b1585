//! The catalogue in memory: the sales, their slugs and products. It is loaded from the tables at the start, after each edit by an admin,
//! and after edits of other processes. Policies and states of sales are in the engine's views, never here.

use super::idempotency_keys::KeyRefusal;
use super::tenancy::Tenancy;
use crate::store::changes::{self, ChangeCounter};
use crate::store::integer_ids::{self, SaleIntegerIds};
use crate::store::locks::AdvisoryLock;
use crate::store::products::ProductId;
use crate::store::sale_products::SoldProduct;
use crate::store::sales::{LimitScope, PaymentMode, SaleRow};
use crate::store::{Store, StoreError, sale_products, sale_slugs, sales};
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
    pub slug: String,
    /// What it shows of its product now.
    pub product: Arc<SoldProduct>,
    /// What it showed before, oldest first.
    earlier: Vec<Arc<SoldProduct>>,
    pub created_at: Timestamp,
    /// When it was last edited; 0 before the first edit.
    pub edited_at: Timestamp,
    /// Grows with each edit of the listing or of what it shows of its product, also across restarts.
    pub revision: u64,
    /// Whether its units are paid for; `None` while the row does not say it.
    pub payment: Option<PaymentMode>,
    /// The name of the provider through which its orders are paid.
    pub provider: String,
    /// Who is one buyer for its limit.
    pub limit_by: LimitScope,
    /// Whether only buyers with a confirmed address may buy.
    pub require_confirmed_email: bool,
    /// The dialect through which it was made; `None` for the native API.
    pub made_by: Option<String>,
}

impl SaleListing {
    /// What it showed of its product at a moment: an order that was made then is of this version.
    #[must_use]
    pub fn product_at(&self, at: Timestamp) -> &Arc<SoldProduct> {
        if self.product.shown_from <= at {
            return &self.product;
        }
        let shown = self.earlier.iter().rev().find(|version| version.shown_from <= at);
        shown.or(self.earlier.first()).unwrap_or(&self.product)
    }
}

/// Every sale that is announced and not deleted.
#[derive(Default)]
pub struct SaleCatalogue {
    tenancy: Tenancy,
    index: ArcSwap<CatalogueIndex>,
    /// Serialises edits: one is read, decided by the engine and written before the next begins.
    edit_lock: Mutex<()>,
    /// Serialises reloads, so that an older one never replaces a newer one.
    reload_lock: Mutex<()>,
    /// The last reload for a sale that was not found.
    last_miss_reload: Mutex<Option<Instant>>,
    /// How many such reloads have begun.
    miss_reloads: AtomicU64,
    /// Serialises reloads for readers.
    reader_lock: Mutex<()>,
    /// How many of them have begun, and the number of the last one that was done.
    reader_reloads: [AtomicU64; 2],
}

#[derive(Default)]
struct CatalogueIndex {
    /// The change counter that was read before it was loaded.
    changes: Option<i64>,
    all: Vec<Arc<SaleListing>>,
    by_id: HashMap<SaleId, Arc<SaleListing>>,
    by_slug: HashMap<String, Arc<SaleListing>>,
    /// The slugs that sales had before.
    by_former_slug: HashMap<String, Arc<SaleListing>>,
    integer_ids: HashMap<SaleId, SaleIntegerIds>,
    by_integer_id: HashMap<i64, SaleId>,
    /// The products of listed sales by their integer ids, with these sales.
    by_product_integer_id: HashMap<i64, (ProductId, Vec<SaleId>)>,
}

impl CatalogueIndex {
    async fn load(store: &Store, changes: i64) -> Result<Self, StoreError> {
        let rows = sales::list(store).await?;
        // Read after the sales: what is shown is written with its sale.
        let mut shown: HashMap<SaleId, Vec<Arc<SoldProduct>>> = HashMap::with_capacity(rows.len());
        for (sale, version) in sale_products::list(store).await? {
            shown.entry(sale).or_default().push(Arc::new(version));
        }
        let mut index = Self { changes: Some(changes), ..Self::default() };
        for row in rows {
            let SaleRow { id, slug, revision, created_at, edited_at, payment, provider, .. } = row;
            let SaleRow { limit_by, require_confirmed_email, made_by, .. } = row;
            let mut earlier = shown.remove(&id).unwrap_or_default();
            let Some(product) = earlier.pop() else {
                let (id, reason) = (id.to_string(), "it shows no product");
                return Err(StoreError::Damaged { table: "sale_products", id, reason });
            };
            let listing = Arc::new(SaleListing {
                sale: id,
                slug,
                product,
                earlier,
                created_at,
                edited_at,
                revision,
                payment,
                provider,
                limit_by,
                require_confirmed_email,
                made_by,
            });
            index.by_id.insert(id, Arc::clone(&listing));
            index.by_slug.insert(listing.slug.clone(), Arc::clone(&listing));
            index.all.push(listing);
        }
        for (slug, sale) in sale_slugs::list_former(store).await? {
            if let Some(listing) = index.by_id.get(&sale).filter(|listing| listing.slug != slug) {
                index.by_former_slug.insert(slug, Arc::clone(listing));
            }
        }
        for (sale, ids) in integer_ids::list_sales(store).await? {
            let Some(listing) = index.by_id.get(&sale) else { continue };
            index.integer_ids.insert(sale, ids);
            index.by_integer_id.insert(ids.sale, sale);
            let sold = index.by_product_integer_id.entry(ids.product);
            sold.or_insert_with(|| (listing.product.id, Vec::new())).1.push(sale);
        }
        Ok(index)
    }
}

/// Time between two reloads for sales that are not found: a client that guesses ids costs twenty small queries a second.
const MISS_RELOAD_INTERVAL: Duration = Duration::from_millis(50);

/// The right to edit, until it is dropped.
pub(super) struct EditLock<'a> {
    _cluster_lock: Option<AdvisoryLock>,
    _local_lock: MutexGuard<'a, ()>,
}

/// A rule that an edit of the catalogue met. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogueRefusal {
    /// There is no such sale.
    SaleUnknown,
    /// There is no such product.
    ProductUnknown,
    /// The product of a sale does not exist.
    NoSuchProduct,
    /// Another sale has or had this slug.
    SlugTaken,
    /// The sale would be over before it is announced.
    EndIsPast,
    /// What the sale shows of its product was edited too often.
    TooManyEdits,
    /// A sale that is not over sells this product.
    ProductInUse,
    /// A sale's price is in another currency than its product's list price.
    CurrencyDiffers,
    /// The payment provider cannot take the price, for the reason that the merchant reads.
    PriceRefused(String),
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
    /// The tables did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine did not answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] engine::record::ReadError),
}

/// The outer error is a failure, the inner one a refusal.
pub type CatalogueResult<T> = Result<Result<T, CatalogueRefusal>, CatalogueError>;

impl SaleCatalogue {
    /// Loads the catalogue from the tables.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn load(store: &Store, tenancy: Tenancy) -> Result<Self, StoreError> {
        let catalogue = Self { tenancy, ..Self::default() };
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

    /// The listing of the sale that had this slug before.
    #[must_use]
    pub fn find_by_former_slug(&self, slug: &str) -> Option<Arc<SaleListing>> {
        self.index.load().by_former_slug.get(slug).cloned()
    }

    /// The listing with this id or slug; a slug is never an id.
    #[must_use]
    pub fn find(&self, id_or_slug: &str) -> Option<Arc<SaleListing>> {
        match id_or_slug.parse() {
            Ok(sale) => self.listing(sale),
            Err(_) => self.find_by_slug(id_or_slug),
        }
    }

    /// The integer ids of a sale and of its product.
    #[must_use]
    pub fn integer_ids(&self, sale: SaleId) -> Option<SaleIntegerIds> {
        self.index.load().integer_ids.get(&sale).copied()
    }

    /// The sale with this integer id.
    #[must_use]
    pub fn find_by_integer_id(&self, number: i64) -> Option<SaleId> {
        self.index.load().by_integer_id.get(&number).copied()
    }

    /// The product with this integer id and the sales that sell it.
    #[must_use]
    pub fn find_by_product_integer_id(&self, number: i64) -> Option<(ProductId, Vec<SaleId>)> {
        self.index.load().by_product_integer_id.get(&number).cloned()
    }

    /// All listings, newest first.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<SaleListing>> {
        self.index.load().all.clone()
    }

    /// The newest listing of a sale that was made through a dialect.
    #[must_use]
    pub fn newest_made_by(&self, dialect: &str) -> Option<Arc<SaleListing>> {
        let index = self.index.load();
        index.all.iter().find(|listing| listing.made_by.as_deref() == Some(dialect)).cloned()
    }

    /// All listings of sales that were made through a dialect, newest first.
    #[must_use]
    pub fn list_made_by(&self, dialect: &str) -> Vec<Arc<SaleListing>> {
        let index = self.index.load();
        index.all.iter().filter(|listing| listing.made_by.as_deref() == Some(dialect)).cloned().collect()
    }

    /// Reads the tables again if they have changed. One small query when they have not.
    ///
    /// # Errors
    /// When the tables do not answer; the catalogue is as it was.
    pub async fn refresh(&self, store: &Store) -> Result<(), StoreError> {
        let _lock = self.reload_lock.lock().await;
        // Read before the listings: they may be newer than this counter, never older.
        let changes = changes::current_count(store, ChangeCounter::Catalogue).await?;
        if self.index.load().changes == Some(changes) {
            return Ok(());
        }
        self.index.store(Arc::new(CatalogueIndex::load(store, changes).await?));
        Ok(())
    }

    /// [`Self::refresh`] for readers who must see what another instance has answered. All who wait share the next one: it begins after they
    /// have asked.
    ///
    /// # Errors
    /// When the tables do not answer.
    pub async fn refresh_for_reader(&self, store: &Store) -> Result<(), StoreError> {
        let [begun, done] = &self.reader_reloads;
        let before = begun.load(Ordering::SeqCst);
        let _lock = self.reader_lock.lock().await;
        if done.load(Ordering::SeqCst) > before {
            return Ok(());
        }
        let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
        self.refresh(store).await?;
        done.store(number, Ordering::SeqCst);
        Ok(())
    }

    /// Reloads for a sale that was not found: another process may have just made it. Concurrent callers share a reload, and there is one
    /// in [`MISS_RELOAD_INTERVAL`] at most. When it fails, the sale is not found.
    pub(super) async fn refresh_for_miss(&self, store: &Store) {
        if !self.tenancy.is_cluster() {
            return;
        }
        let begun = self.miss_reloads.load(Ordering::Acquire);
        let mut last = self.last_miss_reload.lock().await;
        // It began after this call, so it has read what was there by then.
        if self.miss_reloads.load(Ordering::Acquire) > begun {
            return;
        }
        if let Some(last) = *last {
            tokio::time::sleep(MISS_RELOAD_INTERVAL.saturating_sub(last.elapsed())).await;
        }
        self.miss_reloads.fetch_add(1, Ordering::Release);
        *last = Some(engine::clock::start_stopwatch());
        if let Err(error) = self.refresh(store).await {
            tracing::debug!(%error, "reloading the catalogue failed");
        }
    }

    /// Waits until no other edit runs, here or in another process, and reloads what they changed.
    ///
    /// # Errors
    /// When the tables do not answer, or another process edits for too long.
    pub(super) async fn lock_for_edit(&self, store: &Store) -> Result<EditLock<'_>, StoreError> {
        let local = self.edit_lock.lock().await;
        let cluster = match self.tenancy {
            Tenancy::Single => None,
            Tenancy::Cluster => Some(store.lock_catalogue().await?),
        };
        if cluster.is_some() {
            self.refresh(store).await?;
        }
        Ok(EditLock { _cluster_lock: cluster, _local_lock: local })
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
    async fn a_thousand_concurrent_misses_cost_one_reload_or_two() {
        let (_folder, store) = store().await;
        let catalogue = SaleCatalogue::load(&store, Tenancy::Cluster).await.unwrap();
        let misses = (0..1_000).map(|_| catalogue.refresh_for_miss(&store));
        futures::future::join_all(misses).await;
        let begun = catalogue.miss_reloads.load(Ordering::Acquire);
        assert!((1..=2).contains(&begun), "{begun}");
        catalogue.refresh_for_miss(&store).await;
        assert_eq!(
            catalogue.miss_reloads.load(Ordering::Acquire),
            begun + 1,
            "a later miss has a reload of its own"
        );
    }

    #[tokio::test]
    async fn a_single_process_reloads_nothing_for_a_miss() {
        let (_folder, store) = store().await;
        let catalogue = SaleCatalogue::load(&store, Tenancy::Single).await.unwrap();
        catalogue.refresh_for_miss(&store).await;
        assert_eq!(catalogue.miss_reloads.load(Ordering::Acquire), 0);
    }
}
