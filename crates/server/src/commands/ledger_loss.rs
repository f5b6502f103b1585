//! A ledger that was lost: it is missing or empty beside tables that only a ledger can have caused, or it is older than they are. A start
//! on it would sell units again and drop their orders, so it is refused, and `verify` says so.

use super::CommandError;
use super::database::{DatabaseUrl, ledger_error};
use crate::followers::projector;
use crate::store::followers::{self, FollowerOffset};
use crate::store::ledger_traces::{self, LedgerTraces};
use crate::store::{self, Store};
use anyhow::Context;
use engine::record::sqlite::{self, SqliteReader};
use engine::record::{LedgerReader, ReadError};
use rehearsal::report::format::counted;
use sale::{EventSeq, SaleId};
use std::collections::HashMap;
use std::path::Path;

/// Sales that a refusal names; of the others it says how many there are.
const SALES_NAMED: usize = 5;

/// A sale whose tables show events that its ledger does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TableLead {
    sale: SaleId,
    events: u64,
}

/// Refuses a start on a folder whose ledger was lost, or is older than the tables and not accepted. Tables that cannot be read are left to
/// the checks that follow.
pub(super) async fn refuse_in_folder(folder: &Path, accepts_older: bool) -> Result<(), CommandError> {
    // Another process that has the folder is named by the engine, and may be making the files just now.
    if engine::is_folder_in_use(folder).unwrap_or(false) || !has_tables(folder) {
        return Ok(());
    }
    // The tables first: the ledger only grows, so whatever the tables show must be in it.
    let (traces, offsets) = match read_folder_progress(folder).await {
        Ok(progress) => progress,
        Err(error) => {
            tracing::debug!(error = format!("{error:#}"), "the tables cannot be read yet");
            return Ok(());
        }
    };
    if traces.is_empty() || sqlite::check_log(folder, sqlite::FILE).is_err() {
        return Ok(());
    }
    let reader = match SqliteReader::open(folder) {
        Ok(reader) => Some(reader),
        Err(ReadError::Missing { .. }) => None,
        // What is wrong with a ledger that has events is the engine's to say, here and below.
        Err(_) => return Ok(()),
    };
    let has_entries = match &reader {
        Some(reader) => reader.has_entries().await.unwrap_or(true),
        None => false,
    };
    if !has_entries {
        return Err(CommandError::Failed(anyhow::anyhow!(describe_folder_loss(folder, &traces))));
    }
    let Some(Ok(heads)) = reader.map(|reader| reader.list_heads()) else { return Ok(()) };
    let next_step = format!("put the newer {} with its -wal back", sqlite::FILE);
    refuse_older_ledger(&find_leads(&offsets, &heads), &next_step, accepts_older)
}

/// Refuses a start on a database whose ledger was lost, or is older than the tables and not accepted.
pub(super) async fn refuse_in_database(
    database: &DatabaseUrl,
    store: &Store,
    accepts_older: bool,
) -> Result<(), CommandError> {
    // The tables first, as in a folder: other instances may be selling meanwhile.
    let traces = ledger_traces::count(store).await.context("the tables cannot be read")?;
    if traces.is_empty() {
        return Ok(());
    }
    let offsets = followers::list_offsets(store, projector::FOLLOWER_NAME).await;
    let offsets = offsets.context("the tables cannot be read")?;
    let reader = database.open_ledger().await?;
    if !reader.has_entries().await.unwrap_or(true) {
        return Err(CommandError::Failed(anyhow::anyhow!(describe_database_loss(&traces))));
    }
    let heads = match reader.list_heads().await {
        Ok(heads) => heads,
        Err(error) if error.is_damage() => return Ok(()),
        Err(error) => return Err(ledger_error(error.into())),
    };
    let next_step = "put the newer rows of ledger_entries and ledger_sales back";
    refuse_older_ledger(&find_leads(&offsets, &heads), next_step, accepts_older)
}

/// The sales whose tables are ahead of the ledger, by their ids.
fn find_leads(offsets: &[(SaleId, FollowerOffset)], heads: &[(SaleId, EventSeq)]) -> Vec<TableLead> {
    let heads: HashMap<SaleId, EventSeq> = heads.iter().copied().collect();
    let leads = offsets.iter().filter_map(|(sale, offset)| {
        let head = heads.get(sale).copied().unwrap_or_default();
        (offset.seq > head).then(|| TableLead { sale: *sale, events: offset.seq.0 - head.0 })
    });
    let mut leads: Vec<TableLead> = leads.collect();
    leads.sort_by_key(|lead| lead.sale);
    leads
}

fn refuse_older_ledger(
    leads: &[TableLead],
    next_step: &str,
    accepts_older: bool,
) -> Result<(), CommandError> {
    if leads.is_empty() || accepts_older {
        return Ok(());
    }
    let events: u64 = leads.iter().map(|lead| lead.events).sum();
    let mut named: Vec<String> = leads
        .iter()
        .take(SALES_NAMED)
        .map(|TableLead { sale, events }| format!("{sale}: {}", counted(*events, "event")))
        .collect();
    if let Some(others) = leads.len().checked_sub(SALES_NAMED).filter(|others| *others > 0) {
        named.push(format!("and {} more", counted(others as u64, "sale")));
    }
    Err(CommandError::Failed(anyhow::anyhow!(
        "--accept-older-ledger: the ledger is older than the tables: they show {} of {} that it does not have ({}), and a start would sell \
         their units again and rewrite the orders: {next_step}; only after an intended restore of an older ledger start once with \
         --accept-older-ledger",
        counted(events, "event"),
        counted(leads.len() as u64, "sale"),
        named.join(", ")
    )))
}

/// What the tables in a folder show of a ledger, and how far the projector has come in each sale.
async fn read_folder_progress(
    folder: &Path,
) -> anyhow::Result<(LedgerTraces, Vec<(SaleId, FollowerOffset)>)> {
    let store = Store::open_read_only(folder, false).await?;
    let traces = ledger_traces::count(&store).await;
    let offsets = followers::list_offsets(&store, projector::FOLLOWER_NAME).await;
    store.close().await;
    Ok((traces?, offsets?))
}

/// True when the folder has a file of tables with something in it.
pub(super) fn has_tables(folder: &Path) -> bool {
    std::fs::metadata(folder.join(store::DATABASE_FILE)).is_ok_and(|file| file.len() > 0)
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
