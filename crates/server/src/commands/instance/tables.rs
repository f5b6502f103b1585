//! Opens the tables, in a database or in the data folder, and makes sure that they are those of this version.

use super::super::database::refuse_unfinished_move;
use super::super::ledger_loss;
use super::super::settings::{OnOff, Serve};
use super::super::token_key::load_token_key;
use super::super::{CommandError, start_clock};
use crate::store::{DATABASE_FILE, Store};
use anyhow::Context;
use engine::record::ReadError;
use engine::record::sqlite::{self, FILE as LEDGER_FILE, ReadAccess, StructureCheck};
use engine::{ClockSkew, STRUCTURE_CHECK_LIMIT};
use sale::Timestamp;
use std::path::Path;

/// The tables in a database, up to date; nothing where there is none.
pub(super) async fn open_database(settings: &Serve) -> Result<Option<Store>, CommandError> {
    let Some(database) = &settings.database else { return Ok(None) };
    if settings.data.join(LEDGER_FILE).exists() {
        tracing::warn!(
            "the data folder holds a {LEDGER_FILE}, which is not looked at: with --database the ledger is in the database"
        );
    }
    if settings.migrate == OnOff::On {
        database.prepare().await?;
    } else {
        drop(database.open_ledger().await?);
    }
    let store = database.open_tables().await?;
    refuse_outdated_tables(&store).await?;
    refuse_unfinished_move(&store).await?;
    ledger_loss::refuse_in_database(database, &store, settings.accept_older_ledger).await?;
    let now = start_clock(Timestamp::default(), ClockSkew::default()).now();
    load_token_key(settings, &store, now).await?;
    Ok(Some(store))
}

/// The tables in the data folder, up to date.
pub(super) async fn open_folder(settings: &Serve) -> Result<Store, CommandError> {
    let folder = settings.data.clone();
    let checked = tokio::task::spawn_blocking(move || check_tables_file(&folder));
    checked.await.context("the check of the tables panicked")??;
    let place = || format!("the tables in {} cannot be opened", settings.data.display());
    let store = Store::open(&settings.data).await.with_context(place)?;
    if settings.migrate == OnOff::On {
        store.migrate().await.with_context(place)?;
    }
    refuse_outdated_tables(&store).await?;
    Ok(store)
}

/// Refuses tables whose file or log is malformed. It runs before the file is opened for writing.
fn check_tables_file(folder: &Path) -> anyhow::Result<()> {
    let file = folder.join(DATABASE_FILE);
    if !file.exists() {
        return Ok(());
    }
    if let Err(ReadError::Corrupt { file, cause }) = sqlite::check_log(folder, DATABASE_FILE) {
        anyhow::bail!(describe_damage(&file, &cause.to_string()));
    }
    let checked = sqlite::check_structure(&file, ReadAccess::Shared, Some(STRUCTURE_CHECK_LIMIT))?;
    match checked {
        StructureCheck::Intact => {}
        StructureCheck::Unfinished => tracing::warn!(
            file = DATABASE_FILE,
            limit_s = STRUCTURE_CHECK_LIMIT.as_secs(),
            "the structure of a file was checked only in part, because its time was up; run `doorbuster verify`, which checks all of it"
        ),
        StructureCheck::Malformed(findings) => anyhow::bail!(describe_damage(DATABASE_FILE, &findings)),
    }
    Ok(())
}

fn describe_damage(file: &str, findings: &str) -> String {
    format!(
        "the tables are damaged: {file}: {findings}. Nothing is sold beside damaged tables: restore {DATABASE_FILE} from a backup, or \
         look at it with `doorbuster verify`"
    )
}

async fn refuse_outdated_tables(store: &Store) -> Result<(), CommandError> {
    if !store.is_current().await.map_err(anyhow::Error::from)? {
        let sentence =
            "--migrate off: the tables are not those of this version, run `doorbuster migrate` first";
        return Err(CommandError::Usage(sentence.to_owned()));
    }
    Ok(())
}
