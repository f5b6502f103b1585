//! The table of purchases of the dialect `turnstile` that are under way or got no answer. It never says whether a unit was sold: the
//! engine knows the order of a row, or does not know it.

use super::bulk_insert::{BoundQuery, BulkInsert};
use super::{Store, StoreError, StoreTransaction};
use sale::{BuyerId, OrderId, SaleId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;
use std::sync::OnceLock;
use uuid::Uuid;

/// A purchase whose outcome may not be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingJobRow {
    /// The id of the job that it becomes.
    pub id: Uuid,
    pub key: String,
    pub buyer: BuyerId,
    /// The buyer as the client named it.
    pub user: String,
    /// The product as the client named it.
    pub product: String,
    pub sale: SaleId,
    /// The order that the engine makes, if it sells the unit.
    pub order: OrderId,
    pub created_at: Timestamp,
}

/// Texts a statement; a question for fewer repeats its last one.
const TEXTS: usize = 64;

pub(super) const STATEMENTS: &[&str] = &[FIND_LEASE_END, LEASE];

pub(super) static INSERT: BulkInsert = BulkInsert::new(
    "INSERT INTO turnstile_pending_jobs (
    id, idempotency_key, buyer_id, user_id, product_id, sale_id, order_id, created_at, leased_until
)",
    9,
    "ON CONFLICT (id) DO NOTHING",
);

const FIND_LEASE_END: &str = "
SELECT MIN(leased_until) FROM turnstile_pending_jobs";

const LEASE: &str = "
UPDATE turnstile_pending_jobs SET leased_until = $1
WHERE leased_until < $2 AND id IN (
    SELECT id FROM turnstile_pending_jobs WHERE leased_until < $2 ORDER BY leased_until LIMIT $3
)
RETURNING id, idempotency_key, buyer_id, user_id, product_id, sale_id, order_id, created_at";

static FIND_BY_KEYS: OnceLock<String> = OnceLock::new();
static DELETE: OnceLock<String> = OnceLock::new();

/// The statements for many texts, for the test that prepares them.
pub(super) fn many_text_statements() -> [&'static str; 2] {
    [find_by_keys_statement(), delete_statement()]
}

fn find_by_keys_statement() -> &'static str {
    FIND_BY_KEYS.get_or_init(|| {
        let keys = list_parameters();
        format!(
            "SELECT id, idempotency_key, buyer_id, user_id, product_id, sale_id, order_id, created_at
             FROM turnstile_pending_jobs WHERE idempotency_key IN ({keys})"
        )
    })
}

fn delete_statement() -> &'static str {
    DELETE.get_or_init(|| format!("DELETE FROM turnstile_pending_jobs WHERE id IN ({})", list_parameters()))
}

fn list_parameters() -> String {
    (1..=TEXTS).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

/// A query for at most [`TEXTS`] texts.
fn bind_texts(statement: &'static str, texts: &[&str]) -> BoundQuery {
    let text = |n: usize| texts.get(n).or(texts.last()).map(|text| (*text).to_owned());
    (0..TEXTS).fold(sqlx::query(statement), |query, n| query.bind(text(n)))
}

/// Adds rows; one that is there stays as it is. Other instances leave them alone until `leased_until`.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    writing: &mut StoreTransaction,
    rows: &[PendingJobRow],
    leased_until: Timestamp,
) -> Result<(), StoreError> {
    let bind = |query: BoundQuery, row: &PendingJobRow| {
        query
            .bind(row.id.to_string())
            .bind(row.key.clone())
            .bind(row.buyer.to_string())
            .bind(row.user.clone())
            .bind(row.product.clone())
            .bind(row.sale.to_string())
            .bind(row.order.to_string())
            .bind(row.created_at.0)
            .bind(leased_until.0)
    };
    INSERT.insert_rows(writing, rows, bind).await
}

/// Deletes rows by their ids; those that are gone are left out.
///
/// # Errors
/// When the database fails.
pub async fn delete(writing: &mut StoreTransaction, ids: &[Uuid]) -> Result<(), StoreError> {
    let texts: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for texts in texts.chunks(TEXTS) {
        bind_texts(delete_statement(), texts).execute(writing.connection()).await?;
    }
    Ok(())
}

/// The rows with these keys, in no order.
///
/// # Errors
/// When the database fails.
pub async fn find_by_keys(store: &Store, keys: &[&str]) -> Result<Vec<PendingJobRow>, StoreError> {
    let mut found = Vec::new();
    for keys in keys.chunks(TEXTS) {
        found.extend(bind_texts(find_by_keys_statement(), keys).fetch_all(store.reader()).await?);
    }
    found.iter().map(read).collect()
}

/// Leases up to `limit` rows that no instance works on, and returns them. Of two instances that ask at once, each row goes to one.
///
/// # Errors
/// When the database fails.
pub async fn lease(
    store: &Store,
    now: Timestamp,
    leased_until: Timestamp,
    limit: u32,
) -> Result<Vec<PendingJobRow>, StoreError> {
    // Mostly there is none, and to read that takes no lock.
    let first: Option<i64> = sqlx::query_scalar(FIND_LEASE_END).fetch_one(store.reader()).await?;
    if first.is_none_or(|first| first >= now.0) {
        return Ok(Vec::new());
    }
    let query = sqlx::query(LEASE).bind(leased_until.0).bind(now.0).bind(i64::from(limit));
    let rows = query.fetch_all(store.writer()).await?;
    rows.iter().map(read).collect()
}

fn read(row: &AnyRow) -> Result<PendingJobRow, StoreError> {
    let id: String = row.try_get("id")?;
    let damaged = |reason| StoreError::Damaged { table: "turnstile_pending_jobs", id: id.clone(), reason };
    let text = |column: &str| row.try_get::<String, _>(column);
    Ok(PendingJobRow {
        id: id.parse().map_err(|_| damaged("its id is not a UUID"))?,
        key: text("idempotency_key")?,
        buyer: text("buyer_id")?.parse().map_err(|_| damaged("its buyer is not a UUID"))?,
        user: text("user_id")?,
        product: text("product_id")?,
        sale: text("sale_id")?.parse().map_err(|_| damaged("its sale is not a UUID"))?,
        order: text("order_id")?.parse().map_err(|_| damaged("its order is not a UUID"))?,
        created_at: Timestamp(row.try_get("created_at")?),
    })
}
