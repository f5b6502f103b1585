//! Damage of stored data that a running engine meets: a malformed file, a row that is not as it was written, a file that was removed. It
//! is noted once and for good: a file that is malformed in one place may be so in others, so nothing is recorded until the next start, which checks
//! all of it. Nothing here repairs anything.

use crate::error_text::describe_error;
use crate::record::{LedgerPage, LedgerReader, ReadError, SaleNumber};
use futures::future::BoxFuture;
use prometheus_client::metrics::gauge::Gauge;
use sale::{EventSeq, LedgerEntry, SaleId};
use std::error::Error;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Whether damage was met. Clones share it.
#[derive(Clone, Debug)]
pub struct DamageFlag {
    /// 1 once damage was met; the metric of the same name.
    seen: Gauge,
    /// 0 from then on: the metric that says whether the ledger takes records.
    recording: Gauge,
}

impl DamageFlag {
    pub(crate) fn new(seen: Gauge, recording: Gauge) -> Self {
        Self { seen, recording }
    }

    #[must_use]
    pub fn is_seen(&self) -> bool {
        self.seen.get() == 1
    }

    /// Notes damage, and logs the first of it.
    pub fn report(&self, error: &dyn Error) {
        if self.seen.set(1) == 0 {
            self.recording.set(0);
            tracing::error!(
                error = describe_error(error),
                "stored data is damaged; nothing is recorded until the next start and callers get 503; stop this instance, \
                 copy its data, and run `doorbuster verify` on the copy"
            );
        }
    }

    /// Notes that files of the data folder were removed or replaced while they are open, and logs it: what is recorded from then on no
    /// start finds. `open_files` names where their content can still be read.
    pub fn report_lost_files(&self, lost: &str, open_files: &str) {
        let is_first = self.seen.set(1) == 0;
        self.recording.set(0);
        if is_first {
            tracing::error!(
                lost,
                open_files,
                "a file of the data folder was removed or replaced while it is open; nothing is recorded until the next start and \
                 callers get 503; its content goes with this process: before you stop it, copy what open_files names to another \
                 folder, and run `doorbuster verify` on the copy"
            );
        }
    }

    /// Notes an error of reading if it is damage.
    pub(crate) fn report_read_error(&self, error: &ReadError) {
        if error.is_damage() {
            self.report(error);
        }
    }
}

/// A ledger whose readers report the damage that they meet.
pub(crate) struct WatchedLedger {
    pub(crate) ledger: Arc<dyn LedgerReader>,
    pub(crate) damage: DamageFlag,
}

impl LedgerReader for WatchedLedger {
    fn list_sales(&self) -> BoxFuture<'_, Result<Vec<SaleId>, ReadError>> {
        Box::pin(async {
            self.ledger.list_sales().await.inspect_err(|error| self.damage.report_read_error(error))
        })
    }

    fn read_entries(
        &self,
        sale: SaleId,
        after: EventSeq,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<LedgerEntry>, ReadError>> {
        Box::pin(async move {
            let read = self.ledger.read_entries(sale, after, limit).await;
            read.inspect_err(|error| self.damage.report_read_error(error))
        })
    }

    fn find_number(&self, sale: SaleId) -> BoxFuture<'_, Result<Option<SaleNumber>, ReadError>> {
        Box::pin(async move {
            self.ledger.find_number(sale).await.inspect_err(|error| self.damage.report_read_error(error))
        })
    }

    /// The receiver gets the error, and reports it if it goes on.
    fn scan(&self) -> mpsc::Receiver<Result<LedgerPage, ReadError>> {
        self.ledger.scan()
    }
}
