//! The shop's tables (accounts, sessions, and the rows behind lists) in `shop.db` or in PostgreSQL. Only this module uses sqlx in
//! this crate. It never decides anything about a sale: the engine's ledger does, in a separate file or separate tables. The file
//! is separate because SQLite has one writer a file, and a registration must not wait for a sale.
//!
//! SQL here is one text for both databases (except the definitions of [`views`]): `$1`, BIGINT and TEXT only (sqlx's `Any` cannot read a SQLite
//! BOOLEAN), `ON CONFLICT`, `RETURNING`, times as parameters. [`statements`] lists all of it for a test.

pub mod accounts;
pub mod sessions;

pub mod admin_keys;
pub mod products;
pub mod sale_products;
pub mod sale_slugs;
pub mod sales;

pub mod attempts;
pub mod buyer_identities;
pub mod counters;
pub mod event_receivers;
pub mod followers;
pub mod guest_orders;
pub mod guests;
pub mod mail_subscriptions;
pub mod mail_switches;
pub mod mail_tokens;
pub mod mailbox_claims;
pub mod mails;
pub mod orders;
pub mod payment_events;
pub mod payment_findings;
pub mod payments;
pub mod provider_notices;
pub mod queue;
pub mod sandbox;
pub mod series;
pub mod sold_out_attempts;
pub mod table_totals;
pub mod token_lifetimes;
pub mod turnstile_jobs;
pub mod turnstile_pending_jobs;
pub mod webhook_deliveries;
pub mod webhook_endpoints;

pub mod ledger_traces;

pub mod statistics;

pub mod changes;
pub mod integer_ids;
pub mod locks;
pub mod secrets;

pub mod moves;
pub mod table_copy;

mod bulk_insert;
mod bulk_write;
mod damage;
mod pools;
mod timeout;
mod transaction;
mod views;
mod write_state;
mod write_turn;

use bulk_insert::ParameterStyle;
use damage::DamageListener;
use pools::{ConnectionPurpose, StoreBackend, StorePool};
use sqlx::any::AnyConnectOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, Connection};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use timeout::WithTimeout;
use write_state::WriteState;
use write_turn::WriteTurns;

pub use transaction::StoreTransaction;

/// The file of the tables in a data folder.
pub const DATABASE_FILE: &str = "shop.db";

/// All migrations, forward only.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// Why the tables did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed, or did not answer in time.
    #[error("the shop's database failed")]
    Database(#[from] sqlx::Error),
    /// The text is not the address of a database. It may hold a password, and is not repeated.
    #[error("write an address such as postgres://user@host:5432/name")]
    Address,
    /// The tables could not be brought up to date.
    #[error("the tables could not be brought up to date")]
    Migration(#[from] MigrateError),
    /// A row holds what this program never writes.
    #[error("row {table} {id} is damaged: {reason}")]
    Damaged {
        /// The table of the row.
        table: &'static str,
        id: String,
        /// What cannot be read.
        reason: &'static str,
    },
    /// Reads work, but the last write failed.
    #[error("the last write failed: the disk is full or read-only, or the database accepts no writes")]
    WritesFail,
    /// A transaction failed that was shared with other callers; the log has the cause. It may have been committed.
    #[error("the transaction that this write shared with others failed")]
    NotWritten,
}

impl StoreError {
    /// True for damage: what is stored is not what was written. Another error may pass.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Database(error) => damage::is_damage(error),
            Self::Damaged { .. } => true,
            Self::Address | Self::Migration(_) | Self::WritesFail | Self::NotWritten => false,
        }
    }

    /// True when two transactions were in each other's way, and the database has undone this one: it may be repeated at once.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Database(error) if write_state::has_code(error, &write_state::CONFLICTS))
    }

    /// True when another transaction kept the lock of a row for too long.
    #[must_use]
    pub fn is_locked_out(&self) -> bool {
        matches!(self, Self::Database(error) if write_state::has_code(error, &[write_state::LOCKED_OUT]))
    }

    /// True when a write failed for what is in it, or for a row that it needs: others can be written. False when the database does not answer, or takes no writes.
    #[must_use]
    pub fn concerns_one_write(&self) -> bool {
        match self {
            Self::Database(error) => write_state::is_own_failure(error),
            Self::Address | Self::Damaged { .. } => true,
            Self::Migration(_) | Self::WritesFail | Self::NotWritten => false,
        }
    }
}

/// The shop's tables: connections that write, and others that read.
#[derive(Clone)]
pub struct Store {
    backend: StoreBackend,
    /// How long a statement may take, a connection for it included.
    timeout: Option<Duration>,
    options: AnyConnectOptions,
    writer: StorePool,
    reader: StorePool,
    damage: DamageListener,
    writes: WriteState,
    /// Shared with followers that are opened from this store.
    turns: WriteTurns,
    /// The connections of its writers of groups, which are closed with it.
    group_pools: Arc<Mutex<Vec<StorePool>>>,
}

impl std::fmt::Debug for Store {
    /// Not the connections: their options hold the address of the database.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("backend", &self.backend).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens (or creates) `shop.db` in `folder`. A commit is durable when it returns: WAL with `synchronous=FULL`.
    ///
    /// # Errors
    /// When the file cannot be opened or created.
    pub async fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_pools(StoreBackend::Sqlite, &StoreBackend::file_options(folder)?).await
    }

    /// Opens the tables in a PostgreSQL. A commit is durable when it returns, as far as the server's own settings let it be.
    /// A statement ends within 1.5 s, with or without a result.
    ///
    /// # Errors
    /// When it is no address, or the connection fails.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::open_pools(StoreBackend::Postgres, &StoreBackend::address_options(url)?).await
    }

    /// The same without a timeout: to read all of large tables, or to migrate them.
    ///
    /// # Errors
    /// As [`Store::connect`].
    pub async fn connect_without_timeout(url: &str) -> Result<Self, StoreError> {
        Self::open_pools(StoreBackend::PostgresNoTimeout, &StoreBackend::address_options(url)?).await
    }

    async fn open_pools(backend: StoreBackend, options: &AnyConnectOptions) -> Result<Self, StoreError> {
        let writer = backend.open_pool(options, ConnectionPurpose::Write).await?;
        Ok(Self {
            backend,
            timeout: backend.statement_timeout(),
            options: options.clone(),
            writer,
            reader: backend.open_pool(options, ConnectionPurpose::Read).await?,
            damage: DamageListener::default(),
            writes: WriteState::default(),
            turns: if backend == StoreBackend::Sqlite {
                WriteTurns::of_file()
            } else {
                WriteTurns::default()
            },
            group_pools: Arc::default(),
        })
    }

    /// Opens `shop.db` in `folder` only to read it; nothing in the folder is changed. With `is_immutable` it is read as a file that
    /// nothing changes and that has no log.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub async fn open_read_only(folder: &Path, is_immutable: bool) -> Result<Self, StoreError> {
        let backend = StoreBackend::Sqlite;
        let options = StoreBackend::read_only_file_options(folder, is_immutable)?;
        let reader = backend.open_pool(&options, ConnectionPurpose::Read).await?;
        let (damage, writes) = (DamageListener::default(), WriteState::default());
        let turns = WriteTurns::default();
        let (writer, group_pools) = (reader.clone(), Arc::default());
        Ok(Self { backend, timeout: None, options, writer, reader, damage, writes, turns, group_pools })
    }

    /// Sets what is called when a statement meets damage, here and by followers that are opened from this store.
    pub fn on_damage(&self, handler: impl Fn(&sqlx::Error) + Send + Sync + 'static) {
        self.damage.set(Box::new(handler));
    }

    /// Refuses to write from now on, here and by followers that are opened from this store: what is written would be lost.
    pub fn refuse_writes(&self) {
        self.damage.refuse_writes();
    }

    /// Brings the tables and the views up to date, however long that takes.
    ///
    /// # Errors
    /// When a migration fails, or the tables were written by a newer version.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        if self.backend == StoreBackend::Sqlite {
            let mut connection = self.writer.acquire().await?;
            MIGRATOR.run(&mut *connection).await?;
        } else {
            let mut connection = AnyConnection::connect_with(&self.options).await?;
            MIGRATOR.run(&mut connection).await?;
            connection.close().await?;
        }
        views::define_views(self).await
    }

    /// Whether the tables are those of this version.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn is_current(&self) -> Result<bool, StoreError> {
        let newest = MIGRATOR.iter().map(|migration| migration.version).max();
        let applied: Result<Option<i64>, _> =
            sqlx::query_scalar(NEWEST_MIGRATION).fetch_one(self.reader()).await;
        Ok(applied.is_ok_and(|applied| applied == newest))
    }

    /// Where to read: committed rows, never waiting for the writer.
    fn reader(&self) -> WithTimeout<&StorePool> {
        let (damage, turns) = (self.damage.clone(), WriteTurns::default());
        WithTimeout { inner: &self.reader, timeout: self.timeout, damage, writes: None, turns }
    }

    /// Where to write. With SQLite one connection, and a turn for each statement, so that writers wait for each other here and not on the
    /// file's lock.
    fn writer(&self) -> WithTimeout<&StorePool> {
        let (damage, writes, turns) = (self.damage.clone(), Some(self.writes.clone()), self.turns.clone());
        WithTimeout { inner: &self.writer, timeout: self.timeout, damage, writes, turns }
    }

    /// The same tables for a follower of the ledger: one separate connection for reads and writes that belongs to the caller's
    /// runtime. SQLite's gets a thread, which inherits the priority of the calling one. A commit survives a crash of
    /// the process, but the last ones may be lost with the machine: what a follower writes it can write again.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open_follower(&self) -> Result<Self, StoreError> {
        let (backend, options) = (self.backend, self.options.clone());
        let writer = backend.open_pool(&options, ConnectionPurpose::Follow).await?;
        let limit = backend.statement_timeout().map(|_| pools::FOLLOWER_TIMEOUT);
        let (damage, writes) = (self.damage.clone(), self.writes.clone());
        let (turns, group_pools) = (self.turns.for_background(), Arc::default());
        let reader = writer.clone();
        Ok(Self { backend, timeout: limit, options, reader, writer, damage, writes, turns, group_pools })
    }

    /// Writers of groups that can run at a time. A file takes one.
    #[must_use]
    pub fn group_writers(&self) -> usize {
        self.backend.group_writers()
    }

    /// The same tables for a writer of groups: one separate connection, which belongs to the caller's runtime. A commit is durable when it
    /// returns.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open_group_writer(&self) -> Result<Self, StoreError> {
        let writer = self.backend.open_pool(&self.options, ConnectionPurpose::WriteGroups).await?;
        self.group_pools.lock().unwrap_or_else(PoisonError::into_inner).push(writer.clone());
        Ok(Self { reader: writer.clone(), writer, ..self.clone() })
    }

    /// How many writers of this process have had to wait for another one so far, followers not counted. They do not wait for each other on
    /// PostgreSQL.
    #[must_use]
    pub fn count_write_waits(&self) -> u64 {
        self.turns.count_waits()
    }

    /// Begins a transaction on the writer. Write first in it: SQLite cannot upgrade a read that another process overtook.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin(&self) -> Result<StoreTransaction, StoreError> {
        let (damage, writes) = (self.damage.clone(), self.writes.clone());
        StoreTransaction::begin(&self.writer, &self.turns, self.timeout, damage, writes).await
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query(PING).execute(self.reader()).await?;
        Ok(())
    }

    /// Checks that the database answers, and that the last write to it did not fail. After a failed write it writes itself, so that a
    /// database that accepts writes again passes the next check, although no request writes meanwhile.
    ///
    /// # Errors
    /// When it does not answer, or the last write failed.
    pub async fn check_database(&self) -> Result<(), StoreError> {
        self.ping().await?;
        if !self.writes.is_failing() {
            return Ok(());
        }
        self.probe_write().await?;
        Err(StoreError::WritesFail)
    }

    /// Writes a row and deletes it again, in one transaction.
    async fn probe_write(&self) -> Result<(), StoreError> {
        let mut writing = self.begin().await?;
        sqlx::query(INSERT_PROBE).execute(writing.connection()).await?;
        sqlx::query(DELETE_PROBE).execute(writing.connection()).await?;
        writing.commit().await
    }

    /// Closes all connections, also those of its writers of groups; what was committed is on disk already. The last connection to a file moves
    /// what its log holds into it.
    pub async fn close(&self) {
        let groups = std::mem::take(&mut *self.group_pools.lock().unwrap_or_else(PoisonError::into_inner));
        for group in groups {
            group.close().await;
        }
        self.reader.close().await;
        self.writer.close().await;
    }
}

const PING: &str = "SELECT 1";
const INSERT_PROBE: &str = "
INSERT INTO secrets (name, value, created_at) VALUES ('write-probe', '', 0)
ON CONFLICT DO NOTHING";
const DELETE_PROBE: &str = "DELETE FROM secrets WHERE name = 'write-probe'";
const NEWEST_MIGRATION: &str = "SELECT MAX(version) FROM _sqlx_migrations WHERE success";

/// Every statement of the store. A test prepares each of them on each database.
pub fn statements() -> impl Iterator<Item = &'static str> {
    [PING, NEWEST_MIGRATION, INSERT_PROBE, DELETE_PROBE]
        .into_iter()
        .chain(accounts::STATEMENTS.iter().copied())
        .chain(sessions::STATEMENTS.iter().copied())
        .chain(payments::statements())
        .chain(payment_events::STATEMENTS.iter().copied())
        .chain(event_receivers::STATEMENTS.iter().copied())
        .chain(sandbox::STATEMENTS.iter().copied())
        .chain(admin_keys::STATEMENTS.iter().copied())
        .chain(products::STATEMENTS.iter().copied())
        .chain(sales::STATEMENTS.iter().copied())
        .chain(sale_products::STATEMENTS.iter().copied())
        .chain(sale_slugs::STATEMENTS.iter().copied())
        .chain(orders::STATEMENTS.iter().copied())
        .chain(orders::list_statements().iter().map(String::as_str))
        .chain(orders::offset_statements())
        .chain(queue::STATEMENTS.iter().copied())
        .chain([queue::find_joined_statement()])
        .chain(attempts::STATEMENTS.iter().copied())
        .chain(attempts::LISTS.iter().map(String::as_str))
        .chain(counters::STATEMENTS.iter().copied())
        .chain(followers::STATEMENTS.iter().copied())
        .chain(guests::STATEMENTS.iter().copied())
        .chain(guest_orders::STATEMENTS.iter().copied())
        .chain(table_totals::STATEMENTS.iter().copied())
        .chain(ledger_traces::STATEMENTS.iter().copied())
        .chain(series::STATEMENTS.iter().copied())
        .chain(statistics::STATEMENTS.iter().copied())
        .chain(buyer_identities::STATEMENTS.iter().copied())
        .chain(changes::STATEMENTS.iter().copied())
        .chain(integer_ids::STATEMENTS.iter().copied())
        .chain(sold_out_attempts::STATEMENTS.iter().copied())
        .chain(views::STATEMENTS.iter().copied())
        .chain(mailbox_claims::STATEMENTS.iter().copied())
        .chain(secrets::STATEMENTS.iter().copied())
        .chain(buyer_identities::find_statements().iter().map(String::as_str))
        .chain(turnstile_jobs::STATEMENTS.iter().copied())
        .chain([turnstile_jobs::find_by_keys_statement()])
        .chain(turnstile_pending_jobs::STATEMENTS.iter().copied())
        .chain(turnstile_pending_jobs::many_text_statements())
        .chain(webhook_endpoints::STATEMENTS.iter().copied())
        .chain(webhook_deliveries::STATEMENTS.iter().copied())
        .chain(moves::STATEMENTS.iter().copied())
        .chain(token_lifetimes::STATEMENTS.iter().copied())
        .chain(mails::STATEMENTS.iter().copied())
        .chain(mail_tokens::STATEMENTS.iter().copied())
        .chain(mail_switches::STATEMENTS.iter().copied())
        .chain(mail_subscriptions::STATEMENTS.iter().copied())
        .chain(provider_notices::STATEMENTS.iter().copied())
        .chain(payment_findings::STATEMENTS.iter().copied())
        .chain(statements_of_many_rows(ParameterStyle::Numbered))
}

/// The statements that write many rows, as a database wants them.
fn statements_of_many_rows(parameters: ParameterStyle) -> impl Iterator<Item = &'static str> {
    let inserts = bulk_inserts().into_iter().flat_map(move |insert| insert.statements(parameters));
    inserts.chain(bulk_writes().flat_map(move |write| write.statements(parameters)))
}

fn bulk_writes() -> impl Iterator<Item = &'static bulk_write::BulkWrite> {
    let of_payments = payments::bulk_writes().into_iter();
    of_payments.chain([&payment_events::INSERT_STEPS, &sandbox::INSERT, &sandbox::CHANGE])
}

fn bulk_inserts() -> [&'static bulk_insert::BulkInsert; 11] {
    [
        &orders::UPSERT,
        &queue::UPSERT,
        &attempts::INSERT,
        &series::UPSERT,
        &series::COUNT_REFUSALS,
        &guests::INSERT,
        &sold_out_attempts::UPSERT,
        &turnstile_jobs::INSERT,
        &turnstile_pending_jobs::INSERT,
        &webhook_deliveries::INSERT_EVENTS,
        &webhook_deliveries::INSERT_DELIVERIES,
    ]
}

/// The pattern of texts that hold `part`, for `LIKE … ESCAPE '\\'`.
fn like_pattern(part: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{Executor, Row, SqlSafeStr};
    use test_servers::delay::SchedulingDelay;
    use test_servers::postgres::PostgresServer;
    use test_servers::proxy::TcpProxy;
    use test_servers::wait::{HANG_LIMIT, eventually};

    async fn every_statement_is_understood(store: Store) {
        assert!(!store.is_current().await.unwrap());
        store.migrate().await.unwrap();
        assert!(store.is_current().await.unwrap());
        store.migrate().await.unwrap();
        for statement in statements() {
            let prepared = store.writer().prepare(statement.into_sql_str()).await;
            assert!(prepared.is_ok(), "{statement}: {:?}", prepared.err());
        }
    }

    #[tokio::test]
    async fn every_statement_is_understood_by_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        every_statement_is_understood(store.clone()).await;
        for statement in statements_of_many_rows(ParameterStyle::Unnumbered) {
            let prepared = store.writer().prepare(statement.into_sql_str()).await;
            assert!(prepared.is_ok(), "{statement}: {:?}", prepared.err());
        }
    }

    #[tokio::test]
    async fn what_is_due_of_mails_is_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        store.migrate().await.unwrap();
        for (start, search) in [
            ("UPDATE mails\nSET lease = $1", "(id=?)"),
            ("UPDATE mails\nSET lease = $1", "priority>? AND priority<?"),
            ("SET state = 'given_up'", "expires_at<?"),
            ("DELETE FROM mails WHERE", "created_at<?"),
            ("DELETE FROM mail_bounces WHERE until", "until<?"),
            ("DELETE FROM mail_subscriptions WHERE created_at", "created_at<?"),
            ("DELETE FROM mail_tokens", "expires_at<?"),
        ] {
            let statement = statements().find(|statement| statement.contains(start)).unwrap();
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let plan = sqlx::query(explain).fetch_all(store.writer()).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
            assert!(plan.iter().any(|step| step.contains(search)), "{statement}: {plan:?}");
        }
    }

    #[tokio::test]
    async fn every_statement_is_understood_by_postgres() {
        let url = PostgresServer::shared().create_database();
        every_statement_is_understood(Store::connect(&url).await.unwrap()).await;
    }

    #[tokio::test]
    async fn of_many_who_bring_the_tables_up_to_date_at_once_each_finds_them_so() {
        let url = PostgresServer::shared().create_database();
        let bring = async || {
            let store = Store::connect_without_timeout(&url).await.unwrap();
            store.migrate().await.unwrap();
            assert!(store.is_current().await.unwrap());
            store.close().await;
        };
        futures::future::join_all((0..4).map(|_| bring())).await;
    }

    #[tokio::test]
    async fn a_text_that_is_no_address_is_not_repeated() {
        for bad in ["postgres://u:secret@h:port/d", "mysql://u:secret@h/d", "secret"] {
            let error = Store::connect(bad).await.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
        let url = PostgresServer::shared().create_database();
        let store = Store::connect(&url).await.unwrap();
        assert!(!format!("{store:?}").contains(test_servers::postgres::PASSWORD));
    }

    #[tokio::test]
    async fn a_frozen_database_blocks_no_caller() {
        let postgres = PostgresServer::start();
        let store = Store::connect(&postgres.create_database()).await.unwrap();
        store.migrate().await.unwrap();
        let mut writing = store.begin().await.unwrap();
        let frozen = postgres.freeze();
        let (started, delay) = (engine::clock::start_stopwatch(), SchedulingDelay::start());
        let id = "0190f3a4-0000-7000-8000-000000000000".parse().unwrap();
        let results = tokio::join!(
            store.ping(),
            accounts::find(&store, id),
            sales::delete(&store, sale::SaleId(uuid::Uuid::nil()), sale::Timestamp(1)),
            followers::delete_projected_rows(&mut writing, "nobody", sale::SaleId(uuid::Uuid::nil())),
        );
        assert!(results.0.is_err() && results.1.is_err() && results.2.is_err() && results.3.is_err());
        assert!(store.begin().await.is_err());
        let waited = started.elapsed();
        let limit = delay.extend(pools::ANSWER_TIMEOUT * 2 + Duration::from_millis(500));
        assert!(waited < limit, "five calls took {waited:?}, and {limit:?} are allowed");
        drop(frozen);
        drop(writing);
        eventually("the store connects again", HANG_LIMIT, async || store.ping().await.is_ok()).await;
    }

    #[tokio::test]
    async fn a_link_that_goes_silent_keeps_no_follower_and_no_end() {
        let direct = PostgresServer::shared().create_database();
        let mut through = url::Url::parse(&direct).unwrap();
        let proxy = TcpProxy::to(through.port().unwrap());
        through.set_port(Some(proxy.port())).unwrap();
        let store = Store::connect(through.as_str()).await.unwrap();
        store.migrate().await.unwrap();
        let follower = store.open_follower().await.unwrap();
        let sleeping = sqlx::query("SELECT pg_sleep(60)").execute(follower.writer());
        assert!(tokio::time::timeout(Duration::from_millis(100), sleeping).await.is_err());
        let mut writing = store.begin().await.unwrap();
        proxy.silence_connections();
        assert!(writing.connection().execute("SELECT 1").await.is_err());
        drop(writing);
        for store in [&store, &follower] {
            eventually("it works on a new connection", HANG_LIMIT, async || store.ping().await.is_ok()).await;
            eventually("it writes on one", HANG_LIMIT, async || store.probe_write().await.is_ok()).await;
        }
        let sleeping = sqlx::query("SELECT pg_sleep(60)").execute(store.writer());
        assert!(tokio::time::timeout(Duration::from_millis(100), sleeping).await.is_err());
        proxy.silence_connections();
        let closing = async {
            follower.close().await;
            store.close().await;
        };
        tokio::time::timeout(HANG_LIMIT, closing).await.expect("it does not wait for TCP");
    }

    #[tokio::test]
    async fn a_commit_is_durable_in_postgres_with_synchronous_commit_off() {
        let url = PostgresServer::shared().create_database();
        PostgresServer::shared().run_sql(
            &url,
            "ALTER DATABASE CURRENT SET synchronous_commit = off"
                .replace("CURRENT", url.rsplit('/').next().unwrap())
                .as_str(),
        );
        let store = Store::connect(&url).await.unwrap();
        let ask = |store: Store, name: &'static str| async move {
            let text = format!("SHOW {name}");
            let row = sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(text));
            row.fetch_one(store.writer()).await.unwrap()
        };
        assert_eq!(ask(store.clone(), "synchronous_commit").await, "on");
        assert_eq!(ask(store.open_follower().await.unwrap(), "synchronous_commit").await, "off");
        assert!(sqlx::query("CREATE TABLE t (x BIGINT)").execute(store.reader()).await.is_err());
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
