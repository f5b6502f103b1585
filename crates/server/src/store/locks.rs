//! Advisory locks of PostgreSQL, for processes that share the tables. A lock ends with the connection that holds it, however that
//! ends. Lock keys contain the number of a table, so that two shops in schemas of their own do not wait for each other. A SQLite
//! file belongs to one process, which holds every lock.
//!
//! A lock saves work and prevents lost updates, and the common limit of an address's guests depends on it. No unit is sold twice without it.

use super::pools::StoreBackend;
use super::{Store, StoreError, StoreTransaction};
use sha2::{Digest, Sha256};

/// Waits as long as a statement may take. The number keeps Doorbuster's locks apart from others in the database.
const LOCK_CATALOGUE: &str =
    "SELECT pg_advisory_xact_lock(7016996765293437281 # 'sales'::regclass::oid::bigint)::text";

const LOCK_ADDRESS: &str = "SELECT pg_advisory_xact_lock($1 # 'guests'::regclass::oid::bigint)::text";

const TRY_LOCK_FOLLOWER: &str = "SELECT pg_try_advisory_lock($1 # 'followers'::regclass::oid::bigint)";
/// The same number, for the keys of followers.
const LOCK_SPACE: i64 = 7_016_996_765_293_437_281;

/// The holder waits for the engine while it does nothing here: longer than callers usually leave a transaction idle.
const LONG_IDLE_TIMEOUT: &str = "SELECT set_config('idle_in_transaction_session_timeout', '15s', true)";

/// The follower whose lock has no name in its key: it was the only one in earlier versions, and processes of both versions share
/// its lock while they are replaced one by one.
const FIRST_FOLLOWER: &str = "projector";

/// What [`Store::lock_catalogue`] and [`Store::lock_address`] return; released when it is dropped.
#[derive(Debug)]
pub struct AdvisoryLock(Option<StoreTransaction>);

impl AdvisoryLock {
    /// The transaction that holds the lock, for what is written under it; `None` in a SQLite file.
    pub fn transaction(&mut self) -> Option<&mut StoreTransaction> {
        self.0.as_mut()
    }

    /// Releases the lock, and commits what was written in its transaction.
    ///
    /// # Errors
    /// When the database does not answer; the lock is released nevertheless.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.0 {
            Some(writing) => writing.commit().await,
            None => Ok(()),
        }
    }
}

impl Store {
    /// Waits until no other process edits the catalogue, at most as long as a statement may take.
    ///
    /// # Errors
    /// When the database does not answer, or another process holds the lock for too long.
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

    /// Waits until no other process orders for an address, at most as long as a statement may take. Two addresses may share a lock.
    ///
    /// # Errors
    /// As [`Store::lock_catalogue`].
    pub async fn lock_address(&self, address: &str) -> Result<AdvisoryLock, StoreError> {
        if self.backend == StoreBackend::Sqlite {
            return Ok(AdvisoryLock(None));
        }
        let mut writing = self.begin().await?;
        sqlx::query(LONG_IDLE_TIMEOUT).execute(writing.connection()).await?;
        let key = LOCK_SPACE ^ name_key(address);
        sqlx::query(LOCK_ADDRESS).bind(key).execute(writing.connection()).await?;
        Ok(AdvisoryLock(Some(writing)))
    }

    /// Tries to become the one process that delivers for the follower of this name. Only on [`Store::open_follower`], which has
    /// one connection: the lock is held until that is closed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn try_lock_follower(&self, name: &str) -> Result<bool, StoreError> {
        if self.backend == StoreBackend::Sqlite {
            return Ok(true);
        }
        let query = sqlx::query_scalar(TRY_LOCK_FOLLOWER).bind(LOCK_SPACE ^ name_key(name));
        Ok(query.fetch_one(self.writer()).await?)
    }
}

fn name_key(name: &str) -> i64 {
    if name == FIRST_FOLLOWER {
        return 0;
    }
    Sha256::digest(name)[..8].iter().fold(0, |key, byte| (key << 8) | i64::from(*byte))
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
    async fn one_process_edits_the_catalogue_at_a_time() {
        let (one, other) = two().await;
        let lock = one.lock_catalogue().await.unwrap();
        assert!(other.lock_catalogue().await.is_err(), "it must not wait for ever");
        drop(lock);
        let _lock = other.lock_catalogue().await.unwrap();
    }

    #[tokio::test]
    async fn one_process_holds_a_followers_lock_until_its_connection_ends() {
        let (one, other) = two().await;
        let first = one.open_follower().await.unwrap();
        assert!(first.try_lock_follower("projector").await.unwrap());
        let second = other.open_follower().await.unwrap();
        assert!(!second.try_lock_follower("projector").await.unwrap());
        assert!(second.try_lock_follower("kafka").await.unwrap(), "each name has a lock of its own");
        first.close().await;
        eventually("the lock is released", HANG_LIMIT, async || {
            second.try_lock_follower("projector").await.unwrap()
        })
        .await;
        assert!(!one.open_follower().await.unwrap().try_lock_follower("projector").await.unwrap());
    }

    #[tokio::test]
    async fn each_database_has_locks_of_its_own() {
        let ((one, _), (other, _)) = (two().await, two().await);
        let _lock = one.lock_catalogue().await.unwrap();
        let _other = other.lock_catalogue().await.unwrap();
        let (one, other) = (one.open_follower().await.unwrap(), other.open_follower().await.unwrap());
        assert!(
            one.try_lock_follower("projector").await.unwrap()
                && other.try_lock_follower("projector").await.unwrap()
        );
    }

    #[tokio::test]
    async fn a_file_has_one_process_whose_lock_it_is_always() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let _lock = store.lock_catalogue().await.unwrap();
        let _again = store.lock_catalogue().await.unwrap();
        let follower = store.open_follower().await.unwrap();
        assert!(
            follower.try_lock_follower("projector").await.unwrap()
                && follower.try_lock_follower("projector").await.unwrap()
        );
    }
}
