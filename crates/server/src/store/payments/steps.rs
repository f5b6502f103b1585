//! Moves a payment from one state to the next, by compare-and-set, and only for the process that holds its lease.

use super::{LeasedPayment, PaymentLease, PaymentRow, PaymentState, keys};
use crate::store::payment_events::{self, PaymentEventState};
use crate::store::{Store, StoreError, StoreTransaction};
use sale::Timestamp;

pub(super) const STATEMENTS: &[&str] = &[CHANGE, DECLINE, ABANDON, BEGIN_REFUND];

/// A settled payment has no lease.
const CHANGE: &str = "
UPDATE payments
SET state = $1, updated_at = $2, try_at = $3, tries = 0, lease = $4
WHERE id = $5 AND state = $6 AND lease = $7
RETURNING id";

const DECLINE: &str = "
UPDATE payments
SET state = 'declined', reason = $1, updated_at = $2, tries = 0, lease = NULL
WHERE id = $3 AND state = 'started' AND lease = $4
RETURNING id";

const ABANDON: &str = "
UPDATE payments
SET state = 'voiding', updated_at = $1, try_at = $2, tries = 0
WHERE id = $3 AND state = 'started' AND lease = $4
RETURNING id";

const BEGIN_REFUND: &str = "
UPDATE payments
SET state = 'refunding', restock = $1, updated_at = $2, try_at = $3, tries = 0, lease = $4, lease_until = $5
WHERE id = $6 AND state = 'captured'
RETURNING id";

/// Moves a payment on from the state that it is in, and in the same transaction writes the step that is published, if it is one.
/// `Ok(false)` when it is in another state, or the lease is lost.
///
/// # Errors
/// When the database fails; the change may have been made.
pub async fn change_state(
    store: &Store,
    leased: &LeasedPayment,
    to: PaymentState,
    now: Timestamp,
    try_at: Timestamp,
) -> Result<bool, StoreError> {
    let query = sqlx::query(CHANGE)
        .bind(to.as_str())
        .bind(now.0)
        .bind(try_at.0)
        .bind((!to.is_settled()).then(|| leased.holder()))
        .bind(leased.id.to_string())
        .bind(leased.state.as_str())
        .bind(leased.holder());
    let changed = match PaymentEventState::from_state(to) {
        None => query.fetch_optional(store.writer()).await?,
        Some(published) => {
            let mut writing = store.begin().await?;
            let changed = query.fetch_optional(writing.connection()).await?;
            if changed.is_some() {
                payment_events::insert(&mut writing, leased.id, published).await?;
            }
            writing.commit().await?;
            changed
        }
    };
    leased.set_settled(changed.is_some() && to.is_settled());
    Ok(changed.is_some())
}

/// Moves a payment from [`PaymentState::Started`] to [`PaymentState::Declined`], and publishes that. `Ok(false)` when it is not started any more, or the
/// lease is lost.
///
/// # Errors
/// When the database fails; the change may have been made.
pub async fn decline(
    store: &Store,
    leased: &LeasedPayment,
    reason: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut writing = store.begin().await?;
    let changed = sqlx::query(DECLINE)
        .bind(reason)
        .bind(now.0)
        .bind(leased.id.to_string())
        .bind(leased.holder())
        .fetch_optional(writing.connection())
        .await?;
    if changed.is_some() {
        payment_events::insert(&mut writing, leased.id, PaymentEventState::Declined).await?;
    }
    writing.commit().await?;
    leased.set_settled(changed.is_some());
    Ok(changed.is_some())
}

/// Moves a payment that the provider never saw from [`PaymentState::Started`] to [`PaymentState::Voiding`] and frees its keys: nothing
/// was done under them. `Ok(false)` when it is not started any more, or the lease is lost.
///
/// # Errors
/// When the database fails; the change may have been made.
pub async fn abandon(
    store: &Store,
    leased: &LeasedPayment,
    now: Timestamp,
    try_at: Timestamp,
) -> Result<bool, StoreError> {
    let mut writing = store.begin().await?;
    let changed = sqlx::query(ABANDON)
        .bind(now.0)
        .bind(try_at.0)
        .bind(leased.id.to_string())
        .bind(leased.holder())
        .fetch_optional(writing.connection())
        .await?;
    if changed.is_some() {
        keys::delete_keys_of_payment(&mut writing, leased.id).await?;
    }
    writing.commit().await?;
    Ok(changed.is_some())
}

/// Leases a payment and moves it from [`PaymentState::Captured`] to [`PaymentState::Refunding`]. `Ok(None)` when it is not captured.
///
/// # Errors
/// When the database fails; the change may have been made.
pub async fn begin_refund(
    writing: &mut StoreTransaction,
    payment: PaymentRow,
    restock: bool,
    (now, try_at): (Timestamp, Timestamp),
    lease: PaymentLease,
) -> Result<Option<LeasedPayment>, StoreError> {
    let changed = sqlx::query(BEGIN_REFUND)
        .bind(i64::from(restock))
        .bind(now.0)
        .bind(try_at.0)
        .bind(lease.holder.to_string())
        .bind(lease.until.0)
        .bind(payment.id.to_string())
        .fetch_optional(writing.connection())
        .await?;
    let payment = PaymentRow { state: PaymentState::Refunding, restock, ..payment };
    Ok(changed.map(|_| LeasedPayment::new(payment, lease)))
}
