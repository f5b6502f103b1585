//! Leases: the right to move a payment on, so that two processes never work on the same row at once.

use super::{PaymentRow, read};
use crate::store::{Store, StoreError};
use sale::Timestamp;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

/// A payment with its lease. Every step needs one.
#[derive(Clone, Debug)]
pub struct LeasedPayment {
    payment: PaymentRow,
    lease: PaymentLease,
    /// Whether a step under this lease has settled it; then there is no lease to give back.
    settled: Arc<AtomicBool>,
}

/// The right to work on a payment until a time, unless it is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentLease {
    /// A name that no other lease has.
    pub holder: Uuid,
    /// From then on another process may take it.
    pub until: Timestamp,
}

impl Deref for LeasedPayment {
    type Target = PaymentRow;
    fn deref(&self) -> &PaymentRow {
        &self.payment
    }
}

impl LeasedPayment {
    pub(super) fn new(payment: PaymentRow, lease: PaymentLease) -> Self {
        Self { payment, lease, settled: Arc::default() }
    }

    /// The same payment after a step.
    #[must_use]
    pub fn moved(&self, payment: PaymentRow) -> Self {
        Self { payment, lease: self.lease, settled: Arc::clone(&self.settled) }
    }

    /// Notes that the step to this state is durable: a settled payment has no lease to give back.
    pub fn mark_durable(&self) {
        self.settled.fetch_or(self.state.is_settled(), Ordering::Relaxed);
    }

    pub(super) fn holder(&self) -> String {
        self.lease.holder.to_string()
    }
}

pub(super) const STATEMENTS: &[&str] = &[ACQUIRE_LEASE, RENEW_LEASE, RELEASE_LEASE];

const ACQUIRE_LEASE: &str = "
UPDATE payments
SET lease = $1, lease_until = $2
WHERE id = $3 AND (lease IS NULL OR lease_until <= $4)
RETURNING
    id, order_id, sale_id, buyer_id, provider, reference, method, amount_minor, currency, state, action_url, language,
    reason, restock, refunded_minor, created_at, updated_at, tries";

const RENEW_LEASE: &str = "
UPDATE payments SET lease_until = $1 WHERE id = $2 AND lease = $3 RETURNING id";

const RELEASE_LEASE: &str = "
UPDATE payments SET lease = NULL, lease_until = NULL WHERE id = $1 AND lease = $2";

/// Leases a payment and reads it. `Ok(None)` when another process has a lease that is not over at `now`.
///
/// # Errors
/// When the database fails.
pub async fn acquire_lease(
    store: &Store,
    id: Uuid,
    lease: PaymentLease,
    now: Timestamp,
) -> Result<Option<LeasedPayment>, StoreError> {
    let acquired = sqlx::query(ACQUIRE_LEASE)
        .bind(lease.holder.to_string())
        .bind(lease.until.0)
        .bind(id.to_string())
        .bind(now.0)
        .fetch_optional(store.writer())
        .await?;
    acquired.map(|row| Ok(LeasedPayment::new(read(&row)?, lease))).transpose()
}

/// Extends a lease. `Ok(false)` when it is lost, or the payment is settled.
///
/// # Errors
/// When the database fails.
pub async fn renew_lease(
    store: &Store,
    leased: &LeasedPayment,
    until: Timestamp,
) -> Result<bool, StoreError> {
    let renewed = sqlx::query(RENEW_LEASE)
        .bind(until.0)
        .bind(leased.id.to_string())
        .bind(leased.holder())
        .fetch_optional(store.writer())
        .await?;
    Ok(renewed.is_some())
}

/// Gives a lease back, unless the payment's last step has settled it.
///
/// # Errors
/// When the database fails; then the lease ends by itself.
pub async fn release_lease(store: &Store, leased: &LeasedPayment) -> Result<(), StoreError> {
    if leased.settled.load(Ordering::Relaxed) {
        return Ok(());
    }
    sqlx::query(RELEASE_LEASE)
        .bind(leased.id.to_string())
        .bind(leased.holder())
        .execute(store.writer())
        .await?;
    Ok(())
}
