//! The `webhook_endpoints` table: where events are sent. It has the secrets in the clear, because what is sent is signed with them; a copy
//! of the database contains them. Nothing here is ever logged.

use super::{Store, StoreError, StoreTransaction};
use crate::webhooks::address::WebhookUrl;
use crate::webhooks::secret::WebhookSecret;
use sale::{SaleId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;
use uuid::Uuid;

/// An endpoint without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointRow {
    pub id: Uuid,
    pub url: WebhookUrl,
    pub description: Option<String>,
    /// Types of events, or `*`.
    pub types: Vec<String>,
    /// Only events of these sales; of all when empty.
    pub sales: Vec<SaleId>,
    pub include_email: bool,
    /// `None` while it is enabled.
    pub disabled: Option<DisabledReason>,
    pub previous_secret_until: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub failing_since: Option<Timestamp>,
    pub gave_up_at: Option<Timestamp>,
    pub paused_until: Option<Timestamp>,
}

/// An endpoint that was disabled because its receiver was gone or had only failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisabledEndpoint {
    pub id: Uuid,
    pub url: WebhookUrl,
    pub reason: DisabledReason,
    pub disabled_at: Timestamp,
}

/// What a merchant changes of an endpoint. `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct EndpointChanges {
    pub url: Option<WebhookUrl>,
    pub types: Option<Vec<String>>,
    pub description: Option<Option<String>>,
    pub sales: Option<Vec<SaleId>>,
    pub include_email: Option<bool>,
    pub enabled: Option<bool>,
}

/// The secrets of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSecrets {
    pub current: WebhookSecret,
    /// The one before, and until when it is valid.
    pub previous: Option<(WebhookSecret, Timestamp)>,
}

/// Why an endpoint gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisabledReason {
    /// Its receiver replied 410.
    Gone,
    /// It has failed for days.
    Failing,
    /// A merchant switched it off.
    Merchant,
}

impl DisabledReason {
    const ALL: [Self; 3] = [Self::Gone, Self::Failing, Self::Merchant];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
            Self::Merchant => "merchant",
        }
    }
}

pub(super) const STATEMENTS: &[&str] = &[
    INSERT,
    UPDATE,
    ROTATE_SECRET,
    MARK_DELETED,
    DELETE,
    FIND,
    LIST,
    LIST_WITH_SECRETS,
    LIST_ENABLED,
    LIST_DELETED,
    LIST_DISABLED_SINCE,
    COUNT,
    RECORD_SUCCESS,
    RECORD_FAILURE,
    DISABLE,
];

const INSERT: &str = "
INSERT INTO webhook_endpoints
    (id, url, description, types, sale_ids, include_email, disabled_reason, secret, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

// Nothing that was read before is written: the sender changes the row, too.
const UPDATE: &str = "
UPDATE webhook_endpoints
SET
    url = COALESCE($1, url),
    types = COALESCE($2, types),
    description = CASE WHEN $3 = 1 THEN $4 ELSE description END,
    sale_ids = COALESCE($5, sale_ids),
    include_email = COALESCE($6, include_email),
    disabled_reason = CASE CAST($7 AS BIGINT) WHEN 1 THEN NULL WHEN 0 THEN COALESCE(disabled_reason, 'merchant') ELSE disabled_reason END,
    disabled_at = CASE CAST($7 AS BIGINT) WHEN 1 THEN NULL ELSE disabled_at END,
    failing_since = CASE WHEN $1 <> url OR ($7 = 1 AND disabled_reason IS NOT NULL) THEN NULL ELSE failing_since END,
    gave_up_at = CASE WHEN $1 <> url OR ($7 = 1 AND disabled_reason IS NOT NULL) THEN NULL ELSE gave_up_at END,
    paused_until = CASE WHEN $1 <> url OR ($7 = 1 AND disabled_reason IS NOT NULL) THEN NULL ELSE paused_until END,
    updated_at = $8
WHERE id = $9 AND deleted_at IS NULL
RETURNING
    id, url, description, types, sale_ids, include_email, disabled_reason, previous_secret_until, created_at, updated_at,
    failing_since, gave_up_at, paused_until";

const ROTATE_SECRET: &str = "
UPDATE webhook_endpoints
SET previous_secret = secret, previous_secret_until = $1, secret = $2, updated_at = $3
WHERE id = $4 AND deleted_at IS NULL
RETURNING id";

const MARK_DELETED: &str = "
UPDATE webhook_endpoints SET deleted_at = $1 WHERE id = $2 AND deleted_at IS NULL RETURNING id";

const DELETE: &str = "
DELETE FROM webhook_endpoints WHERE id = $1 AND deleted_at IS NOT NULL";

const FIND: &str = "
SELECT
    id, url, description, types, sale_ids, include_email, disabled_reason, previous_secret_until, created_at, updated_at,
    failing_since, gave_up_at, paused_until
FROM webhook_endpoints
WHERE id = $1 AND deleted_at IS NULL";

const LIST: &str = "
SELECT
    id, url, description, types, sale_ids, include_email, disabled_reason, previous_secret_until, created_at, updated_at,
    failing_since, gave_up_at, paused_until
FROM webhook_endpoints
WHERE deleted_at IS NULL
ORDER BY created_at, id";

const LIST_WITH_SECRETS: &str = "
SELECT
    id, url, description, types, sale_ids, include_email, disabled_reason, previous_secret_until, created_at, updated_at,
    failing_since, gave_up_at, paused_until, secret, previous_secret
FROM webhook_endpoints
WHERE deleted_at IS NULL AND disabled_reason IS NULL
ORDER BY created_at, id";

const LIST_ENABLED: &str = "
SELECT
    id, url, description, types, sale_ids, include_email, disabled_reason, previous_secret_until, created_at, updated_at,
    failing_since, gave_up_at, paused_until
FROM webhook_endpoints
WHERE deleted_at IS NULL AND disabled_reason IS NULL
ORDER BY created_at, id";

const LIST_DELETED: &str = "
SELECT id FROM webhook_endpoints WHERE deleted_at IS NOT NULL";

const LIST_DISABLED_SINCE: &str = "
SELECT id, url, disabled_reason, disabled_at
FROM webhook_endpoints
WHERE deleted_at IS NULL AND disabled_at >= $1
ORDER BY disabled_at, id";

const COUNT: &str = "
SELECT COUNT(*) FROM webhook_endpoints WHERE deleted_at IS NULL";

// A pause that began while the delivery was in flight stays.
const RECORD_SUCCESS: &str = "
UPDATE webhook_endpoints
SET failing_since = NULL, gave_up_at = NULL, paused_until = NULLIF(paused_until, $1)
WHERE id = $2";

const RECORD_FAILURE: &str = "
UPDATE webhook_endpoints
SET
    failing_since = COALESCE(failing_since, $1),
    gave_up_at = COALESCE($2, gave_up_at),
    paused_until = CASE WHEN $3 > COALESCE(paused_until, 0) THEN $3 ELSE paused_until END
WHERE id = $4
RETURNING failing_since";

const DISABLE: &str = "
UPDATE webhook_endpoints SET disabled_reason = $1, updated_at = $2, disabled_at = $2
WHERE id = $3 AND disabled_reason IS NULL AND deleted_at IS NULL
RETURNING id";

/// Adds an endpoint.
///
/// # Errors
/// When the database fails.
pub async fn insert(store: &Store, endpoint: &EndpointRow, secret: &WebhookSecret) -> Result<(), StoreError> {
    sqlx::query(INSERT)
        .bind(endpoint.id.to_string())
        .bind(endpoint.url.as_str())
        .bind(endpoint.description.as_deref())
        .bind(endpoint.types.join(" "))
        .bind(join_sales(&endpoint.sales))
        .bind(i64::from(endpoint.include_email))
        .bind(endpoint.disabled.map(DisabledReason::as_str))
        .bind(secret.to_text())
        .bind(endpoint.created_at.0)
        .bind(endpoint.updated_at.0)
        .execute(store.writer())
        .await?;
    Ok(())
}

/// Changes an endpoint, and returns it as it is then. One that is enabled again, or gets another address, starts anew: its failures and its
/// pause are forgotten. `None` when there is no such endpoint.
///
/// # Errors
/// When the database fails.
pub async fn update(
    store: &Store,
    id: Uuid,
    changes: &EndpointChanges,
    now: Timestamp,
) -> Result<Option<EndpointRow>, StoreError> {
    let updated = sqlx::query(UPDATE)
        .bind(changes.url.as_ref().map(WebhookUrl::as_str))
        .bind(changes.types.as_ref().map(|types| types.join(" ")))
        .bind(i64::from(changes.description.is_some()))
        .bind(changes.description.as_ref().and_then(Option::as_deref))
        .bind(changes.sales.as_deref().map(join_sales))
        .bind(changes.include_email.map(i64::from))
        .bind(changes.enabled.map(i64::from))
        .bind(now.0)
        .bind(id.to_string())
        .fetch_optional(store.writer())
        .await?;
    updated.map(|row| read(&row)).transpose()
}

/// Gives an endpoint a new secret; the one that it had is valid until then. False when there is no such endpoint.
///
/// # Errors
/// When the database fails.
pub async fn rotate_secret(
    store: &Store,
    id: Uuid,
    secret: &WebhookSecret,
    previous_until: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let rotated = sqlx::query(ROTATE_SECRET)
        .bind(previous_until.0)
        .bind(secret.to_text())
        .bind(now.0)
        .bind(id.to_string())
        .fetch_optional(store.writer())
        .await?;
    Ok(rotated.is_some())
}

/// Marks an endpoint as deleted: from now on it is not found, and nothing is sent to it. False when there is no such endpoint.
///
/// # Errors
/// When the database fails.
pub async fn mark_deleted(store: &Store, id: Uuid, now: Timestamp) -> Result<bool, StoreError> {
    let query = sqlx::query(MARK_DELETED).bind(now.0).bind(id.to_string());
    Ok(query.fetch_optional(store.writer()).await?.is_some())
}

/// Removes the row of an endpoint that was marked as deleted.
///
/// # Errors
/// When the database fails.
pub async fn delete(store: &Store, id: Uuid) -> Result<(), StoreError> {
    sqlx::query(DELETE).bind(id.to_string()).execute(store.writer()).await?;
    Ok(())
}

/// The endpoint with this id.
///
/// # Errors
/// When the database fails.
pub async fn find(store: &Store, id: Uuid) -> Result<Option<EndpointRow>, StoreError> {
    let found = sqlx::query(FIND).bind(id.to_string()).fetch_optional(store.reader()).await?;
    found.map(|row| read(&row)).transpose()
}

/// All endpoints, the oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list(store: &Store) -> Result<Vec<EndpointRow>, StoreError> {
    sqlx::query(LIST).fetch_all(store.reader()).await?.iter().map(read).collect()
}

/// The endpoints that are enabled, with their secrets, for the sender.
///
/// # Errors
/// When the database fails.
pub async fn list_with_secrets(store: &Store) -> Result<Vec<(EndpointRow, EndpointSecrets)>, StoreError> {
    let rows = sqlx::query(LIST_WITH_SECRETS).fetch_all(store.reader()).await?;
    rows.iter().map(|row| Ok((read(row)?, read_secrets(row)?))).collect()
}

/// The endpoints that are enabled, as they are in this transaction.
///
/// # Errors
/// When the database fails.
pub async fn list_enabled(writing: &mut StoreTransaction) -> Result<Vec<EndpointRow>, StoreError> {
    sqlx::query(LIST_ENABLED).fetch_all(writing.connection()).await?.iter().map(read).collect()
}

/// The endpoints that were marked as deleted.
///
/// # Errors
/// When the database fails.
pub async fn list_deleted(store: &Store) -> Result<Vec<Uuid>, StoreError> {
    let ids: Vec<String> = sqlx::query_scalar(LIST_DELETED).fetch_all(store.reader()).await?;
    ids.into_iter().map(|id| id.parse().map_err(|_| damaged(&id, "its id is not a UUID"))).collect()
}

/// The endpoints that were disabled at a moment or later because their receivers were gone or had only failed.
///
/// # Errors
/// When the database fails.
pub async fn list_disabled_since(
    store: &Store,
    since: Timestamp,
) -> Result<Vec<DisabledEndpoint>, StoreError> {
    let rows = sqlx::query(LIST_DISABLED_SINCE).bind(since.0).fetch_all(store.reader()).await?;
    rows.iter().map(read_disabled).collect()
}

/// How many endpoints there are.
///
/// # Errors
/// When the database fails.
pub async fn count(store: &Store) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar(COUNT).fetch_one(store.reader()).await?;
    Ok(count.unsigned_abs())
}

/// Notes that a delivery arrived. It ends the pause that the endpoint had when the delivery was sent, and no later one.
///
/// # Errors
/// When the database fails.
pub async fn record_success(
    writing: &mut StoreTransaction,
    id: Uuid,
    pause_when_sent: Option<Timestamp>,
) -> Result<(), StoreError> {
    let query = sqlx::query(RECORD_SUCCESS).bind(pause_when_sent.map(|until| until.0)).bind(id.to_string());
    query.execute(writing.connection()).await?;
    Ok(())
}

/// Notes that a try failed, and returns since when all have. `None` when there is no such endpoint. A pause is never made shorter.
///
/// # Errors
/// When the database fails.
pub async fn record_failure(
    writing: &mut StoreTransaction,
    id: Uuid,
    now: Timestamp,
    gave_up_at: Option<Timestamp>,
    paused_until: Option<Timestamp>,
) -> Result<Option<Timestamp>, StoreError> {
    let since: Option<i64> = sqlx::query_scalar(RECORD_FAILURE)
        .bind(now.0)
        .bind(gave_up_at.map(|at| at.0))
        .bind(paused_until.map(|at| at.0))
        .bind(id.to_string())
        .fetch_optional(writing.connection())
        .await?;
    Ok(since.map(Timestamp))
}

/// Disables an endpoint. False when it is not enabled.
///
/// # Errors
/// When the database fails.
pub async fn disable(
    writing: &mut StoreTransaction,
    id: Uuid,
    reason: DisabledReason,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let query = sqlx::query(DISABLE).bind(reason.as_str()).bind(now.0).bind(id.to_string());
    Ok(query.fetch_optional(writing.connection()).await?.is_some())
}

fn join_sales(sales: &[SaleId]) -> String {
    sales.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn damaged(id: &str, reason: &'static str) -> StoreError {
    StoreError::Damaged { table: "webhook_endpoints", id: id.to_owned(), reason }
}

fn read(row: &AnyRow) -> Result<EndpointRow, StoreError> {
    let id: String = row.try_get("id")?;
    let text = |column: &str| row.try_get::<String, _>(column);
    let moment = |column: &str| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp));
    let split = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let disabled: Option<String> = row.try_get("disabled_reason")?;
    let disabled = disabled.map(|word| parse_reason(&id, &word));
    let sales = split(text("sale_ids")?).into_iter();
    let sales = sales.map(|sale| sale.parse().map_err(|_| damaged(&id, "one of its sales is not a UUID")));
    Ok(EndpointRow {
        id: id.parse().map_err(|_| damaged(&id, "its id is not a UUID"))?,
        url: WebhookUrl::from_saved(&text("url")?).map_err(|_| damaged(&id, "its address is none"))?,
        description: row.try_get("description")?,
        types: split(text("types")?),
        sales: sales.collect::<Result<_, _>>()?,
        include_email: row.try_get::<i64, _>("include_email")? != 0,
        disabled: disabled.transpose()?,
        previous_secret_until: moment("previous_secret_until")?,
        created_at: Timestamp(row.try_get("created_at")?),
        updated_at: Timestamp(row.try_get("updated_at")?),
        failing_since: moment("failing_since")?,
        gave_up_at: moment("gave_up_at")?,
        paused_until: moment("paused_until")?,
    })
}

fn parse_reason(id: &str, word: &str) -> Result<DisabledReason, StoreError> {
    let known = DisabledReason::ALL.into_iter().find(|known| known.as_str() == word);
    known.ok_or_else(|| damaged(id, "why it is disabled is unknown"))
}

fn read_disabled(row: &AnyRow) -> Result<DisabledEndpoint, StoreError> {
    let (id, url): (String, String) = (row.try_get("id")?, row.try_get("url")?);
    let reason: String = row.try_get("disabled_reason")?;
    Ok(DisabledEndpoint {
        id: id.parse().map_err(|_| damaged(&id, "its id is not a UUID"))?,
        url: WebhookUrl::from_saved(&url).map_err(|_| damaged(&id, "its address is none"))?,
        reason: parse_reason(&id, &reason)?,
        disabled_at: Timestamp(row.try_get("disabled_at")?),
    })
}

fn read_secrets(row: &AnyRow) -> Result<EndpointSecrets, StoreError> {
    let id: String = row.try_get("id")?;
    let secret = |text: String| WebhookSecret::try_from(text).map_err(|_| damaged(&id, "its secret is none"));
    let previous: Option<String> = row.try_get("previous_secret")?;
    let until: Option<i64> = row.try_get("previous_secret_until")?;
    let previous = match previous.zip(until) {
        Some((text, until)) => Some((secret(text)?, Timestamp(until))),
        None => None,
    };
    Ok(EndpointSecrets { current: secret(row.try_get("secret")?)?, previous })
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_servers::postgres::PostgresServer;

    async fn an_edit_leaves_what_the_sender_wrote_meanwhile(store: Store) {
        store.migrate().await.unwrap();
        let url = |text| WebhookUrl::from_saved(text).unwrap();
        let created = EndpointRow {
            id: Uuid::from_u128(7),
            url: url("https://example.com/hooks"),
            description: None,
            types: vec!["*".to_owned()],
            sales: vec![SaleId(Uuid::from_u128(8))],
            include_email: true,
            disabled: None,
            previous_secret_until: None,
            created_at: Timestamp(1),
            updated_at: Timestamp(1),
            failing_since: None,
            gave_up_at: None,
            paused_until: None,
        };
        insert(&store, &created, &WebhookSecret::generate()).await.unwrap();
        let fail = async |at: Timestamp, until: Timestamp| {
            let mut writing = store.begin().await.unwrap();
            record_failure(&mut writing, created.id, at, Some(at), Some(until)).await.unwrap();
            disable(&mut writing, created.id, DisabledReason::Gone, at).await.unwrap();
            writing.commit().await.unwrap();
        };
        let edit = async |changes: EndpointChanges, now: i64| {
            update(&store, created.id, &changes, Timestamp(now)).await.unwrap().unwrap()
        };

        fail(Timestamp(2), Timestamp(50)).await;
        let failed = EndpointRow {
            disabled: Some(DisabledReason::Gone),
            failing_since: Some(Timestamp(2)),
            gave_up_at: Some(Timestamp(2)),
            paused_until: Some(Timestamp(50)),
            ..created.clone()
        };
        // The merchant has read the endpoint before it failed.
        let description = Some(Some("the bookkeeping".to_owned()));
        let edited = edit(EndpointChanges { description, ..EndpointChanges::default() }, 3).await;
        let expected = EndpointRow {
            description: Some("the bookkeeping".to_owned()),
            updated_at: Timestamp(3),
            ..failed
        };
        assert_eq!(edited, expected);
        let off = EndpointChanges { enabled: Some(false), ..EndpointChanges::default() };
        assert_eq!(edit(off.clone(), 4).await.disabled, Some(DisabledReason::Gone), "the reason stays");
        let moved = EndpointChanges {
            url: Some(url("https://example.com/other")),
            description: Some(None),
            ..EndpointChanges::default()
        };
        let expected = EndpointRow {
            url: url("https://example.com/other"),
            disabled: Some(DisabledReason::Gone),
            updated_at: Timestamp(5),
            ..created.clone()
        };
        assert_eq!(edit(moved, 5).await, expected, "another address starts anew");

        fail(Timestamp(6), Timestamp(60)).await;
        let on = EndpointChanges { enabled: Some(true), ..EndpointChanges::default() };
        let expected = EndpointRow { disabled: None, updated_at: Timestamp(7), ..expected };
        assert_eq!(edit(on.clone(), 7).await, expected, "so does one that is enabled again");
        assert!(list_disabled_since(&store, Timestamp(0)).await.unwrap().is_empty());

        let mut writing = store.begin().await.unwrap();
        record_failure(&mut writing, created.id, Timestamp(8), None, Some(Timestamp(80))).await.unwrap();
        writing.commit().await.unwrap();
        assert_eq!(edit(on, 9).await.paused_until, Some(Timestamp(80)), "it was enabled");
        assert_eq!(edit(off, 10).await.disabled, Some(DisabledReason::Merchant));
        let everything = EndpointChanges {
            types: Some(vec!["order.held".to_owned(), "order.expired".to_owned()]),
            sales: Some(Vec::new()),
            include_email: Some(false),
            ..EndpointChanges::default()
        };
        let edited = edit(everything, 11).await;
        assert_eq!(edited.types, ["order.held", "order.expired"]);
        assert_eq!((edited.sales.len(), edited.include_email), (0, false));
        assert_eq!(find(&store, created.id).await.unwrap(), Some(edited));
    }

    #[tokio::test]
    async fn an_edit_leaves_what_the_sender_wrote_in_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        an_edit_leaves_what_the_sender_wrote_meanwhile(Store::open(folder.path()).await.unwrap()).await;
    }

    #[tokio::test]
    async fn an_edit_leaves_what_the_sender_wrote_in_postgres() {
        let url = PostgresServer::shared().create_database();
        an_edit_leaves_what_the_sender_wrote_meanwhile(Store::connect(&url).await.unwrap()).await;
    }
}
