//! The catalogue in memory, for the hot path: which sales there are, under which names, selling what. Loaded from the tables at
//! the start and after each edit by an admin. What a sale promises and how it stands is in the engine's views, never here.

use crate::store::products::Product;
use crate::store::sales::SaleRow;
use crate::store::{Store, StoreError, sales};
use arc_swap::ArcSwap;
use engine::EngineError;
use sale::{PolicyProblem, Refusal, SaleId, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard};

/// The catalogue's part of one sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Which sale.
    pub sale: SaleId,
    /// Its name in addresses.
    pub slug: String,
    /// What it sells.
    pub product: Arc<Product>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with each edit of the listing or its product, also across restarts.
    pub revision: u64,
}

/// Every sale that is announced and not deleted.
#[derive(Default)]
pub struct Catalogue {
    index: ArcSwap<Index>,
    /// Admins edit one after the other: an edit is read, decided by the engine and written, and must not meet another.
    edits: Mutex<()>,
}

#[derive(Default)]
struct Index {
    /// Newest first.
    all: Vec<Arc<Listing>>,
    by_id: HashMap<SaleId, Arc<Listing>>,
    by_slug: HashMap<String, Arc<Listing>>,
}

/// Why an edit of the catalogue did not happen, by rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
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
    /// The law refuses.
    Law(Refusal),
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
pub type Answered<T> = Result<Result<T, Refused>, CatalogueError>;

impl Catalogue {
    /// The catalogue as the tables have it.
    ///
    /// # Errors
    /// When the tables cannot be asked.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let catalogue = Self::default();
        catalogue.reload(store).await?;
        Ok(catalogue)
    }

    /// The listing of a sale.
    #[must_use]
    pub fn listing(&self, sale: SaleId) -> Option<Arc<Listing>> {
        self.index.load().by_id.get(&sale).cloned()
    }

    /// The listing of the sale with this slug.
    #[must_use]
    pub fn by_slug(&self, slug: &str) -> Option<Arc<Listing>> {
        self.index.load().by_slug.get(slug).cloned()
    }

    /// The listing that an address names by its id or its slug; a slug is never an id.
    #[must_use]
    pub fn find(&self, id_or_slug: &str) -> Option<Arc<Listing>> {
        match id_or_slug.parse() {
            Ok(sale) => self.listing(sale),
            Err(_) => self.by_slug(id_or_slug),
        }
    }

    /// All listings, newest first.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Listing>> {
        self.index.load().all.clone()
    }

    /// Reads the tables again. Only under [`Catalogue::edit`], so that an older reading never replaces a newer one.
    pub(super) async fn reload(&self, store: &Store) -> Result<(), StoreError> {
        let mut index = Index::default();
        for SaleRow { id, slug, product, revision, created_at } in sales::list(store).await? {
            let listing = Arc::new(Listing { sale: id, slug, product, created_at, revision });
            index.by_id.insert(id, Arc::clone(&listing));
            index.by_slug.insert(listing.slug.clone(), Arc::clone(&listing));
            index.all.push(listing);
        }
        self.index.store(Arc::new(index));
        Ok(())
    }

    /// Waits until nobody else edits.
    pub(super) async fn edit(&self) -> MutexGuard<'_, ()> {
        self.edits.lock().await
    }
}
