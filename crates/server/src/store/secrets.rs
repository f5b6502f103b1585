//! The `secrets` table: secrets that all processes on these tables share. A copy of the database contains them. Nothing here is ever
//! logged.

use super::{Store, StoreError};
use sale::Timestamp;

pub(super) const STATEMENTS: &[&str] = &[INSERT_IF_ABSENT, FIND];

const INSERT_IF_ABSENT: &str = "
INSERT INTO secrets (name, value, created_at) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING";

const FIND: &str = "
SELECT value FROM secrets WHERE name = $1";

/// Keeps a secret, unless there is one of this name.
///
/// # Errors
/// When the database fails.
pub async fn insert_if_absent(
    store: &Store,
    name: &str,
    value: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(INSERT_IF_ABSENT).bind(name).bind(value).bind(now.0).execute(store.writer()).await?;
    Ok(())
}

/// The secret of this name.
///
/// # Errors
/// When the database fails.
pub async fn find(store: &Store, name: &str) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar(FIND).bind(name).fetch_optional(store.writer()).await?)
}
