//! Copies a `ledger.db` that no engine uses into the ledger of a database. It claims the database's ledger, so that an instance which
//! was started there meanwhile stops deciding. It changes nothing in the file.

use super::postgres::{
    self, PostgresAddress, PostgresReader, PostgresRecorder, clear_tables, write_reached_time,
};
use super::sqlite::{SqliteReader, load_reached_time};
use super::{LedgerReader, LedgerRecorder, ReadError, RecordError};
use crate::batch::Batch;
use sale::{SaleId, Timestamp};
use std::path::Path;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopiedLedger {
    pub sales: u64,
    pub events: u64,
}

/// The database's ledger has not as many events as were copied.
#[derive(Debug, thiserror::Error)]
#[error("{copied} events were copied, and the ledger in the database has {found}")]
struct CountMismatch {
    copied: u64,
    found: u64,
}

/// Copies every event of the ledger in `folder` into the database, a page at a time, and how far time had got. What the database's
/// ledger has is removed first: it must be nothing, or an earlier copy.
///
/// # Errors
/// When either ledger cannot be used, an event is damaged, or another instance claims the database. The database then has a part
/// of the events.
pub async fn copy_ledger(folder: &Path, address: &PostgresAddress) -> Result<CopiedLedger, RecordError> {
    let source = SqliteReader::open(folder)?;
    postgres::create_tables(address).await?;
    clear_tables(address).await?;
    let reader = PostgresReader::open(address).await?;
    let mut recorder = PostgresRecorder::claim(address, &reader).await?;
    let (mut copied, mut last) = (CopiedLedger::default(), None::<SaleId>);
    let mut pages = source.scan();
    while let Some(page) = pages.recv().await {
        let page = page?;
        copied.sales += u64::from(last != Some(page.sale));
        copied.events += page.entries.len() as u64;
        last = Some(page.sale);
        recorder.append(&Batch { sales: vec![(page.sale, page.entries)], calls: Vec::new() }).await?;
    }
    let reached = load_reached_time(folder)?;
    if reached > Timestamp::default() {
        write_reached_time(address, reached).await?;
    }
    let found = reader.list_heads().await?.into_iter().map(|(_, last)| last.0).sum();
    if found != copied.events {
        return Err(ReadError::Store(Box::new(CountMismatch { copied: copied.events, found })).into());
    }
    Ok(copied)
}
