//! `migrate`: brings the tables up to date, where `serve` runs with `--migrate off`. It never goes back.

use super::database::DatabaseUrl;
use super::{CommandError, print_line, runtime};
use crate::store::Store;
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;

/// Brings the tables up to date.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Folder of the tables.
    #[arg(long, env = "DOORBUSTER_DATA", default_value = "./data", value_name = "FOLDER")]
    data: PathBuf,
    /// PostgreSQL of the ledger and the tables, instead of the folder.
    #[arg(long, env = "DOORBUSTER_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<DatabaseUrl>,
}

/// Runs the command.
///
/// # Errors
/// When the tables cannot be opened, or were written by a newer version.
pub fn run(migrate: &MigrateArgs) -> Result<(), CommandError> {
    runtime()?.block_on(async {
        if let Some(database) = &migrate.database {
            return database.prepare().await;
        }
        engine::create_data_folder(&migrate.data).context("--data: the folder cannot be made")?;
        let store = Store::open(&migrate.data).await.map_err(anyhow::Error::from)?;
        store.migrate().await.map_err(anyhow::Error::from)?;
        store.close().await;
        Ok(())
    })?;
    print_line("The tables are up to date.");
    Ok(())
}
