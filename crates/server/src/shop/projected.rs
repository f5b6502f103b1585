//! How far the tables follow the ledger, for readers that must not tell a buyer less than the buyer knows. It knows nothing
//! of how the tables are written: [`crate::announce`] tells it.

use arc_swap::ArcSwap;
use engine::Views;
use sale::{SaleId, Seq};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// The last event of each sale that the tables show; clones share it.
#[derive(Clone, Default)]
pub struct Projected {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    sales: ArcSwap<HashMap<SaleId, Arc<AtomicU64>>>,
    bell: watch::Sender<()>,
}

impl Projected {
    /// The last event of a sale that the tables show; 0 for a sale they do not show yet.
    #[must_use]
    pub fn applied(&self, sale: SaleId) -> Seq {
        Seq(self.shared.sales.load().get(&sale).map_or(0, |seq| seq.load(Ordering::Acquire)))
    }

    /// The sales of which the tables show less than is published, at this moment.
    #[must_use]
    pub fn lagging(&self, views: &Views) -> Vec<SaleId> {
        let views = views.all();
        views.iter().filter(|view| self.applied(view.id) < view.seq).map(|view| view.id).collect()
    }

    /// Waits until the tables show a sale at `seq` or later, at most for `patience`. False when they do not by then.
    pub async fn wait(&self, sale: SaleId, seq: Seq, patience: Duration) -> bool {
        let mut bell = self.shared.bell.subscribe();
        let shown = async {
            while self.applied(sale) < seq {
                if bell.changed().await.is_err() {
                    return;
                }
            }
        };
        let _late = tokio::time::timeout(patience, shown).await;
        self.applied(sale) >= seq
    }

    /// [`Projected::wait`] for all that is published of all sales now.
    pub async fn wait_for_all(&self, views: &Views, patience: Duration) -> bool {
        let mut bell = self.shared.bell.subscribe();
        let wanted: Vec<(SaleId, Seq)> = views.all().iter().map(|view| (view.id, view.seq)).collect();
        let is_shown = || wanted.iter().all(|(sale, seq)| self.applied(*sale) >= *seq);
        let shown = async {
            while !is_shown() {
                if bell.changed().await.is_err() {
                    return;
                }
            }
        };
        let _late = tokio::time::timeout(patience, shown).await;
        is_shown()
    }

    /// What the tables say of themselves, where another process writes them: a sale that is not among these is not shown.
    pub(crate) fn set_all(&self, applied: impl Iterator<Item = (SaleId, Seq)>) {
        let applied: HashMap<SaleId, Seq> = applied.collect();
        let known = self.shared.sales.load_full();
        for sale in known.keys().filter(|sale| !applied.contains_key(sale)) {
            if self.applied(*sale) != Seq(0) {
                self.set(*sale, Seq(0));
            }
        }
        for (sale, seq) in applied {
            if self.applied(sale) != seq {
                self.set(sale, seq);
            }
        }
    }

    /// Events that are published and that the tables do not show yet.
    #[must_use]
    pub fn behind(&self, views: &Views) -> u64 {
        views.all().iter().map(|view| view.seq.0.saturating_sub(self.applied(view.id).0)).sum()
    }

    /// Only the projector calls this, after its transaction is committed.
    pub(crate) fn set(&self, sale: SaleId, seq: Seq) {
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
        self.shared.bell.send_replace(());
    }
}
