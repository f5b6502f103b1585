//! Advisory locks of PostgreSQL, between processes that share a database. A lock ends with the connection that holds it. Locks are named
//! after a table, so that two shops in different schemas do not wait for each other. A SQLite file belongs to one process, which gets
//! every lock.
//!
//! A lock prevents repeated work and lost updates; no promise of a sale depends on it.

use super::pools::StoreBackend;
use super::{Store, StoreError, StoreTransaction};

/// A random number for this program's locks, mixed with the table's oid.
macro_rules! lock_of {
    ($function:literal, $table:literal) => {
        concat!("SELECT ", $function, "(7016996765293437281 # '", $table, "'::regclass::oid::bigint)")
    };
}

/// Waits as long as a statement may take.
const LOCK_CATALOGUE: &str = concat!(lock_of!("pg_advisory_xact_lock", "sales"), "::text");

/// The transaction idles while the engine decides, for longer than the usual limit.
const LONG_IDLE_TIMEOUT: &str = "SELECT set_config('idle_in_transaction_session_timeout', '15s', true)";

const TRY_LOCK_FOLLOWERS: &str = lock_of!("pg_try_advisory_lock", "followers");

/// Held until it is dropped.
#[derive(Debug)]
pub struct AdvisoryLock(
    #[expect(dead_code, reason = "it holds the lock until it is dropped")] Option<StoreTransaction>,
);

impl Store {
    /// Waits until no other process edits the catalogue, at most as long as a statement may take.
    ///
    /// # Errors
    /// When the database does not answer, or another process edits for too long.
    pub async fn lock_catalogue(&self) -> Result<AdvisoryLock, StoreError> {
        if self.backend == StoreBackend::Sqlite {
            return Ok(AdvisoryLock(None));
        }
        let mut writing = self.begin().await?;
        for statement in [LONG_IDLE_TIMEOUT, LOCK_CATALOGUE] {
            sqlx::query(statement).execute(writing.connection()).await?;
        }
        Ok(AdvisoryLock(Some(writing)))
    }

    /// Tries to get the lock of the shared followers. Only for [`Store::open_follower`], which has one connection and holds the lock until
    /// it is closed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn try_lock_followers(&self) -> Result<bool, StoreError> {
        if self.backend == StoreBackend::Sqlite {
            return Ok(true);
        }
        Ok(sqlx::query_scalar(TRY_LOCK_FOLLOWERS).fetch_one(self.writer()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_servers::postgres::PostgresServer;
    use test_servers::wait::{HANG_LIMIT, eventually};

    async fn two() -> (Store, Store) {
        let url = PostgresServer::shared().create_database();
        let one = Store::connect(&url).await.unwrap();
        one.migrate().await.unwrap();
        (one, Store::connect(&url).await.unwrap())
    }

    #[tokio::test]
    async fn one_process_edits_at_a_time() {
        let (one, other) = two().await;
        let lock = one.lock_catalogue().await.unwrap();
        assert!(other.lock_catalogue().await.is_err(), "it does not wait for ever");
        drop(lock);
        let _lock = other.lock_catalogue().await.unwrap();
    }

    #[tokio::test]
    async fn one_process_follows_until_its_connection_ends() {
        let (one, other) = two().await;
        let first = one.open_follower().await.unwrap();
        assert!(first.try_lock_followers().await.unwrap());
        let second = other.open_follower().await.unwrap();
        assert!(!second.try_lock_followers().await.unwrap());
        first.close().await;
        eventually("the lock is released", HANG_LIMIT, async || second.try_lock_followers().await.unwrap())
            .await;
        assert!(!one.open_follower().await.unwrap().try_lock_followers().await.unwrap());
    }

    #[tokio::test]
    async fn databases_have_locks_of_their_own() {
        let ((one, _), (other, _)) = (two().await, two().await);
        let _lock = one.lock_catalogue().await.unwrap();
        let _other = other.lock_catalogue().await.unwrap();
        let (one, other) = (one.open_follower().await.unwrap(), other.open_follower().await.unwrap());
        assert!(one.try_lock_followers().await.unwrap() && other.try_lock_followers().await.unwrap());
    }

    #[tokio::test]
    async fn a_file_gives_its_one_process_every_lock() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let _lock = store.lock_catalogue().await.unwrap();
        let _again = store.lock_catalogue().await.unwrap();
        let follower = store.open_follower().await.unwrap();
        assert!(follower.try_lock_followers().await.unwrap() && follower.try_lock_followers().await.unwrap());
    }
}
