//! The tables of `shop.db`: accounts, sessions, and what people query. The one home of sqlx in this crate.
//! It never decides anything about a sale: that is the engine's ledger, in a file of its own, because SQLite has one
//! writer a file and a registration must not wait for a sale.
//!
//! SQL here is one text for both databases (style §14): `$1`, BIGINT and TEXT only (sqlx's `Any` cannot read a SQLite
//! BOOLEAN), `ON CONFLICT`, `RETURNING`, times as parameters. [`statements`] lists all of it for a test.

pub mod accounts;
pub mod sessions;

pub mod products;
pub mod sales;

pub mod attempts;
pub mod counters;
pub mod followers;
pub mod orders;
pub mod payments;
pub mod people;
pub mod queue;
pub mod sandbox;
pub mod series;
pub mod sums;

pub mod insight;

mod bulk;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Any, AnyConnection, AnyPool, Executor, Transaction};
use std::path::Path;
use std::time::Duration;

/// The file of the tables in a data folder.
pub const FILE: &str = "shop.db";

/// All migrations, forward only.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// Readers of the file at a time: SQLite's WAL lets them run beside the writer; pages beyond a few do not get faster.
const READERS_MAX: u32 = 4;

/// How long a caller waits for a connection before it is told that the store is unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The store cannot be asked right now.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no, or did not answer.
    #[error("the shop's database failed")]
    Database(#[from] sqlx::Error),
    /// The tables could not be brought up to date.
    #[error("the tables could not be brought up to date")]
    Migration(#[from] MigrateError),
    /// A row holds what this program never writes.
    #[error("row {table} {id} is damaged: {reason}")]
    Damaged {
        /// The table of the row.
        table: &'static str,
        /// Its key.
        id: String,
        /// What cannot be read.
        reason: &'static str,
    },
}

/// The shop's tables: one writer, a few readers.
#[derive(Debug, Clone)]
pub struct Store {
    writer: AnyPool,
    reader: AnyPool,
}

impl Store {
    /// Opens (or creates) `shop.db` in `folder`. A commit is durable when it returns: WAL with `synchronous=FULL`.
    ///
    /// # Errors
    /// When the file cannot be opened or created.
    pub async fn open(folder: &Path) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let url = sqlite_url(&folder.join(FILE));
        let writer = sqlite_pool(1, &WRITER_PRAGMAS).connect(&url).await?;
        let reader = sqlite_pool(READERS_MAX, &READER_PRAGMAS).connect(&url).await?;
        Ok(Self { writer, reader })
    }

    /// Brings the tables up to date.
    ///
    /// # Errors
    /// When a migration fails, or the file was written by a newer version.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        Ok(MIGRATOR.run(&self.writer).await?)
    }

    /// Whether the tables are those of this version.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn is_current(&self) -> Result<bool, StoreError> {
        let newest = MIGRATOR.iter().map(|migration| migration.version).max();
        let applied: Result<Option<i64>, _> =
            sqlx::query_scalar(NEWEST_MIGRATION).fetch_one(&self.reader).await;
        Ok(applied.is_ok_and(|applied| applied == newest))
    }

    /// Where to read: committed rows, never waiting for the writer.
    fn reader(&self) -> &AnyPool {
        &self.reader
    }

    /// Where to write: one connection, so writers wait for each other here and not on the file's lock.
    fn writer(&self) -> &AnyPool {
        &self.writer
    }

    /// The same tables for a follower of the ledger: one connection of its own, for reading and writing. SQLite's connection
    /// gets a thread, which inherits the priority of the calling one. A commit survives a crash of the process, but the last
    /// ones may be lost with the machine: what a follower writes it can write again.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn follower(&self) -> Result<Self, StoreError> {
        let options = self.writer.connect_options();
        let writer = sqlite_pool(1, &FOLLOWER_PRAGMAS).connect_with(options.as_ref().clone()).await?;
        Ok(Self { reader: writer.clone(), writer })
    }

    /// Begins a transaction on the writer. Write first in it: SQLite cannot upgrade a read that another process overtook.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin(&self) -> Result<Writing, StoreError> {
        Ok(Writing(self.writer.begin().await?))
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// When there is none.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query(PING).execute(&self.reader).await?;
        Ok(())
    }

    /// Closes all connections; what was committed is on disk already.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// A transaction. What it wrote is undone when it is dropped without [`Writing::commit`].
#[derive(Debug)]
pub struct Writing(Transaction<'static, Any>);

impl Writing {
    /// Makes all of it durable.
    ///
    /// # Errors
    /// When the disk or the database says no; nothing was written then.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.commit().await?)
    }

    /// Undoes all of it before the next writer comes.
    ///
    /// # Errors
    /// When the database does not answer; it is undone all the same.
    pub async fn undo(self) -> Result<(), StoreError> {
        Ok(self.0.rollback().await?)
    }

    /// The connection, for the statements of this module's children.
    fn on(&mut self) -> &mut AnyConnection {
        &mut self.0
    }
}

const PING: &str = "SELECT 1";
const NEWEST_MIGRATION: &str = "SELECT MAX(version) FROM _sqlx_migrations WHERE success";

/// Every statement of the store. A test prepares each of them on each database.
pub fn statements() -> impl Iterator<Item = &'static str> {
    [PING, NEWEST_MIGRATION]
        .into_iter()
        .chain(accounts::STATEMENTS.iter().copied())
        .chain(sessions::STATEMENTS.iter().copied())
        .chain(payments::STATEMENTS.iter().copied())
        .chain(sandbox::STATEMENTS.iter().copied())
        .chain(products::STATEMENTS.iter().copied())
        .chain(sales::STATEMENTS.iter().copied())
        .chain(orders::STATEMENTS.iter().copied())
        .chain(orders::lists().iter().map(String::as_str))
        .chain(queue::STATEMENTS.iter().copied())
        .chain(attempts::STATEMENTS.iter().copied())
        .chain(attempts::LISTS.iter().map(String::as_str))
        .chain(counters::STATEMENTS.iter().copied())
        .chain(followers::STATEMENTS.iter().copied())
        .chain(sums::STATEMENTS.iter().copied())
        .chain(series::STATEMENTS.iter().copied())
        .chain(insight::STATEMENTS.iter().copied())
        .chain(people::STATEMENTS.iter().copied())
        .chain([people::find_text()])
        .chain(bulks().into_iter().flat_map(bulk::Bulk::texts))
}

fn bulks() -> [&'static bulk::Bulk; 5] {
    [&orders::UPSERT, &queue::UPSERT, &attempts::INSERT, &series::UPSERT, &series::COUNT_REFUSALS]
}

/// The pattern of texts that hold `part`, for `LIKE … ESCAPE '\\'`.
fn containing(part: &str) -> String {
    let mut pattern = String::from("%");
    for character in part.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

static WRITER_PRAGMAS: [&str; 4] = [
    "PRAGMA busy_timeout = 5000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
];

static FOLLOWER_PRAGMAS: [&str; 2] = ["PRAGMA busy_timeout = 5000", "PRAGMA synchronous = NORMAL"];

static READER_PRAGMAS: [&str; 2] = ["PRAGMA busy_timeout = 5000", "PRAGMA query_only = ON"];

fn sqlite_pool(connections_max: u32, pragmas: &'static [&'static str]) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections_max)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(move |connection, _| Box::pin(apply(connection, pragmas)))
}

async fn apply(connection: &mut AnyConnection, pragmas: &'static [&'static str]) -> Result<(), sqlx::Error> {
    for pragma in pragmas {
        connection.execute(*pragma).await?;
    }
    Ok(())
}

/// SQLite's URL of a file; `%`, `?` and `#` in its path must not be read as parts of the URL.
fn sqlite_url(file: &Path) -> String {
    let path = file.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("sqlite://{path}?mode=rwc")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::SqlSafeStr;

    #[tokio::test]
    async fn every_statement_is_understood_by_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        assert!(!store.is_current().await.unwrap());
        store.migrate().await.unwrap();
        assert!(store.is_current().await.unwrap());
        let mut connection = store.writer().acquire().await.unwrap();
        for statement in statements() {
            let prepared = connection.prepare(statement.into_sql_str()).await;
            assert!(prepared.is_ok(), "{statement}: {:?}", prepared.err());
        }
    }

    #[tokio::test]
    async fn the_writer_is_durable_and_the_reader_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join(".")).await.unwrap();
        let synchronous: i64 =
            sqlx::query_scalar("PRAGMA synchronous").fetch_one(store.writer()).await.unwrap();
        assert_eq!(synchronous, 2, "2 is FULL");
        let journal: String =
            sqlx::query_scalar("PRAGMA journal_mode").fetch_one(store.writer()).await.unwrap();
        assert_eq!(journal, "wal");
        assert!(sqlx::query("CREATE TABLE t (x BIGINT)").execute(store.reader()).await.is_err());
    }

    #[tokio::test]
    async fn a_folder_with_strange_characters_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        let strange = folder.path().join("50% of? what#now");
        std::fs::create_dir(&strange).unwrap();
        Store::open(&strange).await.unwrap();
        assert!(strange.join("shop.db").exists());
    }
}
