//! `--database`: the address of a PostgreSQL, and how each command opens the ledger and the tables in it. The address may hold a
//! password: no error and no log shows it.

use super::CommandError;
use crate::store::Store;
use anyhow::Context;
use engine::record::postgres::{self, PostgresAddress, PostgresReader};
use engine::record::{ReadError, RecordError};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// The value of `--database`. It is parsed when it is used, because clap repeats a value that it refuses, password included.
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
    /// The address of the ledger.
    pub(super) fn address(&self) -> Result<PostgresAddress, CommandError> {
        PostgresAddress::parse(&self.0).map_err(|error| CommandError::Usage(format!("--database: {error}")))
    }

    /// Opens the tables for requests, with short timeouts.
    pub(super) async fn open_tables(&self) -> Result<Store, CommandError> {
        self.address()?;
        Ok(Store::connect(&self.0).await.context(CANNOT_BE_USED)?)
    }

    /// Opens the tables for a command, without timeouts.
    pub(super) async fn open_tables_without_timeout(&self) -> Result<Store, CommandError> {
        self.address()?;
        Ok(Store::connect_without_timeout(&self.0).await.context(CANNOT_BE_USED)?)
    }

    /// Creates what is missing of the ledger and of the tables.
    pub(super) async fn prepare(&self) -> Result<(), CommandError> {
        postgres::create_tables(&self.address()?).await.map_err(|error| ledger_error(error.into()))?;
        let store = self.open_tables_without_timeout().await?;
        store.migrate().await.context(CANNOT_BE_USED)?;
        store.close().await;
        Ok(())
    }

    /// Opens the ledger for reading.
    pub(super) async fn open_ledger(&self) -> Result<PostgresReader, CommandError> {
        PostgresReader::open(&self.address()?).await.map_err(|error| ledger_error(error.into()))
    }
}

const CANNOT_BE_USED: &str = "--database: the database cannot be used";

/// The error of a command for a ledger that cannot be used, with the flag. Damage stays as it is.
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
