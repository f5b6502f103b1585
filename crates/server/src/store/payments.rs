//! The `payments` and `payment_keys` tables. A payment's state moves on by compare-and-set, and only by the hand of whoever holds
//! it, so that two who work on the same row never undo each other. Nothing here decides what the next state is: that is
//! `shop::payments`.

use super::{Store, StoreError, StoreTransaction};
use sale::{BuyerId, Money, OrderId, SaleId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentRow {
    /// The intent: our name for it, and the provider's idempotency key.
    pub id: Uuid,
    pub order: OrderId,
    pub sale: SaleId,
    pub buyer: BuyerId,
    /// How, in the provider's words.
    pub method: String,
    pub amount: Money,
    /// How far it has come.
    pub state: PaymentState,
    /// Why it was declined, as the buyer was told; empty otherwise.
    pub reason: String,
    /// Whether a refund gives the units back to the sale; means something from [`State::Refunding`] on.
    pub restock: bool,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
    /// How often the reconciler has tried in vain since then.
    pub tries: i64,
}

/// A payment in the hand of one who works on it. Only from here it can be moved on.
#[derive(Clone, Debug)]
pub struct LeasedPayment {
    payment: PaymentRow,
    lease: PaymentLease,
    /// Whether this hand has settled it; what is settled is in nobody's.
    settled: Arc<AtomicBool>,
}

/// The right to work on a payment: a name that no other work has, and until when it holds unless it is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentLease {
    /// Whose work it is.
    pub holder: Uuid,
    /// From then on another may take it.
    pub until: Timestamp,
}

impl Deref for LeasedPayment {
    type Target = PaymentRow;
    fn deref(&self) -> &PaymentRow {
        &self.payment
    }
}

impl LeasedPayment {
    fn new(payment: PaymentRow, lease: PaymentLease) -> Self {
        Self { payment, lease, settled: Arc::default() }
    }

    /// The same payment in the next state.
    #[must_use]
    pub fn with_state(&self, state: PaymentState) -> Self {
        let payment = PaymentRow { state, ..self.payment.clone() };
        Self { payment, lease: self.lease, settled: Arc::clone(&self.settled) }
    }

    fn holder(&self) -> String {
        self.lease.holder.to_string()
    }
}

/// How far a payment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaymentState {
    /// About to be authorised. The provider may or may not know of it.
    Started,
    /// The money is set aside; the order may or may not be confirmed.
    Authorised,
    /// The order is confirmed and the money is taken. Settled.
    Captured,
    /// The provider said no. Settled.
    Declined,
    /// The order was refused, or nothing came of the authorisation: the money is to be let go, whatever happens.
    Voiding,
    /// The money was let go. Settled.
    Voided,
    /// The money is to be given back, whatever happens.
    Refunding,
    /// The money was given back. Settled.
    Refunded,
}

impl PaymentState {
    const ALL: [Self; 8] = [
        Self::Started,
        Self::Authorised,
        Self::Captured,
        Self::Declined,
        Self::Voiding,
        Self::Voided,
        Self::Refunding,
        Self::Refunded,
    ];

    /// Whether nothing is left to be done.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Captured | Self::Declined | Self::Voided | Self::Refunded)
    }

    /// The word for it in tables, logs and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Authorised => "authorised",
            Self::Captured => "captured",
            Self::Declined => "declined",
            Self::Voiding => "voiding",
            Self::Voided => "voided",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
        }
    }
}

/// An idempotency key and what it was first used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentKeyRow {
    pub owner: BuyerId,
    /// SHA-256 of the key and the operation, in hexadecimal digits.
    pub digest: String,
    /// SHA-256 of the request's content, in hexadecimal digits.
    pub fingerprint: String,
    /// The payment that the request was about; nil where no money moved.
    pub payment: Uuid,
    /// When it was first used.
    pub created_at: Timestamp,
}

/// How many payments are not settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnsettledCounts {
    /// All of them, also those that are being worked on.
    pub all: i64,
    /// Those whose state has not changed for long.
    pub stuck: i64,
}

pub(super) const STATEMENTS: &[&str] = &[
    INSERT,
    FIND,
    FIND_LIVE,
    ACQUIRE_LEASE,
    RENEW_LEASE,
    RELEASE_LEASE,
    CHANGE,
    DECLINE,
    ABANDON,
    BEGIN_REFUND,
    POSTPONE,
    LIST_UNSETTLED,
    COUNT_UNSETTLED,
    CLAIM_KEY,
    FIND_KEY,
    DELETE_KEYS_OF_PAYMENT,
    DELETE_KEYS,
];

const INSERT: &str = "
INSERT INTO payments (
    id, order_id, sale_id, buyer_id, method, amount_minor, currency, state, reason, restock, created_at, updated_at,
    tries, try_at, lease, lease_until
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $13, $14, $15)
ON CONFLICT DO NOTHING
RETURNING id";

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

const ACQUIRE_LEASE: &str = "
UPDATE payments
SET lease = $1, lease_until = $2
WHERE id = $3 AND (lease IS NULL OR lease_until <= $4)
RETURNING
    id, order_id, sale_id, buyer_id, method, amount_minor, currency, state, reason, restock, created_at, updated_at,
    tries";

const RENEW_LEASE: &str = "
UPDATE payments SET lease_until = $1 WHERE id = $2 AND lease = $3 RETURNING id";

const RELEASE_LEASE: &str = "
UPDATE payments SET lease = NULL, lease_until = NULL WHERE id = $1 AND lease = $2";

/// What is settled is in nobody's hand.
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

const POSTPONE: &str = "
UPDATE payments SET tries = tries + 1, try_at = $1 WHERE id = $2 AND state = $3";

const LIST_UNSETTLED: &str = "
SELECT
    id, order_id, sale_id, buyer_id, method, amount_minor, currency, state, reason, restock, created_at, updated_at,
    tries
FROM payments
WHERE
    state IN ('started', 'authorised', 'voiding', 'refunding')
    AND try_at <= $1
    AND (lease IS NULL OR lease_until <= $1)
ORDER BY try_at
LIMIT $2";

const COUNT_UNSETTLED: &str = "
SELECT
    COUNT(*) AS everything,
    COUNT(CASE WHEN updated_at < $1 THEN 1 END) AS stuck
FROM payments
WHERE state IN ('started', 'authorised', 'voiding', 'refunding')";

const CLAIM_KEY: &str = "
INSERT INTO payment_keys (owner_id, key_digest, fingerprint, payment_id, created_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (owner_id, key_digest) DO UPDATE
SET payment_id = excluded.payment_id
WHERE payment_keys.fingerprint = excluded.fingerprint
RETURNING owner_id";

const FIND_KEY: &str = "
SELECT fingerprint, payment_id, created_at FROM payment_keys WHERE owner_id = $1 AND key_digest = $2";

const DELETE_KEYS_OF_PAYMENT: &str = "
DELETE FROM payment_keys WHERE payment_id = $1";

const DELETE_KEYS: &str = "
DELETE FROM payment_keys
WHERE (owner_id, key_digest) IN (
    SELECT owner_id, key_digest FROM payment_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2
)";

/// Adds a payment, and holds it if there is a lease. `Ok(None)` when its order has a live one already.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    writing: &mut StoreTransaction,
    payment: PaymentRow,
    try_at: Timestamp,
    lease: PaymentLease,
) -> Result<Option<LeasedPayment>, StoreError> {
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
    Ok(inserted.map(|_| LeasedPayment::new(payment, lease)))
}

/// Takes a payment in hand, as it is then. `Ok(None)` when another holds it, by a lease that is not over at `now`.
///
/// # Errors
/// When the database fails.
pub async fn acquire_lease(
    store: &Store,
    id: Uuid,
    lease: PaymentLease,
    now: Timestamp,
) -> Result<Option<LeasedPayment>, StoreError> {
    let taken = sqlx::query(ACQUIRE_LEASE)
        .bind(lease.holder.to_string())
        .bind(lease.until.0)
        .bind(id.to_string())
        .bind(now.0)
        .fetch_optional(store.writer())
        .await?;
    taken.map(|row| Ok(LeasedPayment::new(read(&row)?, lease))).transpose()
}

/// Holds a payment for longer. `Ok(false)` when another has it by now, or it is settled.
///
/// # Errors
/// When the database fails.
pub async fn renew_lease(store: &Store, held: &LeasedPayment, until: Timestamp) -> Result<bool, StoreError> {
    let renewed = sqlx::query(RENEW_LEASE)
        .bind(until.0)
        .bind(held.id.to_string())
        .bind(held.holder())
        .fetch_optional(store.writer())
        .await?;
    Ok(renewed.is_some())
}

/// Gives a payment out of hand; nothing is to be done when its last step has settled it.
///
/// # Errors
/// When the database fails; then the lease ends by itself.
pub async fn release_lease(store: &Store, held: &LeasedPayment) -> Result<(), StoreError> {
    if held.settled.load(Ordering::Relaxed) {
        return Ok(());
    }
    sqlx::query(RELEASE_LEASE).bind(held.id.to_string()).bind(held.holder()).execute(store.writer()).await?;
    Ok(())
}

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

/// The order's payment that has not come to nothing. There is at most one.
///
/// # Errors
/// When the database fails.
pub async fn find_live(store: &Store, order: OrderId) -> Result<Option<PaymentRow>, StoreError> {
    let found = sqlx::query(FIND_LIVE).bind(order.to_string()).fetch_optional(store.reader()).await?;
    found.map(|row| read(&row)).transpose()
}

/// Moves a payment on from the state that it is in. `Ok(false)` when it is in another, or in another's hand.
///
/// # Errors
/// When the database fails; the change may have been made.
pub async fn change_state(
    store: &Store,
    held: &LeasedPayment,
    to: PaymentState,
    now: Timestamp,
    try_at: Timestamp,
) -> Result<bool, StoreError> {
    let changed = sqlx::query(CHANGE)
        .bind(to.as_str())
        .bind(now.0)
        .bind(try_at.0)
        .bind((!to.is_settled()).then(|| held.holder()))
        .bind(held.id.to_string())
        .bind(held.state.as_str())
        .bind(held.holder())
        .fetch_optional(store.writer())
        .await?;
    held.settled.fetch_or(changed.is_some() && to.is_settled(), Ordering::Relaxed);
    Ok(changed.is_some())
}

/// Moves a payment from [`State::Started`] to [`State::Declined`]. `Ok(false)` when it is not started any more, or in another's
/// hand.
///
/// # Errors
/// When the database fails; the change may have been made.
pub async fn decline(
    store: &Store,
    held: &LeasedPayment,
    reason: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = sqlx::query(DECLINE)
        .bind(reason)
        .bind(now.0)
        .bind(held.id.to_string())
        .bind(held.holder())
        .fetch_optional(store.writer())
        .await?;
    held.settled.fetch_or(changed.is_some(), Ordering::Relaxed);
    Ok(changed.is_some())
}

/// Moves a payment that the provider never saw from [`State::Started`] to [`State::Voiding`] and frees its keys: nothing
/// was done under them. `Ok(false)` when it is not started any more, or in another's hand.
///
/// # Errors
/// When the database fails; the change may have been made.
pub async fn abandon(
    store: &Store,
    held: &LeasedPayment,
    now: Timestamp,
    try_at: Timestamp,
) -> Result<bool, StoreError> {
    let mut writing = store.begin().await?;
    let changed = sqlx::query(ABANDON)
        .bind(now.0)
        .bind(try_at.0)
        .bind(held.id.to_string())
        .bind(held.holder())
        .fetch_optional(writing.connection())
        .await?;
    if changed.is_some() {
        sqlx::query(DELETE_KEYS_OF_PAYMENT).bind(held.id.to_string()).execute(writing.connection()).await?;
    }
    writing.commit().await?;
    Ok(changed.is_some())
}

/// Takes a payment in hand and moves it from [`State::Captured`] to [`State::Refunding`]. `Ok(None)` when it is not captured.
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

/// Notes that a payment could not be settled, and when to try again.
///
/// # Errors
/// When the database fails.
pub async fn postpone(
    store: &Store,
    id: Uuid,
    state: PaymentState,
    try_at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(POSTPONE)
        .bind(try_at.0)
        .bind(id.to_string())
        .bind(state.as_str())
        .execute(store.writer())
        .await?;
    Ok(())
}

/// At most `limit` payments that are not settled, due to be tried at `due` and in nobody's hand then, what waits longest first.
///
/// # Errors
/// When the database fails.
pub async fn list_unsettled(
    store: &Store,
    due: Timestamp,
    limit: u32,
) -> Result<Vec<PaymentRow>, StoreError> {
    let rows =
        sqlx::query(LIST_UNSETTLED).bind(due.0).bind(i64::from(limit)).fetch_all(store.reader()).await?;
    rows.iter().map(read).collect()
}

/// How many payments are not settled; stuck are those that have not moved since `stuck_before`.
///
/// # Errors
/// When the database fails.
pub async fn count_unsettled(store: &Store, stuck_before: Timestamp) -> Result<UnsettledCounts, StoreError> {
    let row = sqlx::query(COUNT_UNSETTLED).bind(stuck_before.0).fetch_one(store.reader()).await?;
    Ok(UnsettledCounts { all: row.try_get("everything")?, stuck: row.try_get("stuck")? })
}

/// Keeps a key, or notes that the same request goes on with another payment. `Ok(false)` when its owner has used it for
/// another request.
///
/// # Errors
/// When the database fails.
pub async fn claim_key(writing: &mut StoreTransaction, key: &PaymentKeyRow) -> Result<bool, StoreError> {
    let claimed = sqlx::query(CLAIM_KEY)
        .bind(key.owner.to_string())
        .bind(key.digest.as_str())
        .bind(key.fingerprint.as_str())
        .bind(key.payment.to_string())
        .bind(key.created_at.0)
        .fetch_optional(writing.connection())
        .await?;
    Ok(claimed.is_some())
}

/// What a key was first used for.
///
/// # Errors
/// When the database fails.
pub async fn find_key(
    store: &Store,
    owner: BuyerId,
    digest: &str,
) -> Result<Option<PaymentKeyRow>, StoreError> {
    let found =
        sqlx::query(FIND_KEY).bind(owner.to_string()).bind(digest).fetch_optional(store.reader()).await?;
    let Some(row) = found else { return Ok(None) };
    let payment: String = row.try_get("payment_id")?;
    Ok(Some(PaymentKeyRow {
        owner,
        digest: digest.to_owned(),
        fingerprint: row.try_get("fingerprint")?,
        payment: payment.parse().map_err(|_| StoreError::Damaged {
            table: "payment_keys",
            id: payment,
            reason: "its payment is not a UUID",
        })?,
        created_at: Timestamp(row.try_get("created_at")?),
    }))
}

/// Forgets at most `limit` keys that were first used before `before`. Returns how many.
///
/// # Errors
/// When the database fails.
pub async fn delete_keys(store: &Store, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let done = sqlx::query(DELETE_KEYS).bind(before.0).bind(i64::from(limit)).execute(store.writer()).await?;
    Ok(done.rows_affected())
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
