//! The `payment_refunds` table: what goes back to buyers, in parts or as a whole. A row is written before the provider is asked, and its id
//! is the provider's idempotency key. The amount of a part counts as given back from then on, so that two requests never promise the
//! same money.

use super::{LeasedPayment, PaymentLease, PaymentRow, PaymentState};
use crate::store::payment_events;
use crate::store::{Store, StoreError, StoreTransaction};
use sale::{SaleId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;
use uuid::Uuid;

/// Refunds of parts of one payment, at most.
pub const PARTS_MAX: i64 = 29;

/// A refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRow {
    /// The provider's idempotency key. The refund of all that is left has the payment's id.
    pub id: Uuid,
    pub payment: Uuid,
    pub amount_minor: i64,
    pub state: RefundState,
    pub created_at: Timestamp,
    /// The reconciler's tries.
    pub tries: i64,
}

/// A refund that somebody made at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideRefundRow {
    /// The same for each time that it is read.
    pub id: Uuid,
    pub payment: Uuid,
    pub amount_minor: i64,
    /// The provider's own id of it.
    pub outside_id: String,
}

/// How far a refund has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundState {
    /// The provider may have made it or not.
    Pending,
    Done,
    /// The provider said no: nothing went back.
    Refused,
}

impl RefundState {
    const ALL: [Self; 3] = [Self::Pending, Self::Done, Self::Refused];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

/// How all that is left of a payment is refunded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WholeRefund {
    /// Whether the units go back to the sale.
    pub restock: bool,
    /// Whether what is left has to be what the payment's row says: an amount was asked for.
    pub is_exact: bool,
}

/// What became of a refund of a part that was to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartResult {
    Begun(RefundRow),
    /// There is a refund with this id.
    Known(RefundRow),
    /// The payment is not captured, less than that is left of it, or it has [`PARTS_MAX`] parts.
    TooMuch,
}

pub(super) const STATEMENTS: &[&str] = &[
    LOCK_PAYMENT,
    BEGIN_REFUND,
    INSERT_WHOLE,
    ENSURE_WHOLE,
    FINISH_WHOLE,
    REFUSE_WHOLE,
    RESERVE,
    RELEASE,
    INSERT_PART,
    FINISH_PART,
    COUNT_PARTS,
    FIND,
    LIST_PENDING,
    COUNT_PENDING,
    POSTPONE,
    HASTEN_PARTS,
    RESERVE_OUTSIDE,
    COUNT_WAITING,
    SHRINK_WHOLE,
    INSERT_OUTSIDE,
    CLEAR_OUTSIDE,
    SUM_PARTS_OF_SALE,
];

// Writes what is there already: parts that begin at the same time are committed before the next statement looks for them.
const LOCK_PAYMENT: &str = "
UPDATE payments SET tries = tries WHERE id = $1";

const BEGIN_REFUND: &str = "
UPDATE payments
SET state = 'refunding', restock = $1, updated_at = $2, try_at = $3, tries = 0, lease = $4, lease_until = $5
WHERE
    id = $6
    AND state = $7
    AND (lease IS NULL OR lease_until <= $8)
    AND (CAST($9 AS BIGINT) = 0 OR refunded_minor = $10)
    AND NOT EXISTS (SELECT 1 FROM payment_refunds WHERE payment_id = payments.id AND state = 'pending' AND whole = 0)
RETURNING id";

// A refund that the law refused before has left its row.
const INSERT_WHOLE: &str = "
INSERT INTO payment_refunds (id, payment_id, amount_minor, whole, state, created_at, updated_at, tries, try_at)
SELECT id, id, amount_minor - refunded_minor, 1, 'pending', CAST($1 AS BIGINT), CAST($1 AS BIGINT), 0, 0
FROM payments
WHERE id = $2
ON CONFLICT (id) DO UPDATE
SET amount_minor = excluded.amount_minor, updated_at = excluded.updated_at";

// A version before this one has begun it without a row.
const ENSURE_WHOLE: &str = "
INSERT INTO payment_refunds (id, payment_id, amount_minor, whole, state, created_at, updated_at, tries, try_at)
SELECT id, id, amount_minor, 1, 'pending', CAST($1 AS BIGINT), CAST($1 AS BIGINT), 0, 0
FROM payments
WHERE id = $2
ON CONFLICT DO NOTHING";

const FINISH_WHOLE: &str = "
UPDATE payment_refunds SET state = 'done', updated_at = $1 WHERE id = $2 AND state = 'pending'";

const REFUSE_WHOLE: &str = "
UPDATE payment_refunds SET state = 'refused', updated_at = $1 WHERE id = $2 AND state = 'pending'";

const RESERVE: &str = "
UPDATE payments SET refunded_minor = refunded_minor + $1
WHERE id = $2 AND state = 'captured' AND refunded_minor + $1 <= amount_minor
RETURNING id";

const RELEASE: &str = "
UPDATE payments SET refunded_minor = refunded_minor - $1 WHERE id = $2";

const INSERT_PART: &str = "
INSERT INTO payment_refunds (id, payment_id, amount_minor, whole, state, created_at, updated_at, tries, try_at)
VALUES ($1, $2, $3, 0, 'pending', $4, $4, 0, $5)
ON CONFLICT DO NOTHING
RETURNING id";

const FINISH_PART: &str = "
UPDATE payment_refunds SET state = $1, updated_at = $2 WHERE id = $3 AND state = 'pending' RETURNING amount_minor";

const COUNT_PARTS: &str = "
SELECT COUNT(*) FROM payment_refunds WHERE payment_id = $1 AND whole = 0";

const FIND: &str = "
SELECT id, payment_id, amount_minor, state, created_at, tries FROM payment_refunds WHERE id = $1";

const LIST_PENDING: &str = "
SELECT id, payment_id, amount_minor, state, created_at, tries
FROM payment_refunds
WHERE state = 'pending' AND whole = 0 AND try_at <= $1
ORDER BY try_at
LIMIT $2";

const COUNT_PENDING: &str = "
SELECT COUNT(*) FROM payment_refunds WHERE state = 'pending' AND whole = 0";

const POSTPONE: &str = "
UPDATE payment_refunds SET tries = tries + 1, try_at = $1 WHERE id = $2 AND state = 'pending'";

const HASTEN_PARTS: &str = "
UPDATE payment_refunds SET try_at = $1 WHERE payment_id = $2 AND state = 'pending' AND whole = 0 AND try_at > $1";

const RESERVE_OUTSIDE: &str = "
UPDATE payments SET refunded_minor = refunded_minor + $1
WHERE id = $2 AND state IN ('captured', 'refunding') AND refunded_minor + $1 <= amount_minor
RETURNING id";

const COUNT_WAITING: &str = "
SELECT COUNT(*) FROM payment_refunds WHERE payment_id = $1 AND state = 'pending' AND whole = 0";

// Less, or more again, is left for the refund of all that was left.
const SHRINK_WHOLE: &str = "
UPDATE payment_refunds SET amount_minor = amount_minor - $1
WHERE id = $2 AND whole = 1 AND state = 'pending' AND amount_minor >= $1";

const INSERT_OUTSIDE: &str = "
INSERT INTO payment_refunds
    (id, payment_id, amount_minor, whole, state, created_at, updated_at, tries, try_at, outside_id)
VALUES ($1, $2, $3, 0, 'done', $4, $4, 0, 0, $5)";

// It stays as a step of its payment, which has been published. One that has not ended, or was refused, has reserved nothing that is left; a
// whole refund never has.
const CLEAR_OUTSIDE: &str = "
UPDATE payment_refunds SET amount_minor = 0, updated_at = $1
WHERE
    id = $2
    AND amount_minor = $3
    AND amount_minor > 0
    AND whole = 0
    AND state = 'done'
    AND EXISTS (SELECT 1 FROM payments AS p WHERE p.id = payment_id AND p.state IN ('captured', 'refunding'))
RETURNING id";

const SUM_PARTS_OF_SALE: &str = "
SELECT CAST(COALESCE(SUM(r.amount_minor), 0) AS BIGINT)
FROM payment_refunds AS r
INNER JOIN payments AS p ON p.id = r.payment_id
WHERE r.whole = 0 AND r.state <> 'refused' AND p.sale_id = $1 AND p.state = 'captured'";

/// Leases a payment and moves it from the state that it was read in to [`PaymentState::Refunding`], with the refund of all that is left. That
/// state is [`PaymentState::Captured`], or [`PaymentState::Authorised`] when its money can never be captured. `Ok(None)` when it is in
/// another state by now, another amount is left, a refund of a part is under way, or another process has a lease that is not over at
/// `lease_due`.
///
/// # Errors
/// When the database fails; the change may have been made.
pub async fn begin_refund(
    writing: &mut StoreTransaction,
    payment: PaymentRow,
    WholeRefund { restock, is_exact }: WholeRefund,
    (now, try_at): (Timestamp, Timestamp),
    (lease, lease_due): (PaymentLease, Timestamp),
) -> Result<Option<LeasedPayment>, StoreError> {
    sqlx::query(LOCK_PAYMENT).bind(payment.id.to_string()).execute(writing.connection()).await?;
    let changed = sqlx::query(BEGIN_REFUND)
        .bind(i64::from(restock))
        .bind(now.0)
        .bind(try_at.0)
        .bind(lease.holder.to_string())
        .bind(lease.until.0)
        .bind(payment.id.to_string())
        .bind(payment.state.as_str())
        .bind(lease_due.0)
        .bind(i64::from(is_exact))
        .bind(payment.refunded_minor)
        .fetch_optional(writing.connection())
        .await?;
    if changed.is_none() {
        return Ok(None);
    }
    let whole = sqlx::query(INSERT_WHOLE).bind(now.0).bind(payment.id.to_string());
    whole.execute(writing.connection()).await?;
    let payment = PaymentRow { state: PaymentState::Refunding, restock, ..payment };
    Ok(Some(LeasedPayment::new(payment, lease)))
}

/// Marks the refund of all that was left as done, and publishes it. Its payment is refunded in the same transaction.
pub(super) async fn finish_whole(
    writing: &mut StoreTransaction,
    payment: Uuid,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(ENSURE_WHOLE).bind(now.0).bind(payment.to_string()).execute(writing.connection()).await?;
    sqlx::query(FINISH_WHOLE).bind(now.0).bind(payment.to_string()).execute(writing.connection()).await?;
    payment_events::insert_refund(writing, payment).await
}

/// Marks the refund of all that was left as refused: there was no money to be given back, or a dispute took it. Its payment is voided in the same transaction.
pub(super) async fn refuse_whole(
    writing: &mut StoreTransaction,
    payment: Uuid,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(REFUSE_WHOLE).bind(now.0).bind(payment.to_string()).execute(writing.connection()).await?;
    Ok(())
}

/// Begins the refund of a part of a captured payment, unless there is one with this id.
///
/// # Errors
/// When the database fails; the refund may have begun.
pub async fn begin_part(
    writing: &mut StoreTransaction,
    refund: RefundRow,
    try_at: Timestamp,
) -> Result<PartResult, StoreError> {
    if let Some(known) = find_within(writing, refund.id).await? {
        return Ok(PartResult::Known(known));
    }
    let count: i64 = sqlx::query_scalar(COUNT_PARTS)
        .bind(refund.payment.to_string())
        .fetch_one(writing.connection())
        .await?;
    if count >= PARTS_MAX {
        return Ok(PartResult::TooMuch);
    }
    let reserved = sqlx::query(RESERVE).bind(refund.amount_minor).bind(refund.payment.to_string());
    if reserved.fetch_optional(writing.connection()).await?.is_none() {
        return Ok(PartResult::TooMuch);
    }
    let inserted = sqlx::query(INSERT_PART)
        .bind(refund.id.to_string())
        .bind(refund.payment.to_string())
        .bind(refund.amount_minor)
        .bind(refund.created_at.0)
        .bind(try_at.0)
        .fetch_optional(writing.connection())
        .await?;
    if inserted.is_some() {
        return Ok(PartResult::Begun(refund));
    }
    // Another transaction has begun it since this one looked.
    sqlx::query(RELEASE)
        .bind(refund.amount_minor)
        .bind(refund.payment.to_string())
        .execute(writing.connection())
        .await?;
    Ok(find_within(writing, refund.id).await?.map_or(PartResult::TooMuch, PartResult::Known))
}

/// Ends the refund of a part: it is published, or its money counts as the shop's again. Nothing changes when it has ended before.
///
/// # Errors
/// When the database fails.
pub async fn finish_part(
    writing: &mut StoreTransaction,
    refund: &RefundRow,
    state: RefundState,
    now: Timestamp,
) -> Result<(), StoreError> {
    let finished = sqlx::query(FINISH_PART).bind(state.as_str()).bind(now.0).bind(refund.id.to_string());
    if finished.fetch_optional(writing.connection()).await?.is_none() {
        return Ok(());
    }
    match state {
        RefundState::Done => payment_events::insert_refund(writing, refund.id).await,
        RefundState::Refused => {
            let release = sqlx::query(RELEASE).bind(refund.amount_minor).bind(refund.payment.to_string());
            release.execute(writing.connection()).await?;
            Ok(())
        }
        RefundState::Pending => Ok(()),
    }
}

/// The refund with this id.
///
/// # Errors
/// When the database fails.
pub async fn find_refund(store: &Store, id: Uuid) -> Result<Option<RefundRow>, StoreError> {
    let found = sqlx::query(FIND).bind(id.to_string()).fetch_optional(store.reader()).await?;
    found.map(|row| read(&row)).transpose()
}

async fn find_within(writing: &mut StoreTransaction, id: Uuid) -> Result<Option<RefundRow>, StoreError> {
    let found = sqlx::query(FIND).bind(id.to_string()).fetch_optional(writing.connection()).await?;
    found.map(|row| read(&row)).transpose()
}

/// At most `limit` refunds of parts that have not ended and are due at `due`, the longest waiting first.
///
/// # Errors
/// When the database fails.
pub async fn list_pending(store: &Store, due: Timestamp, limit: u32) -> Result<Vec<RefundRow>, StoreError> {
    let rows = sqlx::query(LIST_PENDING).bind(due.0).bind(i64::from(limit)).fetch_all(store.reader()).await?;
    rows.iter().map(read).collect()
}

/// How many refunds of parts have not ended.
///
/// # Errors
/// When the database fails.
pub async fn count_pending(store: &Store) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(COUNT_PENDING).fetch_one(store.reader()).await?)
}

/// Counts a try that did not end a refund, and sets when to try again.
///
/// # Errors
/// When the database fails.
pub async fn postpone_part(store: &Store, refund: Uuid, try_at: Timestamp) -> Result<(), StoreError> {
    sqlx::query(POSTPONE).bind(try_at.0).bind(refund.to_string()).execute(store.writer()).await?;
    Ok(())
}

/// Has the reconciler look at the refunds of a payment's parts at `at`, if it would have done so later.
///
/// # Errors
/// When the database fails.
pub async fn hasten_parts(store: &Store, payment: Uuid, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query(HASTEN_PARTS).bind(at.0).bind(payment.to_string()).execute(store.writer()).await?;
    Ok(())
}

/// Takes over a refund that was made at the provider, with the event that is published of it. `false` when it has to wait: the refund of a
/// part that is under way has reserved the money, and the provider will refuse it.
///
/// # Errors
/// When the database fails.
pub async fn take_over_outside(
    writing: &mut StoreTransaction,
    refund: &OutsideRefundRow,
    now: Timestamp,
) -> Result<bool, StoreError> {
    sqlx::query(LOCK_PAYMENT).bind(refund.payment.to_string()).execute(writing.connection()).await?;
    if find_within(writing, refund.id).await?.is_some() {
        return Ok(true);
    }
    let reserved = sqlx::query(RESERVE_OUTSIDE).bind(refund.amount_minor).bind(refund.payment.to_string());
    if reserved.fetch_optional(writing.connection()).await?.is_none() {
        let waiting: i64 = sqlx::query_scalar(COUNT_WAITING)
            .bind(refund.payment.to_string())
            .fetch_one(writing.connection())
            .await?;
        return Ok(waiting == 0);
    }
    shrink_whole(writing, refund.payment, refund.amount_minor).await?;
    sqlx::query(INSERT_OUTSIDE)
        .bind(refund.id.to_string())
        .bind(refund.payment.to_string())
        .bind(refund.amount_minor)
        .bind(now.0)
        .bind(refund.outside_id.clone())
        .execute(writing.connection())
        .await?;
    payment_events::insert_refund(writing, refund.id).await?;
    Ok(true)
}

/// Takes back a refund that was taken over, or made for a part, and has failed at the provider since, if its payment is still captured.
///
/// # Errors
/// When the database fails.
pub async fn clear_outside(
    writing: &mut StoreTransaction,
    refund: &OutsideRefundRow,
    now: Timestamp,
) -> Result<(), StoreError> {
    let cleared =
        sqlx::query(CLEAR_OUTSIDE).bind(now.0).bind(refund.id.to_string()).bind(refund.amount_minor);
    if cleared.fetch_optional(writing.connection()).await?.is_none() {
        return Ok(());
    }
    let release = sqlx::query(RELEASE).bind(refund.amount_minor).bind(refund.payment.to_string());
    release.execute(writing.connection()).await?;
    shrink_whole(writing, refund.payment, -refund.amount_minor).await
}

async fn shrink_whole(writing: &mut StoreTransaction, payment: Uuid, minor: i64) -> Result<(), StoreError> {
    let shrink = sqlx::query(SHRINK_WHOLE).bind(minor).bind(payment.to_string());
    shrink.execute(writing.connection()).await?;
    Ok(())
}

/// Minor units that went back, or are on their way back, in parts of a sale's payments whose orders are not refunded.
///
/// # Errors
/// When the database fails.
pub async fn sum_parts_of_sale(store: &Store, sale: SaleId) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(SUM_PARTS_OF_SALE).bind(sale.to_string()).fetch_one(store.reader()).await?)
}

fn read(row: &AnyRow) -> Result<RefundRow, StoreError> {
    let id: String = row.try_get("id")?;
    let damaged = |reason| StoreError::Damaged { table: "payment_refunds", id: id.clone(), reason };
    let state: String = row.try_get("state")?;
    Ok(RefundRow {
        id: id.parse().map_err(|_| damaged("its id is not a UUID"))?,
        payment: row
            .try_get::<String, _>("payment_id")?
            .parse()
            .map_err(|_| damaged("its payment is not a UUID"))?,
        amount_minor: row.try_get("amount_minor")?,
        state: RefundState::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or_else(|| damaged("its state is unknown"))?,
        created_at: Timestamp(row.try_get("created_at")?),
        tries: row.try_get("tries")?,
    })
}
