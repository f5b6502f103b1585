//! `--database`: the address of a PostgreSQL, and how each command opens the ledger and the tables in it. The address may hold a
//! password: no error and no log shows it.

use super::CommandError;
use crate::store::{Store, moves};
use anyhow::Context;
use engine::record::postgres::{self, PostgresAddress, PostgresReader};
use engine::record::{ReadError, RecordError};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// The value of `--database`. It is parsed when it is used, because clap repeats a value that it refuses, password included.
#[derive(Clone)]
pub struct DatabaseUrl {
    url: String,
    /// The flag that an error names.
    flag: &'static str,
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

impl FromStr for DatabaseUrl {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self { url: text.to_owned(), flag: "--database" })
    }
}

impl DatabaseUrl {
    /// The address of the ledger.
    pub(super) fn address(&self) -> Result<PostgresAddress, CommandError> {
        PostgresAddress::parse(&self.url)
            .map_err(|error| CommandError::Usage(format!("{}: {error}", self.flag)))
    }

    /// The same as the value of another flag.
    pub(super) fn with_flag(self, flag: &'static str) -> Self {
        Self { flag, ..self }
    }

    /// Opens the tables for requests, with short timeouts.
    pub(super) async fn open_tables(&self) -> Result<Store, CommandError> {
        self.address()?;
        Ok(Store::connect(&self.url).await.with_context(|| self.describe_failure())?)
    }

    /// Opens the tables for a command, without timeouts.
    pub(super) async fn open_tables_without_timeout(&self) -> Result<Store, CommandError> {
        self.address()?;
        Ok(Store::connect_without_timeout(&self.url).await.with_context(|| self.describe_failure())?)
    }

    /// Creates what is missing of the ledger and of the tables.
    pub(super) async fn prepare(&self) -> Result<(), CommandError> {
        let created = postgres::create_tables(&self.address()?).await;
        created.map_err(|error| ledger_error_of(self.flag, error.into()))?;
        let store = self.open_tables_without_timeout().await?;
        store.migrate().await.with_context(|| self.describe_failure())?;
        store.close().await;
        Ok(())
    }

    /// Opens the ledger for reading.
    pub(super) async fn open_ledger(&self) -> Result<PostgresReader, CommandError> {
        PostgresReader::open(&self.address()?).await.map_err(|error| ledger_error_of(self.flag, error.into()))
    }

    fn describe_failure(&self) -> String {
        format!("{}: {CANNOT_BE_USED}", self.flag)
    }
}

const CANNOT_BE_USED: &str = "the database cannot be used";

/// Refuses tables into which a move has begun and not ended.
pub(super) async fn refuse_unfinished_move(store: &Store) -> Result<(), CommandError> {
    if moves::is_unfinished(store).await.map_err(anyhow::Error::from)? {
        return Err(CommandError::Failed(anyhow::anyhow!(
            "a move into this database has begun and is not complete: repeat `doorbuster move`, which starts over, or use an empty database"
        )));
    }
    Ok(())
}

/// The error of a command for a ledger that cannot be used, with the flag. Damage stays as it is.
pub(super) fn ledger_error(error: RecordError) -> CommandError {
    ledger_error_of("--database", error)
}

fn ledger_error_of(flag: &str, error: RecordError) -> CommandError {
    match error {
        RecordError::Ledger(error @ ReadError::Missing { .. }) => {
            CommandError::Usage(format!("{flag}: {error}: run `doorbuster migrate` first"))
        }
        RecordError::Ledger(error @ ReadError::Foreign { .. }) => {
            CommandError::Usage(format!("{flag}: {error}"))
        }
        RecordError::Ledger(error @ (ReadError::Damaged { .. } | ReadError::Corrupt { .. })) => {
            CommandError::Failed(error.into())
        }
        error => {
            CommandError::Failed(anyhow::Error::from(error).context(format!("{flag}: {CANNOT_BE_USED}")))
        }
    }
}
