//! The `guest_orders` table: the guests of one e-mail address that have tried to order in a sale.

use super::{Store, StoreError};
use sale::{BuyerId, SaleId};

pub(super) const STATEMENTS: &[&str] = &[INSERT, LIST];

const INSERT: &str = "
INSERT INTO guest_orders (sale_id, name, buyer_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

const LIST: &str = "
SELECT buyer_id FROM guest_orders WHERE sale_id = $1 AND name = $2";

/// Adds a guest of an address, and returns all of that address in the sale.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    store: &Store,
    sale: SaleId,
    name: &str,
    buyer: BuyerId,
) -> Result<Vec<BuyerId>, StoreError> {
    let mut writing = store.begin().await?;
    sqlx::query(INSERT)
        .bind(sale.to_string())
        .bind(name)
        .bind(buyer.to_string())
        .execute(writing.connection())
        .await?;
    let ids: Vec<String> =
        sqlx::query_scalar(LIST).bind(sale.to_string()).bind(name).fetch_all(writing.connection()).await?;
    writing.commit().await?;
    let parse = |id: String| match id.parse() {
        Ok(buyer) => Ok(buyer),
        Err(_) => Err(StoreError::Damaged { table: "guest_orders", id, reason: "its buyer is not a UUID" }),
    };
    ids.into_iter().map(parse).collect()
}
