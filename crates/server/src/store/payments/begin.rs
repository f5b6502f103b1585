//! Begins payments: the row and the idempotency key of each, both or neither.

use super::keys::{claim_key, insert_keys};
use super::{LeasedPayment, PaymentKeyRow, PaymentLease, PaymentRow, read_id};
use crate::store::bulk_insert::BoundQuery;
use crate::store::bulk_write::BulkWrite;
use crate::store::{StoreError, StoreTransaction};
use sale::Timestamp;
use std::collections::HashSet;
use uuid::Uuid;

pub(super) const STATEMENTS: &[&str] = &[DELETE];

pub(in crate::store) static INSERT: BulkWrite = BulkWrite::new(
    "INSERT INTO payments (
    id, order_id, sale_id, buyer_id, provider, method, amount_minor, currency, state, language, reason, restock,
    refunded_minor, created_at, updated_at, tries, try_at, lease, lease_until
)",
    19,
    "ON CONFLICT DO NOTHING RETURNING id",
);

const DELETE: &str = "
DELETE FROM payments WHERE id = $1";

/// A payment that is to begin, with a lease.
#[derive(Clone, Debug)]
pub struct NewPayment {
    pub payment: PaymentRow,
    pub key: Option<(PaymentKeyRow, KeyClaim)>,
    pub try_at: Timestamp,
    pub lease: PaymentLease,
}

/// What became of a payment that was to begin.
#[derive(Clone, Debug)]
pub enum BeginResult {
    Begun(Box<LeasedPayment>),
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

/// Adds payments, and claims the key of each; both or neither. Returns what became of each, in their order.
///
/// # Errors
/// When the database fails.
pub async fn begin_payments(
    writing: &mut StoreTransaction,
    payments: &[&NewPayment],
) -> Result<Vec<BeginResult>, StoreError> {
    let inserted = INSERT.write_rows(writing, payments, bind_payment).await?;
    let inserted = inserted.iter().map(|row| read_id(row, "id")).collect::<Result<HashSet<Uuid>, _>>()?;
    let mut first_keys: Vec<PaymentKeyRow> = payments
        .iter()
        .filter(|new| inserted.contains(&new.payment.id))
        .filter(|new| matches!(new.key, Some((_, KeyClaim::First))))
        .filter_map(|new| new.key_row())
        .collect();
    // In one order everywhere, so that two transactions do not wait for each other.
    first_keys.sort_by(|one, other| (one.owner.0, &one.digest).cmp(&(other.owner.0, &other.digest)));
    let mut claimed = insert_keys(writing, &first_keys).await?;
    let mut results = Vec::with_capacity(payments.len());
    for new in payments {
        let id = new.payment.id;
        if !inserted.contains(&id) {
            results.push(BeginResult::OrderTaken);
            continue;
        }
        if let Some((_, KeyClaim::Again)) = new.key
            && let Some(key) = new.key_row()
            && claim_key(writing, &key).await?
        {
            claimed.insert(id);
        }
        if new.key.is_some() && !claimed.contains(&id) {
            // Others write in the same transaction, so it cannot be rolled back.
            sqlx::query(DELETE).bind(id.to_string()).execute(writing.connection()).await?;
            results.push(BeginResult::KeyTaken);
            continue;
        }
        results.push(BeginResult::Begun(Box::new(LeasedPayment::new(new.payment.clone(), new.lease))));
    }
    Ok(results)
}

impl NewPayment {
    /// Its key, if it has one, as the key of this payment.
    fn key_row(&self) -> Option<PaymentKeyRow> {
        self.key.as_ref().map(|(key, _)| PaymentKeyRow { payment: self.payment.id, ..key.clone() })
    }
}

fn bind_payment(query: BoundQuery, new: &&NewPayment) -> BoundQuery {
    let NewPayment { payment, try_at, lease, .. } = new;
    query
        .bind(payment.id.to_string())
        .bind(payment.order.to_string())
        .bind(payment.sale.to_string())
        .bind(payment.buyer.to_string())
        .bind(payment.provider.clone())
        .bind(payment.method.clone())
        .bind(payment.amount.minor)
        .bind(payment.amount.currency.to_string())
        .bind(payment.state.as_str())
        .bind(payment.language.clone())
        .bind(payment.reason.clone())
        .bind(i64::from(payment.restock))
        .bind(payment.refunded_minor)
        .bind(payment.created_at.0)
        .bind(payment.updated_at.0)
        .bind(payment.tries)
        .bind(try_at.0)
        .bind(lease.holder.to_string())
        .bind(lease.until.0)
}
