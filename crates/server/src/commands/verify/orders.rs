//! The orders of a ledger that were sold, for `reconcile`. Where the ledger is damaged there is no answer: `verify` says where.

use super::super::CommandError;
use super::super::database::{DatabaseUrl, ledger_error};
use super::source::FolderSource;
use super::{TRIES_MAX, torn_ends, usage_error};
use crate::commands::runtime;
use anyhow::Context;
use engine::record::postgres::PostgresReader;
use engine::record::sqlite::SqliteReader;
use engine::record::{LedgerPage, LedgerReader as _, ReadError};
use sale::{Event, OrderId, SaleId, Timestamp};
use std::collections::HashMap;
use std::path::Path;
use tokio::sync::mpsc::Receiver;

/// Orders that were sold; one takes some 60 bytes.
pub(in crate::commands) type LedgerOrders = HashMap<OrderId, LedgerOrder>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) struct LedgerOrder {
    pub(in crate::commands) sale: SaleId,
    pub(in crate::commands) end: OrderEnd,
    /// When it was confirmed.
    pub(in crate::commands) at: Timestamp,
    /// Whether its units had a price, and had to be paid before they were sold.
    pub(in crate::commands) costs_money: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) enum OrderEnd {
    Confirmed,
    Refunded,
}

/// The orders of a data folder.
pub(in crate::commands) fn read_folder_orders(folder: &Path) -> Result<LedgerOrders, CommandError> {
    let mut tries = 1;
    loop {
        let source = FolderSource::open(folder).map_err(CommandError::Failed)?;
        let read = read_source(&source);
        // What was read torn may look like anything, also like an error.
        if tries == TRIES_MAX || !source.has_changed() {
            return read;
        }
        tries += 1;
    }
}

/// The orders of a database.
pub(in crate::commands) async fn read_database_orders(
    database: &DatabaseUrl,
) -> Result<LedgerOrders, CommandError> {
    let reader = PostgresReader::open(&database.address()?).await;
    let reader = reader.map_err(|error| ledger_error(error.into()))?;
    read_pages(reader.scan()).await
}

fn read_source(source: &FolderSource) -> Result<LedgerOrders, CommandError> {
    let reader = SqliteReader::open_with(&source.ledger.folder, source.ledger.access);
    let reader = match reader {
        Ok(reader) => reader,
        Err(error @ (ReadError::Missing { .. } | ReadError::Foreign { .. })) => {
            return Err(usage_error(&error));
        }
        Err(error) => return Err(CommandError::Failed(error.into())),
    };
    let torn = torn_ends(&reader)?;
    runtime()?.block_on(read_pages(reader.scan_without(&torn)))
}

async fn read_pages(
    mut pages: Receiver<Result<LedgerPage, ReadError>>,
) -> Result<LedgerOrders, CommandError> {
    let mut orders = LedgerOrders::new();
    let mut costs_money: HashMap<SaleId, bool> = HashMap::new();
    while let Some(page) = pages.recv().await {
        let page = page.context("the ledger cannot be read to its end; `doorbuster verify` says where")?;
        for entry in &page.entries {
            match &entry.event {
                Event::Configured { policy } => {
                    let costs = policy.unit_price.minor > 0 && !policy.sells_at_once();
                    costs_money.insert(page.sale, costs);
                }
                Event::Confirmed { order, .. } => {
                    let costs_money = costs_money.get(&page.sale).copied().unwrap_or(true);
                    let order_entry =
                        LedgerOrder { sale: page.sale, end: OrderEnd::Confirmed, at: entry.at, costs_money };
                    orders.insert(*order, order_entry);
                }
                Event::Refunded { order, .. } => {
                    if let Some(found) = orders.get_mut(order) {
                        found.end = OrderEnd::Refunded;
                    }
                }
                _ => {}
            }
        }
    }
    Ok(orders)
}
