//! The `guest_orders` table: the guests of one e-mail address who may have orders in a sale.

use super::{Store, StoreError, StoreTransaction};
use sale::{BuyerId, SaleId};

pub(super) const STATEMENTS: &[&str] = &[INSERT, LIST, REMOVE];

const INSERT: &str = "
INSERT INTO guest_orders (sale_id, name, buyer_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

const LIST: &str = "
SELECT buyer_id FROM guest_orders WHERE sale_id = $1 AND name = $2 LIMIT $3";

const REMOVE: &str = "
DELETE FROM guest_orders WHERE sale_id = $1 AND name = $2 AND buyer_id = $3";

/// Adds a guest of an address; false when it is there already. The row is durable when this returns.
///
/// # Errors
/// When the database fails.
pub async fn insert(store: &Store, sale: SaleId, name: &str, buyer: BuyerId) -> Result<bool, StoreError> {
    let mut writing = store.begin().await?;
    let inserted = sqlx::query(INSERT)
        .bind(sale.to_string())
        .bind(name)
        .bind(buyer.to_string())
        .execute(writing.connection())
        .await?;
    writing.commit().await?;
    Ok(inserted.rows_affected() > 0)
}

/// Guests of an address in the sale, at most `limit`. It reads on a connection for readers: its caller may hold one that writes.
///
/// # Errors
/// When the database fails.
pub async fn list(store: &Store, sale: SaleId, name: &str, limit: u32) -> Result<Vec<BuyerId>, StoreError> {
    let query = sqlx::query_scalar(LIST).bind(sale.to_string()).bind(name).bind(i64::from(limit));
    let ids: Vec<String> = query.fetch_all(store.reader()).await?;
    let parse = |id: String| match id.parse() {
        Ok(buyer) => Ok(buyer),
        Err(_) => Err(StoreError::Damaged { table: "guest_orders", id, reason: "its buyer is not a UUID" }),
    };
    ids.into_iter().map(parse).collect()
}

/// Removes a guest of an address.
///
/// # Errors
/// When the database fails.
pub async fn remove(
    writing: &mut StoreTransaction,
    sale: SaleId,
    name: &str,
    buyer: BuyerId,
) -> Result<(), StoreError> {
    sqlx::query(REMOVE)
        .bind(sale.to_string())
        .bind(name)
        .bind(buyer.to_string())
        .execute(writing.connection())
        .await?;
    Ok(())
}
