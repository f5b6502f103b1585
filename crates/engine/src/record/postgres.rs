//! The ledger in PostgreSQL: the rows of `ledger.db` in tables that many processes may write and read.
//!
//! The primary key refuses the second of two writers with the same event number, and the *epoch* refuses a writer whose time is
//! over: every batch is one transaction that first locks the epochs under which it was decided, and writes nothing when one of
//! them has changed. Raising an epoch waits for the writers in flight; then the ledger has all that will ever be written under
//! the old one. Only epochs are updated, nothing is deleted, and nothing here decides.

mod claim;
mod claim_watch;
mod connect;
mod entry_columns;
mod epochs;
mod reached;
mod reader;
mod runtime;
mod schema;
mod shared;
mod writer;

pub use connect::{BadAddress, PostgresAddress};
pub use epochs::PostgresEpochs;
pub(crate) use reached::write_reached_time;
pub use reader::PostgresReader;
pub(super) use schema::clear_tables;
pub use schema::create_tables;
pub use shared::{AppendResult, EventRange, SaleHead, SharedWriter};
pub use writer::PostgresRecorder;
pub(crate) use writer::is_disconnected;

use crate::record::{ReadError, RecordError};
use std::time::Duration;

/// How long an append, a probe or a page may take, connecting included: callers wait no longer. After that a batch is not known
/// to be recorded, and the next epoch settles whether it is.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1_500);

/// PostgreSQL's codes for a table and for an index that are not as they were written.
const DAMAGE_CODES: [&str; 2] = ["XX001", "XX002"];

impl From<sqlx::Error> for RecordError {
    fn from(error: sqlx::Error) -> Self {
        match ReadError::from(error) {
            ReadError::Store(error) => Self::Store(error),
            damage => Self::Ledger(damage),
        }
    }
}

impl From<sqlx::Error> for ReadError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        if code.is_some_and(|code| DAMAGE_CODES.contains(&&*code)) {
            return Self::Corrupt { file: "the database".to_owned(), cause: Box::new(error) };
        }
        Self::Store(Box::new(error))
    }
}
