//! Transactions of the store. `BEGIN`, `COMMIT` and `ROLLBACK` are sent as statements, because the library counts open transactions:
//! when a commit fails on a full disk, SQLite has rolled back, the count stays one too high, and what the next transactions on
//! the connection commit is a savepoint that no disk has. A connection whose commit or rollback failed is closed instead.

use super::StoreError;
use super::damage::DamageListener;
use super::pools::{FOLLOWER_TIMEOUT, StorePool};
use super::timeout::{WithTimeout, with_timeout};
use super::write_state::WriteState;
use super::write_turn::{WriteTurn, WriteTurns};
use connection_pool::PooledConnection;
use sqlx::{AnyConnection, Executor};
use std::time::Duration;

const SQLITE: &str = "SQLite";

/// A transaction. What it wrote is undone when it is dropped without [`StoreTransaction::commit`].
#[derive(Debug)]
pub struct StoreTransaction {
    /// `None` when it has ended.
    connection: Option<PooledConnection<AnyConnection>>,
    /// Given back when the transaction has ended in the file, too.
    turn: Option<WriteTurn>,
    timeout: Option<Duration>,
    damage: DamageListener,
    writes: WriteState,
}

impl StoreTransaction {
    /// Begins on a connection of the pool.
    pub(super) async fn begin(
        pool: &StorePool,
        turns: &WriteTurns,
        timeout: Option<Duration>,
        damage: DamageListener,
        writes: WriteState,
    ) -> Result<Self, StoreError> {
        damage.check_writable()?;
        let turn = turns.wait().await;
        let acquired = with_timeout(timeout, pool.acquire()).await;
        let mut connection = acquired.inspect_err(|error| writes.check_error(error))?;
        connection.enter_transaction();
        // SQLite refuses at once to let a transaction write that has read before another connection wrote: it waits before it reads.
        let begin = if connection.backend_name() == SQLITE { "BEGIN IMMEDIATE" } else { "BEGIN" };
        let mut transaction = Self { connection: Some(connection), turn, timeout, damage, writes };
        transaction.connection().execute(begin).await?;
        Ok(transaction)
    }

    /// Whether it writes to a file of SQLite.
    ///
    /// # Panics
    /// Never: see [`StoreTransaction::connection`].
    pub(super) fn is_sqlite(&self) -> bool {
        self.connection.as_ref().expect("the transaction has not ended").backend_name() == SQLITE
    }

    /// Has what follows wait for locked rows for a short time only. Writers of a file wait before they begin.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn shorten_lock_wait(&mut self) -> Result<(), StoreError> {
        if !self.is_sqlite() {
            self.connection().execute("SET LOCAL lock_timeout = '200ms'").await?;
        }
        Ok(())
    }

    /// Sets the savepoint that [`StoreTransaction::rollback_to_savepoint`] returns to. There is one at a time: the last one that was set.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn set_savepoint(&mut self) -> Result<(), StoreError> {
        self.connection().execute("SAVEPOINT undoable").await?;
        Ok(())
    }

    /// Undoes what was written since the savepoint, and nothing before it.
    ///
    /// # Errors
    /// When the database does not answer, or no savepoint was set.
    pub async fn rollback_to_savepoint(&mut self) -> Result<(), StoreError> {
        self.connection().execute("ROLLBACK TO SAVEPOINT undoable").await?;
        Ok(())
    }

    /// Makes all of it durable.
    ///
    /// # Errors
    /// When the disk or the database fails. A file has nothing of it then; a database whose reply was lost may have all of it.
    pub async fn commit(self) -> Result<(), StoreError> {
        let writes = self.writes.clone();
        self.end("COMMIT").await?;
        writes.record_success();
        Ok(())
    }

    /// Undoes all of it before the next writer begins.
    ///
    /// # Errors
    /// When the database does not answer; the transaction is rolled back nevertheless.
    pub async fn rollback(self) -> Result<(), StoreError> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, statement: &'static str) -> Result<(), StoreError> {
        let Some(mut connection) = self.connection.take() else { return Ok(()) };
        let ended = with_timeout(self.timeout, connection.execute(statement)).await;
        if let Err(error) = ended {
            self.damage.check_error(&error);
            self.writes.check_error(&error);
            connection.discard();
            return Err(error.into());
        }
        connection.mark_replied(&ended);
        Ok(())
    }

    /// The connection, for the statements of the store's modules.
    ///
    /// # Panics
    /// Never: the connection is there until the transaction ends, and that takes the transaction.
    pub(super) fn connection(&mut self) -> WithTimeout<&mut AnyConnection> {
        let connection = self.connection.as_mut().expect("the transaction has not ended");
        // The transaction has its turn.
        let (damage, writes, turns) = (self.damage.clone(), Some(self.writes.clone()), WriteTurns::default());
        WithTimeout { inner: connection, timeout: self.timeout, damage, writes, turns }
    }
}

impl Drop for StoreTransaction {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return connection.discard() };
        // Also where statements have no limit: a database that does not respond must not keep the connection.
        let timeout = self.timeout.or((connection.backend_name() != SQLITE).then_some(FOLLOWER_TIMEOUT));
        let turn = self.turn.take();
        runtime.spawn(async move {
            let _turn = turn;
            let undone = with_timeout(timeout, connection.execute("ROLLBACK")).await;
            if undone.is_err() {
                return connection.discard();
            }
            connection.mark_replied(&undone);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use sqlx::Executor;
    use test_servers::postgres::PostgresServer;

    const INSERT: &str = "INSERT INTO secrets (name, value, created_at) VALUES ('key', 'value', 0)";

    async fn count(store: &Store) -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM secrets").fetch_one(store.reader()).await.unwrap()
    }

    async fn open() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        (folder, store)
    }

    async fn what_follows_a_savepoint_can_be_undone_alone(store: Store) {
        store.migrate().await.unwrap();
        let before = count(&store).await;
        let mut writing = store.begin().await.unwrap();
        for (name, is_kept) in [("one", true), ("two", false), ("three", true)] {
            writing.set_savepoint().await.unwrap();
            let sql = format!("INSERT INTO secrets (name, value, created_at) VALUES ('{name}', 'value', 0)");
            writing.connection().execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
            if !is_kept {
                writing.rollback_to_savepoint().await.unwrap();
            }
        }
        writing.commit().await.unwrap();
        assert_eq!(count(&store).await, before + 2);
    }

    #[tokio::test]
    async fn in_a_file_what_follows_a_savepoint_can_be_undone_alone() {
        let (_folder, store) = open().await;
        what_follows_a_savepoint_can_be_undone_alone(store).await;
    }

    #[tokio::test]
    async fn on_postgres_what_follows_a_savepoint_can_be_undone_alone() {
        let url = PostgresServer::shared().create_database();
        what_follows_a_savepoint_can_be_undone_alone(Store::connect(&url).await.unwrap()).await;
    }

    #[tokio::test]
    async fn a_failed_commit_leaves_no_transaction_open() {
        let (_folder, store) = open().await;
        let mut failing = store.begin().await.unwrap();
        // SQLite itself rolls back when the disk is full.
        failing.connection().execute("ROLLBACK").await.unwrap();
        assert!(failing.commit().await.is_err());

        // One that is undone, and one that is kept: both end.
        let mut undone = store.begin().await.unwrap();
        undone.connection().execute(INSERT).await.unwrap();
        drop(undone);
        let mut kept = store.begin().await.unwrap();
        kept.connection().execute(INSERT).await.unwrap();
        kept.commit().await.unwrap();
        assert_eq!(count(&store).await, 1, "what is committed is seen by other connections");
        let follower = store.open_follower().await.unwrap();
        let mut other = follower.begin().await.unwrap();
        other.connection().execute("DELETE FROM secrets").await.unwrap();
        other.commit().await.unwrap();
        assert_eq!(count(&store).await, 0, "and the file is free for other writers");
    }

    #[tokio::test]
    async fn a_transaction_that_is_dropped_is_undone() {
        let (_folder, store) = open().await;
        let mut dropped = store.begin().await.unwrap();
        dropped.connection().execute(INSERT).await.unwrap();
        drop(dropped);
        store.begin().await.unwrap().rollback().await.unwrap();
        assert_eq!(count(&store).await, 0);
    }
}
