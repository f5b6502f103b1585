//! The published state of a sale, read without the pipeline and without a lock. A view is published after its batch is durable:
//! it is never newer than the ledger, and may be a batch older than the decision under way.

use arc_swap::ArcSwap;
use sale::{
    Availability, EventSeq, LineMoment, Policy, Refusal, SaleCounters, SaleId, SalePhase, SaleState,
    SaleSwitches, Timestamp,
};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// A sale at one version.
#[derive(Clone, Debug)]
pub struct SaleView {
    pub id: SaleId,
    /// The last event in it.
    pub seq: EventSeq,
    pub policy: Arc<Policy>,
    pub counters: SaleCounters,
    pub availability: Availability,
    /// While no unit is free: the end of the first hold or admission, at which its unit is free again. A buyer may give a unit back earlier.
    pub next_return_at: Option<Timestamp>,
    switches: SaleSwitches,
}

impl SaleView {
    /// The view of a state.
    #[must_use]
    pub fn from_state(id: SaleId, state: &SaleState, policy: Arc<Policy>) -> Self {
        Self::from_counters(id, state.seq(), policy, state.counters(), state.switches(), state.next_due())
    }

    /// The view of a sale whose state is kept elsewhere; `due` is as of [`SaleState::next_due`].
    #[must_use]
    pub(crate) fn from_counters(
        id: SaleId,
        seq: EventSeq,
        policy: Arc<Policy>,
        counters: SaleCounters,
        switches: SaleSwitches,
        due: Option<Timestamp>,
    ) -> Self {
        // Without a free unit nobody is admitted, so all that can be due is an end.
        let next_return_at = due.filter(|_| counters.available == 0);
        let availability = counters.availability();
        Self { id, seq, policy, counters, availability, next_return_at, switches }
    }

    /// Since when the sale is paused; `None` while it is not.
    #[must_use]
    pub fn paused_at(&self) -> Option<Timestamp> {
        self.switches.paused_at
    }

    /// The sale at `now`, for estimates of the wait in its line.
    #[must_use]
    pub fn line_moment(&self, now: Timestamp) -> LineMoment<'_> {
        LineMoment { policy: &self.policy, counters: self.counters, switches: self.switches, now }
    }

    /// Whether no buyer can be admitted any more.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.phase(now).is_over()
    }

    /// Buyers who wait in line at `now`: none once the sale is over, though the law still counts those who waited then.
    #[must_use]
    pub fn waiting(&self, now: Timestamp) -> u32 {
        if self.is_over(now) { 0 } else { self.counters.waiting }
    }

    /// What the sale is doing at `now`.
    #[must_use]
    pub fn phase(&self, now: Timestamp) -> SalePhase {
        SalePhase::at(now, &self.policy, self.switches)
    }

    /// The refusal that every new reservation gets now; see [`sale::refusal_for_every_reservation`].
    #[must_use]
    pub fn refusal_for_all(&self, now: Timestamp) -> Option<Refusal> {
        sale::refusal_for_every_reservation(self.phase(now), &self.counters)
    }
}

/// The published views of all sales, and a signal that one has changed.
pub struct SaleViews {
    slots: ArcSwap<HashMap<SaleId, Arc<ArcSwap<SaleView>>>>,
    changed: watch::Sender<u64>,
}

impl Default for SaleViews {
    fn default() -> Self {
        Self { slots: ArcSwap::default(), changed: watch::Sender::new(0) }
    }
}

impl SaleViews {
    /// The sale as last recorded.
    #[must_use]
    pub fn get(&self, sale: SaleId) -> Option<Arc<SaleView>> {
        self.slots.load().get(&sale).map(|slot| slot.load_full())
    }

    /// All sales as last recorded, in no order.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<SaleView>> {
        self.slots.load().values().map(|slot| slot.load_full()).collect()
    }

    /// Changes each time events were recorded. Followers wait on it, then read on from their own offsets.
    #[must_use]
    pub fn subscribe_changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Publishes recorded views, and signals a change when one is new. Only the recording stage calls this, so that views
    /// never run ahead of the ledger or backwards.
    pub(crate) fn publish(&self, views: Vec<Arc<SaleView>>) {
        let mut is_news = false;
        for view in views {
            let known = self.slots.load().get(&view.id).cloned();
            if known.as_ref().is_some_and(|slot| slot.load().seq == view.seq) {
                continue;
            }
            is_news = true;
            match known {
                Some(slot) => slot.store(view),
                None => {
                    self.slots.rcu(|slots| {
                        let mut slots = HashMap::clone(slots);
                        slots.insert(view.id, Arc::new(ArcSwap::new(Arc::clone(&view))));
                        slots
                    });
                }
            }
        }
        if is_news {
            self.changed.send_modify(|rings| *rings += 1);
        }
    }
}
