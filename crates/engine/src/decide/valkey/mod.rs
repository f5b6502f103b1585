//! Deciding in Valkey or Redis (7.0 or newer): the law as a library of functions that runs inside the server, for any
//! number of processes that share its sales. What is decided is in the sale's outbox, in the server, until it is recorded.
//!
//! A server decides only from a state that was handed to the very process that it runs in. Whoever is told that it has none
//! begins a new epoch beside the ledger, folds the ledger, and hands the state over; what was decided under an earlier
//! epoch is not recorded any more. So a server that was restarted, emptied, or is not the one it was costs time, never a
//! unit. This module never records, and never answers from a server that could have lost something.

mod calls;
mod library;
mod nodes;
mod outbox;
mod plan;
mod records;
mod restore;
mod wire;

pub use calls::{Batch, CALL_LEN_MAX, CALLS_IN_FLIGHT, Library, Said, Time};
pub use library::{TEXT, VERSION};
pub use nodes::ValkeyError;
pub use outbox::{Outbox, Waiting};
pub use wire::{Answer, Reply, Request};

use super::{Ask, Decide, DecideError, Decided};
use crate::record::{Epoch, Epochs, Read, ReadError};
use crate::view::SaleView;
use plan::{Plan, Planned};
use sale::{Policy, SaleId, Seq, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// How often a sale that goes on is looked at by itself: another process may have given it something to do, and have died.
const LOOK_EVERY_MS: i64 = 1_000;
/// How often the ledger is asked which sales there are: another process may have announced one.
const LIST_EVERY_MS: i64 = 10_000;
/// How often a batch is sent again because a state had to be handed over.
const ROUNDS: usize = 8;

/// How a decider is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where: `redis://host:port/`; any node of a cluster.
    pub url: String,
    /// A name that no other process has.
    pub name: String,
    /// Decide by the time that [`Decide::decide`] is told, not by the server's own clock: for tests and rehearsals.
    pub time_as_told: bool,
}

/// Decides in Valkey.
pub struct Valkey {
    library: Library,
    ledger: Arc<dyn Read>,
    epochs: Arc<dyn Epochs>,
    time_as_told: bool,
    sales: HashMap<SaleId, Known>,
    /// When each sale is to be looked at, on the clock of this process. A sale stands here once, with its `due`.
    agenda: BTreeSet<(Timestamp, SaleId)>,
    /// Sales whose state is not believed, with the epoch up to which it is not.
    distrusted: HashMap<SaleId, Epoch>,
    listed_at: Timestamp,
}

/// What this process knows of a sale.
struct Known {
    policy: Arc<Policy>,
    policy_seq: Seq,
    epoch: Epoch,
    due: Option<Timestamp>,
    view: Arc<SaleView>,
}

impl Valkey {
    /// Connects, sees to it that the server is fit and has the library, and knows the sales of the ledger.
    ///
    /// # Errors
    /// When the server cannot be reached or may not be decided in, or the ledger cannot be read.
    pub async fn start(
        settings: &Settings,
        ledger: Arc<dyn Read>,
        epochs: Arc<dyn Epochs>,
    ) -> Result<Self, ValkeyError> {
        let mut library = Library::at(&settings.url, &settings.name)?;
        library.connect().await?;
        let mut valkey = Self {
            library,
            ledger: Arc::clone(&ledger),
            epochs,
            time_as_told: settings.time_as_told,
            sales: HashMap::new(),
            agenda: BTreeSet::new(),
            distrusted: HashMap::new(),
            listed_at: Timestamp::default(),
        };
        valkey.look_at_all(ledger.as_ref()).await?;
        Ok(valkey)
    }

    /// Says that the server's state of a sale is wrong, though the server believes in it: the ledger had another event where
    /// one was to be recorded. The state is handed over anew before anything else is decided from it.
    pub fn distrust(&mut self, sale: SaleId) {
        let epoch = self.sales.get(&sale).map_or(Epoch(0), |known| known.epoch);
        self.distrusted.insert(sale, epoch);
    }

    async fn decide_all(&mut self, now: Timestamp, asks: &[Ask]) -> Result<Decided, ValkeyError> {
        if now.ms_since(self.listed_at) >= LIST_EVERY_MS {
            self.list(now).await?;
        }
        let mut plan = Plan::of(asks, self.sales.keys().copied());
        let due: Vec<SaleId> =
            self.agenda.iter().take_while(|(due, _)| *due <= now).map(|(_, id)| *id).collect();
        plan.tick(due);
        let mut decided = Decided::default();
        self.run(now, &mut plan, &mut decided).await?;
        if plan.has_orders_not_found() {
            // Another process may have announced a sale since.
            let known: BTreeSet<SaleId> = self.sales.keys().copied().collect();
            self.list(now).await?;
            plan.ask_also(self.sales.keys().copied().filter(|id| !known.contains(id)));
            self.run(now, &mut plan, &mut decided).await?;
        }
        decided.told = plan.answers();
        Ok(decided)
    }

    /// Sends what is planned, and hands states over where they are missing, until all is decided.
    async fn run(
        &mut self,
        now: Timestamp,
        plan: &mut Plan<'_>,
        decided: &mut Decided,
    ) -> Result<(), ValkeyError> {
        let mut open = plan.calls();
        for _ in 0..ROUNDS {
            if open.is_empty() {
                return Ok(());
            }
            let batches: Vec<Batch<'_>> = open.iter().map(|call| self.batch(now, call)).collect();
            let said = self.library.decide(&batches, CALLS_IN_FLIGHT).await?;
            let mut again: Vec<Planned<'_>> = Vec::new();
            for (call, said) in open.into_iter().zip(said) {
                match said {
                    Said::Decided(reply) => {
                        let known = self.learn(now, call.sale, &reply);
                        plan.take(&call, &reply, known);
                        self.keep(call.sale, *reply, decided);
                    }
                    Said::StateNeeded(why) => {
                        tracing::warn!(sale = %call.sale, why, "the state is to be handed over anew");
                        again.push(call);
                    }
                }
            }
            open = self.restore_all(now, again, plan).await?;
        }
        match open.first() {
            None => Ok(()),
            Some(call) => {
                Err(ValkeyError::HandOver { sale: call.sale, what: "it was lost each time".into() })
            }
        }
    }

    fn batch<'a>(&self, now: Timestamp, call: &Planned<'a>) -> Batch<'a> {
        let known = self.sales.get(&call.sale);
        let distrusted = self.distrusted.get(&call.sale).map_or(Epoch(0), |epoch| Epoch(epoch.0 + 1));
        Batch {
            sale: call.sale,
            time: if self.time_as_told { Time::At(now) } else { Time::OfServer },
            epoch_min: known.map_or(Epoch(0), |known| known.epoch).max(distrusted),
            known_policy: known.map_or(Seq(0), |known| known.policy_seq),
            requests: call.requests(),
        }
    }

    /// Hands states over; what is left over can be sent again. A sale that nobody announced is answered at once.
    async fn restore_all<'a>(
        &mut self,
        now: Timestamp,
        calls: Vec<Planned<'a>>,
        plan: &mut Plan<'_>,
    ) -> Result<Vec<Planned<'a>>, ValkeyError> {
        let mut again = Vec::new();
        let (mut there, mut nowhere) = (BTreeSet::new(), BTreeSet::new());
        for call in calls {
            if !there.contains(&call.sale) && !nowhere.contains(&call.sale) {
                let epoch_min = self.batch(now, &call).epoch_min;
                let restored = self.restore(call.sale, epoch_min, call.announces()).await?;
                if restored { &mut there } else { &mut nowhere }.insert(call.sale);
            }
            // A later call may announce what an earlier one asked for in vain.
            if there.contains(&call.sale) {
                again.push(call);
            } else if call.announces() && self.restore(call.sale, Epoch(0), true).await? {
                there.insert(call.sale);
                again.push(call);
            } else {
                plan.no_such_sale(now, &call);
            }
        }
        Ok(again)
    }

    /// Takes over what a reply says of a sale; false when it was never announced.
    fn learn(&mut self, now: Timestamp, id: SaleId, reply: &Reply) -> bool {
        let known = self.sales.get(&id);
        let policy = match (&reply.policy, known) {
            ((_, Some(policy)), _) => Arc::new(policy.clone()),
            ((seq, None), Some(known)) if *seq == known.policy_seq => Arc::clone(&known.policy),
            _ => return false,
        };
        if !reply.announced {
            return false;
        }
        let old_due = known.and_then(|known| known.due);
        if let Some(old) = old_due {
            self.agenda.remove(&(old, id));
        }
        let due = self.due_here(now, &policy, reply);
        if let Some(due) = due {
            self.agenda.insert((due, id));
        }
        let seq = Seq(reply.seq_before.0 + reply.entries.len() as u64);
        let paused = reply.paused && !reply.closed;
        let view = Arc::new(SaleView::from_sums(
            id,
            seq,
            Arc::clone(&policy),
            reply.counters,
            (paused, reply.closed),
        ));
        let known = Known { policy, policy_seq: reply.policy.0, epoch: reply.epoch, due, view };
        self.sales.insert(id, known);
        self.distrusted.remove(&id);
        true
    }

    /// When to look at a sale again. The server's clock and ours need not agree, and ours must come later.
    fn due_here(&self, now: Timestamp, policy: &Policy, reply: &Reply) -> Option<Timestamp> {
        let ahead_ms = now.ms_since(reply.at);
        let due = reply.due.map(|due| due.plus_ms(ahead_ms).max(now.plus_ms(1)));
        let sums = &reply.counters;
        let goes_on = !reply.closed && reply.at < policy.ends_at;
        let is_owed = sums.held > 0 || sums.admitted > 0;
        let look = (goes_on || is_owed).then(|| now.plus_ms(LOOK_EVERY_MS));
        due.into_iter().chain(look).min()
    }

    /// Puts what was decided into the batch to be recorded.
    fn keep(&self, id: SaleId, reply: Reply, decided: &mut Decided) {
        if let Some(known) = self.sales.get(&id) {
            decided.views.retain(|view| view.id != id);
            decided.views.push(Arc::clone(&known.view));
        }
        let Some(last) = reply.entries.last().map(|entry| entry.seq) else { return };
        decided.batch.calls.push(crate::record::Call { sale: id, epoch: reply.epoch, last });
        match decided.batch.sales.iter_mut().find(|(sale, _)| *sale == id) {
            Some((_, entries)) => entries.extend(reply.entries),
            None => decided.batch.sales.push((id, reply.entries)),
        }
    }
}

impl Decide for Valkey {
    /// As the trait says, but for the time, which is the server's own unless [`Settings::time_as_told`]. After an error some of
    /// the batch may have been decided: it waits in the outbox, and nobody was told of it.
    async fn decide(&mut self, now: Timestamp, asks: &[Ask]) -> Result<Decided, DecideError> {
        self.decide_all(now, asks).await.map_err(|error| DecideError::Store(Box::new(error)))
    }

    /// Looks at every sale of the ledger, and hands its state over where the server has none, or one of an earlier epoch. A
    /// state that is sound is left alone: other processes decide from it.
    async fn rebuild(&mut self, ledger: &dyn Read) -> Result<(), ReadError> {
        self.look_at_all(ledger).await.map_err(|error| match error {
            ValkeyError::Ledger(error) => error,
            other => ReadError::Store(Box::new(other)),
        })
    }

    fn next_due(&self) -> Option<Timestamp> {
        let listing = self.listed_at.plus_ms(LIST_EVERY_MS);
        Some(self.agenda.first().map_or(listing, |(due, _)| listing.min(*due)))
    }

    fn views(&self) -> Vec<Arc<SaleView>> {
        self.sales.values().map(|known| Arc::clone(&known.view)).collect()
    }
}
