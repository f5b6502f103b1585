//! Whether the last write to the tables failed: a full disk or a read-only database still answers reads, so only a write shows it. It
//! never retries a write.

use sqlx::error::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Remembers a failed write until the next one is on the disk. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct WriteState {
    is_failing: Arc<AtomicBool>,
}

impl WriteState {
    /// Notes an error of a statement that writes, or of its transaction.
    pub(super) fn check_error(&self, error: &sqlx::Error) {
        if is_write_failure(error) {
            self.is_failing.store(true, Ordering::Relaxed);
        }
    }

    /// Notes a write that is on the disk.
    pub(super) fn record_success(&self) {
        // Almost always it is false already, and a read leaves the cache line shared.
        if self.is_failing() {
            self.is_failing.store(false, Ordering::Relaxed);
        }
    }

    pub(super) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }
}

/// PostgreSQL's codes of transactions that were undone for the sake of another one: serialization, deadlock.
pub(super) const CONFLICTS: [&str; 2] = ["40001", "40P01"];

/// PostgreSQL's code of a statement that waited too long for a lock.
pub(super) const LOCKED_OUT: &str = "55P03";

/// Whether the database gave one of these codes.
pub(super) fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| codes.contains(&&*code))
}

/// True when the database did not accept a write that is right in itself: not for a constraint, another transaction that is in the
/// way, or a row that is not there.
fn is_write_failure(error: &sqlx::Error) -> bool {
    /// PostgreSQL's class of transactions that have to be repeated.
    const POSTGRES_CONFLICTS: &str = "40";
    match error {
        sqlx::Error::Database(error) => {
            let is_in_the_way = error.code().is_some_and(|code| {
                code.len() == 5 && (code.starts_with(POSTGRES_CONFLICTS) || code == LOCKED_OUT)
            });
            matches!(error.kind(), ErrorKind::Other) && !is_in_the_way
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// True when a statement failed for what it writes: a constraint, a value that does not fit, a conflict of two transactions, a lock of a row, a
/// text that the database does not take. The same statement with other values may succeed.
pub(super) fn is_own_failure(error: &sqlx::Error) -> bool {
    /// SQLite's codes without their extension: an error in the statement, too large, a constraint, a wrong type, a wrong parameter.
    const SQLITE: [u32; 5] = [1, 18, 19, 20, 25];
    /// PostgreSQL's classes: cardinality, data, constraints, transactions that have to be repeated, wrong statements, a function's own errors.
    const POSTGRES: [&str; 6] = ["21", "22", "23", "40", "42", "P0"];
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // PostgreSQL's codes have five characters, SQLite's fewer.
            let is_postgres = code.len() == 5;
            let is_sqlite = code.parse::<u32>().is_ok_and(|code| SQLITE.contains(&(code & 0xff)));
            if is_postgres {
                code == LOCKED_OUT || POSTGRES.iter().any(|class| code.starts_with(class))
            } else {
                is_sqlite
            }
        }),
        sqlx::Error::RowNotFound
        | sqlx::Error::Encode(_)
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use test_servers::postgres::PostgresServer;

    const INSERT: &str = "INSERT INTO secrets (name, value, created_at) VALUES ($1, $2, 0)";

    async fn insert(store: &Store, name: &str, value: &str) -> Result<(), sqlx::Error> {
        sqlx::query(INSERT).bind(name).bind(value).execute(store.writer()).await.map(drop)
    }

    #[tokio::test]
    async fn a_full_file_fails_the_check_although_it_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        store.check_database().await.unwrap();
        // SQLite refuses to grow the file, as on a full disk.
        sqlx::query("PRAGMA max_page_count = 1").execute(store.writer()).await.unwrap();
        let large = "x".repeat(1 << 20);
        for _ in 0..2 {
            assert!(insert(&store, "large", &large).await.is_err());
            assert!(store.check_database().await.is_err(), "the last write failed");
            assert!(store.is_current().await.is_ok_and(|is_current| is_current), "and it can be read");
        }
        store.check_database().await.expect("what the check wrote had room");

        assert!(insert(&store, "large", &large).await.is_err());
        sqlx::query("PRAGMA max_page_count = 100000").execute(store.writer()).await.unwrap();
        insert(&store, "large", &large).await.unwrap();
        assert!(store.check_database().await.is_err(), "a commit was not seen yet");
        store.check_database().await.expect("the check itself has written");
        assert!(insert(&store, "large", "again").await.is_err(), "a name that is taken");
        store.check_database().await.expect("which is no failure of the disk");
    }

    #[tokio::test]
    async fn a_transaction_that_cannot_be_written_counts_and_one_that_is_written_clears_it() {
        let url = PostgresServer::shared().create_database();
        let store = Store::connect(&url).await.unwrap();
        store.migrate().await.unwrap();
        let mut failing = store.begin().await.unwrap();
        sqlx::query("SET TRANSACTION READ ONLY").execute(failing.connection()).await.unwrap();
        let inserted = sqlx::query(INSERT).bind("a").bind("b").execute(failing.connection()).await;
        assert!(inserted.is_err());
        failing.rollback().await.unwrap();
        assert!(store.check_database().await.is_err());

        let mut written = store.begin().await.unwrap();
        sqlx::query(INSERT).bind("a").bind("b").execute(written.connection()).await.unwrap();
        written.commit().await.unwrap();
        store.check_database().await.unwrap();
        let follower = store.open_follower().await.unwrap();
        assert!(sqlx::query("INSERT INTO nowhere VALUES (1)").execute(follower.writer()).await.is_err());
        assert!(store.check_database().await.is_err(), "a follower's writes count as well");
    }
}
