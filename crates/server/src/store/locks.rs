//! Turns among processes that share a PostgreSQL: its advisory locks, which go with the connection that holds them, however it
//! ends. They are named after a table, so that two shops in schemas of their own do not wait for each other. A file of SQLite's
//! belongs to one process, which has its turn always.
//!
//! A turn spares work and lost updates; no promise of a sale rests on it.

use super::pools::StoreBackend;
use super::{Store, StoreError, StoreTransaction};

/// Ours among the locks of a database; a table's number is added.
macro_rules! lock_of {
    ($function:literal, $table:literal) => {
        concat!("SELECT ", $function, "(7016996765293437281 # '", $table, "'::regclass::oid::bigint)")
    };
}

/// Waits as long as a statement may take.
const LOCK_CATALOGUE: &str = concat!(lock_of!("pg_advisory_xact_lock", "sales"), "::text");

/// The engine is asked meanwhile, so nothing is said for longer than callers usually leave a transaction alone.
const LONG_IDLE_TIMEOUT: &str = "SELECT set_config('idle_in_transaction_session_timeout', '15s', true)";

const TRY_LOCK_FOLLOWERS: &str = lock_of!("pg_try_advisory_lock", "followers");

/// What [`Store::editing`] gives; over when it is dropped.
#[derive(Debug)]
pub struct AdvisoryLock(
    #[expect(dead_code, reason = "what it does is to be there")] Option<StoreTransaction>,
);

impl Store {
    /// Waits until no other process edits the catalogue, at most as long as a statement may take.
    ///
    /// # Errors
    /// When the database does not answer, or somebody edits for too long.
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

    /// Tries to be the one who writes what follows the ledger. Only for [`Store::follower`], which has one connection: it is that
    /// one's turn until it is closed.
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
        let turn = one.lock_catalogue().await.unwrap();
        assert!(other.lock_catalogue().await.is_err(), "it does not wait for ever");
        drop(turn);
        let _turn = other.lock_catalogue().await.unwrap();
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
    async fn another_database_is_another_matter() {
        let ((one, _), (other, _)) = (two().await, two().await);
        let _turn = one.lock_catalogue().await.unwrap();
        let _other = other.lock_catalogue().await.unwrap();
        let (one, other) = (one.open_follower().await.unwrap(), other.open_follower().await.unwrap());
        assert!(one.try_lock_followers().await.unwrap() && other.try_lock_followers().await.unwrap());
    }

    #[tokio::test]
    async fn a_file_has_one_process_whose_turn_it_is_always() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let _turn = store.lock_catalogue().await.unwrap();
        let _again = store.lock_catalogue().await.unwrap();
        let follower = store.open_follower().await.unwrap();
        assert!(follower.try_lock_followers().await.unwrap() && follower.try_lock_followers().await.unwrap());
    }
}
