//! Which payments were captured, to compare them with the ledger: each of their orders has to be confirmed there.

use super::{Store, StoreError};
use futures::TryStreamExt as _;
use sale::{OrderId, SaleId};
use sqlx::Row;
use sqlx::any::AnyRow;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// The captured payment of each order, by sale. One takes some 40 bytes.
pub type CapturedPayments = BTreeMap<SaleId, HashMap<OrderId, Uuid>>;

pub(super) const STATEMENTS: &[&str] = &[LIST];

const LIST: &str = "
SELECT id, order_id, sale_id FROM payments WHERE state = 'captured'";

/// All captured payments. An order has at most one.
///
/// # Errors
/// When the database fails, or a row is damaged.
pub async fn list_captured(store: &Store) -> Result<CapturedPayments, StoreError> {
    let mut captured = CapturedPayments::new();
    let mut rows = sqlx::query(LIST).fetch(store.reader());
    while let Some(row) = rows.try_next().await? {
        let (sale, order, id) = read(&row)?;
        captured.entry(sale).or_default().insert(order, id);
    }
    Ok(captured)
}

fn read(row: &AnyRow) -> Result<(SaleId, OrderId, Uuid), StoreError> {
    let id: String = row.try_get("id")?;
    let text = |column: &str| row.try_get::<String, _>(column);
    let damaged = |reason| StoreError::Damaged { table: "payments", id: id.clone(), reason };
    let sale = text("sale_id")?.parse().map_err(|_| damaged("its sale is not a UUID"))?;
    let order = text("order_id")?.parse().map_err(|_| damaged("its order is not a UUID"))?;
    Ok((sale, order, id.parse().map_err(|_| damaged("its id is not a UUID"))?))
}
