//! `doorbuster verify`: reads a ledger and the tables made from it, checks every promise, prints the sums. It changes
//! nothing, so it may run beside a running instance.

mod findings;
mod tables;

mod ink;
mod json;
mod report;
mod words;

use super::database::DatabaseUrl;
use super::{CommandError, runtime, say};
use anyhow::Context;
use engine::record::sqlite::{self, SqliteReader, TornEnd};
use engine::record::{Page, Read, ReadError};
use findings::{Findings, Reading};
use ink::Ink;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc::Receiver;

/// What to verify.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// The data folder of a running or stopped instance.
    #[arg(long, env = "DOORBUSTER_DATA", default_value = "./data", value_name = "FOLDER")]
    data: PathBuf,
    /// PostgreSQL of a running or stopped instance, instead of the folder.
    #[arg(long, env = "DOORBUSTER_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<DatabaseUrl>,
    /// Prints one JSON document instead of text for people.
    #[arg(long, env = "DOORBUSTER_JSON", value_parser = clap::builder::BoolishValueParser::new())]
    json: bool,
}

/// Prints what is found.
///
/// # Errors
/// Usage when there is no ledger; a failed check when a promise is broken, the ledger is damaged other than at an end that
/// the next start sets aside, or the tables differ from it; failure when either cannot be read at all.
pub fn run(settings: &Verify) -> Result<(), CommandError> {
    let findings = match &settings.database {
        Some(database) => runtime()?.block_on(verify_database(database))?,
        None => verify_folder(&settings.data)?,
    };
    if settings.json {
        say(&json::document(&findings).map_err(anyhow::Error::from)?);
    } else {
        say(&report::text(&findings, Ink::of_stdout()));
    }
    if findings.all_is_well() { Ok(()) } else { Err(CommandError::CheckFailed) }
}

async fn verify_database(database: &DatabaseUrl) -> Result<Findings, CommandError> {
    let reader = database.ledger().await?;
    // The tables first: the ledger only grows, so whatever the tables show must be in it.
    let tables =
        tables::of(database.tables_at_leisure().await?).await.context("the tables cannot be read")?;
    let mut reading = Reading::new(tables, None);
    read_all(reader.scan(), &mut reading).await?;
    // PostgreSQL drops a transaction that a power cut interrupted, whole: there are no torn ends.
    Ok(reading.end(Vec::new()))
}

fn verify_folder(folder: &Path) -> Result<Findings, CommandError> {
    let rotten = rotten_log(folder)?;
    let reader = match SqliteReader::open(folder) {
        Ok(reader) => Some(reader),
        // What SQLite makes of a log that rotted early may be no ledger at all.
        Err(_) if rotten.is_some() => None,
        Err(error @ (ReadError::Missing { .. } | ReadError::Foreign { .. })) => {
            let sentence = format!("--data: {error}: name the data folder of an instance");
            return Err(CommandError::Usage(sentence));
        }
        Err(error) => return Err(CommandError::Failed(error.into())),
    };
    Ok(runtime()?.block_on(verify(folder, reader.as_ref(), rotten))?)
}

/// What is wrong with SQLite's log, which SQLite would pass over.
fn rotten_log(folder: &Path) -> anyhow::Result<Option<ReadError>> {
    // Twice, because the log of a running instance may be begun anew while it is read.
    let looked = sqlite::check_log(folder).or_else(|_| sqlite::check_log(folder));
    looked.err().map(damage).transpose()
}

async fn verify(
    folder: &Path,
    reader: Option<&SqliteReader>,
    rotten: Option<ReadError>,
) -> anyhow::Result<Findings> {
    // The tables first: the ledger only grows, so whatever the tables show must be in it.
    let tables = tables::read(folder).await.context("the tables cannot be read")?;
    let torn = reader.map(torn_ends).transpose()?.unwrap_or_default();
    let mut reading = Reading::new(tables, rotten);
    if let Some(reader) = reader {
        read_all(reader.scan_without(&torn), &mut reading).await?;
    }
    Ok(reading.end(torn))
}

async fn read_all(mut pages: Receiver<Result<Page, ReadError>>, reading: &mut Reading) -> anyhow::Result<()> {
    while let Some(page) = pages.recv().await {
        match page {
            Ok(page) => reading.read(&page),
            Err(error) => reading.damaged(damage(error)?),
        }
    }
    Ok(())
}

/// The ends that the next start would set aside; none where it would refuse to.
fn torn_ends(reader: &SqliteReader) -> anyhow::Result<Vec<TornEnd>> {
    match reader.torn_ends() {
        Ok(torn) => Ok(torn),
        // The reading comes to it as well, and says how far the ledger is whole.
        Err(ReadError::Damaged { .. } | ReadError::Corrupt { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Damage is a finding, another error a failure.
fn damage(error: ReadError) -> anyhow::Result<ReadError> {
    match error {
        ReadError::Damaged { .. } | ReadError::Corrupt { .. } => Ok(error),
        error => Err(error.into()),
    }
}
