//! Damage that a statement meets: a malformed file, a row or an index that is not as it was written. The opener of the store is notified,
//! because a purchase must not be confirmed beside tables that cannot be trusted. It repairs nothing.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// SQLite's codes for a malformed file and for a file that is no database; extended codes have them in their last eight bits.
const SQLITE_DAMAGE_CODES: [u32; 2] = [11, 26];
/// PostgreSQL's codes for a table and for an index that are not as they were written.
const POSTGRES_DAMAGE_CODES: [&str; 2] = ["XX001", "XX002"];

type DamageHandler = Box<dyn Fn(&sqlx::Error) + Send + Sync>;

/// What is called when a statement meets damage; nothing until it is set. Clones share it.
#[derive(Clone, Default)]
pub(super) struct DamageListener {
    handler: Arc<OnceLock<DamageHandler>>,
    refuses_writes: Arc<AtomicBool>,
}

impl fmt::Debug for DamageListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DamageListener").field("is_set", &self.handler.get().is_some()).finish()
    }
}

impl DamageListener {
    /// Sets the handler, unless there is one.
    pub(super) fn set(&self, handler: DamageHandler) {
        let _is_set_already = self.handler.set(handler);
    }

    /// From now on [`DamageListener::check_writable`] fails.
    pub(super) fn refuse_writes(&self) {
        self.refuses_writes.store(true, Ordering::Relaxed);
    }

    /// # Errors
    /// When what is written now would be lost.
    pub(super) fn check_writable(&self) -> Result<(), sqlx::Error> {
        if self.refuses_writes.load(Ordering::Relaxed) {
            return Err(sqlx::Error::Io(io::Error::other("the file of the tables was removed or replaced")));
        }
        Ok(())
    }

    pub(super) fn check_error(&self, error: &sqlx::Error) {
        if is_damage(error)
            && let Some(handler) = self.handler.get()
        {
            handler(error);
        }
    }
}

/// True when an error says that what is stored is not what was written.
pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    let Some(code) = error.as_database_error().and_then(sqlx::error::DatabaseError::code) else {
        return false;
    };
    let sqlite = code.parse::<u32>().is_ok_and(|code| SQLITE_DAMAGE_CODES.contains(&(code & 0xff)));
    // PostgreSQL's codes have five characters, SQLite's fewer.
    (sqlite && code.len() < 5) || POSTGRES_DAMAGE_CODES.contains(&&*code)
}

#[cfg(test)]
mod tests {
    use super::super::{Store, accounts};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_statement_that_meets_a_malformed_file_is_reported_and_a_refused_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        let roots = "SELECT rootpage FROM sqlite_schema WHERE tbl_name IN ('users', 'secrets')";
        let roots: Vec<i64> = sqlx::query_scalar(roots).fetch_all(store.reader()).await.unwrap();
        store.close().await;
        let file = folder.path().join(super::super::DATABASE_FILE);
        let mut bytes = std::fs::read(&file).unwrap();
        for root in roots {
            let end = usize::try_from(root).unwrap() * 4096;
            bytes[end - 4096..end].fill(0xA5);
        }
        std::fs::write(&file, bytes).unwrap();

        let store = Store::open(folder.path()).await.unwrap();
        let reports = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&reports);
        store.on_damage(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        assert!(sqlx::query("SELECT * FROM nowhere").fetch_all(store.reader()).await.is_err());
        assert_eq!(reports.load(Ordering::SeqCst), 0, "a statement that is wrong is no damage");
        let id = "0190f3a4-0000-7000-8000-000000000000".parse().unwrap();
        assert!(accounts::find(&store, id).await.is_err());
        assert_eq!(reports.load(Ordering::SeqCst), 1);
        let follower = store.open_follower().await.unwrap();
        let mut writing = follower.begin().await.unwrap();
        let inserted = sqlx::query("INSERT INTO secrets (name, value, created_at) VALUES ('a', 'b', 0)");
        assert!(inserted.execute(writing.connection()).await.is_err());
        assert_eq!(reports.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_store_that_refuses_to_write_is_still_read() {
        const INSERT: &str =
            "INSERT INTO secrets (name, value, created_at) VALUES ('a', 'b', 0) RETURNING name";
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        let follower = store.open_follower().await.unwrap();
        store.refuse_writes();
        assert!(sqlx::query(INSERT).execute(store.writer()).await.is_err());
        assert!(sqlx::query(INSERT).fetch_optional(store.writer()).await.is_err());
        assert!(store.begin().await.is_err() && follower.begin().await.is_err());
        store.ping().await.unwrap();
        let count = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM secrets");
        assert_eq!(count.fetch_one(store.reader()).await.unwrap(), 0);
    }
}
