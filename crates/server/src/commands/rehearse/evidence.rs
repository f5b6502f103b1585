//! `rehearse --database`: the ledger and the tables of the running instances, read in PostgreSQL and not over the API, as
//! `verify` reads them. It changes nothing there.

use super::super::CommandError;
use super::super::database::DatabaseUrl;
use crate::followers::projector;
use crate::store::orders::{self, OrderRowFilter};
use crate::store::{Store, StoreError, followers};
use anyhow::Context;
use engine::record::LedgerReader;
use engine::record::postgres::PostgresReader;
use rehearsal::evidence::{EvidenceFuture, EvidenceStore};
use rehearsal::judge::{ShownStatusTotal, ShownTableTotals, TableOrder};
use sale::{EventSeq, LedgerEntry, SaleId};

/// Events of one read: some hundred kilobytes.
const EVENTS_LEN: usize = 4096;
/// Orders of one read.
const ORDERS_LEN: u32 = 5_000;
/// How often the totals are read again because the projector wrote meanwhile; the last ones count only at the ledger's end.
const TRIES: u32 = 5;

/// The database of the instances.
pub(super) struct PostgresEvidence {
    ledger: PostgresReader,
    tables: Store,
}

impl PostgresEvidence {
    /// Opens the database, and checks that it can be read.
    pub(super) async fn open(database: &DatabaseUrl) -> Result<Self, CommandError> {
        let ledger = database.open_ledger().await?;
        let tables = database.open_tables_without_timeout().await?;
        if !tables.is_current().await.context("--database: the tables cannot be read")? {
            let sentence =
                "--database: the tables are not those of this version, run `doorbuster migrate` first";
            return Err(CommandError::Usage(sentence.to_owned()));
        }
        Ok(Self { ledger, tables })
    }

    async fn projected_version(&self, sale: SaleId) -> Result<u64, StoreError> {
        let offsets = followers::list_offsets(&self.tables, projector::FOLLOWER_NAME).await?;
        Ok(offsets.into_iter().find(|(id, _)| *id == sale).map_or(0, |(_, offset)| offset.seq.0))
    }

    async fn read_totals(&self, sale: SaleId) -> Result<ShownTableTotals, StoreError> {
        let mut version = self.projected_version(sale).await?;
        let mut left = TRIES;
        loop {
            let totals = orders::totals_by_status(&self.tables, sale).await?;
            let after = self.projected_version(sale).await?;
            left -= 1;
            if after == version || left == 0 {
                let shown = |total: orders::StatusTotals| ShownStatusTotal {
                    status: total.status,
                    orders: total.orders,
                    units: total.units,
                };
                return Ok(ShownTableTotals { version, statuses: totals.into_iter().map(shown).collect() });
            }
            version = after;
        }
    }

    async fn list_orders(&self, sale: SaleId) -> Result<Vec<TableOrder>, StoreError> {
        let mut all = Vec::new();
        let mut filter = OrderRowFilter { sale: Some(sale), ..OrderRowFilter::default() };
        loop {
            let rows = orders::list(&self.tables, filter, ORDERS_LEN).await?;
            let Some(last) = rows.last() else { return Ok(all) };
            filter.after = Some((last.order.made_at, last.order.id));
            all.extend(rows.iter().map(|row| TableOrder {
                order: row.order.id,
                buyer: row.order.buyer,
                units: row.order.quantity,
                status: row.order.status.as_str().to_owned(),
            }));
        }
    }
}

impl EvidenceStore for PostgresEvidence {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn read_tables(&self, sale: SaleId) -> EvidenceFuture<'_, ShownTableTotals> {
        Box::pin(async move { Ok(self.read_totals(sale).await?) })
    }

    fn read_orders(&self, sale: SaleId) -> EvidenceFuture<'_, Vec<TableOrder>> {
        Box::pin(async move { Ok(self.list_orders(sale).await?) })
    }

    fn read_events(&self, sale: SaleId, after: EventSeq) -> EvidenceFuture<'_, Vec<LedgerEntry>> {
        Box::pin(async move { Ok(self.ledger.read_entries(sale, after, EVENTS_LEN).await?) })
    }
}
