//! Opens the tables, in a database or in the data folder, and makes sure that they are those of this version.

use super::super::settings::{OnOff, Serve};
use super::super::token_key::load_token_key;
use super::super::{CommandError, start_clock};
use crate::store::Store;
use engine::ClockSkew;
use engine::record::sqlite::FILE as LEDGER_FILE;
use sale::Timestamp;

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
    let now = start_clock(Timestamp::default(), ClockSkew::default()).now();
    load_token_key(settings, &store, now).await?;
    Ok(Some(store))
}

/// The tables in the data folder, up to date.
pub(super) async fn open_folder(settings: &Serve) -> Result<Store, CommandError> {
    let store = Store::open(&settings.data).await.map_err(anyhow::Error::from)?;
    if settings.migrate == OnOff::On {
        store.migrate().await.map_err(anyhow::Error::from)?;
    }
    refuse_outdated_tables(&store).await?;
    Ok(store)
}

async fn refuse_outdated_tables(store: &Store) -> Result<(), CommandError> {
    if !store.is_current().await.map_err(anyhow::Error::from)? {
        let sentence =
            "--migrate off: the tables are not those of this version, run `doorbuster migrate` first";
        return Err(CommandError::Usage(sentence.to_owned()));
    }
    Ok(())
}
