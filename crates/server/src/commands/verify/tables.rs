//! The tables beside the ledger: what they show of each sale, and how that differs from what the ledger says as of the same event.

use super::words::told;
use crate::announce::projector;
use crate::store::sums::{self, Rows, Sums};
use crate::store::{self, Store};
use sale::{Counters, SaleId, Seq};
use std::collections::BTreeMap;
use std::path::Path;

/// What the tables show of every sale; nothing while there are no tables.
pub(super) async fn read(folder: &Path) -> anyhow::Result<BTreeMap<SaleId, Sums>> {
    if !folder.join(store::FILE).exists() {
        return Ok(BTreeMap::new());
    }
    of(Store::open(folder).await?).await
}

/// The same of tables that are open.
pub(super) async fn of(store: Store) -> anyhow::Result<BTreeMap<SaleId, Sums>> {
    anyhow::ensure!(
        store.is_current().await?,
        "they are not those of this version, run `doorbuster migrate` first"
    );
    let sums = sums::list(&store, projector::NAME).await?;
    store.close().await;
    Ok(sums.into_iter().map(|sums| (sums.sale, sums)).collect())
}

/// How the tables of a sale differ from its ledger, whose last event is `last`, and which had these `counters` at the event that
/// the tables are at.
pub(super) fn difference(tables: &Sums, last: Seq, counters: Option<Counters>) -> Option<String> {
    let Sums { seq, rows, .. } = tables;
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
        return Some(format!("at event {seq} the ledger has {}, they have {}", told(&ledger), told(&shown)));
    }
    let due = Rows {
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
