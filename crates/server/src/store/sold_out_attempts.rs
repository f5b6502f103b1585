//! The `sold_out_attempts` table: buyers whose last attempt at a product was refused because every unit was sold. All instances read it.
//! A row is kept for a day.

use super::bulk_insert::BulkInsert;
use super::products::ProductId;
use super::{Store, StoreError, StoreTransaction};
use sale::{BuyerId, Timestamp};

/// The last attempt of a buyer at a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoldOutAttempt {
    pub buyer: BuyerId,
    pub product: ProductId,
    pub at: Timestamp,
}

pub(super) static UPSERT: BulkInsert = BulkInsert::new(
    "INSERT INTO sold_out_attempts (buyer_id, product_id, at)",
    3,
    "ON CONFLICT (buyer_id, product_id) DO UPDATE SET at = excluded.at WHERE excluded.at > sold_out_attempts.at",
);

pub(super) const STATEMENTS: &[&str] = &[FIND, DELETE, DELETE_OLD];

const FIND: &str = "
SELECT at FROM sold_out_attempts WHERE buyer_id = $1 AND product_id = $2";

const DELETE: &str = "
DELETE FROM sold_out_attempts WHERE buyer_id = $1 AND product_id = $2";

const DELETE_OLD: &str = "
DELETE FROM sold_out_attempts WHERE at < $1";

/// Writes attempts; of a buyer and a product the later one stays. No two rows may be of one buyer and product.
///
/// # Errors
/// When the database fails.
pub async fn upsert(writing: &mut StoreTransaction, rows: &[SoldOutAttempt]) -> Result<(), StoreError> {
    let write = UPSERT.insert_rows(writing, rows, |bound, row| {
        bound.bind(row.buyer.to_string()).bind(row.product.to_string()).bind(row.at.0)
    });
    write.await
}

/// When the buyer's last attempt at the product was refused as sold out; `None` when there is no such attempt.
///
/// # Errors
/// When the database fails.
pub async fn find(
    store: &Store,
    buyer: BuyerId,
    product: ProductId,
) -> Result<Option<Timestamp>, StoreError> {
    let query = sqlx::query_scalar(FIND).bind(buyer.to_string()).bind(product.to_string());
    let at: Option<i64> = query.fetch_optional(store.reader()).await?;
    Ok(at.map(Timestamp))
}

/// Forgets the buyer's last attempt at the product.
///
/// # Errors
/// When the database fails.
pub async fn delete(store: &Store, buyer: BuyerId, product: ProductId) -> Result<(), StoreError> {
    let query = sqlx::query(DELETE).bind(buyer.to_string()).bind(product.to_string());
    query.execute(store.writer()).await?;
    Ok(())
}

/// Forgets attempts that were made before `before`.
///
/// # Errors
/// When the database fails.
pub async fn delete_old(store: &Store, before: Timestamp) -> Result<(), StoreError> {
    sqlx::query(DELETE_OLD).bind(before.0).execute(store.writer()).await?;
    Ok(())
}
