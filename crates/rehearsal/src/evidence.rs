//! Reads the ledger and the tables of a rehearsal's sale from the database itself, past the API. The judge treats it as it
//! treats the replies of an instance. It never writes, and never judges.

use crate::judge::{ShownTableTotals, TableOrder};
use sale::{EventSeq, LedgerEntry, SaleId};
use std::error::Error;
use std::future::Future;
use std::pin::Pin;

/// Something that is being read.
pub type EvidenceFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, Box<dyn Error + Send + Sync>>> + Send + 'a>>;

/// A ledger and its tables.
pub trait EvidenceStore: Send + Sync {
    /// What it is, for the report, such as `PostgreSQL`. Never its address, which may contain a password.
    fn name(&self) -> &'static str;

    /// What the tables of a sale add up to.
    fn read_tables(&self, sale: SaleId) -> EvidenceFuture<'_, ShownTableTotals>;

    /// All orders of a sale, as the tables show them.
    fn read_orders(&self, sale: SaleId) -> EvidenceFuture<'_, Vec<TableOrder>>;

    /// Some events of a sale that follow `after`, in order; none when there is no later one.
    fn read_events(&self, sale: SaleId, after: EventSeq) -> EvidenceFuture<'_, Vec<LedgerEntry>>;
}
