//! The `sale_slugs` table: every slug that a sale has or had. A slug leads to its sale for good and is never given to another one.

use super::{Store, StoreError, StoreTransaction};
use sale::{SaleId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

pub(super) const STATEMENTS: &[&str] = &[INSERT, FIND, REMOVE, LIST_FORMER];

const INSERT: &str = "
INSERT INTO sale_slugs (slug, sale_id, since) VALUES ($1, $2, $3) ON CONFLICT (slug) DO NOTHING RETURNING slug";

const FIND: &str = "
SELECT sale_id FROM sale_slugs WHERE slug = $1";

const REMOVE: &str = "
DELETE FROM sale_slugs WHERE sale_id = $1";

const LIST_FORMER: &str = "
SELECT sale_slugs.slug AS slug, sale_slugs.sale_id AS sale_id
FROM sale_slugs
JOIN sales ON sales.id = sale_slugs.sale_id
WHERE sales.deleted_at IS NULL AND sales.announced_at IS NOT NULL AND sales.slug <> sale_slugs.slug";

/// Gives a slug to a sale. False when a sale has or had it, this one included.
///
/// # Errors
/// When the database fails.
pub(super) async fn insert(
    writing: &mut StoreTransaction,
    slug: &str,
    sale: SaleId,
    since: Timestamp,
) -> Result<bool, StoreError> {
    let query = sqlx::query(INSERT).bind(slug).bind(sale.to_string()).bind(since.0);
    Ok(query.fetch_optional(writing.connection()).await?.is_some())
}

/// Whether the sale may get the slug: no other sale has or had it, unannounced and deleted ones included.
///
/// # Errors
/// When the database fails.
pub async fn is_free_for(store: &Store, slug: &str, sale: SaleId) -> Result<bool, StoreError> {
    let owner: Option<String> = sqlx::query_scalar(FIND).bind(slug).fetch_optional(store.reader()).await?;
    Ok(owner.is_none_or(|owner| owner == sale.to_string()))
}

/// Frees the slug of an unannounced sale: it never led anywhere.
pub(super) async fn remove_unannounced(
    writing: &mut StoreTransaction,
    sale: SaleId,
) -> Result<(), StoreError> {
    sqlx::query(REMOVE).bind(sale.to_string()).execute(writing.connection()).await?;
    Ok(())
}

/// The slugs that listed sales had before.
///
/// # Errors
/// When the database fails.
pub async fn list_former(store: &Store) -> Result<Vec<(String, SaleId)>, StoreError> {
    sqlx::query(LIST_FORMER).fetch_all(store.reader()).await?.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<(String, SaleId), StoreError> {
    let (slug, id): (String, String) = (row.try_get("slug")?, row.try_get("sale_id")?);
    match id.parse() {
        Ok(sale) => Ok((slug, sale)),
        Err(_) => Err(StoreError::Damaged { table: "sale_slugs", id, reason: "its sale is not a UUID" }),
    }
}
