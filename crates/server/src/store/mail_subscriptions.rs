//! The `mail_subscriptions` table: who wants to hear of a sale; and `mail_unsubscribe_links`, the digests of the links that end it. It never sends
//! anything, and holds no link.

use super::{Store, StoreError, StoreTransaction};
use sale::{SaleId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;
use uuid::Uuid;

/// A subscription that is about to be written.
#[derive(Clone, Debug)]
pub struct NewMailSubscription<'a> {
    pub id: Uuid,
    pub sale: SaleId,
    /// In lower case.
    pub email: &'a str,
    pub topic: &'static str,
    pub language: &'static str,
    pub created_at: Timestamp,
    /// The start of the sale of which the subscriber needs not hear any more, and how closely before it.
    pub reminded: ReminderMark,
}

/// Up to which reminder of a start a subscriber has been served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReminderMark {
    pub starts_at: Timestamp,
    pub step: i64,
}

/// Someone who gets a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailSubscriber {
    pub id: Uuid,
    pub email: String,
    pub language: String,
}

/// What an address waits for, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSubscription {
    pub id: Uuid,
    pub sale: SaleId,
    /// `start` or `unit`.
    pub topic: String,
}

pub(super) const STATEMENTS: &[&str] = &[
    INSERT,
    COUNT_OF_EMAIL,
    LIST_OF_EMAIL,
    INSERT_LINK,
    MARK_DUE,
    MARK_WAITING,
    END_SERVED,
    DELETE,
    DELETE_OWN,
    DELETE_OLD,
];

const INSERT: &str = "
INSERT INTO mail_subscriptions
    (id, sale_id, email, topic, language, created_at, reminded_for, reminded_step)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (sale_id, email, topic) DO UPDATE SET mail_key = NULL";

const COUNT_OF_EMAIL: &str = "
SELECT COUNT(*) FROM mail_subscriptions WHERE email = $1";

const LIST_OF_EMAIL: &str = "
SELECT id, sale_id, topic FROM mail_subscriptions WHERE email = $1 ORDER BY created_at, id";

const INSERT_LINK: &str = "
INSERT INTO mail_unsubscribe_links (digest, subscription_id)
SELECT $1, id FROM mail_subscriptions WHERE id = $2
ON CONFLICT (digest) DO UPDATE SET subscription_id = excluded.subscription_id
RETURNING digest";

const MARK_DUE: &str = "
UPDATE mail_subscriptions SET reminded_for = $2, reminded_step = $3
WHERE id IN (
    SELECT id FROM mail_subscriptions
    WHERE sale_id = $1 AND topic = 'start' AND (reminded_for <> $2 OR reminded_step < $3)
    ORDER BY created_at, id
    LIMIT $4
)
RETURNING id, email, language";

const MARK_WAITING: &str = "
UPDATE mail_subscriptions SET mail_key = $2 || email
WHERE id IN (
    SELECT s.id FROM mail_subscriptions AS s
    WHERE s.sale_id = $1 AND s.topic = 'unit'
        AND NOT EXISTS (SELECT 1 FROM mails AS m WHERE m.mail_key = s.mail_key AND m.state = 'waiting')
        AND NOT EXISTS (SELECT 1 FROM mail_bounces AS b WHERE b.recipient = s.email AND b.until > $3)
    ORDER BY CASE WHEN s.mail_key IS NULL THEN 0 ELSE 1 END, s.created_at, s.id
    LIMIT $4
)
RETURNING id, email, language";

const END_SERVED: &str = "
DELETE FROM mail_subscriptions WHERE id = $1 AND mail_key = (SELECT mail_key FROM mails WHERE id = $2)";

const DELETE: &str = "
DELETE FROM mail_subscriptions
WHERE id IN (SELECT subscription_id FROM mail_unsubscribe_links WHERE digest = $1)";

const DELETE_OWN: &str = "
DELETE FROM mail_subscriptions WHERE id = $1 AND email = $2";

const DELETE_OLD: &str = "
DELETE FROM mail_subscriptions WHERE created_at < $1";

/// Adds a subscription, unless there is one of its sale, address and topic; a mail that is under way does not end that one any more.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    writing: &mut StoreTransaction,
    subscription: &NewMailSubscription<'_>,
) -> Result<(), StoreError> {
    sqlx::query(INSERT)
        .bind(subscription.id.to_string())
        .bind(subscription.sale.to_string())
        .bind(subscription.email)
        .bind(subscription.topic)
        .bind(subscription.language)
        .bind(subscription.created_at.0)
        .bind(subscription.reminded.starts_at.0)
        .bind(subscription.reminded.step)
        .execute(writing.connection())
        .await?;
    Ok(())
}

/// How many subscriptions an address has.
///
/// # Errors
/// When the database fails.
pub async fn count_of_email(writing: &mut StoreTransaction, email: &str) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(COUNT_OF_EMAIL).bind(email).fetch_one(writing.connection()).await?)
}

/// What an address waits for, the oldest first: at most as many as one address may have.
///
/// # Errors
/// When the database fails.
pub async fn list_of_email(store: &Store, email: &str) -> Result<Vec<OwnSubscription>, StoreError> {
    let rows = sqlx::query(LIST_OF_EMAIL).bind(email).fetch_all(store.reader()).await?;
    rows.iter().map(read_own).collect()
}

/// Remembers the digest of a link that ends a subscription, for as long as that lasts. `Ok(false)` when it has ended.
///
/// # Errors
/// When the database fails.
pub async fn insert_link(store: &Store, id: Uuid, digest: &str) -> Result<bool, StoreError> {
    let query = sqlx::query(INSERT_LINK).bind(digest).bind(id.to_string());
    Ok(query.fetch_optional(store.writer()).await?.is_some())
}

/// Marks up to `limit` subscribers of a sale's start as served, and returns them.
///
/// # Errors
/// When the database fails.
pub async fn mark_due(
    writing: &mut StoreTransaction,
    sale: SaleId,
    mark: ReminderMark,
    limit: u32,
) -> Result<Vec<MailSubscriber>, StoreError> {
    let query = sqlx::query(MARK_DUE)
        .bind(sale.to_string())
        .bind(mark.starts_at.0)
        .bind(mark.step)
        .bind(i64::from(limit));
    query.fetch_all(writing.connection()).await?.iter().map(read).collect()
}

/// Marks up to `limit` of those who wait for a unit of a sale, those first who have had no mail yet, then the oldest, with the key of a mail: `key_start` and their address. Returns
/// them. Those who have such a mail under way, and whose address bounces at `now`, are not among them.
///
/// # Errors
/// When the database fails.
pub async fn mark_waiting(
    writing: &mut StoreTransaction,
    sale: SaleId,
    key_start: &str,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<MailSubscriber>, StoreError> {
    let query =
        sqlx::query(MARK_WAITING).bind(sale.to_string()).bind(key_start).bind(now.0).bind(i64::from(limit));
    query.fetch_all(writing.connection()).await?.iter().map(read).collect()
}

/// Ends the subscription with this id, if it is marked with this mail.
///
/// # Errors
/// When the database fails.
pub async fn end_served(writing: &mut StoreTransaction, id: Uuid, mail: Uuid) -> Result<(), StoreError> {
    sqlx::query(END_SERVED).bind(id.to_string()).bind(mail.to_string()).execute(writing.connection()).await?;
    Ok(())
}

/// Ends the subscription that has a link with this digest.
///
/// # Errors
/// When the database fails.
pub async fn delete(store: &Store, digest: &str) -> Result<(), StoreError> {
    sqlx::query(DELETE).bind(digest).execute(store.writer()).await?;
    Ok(())
}

/// Ends the subscription with this id, if it is one of this address.
///
/// # Errors
/// When the database fails.
pub async fn delete_own(store: &Store, id: Uuid, email: &str) -> Result<(), StoreError> {
    sqlx::query(DELETE_OWN).bind(id.to_string()).bind(email).execute(store.writer()).await?;
    Ok(())
}

/// Ends all subscriptions from before `before`, whose sales are over.
///
/// # Errors
/// When the database fails.
pub async fn delete_old(store: &Store, before: Timestamp) -> Result<(), StoreError> {
    sqlx::query(DELETE_OLD).bind(before.0).execute(store.writer()).await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<MailSubscriber, StoreError> {
    let id: String = row.try_get("id")?;
    Ok(MailSubscriber {
        id: id.parse().map_err(|_| damaged(&id, "its id is not a UUID"))?,
        email: row.try_get("email")?,
        language: row.try_get("language")?,
    })
}

fn read_own(row: &AnyRow) -> Result<OwnSubscription, StoreError> {
    let (id, sale): (String, String) = (row.try_get("id")?, row.try_get("sale_id")?);
    Ok(OwnSubscription {
        id: id.parse().map_err(|_| damaged(&id, "its id is not a UUID"))?,
        sale: sale.parse().map_err(|_| damaged(&id, "its sale is not a UUID"))?,
        topic: row.try_get("topic")?,
    })
}

fn damaged(id: &str, reason: &'static str) -> StoreError {
    StoreError::Damaged { table: "mail_subscriptions", id: id.to_owned(), reason }
}
