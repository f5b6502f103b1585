//! Where the ledger and the tables of a rehearsal's sale can be read past the API: in the database itself, by somebody who
//! knows how. What is read there is judged like what an instance tells. It never writes, and never judges.

use crate::judge::{OrderRow, TableSums};
use sale::{Entry, SaleId, Seq};
use std::error::Error;
use std::future::Future;
use std::pin::Pin;

/// Something that is being read.
pub type Reading<'a, T> = Pin<Box<dyn Future<Output = Result<T, Box<dyn Error + Send + Sync>>> + Send + 'a>>;

/// A ledger and its tables.
pub trait Archive: Send + Sync {
    /// What it is, for the report, such as `PostgreSQL`. Never its address, in which a password may stand.
    fn name(&self) -> &'static str;

    /// What the tables of a sale add up to.
    fn tables(&self, sale: SaleId) -> Reading<'_, TableSums>;

    /// All orders of a sale, as the tables show them.
    fn orders(&self, sale: SaleId) -> Reading<'_, Vec<OrderRow>>;

    /// Some events of a sale that follow `after`, in order; none when there is no later one.
    fn events(&self, sale: SaleId, after: Seq) -> Reading<'_, Vec<Entry>>;
}
