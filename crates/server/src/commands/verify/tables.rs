//! The tables beside the ledger: what they show of each sale, and how that differs from what the ledger says as of the same event.

use super::super::ledger_loss;
use super::counters_text::format_counters;
use super::source::FolderSource;
use crate::followers::projector;
use crate::store::ledger_traces::{self, LedgerTraces};
use crate::store::payments::{self, CapturedPayments};
use crate::store::table_totals::{self, ProjectedTotals, RowTotals};
use crate::store::{self, Store, StoreError};
use engine::record::ReadError;
use engine::record::sqlite::{self, ReadAccess, StructureCheck};
use sale::{EventSeq, SaleCounters, SaleId};
use std::collections::{BTreeMap, HashSet};

/// What the tables show.
#[derive(Default)]
pub(super) struct TablesReading {
    pub(super) totals: BTreeMap<SaleId, ProjectedTotals>,
    pub(super) traces: LedgerTraces,
    /// The sales that have a row; `None` while there are no tables.
    pub(super) listed: Option<HashSet<SaleId>>,
    /// The payments whose money was taken.
    pub(super) captured: CapturedPayments,
}

/// Why the tables of a folder were not read.
pub(super) enum TablesError {
    /// They are not as they were written.
    Damaged(String),
    Failed(anyhow::Error),
}

/// Reads the tables of a folder; nothing while there are none. The structure of the file and its log are checked first.
pub(super) async fn read_folder(source: &FolderSource) -> Result<TablesReading, TablesError> {
    if !ledger_loss::has_tables(&source.folder) {
        return Ok(TablesReading::default());
    }
    // Twice, because a running instance may restart its log while it is read.
    let check_log = || sqlite::check_log(&source.folder, store::DATABASE_FILE);
    if let Err(ReadError::Corrupt { file, cause }) = check_log().or_else(|_| check_log()) {
        return Err(TablesError::Damaged(format!("{file}: {cause}")));
    }
    let file = source.tables.folder.join(store::DATABASE_FILE);
    match sqlite::check_structure(&file, source.tables.access, None) {
        Ok(StructureCheck::Malformed(findings)) => {
            return Err(TablesError::Damaged(format!("{}: {findings}", store::DATABASE_FILE)));
        }
        Ok(StructureCheck::Intact | StructureCheck::Unfinished) => {}
        Err(error) => return Err(TablesError::Failed(error.into())),
    }
    let is_immutable = source.tables.access == ReadAccess::Immutable;
    let store = Store::open_read_only(&source.tables.folder, is_immutable).await;
    let store = store.map_err(|error| TablesError::Failed(error.into()))?;
    read_store(store).await.map_err(|error| {
        let is_damage =
            error.chain().any(|cause| cause.downcast_ref::<StoreError>().is_some_and(StoreError::is_damage));
        if is_damage { TablesError::Damaged(format!("{error:#}")) } else { TablesError::Failed(error) }
    })
}

/// Reads tables that are open, and closes them.
pub(super) async fn read_store(store: Store) -> anyhow::Result<TablesReading> {
    anyhow::ensure!(
        store.is_current().await?,
        "they are not those of this version, run `doorbuster migrate` first"
    );
    let totals = table_totals::list_totals(&store, projector::FOLLOWER_NAME).await?;
    let traces = ledger_traces::count(&store).await?;
    let listed = ledger_traces::list_sales(&store).await?;
    let captured = payments::list_captured(&store).await?;
    store.close().await;
    let totals = totals.into_iter().map(|totals| (totals.sale, totals)).collect();
    Ok(TablesReading { totals, traces, listed: Some(listed), captured })
}

/// How the tables of a sale differ from its ledger, whose last event is `last`, and which had these `counters` at the event that
/// the tables are at.
pub(super) fn describe_difference(
    tables: &ProjectedTotals,
    last: EventSeq,
    counters: Option<SaleCounters>,
) -> Option<String> {
    let ProjectedTotals { seq, rows, .. } = tables;
    let Some(ledger) = counters else {
        return Some(format!("they are at event {seq}, the ledger ends at event {last}"));
    };
    let Some((at, shown)) = tables.counters else {
        return Some(format!("they are at event {seq}, and have no row of counters"));
    };
    if at != *seq {
        return Some(format!("they are at event {seq}, their row of counters at event {at}"));
    }
    if shown != ledger {
        return Some(format!(
            "at event {seq} the ledger has {}, they have {}",
            format_counters(&ledger),
            format_counters(&shown)
        ));
    }
    let due = RowTotals {
        held: ledger.held.into(),
        sold: ledger.sold.into(),
        waiting: ledger.waiting.into(),
        admitted: ledger.admitted.into(),
    };
    (*rows != due).then(|| {
        format!(
            "at event {seq} the ledger has {} held, {} sold, {} waiting and {} admitted, the rows of orders and places \
             have {} held, {} sold, {} waiting and {} admitted",
            due.held,
            due.sold,
            due.waiting,
            due.admitted,
            rows.held,
            rows.sold,
            rows.waiting,
            rows.admitted
        )
    })
}
