//! Where the evidence is read: as an instance tells it to its admin, or, where there is an archive, in that. It asks again while a
//! database is away for a moment, and never judges.

use super::RehearsalError;
use crate::evidence::{EvidenceFuture, EvidenceStore};
use crate::judge::{ShownTableTotals, TableOrder};
use crate::merchant::{MerchantClient, OwnSale};
use sale::{EventSeq, LedgerEntry, SaleId};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// An archive that fails so often is gone: half a minute, as long as an instance is asked again.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);

/// How the report names evidence that instances told.
const API_SOURCE: &str = "told by the API";

/// Why there is no evidence.
pub(super) type EvidenceError = Box<dyn Error + Send + Sync>;

/// The instance, and the archive if there is one.
pub(super) struct EvidenceSources {
    pub(super) merchant: Arc<MerchantClient>,
    pub(super) evidence_store: Option<Arc<dyn EvidenceStore>>,
}

impl EvidenceSources {
    /// Whether the archive is that of the instance: then what it has just announced stands there.
    pub(super) async fn check_same_database(&self, sale: &OwnSale) -> Result<(), RehearsalError> {
        let Some(archive) = &self.evidence_store else { return Ok(()) };
        match read_with_retries(|| archive.read_events(sale.id, EventSeq(0))).await {
            Ok(events) if events.is_empty() => {
                let _an_open_sale_is_left = self.merchant.close_sale(sale.id).await;
                Err(RehearsalError::ForeignDatabase)
            }
            Ok(_) => Ok(()),
            Err(error) => Err(RehearsalError::Database(error)),
        }
    }

    /// What the tables show, and how many events they are behind `version`; `told` and `lag` are what the instance says of it.
    pub(super) async fn read_tables(
        &self,
        sale: SaleId,
        version: u64,
        (told, lag): (ShownTableTotals, u64),
    ) -> Result<(ShownTableTotals, u64), EvidenceError> {
        let Some(archive) = &self.evidence_store else { return Ok((told, lag)) };
        let tables = read_with_retries(|| archive.read_tables(sale)).await?;
        let lag = version.saturating_sub(tables.version);
        Ok((tables, lag))
    }

    pub(super) async fn read_orders(&self, sale: SaleId) -> Result<Vec<TableOrder>, EvidenceError> {
        match &self.evidence_store {
            Some(archive) => read_with_retries(|| archive.read_orders(sale)).await,
            None => Ok(self.merchant.list_orders(sale).await?),
        }
    }

    /// The ledger from its first event to its last.
    pub(super) async fn read_ledger(
        &self,
        sale: SaleId,
        mut each: impl FnMut(&LedgerEntry),
    ) -> Result<(), EvidenceError> {
        let Some(archive) = &self.evidence_store else {
            return Ok(self.merchant.read_ledger(sale, each).await?);
        };
        let mut after = EventSeq(0);
        loop {
            let events = read_with_retries(|| archive.read_events(sale, after)).await?;
            let Some(last) = events.last() else { return Ok(()) };
            after = last.seq;
            events.iter().for_each(&mut each);
        }
    }
}

/// Where the evidence came from, in words.
pub(super) fn describe_source(archive: Option<&dyn EvidenceStore>) -> String {
    archive.map_or_else(|| API_SOURCE.to_owned(), |archive| format!("read in {}", archive.name()))
}

async fn read_with_retries<'a, T>(read: impl Fn() -> EvidenceFuture<'a, T>) -> Result<T, EvidenceError> {
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
