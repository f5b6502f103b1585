//! `doorbuster verify`: reads a ledger and the tables made from it, checks every promise, and prints the counters. It
//! changes nothing, so it may run beside a running instance and on a medium that is only read.

mod findings;
mod orders;
mod source;
mod tables;

mod colours;
mod counters_text;
mod json;
mod report;

use super::database::{DatabaseUrl, ledger_error, refuse_unfinished_move};
use super::ledger_loss::{describe_database_loss, describe_folder_loss};
use super::{CommandError, print_line, runtime};
use anyhow::Context;
use colours::VerifyColours;
use engine::record::postgres::PostgresReader;
use engine::record::sqlite::{self, SqliteReader, StructureCheck, TornTail};
use engine::record::{LedgerPage, LedgerReader, ReadError};
use findings::{VerifyFindings, VerifyRun};
#[cfg(test)]
pub(super) use orders::LedgerOrder;
pub(super) use orders::{LedgerOrders, OrderEnd, read_database_orders, read_folder_orders};
use sale::{EventSeq, SaleId};
use source::FolderSource;
use std::path::{Path, PathBuf};
use tables::{TablesError, TablesReading};
use tokio::sync::mpsc::Receiver;

/// How often a folder is read again because an instance started meanwhile.
const TRIES_MAX: u32 = 3;
/// Events that are read at a time of a sale that is read by itself.
const PAGE_LEN: usize = 1024;

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
/// the next start sets aside, the tables differ from it, or money was taken for an order that it does not have; failure when either cannot be read at all.
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

/// Whether every promise of a folder is kept.
pub(super) fn is_folder_clean(folder: &Path) -> Result<bool, CommandError> {
    Ok(verify_folder(folder)?.is_clean())
}

/// The same of a database into which a move has not ended.
pub(super) async fn is_marked_database_clean(database: &DatabaseUrl) -> Result<bool, CommandError> {
    Ok(verify_marked_database(database).await?.is_clean())
}

async fn verify_database(database: &DatabaseUrl) -> Result<VerifyFindings, CommandError> {
    let store = database.open_tables_without_timeout().await?;
    if store.is_current().await.map_err(anyhow::Error::from)? {
        refuse_unfinished_move(&store).await?;
    }
    store.close().await;
    verify_marked_database(database).await
}

async fn verify_marked_database(database: &DatabaseUrl) -> Result<VerifyFindings, CommandError> {
    // The tables first: the ledger only grows, so whatever the tables show must be in it.
    let tables = tables::read_store(database.open_tables_without_timeout().await?).await;
    let reader = match PostgresReader::open(&database.address()?).await {
        Ok(reader) => Some(reader),
        Err(ReadError::Missing { .. }) if tables.as_ref().is_ok_and(|tables| !tables.traces.is_empty()) => {
            None
        }
        Err(error) => return Err(ledger_error(error.into())),
    };
    let TablesReading { totals, traces, listed, captured } = tables.context("the tables cannot be read")?;
    let mut reading = VerifyRun::new(totals, None).with_payments(captured);
    let mut has_entries = false;
    if let Some(reader) = &reader {
        has_entries = reader.has_entries().await.unwrap_or(true);
        read_all(reader, reader.scan(), &[], &mut reading).await?;
    }
    // PostgreSQL drops a transaction that a power cut interrupted, whole: there are no torn ends.
    let mut findings = reading.finish(Vec::new());
    if !has_entries && !traces.is_empty() {
        findings.ledger_loss = Some(describe_database_loss(&traces));
    }
    findings.note_lost_rows(listed.as_ref());
    Ok(findings)
}

fn verify_folder(folder: &Path) -> Result<VerifyFindings, CommandError> {
    let mut tries = 1;
    loop {
        let source = FolderSource::open(folder).map_err(CommandError::Failed)?;
        let verified = verify_source(&source);
        // What was read torn may look like anything, also like an error.
        if tries == TRIES_MAX || !source.has_changed() {
            return verified;
        }
        tries += 1;
    }
}

fn verify_source(source: &FolderSource) -> Result<VerifyFindings, CommandError> {
    let folder = &source.folder;
    let mut damage = find_log_damage(folder)?;
    if damage.is_none() {
        damage = find_structure_damage(source)?;
    }
    let runtime = runtime()?;
    // The tables first: the ledger only grows, so whatever the tables show must be in it.
    let (tables, table_damage) = match runtime.block_on(tables::read_folder(source)) {
        Ok(tables) => (tables, None),
        Err(TablesError::Damaged(what)) => (TablesReading::default(), Some(what)),
        Err(TablesError::Failed(error)) => return Err(error.context("the tables cannot be read").into()),
    };
    let TablesReading { totals, traces, listed, captured } = tables;
    let mut is_missing = false;
    let reader = match SqliteReader::open_with(&source.ledger.folder, source.ledger.access) {
        Ok(reader) => Some(reader),
        // With a log or pages that are damaged early, SQLite may see no ledger at all.
        Err(_) if damage.is_some() => None,
        Err(ReadError::Missing { .. }) if !traces.is_empty() || table_damage.is_some() => {
            is_missing = true;
            None
        }
        Err(ReadError::Missing { .. }) => {
            let error = ReadError::Missing { place: folder.display().to_string() };
            return Err(usage_error(&error));
        }
        Err(error @ ReadError::Foreign { .. }) => return Err(usage_error(&error)),
        Err(error) => return Err(CommandError::Failed(error.into())),
    };
    let has_damage = damage.is_some();
    let reading = VerifyRun::new(totals, damage).with_payments(captured);
    let mut findings = runtime.block_on(read_ledger(reader.as_ref(), reading))?;
    let is_empty = findings.sales.is_empty() && findings.damage.is_none() && !has_damage;
    if is_missing || (is_empty && !traces.is_empty()) {
        findings.ledger_loss = Some(describe_folder_loss(folder, &traces));
    }
    findings.notes.extend(source.notes.iter().cloned());
    if table_damage.is_none() {
        findings.note_lost_rows(listed.as_ref());
    }
    findings.table_damage = table_damage;
    Ok(findings)
}

fn usage_error(error: &ReadError) -> CommandError {
    CommandError::Usage(format!("--data: {error}: name the data folder of an instance"))
}

/// Damage in SQLite's log, which SQLite itself would ignore.
fn find_log_damage(folder: &Path) -> anyhow::Result<Option<ReadError>> {
    // Twice, because a running instance may restart its log while it is read.
    let checked =
        sqlite::check_log(folder, sqlite::FILE).or_else(|_| sqlite::check_log(folder, sqlite::FILE));
    checked.err().map(as_damage).transpose()
}

/// Damage in the structure of the ledger's file, which the checksums of its rows do not show.
fn find_structure_damage(source: &FolderSource) -> anyhow::Result<Option<ReadError>> {
    let file = source.ledger.folder.join(sqlite::FILE);
    if !file.exists() {
        return Ok(None);
    }
    match sqlite::check_structure(&file, source.ledger.access, None)? {
        StructureCheck::Intact | StructureCheck::Unfinished => Ok(None),
        StructureCheck::Malformed(findings) => {
            Ok(Some(ReadError::Corrupt { file: sqlite::FILE.to_owned(), cause: findings.into() }))
        }
    }
}

async fn read_ledger(
    reader: Option<&SqliteReader>,
    mut reading: VerifyRun,
) -> anyhow::Result<VerifyFindings> {
    let torn = reader.map(torn_ends).transpose()?.unwrap_or_default();
    if let Some(reader) = reader {
        read_all(reader, reader.scan_without(&torn), &torn, &mut reading).await?;
    }
    Ok(reading.finish(torn))
}

/// Reads what `pages` bring. They end at the first damage; from there on each sale is read by itself, as far as it is intact.
async fn read_all(
    reader: &dyn LedgerReader,
    mut pages: Receiver<Result<LedgerPage, ReadError>>,
    torn: &[TornTail],
    reading: &mut VerifyRun,
) -> anyhow::Result<()> {
    while let Some(page) = pages.recv().await {
        match page {
            Ok(page) => reading.read_page(&page),
            Err(error) => {
                reading.record_damage(as_damage(error)?);
                return read_rest(reader, torn, reading).await;
            }
        }
    }
    Ok(())
}

/// Reads the sales that were not read to their end.
async fn read_rest(
    reader: &dyn LedgerReader,
    torn: &[TornTail],
    reading: &mut VerifyRun,
) -> anyhow::Result<()> {
    let sales = match reader.list_sales().await {
        Ok(sales) => sales,
        Err(error) => {
            reading.record_damage(as_damage(error)?);
            return Ok(());
        }
    };
    for sale in sales {
        if let Some(last) = reading.find_last_read(sale) {
            let torn_from = torn.iter().find(|end| end.sale == sale).map(|end| end.from);
            read_sale(reader, sale, last, torn_from, reading).await?;
        }
    }
    Ok(())
}

/// Reads the events of a sale after `last`, up to its torn end, to the damage, or to its end.
async fn read_sale(
    reader: &dyn LedgerReader,
    sale: SaleId,
    mut last: EventSeq,
    torn_from: Option<EventSeq>,
    reading: &mut VerifyRun,
) -> anyhow::Result<()> {
    let mut limit = PAGE_LEN;
    loop {
        match reader.read_entries(sale, last, limit).await {
            Ok(entries) => {
                let Some(newest) = entries.last().map(|entry| entry.seq) else { return Ok(()) };
                last = newest;
                reading.read_page(&LedgerPage { sale, entries });
            }
            // The page has intact events before the damaged one.
            Err(ReadError::Damaged { seq, .. }) if seq > last.next() && limit > 1 => {
                limit = usize::try_from(seq.0 - last.0 - 1).unwrap_or(PAGE_LEN);
            }
            // So has one of a malformed file, and which is not known.
            Err(ReadError::Corrupt { .. }) if limit > 1 => limit = 1,
            Err(ReadError::Damaged { seq, .. }) if Some(seq) == torn_from => return Ok(()),
            Err(error) => {
                reading.record_damaged_sale(sale, last, as_damage(error)?);
                return Ok(());
            }
        }
    }
}

/// The ends that the next start would move into the table `torn`; none where it would refuse to.
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
