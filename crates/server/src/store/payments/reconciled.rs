//! What the shop has of payments through a provider, to compare with the provider's own books.

use super::{PaymentState, Store, StoreError};
use sale::{OrderId, SaleId, Timestamp};
use sqlx::Row;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// A payment as the shop has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconciledPayment {
    pub order: OrderId,
    pub state: PaymentState,
    pub amount_minor: i64,
    /// What went back, or is on its way back.
    pub refunded_minor: i64,
    /// The part of it that is on its way: the provider may have paid it back or not.
    pub pending_minor: i64,
    /// What lost disputes took.
    pub lost_minor: i64,
}

pub(super) const STATEMENTS: &[&str] = &[LIST_BEGUN, LIST_SALES];

const LIST_BEGUN: &str = "
SELECT
    id,
    order_id,
    state,
    amount_minor,
    refunded_minor,
    (
        SELECT CAST(COALESCE(SUM(r.amount_minor), 0) AS BIGINT)
        FROM payment_refunds AS r
        WHERE r.payment_id = payments.id AND r.whole = 0 AND r.state = 'pending'
    ) AS pending_minor,
    (
        SELECT CAST(COALESCE(SUM(f.amount_minor), 0) AS BIGINT)
        FROM payment_findings AS f
        WHERE f.payment_id = payments.id AND f.kind = 'dispute' AND f.status = 'lost'
    ) AS lost_minor
FROM payments
WHERE provider = $1 AND created_at >= $2 AND created_at < $3";

const LIST_SALES: &str = "
SELECT id FROM sales WHERE provider = $1";

/// The payments that were begun with a provider from `from` until before `to`.
///
/// # Errors
/// When the database fails, or a row is damaged.
pub async fn list_begun(
    store: &Store,
    provider: &str,
    (from, to): (Timestamp, Timestamp),
) -> Result<BTreeMap<Uuid, ReconciledPayment>, StoreError> {
    let rows = sqlx::query(LIST_BEGUN)
        .bind(provider.to_owned())
        .bind(from.0)
        .bind(to.0)
        .fetch_all(store.reader())
        .await?;
    let mut payments = BTreeMap::new();
    for row in rows {
        let id: String = row.try_get("id")?;
        let damaged = |reason| StoreError::Damaged { table: "payments", id: id.clone(), reason };
        let (order, state): (String, String) = (row.try_get("order_id")?, row.try_get("state")?);
        let payment = ReconciledPayment {
            order: order.parse().map_err(|_| damaged("its order is not a UUID"))?,
            state: PaymentState::ALL
                .into_iter()
                .find(|known| known.as_str() == state)
                .ok_or_else(|| damaged("its state is unknown"))?,
            amount_minor: row.try_get("amount_minor")?,
            refunded_minor: row.try_get("refunded_minor")?,
            pending_minor: row.try_get("pending_minor")?,
            lost_minor: row.try_get("lost_minor")?,
        };
        payments.insert(id.parse().map_err(|_| damaged("its id is not a UUID"))?, payment);
    }
    Ok(payments)
}

/// The sales whose orders are paid through a provider.
///
/// # Errors
/// When the database fails, or a row is damaged.
pub async fn list_sales(store: &Store, provider: &str) -> Result<BTreeSet<SaleId>, StoreError> {
    let ids: Vec<String> =
        sqlx::query_scalar(LIST_SALES).bind(provider.to_owned()).fetch_all(store.reader()).await?;
    ids.into_iter()
        .map(|id| {
            let damaged =
                |_| StoreError::Damaged { table: "sales", id: id.clone(), reason: "its id is not a UUID" };
            id.parse().map_err(damaged)
        })
        .collect()
}
