//! The ledger in PostgreSQL: the rows of `ledger.db` in tables that many may write and read.
//!
//! The key refuses the second of two writers who gave the same number, and the *epoch* refuses a writer whose time is over:
//! every batch is one transaction that first locks the epochs under which it was decided, and keeps nothing when one of them
//! is not what it was. Whoever raises an epoch waits for the writers in flight; what it reads then is all that the old epoch
//! will ever have written. Nothing here is updated or deleted but epochs, and nothing here decides.

mod claim;
mod claim_watch;
mod connect;
mod entry_columns;
mod epochs;
mod reader;
mod runtime;
mod schema;
mod shared;
mod writer;

pub use connect::{BadAddress, PostgresAddress};
pub use epochs::PostgresEpochs;
pub use reader::PostgresReader;
pub use schema::create_tables;
pub use shared::{AppendResult, EventRange, SaleHead, SharedWriter};
pub use writer::PostgresRecorder;
pub(crate) use writer::is_disconnected;

use crate::record::{ReadError, RecordError};
use std::time::Duration;

/// How long an append, a probe or a page may take, connecting included: nobody waits longer for an answer. Beyond it they
/// are told that it is not known to be done, and whether it is, is settled under the next epoch.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1_500);

impl From<sqlx::Error> for RecordError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(Box::new(error))
    }
}

impl From<sqlx::Error> for ReadError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(Box::new(error))
    }
}
