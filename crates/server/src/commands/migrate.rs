//! `migrate`: brings the tables up to date, for those who do not let `serve` do it. It never goes back.

use super::{CommandError, runtime, say};
use crate::store::Store;
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;

/// Brings the tables up to date.
#[derive(Debug, Args)]
pub struct Migrate {
    /// Folder of the tables.
    #[arg(long, env = "DOORBUSTER_DATA", default_value = "./data", value_name = "FOLDER")]
    data: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// When the tables cannot be opened, or were written by a newer version.
pub fn run(migrate: &Migrate) -> Result<(), CommandError> {
    runtime()?.block_on(async {
        engine::make_folder(&migrate.data).context("--data: the folder cannot be made")?;
        let store = Store::open(&migrate.data).await?;
        store.migrate().await?;
        store.close().await;
        anyhow::Ok(())
    })?;
    say("The tables are up to date.");
    Ok(())
}
