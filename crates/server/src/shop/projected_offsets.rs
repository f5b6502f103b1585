//! The offsets up to which the tables show the ledger, for readers that must not show a buyer less than the buyer knows. The projector
//! ([`crate::followers`]) sets them.

use arc_swap::ArcSwap;
use engine::SaleViews;
use sale::{EventSeq, SaleId};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// The last event of each sale that the tables show; clones share it.
#[derive(Clone, Default)]
pub struct ProjectedOffsets {
    shared: Arc<SharedOffsets>,
}

#[derive(Default)]
struct SharedOffsets {
    sales: ArcSwap<HashMap<SaleId, Arc<AtomicU64>>>,
    changed: watch::Sender<()>,
}

impl ProjectedOffsets {
    /// The last event of a sale that the tables show; 0 for a sale they do not show yet.
    #[must_use]
    pub fn shown_seq(&self, sale: SaleId) -> EventSeq {
        EventSeq(self.shared.sales.load().get(&sale).map_or(0, |seq| seq.load(Ordering::Acquire)))
    }

    /// The sales of which the tables show less than is published, at this moment.
    #[must_use]
    pub fn lagging_sales(&self, views: &SaleViews) -> Vec<SaleId> {
        let views = views.list();
        views.iter().filter(|view| self.shown_seq(view.id) < view.seq).map(|view| view.id).collect()
    }

    /// Waits until the tables show a sale at `seq` or later, at most for `timeout`. False when they do not by then.
    pub async fn wait_for(&self, sale: SaleId, seq: EventSeq, timeout: Duration) -> bool {
        let mut changed = self.shared.changed.subscribe();
        let shown = async {
            while self.shown_seq(sale) < seq {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        let _late = tokio::time::timeout(timeout, shown).await;
        self.shown_seq(sale) >= seq
    }

    /// [`ProjectedOffsets::wait_for`] for all that is published of all sales now.
    pub async fn wait_for_all(&self, views: &SaleViews, timeout: Duration) -> bool {
        let mut changed = self.shared.changed.subscribe();
        let wanted: Vec<(SaleId, EventSeq)> = views.list().iter().map(|view| (view.id, view.seq)).collect();
        let is_shown = || wanted.iter().all(|(sale, seq)| self.shown_seq(*sale) >= *seq);
        let shown = async {
            while !is_shown() {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        let _late = tokio::time::timeout(timeout, shown).await;
        is_shown()
    }

    /// What the tables say of themselves, where another process writes them: a sale that is not among these is not shown.
    pub(crate) fn set_all(&self, applied: impl Iterator<Item = (SaleId, EventSeq)>) {
        let applied: HashMap<SaleId, EventSeq> = applied.collect();
        let known = self.shared.sales.load_full();
        for sale in known.keys().filter(|sale| !applied.contains_key(sale)) {
            if self.shown_seq(*sale) != EventSeq(0) {
                self.set(*sale, EventSeq(0));
            }
        }
        for (sale, seq) in applied {
            if self.shown_seq(sale) != seq {
                self.set(sale, seq);
            }
        }
    }

    /// Events that are published and that the tables do not show yet.
    #[must_use]
    pub fn count_behind(&self, views: &SaleViews) -> u64 {
        views.list().iter().map(|view| view.seq.0.saturating_sub(self.shown_seq(view.id).0)).sum()
    }

    /// Only the projector calls this, after its transaction is committed.
    pub(crate) fn set(&self, sale: SaleId, seq: EventSeq) {
        let known = self.shared.sales.load().get(&sale).cloned();
        match known {
            Some(applied) => applied.store(seq.0, Ordering::Release),
            None => {
                self.shared.sales.rcu(|sales| {
                    let mut sales = HashMap::clone(sales);
                    sales.insert(sale, Arc::new(AtomicU64::new(seq.0)));
                    sales
                });
            }
        }
        self.shared.changed.send_replace(());
    }
}
