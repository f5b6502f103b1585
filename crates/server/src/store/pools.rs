//! The pools of connections to SQLite or PostgreSQL: their sizes, and the settings of each connection. It knows no table.

use super::{DATABASE_FILE, StoreError};
use connection_pool::{ConnectionPool, PoolOptions};
use futures::FutureExt as _;
use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions, Connection as _, Executor};
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Readers of a file at a time: SQLite's WAL lets them run beside the writer; pages beyond a few do not get faster.
const FILE_READERS_MAX: usize = 4;

/// Connections to PostgreSQL that write, and that read: a few for each of a server's usual cores.
const DATABASE_WRITERS_MAX: usize = 8;
const DATABASE_READERS_MAX: usize = 8;

/// Group writers: while one waits for the disk, the other runs its statements.
const DATABASE_GROUP_WRITERS: usize = 2;

/// Connections of a group writer: it uses one, unless that one's end is waited for because the database did not answer.
const DATABASE_GROUP_CONNECTIONS_MAX: usize = 2;

/// How long a caller waits for a connection to a file before it gets [`StoreError`].
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long PostgreSQL may take for a caller's statement, and the pool for a connection. After that the statement is cancelled
/// and the caller gets [`StoreError`].
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_millis(1_500);

/// How long PostgreSQL may take for a follower's statement. No caller waits for a follower.
pub(super) const FOLLOWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections to the tables.
pub(super) type StorePool = ConnectionPool<AnyConnection>;

/// Where the tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreBackend {
    Sqlite,
    /// PostgreSQL with [`ANSWER_TIMEOUT`], for requests.
    Postgres,
    /// PostgreSQL without a timeout, for commands.
    PostgresNoTimeout,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionPurpose {
    Write,
    /// The same for the writes of many callers in one transaction.
    WriteGroups,
    Read,
    /// To read and to write what can be written again: a commit need not wait for the disk.
    Follow,
}

impl StoreBackend {
    /// How long a statement may take; a file's waits for its lock by itself.
    pub(super) fn statement_timeout(self) -> Option<Duration> {
        (self == Self::Postgres).then_some(ANSWER_TIMEOUT)
    }

    /// The options of a file in a folder, which is created here if there is none. Connections that are opened later create none: where the
    /// file was removed, an empty one in its place would hide that.
    pub(super) fn file_options(folder: &Path) -> Result<AnyConnectOptions, StoreError> {
        let file = folder.join(DATABASE_FILE);
        match OpenOptions::new().write(true).create_new(true).open(&file) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(sqlx::Error::Io(error).into());
            }
            _ => {}
        }
        Self::address_options(&sqlite_url(&file, "rw"))
    }

    /// The options of a file in a folder that is only read.
    pub(super) fn read_only_file_options(
        folder: &Path,
        is_immutable: bool,
    ) -> Result<AnyConnectOptions, StoreError> {
        let url = sqlite_url(&folder.join(DATABASE_FILE), "ro");
        Self::address_options(&if is_immutable { url + "&immutable=true" } else { url })
    }

    /// The options of an address.
    pub(super) fn address_options(url: &str) -> Result<AnyConnectOptions, StoreError> {
        sqlx::any::install_default_drivers();
        // The address may contain a password, so the error does not show it.
        let options = url.parse::<AnyConnectOptions>().map_err(|_| StoreError::Address)?;
        // The metrics show slow statements; sqlx would log each one.
        Ok(options.disable_statement_logging())
    }

    /// Opens a pool with one connection.
    pub(super) async fn open_pool(
        self,
        options: &AnyConnectOptions,
        purpose: ConnectionPurpose,
    ) -> Result<StorePool, StoreError> {
        let statements = self.session_settings(purpose);
        let pool_options = PoolOptions {
            connections_max: self.connections_max(purpose),
            acquire_timeout: self.statement_timeout().unwrap_or(ACQUIRE_TIMEOUT),
            can_break: self != Self::Sqlite,
        };
        let options = options.clone();
        let pool = ConnectionPool::new(pool_options, move || {
            let options = options.clone();
            async move {
                let mut connection = AnyConnection::connect_with(&options).await?;
                apply_settings(&mut connection, statements).await?;
                Ok(connection)
            }
            .boxed()
        });
        drop(pool.acquire().await?);
        Ok(pool)
    }

    /// Writers of groups that run at a time.
    pub(super) fn group_writers(self) -> usize {
        if self == Self::Sqlite { 1 } else { DATABASE_GROUP_WRITERS }
    }

    fn connections_max(self, purpose: ConnectionPurpose) -> usize {
        match (self, purpose) {
            (_, ConnectionPurpose::Follow)
            | (Self::Sqlite, ConnectionPurpose::Write | ConnectionPurpose::WriteGroups) => 1,
            (_, ConnectionPurpose::WriteGroups) => DATABASE_GROUP_CONNECTIONS_MAX,
            (Self::Sqlite, ConnectionPurpose::Read) => FILE_READERS_MAX,
            (_, ConnectionPurpose::Write) => DATABASE_WRITERS_MAX,
            (_, ConnectionPurpose::Read) => DATABASE_READERS_MAX,
        }
    }

    fn session_settings(self, purpose: ConnectionPurpose) -> &'static [&'static str] {
        match (self, purpose) {
            (Self::Sqlite, ConnectionPurpose::Write | ConnectionPurpose::WriteGroups) => &[
                "PRAGMA busy_timeout = 5000",
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                "PRAGMA foreign_keys = ON",
            ],
            (Self::Sqlite, ConnectionPurpose::Follow) => {
                &["PRAGMA busy_timeout = 5000", "PRAGMA synchronous = NORMAL"]
            }
            (Self::Sqlite, ConnectionPurpose::Read) => {
                &["PRAGMA busy_timeout = 5000", "PRAGMA query_only = ON"]
            }
            (Self::Postgres, ConnectionPurpose::Write) => &[SHORT_TIMEOUTS, DURABLE_COMMITS],
            (Self::Postgres, ConnectionPurpose::WriteGroups) => {
                &[SHORT_TIMEOUTS, DURABLE_COMMITS, FRESH_PLANS]
            }
            (Self::PostgresNoTimeout, ConnectionPurpose::WriteGroups) => &[DURABLE_COMMITS, FRESH_PLANS],
            (Self::Postgres, ConnectionPurpose::Read) => {
                &[SHORT_TIMEOUTS, "SET default_transaction_read_only = on"]
            }
            (_, ConnectionPurpose::Follow) => &[LONG_TIMEOUTS, "SET synchronous_commit = off"],
            (Self::PostgresNoTimeout, ConnectionPurpose::Write) => &[DURABLE_COMMITS],
            (Self::PostgresNoTimeout, ConnectionPurpose::Read) => &["SET default_transaction_read_only = on"],
        }
    }
}

/// [`ANSWER_TIMEOUT`] as PostgreSQL's settings, so that the server cancels a statement whose caller has given up. A lock is waited for less
/// long: otherwise the error would say that the statement took too long, and not why.
const SHORT_TIMEOUTS: &str = "
SELECT set_config(name, CASE name WHEN 'lock_timeout' THEN '1000ms' ELSE '1500ms' END, false) FROM pg_settings
WHERE name IN (
    'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'client_connection_check_interval'
)";

/// [`FOLLOWER_TIMEOUT`] as PostgreSQL's settings.
const LONG_TIMEOUTS: &str = "
SELECT set_config(name, '10s', false) FROM pg_settings
WHERE name IN (
    'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'client_connection_check_interval'
)";

/// A statement with the rows of many callers is planned each time: a plan that is kept from a small table reads the whole table when that has
/// grown, and a rush is over before PostgreSQL has counted the rows.
const FRESH_PLANS: &str = "SET plan_cache_mode = force_custom_plan";

/// Commits wait for the disk, even where the database's default is `synchronous_commit = off`; stricter settings stay.
const DURABLE_COMMITS: &str = "
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name = 'synchronous_commit' AND setting = 'off'";

async fn apply_settings(
    connection: &mut AnyConnection,
    statements: &'static [&'static str],
) -> Result<(), sqlx::Error> {
    for statement in statements {
        connection.execute(*statement).await?;
    }
    Ok(())
}

/// SQLite's URL of a file; `%`, `?` and `#` in its path must not be read as parts of the URL.
fn sqlite_url(file: &Path, mode: &str) -> String {
    let path = file.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("sqlite://{path}?mode={mode}")
}
