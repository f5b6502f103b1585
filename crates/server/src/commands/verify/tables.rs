//! The tables beside the ledger: what they show of each sale, and how that differs from what the ledger says as of the same event.

use super::counters_text::format_counters;
use crate::followers::projector;
use crate::store::table_totals::{self, ProjectedTotals, RowTotals};
use crate::store::{self, Store};
use sale::{EventSeq, SaleCounters, SaleId};
use std::collections::BTreeMap;
use std::path::Path;

/// What the tables show of every sale; nothing while there are no tables.
pub(super) async fn read_folder(folder: &Path) -> anyhow::Result<BTreeMap<SaleId, ProjectedTotals>> {
    if !folder.join(store::DATABASE_FILE).exists() {
        return Ok(BTreeMap::new());
    }
    read_store(Store::open(folder).await?).await
}

/// The same of tables that are open.
pub(super) async fn read_store(store: Store) -> anyhow::Result<BTreeMap<SaleId, ProjectedTotals>> {
    anyhow::ensure!(
        store.is_current().await?,
        "they are not those of this version, run `doorbuster migrate` first"
    );
    let totals = table_totals::list_totals(&store, projector::FOLLOWER_NAME).await?;
    store.close().await;
    Ok(totals.into_iter().map(|totals| (totals.sale, totals)).collect())
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
