//! The sources of evidence: the API as the admin, or the database where there is an evidence store. It retries while a
//! database is unreachable, and never judges.

use super::RehearsalError;
use crate::evidence::{EvidenceFuture, EvidenceStore};
use crate::judge::{ShownTableTotals, TableOrder};
use crate::merchant::{MerchantClient, OwnSale};
use sale::{EventSeq, LedgerEntry, SaleId};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// After this many failed reads the store counts as unreachable: half a minute, as with an instance.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);

/// How the report names evidence that came through the API.
const API_SOURCE: &str = "read through the API";

/// Why there is no evidence.
pub(super) type EvidenceError = Box<dyn Error + Send + Sync>;

/// The instance, and the archive if there is one.
pub(super) struct EvidenceSources {
    pub(super) merchant: Arc<MerchantClient>,
    pub(super) evidence_store: Option<Arc<dyn EvidenceStore>>,
}

impl EvidenceSources {
    /// Whether the store is that of the instance: then it has the sale that was just made.
    pub(super) async fn check_same_database(&self, sale: &OwnSale) -> Result<(), RehearsalError> {
        let Some(store) = &self.evidence_store else { return Ok(()) };
        match read_with_retries(|| store.read_events(sale.id, EventSeq(0))).await {
            Ok(events) if events.is_empty() => {
                let _an_open_sale_is_left = self.merchant.close_sale(sale.id).await;
                Err(RehearsalError::ForeignDatabase)
            }
            Ok(_) => Ok(()),
            Err(error) => Err(RehearsalError::Database(error)),
        }
    }

    /// What the tables show, and how many events they are behind `version`; `shown` and `lag` are the instance's own overview.
    pub(super) async fn read_tables(
        &self,
        sale: SaleId,
        version: u64,
        (shown, lag): (ShownTableTotals, u64),
    ) -> Result<(ShownTableTotals, u64), EvidenceError> {
        let Some(store) = &self.evidence_store else { return Ok((shown, lag)) };
        let tables = read_with_retries(|| store.read_tables(sale)).await?;
        let lag = version.saturating_sub(tables.version);
        Ok((tables, lag))
    }

    pub(super) async fn read_orders(&self, sale: SaleId) -> Result<Vec<TableOrder>, EvidenceError> {
        match &self.evidence_store {
            Some(store) => read_with_retries(|| store.read_orders(sale)).await,
            None => Ok(self.merchant.list_orders(sale).await?),
        }
    }

    /// The ledger from its first event to its last.
    pub(super) async fn read_ledger(
        &self,
        sale: SaleId,
        mut each: impl FnMut(&LedgerEntry),
    ) -> Result<(), EvidenceError> {
        let Some(store) = &self.evidence_store else {
            return Ok(self.merchant.read_ledger(sale, each).await?);
        };
        let mut after = EventSeq(0);
        loop {
            let events = read_with_retries(|| store.read_events(sale, after)).await?;
            let Some(last) = events.last() else { return Ok(()) };
            after = last.seq;
            events.iter().for_each(&mut each);
        }
    }
}

/// The source of the evidence, for the report.
pub(super) fn describe_source(store: Option<&dyn EvidenceStore>) -> String {
    store.map_or_else(|| API_SOURCE.to_owned(), |store| format!("read in {}", store.name()))
}

async fn read_with_retries<'a, T>(read: impl Fn() -> EvidenceFuture<'a, T>) -> Result<T, EvidenceError> {
    let mut left = TRIES;
    loop {
        left -= 1;
        match read().await {
            Err(error) if left > 0 => tracing::debug!(%error, "reading the evidence store failed; retrying"),
            read => return read,
        }
        tokio::time::sleep(PAUSE).await;
    }
}
