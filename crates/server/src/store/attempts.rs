//! The `attempts` table: every request to buy, accepted or refused. In a flood one row counts many refusals.

use super::bulk_insert::BulkInsert;
use super::{Store, StoreError, StoreTransaction};
use sale::{BuyerId, SaleId, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use std::borrow::Cow;
use std::sync::LazyLock;
use uuid::Uuid;

/// The code of an attempt that was not refused.
pub const ACCEPTED: &str = "accepted";

/// One request to buy, or the count of alike ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// Its id: a UUIDv7 of its moment, so that the table grows at its end.
    pub id: Uuid,
    pub sale: SaleId,
    /// `None` for a count.
    pub buyer: Option<BuyerId>,
    /// What was tried: `join` or `order`.
    pub action: Cow<'static, str>,
    /// [`ACCEPTED`], or the refusal's code.
    pub code: Cow<'static, str>,
    /// How many; more than 1 only for a count, which may also be 1.
    pub count: u64,
    /// When; for a count the beginning of the second.
    pub at: Timestamp,
}

pub(super) static INSERT: BulkInsert = BulkInsert::new(
    "INSERT INTO attempts (id, sale_id, buyer_id, action, code, count, at)",
    7,
    "ON CONFLICT (id) DO NOTHING",
);

pub(super) const STATEMENTS: &[&str] = &[DROP_ACCEPTED, COUNT_AGGREGATED];

pub(super) const DROP_ACCEPTED: &str = "
DELETE FROM attempts WHERE sale_id = $1 AND code = 'accepted'";

const COUNT_AGGREGATED: &str = "
SELECT CAST(COALESCE(SUM(count), 0) AS BIGINT)
FROM attempts
WHERE sale_id = $1 AND code <> 'accepted' AND buyer_id IS NULL";

/// Which attempts of a sale. Filters that are `None` let everything pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttemptFilter<'a> {
    pub action: Option<&'a str>,
    pub code: Option<&'a str>,
    /// Behind this attempt in the listing.
    pub after: Option<Uuid>,
}

/// A text for each combination of the filters. The condition on `accepted` is what the partial indexes have.
pub(super) static LISTS: LazyLock<[String; 6]> = LazyLock::new(|| std::array::from_fn(list_text));

const OF_ACTION: usize = 1;
const ACCEPTED_ONLY: usize = 2;
const OF_REFUSAL: usize = 4;

fn list_text(filters: usize) -> String {
    let code = match filters & !OF_ACTION {
        OF_REFUSAL => " AND code = $4 AND code <> 'accepted'",
        ACCEPTED_ONLY => " AND code = 'accepted'",
        _ => "",
    };
    let action = match filters {
        filters if filters & OF_ACTION == 0 => "",
        filters if filters & OF_REFUSAL == 0 => " AND action = $4",
        _ => " AND action = $5",
    };
    format!(
        "SELECT id, sale_id, buyer_id, action, code, count, at FROM attempts \
         WHERE sale_id = $1 AND id < $2{code}{action} ORDER BY id DESC LIMIT $3"
    )
}

/// Behind every UUIDv7: where a listing starts.
const BEHIND_ALL: Uuid = Uuid::max();

/// Adds attempts; one whose id is there already is left alone.
///
/// # Errors
/// When the database fails.
pub async fn insert(writing: &mut StoreTransaction, rows: &[AttemptRow]) -> Result<(), StoreError> {
    let write = INSERT.insert_rows(writing, rows, |bound, row| {
        bound
            .bind(row.id.to_string())
            .bind(row.sale.to_string())
            .bind(row.buyer.map(|buyer| buyer.to_string()))
            .bind(&*row.action)
            .bind(&*row.code)
            .bind(row.count.cast_signed())
            .bind(row.at.0)
    });
    write.await
}

/// Up to `limit` attempts of a sale, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(
    store: &Store,
    sale: SaleId,
    filter: AttemptFilter<'_>,
    limit: u32,
) -> Result<Vec<AttemptRow>, StoreError> {
    let AttemptFilter { action, code, after } = filter;
    let of_code = match code {
        None => 0,
        Some(ACCEPTED) => ACCEPTED_ONLY,
        Some(_) => OF_REFUSAL,
    };
    let text = &LISTS[of_code + if action.is_some() { OF_ACTION } else { 0 }];
    let after = after.unwrap_or(BEHIND_ALL).to_string();
    let mut query = sqlx::query(AssertSqlSafe(text.as_str()));
    query = query.bind(sale.to_string()).bind(after).bind(i64::from(limit));
    for word in [code.filter(|_| of_code == OF_REFUSAL), action].into_iter().flatten() {
        query = query.bind(word.to_owned());
    }
    query.fetch_all(store.reader()).await?.iter().map(read).collect()
}

/// How many refusals of a sale were only counted, not kept singly.
///
/// # Errors
/// When the database fails.
pub async fn count_aggregated(store: &Store, sale: SaleId) -> Result<u64, StoreError> {
    let count: i64 =
        sqlx::query_scalar(COUNT_AGGREGATED).bind(sale.to_string()).fetch_one(store.reader()).await?;
    Ok(count.unsigned_abs())
}

fn read(row: &AnyRow) -> Result<AttemptRow, StoreError> {
    let id: String = row.try_get("id")?;
    let damaged = |reason| StoreError::Damaged { table: "attempts", id: id.clone(), reason };
    let buyer: Option<String> = row.try_get("buyer_id")?;
    let buyer =
        buyer.map(|buyer| buyer.parse()).transpose().map_err(|_| damaged("its buyer is not a UUID"))?;
    let sale: String = row.try_get("sale_id")?;
    Ok(AttemptRow {
        id: id.parse().map_err(|_| damaged("its id is not a UUID"))?,
        sale: sale.parse().map_err(|_| damaged("its sale is not a UUID"))?,
        buyer,
        action: row.try_get::<String, _>("action")?.into(),
        code: row.try_get::<String, _>("code")?.into(),
        count: row.try_get::<i64, _>("count")?.unsigned_abs(),
        at: Timestamp(row.try_get("at")?),
    })
}
