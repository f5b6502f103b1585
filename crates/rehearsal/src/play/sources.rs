//! Where the evidence is read: as an instance tells it to its admin, or, where there is an archive, in that. It asks again while a
//! database is away for a moment, and never judges.

use super::PlayError;
use crate::archive::{Archive, Reading};
use crate::judge::{OrderRow, TableSums};
use crate::stage::{OwnSale, Stage};
use sale::{Entry, SaleId, Seq};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// An archive that fails so often is gone: half a minute, as long as an instance is asked again.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);

/// How the report names evidence that instances told.
const TOLD: &str = "told by the API";

/// Why there is no evidence.
pub(super) type NoEvidence = Box<dyn Error + Send + Sync>;

/// The instance, and the archive if there is one.
pub(super) struct Sources {
    pub(super) stage: Arc<Stage>,
    pub(super) archive: Option<Arc<dyn Archive>>,
}

impl Sources {
    /// Whether the archive is that of the instance: then what it has just announced stands there.
    pub(super) async fn belong_together(&self, sale: &OwnSale) -> Result<(), PlayError> {
        let Some(archive) = &self.archive else { return Ok(()) };
        match patiently(|| archive.events(sale.id, Seq(0))).await {
            Ok(events) if events.is_empty() => {
                let _an_open_sale_is_left = self.stage.close(sale.id).await;
                Err(PlayError::OtherArchive)
            }
            Ok(_) => Ok(()),
            Err(error) => Err(PlayError::Archive(error)),
        }
    }

    /// What the tables show, and how many events they are behind `version`; `told` and `lag` are what the instance says of it.
    pub(super) async fn tables(
        &self,
        sale: SaleId,
        version: u64,
        (told, lag): (TableSums, u64),
    ) -> Result<(TableSums, u64), NoEvidence> {
        let Some(archive) = &self.archive else { return Ok((told, lag)) };
        let tables = patiently(|| archive.tables(sale)).await?;
        let lag = version.saturating_sub(tables.version);
        Ok((tables, lag))
    }

    pub(super) async fn orders(&self, sale: SaleId) -> Result<Vec<OrderRow>, NoEvidence> {
        match &self.archive {
            Some(archive) => patiently(|| archive.orders(sale)).await,
            None => Ok(self.stage.orders(sale).await?),
        }
    }

    /// The ledger from its first event to its last.
    pub(super) async fn read_ledger(
        &self,
        sale: SaleId,
        mut each: impl FnMut(&Entry),
    ) -> Result<(), NoEvidence> {
        let Some(archive) = &self.archive else { return Ok(self.stage.read_ledger(sale, each).await?) };
        let mut after = Seq(0);
        loop {
            let events = patiently(|| archive.events(sale, after)).await?;
            let Some(last) = events.last() else { return Ok(()) };
            after = last.seq;
            events.iter().for_each(&mut each);
        }
    }
}

/// Where the evidence came from, in words.
pub(super) fn name(archive: Option<&dyn Archive>) -> String {
    archive.map_or_else(|| TOLD.to_owned(), |archive| format!("read in {}", archive.name()))
}

async fn patiently<'a, T>(read: impl Fn() -> Reading<'a, T>) -> Result<T, NoEvidence> {
    let mut left = TRIES;
    loop {
        left -= 1;
        match read().await {
            Err(error) if left > 0 => tracing::debug!(%error, "the archive is asked again"),
            read => return read,
        }
        tokio::time::sleep(PAUSE).await;
    }
}
