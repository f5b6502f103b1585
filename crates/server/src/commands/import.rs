//! `import`: users and products of another system, from CSV files. Every row is checked, and each that is refused is reported with its
//! line; the others are imported, some hundred in one transaction. It shows no value of a row, and never changes what is there, so a
//! repeated import changes nothing.

mod csv_rows;
mod products;
mod users;

use super::database::{DatabaseUrl, refuse_unfinished_move};
use super::{CommandError, print_line, runtime};
use crate::store::Store;
use anyhow::Context;
use clap::{Args, Subcommand};
use csv_rows::CsvRows;
use engine::DataFolderLock;
use sale::Timestamp;
use std::path::PathBuf;

/// Rows in one transaction: enough that its commit costs little beside them, few enough that a running shop waits only shortly.
const BATCH_LEN: usize = 500;

/// Imports what another system kept.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Imports accounts: columns email, password_hash (bcrypt or argon2), and if there are any id, username and full_name. All become buyers.
    Users(users::ImportUsers),
    /// Imports products: columns name, base_price or price_minor, and if there are any id, sku, description, category, image_url,
    /// currency.
    Products(products::ImportProducts),
}

/// What is read, and where it goes.
#[derive(Debug, Args)]
struct ImportArgs {
    /// The file: UTF-8, with commas between and the columns' names in its first line.
    #[arg(long, env = "DOORBUSTER_CSV", value_name = "FILE")]
    csv: PathBuf,
    /// Folder of the tables; its instance must be stopped.
    #[arg(long, env = "DOORBUSTER_DATA", default_value = "./data", value_name = "FOLDER")]
    data: PathBuf,
    /// PostgreSQL of the tables, instead of the folder; instances on it may run.
    #[arg(long, env = "DOORBUSTER_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<DatabaseUrl>,
}

/// What became of the rows of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ImportCounts {
    imported: u64,
    known: u64,
    refused: u64,
}

/// Why a row is refused, as half a sentence that names its column.
struct RowRefusal(String);

/// Runs the command.
///
/// # Errors
/// Usage when the file cannot be read or lacks a column; a failed check when rows were refused; failure when the tables cannot be
/// written.
pub fn run(command: &ImportCommand, now: Timestamp) -> Result<(), CommandError> {
    let counts = runtime()?.block_on(async {
        match command {
            ImportCommand::Users(users) => users::run(users, now).await,
            ImportCommand::Products(products) => products::run(products, now).await,
        }
    })?;
    print_line(&counts.to_string());
    if counts.refused > 0 { Err(CommandError::CheckFailed) } else { Ok(()) }
}

impl std::fmt::Display for ImportCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { imported, known, refused } = self;
        let rows = imported + known + refused;
        write!(
            f,
            "{rows} rows: {imported} imported, {known} known before and left as they are, {refused} refused."
        )?;
        if *imported == 0 {
            f.write_str(" Nothing was changed.")?;
        }
        Ok(())
    }
}

impl ImportCounts {
    /// Counts and prints a row that is refused.
    fn refuse(&mut self, line: u64, reason: &str) {
        self.refused += 1;
        print_line(&format!("line {line}: {reason}"));
    }
}

/// The tables, open and up to date, with the lock of their folder.
struct OpenTables {
    store: Store,
    _lock: Option<DataFolderLock>,
}

impl ImportArgs {
    fn open_rows(&self, columns: csv_rows::KnownColumns) -> Result<CsvRows, CommandError> {
        CsvRows::open(&self.csv, columns)
            .map_err(|reason| CommandError::Usage(format!("--csv: {}: {reason}", self.csv.display())))
    }

    async fn open_tables(&self) -> Result<OpenTables, CommandError> {
        if let Some(database) = &self.database {
            database.prepare().await?;
            let store = database.open_tables_without_timeout().await?;
            refuse_unfinished_move(&store).await?;
            return Ok(OpenTables { store, _lock: None });
        }
        let lock = engine::lock_data_folder(&self.data)
            .map_err(|error| CommandError::Usage(format!("--data: {:#}", anyhow::Error::from(error))))?;
        let place = || format!("the tables in {} cannot be opened", self.data.display());
        let store = Store::open(&self.data).await.with_context(place)?;
        store.migrate().await.with_context(place)?;
        Ok(OpenTables { store, _lock: Some(lock) })
    }
}
