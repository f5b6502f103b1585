//! `doorbuster verify`: reads a ledger and the tables made from it, checks every promise, and prints the counters. It
//! changes nothing, so it may run beside a running instance.

mod findings;
mod tables;

mod colours;
mod counters_text;
mod json;
mod report;

use super::database::DatabaseUrl;
use super::{CommandError, print_line, runtime};
use anyhow::Context;
use colours::VerifyColours;
use engine::record::sqlite::{self, SqliteReader, TornTail};
use engine::record::{LedgerPage, LedgerReader, ReadError};
use findings::{VerifyFindings, VerifyRun};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc::Receiver;

/// What to verify.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
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
pub fn run(settings: &VerifyArgs) -> Result<(), CommandError> {
    let findings = match &settings.database {
        Some(database) => runtime()?.block_on(verify_database(database))?,
        None => verify_folder(&settings.data)?,
    };
    if settings.json {
        print_line(&json::render_document(&findings).map_err(anyhow::Error::from)?);
    } else {
        print_line(&report::render_report(&findings, VerifyColours::for_stdout()));
    }
    if findings.is_clean() { Ok(()) } else { Err(CommandError::CheckFailed) }
}

async fn verify_database(database: &DatabaseUrl) -> Result<VerifyFindings, CommandError> {
    let reader = database.open_ledger().await?;
    // The tables first: the ledger only grows, so whatever the tables show must be in it.
    let tables = tables::read_store(database.open_tables_without_timeout().await?)
        .await
        .context("the tables cannot be read")?;
    let mut reading = VerifyRun::new(tables, None);
    read_all(reader.scan(), &mut reading).await?;
    // PostgreSQL drops a transaction that a power cut interrupted, whole: there are no torn ends.
    Ok(reading.finish(Vec::new()))
}

fn verify_folder(folder: &Path) -> Result<VerifyFindings, CommandError> {
    let log_damage = find_log_damage(folder)?;
    let reader = match SqliteReader::open(folder) {
        Ok(reader) => Some(reader),
        // With a log that is damaged early, SQLite may see no ledger at all.
        Err(_) if log_damage.is_some() => None,
        Err(error @ (ReadError::Missing { .. } | ReadError::Foreign { .. })) => {
            let sentence = format!("--data: {error}: name the data folder of an instance");
            return Err(CommandError::Usage(sentence));
        }
        Err(error) => return Err(CommandError::Failed(error.into())),
    };
    Ok(runtime()?.block_on(verify(folder, reader.as_ref(), log_damage))?)
}

/// Damage in SQLite's log, which SQLite itself would ignore.
fn find_log_damage(folder: &Path) -> anyhow::Result<Option<ReadError>> {
    // Twice, because a running instance may restart its log while it is read.
    let checked = sqlite::check_log(folder).or_else(|_| sqlite::check_log(folder));
    checked.err().map(as_damage).transpose()
}

async fn verify(
    folder: &Path,
    reader: Option<&SqliteReader>,
    log_damage: Option<ReadError>,
) -> anyhow::Result<VerifyFindings> {
    // The tables first: the ledger only grows, so whatever the tables show must be in it.
    let tables = tables::read_folder(folder).await.context("the tables cannot be read")?;
    let torn = reader.map(torn_ends).transpose()?.unwrap_or_default();
    let mut reading = VerifyRun::new(tables, log_damage);
    if let Some(reader) = reader {
        read_all(reader.scan_without(&torn), &mut reading).await?;
    }
    Ok(reading.finish(torn))
}

async fn read_all(
    mut pages: Receiver<Result<LedgerPage, ReadError>>,
    reading: &mut VerifyRun,
) -> anyhow::Result<()> {
    while let Some(page) = pages.recv().await {
        match page {
            Ok(page) => reading.read_page(&page),
            Err(error) => reading.record_damage(as_damage(error)?),
        }
    }
    Ok(())
}

/// The ends that the next start would set aside; none where it would refuse to.
fn torn_ends(reader: &SqliteReader) -> anyhow::Result<Vec<TornTail>> {
    match reader.find_torn_tails() {
        Ok(torn) => Ok(torn),
        // The scan finds it as well, and says how far the ledger is whole.
        Err(ReadError::Damaged { .. } | ReadError::Corrupt { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Damage is a finding, another error a failure.
fn as_damage(error: ReadError) -> anyhow::Result<ReadError> {
    match error {
        ReadError::Damaged { .. } | ReadError::Corrupt { .. } => Ok(error),
        error => Err(error.into()),
    }
}
