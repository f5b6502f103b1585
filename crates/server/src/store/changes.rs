//! The `changes` table: one counter for each kind of data of which every process keeps a copy in memory. Each change increments it in its
//! transaction, and processes poll it to see whether their copy is old. It never says what has changed.

use super::{Store, StoreError, StoreTransaction};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeCounter {
    /// Listings: sales that are announced, edited or deleted, and products that they sell.
    Catalogue,
    /// Sessions that are ended.
    Sessions,
    /// Admins. The counter serialises processes that would make the first one or take the role away from the last.
    Admins,
    /// Jobs of the dialect `turnstile`. The counter is the number of the last one.
    TurnstileJobs,
}

impl ChangeCounter {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Sessions => "sessions",
            Self::Admins => "admins",
            Self::TurnstileJobs => "turnstile_jobs",
        }
    }
}

pub(super) const STATEMENTS: &[&str] = &[COUNT_UP, COUNT_UP_BY, FIND];

const COUNT_UP: &str = "
UPDATE changes SET count = count + 1 WHERE name = $1 RETURNING count";

const COUNT_UP_BY: &str = "
UPDATE changes SET count = count + $2 WHERE name = $1 RETURNING count";

const FIND: &str = "
SELECT count FROM changes WHERE name = $1";

/// Increments a counter and returns it. The next increment waits until the transaction ends, so the numbers are in the order of the
/// commits.
///
/// # Errors
/// When the database fails.
pub async fn increment(writing: &mut StoreTransaction, what: ChangeCounter) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(COUNT_UP).bind(what.as_str()).fetch_one(writing.connection()).await?)
}

/// Adds to a counter and returns it. The next increment waits until the transaction ends, also when nothing is added.
///
/// # Errors
/// When the database fails.
pub(super) async fn increment_by(
    writing: &mut StoreTransaction,
    what: ChangeCounter,
    added: i64,
) -> Result<i64, StoreError> {
    let query = sqlx::query_scalar(COUNT_UP_BY).bind(what.as_str()).bind(added);
    Ok(query.fetch_one(writing.connection()).await?)
}

/// The number of the last change that is committed. What is read after it holds that change.
///
/// # Errors
/// When the database fails.
pub async fn current_count(store: &Store, what: ChangeCounter) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(FIND).bind(what.as_str()).fetch_one(store.reader()).await?)
}
