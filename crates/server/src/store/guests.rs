//! The `guests` table: buyers without an account, and the text by which each is known.

use super::bulk_insert::BulkInsert;
use super::{Store, StoreError, StoreTransaction};
use sale::{BuyerId, Timestamp};
use sqlx::Row;

/// A buyer without an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestRow {
    pub buyer: BuyerId,
    /// Where the guest comes from.
    pub origin: &'static str,
    /// The text by which the guest is known.
    pub name: String,
    pub created_at: Timestamp,
}

pub(super) const STATEMENTS: &[&str] = &[FIND, FIND_BY_NAME, FIND_BY_ORIGIN, IS_OF_ORIGIN, SET_LANGUAGE];

pub(super) static INSERT: BulkInsert = BulkInsert::new(
    "INSERT INTO guests (buyer_id, origin, name, created_at)",
    4,
    "ON CONFLICT (buyer_id) DO NOTHING",
);

const FIND: &str = "
SELECT name, created_at FROM guests WHERE buyer_id = $1";

/// A guest as the table knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGuest {
    /// The text by which the guest is known.
    pub name: String,
    pub created_at: Timestamp,
}

const FIND_BY_NAME: &str = "
SELECT buyer_id FROM guests WHERE name IN ($1, $2) ORDER BY created_at, buyer_id LIMIT $3";

const FIND_BY_ORIGIN: &str = "
SELECT buyer_id, created_at FROM guests WHERE name = $1 AND origin = $2 ORDER BY created_at, buyer_id LIMIT 1";

const IS_OF_ORIGIN: &str = "
SELECT COUNT(*) FROM guests WHERE buyer_id = $1 AND origin = $2";

const SET_LANGUAGE: &str = "
UPDATE guests SET language = $1 WHERE name = $2 AND origin = $3";

/// Sets the language of the guests of an origin who are known by this text.
///
/// # Errors
/// When the database fails.
pub async fn set_language(
    writing: &mut StoreTransaction,
    (name, origin): (&str, &str),
    language: &str,
) -> Result<(), StoreError> {
    let query = sqlx::query(SET_LANGUAGE).bind(language).bind(name).bind(origin);
    query.execute(writing.connection()).await?;
    Ok(())
}

/// Whether a buyer is a guest of this origin.
///
/// # Errors
/// When the database fails.
pub async fn is_of_origin(store: &Store, buyer: BuyerId, origin: &str) -> Result<bool, StoreError> {
    let query = sqlx::query_scalar(IS_OF_ORIGIN).bind(buyer.to_string()).bind(origin);
    let count: i64 = query.fetch_one(store.reader()).await?;
    Ok(count > 0)
}

/// The first guest of an origin who is known by this text, and since when.
///
/// # Errors
/// When the database fails.
pub async fn find_by_origin(
    store: &Store,
    name: &str,
    origin: &str,
) -> Result<Option<(BuyerId, Timestamp)>, StoreError> {
    let query = sqlx::query(FIND_BY_ORIGIN).bind(name).bind(origin);
    let Some(row) = query.fetch_optional(store.writer()).await? else { return Ok(None) };
    let id: String = row.try_get("buyer_id")?;
    let created_at = Timestamp(row.try_get("created_at")?);
    match id.parse() {
        Ok(buyer) => Ok(Some((buyer, created_at))),
        Err(_) => Err(StoreError::Damaged { table: "guests", id, reason: "its id is not a UUID" }),
    }
}

/// Adds guests; one that is there already stays as it is. No two rows may be of one buyer.
///
/// # Errors
/// When the database fails.
pub async fn insert(writing: &mut StoreTransaction, rows: &[GuestRow]) -> Result<(), StoreError> {
    INSERT
        .insert_rows(writing, rows, |query, row| {
            query.bind(row.buyer.to_string()).bind(row.origin).bind(row.name.clone()).bind(row.created_at.0)
        })
        .await
}

/// A guest; `None` when the buyer is none.
///
/// # Errors
/// When the database fails.
pub async fn find(store: &Store, buyer: BuyerId) -> Result<Option<StoredGuest>, StoreError> {
    let row = sqlx::query(FIND).bind(buyer.to_string()).fetch_optional(store.reader()).await?;
    let read = |row: sqlx::any::AnyRow| {
        Ok(StoredGuest { name: row.try_get("name")?, created_at: Timestamp(row.try_get("created_at")?) })
    };
    row.map(read).transpose()
}

/// Up to `limit` guests who are known by one of two texts, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn find_by_name(store: &Store, names: [&str; 2], limit: u32) -> Result<Vec<BuyerId>, StoreError> {
    let query = names.into_iter().fold(sqlx::query_scalar(FIND_BY_NAME), |query, name| query.bind(name));
    let ids: Vec<String> = query.bind(i64::from(limit)).fetch_all(store.reader()).await?;
    let parse = |id: String| match id.parse() {
        Ok(buyer) => Ok(buyer),
        Err(_) => Err(StoreError::Damaged { table: "guests", id, reason: "its id is not a UUID" }),
    };
    ids.into_iter().map(parse).collect()
}
