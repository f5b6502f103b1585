//! Turns among processes that share a PostgreSQL: its advisory locks, which go with the connection that holds them, however it
//! ends. They are named after a table, so that two shops in schemas of their own do not wait for each other. A file of SQLite's
//! belongs to one process, which has its turn always.
//!
//! A turn spares work and lost updates; no promise of a sale rests on it.

use super::pools::Place;
use super::{Store, StoreError, Writing};

/// Ours among the locks of a database; a table's number is added.
macro_rules! lock_of {
    ($function:literal, $table:literal) => {
        concat!("SELECT ", $function, "(7016996765293437281 # '", $table, "'::regclass::oid::bigint)")
    };
}

/// Waits as long as a statement may take.
const EDIT: &str = concat!(lock_of!("pg_advisory_xact_lock", "sales"), "::text");

/// The engine is asked meanwhile, so nothing is said for longer than callers usually leave a transaction alone.
const PATIENT: &str = "SELECT set_config('idle_in_transaction_session_timeout', '15s', true)";

/// Does not wait.
const FOLLOW: &str = lock_of!("pg_try_advisory_lock", "followers");

/// What [`Store::editing`] gives; over when it is dropped.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "what it does is to be there")] Option<Writing>);

impl Store {
    /// Waits until no other process edits the catalogue, at most as long as a statement may take.
    ///
    /// # Errors
    /// When the database does not answer, or somebody edits for too long.
    pub async fn editing(&self) -> Result<Turn, StoreError> {
        if self.place == Place::Sqlite {
            return Ok(Turn(None));
        }
        let mut writing = self.begin().await?;
        for statement in [PATIENT, EDIT] {
            sqlx::query(statement).execute(writing.on()).await?;
        }
        Ok(Turn(Some(writing)))
    }

    /// Tries to be the one who writes what follows the ledger. Only for [`Store::follower`], which has one connection: it is that
    /// one's turn until it is closed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn may_follow(&self) -> Result<bool, StoreError> {
        if self.place == Place::Sqlite {
            return Ok(true);
        }
        Ok(sqlx::query_scalar(FOLLOW).fetch_one(self.writer()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use own_servers::postgres::Postgres;

    async fn two() -> (Store, Store) {
        let url = Postgres::shared().database();
        let one = Store::connect(&url).await.unwrap();
        one.migrate().await.unwrap();
        (one, Store::connect(&url).await.unwrap())
    }

    #[tokio::test]
    async fn one_process_edits_at_a_time() {
        let (one, other) = two().await;
        let turn = one.editing().await.unwrap();
        assert!(other.editing().await.is_err(), "it does not wait for ever");
        drop(turn);
        let _turn = other.editing().await.unwrap();
    }

    #[tokio::test]
    async fn one_process_follows_until_its_connection_ends() {
        let (one, other) = two().await;
        let first = one.follower().await.unwrap();
        assert!(first.may_follow().await.unwrap());
        let second = other.follower().await.unwrap();
        assert!(!second.may_follow().await.unwrap());
        first.close().await;
        let started = engine::clock::stopwatch();
        while !second.may_follow().await.unwrap() {
            assert!(started.elapsed().as_secs() < 5, "the turn was not given back");
        }
        assert!(!one.follower().await.unwrap().may_follow().await.unwrap());
    }

    #[tokio::test]
    async fn another_database_is_another_matter() {
        let ((one, _), (other, _)) = (two().await, two().await);
        let _turn = one.editing().await.unwrap();
        let _other = other.editing().await.unwrap();
        let (one, other) = (one.follower().await.unwrap(), other.follower().await.unwrap());
        assert!(one.may_follow().await.unwrap() && other.may_follow().await.unwrap());
    }

    #[tokio::test]
    async fn a_file_has_one_process_whose_turn_it_is_always() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let _turn = store.editing().await.unwrap();
        let _again = store.editing().await.unwrap();
        let follower = store.follower().await.unwrap();
        assert!(follower.may_follow().await.unwrap() && follower.may_follow().await.unwrap());
    }
}
