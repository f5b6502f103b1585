//! A pool of database connections, on `deadpool`. The pool of sqlx asks each connection that is given back whether it still works, for as
//! long as TCP waits: where a link goes silent, its slot is lost for some 15 minutes, and closing the pool waits as long. Here only a
//! connection that is given back in the middle of something is asked, and has a limit; one that has just replied is not tested, which saves
//! two round trips a statement. It never repeats a statement.

use async_stream::try_stream;
use deadpool::Runtime;
use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult, Timeouts,
};
use futures::TryStreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use sqlx::{Connection, Database, Describe, Either, Error, Execute, Executor, SqlStr};
use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A connection that was handed out within this time, and replied, is not tested before it is handed out again. Most followers of an idle
/// process ask more often.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// The part of [`PoolOptions::acquire_timeout`] that the test of an idle connection may take: a caller that meets a broken one has
/// time left to get another.
const TEST_SHARE: u32 = 3;

/// The pause before connecting again to a database that refuses connections because it starts. A start takes tenths of a second.
const CONNECT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// How long a graceful end may take on a link that may be silent. It needs no reply.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often closing looks whether a connection was given back: as often as a statement takes.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The limits of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolOptions {
    /// Connections at a time, at least one.
    pub connections_max: usize,
    /// How long a caller waits for a slot, and then for a connection, before it gets an error.
    pub acquire_timeout: Duration,
    /// Whether the link can break. A file's cannot: its connection is tested only after an error, or when a caller went away, and without a
    /// limit.
    pub can_break: bool,
}

/// Connections that are opened when they are needed and then kept. Clones share them. A connection belongs to the runtime in which it was
/// opened by [`ConnectionPool::acquire`], and stops working when that ends.
pub struct ConnectionPool<C: Connection> {
    pool: Pool<PoolConnector<C>>,
}

impl<C: Connection> Clone for ConnectionPool<C> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone() }
    }
}

impl<C: Connection> fmt::Debug for ConnectionPool<C> {
    /// Not how it connects: the address may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionPool").field("status", &self.pool.status()).finish_non_exhaustive()
    }
}

/// Opens connections and tests them.
struct PoolConnector<C> {
    connect: Box<dyn Fn() -> BoxFuture<'static, Result<C, Error>> + Send + Sync>,
    options: PoolOptions,
    is_closed: AtomicBool,
    /// How often an idle connection did not reply to its test.
    failed_tests: Arc<AtomicU64>,
}

/// What a slot of the pool holds.
struct PoolEntry<C> {
    /// `None` when it was closed.
    connection: Option<C>,
    state: EntryState,
    /// Of the whole pool.
    failed_tests: Arc<AtomicU64>,
    /// What `failed_tests` was when this connection last replied. Where it has grown since, this connection is taken for broken, too:
    /// otherwise one caller could meet a broken connection after the other.
    failed_tests_seen: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum EntryState {
    /// The last thing that was asked of it was replied to.
    Replied,
    /// In the middle of something.
    Unknown,
    /// In a transaction that only a statement of its own ends.
    InTransaction,
}

/// A connection for one caller, which goes back to the pool when it is dropped.
pub struct PooledConnection<C: Connection + 'static> {
    /// `None` when it was given back.
    slot: Option<Object<PoolConnector<C>>>,
    options: PoolOptions,
}

impl<C: Connection + 'static> fmt::Debug for PooledConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PooledConnection")
    }
}

impl<C: Connection + 'static> ConnectionPool<C> {
    /// A pool that has no connection yet. `connect` opens one with all of its settings.
    ///
    /// # Panics
    /// Never: the runtime that its timeouts need is named.
    pub fn new(
        options: PoolOptions,
        connect: impl Fn() -> BoxFuture<'static, Result<C, Error>> + Send + Sync + 'static,
    ) -> Self {
        let connector = PoolConnector {
            connect: Box::new(connect),
            options,
            is_closed: AtomicBool::new(false),
            failed_tests: Arc::default(),
        };
        let timeouts = Timeouts { wait: Some(options.acquire_timeout), create: None, recycle: None };
        let pool = Pool::builder(connector)
            .max_size(options.connections_max.max(1))
            .queue_mode(QueueMode::Lifo)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build();
        Self { pool: pool.expect("a pool with timeouts has a runtime") }
    }

    /// A connection of the pool, or a new one while there are fewer than the most.
    ///
    /// # Errors
    /// When all connections stay in use for the time limit, none can be opened, or the pool is closed.
    pub async fn acquire(&self) -> Result<PooledConnection<C>, Error> {
        let is_closed = || self.pool.manager().is_closed.load(Ordering::Acquire);
        if is_closed() {
            return Err(Error::PoolClosed);
        }
        match self.pool.get().await {
            Ok(_) if is_closed() => Err(Error::PoolClosed),
            Ok(slot) => Ok(PooledConnection { slot: Some(slot), options: self.pool.manager().options }),
            Err(PoolError::Backend(error)) => Err(error),
            Err(PoolError::Timeout(_)) => Err(Error::PoolTimedOut),
            Err(PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_)) => {
                Err(Error::PoolClosed)
            }
        }
    }

    /// Closes the idle connections at once, and each connection in use when it is given back. From now on callers get an error.
    pub async fn close(&self) {
        let connector = self.pool.manager();
        connector.is_closed.store(true, Ordering::Release);
        loop {
            for entry in self.pool.retain(|_, _| false).removed {
                close(entry.connection, connector.options).await;
            }
            let status = self.pool.status();
            if status.size == 0 && status.waiting == 0 {
                return;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// Ends a connection gracefully, so that the database or the file is rid of it at once.
async fn close<C: Connection>(connection: Option<C>, options: PoolOptions) {
    let Some(connection) = connection else { return };
    // Whether the database has heard of it or not, the connection is gone.
    if options.can_break {
        let _closed = tokio::time::timeout(CLOSE_TIMEOUT, connection.close()).await;
    } else {
        let _closed = connection.close().await;
    }
}

impl<C> PoolEntry<C> {
    fn mark_replied(&mut self) {
        self.state = EntryState::Replied;
        self.failed_tests_seen = self.failed_tests.load(Ordering::Relaxed);
    }
}

/// What a test of a connection found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TestResult {
    Works,
    Broken,
    /// There was no reply within the limit.
    Silent,
}

impl<C: Connection> PoolEntry<C> {
    /// Whether it may be used again. Without a limit it waits for as long as the connection is at work.
    async fn test(&mut self, limit: Option<Duration>) -> TestResult {
        let Some(connection) = &mut self.connection else { return TestResult::Broken };
        if self.state == EntryState::InTransaction {
            return TestResult::Broken;
        }
        let replying = async {
            match connection.ping().await {
                // The reply to a statement whose caller went away: the database cancelled it.
                Err(Error::Database(_)) => connection.ping().await,
                replied => replied,
            }
        };
        let replied = match limit {
            Some(limit) => tokio::time::timeout(limit, replying).await,
            None => Ok(replying.await),
        };
        match replied {
            Ok(Ok(())) => {
                self.mark_replied();
                TestResult::Works
            }
            Ok(Err(_)) => TestResult::Broken,
            Err(_) => TestResult::Silent,
        }
    }
}

impl<C: Connection + 'static> PooledConnection<C> {
    /// To be called with the result of each piece of work: a connection that has replied is used again without a test. After an error it is
    /// tested, because some errors end the session.
    pub fn mark_replied<T>(&mut self, result: &Result<T, Error>) {
        if result.is_ok() {
            self.entry_mut().mark_replied();
        }
    }

    /// To be called before a statement that begins a transaction. When the connection is dropped before
    /// [`PooledConnection::mark_replied`] was called for the end of that transaction, it is closed.
    pub fn enter_transaction(&mut self) {
        self.entry_mut().state = EntryState::InTransaction;
    }

    /// Closes the connection instead of giving it back.
    pub fn discard(mut self) {
        let Some(slot) = self.slot.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(close_slot(slot, self.options));
        } else {
            drop(Object::take(slot));
        }
    }

    fn entry_mut(&mut self) -> &mut PoolEntry<C> {
        self.slot.as_mut().expect(HAS_SLOT)
    }
}

/// Closes the connection of a slot, and then frees the slot.
async fn close_slot<C: Connection>(mut slot: Object<PoolConnector<C>>, options: PoolOptions) {
    close(slot.connection.take(), options).await;
    drop(Object::take(slot));
}

const HAS_SLOT: &str = "a connection has its slot until it is dropped";
const HAS_CONNECTION: &str = "a slot in use has its connection";

impl<C: Connection + 'static> Deref for PooledConnection<C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.slot.as_ref().expect(HAS_SLOT).connection.as_ref().expect(HAS_CONNECTION)
    }
}

impl<C: Connection + 'static> DerefMut for PooledConnection<C> {
    /// From now on the connection counts as one that has not replied, until [`PooledConnection::mark_replied`] is called.
    fn deref_mut(&mut self) -> &mut C {
        let entry = self.entry_mut();
        if entry.state == EntryState::Replied {
            entry.state = EntryState::Unknown;
        }
        entry.connection.as_mut().expect(HAS_CONNECTION)
    }
}

impl<C: Connection + 'static> Drop for PooledConnection<C> {
    fn drop(&mut self) {
        let Some(mut slot) = self.slot.take() else { return };
        if slot.state == EntryState::Replied {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            // A transaction is closed; any other connection is tested by the next caller.
            if slot.state == EntryState::InTransaction {
                drop(Object::take(slot));
            }
            return;
        };
        let options = self.options;
        runtime.spawn(async move {
            let limit = options.can_break.then_some(options.acquire_timeout);
            if slot.test(limit).await != TestResult::Works {
                close_slot(slot, options).await;
            }
        });
    }
}

/// Each statement on a connection of its own.
impl<'p, C: Connection + 'static> Executor<'p> for &'p ConnectionPool<C>
where
    for<'c> &'c mut C: Executor<'c, Database = C::Database>,
{
    type Database = C::Database;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<FetchedOf<C>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, C::Database>,
    {
        Box::pin(try_stream! {
            let mut connection = self.acquire().await?;
            let mut rows = connection.fetch_many(query);
            let result = loop {
                match rows.try_next().await {
                    Ok(Some(row)) => yield row,
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            drop(rows);
            connection.mark_replied(&result);
            result?;
        })
    }

    /// Reads to the end: sqlx's `Any` returns at the first row, before it knows whether what the statement wrote was committed.
    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<RowOf<C>>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, C::Database>,
    {
        Box::pin(async move {
            let mut fetched = self.fetch_many(query);
            let mut first = None;
            while let Some(step) = fetched.try_next().await? {
                first = first.or(step.right());
            }
            Ok(first)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [<C::Database as Database>::TypeInfo],
    ) -> BoxFuture<'e, Result<<C::Database as Database>::Statement, Error>>
    where
        'p: 'e,
    {
        Box::pin(async move {
            let mut connection = self.acquire().await?;
            let result = connection.prepare_with(sql, parameters).await;
            connection.mark_replied(&result);
            result
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<C::Database>, Error>>
    where
        'p: 'e,
    {
        Box::pin(async move {
            let mut connection = self.acquire().await?;
            let result = connection.describe(sql).await;
            connection.mark_replied(&result);
            result
        })
    }
}

type RowOf<C> = <<C as Connection>::Database as Database>::Row;
type FetchedOf<C> = Either<<<C as Connection>::Database as Database>::QueryResult, RowOf<C>>;

impl<C: Connection> Manager for PoolConnector<C> {
    type Type = PoolEntry<C>;
    type Error = Error;

    async fn create(&self) -> Result<PoolEntry<C>, Error> {
        let mut refusal = Error::PoolTimedOut;
        let connecting = async {
            loop {
                if self.is_closed.load(Ordering::Acquire) {
                    return Err(Error::PoolClosed);
                }
                refusal = match (self.connect)().await {
                    Err(error) if is_starting(&error) => error,
                    connected => return connected,
                };
                tokio::time::sleep(CONNECT_RETRY_DELAY).await;
            }
        };
        let connected = tokio::time::timeout(self.options.acquire_timeout, connecting).await;
        let connection = connected.unwrap_or(Err(refusal))?;
        let failed_tests = Arc::clone(&self.failed_tests);
        let failed_tests_seen = failed_tests.load(Ordering::Relaxed);
        let state = EntryState::Replied;
        Ok(PoolEntry { connection: Some(connection), state, failed_tests, failed_tests_seen })
    }

    async fn recycle(&self, entry: &mut PoolEntry<C>, metrics: &Metrics) -> RecycleResult<Error> {
        let PoolOptions { can_break, acquire_timeout, .. } = self.options;
        if can_break && entry.failed_tests_seen != self.failed_tests.load(Ordering::Relaxed) {
            return Err(RecycleError::message("another connection did not reply"));
        }
        let was_just_used = !can_break || metrics.last_used() < TRUSTED_FOR;
        if entry.connection.is_some() && entry.state == EntryState::Replied && was_just_used {
            return Ok(());
        }
        match entry.test(can_break.then_some(acquire_timeout / TEST_SHARE)).await {
            TestResult::Works => return Ok(()),
            TestResult::Broken => {}
            TestResult::Silent => {
                // Several that are found at once count as one.
                let (seen, order) = (entry.failed_tests_seen, Ordering::Relaxed);
                let _counted = self.failed_tests.compare_exchange(seen, seen + 1, order, order);
            }
        }
        Err(RecycleError::message("it did not reply"))
    }
}

/// Whether the database will take connections in a moment, as far as its refusal tells.
fn is_starting(error: &Error) -> bool {
    match error {
        Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use sqlx::ConnectOptions as _;
    use sqlx::postgres::{PgConnectOptions, PgConnection};
    use test_servers::ReservedPort;
    use test_servers::postgres::PostgresServer;
    use test_servers::proxy::TcpProxy;

    /// Far less than TCP waits.
    const LIMIT: Duration = Duration::from_secs(30);

    fn options(connections_max: usize, acquire_timeout: Duration) -> PoolOptions {
        PoolOptions { connections_max, acquire_timeout, can_break: true }
    }

    fn open(address: PgConnectOptions, options: PoolOptions) -> ConnectionPool<PgConnection> {
        ConnectionPool::new(options, move || {
            let address = address.clone();
            async move { address.connect().await }.boxed()
        })
    }

    fn database() -> PgConnectOptions {
        PostgresServer::shared().create_database().parse().unwrap()
    }

    async fn backend_id(pool: &ConnectionPool<PgConnection>) -> Result<i32, Error> {
        let mut connection = pool.acquire().await?;
        let id = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *connection).await;
        connection.mark_replied(&id);
        id
    }

    #[tokio::test]
    async fn a_connection_is_used_again_and_callers_wait_for_it() {
        let pool = open(database(), options(1, Duration::from_millis(200)));
        let first = backend_id(&pool).await.unwrap();
        assert_eq!(backend_id(&pool).await.unwrap(), first);
        let held = pool.acquire().await.unwrap();
        assert!(matches!(pool.acquire().await.unwrap_err(), Error::PoolTimedOut));
        drop(held);
        let mut failing = pool.acquire().await.unwrap();
        let failed = failing.execute("no SQL").await;
        failing.mark_replied(&failed);
        drop(failing);
        assert_eq!(backend_id(&pool).await.unwrap(), first, "after an error it is tested, and kept");
        pool.acquire().await.unwrap().discard();
        assert_ne!(backend_id(&pool).await.unwrap(), first);
    }

    #[tokio::test]
    async fn links_that_go_silent_in_the_middle_of_statements_cost_no_slot() {
        const SLOTS: usize = 3;
        let direct = database();
        let proxy = TcpProxy::to(direct.get_port());
        let address = direct.clone().host("127.0.0.1").port(proxy.port());
        let pool = open(address, options(SLOTS, Duration::from_secs(3)));
        let mut connections = Vec::new();
        for _ in 0..SLOTS {
            connections.push(pool.acquire().await.unwrap());
        }
        proxy.silence_connections();
        for connection in &mut connections {
            let statement = connection.execute("SELECT 1");
            assert!(tokio::time::timeout(Duration::from_millis(100), statement).await.is_err());
        }
        drop(connections);
        let mut working = Vec::new();
        for _ in 0..SLOTS {
            let acquired = tokio::time::timeout(LIMIT, async {
                loop {
                    // One caller may use up its time on connections that do not reply.
                    if let Ok(connection) = pool.acquire().await {
                        break connection;
                    }
                }
            });
            working.push(acquired.await.expect("the slot is free again"));
        }
        for connection in &mut working {
            connection.execute("SELECT 1").await.unwrap();
        }
        proxy.silence_connections();
        drop(working);
        tokio::time::timeout(LIMIT, pool.close()).await.expect("closing does not wait for TCP");
        assert!(matches!(pool.acquire().await.unwrap_err(), Error::PoolClosed));
    }

    #[tokio::test]
    async fn a_session_that_the_database_ended_fails_one_statement() {
        let address = database();
        let pool = open(address.clone(), options(1, LIMIT));
        let ended = backend_id(&pool).await.unwrap();
        let mut admin = address.connect().await.unwrap();
        sqlx::query("SELECT pg_terminate_backend($1, 30000)").bind(ended).execute(&mut admin).await.unwrap();
        assert!(backend_id(&pool).await.is_err());
        assert_ne!(backend_id(&pool).await.unwrap(), ended);
    }

    #[tokio::test]
    async fn of_idle_links_that_went_silent_one_is_tested() {
        let direct = database();
        let proxy = TcpProxy::to(direct.get_port());
        let address = direct.clone().host("127.0.0.1").port(proxy.port());
        let pool = open(address, options(4, Duration::from_secs(3)));
        let mut connections = Vec::new();
        for _ in 0..4 {
            connections.push(pool.acquire().await.unwrap());
        }
        drop(connections);
        tokio::time::sleep(TRUSTED_FOR).await;
        proxy.silence_connections();
        backend_id(&pool).await.unwrap();
        assert_eq!(pool.pool.manager().failed_tests.load(Ordering::Relaxed), 1);
        assert_eq!(pool.pool.status().size, 1, "the others were closed with it");
    }

    #[tokio::test]
    async fn a_connection_whose_transaction_was_not_ended_is_not_used_again() {
        let pool = open(database(), options(1, LIMIT));
        let mut left = pool.acquire().await.unwrap();
        left.enter_transaction();
        left.execute("BEGIN").await.unwrap();
        drop(left);
        let mut ended = pool.acquire().await.unwrap();
        let id: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *ended).await.unwrap();
        ended.enter_transaction();
        ended.execute("BEGIN").await.unwrap();
        let rolled_back = ended.execute("ROLLBACK").await;
        ended.mark_replied(&rolled_back);
        drop(ended);
        assert_eq!(backend_id(&pool).await.unwrap(), id);
        let in_transaction = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'";
        let open: i64 = sqlx::query_scalar(in_transaction).fetch_one(&pool).await.unwrap();
        assert_eq!(open, 0);
    }

    #[tokio::test]
    async fn a_statement_that_fails_after_its_first_row_fails() {
        let pool = open(database(), options(1, LIMIT));
        let rows = "SELECT 10 / (3 - n) FROM generate_series(1, 3) AS n";
        assert!(sqlx::query(rows).fetch_optional(&pool).await.is_err());
    }

    #[tokio::test]
    async fn a_database_that_refuses_connections_is_named() {
        let nobody = ReservedPort::reserve();
        let address = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(nobody.get());
        let refused = open(address, options(1, Duration::from_millis(200))).acquire().await.unwrap_err();
        assert!(
            matches!(&refused, Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused),
            "{refused}"
        );
    }

    #[tokio::test]
    async fn closing_waits_for_what_is_in_use() {
        let pool = open(database(), options(2, LIMIT));
        let mut used = pool.acquire().await.unwrap();
        backend_id(&pool).await.unwrap();
        let closing = tokio::spawn({
            let pool = pool.clone();
            async move { pool.close().await }
        });
        let refused = tokio::time::timeout(LIMIT, async {
            loop {
                match pool.acquire().await {
                    Ok(connection) => drop(connection),
                    Err(error) => break error,
                }
            }
        });
        assert!(matches!(refused.await.unwrap(), Error::PoolClosed));
        used.execute("SELECT 1").await.unwrap();
        assert!(!closing.is_finished());
        drop(used);
        tokio::time::timeout(LIMIT, closing).await.unwrap().unwrap();
    }
}
