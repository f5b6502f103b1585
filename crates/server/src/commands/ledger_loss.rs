//! A ledger that was lost: it is missing or empty beside tables that only a ledger can have caused. A start on it would sell every unit
//! again and drop the orders, so it is refused, and `verify` says so.

use super::CommandError;
use super::database::DatabaseUrl;
use crate::store::ledger_traces::{self, LedgerTraces};
use crate::store::{self, Store};
use anyhow::Context;
use engine::record::sqlite::{self, ReadAccess, SqliteReader};
use engine::record::{LedgerReader, ReadError};
use std::path::Path;

/// Refuses a start on a folder whose ledger was lost. Tables that cannot be read are left to the checks that follow.
pub(super) async fn refuse_in_folder(folder: &Path) -> Result<(), CommandError> {
    // Another process that has the folder is named by the engine, and may be making the files just now.
    if engine::is_folder_in_use(folder).unwrap_or(false) || !has_tables(folder) {
        return Ok(());
    }
    let traces = match read_folder_traces(folder, ReadAccess::Shared).await {
        Ok(traces) => traces,
        Err(error) => {
            tracing::debug!(error = format!("{error:#}"), "the tables cannot be read yet");
            return Ok(());
        }
    };
    if traces.is_empty() || sqlite::check_log(folder, sqlite::FILE).is_err() {
        return Ok(());
    }
    let has_entries = match SqliteReader::open(folder) {
        Ok(reader) => reader.has_entries().await,
        Err(ReadError::Missing { .. }) => Ok(false),
        Err(error) => Err(error),
    };
    match has_entries {
        Ok(false) => Err(CommandError::Failed(anyhow::anyhow!(describe_folder_loss(folder, &traces)))),
        // What is wrong with a ledger that has events is the engine's to say.
        Ok(true) | Err(_) => Ok(()),
    }
}

/// Refuses a start on a database whose ledger was lost.
pub(super) async fn refuse_in_database(database: &DatabaseUrl, store: &Store) -> Result<(), CommandError> {
    let traces = ledger_traces::count(store).await.context("the tables cannot be read")?;
    if traces.is_empty() || database.open_ledger().await?.has_entries().await.unwrap_or(true) {
        return Ok(());
    }
    Err(CommandError::Failed(anyhow::anyhow!(describe_database_loss(&traces))))
}

/// True when the folder has a file of tables with something in it.
pub(super) fn has_tables(folder: &Path) -> bool {
    std::fs::metadata(folder.join(store::DATABASE_FILE)).is_ok_and(|file| file.len() > 0)
}

/// What the tables in a folder show of a ledger; nothing where their first migrations never ran.
pub(super) async fn read_folder_traces(folder: &Path, access: ReadAccess) -> anyhow::Result<LedgerTraces> {
    let store = Store::open_read_only(folder, access == ReadAccess::Immutable).await?;
    let traces = ledger_traces::count(&store).await;
    store.close().await;
    Ok(traces?)
}

pub(super) fn describe_folder_loss(folder: &Path, traces: &LedgerTraces) -> String {
    let file = folder.join(sqlite::FILE);
    let state = if file.exists() { "is empty" } else { "is missing" };
    format!(
        "the ledger {} {state}, but {} beside it shows {traces} that only a ledger can have caused: restore {} (with its -wal) from a \
         backup, or move it back; for a new shop, give --data an empty folder",
        file.display(),
        store::DATABASE_FILE,
        sqlite::FILE
    )
}

pub(super) fn describe_database_loss(traces: &LedgerTraces) -> String {
    format!(
        "the ledger in the database (ledger_entries) is empty, but the tables beside it show {traces} that only a ledger can have \
         caused: restore the database from a backup; for a new shop, give --database an empty database"
    )
}
