//! `rehearse --database`: the ledger and the tables of the running instances, read in PostgreSQL and not over the API, as
//! `verify` reads them. It changes nothing there.

use super::super::CommandError;
use super::super::database::DatabaseUrl;
use crate::announce::projector;
use crate::store::orders::{self, Filter};
use crate::store::{Store, StoreError, followers};
use anyhow::Context;
use engine::record::Read;
use engine::record::postgres::PostgresReader;
use rehearsal::archive::{Archive, Reading};
use rehearsal::judge::{OrderRow, StatusSum, TableSums};
use sale::{Entry, SaleId, Seq};

/// Events that are read at a time: some hundred kilobytes.
const EVENTS_LEN: usize = 4096;
/// Orders that are read at a time.
const ORDERS_LEN: u32 = 5_000;
/// How often sums are read anew because the projector wrote meanwhile; the last ones are judged only if they are of the ledger's end.
const TRIES: u32 = 5;

/// The database of the instances.
pub(super) struct InPostgres {
    ledger: PostgresReader,
    tables: Store,
}

impl InPostgres {
    /// Sees whether it can be read.
    pub(super) async fn open(database: &DatabaseUrl) -> Result<Self, CommandError> {
        let ledger = database.ledger().await?;
        let tables = database.tables_at_leisure().await?;
        if !tables.is_current().await.context("--database: the tables cannot be read")? {
            let sentence =
                "--database: the tables are not those of this version, run `doorbuster migrate` first";
            return Err(CommandError::Usage(sentence.to_owned()));
        }
        Ok(Self { ledger, tables })
    }

    async fn version(&self, sale: SaleId) -> Result<u64, StoreError> {
        let offsets = followers::list(&self.tables, projector::NAME).await?;
        Ok(offsets.into_iter().find(|(id, _)| *id == sale).map_or(0, |(_, offset)| offset.seq.0))
    }

    async fn sums(&self, sale: SaleId) -> Result<TableSums, StoreError> {
        let mut version = self.version(sale).await?;
        let mut left = TRIES;
        loop {
            let sums = orders::sums(&self.tables, sale).await?;
            let after = self.version(sale).await?;
            left -= 1;
            if after == version || left == 0 {
                let told = |sum: orders::StatusSum| StatusSum {
                    status: sum.status,
                    orders: sum.orders,
                    units: sum.units,
                };
                return Ok(TableSums { version, statuses: sums.into_iter().map(told).collect() });
            }
            version = after;
        }
    }

    async fn all_orders(&self, sale: SaleId) -> Result<Vec<OrderRow>, StoreError> {
        let mut all = Vec::new();
        let mut filter = Filter { sale: Some(sale), ..Filter::default() };
        loop {
            let rows = orders::list(&self.tables, filter, ORDERS_LEN).await?;
            let Some(last) = rows.last() else { return Ok(all) };
            filter.after = Some((last.order.made_at, last.order.id));
            all.extend(rows.iter().map(|row| OrderRow {
                order: row.order.id,
                buyer: row.order.buyer,
                units: row.order.quantity,
                status: row.order.status.as_str().to_owned(),
            }));
        }
    }
}

impl Archive for InPostgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn tables(&self, sale: SaleId) -> Reading<'_, TableSums> {
        Box::pin(async move { Ok(self.sums(sale).await?) })
    }

    fn orders(&self, sale: SaleId) -> Reading<'_, Vec<OrderRow>> {
        Box::pin(async move { Ok(self.all_orders(sale).await?) })
    }

    fn events(&self, sale: SaleId, after: Seq) -> Reading<'_, Vec<Entry>> {
        Box::pin(async move { Ok(self.ledger.read(sale, after, EVENTS_LEN).await?) })
    }
}
