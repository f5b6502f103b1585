//! The tables of the dialect `turnstile`: its jobs with their keys, units that were sold for a used key, and the settings that its SQL
//! views need. It never decides whether a purchase is made: that is the law, and `shop` asks it.

use super::bulk_insert::{BoundQuery, BulkInsert};
use super::changes::{self, ChangeCounter};
use super::{Store, StoreError, StoreTransaction};
use sale::{BuyerId, OrderId, SaleId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;
use std::sync::OnceLock;
use uuid::Uuid;

/// A purchase that was acknowledged, and the key that it used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Counts from 1 in the order of the commits.
    pub number: i64,
    pub id: Uuid,
    pub key: String,
    pub buyer: BuyerId,
    /// The buyer as the client named it.
    pub user: String,
    /// The product as the client named it.
    pub product: String,
    pub sale: SaleId,
    pub result: JobResult,
    /// How often the engine was asked.
    pub attempts: u32,
    /// Units that remained after the decision.
    pub remaining: u32,
    pub created_at: Timestamp,
}

/// What a job did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobResult {
    /// It sold a unit.
    Completed(OrderId),
    /// The law refused, with this code.
    Failed(String),
}

impl JobResult {
    /// The code of the refusal of a job that failed.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Failed(code) => Some(code),
            Self::Completed(_) => None,
        }
    }

    /// The order of a job that sold a unit.
    #[must_use]
    pub fn order(&self) -> Option<OrderId> {
        match self {
            Self::Completed(order) => Some(*order),
            Self::Failed(_) => None,
        }
    }

    fn refusal(&self) -> Option<&str> {
        match self {
            Self::Completed(_) => None,
            Self::Failed(code) => Some(code),
        }
    }

    /// The word for it in the table.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
        }
    }
}

/// A unit that was sold to a buyer whose key another job has used meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrayOrder {
    pub order: OrderId,
    pub sale: SaleId,
    pub created_at: Timestamp,
}

/// Keys a statement; a question for fewer repeats its last one.
const KEYS: usize = 64;

pub(super) const STATEMENTS: &[&str] = &[
    FIND,
    FIND_BY_KEY,
    LIST_AFTER,
    LIST_KEYS_AFTER,
    DELETE_OLD_FAILED,
    INSERT_STRAY,
    LIST_STRAY,
    DELETE_STRAY,
    DELETE_PRODUCTS,
    INSERT_PRODUCT,
    DELETE_SALE,
    INSERT_SALE,
];

pub(super) static INSERT: BulkInsert = BulkInsert::new(
    "INSERT INTO turnstile_jobs (
    number, id, idempotency_key, buyer_id, user_id, product_id, sale_id, order_id, status, refusal, attempts, remaining, created_at
)",
    13,
    "",
);

const FIND: &str = "
SELECT number, id, idempotency_key, buyer_id, user_id, product_id, sale_id, order_id, refusal, attempts, remaining, created_at
FROM turnstile_jobs
WHERE id = $1";

const FIND_BY_KEY: &str = "
SELECT number, id, idempotency_key, buyer_id, user_id, product_id, sale_id, order_id, refusal, attempts, remaining, created_at
FROM turnstile_jobs
WHERE idempotency_key = $1";

const LIST_AFTER: &str = "
SELECT number, id, idempotency_key, buyer_id, user_id, product_id, sale_id, order_id, refusal, attempts, remaining, created_at
FROM turnstile_jobs
WHERE number > $1
ORDER BY number
LIMIT $2";

const LIST_KEYS_AFTER: &str = "
SELECT number, idempotency_key
FROM turnstile_jobs
WHERE number > $1
ORDER BY number
LIMIT $2";

const DELETE_OLD_FAILED: &str = "
DELETE FROM turnstile_jobs
WHERE number IN (
    SELECT number FROM turnstile_jobs WHERE status = 'failed' AND created_at < $1 ORDER BY created_at LIMIT $2
)";

const INSERT_STRAY: &str = "
INSERT INTO turnstile_stray_orders (order_id, sale_id, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

const LIST_STRAY: &str = "
SELECT order_id, sale_id, created_at FROM turnstile_stray_orders ORDER BY created_at LIMIT $1";

const DELETE_STRAY: &str = "
DELETE FROM turnstile_stray_orders WHERE order_id = $1";

const DELETE_PRODUCTS: &str = "
DELETE FROM turnstile_product_ids";

const INSERT_PRODUCT: &str = "
INSERT INTO turnstile_product_ids (product_id, position) VALUES ($1, $2) ON CONFLICT DO NOTHING";

const DELETE_SALE: &str = "
DELETE FROM turnstile_sale";

const INSERT_SALE: &str = "
INSERT INTO turnstile_sale (name) VALUES ($1) ON CONFLICT DO NOTHING";

static FIND_BY_KEYS: OnceLock<String> = OnceLock::new();

pub(super) fn find_by_keys_statement() -> &'static str {
    FIND_BY_KEYS.get_or_init(|| {
        let keys: Vec<String> = (1..=KEYS).map(|n| format!("${n}")).collect();
        format!(
            "SELECT number, id, idempotency_key, buyer_id, user_id, product_id, sale_id, order_id, refusal, attempts, remaining, created_at
             FROM turnstile_jobs WHERE idempotency_key IN ({})",
            keys.join(", ")
        )
    })
}

/// The number of the last job that is committed.
///
/// # Errors
/// When the database fails.
pub async fn last_number(store: &Store) -> Result<i64, StoreError> {
    changes::current_count(store, ChangeCounter::TurnstileJobs).await
}

/// Waits until no other batch of jobs is being written, takes the next `added` numbers, and returns the last one that is taken. The next
/// batch waits until the transaction ends, so what [`find_by_keys_locked`] does not find is not there, and numbers are in the order of the
/// commits.
///
/// # Errors
/// When the database fails.
pub async fn lock_numbers(writing: &mut StoreTransaction, added: usize) -> Result<i64, StoreError> {
    let added = i64::try_from(added).unwrap_or(i64::MAX);
    changes::increment_by(writing, ChangeCounter::TurnstileJobs, added).await
}

/// The jobs that have used these keys, in no order.
///
/// # Errors
/// When the database fails.
pub async fn find_by_keys(store: &Store, keys: &[&str]) -> Result<Vec<JobRow>, StoreError> {
    let mut found = Vec::new();
    for keys in keys.chunks(KEYS) {
        found.extend(bind_keys(keys).fetch_all(store.reader()).await?);
    }
    found.iter().map(read).collect()
}

/// [`find_by_keys`] after [`lock_numbers`].
///
/// # Errors
/// When the database fails.
pub async fn find_by_keys_locked(
    writing: &mut StoreTransaction,
    keys: &[&str],
) -> Result<Vec<JobRow>, StoreError> {
    let mut found = Vec::new();
    for keys in keys.chunks(KEYS) {
        found.extend(bind_keys(keys).fetch_all(writing.connection()).await?);
    }
    found.iter().map(read).collect()
}

/// A query for at most [`KEYS`] keys.
fn bind_keys(keys: &[&str]) -> BoundQuery {
    let key = |n: usize| keys.get(n).or(keys.last()).map(|key| (*key).to_owned());
    (0..KEYS).fold(sqlx::query(find_by_keys_statement()), |query, n| query.bind(key(n)))
}

/// Adds jobs whose numbers [`lock_numbers`] has taken.
///
/// # Errors
/// When the database fails, or has a key already.
pub async fn insert(writing: &mut StoreTransaction, rows: &[JobRow]) -> Result<(), StoreError> {
    let bind = |query: BoundQuery, row: &JobRow| {
        query
            .bind(row.number)
            .bind(row.id.to_string())
            .bind(row.key.clone())
            .bind(row.buyer.to_string())
            .bind(row.user.clone())
            .bind(row.product.clone())
            .bind(row.sale.to_string())
            .bind(row.result.order().map(|order| order.to_string()))
            .bind(row.result.as_str())
            .bind(row.result.refusal().map(str::to_owned))
            .bind(i64::from(row.attempts))
            .bind(i64::from(row.remaining))
            .bind(row.created_at.0)
    };
    INSERT.insert_rows(writing, rows, bind).await
}

/// The job with this id.
///
/// # Errors
/// When the database fails.
pub async fn find(store: &Store, id: Uuid) -> Result<Option<JobRow>, StoreError> {
    let found = sqlx::query(FIND).bind(id.to_string()).fetch_optional(store.reader()).await?;
    found.map(|row| read(&row)).transpose()
}

/// The job that has used this key.
///
/// # Errors
/// When the database fails.
pub async fn find_by_key(store: &Store, key: &str) -> Result<Option<JobRow>, StoreError> {
    let found = sqlx::query(FIND_BY_KEY).bind(key).fetch_optional(store.reader()).await?;
    found.map(|row| read(&row)).transpose()
}

/// Up to `limit` jobs after a number, in order.
///
/// # Errors
/// When the database fails.
pub async fn list_after(store: &Store, number: i64, limit: u32) -> Result<Vec<JobRow>, StoreError> {
    let rows = sqlx::query(LIST_AFTER).bind(number).bind(i64::from(limit)).fetch_all(store.reader()).await?;
    rows.iter().map(read).collect()
}

/// Up to `limit` used keys after a number, in order, with their numbers.
///
/// # Errors
/// When the database fails.
pub async fn list_keys_after(
    store: &Store,
    number: i64,
    limit: u32,
) -> Result<Vec<(i64, String)>, StoreError> {
    let query = sqlx::query(LIST_KEYS_AFTER).bind(number).bind(i64::from(limit));
    let rows = query.fetch_all(store.reader()).await?;
    rows.iter().map(|row| Ok((row.try_get("number")?, row.try_get("idempotency_key")?))).collect()
}

/// Deletes at most `limit` failed jobs that were made before `before`, and frees their keys. Returns how many.
///
/// # Errors
/// When the database fails.
pub async fn delete_old_failed(store: &Store, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let query = sqlx::query(DELETE_OLD_FAILED).bind(before.0).bind(i64::from(limit));
    Ok(query.execute(store.writer()).await?.rows_affected())
}

/// Notes a unit that is to be given back.
///
/// # Errors
/// When the database fails.
pub async fn insert_stray(writing: &mut StoreTransaction, stray: StrayOrder) -> Result<(), StoreError> {
    let query = sqlx::query(INSERT_STRAY)
        .bind(stray.order.to_string())
        .bind(stray.sale.to_string())
        .bind(stray.created_at.0);
    query.execute(writing.connection()).await?;
    Ok(())
}

/// Up to `limit` units that are to be given back, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list_stray(store: &Store, limit: u32) -> Result<Vec<StrayOrder>, StoreError> {
    let rows = sqlx::query(LIST_STRAY).bind(i64::from(limit)).fetch_all(store.reader()).await?;
    let read_stray = |row: &AnyRow| {
        let id: String = row.try_get("order_id")?;
        let damaged =
            |reason| StoreError::Damaged { table: "turnstile_stray_orders", id: id.clone(), reason };
        Ok(StrayOrder {
            order: id.parse().map_err(|_| damaged("its order is not a UUID"))?,
            sale: row
                .try_get::<String, _>("sale_id")?
                .parse()
                .map_err(|_| damaged("its sale is not a UUID"))?,
            created_at: Timestamp(row.try_get("created_at")?),
        })
    };
    rows.iter().map(read_stray).collect()
}

/// Notes that a unit was given back.
///
/// # Errors
/// When the database fails.
pub async fn delete_stray(store: &Store, order: OrderId) -> Result<(), StoreError> {
    sqlx::query(DELETE_STRAY).bind(order.to_string()).execute(store.writer()).await?;
    Ok(())
}

/// Replaces the settings that the SQL views read: the accepted product ids in their order, and the named sale.
///
/// # Errors
/// When the database fails.
pub async fn write_settings(
    store: &Store,
    products: &[String],
    sale: Option<&str>,
) -> Result<(), StoreError> {
    let mut writing = store.begin().await?;
    sqlx::query(DELETE_PRODUCTS).execute(writing.connection()).await?;
    for (position, product) in (1_i64..).zip(products) {
        sqlx::query(INSERT_PRODUCT)
            .bind(product.as_str())
            .bind(position)
            .execute(writing.connection())
            .await?;
    }
    sqlx::query(DELETE_SALE).execute(writing.connection()).await?;
    if let Some(sale) = sale {
        sqlx::query(INSERT_SALE).bind(sale).execute(writing.connection()).await?;
    }
    writing.commit().await
}

fn read(row: &AnyRow) -> Result<JobRow, StoreError> {
    let id: String = row.try_get("id")?;
    let damaged = |reason| StoreError::Damaged { table: "turnstile_jobs", id: id.clone(), reason };
    let text = |column: &str| row.try_get::<String, _>(column);
    let number =
        |column: &str, reason| u32::try_from(row.try_get::<i64, _>(column)?).map_err(|_| damaged(reason));
    let order: Option<String> = row.try_get("order_id")?;
    let result = match (order, row.try_get::<Option<String>, _>("refusal")?) {
        (Some(order), _) => {
            JobResult::Completed(order.parse().map_err(|_| damaged("its order is not a UUID"))?)
        }
        (None, Some(code)) => JobResult::Failed(code),
        (None, None) => return Err(damaged("it has neither an order nor a refusal")),
    };
    Ok(JobRow {
        number: row.try_get("number")?,
        id: id.parse().map_err(|_| damaged("its id is not a UUID"))?,
        key: text("idempotency_key")?,
        buyer: text("buyer_id")?.parse().map_err(|_| damaged("its buyer is not a UUID"))?,
        user: text("user_id")?,
        product: text("product_id")?,
        sale: text("sale_id")?.parse().map_err(|_| damaged("its sale is not a UUID"))?,
        result,
        attempts: number("attempts", "its attempts are out of range")?,
        remaining: number("remaining", "its remaining units are out of range")?,
        created_at: Timestamp(row.try_get("created_at")?),
    })
}
