//! The `products` table. A product is never removed, only marked: old orders keep its name.

use super::changes::{self, ChangeCounter};
use super::integer_ids::{self, IntegerIdKind};
use super::{Store, StoreError, StoreTransaction};
use sale::{Money, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;
use std::fmt;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProductId(pub Uuid);

impl fmt::Display for ProductId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for ProductId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    pub id: ProductId,
    pub name: String,
    /// May be empty.
    pub description: String,
    pub price: Money,
    /// Its category, if it has one.
    pub category: Option<String>,
    /// Its picture, if it has one: an address, or a path of this site.
    pub image_url: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
}

pub(super) const STATEMENTS: &[&str] = &[INSERT, EXISTS, UPDATE, DELETE, FIND, LIST_FIRST, LIST_AFTER];

const INSERT: &str = "
INSERT INTO products
    (id, name, description, price_minor, currency, category, image_url, created_at, updated_at, deleted_at, integer_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL, $10)";

const EXISTS: &str = "
SELECT id FROM products WHERE id = $1";

const UPDATE: &str = "
UPDATE products
SET name = $1, description = $2, price_minor = $3, currency = $4, category = $5, image_url = $6, updated_at = $7
WHERE id = $8 AND deleted_at IS NULL";

const DELETE: &str = "
UPDATE products SET deleted_at = $1 WHERE id = $2 AND deleted_at IS NULL";

const FIND: &str = "
SELECT id, name, description, price_minor, currency, category, image_url, created_at, updated_at, deleted_at
FROM products
WHERE id = $1 AND deleted_at IS NULL";

const LIST_FIRST: &str = "
SELECT id, name, description, price_minor, currency, category, image_url, created_at, updated_at, deleted_at
FROM products
WHERE deleted_at IS NULL
ORDER BY created_at DESC, id DESC
LIMIT $1";

const LIST_AFTER: &str = "
SELECT id, name, description, price_minor, currency, category, image_url, created_at, updated_at, deleted_at
FROM products
WHERE deleted_at IS NULL AND (created_at < $1 OR (created_at = $1 AND id < $2))
ORDER BY created_at DESC, id DESC
LIMIT $3";

/// Adds a product and gives it its integer id.
///
/// # Errors
/// When the database fails.
pub async fn insert(writing: &mut StoreTransaction, product: &Product) -> Result<(), StoreError> {
    let integer_id = integer_ids::take_next(writing, IntegerIdKind::Products).await?;
    sqlx::query(INSERT)
        .bind(product.id.to_string())
        .bind(product.name.as_str())
        .bind(product.description.as_str())
        .bind(product.price.minor)
        .bind(product.price.currency.as_str())
        .bind(product.category.as_deref())
        .bind(product.image_url.as_deref())
        .bind(product.created_at.0)
        .bind(product.updated_at.0)
        .bind(integer_id)
        .execute(writing.connection())
        .await?;
    Ok(())
}

/// Whether there is or was a product of this id, as the transaction sees it.
///
/// # Errors
/// When the database fails.
pub async fn exists(writing: &mut StoreTransaction, id: ProductId) -> Result<bool, StoreError> {
    let found = sqlx::query(EXISTS).bind(id.to_string()).fetch_optional(writing.connection()).await?;
    Ok(found.is_some())
}

/// Writes an edited product. False when there is none of its id.
///
/// # Errors
/// When the database fails.
pub async fn update(writing: &mut StoreTransaction, product: &Product) -> Result<bool, StoreError> {
    let done = sqlx::query(UPDATE)
        .bind(product.name.as_str())
        .bind(product.description.as_str())
        .bind(product.price.minor)
        .bind(product.price.currency.as_str())
        .bind(product.category.as_deref())
        .bind(product.image_url.as_deref())
        .bind(product.updated_at.0)
        .bind(product.id.to_string())
        .execute(writing.connection())
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Marks a product as deleted. False when there is none of this id.
///
/// # Errors
/// When the database fails.
pub async fn delete(store: &Store, id: ProductId, now: Timestamp) -> Result<bool, StoreError> {
    let mut writing = store.begin().await?;
    let done = sqlx::query(DELETE).bind(now.0).bind(id.to_string()).execute(writing.connection()).await?;
    changes::increment(&mut writing, ChangeCounter::Catalogue).await?;
    writing.commit().await?;
    Ok(done.rows_affected() > 0)
}

/// The product of this id, unless it was deleted.
///
/// # Errors
/// When the database fails.
pub async fn find(store: &Store, id: ProductId) -> Result<Option<Product>, StoreError> {
    sqlx::query(FIND)
        .bind(id.to_string())
        .fetch_optional(store.reader())
        .await?
        .map(|row| read(&row))
        .transpose()
}

/// Up to `limit` products, newest first, from the first behind `after` on.
///
/// # Errors
/// When the database fails.
pub async fn list(
    store: &Store,
    after: Option<(Timestamp, ProductId)>,
    limit: u32,
) -> Result<Vec<Product>, StoreError> {
    let rows = match after {
        None => sqlx::query(LIST_FIRST).bind(i64::from(limit)),
        Some((at, id)) => sqlx::query(LIST_AFTER).bind(at.0).bind(id.to_string()).bind(i64::from(limit)),
    };
    rows.fetch_all(store.reader()).await?.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<Product, StoreError> {
    let id: String = row.try_get("id")?;
    let damaged = |reason| StoreError::Damaged { table: "products", id: id.clone(), reason };
    let currency: String = row.try_get("currency")?;
    Ok(Product {
        id: id.parse().map_err(|_| damaged("its id is not a UUID"))?,
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        price: Money {
            minor: row.try_get("price_minor")?,
            currency: currency.parse().map_err(|_| damaged("its currency is not one"))?,
        },
        category: row.try_get("category")?,
        image_url: row.try_get("image_url")?,
        created_at: Timestamp(row.try_get("created_at")?),
        updated_at: Timestamp(row.try_get("updated_at")?),
        deleted_at: row.try_get::<Option<i64>, _>("deleted_at")?.map(Timestamp),
    })
}
