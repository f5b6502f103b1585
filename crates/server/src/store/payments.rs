//! The `payments` and `payment_keys` tables: rows, their states, leases and keys. Nothing here decides which state comes next: that is
//! `shop::payments`.

mod state;

mod begin;

mod lease;

mod steps;

mod keys;

mod unsettled;

mod captured;

pub use begin::{BeginResult, KeyClaim, begin};
pub use captured::{CapturedPayments, list_captured};
pub use keys::{PaymentKeyRow, claim_key, delete_keys, find_key};
pub use lease::{LeasedPayment, PaymentLease, acquire_lease, release_lease, renew_lease};
pub use state::PaymentState;
pub use steps::{PaymentStep, begin_refund, take_step};
pub use unsettled::{UnsettledCounts, count_unsettled, list_unsettled, postpone};

use super::{Store, StoreError};
use sale::{BuyerId, Money, OrderId, SaleId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentRow {
    /// The intent: its id here, and the provider's idempotency key.
    pub id: Uuid,
    pub order: OrderId,
    pub sale: SaleId,
    pub buyer: BuyerId,
    /// The provider's name for the way to pay.
    pub method: String,
    pub amount: Money,
    pub state: PaymentState,
    /// Why it was declined, as the buyer read it; empty otherwise.
    pub reason: String,
    /// Whether a refund gives the units back to the sale; valid from [`PaymentState::Refunding`] on.
    pub restock: bool,
    pub created_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
    /// The reconciler's tries since then.
    pub tries: i64,
}

/// Every statement on these tables.
pub(super) fn statements() -> impl Iterator<Item = &'static str> {
    let parts = [
        &[FIND, FIND_LIVE][..],
        begin::STATEMENTS,
        lease::STATEMENTS,
        steps::STATEMENTS,
        keys::STATEMENTS,
        unsettled::STATEMENTS,
        captured::STATEMENTS,
    ];
    parts.into_iter().flatten().copied()
}

const FIND: &str = "
SELECT
    id, order_id, sale_id, buyer_id, method, amount_minor, currency, state, reason, restock, created_at, updated_at,
    tries
FROM payments
WHERE id = $1";

const FIND_LIVE: &str = "
SELECT
    id, order_id, sale_id, buyer_id, method, amount_minor, currency, state, reason, restock, created_at, updated_at,
    tries
FROM payments
WHERE order_id = $1 AND state NOT IN ('declined', 'voided')";

/// The payment with this id.
///
/// # Errors
/// When the database fails.
pub async fn find(store: &Store, id: Uuid) -> Result<Option<PaymentRow>, StoreError> {
    sqlx::query(FIND)
        .bind(id.to_string())
        .fetch_optional(store.reader())
        .await?
        .map(|row| read(&row))
        .transpose()
}

/// The order's payment that is neither declined nor voided. There is at most one.
///
/// # Errors
/// When the database fails.
pub async fn find_live(store: &Store, order: OrderId) -> Result<Option<PaymentRow>, StoreError> {
    let found = sqlx::query(FIND_LIVE).bind(order.to_string()).fetch_optional(store.reader()).await?;
    found.map(|row| read(&row)).transpose()
}

fn read(row: &AnyRow) -> Result<PaymentRow, StoreError> {
    let id: String = row.try_get("id")?;
    let text = |column: &str| row.try_get::<String, _>(column);
    let damaged = |reason| StoreError::Damaged { table: "payments", id: id.clone(), reason };
    let state = text("state")?;
    Ok(PaymentRow {
        id: id.parse().map_err(|_| damaged("its id is not a UUID"))?,
        order: text("order_id")?.parse().map_err(|_| damaged("its order is not a UUID"))?,
        sale: text("sale_id")?.parse().map_err(|_| damaged("its sale is not a UUID"))?,
        buyer: text("buyer_id")?.parse().map_err(|_| damaged("its buyer is not a UUID"))?,
        method: text("method")?,
        amount: Money {
            minor: row.try_get("amount_minor")?,
            currency: text("currency")?.parse().map_err(|_| damaged("its currency is not one"))?,
        },
        state: PaymentState::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or_else(|| damaged("its state is unknown"))?,
        reason: text("reason")?,
        restock: row.try_get::<i64, _>("restock")? != 0,
        created_at: Timestamp(row.try_get("created_at")?),
        updated_at: Timestamp(row.try_get("updated_at")?),
        tries: row.try_get("tries")?,
    })
}
