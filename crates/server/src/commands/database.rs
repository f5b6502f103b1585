//! `--database`: the address of a PostgreSQL, and how each command comes to the ledger and the tables in it. The address may hold
//! a password: it is never shown, not in an error and not in a log.

use super::CommandError;
use crate::store::Store;
use anyhow::Context;
use engine::record::postgres::{self, PostgresAddress, PostgresReader};
use engine::record::{ReadError, RecordError};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// What stands behind `--database`. It is looked at when it is used: the parser of the command line repeats what it refuses.
#[derive(Clone)]
pub struct DatabaseUrl(String);

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

impl FromStr for DatabaseUrl {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl DatabaseUrl {
    /// Where the ledger is.
    pub(super) fn address(&self) -> Result<PostgresAddress, CommandError> {
        PostgresAddress::parse(&self.0).map_err(|error| CommandError::Usage(format!("--database: {error}")))
    }

    /// The tables, for those who serve callers.
    pub(super) async fn open_tables(&self) -> Result<Store, CommandError> {
        self.address()?;
        Ok(Store::connect(&self.0).await.context(CANNOT_BE_USED)?)
    }

    /// The tables, for a command that takes its time.
    pub(super) async fn open_tables_without_timeout(&self) -> Result<Store, CommandError> {
        self.address()?;
        Ok(Store::connect_without_timeout(&self.0).await.context(CANNOT_BE_USED)?)
    }

    /// Makes what is missing of the ledger and of the tables.
    pub(super) async fn prepare(&self) -> Result<(), CommandError> {
        postgres::create_tables(&self.address()?).await.map_err(|error| ledger_error(error.into()))?;
        let store = self.open_tables_without_timeout().await?;
        store.migrate().await.context(CANNOT_BE_USED)?;
        store.close().await;
        Ok(())
    }

    /// The ledger, to be read.
    pub(super) async fn open_ledger(&self) -> Result<PostgresReader, CommandError> {
        PostgresReader::open(&self.address()?).await.map_err(|error| ledger_error(error.into()))
    }
}

const CANNOT_BE_USED: &str = "--database: the database cannot be used";

/// Why a ledger in a database cannot be used, with the flag. Damage is told by itself.
pub(super) fn ledger_error(error: RecordError) -> CommandError {
    match error {
        RecordError::Ledger(error @ ReadError::Missing { .. }) => {
            CommandError::Usage(format!("--database: {error}: run `doorbuster migrate` first"))
        }
        RecordError::Ledger(error @ ReadError::Foreign { .. }) => {
            CommandError::Usage(format!("--database: {error}"))
        }
        RecordError::Ledger(error @ (ReadError::Damaged { .. } | ReadError::Corrupt { .. })) => {
            CommandError::Failed(error.into())
        }
        error => CommandError::Failed(anyhow::Error::from(error).context(CANNOT_BE_USED)),
    }
}
