//! The `payments`, `payment_keys` and `payment_refunds` tables: rows, their states, leases, keys and refunds. Nothing here decides which state comes next: that is
//! `shop::payments`.

mod state;

mod begin;

mod lease;

mod steps;

mod keys;

mod unsettled;

mod captured;

mod reconciled;

mod refunds;

pub use begin::{BeginResult, KeyClaim, NewPayment, begin_payments};
pub use captured::{CapturedPayments, list_captured};
pub use keys::{PaymentKeyRow, claim_key, delete_keys, find_key};
pub use lease::{LeasedPayment, PaymentLease, acquire_lease, release_lease, renew_lease};
pub use reconciled::{ReconciledPayment, list_begun, list_sales};
pub use refunds::{
    OutsideRefundRow, PARTS_MAX, PartResult, RefundRow, RefundState, WholeRefund, begin_part, begin_refund,
    clear_outside, count_pending, find_refund, finish_part, hasten_parts, list_pending, postpone_part,
    sum_parts_of_sale, take_over_outside,
};
pub use state::PaymentState;
pub use steps::{PaymentStep, StepWrite, take_steps};
pub use unsettled::{
    StuckPayments, UnsettledCounts, count_unsettled, find_next_try, find_stuck, hasten, list_unsettled,
    postpone,
};

use super::bulk_write::BulkWrite;
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
    /// The name of the provider that it was begun with.
    pub provider: String,
    /// The provider's own id of it, once that is known.
    pub reference: Option<String>,
    /// The provider's name for the way to pay.
    pub method: String,
    pub amount: Money,
    pub state: PaymentState,
    /// The page on which the buyer pays; only in [`PaymentState::Open`].
    pub action_url: Option<String>,
    /// The language of the page from which the buyer pays; empty where it is not known.
    pub language: String,
    /// Why it was declined, as the buyer read it; empty otherwise.
    pub reason: String,
    /// Whether a refund gives the units back to the sale; valid from [`PaymentState::Refunding`] on.
    pub restock: bool,
    /// Minor units that went back, or are on their way back, in parts; the whole amount once it is refunded.
    pub refunded_minor: i64,
    pub created_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
    /// The reconciler's tries since then.
    pub tries: i64,
}

impl PaymentRow {
    /// Minor units that have not gone back and are not on their way back.
    #[must_use]
    pub const fn left_minor(&self) -> i64 {
        self.amount.minor - self.refunded_minor
    }
}

/// The statements that write the rows of many callers.
pub(super) fn bulk_writes() -> [&'static BulkWrite; 3] {
    [&begin::INSERT, &keys::INSERT, &steps::CHANGE]
}

/// Every other statement on these tables.
pub(super) fn statements() -> impl Iterator<Item = &'static str> {
    let parts = [
        &[FIND, FIND_LIVE, LIST_OF_ORDER][..],
        begin::STATEMENTS,
        lease::STATEMENTS,
        steps::STATEMENTS,
        keys::STATEMENTS,
        unsettled::STATEMENTS,
        captured::STATEMENTS,
        reconciled::STATEMENTS,
        refunds::STATEMENTS,
    ];
    parts.into_iter().flatten().copied()
}

const FIND: &str = "
SELECT
    id, order_id, sale_id, buyer_id, provider, reference, method, amount_minor, currency, state, action_url, language,
    reason, restock, refunded_minor, created_at, updated_at, tries
FROM payments
WHERE id = $1";

const FIND_LIVE: &str = "
SELECT
    id, order_id, sale_id, buyer_id, provider, reference, method, amount_minor, currency, state, action_url, language,
    reason, restock, refunded_minor, created_at, updated_at, tries
FROM payments
WHERE order_id = $1 AND state NOT IN ('declined', 'voided')";

const LIST_OF_ORDER: &str = "
SELECT
    id, order_id, sale_id, buyer_id, provider, reference, method, amount_minor, currency, state, action_url, language,
    reason, restock, refunded_minor, created_at, updated_at, tries
FROM payments
WHERE order_id = $1
ORDER BY created_at, id";

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

/// All payments of an order, the oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list_of_order(store: &Store, order: OrderId) -> Result<Vec<PaymentRow>, StoreError> {
    let rows = sqlx::query(LIST_OF_ORDER).bind(order.to_string()).fetch_all(store.reader()).await?;
    rows.iter().map(read).collect()
}

/// The id of a payment in a column.
fn read_id(row: &AnyRow, column: &str) -> Result<Uuid, StoreError> {
    let id: String = row.try_get(column)?;
    id.parse().map_err(|_| StoreError::Damaged { table: "payments", id, reason: "its id is not a UUID" })
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
        provider: text("provider")?,
        reference: row.try_get("reference")?,
        method: text("method")?,
        amount: Money {
            minor: row.try_get("amount_minor")?,
            currency: text("currency")?.parse().map_err(|_| damaged("its currency is not one"))?,
        },
        state: PaymentState::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or_else(|| damaged("its state is unknown"))?,
        action_url: row.try_get("action_url")?,
        language: text("language")?,
        reason: text("reason")?,
        restock: row.try_get::<i64, _>("restock")? != 0,
        refunded_minor: row.try_get("refunded_minor")?,
        created_at: Timestamp(row.try_get("created_at")?),
        updated_at: Timestamp(row.try_get("updated_at")?),
        tries: row.try_get("tries")?,
    })
}
