//! Moves a payment from one state to the next, by compare-and-set, and only for the process that holds its lease.

use super::{LeasedPayment, PaymentLease, PaymentRow, PaymentState, keys};
use crate::store::payment_events::{self, PaymentEventState};
use crate::store::{StoreError, StoreTransaction};
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

/// What moves a payment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentStep {
    /// From the state that it is in to this one.
    Change(PaymentState),
    /// From [`PaymentState::Started`] to [`PaymentState::Declined`], with the reason that the buyer reads.
    Decline(String),
    /// From [`PaymentState::Started`] to [`PaymentState::Voiding`], because the provider never saw it. Its keys are freed: nothing was done
    /// under them.
    Abandon,
}

/// Moves a payment on, with the event that is published of it, if there is one, and returns it as it is then. `Ok(None)` when it is in another state, or the lease is lost.
///
/// # Errors
/// When the database fails.
pub async fn take_step(
    writing: &mut StoreTransaction,
    leased: &LeasedPayment,
    step: &PaymentStep,
    now: Timestamp,
    try_at: Timestamp,
) -> Result<Option<LeasedPayment>, StoreError> {
    let query = match step {
        PaymentStep::Change(to) => sqlx::query(CHANGE)
            .bind(to.as_str())
            .bind(now.0)
            .bind(try_at.0)
            .bind((!to.is_settled()).then(|| leased.holder()))
            .bind(leased.id.to_string())
            .bind(leased.state.as_str())
            .bind(leased.holder()),
        PaymentStep::Decline(reason) => sqlx::query(DECLINE)
            .bind(reason.clone())
            .bind(now.0)
            .bind(leased.id.to_string())
            .bind(leased.holder()),
        PaymentStep::Abandon => {
            sqlx::query(ABANDON).bind(now.0).bind(try_at.0).bind(leased.id.to_string()).bind(leased.holder())
        }
    };
    if query.fetch_optional(writing.connection()).await?.is_none() {
        return Ok(None);
    }
    let (state, reason) = match step {
        PaymentStep::Change(to) => (*to, leased.reason.clone()),
        PaymentStep::Decline(reason) => (PaymentState::Declined, reason.clone()),
        PaymentStep::Abandon => {
            keys::delete_keys_of_payment(writing, leased.id).await?;
            (PaymentState::Voiding, leased.reason.clone())
        }
    };
    if let Some(published) = PaymentEventState::from_state(state) {
        payment_events::insert(writing, leased.id, published).await?;
    }
    Ok(Some(leased.moved(PaymentRow { state, reason, updated_at: now, tries: 0, ..(**leased).clone() })))
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
