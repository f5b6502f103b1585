//! The `payment_findings` table: disputes, refunds made at the provider, and refunds that failed afterwards, as they are now. It never moves
//! money and never decides what to do.

use super::payment_events::{self, PaymentEventState};
use super::{Store, StoreError, StoreTransaction};
use sale::{Money, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FindingKind {
    /// The buyer complained at the bank.
    Dispute,
    /// Somebody refunded money in the provider's dashboard.
    RefundedOutside,
    /// A refund of the shop came back: the buyer does not have the money.
    RefundFailed,
}

impl FindingKind {
    const ALL: [Self; 3] = [Self::Dispute, Self::RefundedOutside, Self::RefundFailed];

    /// The word for it in the table and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dispute => "dispute",
            Self::RefundedOutside => "refunded_outside",
            Self::RefundFailed => "refund_failed",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingRow {
    pub provider: String,
    /// The provider's id of the dispute or refund.
    pub id: String,
    pub payment: Uuid,
    pub kind: FindingKind,
    /// The provider's words.
    pub status: String,
    pub reason: String,
    pub amount: Money,
    /// Until when a person may do something.
    pub due_at: Option<Timestamp>,
    pub updated_at: Timestamp,
}

pub(super) const STATEMENTS: &[&str] = &[UPSERT, LIST_OF_PAYMENT, SUM_LOST, COUNT_DISPUTES, COUNT_UNDECIDED];

// The row is returned when it is new or its status has changed. A list that was read before a dispute was decided changes nothing.
const UPSERT: &str = "
INSERT INTO payment_findings
    (provider, id, payment_id, kind, status, reason, amount_minor, currency, due_at, found_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
ON CONFLICT (provider, id) DO UPDATE SET
    kind = excluded.kind,
    status = excluded.status,
    reason = excluded.reason,
    amount_minor = excluded.amount_minor,
    due_at = excluded.due_at,
    updated_at = excluded.updated_at
WHERE
    (payment_findings.status <> excluded.status OR payment_findings.kind <> excluded.kind)
    AND (payment_findings.status NOT IN ('won', 'lost') OR excluded.status IN ('won', 'lost'))
RETURNING id";

const LIST_OF_PAYMENT: &str = "
SELECT provider, id, payment_id, kind, status, reason, amount_minor, currency, due_at, updated_at
FROM payment_findings
WHERE payment_id = $1
ORDER BY found_at, id";

const SUM_LOST: &str = "
SELECT CAST(COALESCE(SUM(amount_minor), 0) AS BIGINT) AS lost
FROM payment_findings
WHERE payment_id = $1 AND kind = 'dispute' AND status = 'lost'";

// An inquiry (`warning_…`) has taken no money yet, and a dispute that was won has given it back.
const COUNT_DISPUTES: &str = "
SELECT COUNT(*)
FROM payment_findings
WHERE payment_id = $1 AND kind = 'dispute' AND status IN ('needs_response', 'under_review', 'lost')";

const COUNT_UNDECIDED: &str = "
SELECT COUNT(*)
FROM payment_findings
WHERE payment_id = $1 AND kind = 'dispute' AND status IN ('needs_response', 'under_review')";

/// Keeps a finding as it is now, with the event that is published of a payment's first dispute. `false` when nothing has changed.
///
/// # Errors
/// When the database fails.
pub async fn upsert(writing: &mut StoreTransaction, finding: &FindingRow) -> Result<bool, StoreError> {
    let changed = sqlx::query(UPSERT)
        .bind(finding.provider.clone())
        .bind(finding.id.clone())
        .bind(finding.payment.to_string())
        .bind(finding.kind.as_str())
        .bind(finding.status.clone())
        .bind(finding.reason.clone())
        .bind(finding.amount.minor)
        .bind(finding.amount.currency.to_string())
        .bind(finding.due_at.map(|due_at| due_at.0))
        .bind(finding.updated_at.0)
        .fetch_optional(writing.connection())
        .await?;
    if changed.is_some() && finding.kind == FindingKind::Dispute {
        payment_events::insert(writing, finding.payment, PaymentEventState::Disputed).await?;
    }
    Ok(changed.is_some())
}

/// The findings of a payment, the oldest first.
///
/// # Errors
/// When the database fails, or a row is damaged.
pub async fn list_of_payment(store: &Store, payment: Uuid) -> Result<Vec<FindingRow>, StoreError> {
    let rows = sqlx::query(LIST_OF_PAYMENT).bind(payment.to_string()).fetch_all(store.reader()).await?;
    rows.iter().map(read).collect()
}

/// Minor units that lost disputes took from a payment.
///
/// # Errors
/// When the database fails.
pub async fn sum_lost(store: &Store, payment: Uuid) -> Result<i64, StoreError> {
    Ok(sqlx::query(SUM_LOST).bind(payment.to_string()).fetch_one(store.reader()).await?.try_get("lost")?)
}

/// Whether a dispute holds the money of a payment, or has taken it.
///
/// # Errors
/// When the database fails.
pub async fn has_dispute(store: &Store, payment: Uuid) -> Result<bool, StoreError> {
    let count: i64 =
        sqlx::query_scalar(COUNT_DISPUTES).bind(payment.to_string()).fetch_one(store.reader()).await?;
    Ok(count > 0)
}

/// Whether a dispute holds the money of a payment until the bank has decided.
///
/// # Errors
/// When the database fails.
pub async fn is_held(store: &Store, payment: Uuid) -> Result<bool, StoreError> {
    let count: i64 =
        sqlx::query_scalar(COUNT_UNDECIDED).bind(payment.to_string()).fetch_one(store.reader()).await?;
    Ok(count > 0)
}

fn read(row: &AnyRow) -> Result<FindingRow, StoreError> {
    let id: String = row.try_get("id")?;
    let text = |column: &str| row.try_get::<String, _>(column);
    let damaged = |reason| StoreError::Damaged { table: "payment_findings", id: id.clone(), reason };
    let kind = text("kind")?;
    Ok(FindingRow {
        provider: text("provider")?,
        payment: text("payment_id")?.parse().map_err(|_| damaged("its payment is not a UUID"))?,
        kind: FindingKind::ALL
            .into_iter()
            .find(|known| known.as_str() == kind)
            .ok_or_else(|| damaged("its kind is unknown"))?,
        status: text("status")?,
        reason: text("reason")?,
        amount: Money {
            minor: row.try_get("amount_minor")?,
            currency: text("currency")?.parse().map_err(|_| damaged("its currency is not one"))?,
        },
        due_at: row.try_get::<Option<i64>, _>("due_at")?.map(Timestamp),
        updated_at: Timestamp(row.try_get("updated_at")?),
        id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dispute_that_is_decided_stays_decided() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        let payment = Uuid::from_u128(1);
        let dispute = |status: &str| FindingRow {
            provider: "stripe".to_owned(),
            id: "du_1".to_owned(),
            payment,
            kind: FindingKind::Dispute,
            status: status.to_owned(),
            reason: "fraudulent".to_owned(),
            amount: Money { minor: 500, currency: "EUR".parse().unwrap() },
            due_at: None,
            updated_at: Timestamp(1_800_000_000_000),
        };
        for (status, is_changed) in [
            ("needs_response", true),
            ("needs_response", false),
            ("under_review", true),
            ("lost", true),
            ("under_review", false),
            ("won", true),
            ("needs_response", false),
            ("lost", true),
        ] {
            let mut writing = store.begin().await.unwrap();
            assert_eq!(upsert(&mut writing, &dispute(status)).await.unwrap(), is_changed, "{status}");
            writing.commit().await.unwrap();
        }
        assert_eq!(sum_lost(&store, payment).await.unwrap(), 500);
    }
}
