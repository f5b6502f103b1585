//! Begins a payment: its row and its idempotency key, both or neither.

use super::keys::{claim_key, insert_key};
use super::{LeasedPayment, PaymentKeyRow, PaymentLease, PaymentRow};
use crate::store::{StoreError, StoreTransaction};
use sale::Timestamp;

pub(super) const STATEMENTS: &[&str] = &[INSERT, DELETE];

const INSERT: &str = "
INSERT INTO payments (
    id, order_id, sale_id, buyer_id, method, amount_minor, currency, state, reason, restock, created_at, updated_at,
    tries, try_at, lease, lease_until
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $13, $14, $15)
ON CONFLICT DO NOTHING
RETURNING id";

const DELETE: &str = "
DELETE FROM payments WHERE id = $1";

/// What became of a payment that was to begin.
#[derive(Clone, Debug)]
pub enum BeginResult {
    Begun(LeasedPayment),
    /// Its order has a payment already that is neither declined nor voided.
    OrderTaken,
    /// The key does not allow it.
    KeyTaken,
}

/// Which keys a payment may begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyClaim {
    /// One that was never used.
    First,
    /// One that was never used, or for the same request; then it belongs to this payment from now on.
    Again,
}

/// Adds a payment with a lease, and claims its key; both or neither.
///
/// # Errors
/// When the database fails.
pub async fn begin(
    writing: &mut StoreTransaction,
    payment: PaymentRow,
    key: Option<(PaymentKeyRow, KeyClaim)>,
    try_at: Timestamp,
    lease: PaymentLease,
) -> Result<BeginResult, StoreError> {
    if !insert(writing, &payment, try_at, lease).await? {
        return Ok(BeginResult::OrderTaken);
    }
    if let Some((key, claim)) = key {
        let key = PaymentKeyRow { payment: payment.id, ..key };
        let is_claimed = match claim {
            KeyClaim::First => insert_key(writing, &key).await?,
            KeyClaim::Again => claim_key(writing, &key).await?,
        };
        // Others write in the same transaction, so it cannot be rolled back.
        if !is_claimed {
            sqlx::query(DELETE).bind(payment.id.to_string()).execute(writing.connection()).await?;
            return Ok(BeginResult::KeyTaken);
        }
    }
    Ok(BeginResult::Begun(LeasedPayment::new(payment, lease)))
}

async fn insert(
    writing: &mut StoreTransaction,
    payment: &PaymentRow,
    try_at: Timestamp,
    lease: PaymentLease,
) -> Result<bool, StoreError> {
    let inserted = sqlx::query(INSERT)
        .bind(payment.id.to_string())
        .bind(payment.order.to_string())
        .bind(payment.sale.to_string())
        .bind(payment.buyer.to_string())
        .bind(payment.method.as_str())
        .bind(payment.amount.minor)
        .bind(payment.amount.currency.as_str())
        .bind(payment.state.as_str())
        .bind(payment.reason.as_str())
        .bind(i64::from(payment.restock))
        .bind(payment.created_at.0)
        .bind(payment.updated_at.0)
        .bind(try_at.0)
        .bind(lease.holder.to_string())
        .bind(lease.until.0)
        .fetch_optional(writing.connection())
        .await?;
    Ok(inserted.is_some())
}
