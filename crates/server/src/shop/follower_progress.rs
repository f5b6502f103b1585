//! How far a follower has come in each sale. Readers of the tables compare the projector's progress with what is published, so
//! that a buyer never reads less than the buyer wrote. It reads neither the ledger nor the tables: the follower's runner sets it.

use arc_swap::ArcSwap;
use engine::SaleViews;
use sale::{EventSeq, SaleId};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How long a read waits for the tables to catch up with the ledger, before it reads them as they are.
#[derive(Clone, Copy, Debug)]
pub struct CatchUpTimeouts {
    /// A buyer's question about how a place in line ended.
    pub place: Duration,
    /// The pages of admins.
    pub admin: Duration,
}

impl Default for CatchUpTimeouts {
    fn default() -> Self {
        Self { place: Duration::from_millis(500), admin: Duration::from_secs(1) }
    }
}

/// The last event of each sale that a follower has delivered; clones share it.
#[derive(Clone, Default)]
pub struct FollowerProgress {
    shared: Arc<SharedProgress>,
}

#[derive(Default)]
struct SharedProgress {
    sales: ArcSwap<HashMap<SaleId, Arc<AtomicU64>>>,
    changed: watch::Sender<()>,
}

impl FollowerProgress {
    /// The last event of a sale that is delivered; 0 before the first.
    #[must_use]
    pub fn delivered_seq(&self, sale: SaleId) -> EventSeq {
        EventSeq(self.shared.sales.load().get(&sale).map_or(0, |seq| seq.load(Ordering::Acquire)))
    }

    /// The sales of which less is delivered than is published, at this moment.
    #[must_use]
    pub fn lagging_sales(&self, views: &SaleViews) -> Vec<SaleId> {
        let views = views.list();
        views.iter().filter(|view| self.delivered_seq(view.id) < view.seq).map(|view| view.id).collect()
    }

    /// Waits at most `timeout` until a sale is delivered up to `seq` or later. False when it is not by then.
    pub async fn wait_for(&self, sale: SaleId, seq: EventSeq, timeout: Duration) -> bool {
        self.wait_until(timeout, || self.delivered_seq(sale) >= seq).await
    }

    /// Waits at most `timeout` until all that is published now, of all sales, is delivered.
    pub async fn wait_for_all(&self, views: &SaleViews, timeout: Duration) -> bool {
        let wanted: Vec<(SaleId, EventSeq)> = views.list().iter().map(|view| (view.id, view.seq)).collect();
        self.wait_until(timeout, || wanted.iter().all(|(sale, seq)| self.delivered_seq(*sale) >= *seq)).await
    }

    async fn wait_until(&self, timeout: Duration, is_reached: impl Fn() -> bool) -> bool {
        let mut changes = self.shared.changed.subscribe();
        let reached = async {
            while !is_reached() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let _late = tokio::time::timeout(timeout, reached).await;
        is_reached()
    }

    /// Events that are published and not delivered yet.
    #[must_use]
    pub fn count_behind(&self, views: &SaleViews) -> u64 {
        views.list().iter().map(|view| view.seq.0.saturating_sub(self.delivered_seq(view.id).0)).sum()
    }

    /// What the offsets in the tables say where another process delivers: a sale without an offset is not begun.
    pub(crate) fn set_all(&self, offsets: impl Iterator<Item = (SaleId, EventSeq)>) {
        let offsets: HashMap<SaleId, EventSeq> = offsets.collect();
        let known = self.shared.sales.load_full();
        for sale in known.keys().filter(|sale| !offsets.contains_key(sale)) {
            self.set(*sale, EventSeq(0));
        }
        for (sale, seq) in offsets {
            self.set(sale, seq);
        }
    }

    /// Only a runner calls this, after the delivery.
    pub(crate) fn set(&self, sale: SaleId, seq: EventSeq) {
        if self.delivered_seq(sale) == seq {
            return;
        }
        let known = self.shared.sales.load().get(&sale).cloned();
        match known {
            Some(delivered) => delivered.store(seq.0, Ordering::Release),
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
