//! The `mails` table: one row for each event and recipient, sent under a lease, kept afterwards; and `mail_bounces`, the addresses that get
//! none for a while. It never holds a secret: links and codes are computed when a mail is sent.

use super::{Store, StoreError, StoreTransaction};
use sale::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;
use uuid::Uuid;

/// What has become of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MailState {
    /// It is to be sent, for the first time or again.
    Waiting,
    /// The relay took it.
    Sent,
    /// All tries failed, or it cannot be written.
    Failed,
    /// The relay refuses the recipient for good.
    Bounced,
    /// Its recipient bounced shortly before.
    Suppressed,
    /// It is of no use any more.
    GivenUp,
}

impl MailState {
    pub const ALL: [Self; 6] =
        [Self::Waiting, Self::Sent, Self::Failed, Self::Bounced, Self::Suppressed, Self::GivenUp];

    /// The word for it in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Bounced => "bounced",
            Self::Suppressed => "suppressed",
            Self::GivenUp => "given_up",
        }
    }
}

impl std::str::FromStr for MailState {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(())
    }
}

/// A mail that is to be sent.
#[derive(Clone, Debug)]
pub struct NewMail {
    pub id: Uuid,
    /// The event and the recipient.
    pub key: String,
    pub kind: &'static str,
    /// An address in lower case.
    pub recipient: String,
    pub language: &'static str,
    /// JSON.
    pub content: String,
    /// Smaller is sent first.
    pub priority: i64,
    pub created_at: Timestamp,
    pub send_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailRow {
    pub id: Uuid,
    pub kind: String,
    pub recipient: String,
    pub language: String,
    pub content: String,
    pub state: MailState,
    /// Times that it was given to a relay, the one in progress included.
    pub tries: u32,
    pub created_at: Timestamp,
    pub next_try_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub reason: Option<String>,
}

/// The right to send the mails that were claimed with it, until a time.
#[derive(Clone, Copy, Debug)]
pub struct MailLease {
    /// A name that no other lease has.
    pub holder: Uuid,
    /// From then on another process may send them.
    pub until: Timestamp,
}

/// What became of the wish to send a mail again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResendResult {
    Waiting,
    /// There is no such mail that was not delivered.
    Unknown,
    /// It is of no use any more.
    Expired,
}

/// Where a list of mails begins: behind this one, newest first.
#[derive(Clone, Copy, Debug)]
pub struct MailCursor {
    pub created_at: Timestamp,
    pub id: Uuid,
}

pub(super) const STATEMENTS: &[&str] = &[
    INSERT,
    CLAIM_DUE,
    FINISH,
    RETRY,
    GIVE_UP_EXPIRED,
    COUNT_RECENT,
    FIND_WAITING,
    LIST,
    LIST_IN_STATE,
    SEND_AGAIN,
    SEND_FAILED_AGAIN,
    DELETE_OLD,
    REMEMBER_BOUNCE,
    FIND_BOUNCE,
    FORGET_BOUNCE,
    DELETE_OLD_BOUNCES,
];

const INSERT: &str = "
INSERT INTO mails
    (id, mail_key, kind, recipient, language, content, state, priority, tries, created_at, next_try_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, 'waiting', $7, 0, $8, $9, $10)
ON CONFLICT (mail_key) DO NOTHING
RETURNING id";

// Another process that claims at the same time waits for the row, and finds it leased. `|| ''` keeps SQLite from reading all mails that wait
// where it should read those of the list.
const CLAIM_DUE: &str = "
UPDATE mails
SET lease = $1, lease_until = $2, tries = tries + 1
WHERE state || '' = 'waiting' AND (lease_until IS NULL OR lease_until <= $3) AND id IN (
    SELECT id FROM mails
    WHERE state = 'waiting' AND priority BETWEEN $4 AND $5
        AND next_try_at <= $3 AND (lease_until IS NULL OR lease_until <= $3)
    ORDER BY priority, next_try_at, id
    LIMIT $6
)
RETURNING
    id, kind, recipient, language, content, state, tries, created_at, next_try_at, expires_at, finished_at, reason,
    priority";

const FINISH: &str = "
UPDATE mails
SET state = $1, finished_at = $2, reason = $3, lease = NULL, lease_until = NULL
WHERE id = $4 AND lease = $5
RETURNING id";

const RETRY: &str = "
UPDATE mails
SET next_try_at = $1, reason = $2, lease = NULL, lease_until = NULL
WHERE id = $3 AND lease = $4
RETURNING id";

const GIVE_UP_EXPIRED: &str = "
UPDATE mails
SET state = 'given_up', finished_at = $1, lease = NULL, lease_until = NULL
WHERE state = 'waiting' AND expires_at <= $1 AND (lease_until IS NULL OR lease_until <= $1)
RETURNING id";

const COUNT_RECENT: &str = "
SELECT COUNT(*) FROM mails WHERE recipient = $1 AND kind = $2 AND created_at > $3";

// The index has the priority before the moment: it is asked once for each priority, of which there are few.
const FIND_WAITING: &str = "
WITH RECURSIVE priorities (priority) AS (
    SELECT MIN(priority) FROM mails WHERE state = 'waiting'
    UNION ALL
    SELECT (SELECT MIN(m.priority) FROM mails AS m WHERE m.state = 'waiting' AND m.priority > priorities.priority)
    FROM priorities
    WHERE priorities.priority IS NOT NULL
)
SELECT
    (SELECT COUNT(*) FROM (SELECT 1 FROM mails WHERE state = 'waiting' LIMIT $2) AS counted) AS waiting,
    (
        SELECT MIN((
            SELECT MIN(m.next_try_at)
            FROM mails AS m
            WHERE m.state = 'waiting' AND m.priority = priorities.priority AND m.next_try_at <= $1
        ))
        FROM priorities
    ) AS due_since";

const LIST: &str = "
SELECT id, kind, recipient, language, content, state, tries, created_at, next_try_at, expires_at, finished_at, reason
FROM mails
WHERE created_at < $1 OR (created_at = $1 AND id < $2)
ORDER BY created_at DESC, id DESC
LIMIT $3";

const LIST_IN_STATE: &str = "
SELECT id, kind, recipient, language, content, state, tries, created_at, next_try_at, expires_at, finished_at, reason
FROM mails
WHERE state = $4 AND (created_at < $1 OR (created_at = $1 AND id < $2))
ORDER BY created_at DESC, id DESC
LIMIT $3";

const SEND_AGAIN: &str = "
UPDATE mails
SET state = 'waiting', tries = 0, next_try_at = $1, finished_at = NULL, lease = NULL, lease_until = NULL
WHERE id = $2 AND state IN ('failed', 'bounced', 'suppressed')
RETURNING recipient, expires_at";

// What fails again meanwhile failed later than $1.
const SEND_FAILED_AGAIN: &str = "
UPDATE mails
SET state = 'waiting', tries = 0, next_try_at = $1, finished_at = NULL, lease = NULL, lease_until = NULL
WHERE state IN ('failed', 'bounced', 'suppressed') AND id IN (
    SELECT id FROM mails
    WHERE state IN ('failed', 'bounced', 'suppressed') AND finished_at BETWEEN $2 AND $1
        AND (expires_at IS NULL OR expires_at > $1)
    ORDER BY finished_at, id
    LIMIT $3
)
RETURNING recipient";

const DELETE_OLD: &str = "
DELETE FROM mails WHERE id IN (
    SELECT id FROM mails WHERE state <> 'waiting' AND created_at < $1 ORDER BY created_at LIMIT $2
)";

const REMEMBER_BOUNCE: &str = "
INSERT INTO mail_bounces (recipient, bounced_at, until, reason) VALUES ($1, $2, $3, $4)
ON CONFLICT (recipient) DO UPDATE
SET bounced_at = excluded.bounced_at, until = excluded.until, reason = excluded.reason";

const FIND_BOUNCE: &str = "
SELECT reason FROM mail_bounces WHERE recipient = $1 AND until > $2";

const FORGET_BOUNCE: &str = "
DELETE FROM mail_bounces WHERE recipient = $1";

const DELETE_OLD_BOUNCES: &str = "
DELETE FROM mail_bounces WHERE until <= $1";

/// Adds a mail. `Ok(false)` when there is one of its key.
///
/// # Errors
/// When the database fails.
pub async fn insert(writing: &mut StoreTransaction, mail: &NewMail) -> Result<bool, StoreError> {
    let inserted = sqlx::query(INSERT)
        .bind(mail.id.to_string())
        .bind(mail.key.as_str())
        .bind(mail.kind)
        .bind(mail.recipient.as_str())
        .bind(mail.language)
        .bind(mail.content.as_str())
        .bind(mail.priority)
        .bind(mail.created_at.0)
        .bind(mail.send_at.0)
        .bind(mail.expires_at.map(|at| at.0))
        .fetch_optional(writing.connection())
        .await?;
    Ok(inserted.is_some())
}

/// Leases up to `limit` mails of these priorities that are due at `now`, in the order in which they are to be sent.
///
/// # Errors
/// When the database fails.
pub async fn claim_due(
    store: &Store,
    lease: MailLease,
    (first, last): (i64, i64),
    now: Timestamp,
    limit: u32,
) -> Result<Vec<MailRow>, StoreError> {
    let rows = sqlx::query(CLAIM_DUE)
        .bind(lease.holder.to_string())
        .bind(lease.until.0)
        .bind(now.0)
        .bind(first)
        .bind(last)
        .bind(i64::from(limit))
        .fetch_all(store.writer())
        .await?;
    let mut claimed = Vec::with_capacity(rows.len());
    for row in rows {
        let priority: i64 = row.try_get("priority")?;
        claimed.push((priority, read(&row)?));
    }
    claimed.sort_by_key(|(priority, mail)| (*priority, mail.next_try_at));
    Ok(claimed.into_iter().map(|(_, mail)| mail).collect())
}

/// Ends a mail, if it is still leased by `lease`.
///
/// # Errors
/// When the database fails.
pub async fn finish(
    writing: &mut StoreTransaction,
    lease: MailLease,
    mail: Uuid,
    state: MailState,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let finished = sqlx::query(FINISH)
        .bind(state.as_str())
        .bind(now.0)
        .bind(reason)
        .bind(mail.to_string())
        .bind(lease.holder.to_string())
        .fetch_optional(writing.connection())
        .await?;
    Ok(finished.is_some())
}

/// Lets a mail wait for its next try, if it is still leased by `lease`.
///
/// # Errors
/// When the database fails.
pub async fn retry(
    store: &Store,
    lease: MailLease,
    mail: Uuid,
    next_try_at: Timestamp,
    reason: &str,
) -> Result<bool, StoreError> {
    let waiting = sqlx::query(RETRY)
        .bind(next_try_at.0)
        .bind(reason)
        .bind(mail.to_string())
        .bind(lease.holder.to_string())
        .fetch_optional(store.writer())
        .await?;
    Ok(waiting.is_some())
}

/// Gives up the mails that are of no use any more at `now`. Returns how many.
///
/// # Errors
/// When the database fails.
pub async fn give_up_expired(store: &Store, now: Timestamp) -> Result<usize, StoreError> {
    Ok(sqlx::query(GIVE_UP_EXPIRED).bind(now.0).fetch_all(store.writer()).await?.len())
}

/// How many mails of a kind an address got since `since`.
///
/// # Errors
/// When the database fails.
pub async fn count_recent(
    writing: &mut StoreTransaction,
    recipient: &str,
    kind: &str,
    since: Timestamp,
) -> Result<i64, StoreError> {
    let query = sqlx::query_scalar(COUNT_RECENT).bind(recipient).bind(kind).bind(since.0);
    Ok(query.fetch_one(writing.connection()).await?)
}

/// How many mails wait, counted up to `limit`, and since when the one has been due that has been due longest at `now`. One that waits for
/// its next try is not due.
///
/// # Errors
/// When the database fails.
pub async fn find_waiting(
    store: &Store,
    now: Timestamp,
    limit: u32,
) -> Result<(i64, Option<Timestamp>), StoreError> {
    let query = sqlx::query(FIND_WAITING).bind(now.0).bind(i64::from(limit));
    let row = query.fetch_one(store.reader()).await?;
    let due_since: Option<i64> = row.try_get("due_since")?;
    Ok((row.try_get("waiting")?, due_since.map(Timestamp)))
}

/// Up to `limit` mails behind a cursor, newest first, perhaps only those in one state.
///
/// # Errors
/// When the database fails.
pub async fn list(
    store: &Store,
    state: Option<MailState>,
    after: Option<MailCursor>,
    limit: u32,
) -> Result<Vec<MailRow>, StoreError> {
    let after = after.unwrap_or(MailCursor { created_at: Timestamp::MAX, id: Uuid::max() });
    let query = sqlx::query(if state.is_some() { LIST_IN_STATE } else { LIST })
        .bind(after.created_at.0)
        .bind(after.id.to_string())
        .bind(i64::from(limit));
    let query = match state {
        Some(state) => query.bind(state.as_str()),
        None => query,
    };
    query.fetch_all(store.reader()).await?.iter().map(read).collect()
}

/// Lets a mail that was not sent be sent again, from its first try, and lets its recipient get mails again. Roll back unless it waits.
///
/// # Errors
/// When the database fails.
pub async fn send_again(
    writing: &mut StoreTransaction,
    mail: Uuid,
    now: Timestamp,
) -> Result<ResendResult, StoreError> {
    let query = sqlx::query(SEND_AGAIN).bind(now.0).bind(mail.to_string());
    let Some(row) = query.fetch_optional(writing.connection()).await? else {
        return Ok(ResendResult::Unknown);
    };
    let expires_at: Option<i64> = row.try_get("expires_at")?;
    if expires_at.is_some_and(|at| at <= now.0) {
        return Ok(ResendResult::Expired);
    }
    let recipient: String = row.try_get("recipient")?;
    sqlx::query(FORGET_BOUNCE).bind(recipient).execute(writing.connection()).await?;
    Ok(ResendResult::Waiting)
}

/// Lets up to `limit` mails that were not sent at `since` or later be sent again, from their first try, and lets their recipients get mails
/// again. Returns how many. Those of no use any more are not among them.
///
/// # Errors
/// When the database fails.
pub async fn send_failed_again(
    writing: &mut StoreTransaction,
    since: Timestamp,
    now: Timestamp,
    limit: usize,
) -> Result<usize, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let query = sqlx::query_scalar(SEND_FAILED_AGAIN).bind(now.0).bind(since.0).bind(limit);
    let recipients: Vec<String> = query.fetch_all(writing.connection()).await?;
    for recipient in &recipients {
        sqlx::query(FORGET_BOUNCE).bind(recipient.as_str()).execute(writing.connection()).await?;
    }
    Ok(recipients.len())
}

/// Deletes up to `limit` ended mails from before `before`.
///
/// # Errors
/// When the database fails.
pub async fn delete_old(store: &Store, before: Timestamp, limit: u32) -> Result<(), StoreError> {
    sqlx::query(DELETE_OLD).bind(before.0).bind(i64::from(limit)).execute(store.writer()).await?;
    Ok(())
}

/// Remembers that an address bounced: it gets no mail until a time.
///
/// # Errors
/// When the database fails.
pub async fn remember_bounce(
    writing: &mut StoreTransaction,
    recipient: &str,
    reason: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(REMEMBER_BOUNCE)
        .bind(recipient)
        .bind(now.0)
        .bind(until.0)
        .bind(reason)
        .execute(writing.connection())
        .await?;
    Ok(())
}

/// Why an address gets no mail at `now`; `None` when it does.
///
/// # Errors
/// When the database fails.
pub async fn find_bounce(
    store: &Store,
    recipient: &str,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let query = sqlx::query_scalar(FIND_BOUNCE).bind(recipient).bind(now.0);
    Ok(query.fetch_optional(store.reader()).await?)
}

/// Forgets bounces that are over at `now`.
///
/// # Errors
/// When the database fails.
pub async fn delete_old_bounces(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query(DELETE_OLD_BOUNCES).bind(now.0).execute(store.writer()).await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<MailRow, StoreError> {
    let id: String = row.try_get("id")?;
    let state: String = row.try_get("state")?;
    let damaged = |reason| StoreError::Damaged { table: "mails", id: id.clone(), reason };
    let time = |name| row.try_get::<Option<i64>, _>(name).map(|time| time.map(Timestamp));
    Ok(MailRow {
        id: id.parse().map_err(|_| damaged("its id is not a UUID"))?,
        kind: row.try_get("kind")?,
        recipient: row.try_get("recipient")?,
        language: row.try_get("language")?,
        content: row.try_get("content")?,
        state: state.parse().map_err(|()| damaged("its state is unknown"))?,
        tries: u32::try_from(row.try_get::<i64, _>("tries")?).unwrap_or(u32::MAX),
        created_at: Timestamp(row.try_get("created_at")?),
        next_try_at: Timestamp(row.try_get("next_try_at")?),
        expires_at: time("expires_at")?,
        finished_at: time("finished_at")?,
        reason: row.try_get("reason")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_servers::postgres::PostgresServer;

    async fn waiting_mails_are_counted_up_to_a_limit(store: Store) {
        store.migrate().await.unwrap();
        assert_eq!(find_waiting(&store, Timestamp(100), 10).await.unwrap(), (0, None));
        let mut writing = store.begin().await.unwrap();
        for (number, priority, send_at) in [(1, 0, 60), (2, 20, 40), (3, 20, 70), (4, 30, 200)] {
            let mail = NewMail {
                id: Uuid::from_u128(number),
                key: number.to_string(),
                kind: "order_confirmed",
                recipient: "ada@example.com".to_owned(),
                language: "en",
                content: "{}".to_owned(),
                priority,
                created_at: Timestamp(10),
                send_at: Timestamp(send_at),
                expires_at: None,
            };
            assert!(insert(&mut writing, &mail).await.unwrap());
        }
        writing.commit().await.unwrap();
        let find = async |now: i64, limit| find_waiting(&store, Timestamp(now), limit).await.unwrap();
        assert_eq!(find(39, 10).await, (4, None), "none is due");
        assert_eq!(find(40, 10).await, (4, Some(Timestamp(40))));
        assert_eq!(find(300, 3).await, (3, Some(Timestamp(40))), "the oldest is not of the first priority");
    }

    #[tokio::test]
    async fn waiting_mails_are_counted_in_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        waiting_mails_are_counted_up_to_a_limit(Store::open(folder.path()).await.unwrap()).await;
    }

    #[tokio::test]
    async fn waiting_mails_are_counted_in_postgres() {
        let url = PostgresServer::shared().create_database();
        waiting_mails_are_counted_up_to_a_limit(Store::connect(&url).await.unwrap()).await;
    }
}
