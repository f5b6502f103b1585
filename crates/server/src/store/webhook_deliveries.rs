//! The `webhook_events` and `webhook_deliveries` tables: what is to be sent to endpoints, and what came of it. A delivery is written in the
//! transaction that moves the follower's offset, and stays pending until a reply or the end of its schedule is recorded.

use super::bulk_insert::BulkInsert;
use super::{Store, StoreError, StoreTransaction};
use sale::{BuyerId, SaleId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;
use uuid::Uuid;

/// An event with the body that is sent.
#[derive(Clone, Debug)]
pub struct EventRow {
    pub id: String,
    pub kind: String,
    pub sale: Option<SaleId>,
    pub buyer: Option<BuyerId>,
    pub body: String,
    pub created_at: Timestamp,
}

/// A delivery that is new.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    pub id: Uuid,
    pub endpoint: Uuid,
    pub event: String,
    pub sale: Option<SaleId>,
    pub created_at: Timestamp,
    /// To be sent although its endpoint is paused.
    pub is_urgent: bool,
}

/// A delivery that is due, with what is sent.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    pub id: Uuid,
    pub event: String,
    pub version: i64,
    pub step: i64,
    pub body: String,
    pub buyer: Option<BuyerId>,
}

/// The states of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    Pending,
    Delivered,
    Failed,
}

impl DeliveryState {
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Failed];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// A delivery as a merchant sees it.
#[derive(Clone, Debug)]
pub struct DeliveryRow {
    pub id: Uuid,
    pub event: String,
    pub kind: String,
    pub body: String,
    pub state: DeliveryState,
    pub tries: i64,
    pub next_try_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub tried_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub last_status: Option<i64>,
    pub last_error: Option<String>,
    pub last_reply: Option<String>,
}

/// What came of a try.
#[derive(Clone, Debug)]
pub struct TryResult {
    pub delivery: Uuid,
    /// The version that was sent.
    pub version: i64,
    pub state: DeliveryState,
    pub step: i64,
    pub next_try_at: Option<Timestamp>,
    pub tried_at: Timestamp,
    pub status: Option<u16>,
    pub error: Option<String>,
    pub reply: Option<String>,
}

pub(super) static INSERT_EVENTS: BulkInsert = BulkInsert::new(
    "INSERT INTO webhook_events (id, type, sale_id, buyer_id, body, created_at)",
    6,
    "ON CONFLICT (id) DO NOTHING",
);

pub(super) static INSERT_DELIVERIES: BulkInsert = BulkInsert::new(
    "INSERT INTO webhook_deliveries \
     (id, endpoint_id, event_id, sale_id, state, urgent, version, tries, step, next_try_at, created_at)",
    11,
    "ON CONFLICT (event_id, endpoint_id) DO NOTHING",
);

pub(super) const STATEMENTS: &[&str] = &[
    LIST_DUE,
    LIST_URGENT,
    RECORD_TRY,
    LIST,
    LIST_OF_STATE,
    FIND,
    RESEND,
    RESEND_FAILED,
    DELETE_OF_ENDPOINT,
    DELETE_OLD,
    DELETE_OLD_EVENTS,
    DELETE_PENDING_OF_SALE,
    COUNT_PENDING,
];

const LIST_DUE: &str = "
SELECT d.id, d.event_id, d.version, d.step, e.body, e.buyer_id
FROM webhook_deliveries AS d JOIN webhook_events AS e ON e.id = d.event_id
WHERE d.endpoint_id = $1 AND d.state = 'pending' AND d.next_try_at <= $2
ORDER BY d.next_try_at
LIMIT $3";

const LIST_URGENT: &str = "
SELECT d.id, d.event_id, d.version, d.step, e.body, e.buyer_id
FROM webhook_deliveries AS d JOIN webhook_events AS e ON e.id = d.event_id
WHERE d.endpoint_id = $1 AND d.state = 'pending' AND d.urgent = 1
LIMIT $2";

const RECORD_TRY: &str = "
UPDATE webhook_deliveries
SET
    state = $1,
    urgent = 0,
    version = version + 1,
    tries = tries + 1,
    step = $2,
    next_try_at = $3,
    tried_at = $4,
    ended_at = $5,
    last_status = $6,
    last_error = $7,
    last_reply = $8
WHERE id = $9 AND version = $10 AND state = 'pending'";

const LIST: &str = "
SELECT
    d.id, d.event_id, e.type, e.body, d.state, d.tries, d.next_try_at, d.created_at, d.tried_at, d.ended_at, d.last_status,
    d.last_error, d.last_reply
FROM webhook_deliveries AS d JOIN webhook_events AS e ON e.id = d.event_id
WHERE d.endpoint_id = $1 AND (d.created_at < $2 OR (d.created_at = $2 AND d.id < $3))
ORDER BY d.created_at DESC, d.id DESC
LIMIT $4";

const LIST_OF_STATE: &str = "
SELECT
    d.id, d.event_id, e.type, e.body, d.state, d.tries, d.next_try_at, d.created_at, d.tried_at, d.ended_at, d.last_status,
    d.last_error, d.last_reply
FROM webhook_deliveries AS d JOIN webhook_events AS e ON e.id = d.event_id
WHERE d.endpoint_id = $1 AND (d.created_at < $2 OR (d.created_at = $2 AND d.id < $3)) AND d.state = $5
ORDER BY d.created_at DESC, d.id DESC
LIMIT $4";

const FIND: &str = "
SELECT
    d.id, d.event_id, e.type, e.body, d.state, d.tries, d.next_try_at, d.created_at, d.tried_at, d.ended_at, d.last_status,
    d.last_error, d.last_reply
FROM webhook_deliveries AS d JOIN webhook_events AS e ON e.id = d.event_id
WHERE d.endpoint_id = $1 AND d.id = $2";

const RESEND: &str = "
UPDATE webhook_deliveries
SET state = 'pending', urgent = 1, version = version + 1, step = 0, next_try_at = $1, ended_at = NULL
WHERE endpoint_id = $2 AND id = $3
RETURNING id";

const RESEND_FAILED: &str = "
UPDATE webhook_deliveries
SET state = 'pending', version = version + 1, step = 0, next_try_at = $1, ended_at = NULL
WHERE id IN (
    SELECT id FROM webhook_deliveries
    WHERE endpoint_id = $2 AND state = 'failed' AND ended_at >= $3
    ORDER BY ended_at
    LIMIT $4
)";

const DELETE_OF_ENDPOINT: &str = "
DELETE FROM webhook_deliveries
WHERE id IN (SELECT id FROM webhook_deliveries WHERE endpoint_id = $1 LIMIT $2)";

const DELETE_OLD: &str = "
DELETE FROM webhook_deliveries
WHERE id IN (SELECT id FROM webhook_deliveries WHERE created_at < $1 LIMIT $2)";

// A delivery is never younger than its event, so no delivery is left without one.
const DELETE_OLD_EVENTS: &str = "
DELETE FROM webhook_events
WHERE id IN (
    SELECT e.id FROM webhook_events AS e
    WHERE e.created_at < $1 AND NOT EXISTS (SELECT 1 FROM webhook_deliveries AS d WHERE d.event_id = e.id)
    LIMIT $2
)";

// Steps of payments are in the tables and not in the ledger, and are not written again.
const DELETE_PENDING_OF_SALE: &str = "
DELETE FROM webhook_deliveries WHERE sale_id = $1 AND state = 'pending' AND event_id NOT LIKE 'payments/%'";

const COUNT_PENDING: &str = "
SELECT COUNT(*) FROM (SELECT 1 FROM webhook_deliveries WHERE state = 'pending' LIMIT $1) AS pending";

/// Adds events and their deliveries. What is there already stays as it is.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    writing: &mut StoreTransaction,
    events: &[EventRow],
    deliveries: &[NewDelivery],
) -> Result<(), StoreError> {
    INSERT_EVENTS
        .insert_rows(writing, events, |query, event| {
            query
                .bind(event.id.clone())
                .bind(event.kind.clone())
                .bind(event.sale.map(|sale| sale.to_string()))
                .bind(event.buyer.map(|buyer| buyer.to_string()))
                .bind(event.body.clone())
                .bind(event.created_at.0)
        })
        .await?;
    INSERT_DELIVERIES
        .insert_rows(writing, deliveries, |query, delivery| {
            query
                .bind(delivery.id.to_string())
                .bind(delivery.endpoint.to_string())
                .bind(delivery.event.clone())
                .bind(delivery.sale.map(|sale| sale.to_string()))
                .bind(DeliveryState::Pending.as_str())
                .bind(i64::from(delivery.is_urgent))
                .bind(0_i64)
                .bind(0_i64)
                .bind(0_i64)
                .bind(delivery.created_at.0)
                .bind(delivery.created_at.0)
        })
        .await
}

/// At most `limit` deliveries of an endpoint that are due, the longest waiting first.
///
/// # Errors
/// When the database fails.
pub async fn list_due(
    store: &Store,
    endpoint: Uuid,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<DueDelivery>, StoreError> {
    let query = sqlx::query(LIST_DUE).bind(endpoint.to_string()).bind(now.0).bind(to_limit(limit));
    query.fetch_all(store.reader()).await?.iter().map(read_due).collect()
}

/// At most `limit` deliveries of an endpoint that a merchant asked for.
///
/// # Errors
/// When the database fails.
pub async fn list_urgent(
    store: &Store,
    endpoint: Uuid,
    limit: usize,
) -> Result<Vec<DueDelivery>, StoreError> {
    let query = sqlx::query(LIST_URGENT).bind(endpoint.to_string()).bind(to_limit(limit));
    query.fetch_all(store.reader()).await?.iter().map(read_due).collect()
}

/// Records what came of a try, unless the delivery was changed since it was read.
///
/// # Errors
/// When the database fails.
pub async fn record_try(writing: &mut StoreTransaction, result: &TryResult) -> Result<(), StoreError> {
    let ended_at = (result.state != DeliveryState::Pending).then_some(result.tried_at.0);
    sqlx::query(RECORD_TRY)
        .bind(result.state.as_str())
        .bind(result.step)
        .bind(result.next_try_at.map(|at| at.0))
        .bind(result.tried_at.0)
        .bind(ended_at)
        .bind(result.status.map(i64::from))
        .bind(result.error.as_deref())
        .bind(result.reply.as_deref())
        .bind(result.delivery.to_string())
        .bind(result.version)
        .execute(writing.connection())
        .await?;
    Ok(())
}

/// Deliveries of an endpoint, the newest first, after this one if there is one.
///
/// # Errors
/// When the database fails.
pub async fn list(
    store: &Store,
    endpoint: Uuid,
    state: Option<DeliveryState>,
    after: Option<(Timestamp, Uuid)>,
    limit: u32,
) -> Result<Vec<DeliveryRow>, StoreError> {
    let (at, id) = after.map_or((i64::MAX, Uuid::nil()), |(at, id)| (at.0, id));
    let query = sqlx::query(if state.is_some() { LIST_OF_STATE } else { LIST })
        .bind(endpoint.to_string())
        .bind(at)
        .bind(id.to_string())
        .bind(i64::from(limit));
    let query = match state {
        Some(state) => query.bind(state.as_str()),
        None => query,
    };
    query.fetch_all(store.reader()).await?.iter().map(read).collect()
}

/// One delivery of an endpoint.
///
/// # Errors
/// When the database fails.
pub async fn find(store: &Store, endpoint: Uuid, id: Uuid) -> Result<Option<DeliveryRow>, StoreError> {
    let query = sqlx::query(FIND).bind(endpoint.to_string()).bind(id.to_string());
    query.fetch_optional(store.writer()).await?.map(|row| read(&row)).transpose()
}

/// Makes a delivery due now, with its whole schedule before it. False when there is no such delivery.
///
/// # Errors
/// When the database fails.
pub async fn resend(store: &Store, endpoint: Uuid, id: Uuid, now: Timestamp) -> Result<bool, StoreError> {
    let query = sqlx::query(RESEND).bind(now.0).bind(endpoint.to_string()).bind(id.to_string());
    Ok(query.fetch_optional(store.writer()).await?.is_some())
}

/// Makes at most `limit` deliveries of an endpoint due now that failed at `since` or later, and returns how many. They wait while their
/// endpoint is paused: they may be many.
///
/// # Errors
/// When the database fails.
pub async fn resend_failed(
    store: &Store,
    endpoint: Uuid,
    since: Timestamp,
    limit: u32,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let query = sqlx::query(RESEND_FAILED)
        .bind(now.0)
        .bind(endpoint.to_string())
        .bind(since.0)
        .bind(i64::from(limit));
    Ok(query.execute(store.writer()).await?.rows_affected())
}

/// Deletes at most `limit` deliveries of an endpoint, and returns how many.
///
/// # Errors
/// When the database fails.
pub async fn delete_of_endpoint(store: &Store, endpoint: Uuid, limit: u32) -> Result<u64, StoreError> {
    let query = sqlx::query(DELETE_OF_ENDPOINT).bind(endpoint.to_string()).bind(i64::from(limit));
    Ok(query.execute(store.writer()).await?.rows_affected())
}

/// Deletes at most `limit` deliveries, and as many events, that were made before a moment. Returns how many rows.
///
/// # Errors
/// When the database fails.
pub async fn delete_old(store: &Store, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let mut deleted = 0;
    for statement in [DELETE_OLD, DELETE_OLD_EVENTS] {
        let query = sqlx::query(statement).bind(before.0).bind(i64::from(limit));
        deleted += query.execute(store.writer()).await?.rows_affected();
    }
    Ok(deleted)
}

/// Deletes the deliveries of events in a sale's ledger that have not arrived, because the ledger was set back: the follower writes those of the
/// events that are in the ledger again.
///
/// # Errors
/// When the database fails.
pub async fn delete_pending_of_sale(writing: &mut StoreTransaction, sale: SaleId) -> Result<(), StoreError> {
    sqlx::query(DELETE_PENDING_OF_SALE).bind(sale.to_string()).execute(writing.connection()).await?;
    Ok(())
}

/// How many deliveries are pending, counted up to `limit`.
///
/// # Errors
/// When the database fails.
pub async fn count_pending(store: &Store, limit: u32) -> Result<u64, StoreError> {
    let count: i64 =
        sqlx::query_scalar(COUNT_PENDING).bind(i64::from(limit)).fetch_one(store.reader()).await?;
    Ok(count.unsigned_abs())
}

fn to_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn damaged(id: &str, reason: &'static str) -> StoreError {
    StoreError::Damaged { table: "webhook_deliveries", id: id.to_owned(), reason }
}

fn read_due(row: &AnyRow) -> Result<DueDelivery, StoreError> {
    let id: String = row.try_get("id")?;
    let buyer: Option<String> = row.try_get("buyer_id")?;
    let buyer = buyer.map(|buyer| buyer.parse().map_err(|_| damaged(&id, "its buyer is not a UUID")));
    Ok(DueDelivery {
        id: id.parse().map_err(|_| damaged(&id, "its id is not a UUID"))?,
        event: row.try_get("event_id")?,
        version: row.try_get("version")?,
        step: row.try_get("step")?,
        body: row.try_get("body")?,
        buyer: buyer.transpose()?,
    })
}

fn read(row: &AnyRow) -> Result<DeliveryRow, StoreError> {
    let id: String = row.try_get("id")?;
    let state: String = row.try_get("state")?;
    let moment = |column: &str| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp));
    Ok(DeliveryRow {
        id: id.parse().map_err(|_| damaged(&id, "its id is not a UUID"))?,
        event: row.try_get("event_id")?,
        kind: row.try_get("type")?,
        body: row.try_get("body")?,
        state: DeliveryState::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or_else(|| damaged(&id, "its state is unknown"))?,
        tries: row.try_get("tries")?,
        next_try_at: moment("next_try_at")?,
        created_at: Timestamp(row.try_get("created_at")?),
        tried_at: moment("tried_at")?,
        ended_at: moment("ended_at")?,
        last_status: row.try_get("last_status")?,
        last_error: row.try_get("last_error")?,
        last_reply: row.try_get("last_reply")?,
    })
}
