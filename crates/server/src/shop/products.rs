//! Products: create, edit, delete, find, list. The row of a deleted product stays, for the names in old orders.

mod import;

pub use import::{ImportKey, ImportedProduct, import_products};

use super::catalogue::{CatalogueError, CatalogueRefusal, CatalogueResult};
use super::catalogue_text::{Category, Description, ImageUrl, ProductName, same_currency};
use super::idempotency_keys::{KeyOperation, KeyRefusal, OwnedKey, content_digest};
use super::sales::follows_product;
use super::{Shop, ids};
use crate::store::{StoreError, admin_keys, products, sales};
use sale::{Money, SalePhase, Timestamp};

pub use crate::store::products::{Product, ProductId};

/// What a new product needs.
#[derive(Clone, Debug)]
pub struct ProductDraft {
    pub name: ProductName,
    pub description: Description,
    pub price: Money,
    pub category: Option<Category>,
    pub image_url: Option<ImageUrl>,
}

/// The fields of a product to change. `None` leaves a field as it is; `Some(None)` empties it.
#[derive(Clone, Debug, Default)]
pub struct ProductEdit {
    pub name: Option<ProductName>,
    pub description: Option<Description>,
    pub price: Option<Money>,
    pub category: Option<Option<Category>>,
    pub image_url: Option<Option<ImageUrl>>,
}

/// Creates a product. A repeat with the same key finds the product that was made.
///
/// # Errors
/// When the tables do not answer.
pub async fn create(shop: &Shop, draft: ProductDraft, key: Option<OwnedKey>) -> CatalogueResult<Product> {
    let content = draft.content_digest();
    let (fingerprint, now) = (shop.keys.fingerprint(&content), (shop.now)());
    let made = insert_once(shop, draft, key, content);
    shop.keys.run((key, KeyOperation::CreateProduct), fingerprint, now, made).await
}

/// Writes the product and its key in one transaction; with a known key it finds the product of that key.
async fn insert_once(
    shop: &Shop,
    draft: ProductDraft,
    key: Option<OwnedKey>,
    content: String,
) -> CatalogueResult<Product> {
    let now = (shop.now)();
    let product = draft.into_product(now);
    let mut writing = shop.store.begin().await?;
    if let Some(key) = key {
        let row = key.create_row(KeyOperation::CreateProduct, content, product.id.0, now);
        if !admin_keys::insert(&mut writing, &row).await? {
            writing.rollback().await?;
            return match admin_keys::find(&shop.store, row.owner, &row.digest).await? {
                Some(known) if known.fingerprint == row.fingerprint => {
                    let made = products::find(&shop.store, ProductId(known.subject)).await?;
                    Ok(made.ok_or(CatalogueRefusal::ProductUnknown))
                }
                Some(_) => Ok(Err(KeyRefusal::Reused.into())),
                None => Ok(Err(KeyRefusal::InFlight.into())),
            };
        }
    }
    products::insert(&mut writing, &product).await?;
    writing.commit().await?;
    Ok(Ok(product))
}

impl ProductDraft {
    fn content_digest(&self) -> String {
        content_digest(&(
            self.name.as_str(),
            self.description.as_str(),
            self.price,
            self.category.as_ref().map(Category::as_str),
            self.image_url.as_ref().map(ImageUrl::as_str),
        ))
    }

    fn into_product(self, now: Timestamp) -> Product {
        Product {
            id: ProductId(ids::new(now)),
            name: self.name.into_text(),
            description: self.description.into_text(),
            price: self.price,
            category: self.category.map(Category::into_text),
            image_url: self.image_url.map(ImageUrl::into_text),
            created_at: now,
            updated_at: now,
            deleted_at: None,
        }
    }
}

/// Edits a product. A sale that buyers may rely on keeps showing what it showed; any other follows. The list price's currency cannot
/// change while a sale of the product is not over.
///
/// # Errors
/// When the tables do not answer.
pub async fn edit(shop: &Shop, id: ProductId, edit: ProductEdit) -> CatalogueResult<Product> {
    let _lock = shop.catalogue.lock_for_edit(&shop.store).await?;
    let Some(old) = products::find(&shop.store, id).await? else {
        return Ok(Err(CatalogueRefusal::ProductUnknown));
    };
    let new = edit.apply_to(old.clone(), (shop.now)());
    if !same_currency(old.price, new.price) && is_in_use(shop, id).await? {
        return Ok(Err(CatalogueRefusal::CurrencyDiffers));
    }
    let followers = sales::list_by_product(&shop.store, id).await?.into_iter();
    let followers = followers.filter(|sale| follows_product(shop, *sale));
    let followers: Vec<_> = followers.filter_map(|sale| shop.catalogue.listing(sale)).collect();
    let mut writing = shop.store.begin().await?;
    if !products::update(&mut writing, &new).await? {
        return Ok(Err(CatalogueRefusal::ProductUnknown));
    }
    for listing in followers {
        let shown = listing.product.with_product(new.clone());
        sales::write_shown(&mut writing, listing.sale, &shown, None).await?;
        sales::bump_revision(&mut writing, listing.sale, shop.engine.now()).await?;
    }
    writing.commit().await?;
    shop.catalogue.refresh(&shop.store).await?;
    Ok(Ok(new))
}

/// Deletes a product that no sale sells any more.
///
/// # Errors
/// When the tables do not answer.
pub async fn delete(shop: &Shop, id: ProductId) -> CatalogueResult<()> {
    let _lock = shop.catalogue.lock_for_edit(&shop.store).await?;
    if products::find(&shop.store, id).await?.is_none() {
        return Ok(Err(CatalogueRefusal::ProductUnknown));
    }
    if is_in_use(shop, id).await? {
        return Ok(Err(CatalogueRefusal::ProductInUse));
    }
    products::delete(&shop.store, id, (shop.now)()).await?;
    shop.catalogue.refresh(&shop.store).await?;
    Ok(Ok(()))
}

/// A product that is not deleted.
///
/// # Errors
/// When the tables do not answer.
pub async fn find(shop: &Shop, id: ProductId) -> Result<Option<Product>, StoreError> {
    products::find(&shop.store, id).await
}

/// Up to `limit` products, newest first, from the first behind `after` on.
///
/// # Errors
/// When the tables do not answer.
pub async fn list(
    shop: &Shop,
    after: Option<(Timestamp, ProductId)>,
    limit: u32,
) -> Result<Vec<Product>, StoreError> {
    products::list(&shop.store, after, limit).await
}

/// Whether a sale of the product is unannounced, or has not ended.
async fn is_in_use(shop: &Shop, id: ProductId) -> Result<bool, CatalogueError> {
    let now = shop.engine.now();
    let sales = sales::list_by_product(&shop.store, id).await?;
    Ok(sales.into_iter().any(|sale| match shop.engine.views().get(sale) {
        Some(view) => !matches!(view.phase(now), SalePhase::Ended | SalePhase::Closed),
        None => true,
    }))
}

impl ProductEdit {
    fn apply_to(self, product: Product, now: Timestamp) -> Product {
        Product {
            name: self.name.map_or(product.name, ProductName::into_text),
            description: self.description.map_or(product.description, Description::into_text),
            price: self.price.unwrap_or(product.price),
            category: self.category.map_or(product.category, |category| category.map(Category::into_text)),
            image_url: self.image_url.map_or(product.image_url, |url| url.map(ImageUrl::into_text)),
            updated_at: now,
            ..product
        }
    }
}
