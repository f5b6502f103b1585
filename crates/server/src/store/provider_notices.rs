//! The `provider_notices` table: webhooks of payment providers, kept until the provider was asked about them, and some time longer. It never
//! says what has happened to a payment.

use super::{Store, StoreError};
use sale::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;
use uuid::Uuid;

/// A webhook as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRow {
    pub provider: String,
    pub event_id: String,
    /// The provider's word for what happened.
    pub kind: String,
    pub payment: Option<Uuid>,
    /// The provider's id of the payment.
    pub intent: Option<String>,
    pub received_at: Timestamp,
    /// Tries that did not settle it.
    pub tries: i64,
}

pub(super) const STATEMENTS: &[&str] = &[INSERT, LIST_OPEN, SETTLE, POSTPONE, COUNT_OPEN, DELETE_OLD];

const INSERT: &str = "
INSERT INTO provider_notices (provider, event_id, kind, payment_id, intent, received_at, tries, try_at)
VALUES ($1, $2, $3, $4, $5, $6, 0, $6)
ON CONFLICT (provider, event_id) DO NOTHING
RETURNING event_id";

const LIST_OPEN: &str = "
SELECT provider, event_id, kind, payment_id, intent, received_at, tries
FROM provider_notices
WHERE settled_at IS NULL AND try_at <= $1
ORDER BY try_at
LIMIT $2";

const SETTLE: &str = "
UPDATE provider_notices SET settled_at = $1 WHERE provider = $2 AND event_id = $3 AND settled_at IS NULL";

const POSTPONE: &str = "
UPDATE provider_notices SET tries = tries + 1, try_at = $1
WHERE provider = $2 AND event_id = $3 AND settled_at IS NULL";

const COUNT_OPEN: &str = "
SELECT COUNT(*) AS everything FROM provider_notices WHERE settled_at IS NULL";

const DELETE_OLD: &str = "
DELETE FROM provider_notices WHERE settled_at IS NOT NULL AND received_at < $1";

/// Keeps a webhook, durably. `false` when it came before.
///
/// # Errors
/// When the database fails.
pub async fn insert(store: &Store, notice: &NoticeRow) -> Result<bool, StoreError> {
    let inserted = sqlx::query(INSERT)
        .bind(notice.provider.clone())
        .bind(notice.event_id.clone())
        .bind(notice.kind.clone())
        .bind(notice.payment.map(|payment| payment.to_string()))
        .bind(notice.intent.clone())
        .bind(notice.received_at.0)
        .fetch_optional(store.writer())
        .await?;
    Ok(inserted.is_some())
}

/// At most `limit` webhooks about which the provider was not asked yet and that are due at `due`, the longest waiting first.
///
/// # Errors
/// When the database fails.
pub async fn list_open(store: &Store, due: Timestamp, limit: u32) -> Result<Vec<NoticeRow>, StoreError> {
    let rows = sqlx::query(LIST_OPEN).bind(due.0).bind(i64::from(limit)).fetch_all(store.reader()).await?;
    rows.iter().map(read).collect()
}

/// Notes that the provider was asked about a webhook.
///
/// # Errors
/// When the database fails.
pub async fn settle(store: &Store, notice: &NoticeRow, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query(SETTLE)
        .bind(now.0)
        .bind(notice.provider.clone())
        .bind(notice.event_id.clone())
        .execute(store.writer())
        .await?;
    Ok(())
}

/// Counts a try that did not settle a webhook, and sets when to try again: those behind it come first until then.
///
/// # Errors
/// When the database fails.
pub async fn postpone(store: &Store, notice: &NoticeRow, try_at: Timestamp) -> Result<(), StoreError> {
    sqlx::query(POSTPONE)
        .bind(try_at.0)
        .bind(notice.provider.clone())
        .bind(notice.event_id.clone())
        .execute(store.writer())
        .await?;
    Ok(())
}

/// How many webhooks wait.
///
/// # Errors
/// When the database fails.
pub async fn count_open(store: &Store) -> Result<i64, StoreError> {
    Ok(sqlx::query(COUNT_OPEN).fetch_one(store.reader()).await?.try_get("everything")?)
}

/// Deletes webhooks that came before then and do not wait.
///
/// # Errors
/// When the database fails.
pub async fn delete_old(store: &Store, before: Timestamp) -> Result<(), StoreError> {
    sqlx::query(DELETE_OLD).bind(before.0).execute(store.writer()).await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<NoticeRow, StoreError> {
    let event_id: String = row.try_get("event_id")?;
    let payment: Option<String> = row.try_get("payment_id")?;
    let payment = payment.map(|text| text.parse()).transpose().map_err(|_| StoreError::Damaged {
        table: "provider_notices",
        id: event_id.clone(),
        reason: "its payment is not a UUID",
    })?;
    Ok(NoticeRow {
        provider: row.try_get("provider")?,
        event_id,
        kind: row.try_get("kind")?,
        payment,
        intent: row.try_get("intent")?,
        received_at: Timestamp(row.try_get("received_at")?),
        tries: row.try_get("tries")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn webhooks_that_cannot_be_handled_let_later_ones_through() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        let notice = |number: i64| NoticeRow {
            provider: "stripe".to_owned(),
            event_id: format!("evt_{number}"),
            kind: "refund.failed".to_owned(),
            payment: None,
            intent: None,
            received_at: Timestamp(number),
            tries: 0,
        };
        for number in 1..=3 {
            assert!(insert(&store, &notice(number)).await.unwrap());
        }
        let list = async |due: i64| {
            let open = list_open(&store, Timestamp(due), 2).await.unwrap();
            open.into_iter().map(|notice| (notice.event_id, notice.tries)).collect::<Vec<_>>()
        };
        let entry = |number: i64, tries: i64| (format!("evt_{number}"), tries);
        assert_eq!(list(10).await, [entry(1, 0), entry(2, 0)]);
        for number in 1..=2 {
            postpone(&store, &notice(number), Timestamp(100 + number)).await.unwrap();
        }
        assert_eq!(list(10).await, [entry(3, 0)]);
        settle(&store, &notice(3), Timestamp(10)).await.unwrap();
        assert_eq!(list(10).await, []);
        assert_eq!(list(102).await, [entry(1, 1), entry(2, 1)]);
        assert_eq!(count_open(&store).await.unwrap(), 2);
    }
}
