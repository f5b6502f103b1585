//! The `mail_switches` table: the kinds of mails that the merchant has switched. It never says what a kind is.

use super::{Store, StoreError, StoreTransaction};
use sale::Timestamp;

pub(super) const STATEMENTS: &[&str] = &[LIST_OFF, SET];

const LIST_OFF: &str = "
SELECT kind FROM mail_switches WHERE is_on = 0 ORDER BY kind";

const SET: &str = "
INSERT INTO mail_switches (kind, is_on, updated_at) VALUES ($1, $2, $3)
ON CONFLICT (kind) DO UPDATE SET is_on = excluded.is_on, updated_at = excluded.updated_at";

/// The kinds that are off.
///
/// # Errors
/// When the database fails.
pub async fn list_off(store: &Store) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar(LIST_OFF).fetch_all(store.reader()).await?)
}

/// Switches a kind.
///
/// # Errors
/// When the database fails.
pub async fn set(
    writing: &mut StoreTransaction,
    kind: &str,
    is_on: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(SET).bind(kind).bind(i64::from(is_on)).bind(now.0).execute(writing.connection()).await?;
    Ok(())
}
