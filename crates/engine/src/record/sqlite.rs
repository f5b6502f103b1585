//! The ledger of one machine: `ledger.db`, an append-only SQLite file.
//!
//! A row's key is the sale's number and the event's `seq` in one integer, so the primary key is `(sale, seq)` itself, appending
//! is the cheapest operation of a B-tree, and no other index exists. WAL with `synchronous=FULL`: a committed batch is on the
//! disk before its callers get their replies. Nothing here is ever updated or deleted; `repair` moves rows that a power loss
//! tore into a table of their own.

mod log;
mod reached;
mod reader;
mod repair;
mod row;
mod structure;
mod writer;

pub(crate) use reached::{ReachedTimeWriter, load_reached_time};
pub(crate) use repair::move_torn_tails;

pub use log::check_log;
pub use reader::SqliteReader;
pub use repair::TornTail;
pub use structure::{StructureCheck, StructureError, check_structure};
pub use writer::SqliteRecorder;

use crate::record::{ReadError, RecordError};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file's name within a data folder.
pub const FILE: &str = "ledger.db";

/// `DBLG`: lets `file(1)` tell a ledger from another database.
const APPLICATION_ID: i64 = 0x4442_4C47;
/// The format of the rows; raised when a reader of today could not read them.
const FORMAT: i64 = 1;

/// How long a statement waits for other connections. Only a foreign one (a shell, a backup) ever makes it wait.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the last writer waits for readers before it leaves the log as it is.
const READER_WAIT: Duration = Duration::from_secs(1);

/// The length of the log's file under load, in bytes: writes within it need not make the file longer, and `fdatasync` takes a
/// third less time (measured on ext4: 0.18 ms for 0.27 ms at the tenth percentile). SQLite reads this much in 20 ms after a
/// crash.
const LOG_BYTES: u64 = 16 << 20;

const SCHEMA: &str = "
CREATE TABLE sales (
    no  INTEGER PRIMARY KEY,
    id  BLOB NOT NULL UNIQUE,
    crc INTEGER NOT NULL
) STRICT;
CREATE TABLE entries (
    key  INTEGER PRIMARY KEY,
    at   INTEGER NOT NULL,
    body BLOB NOT NULL,
    crc  INTEGER NOT NULL
) STRICT;
CREATE TABLE probe (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL
) STRICT;
CREATE TABLE torn (key, at, body, crc);
";

/// Opens the file in `folder` for writing; makes it if there is none, and refuses it when it is not a ledger.
fn open_for_writing(folder: &Path) -> Result<Connection, ReadError> {
    let mut connection = Connection::open(folder.join(FILE))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    if is_ledger(&connection)? {
        make_durable(&connection)?;
    } else {
        make_durable(&connection)?;
        let transaction = connection.transaction()?;
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.commit()?;
    }
    Ok(connection)
}

/// Makes the file in `folder`, without a sale.
pub(crate) fn create_ledger(folder: &Path) -> Result<(), ReadError> {
    open_for_writing(folder).map(drop)
}

/// Sets every commit to be on the disk when it returns, and the log to be copied back only by [`checkpoint`].
fn make_durable(connection: &Connection) -> Result<(), ReadError> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(ReadError::Foreign {
            file: FILE,
            what: "its file system does not support a write-ahead log",
        });
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", i64::try_from(LOG_BYTES).unwrap_or(-1))?;
    Ok(())
}

/// How a file is opened for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadAccess {
    /// Beside a process that may write it, with SQLite's shared memory.
    Shared,
    /// As a file that nothing changes and that has no log: nothing beside it is read, made or locked. What is written meanwhile
    /// is read torn.
    Immutable,
}

fn open_read_only(folder: &Path) -> Result<Connection, ReadError> {
    open_read_only_with(folder, ReadAccess::Shared)
}

fn open_read_only_with(folder: &Path, access: ReadAccess) -> Result<Connection, ReadError> {
    let file = folder.join(FILE);
    if !file.exists() {
        return Err(ReadError::Missing { place: folder.display().to_string() });
    }
    let connection = open_file(&file, access)?;
    if is_ledger(&connection)? {
        Ok(connection)
    } else {
        Err(ReadError::Missing { place: folder.display().to_string() })
    }
}

/// Opens any SQLite file for reading.
fn open_file(file: &Path, access: ReadAccess) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match access {
        ReadAccess::Shared => Connection::open_with_flags(file, flags)?,
        ReadAccess::Immutable => {
            Connection::open_with_flags(immutable_uri(file), flags | OpenFlags::SQLITE_OPEN_URI)?
        }
    };
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// The file as a URI, in which only letters, digits and `-./_` stand for themselves.
fn immutable_uri(file: &Path) -> String {
    // Put together anew, a path has no double slash, which would begin a host's name.
    let file: PathBuf = file.components().collect();
    let mut uri = String::from("file:");
    for byte in file.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-./_".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            let _ = write!(uri, "%{byte:02x}");
        }
    }
    uri + "?immutable=1"
}

/// True for a ledger of this format, false for an empty file; anything else is an error.
fn is_ledger(connection: &Connection) -> Result<bool, ReadError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let foreign = |what| Err(ReadError::Foreign { file: FILE, what });
    let (application, format) = (pragma("application_id")?, pragma("user_version")?);
    if application == APPLICATION_ID {
        return if format == FORMAT { Ok(true) } else { foreign("it was written by a newer version") };
    }
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == 0 && tables == 0 { Ok(false) } else { foreign("it is a database of something else") }
}

/// Checkpoints the WAL (copies it back into the file) as far as its readers allow, without waiting for them. Returns how many bytes of the log
/// are left: 0 when all was copied, because the next write then starts the log from the beginning.
fn checkpoint(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        let (busy, frames, copied): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let all_copied = !busy && frames == copied;
        Ok(if all_copied { 0 } else { u64::try_from(frames * page_bytes).unwrap_or(0) })
    })
}

/// Copies all of the log back into the file and cuts the log to nothing, unless a reader is in the middle of it for longer than
/// [`READER_WAIT`]. For the end, because it waits for readers.
fn empty_log(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(READER_WAIT)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

impl From<rusqlite::Error> for RecordError {
    fn from(error: rusqlite::Error) -> Self {
        match ReadError::from(error) {
            ReadError::Store(error) => Self::Store(error),
            damage => Self::Ledger(damage),
        }
    }
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt { file: FILE.to_owned(), cause: Box::new(error) }
            }
            _ => Self::Store(Box::new(error)),
        }
    }
}
