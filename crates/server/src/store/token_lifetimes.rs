//! The `token_lifetimes` table: the longest lifetime that access tokens were ever given.

use super::{Store, StoreError};

pub(super) const STATEMENTS: &[&str] = &[RECORD];

const RECORD: &str = "
INSERT INTO token_lifetimes (kind, longest_ms) VALUES ('access', $1)
ON CONFLICT (kind) DO UPDATE SET longest_ms =
    CASE WHEN token_lifetimes.longest_ms < excluded.longest_ms THEN excluded.longest_ms ELSE token_lifetimes.longest_ms END
RETURNING longest_ms";

/// Records a lifetime in milliseconds, and returns the longest so far.
///
/// # Errors
/// When the database fails.
pub async fn record_lifetime(store: &Store, ms: i64) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(RECORD).bind(ms).fetch_one(store.writer()).await?)
}
