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
    COUNT,
    RECORD_SUCCESS,
    RECORD_FAILURE,
    DISABLE,
];

const INSERT: &str = "
INSERT INTO webhook_endpoints
    (id, url, description, types, sale_ids, include_email, disabled_reason, secret, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

const UPDATE: &str = "
UPDATE webhook_endpoints
SET
    url = $1,
    description = $2,
    types = $3,
    sale_ids = $4,
    include_email = $5,
    disabled_reason = $6,
    failing_since = $7,
    gave_up_at = $8,
    paused_until = $9,
    updated_at = $10
WHERE id = $11 AND deleted_at IS NULL
RETURNING id";

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

const COUNT: &str = "
SELECT COUNT(*) FROM webhook_endpoints WHERE deleted_at IS NULL";

const RECORD_SUCCESS: &str = "
UPDATE webhook_endpoints SET failing_since = NULL, gave_up_at = NULL, paused_until = NULL WHERE id = $1";

const RECORD_FAILURE: &str = "
UPDATE webhook_endpoints
SET
    failing_since = COALESCE(failing_since, $1),
    gave_up_at = COALESCE($2, gave_up_at),
    paused_until = COALESCE($3, paused_until)
WHERE id = $4
RETURNING failing_since";

const DISABLE: &str = "
UPDATE webhook_endpoints SET disabled_reason = $1, updated_at = $2
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

/// Writes everything of an endpoint but its secrets. False when there is no such endpoint.
///
/// # Errors
/// When the database fails.
pub async fn update(store: &Store, endpoint: &EndpointRow) -> Result<bool, StoreError> {
    let updated = sqlx::query(UPDATE)
        .bind(endpoint.url.as_str())
        .bind(endpoint.description.as_deref())
        .bind(endpoint.types.join(" "))
        .bind(join_sales(&endpoint.sales))
        .bind(i64::from(endpoint.include_email))
        .bind(endpoint.disabled.map(DisabledReason::as_str))
        .bind(endpoint.failing_since.map(|at| at.0))
        .bind(endpoint.gave_up_at.map(|at| at.0))
        .bind(endpoint.paused_until.map(|at| at.0))
        .bind(endpoint.updated_at.0)
        .bind(endpoint.id.to_string())
        .fetch_optional(store.writer())
        .await?;
    Ok(updated.is_some())
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

/// How many endpoints there are.
///
/// # Errors
/// When the database fails.
pub async fn count(store: &Store) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar(COUNT).fetch_one(store.reader()).await?;
    Ok(count.unsigned_abs())
}

/// Notes that a delivery arrived.
///
/// # Errors
/// When the database fails.
pub async fn record_success(writing: &mut StoreTransaction, id: Uuid) -> Result<(), StoreError> {
    sqlx::query(RECORD_SUCCESS).bind(id.to_string()).execute(writing.connection()).await?;
    Ok(())
}

/// Notes that a try failed, and returns since when all have. `None` when there is no such endpoint.
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
    let disabled = disabled.map(|word| {
        let known = DisabledReason::ALL.into_iter().find(|known| known.as_str() == word);
        known.ok_or_else(|| damaged(&id, "why it is disabled is unknown"))
    });
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
