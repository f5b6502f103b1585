//! Deciding in Valkey or Redis (7.0 or newer): the law as a library of functions that runs inside the server, for any
//! number of processes that share its sales. What is decided is in the sale's outbox, in the server, until it is recorded.
//!
//! A server decides only from a state that was handed to the very process that it runs in. Whoever is told that it has none
//! begins a new epoch beside the ledger, folds the ledger, and hands the state over; what was decided under an earlier
//! epoch is not recorded any more. So a server that was restarted, emptied, or is not the one it was costs time, never a
//! unit. This module never records, never answers from a server that could have lost something, and keeps nobody waiting for a
//! server that is away: whoever asks of a sale that cannot be decided now is told so.

mod calls;
mod library;
mod listing;
mod nodes;
mod outbox;
mod plan;
mod records;
mod restore;
mod skew;
mod wire;

pub use calls::{Batch, CALL_LEN_MAX, CALLS_IN_FLIGHT, Library, Said, Time};
pub use library::{TEXT, VERSION};
pub use nodes::ValkeyError;
pub use outbox::{Outbox, Waiting};
pub use skew::{Skew, WrongBy};
pub use wire::{Answer, Reply, Request};

use super::{Ask, Decide, DecideError, Decided};
use crate::record::{Call, Epoch, Epochs, Outdated, Read, ReadError};
use crate::view::SaleView;
use listing::Listing;
use plan::{Plan, Planned};
use restore::Restoring;
use sale::{Policy, SaleId, Seq, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// How often a sale that is under way is looked at by itself, so that what other processes decide is shown here: an eye sees no
/// difference, and a hundred such sales cost a server a few per cent of a core.
const LOOK_OFTEN_MS: i64 = 150;
/// How often one is looked at that begins later, or in which something is owed after its end.
const LOOK_MS: i64 = 1_000;
/// How often one is looked at in which nothing can happen by itself: a merchant may have refunded an order, and have died.
const LOOK_SELDOM_MS: i64 = 10_000;
/// From so long before its line opens, or it starts, a sale is looked at often.
const SOON_MS: i64 = 60_000;
/// When what could not be decided is tried again.
const RETRY_MS: i64 = 100;
/// How often a batch is sent again because a state had to be handed over.
const ROUNDS: usize = 8;
/// How long callers wait for a state to be handed over, counted from its beginning. A small one takes milliseconds; for a large one
/// they are told to come back, and the other sales go on.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the start does.
const PATIENCE_AT_START: Duration = Duration::from_secs(60);

/// How a decider is set up.
#[derive(Clone)]
pub struct Settings {
    /// Where: `redis://host:port/`; any node of a cluster.
    pub url: String,
    /// A name that no other process has.
    pub name: String,
    /// Decide by the time that [`Decide::decide`] is told, not by the server's own clock: for tests and rehearsals.
    pub time_as_told: bool,
    /// Whether to see to what is due in sales that nobody asks about. One process that does is enough, any number may.
    pub ticks: bool,
    /// By how much this machine's clock is to be taken for wrong.
    pub wrong_by: WrongBy,
}

impl std::fmt::Debug for Settings {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Decides in Valkey.
pub struct Valkey {
    library: Library,
    epochs: Arc<dyn Epochs>,
    settings: Settings,
    sales: HashMap<SaleId, Known>,
    /// When each sale is to be looked at, on the clock of this process. A sale stands here once, with its `due`.
    agenda: BTreeSet<(Timestamp, SaleId)>,
    /// Epochs below which a sale's state is not believed, whatever the server says.
    floors: HashMap<SaleId, Epoch>,
    listing: Listing,
    restoring: Restoring,
    skew: Skew,
    is_away: bool,
}

/// What this process knows of a sale.
struct Known {
    policy: Arc<Policy>,
    policy_seq: Seq,
    epoch: Epoch,
    due: Option<Timestamp>,
    view: Arc<SaleView>,
}

/// A batch on its way through the server.
struct Deciding<'a> {
    /// `None` when nobody said what time it is here: then it is what the server says.
    now: Option<Timestamp>,
    plan: Plan<'a>,
    decided: Decided,
    /// How long whoever asks waits for a state to be handed over.
    patience: Duration,
}

impl Valkey {
    /// Connects, and sees to it that the server is fit and has the library. It knows no sale before [`Decide::rebuild`].
    ///
    /// # Errors
    /// When the server cannot be reached or may not be decided in.
    pub async fn start(
        settings: &Settings,
        ledger: Arc<dyn Read>,
        epochs: Arc<dyn Epochs>,
    ) -> Result<Self, ValkeyError> {
        let mut library = Library::at(&settings.url, &settings.name)?;
        library.connect().await?;
        let skew = Skew::measured(Arc::clone(&settings.wrong_by), &mut library).await?;
        Ok(Self {
            library,
            restoring: Restoring::new(settings, ledger, Arc::clone(&epochs))?,
            epochs,
            settings: settings.clone(),
            sales: HashMap::new(),
            agenda: BTreeSet::new(),
            floors: HashMap::new(),
            listing: Listing::default(),
            skew,
            is_away: false,
        })
    }

    /// By how much the server's clock differs from the machine's; kept up to date.
    #[must_use]
    pub fn skew(&self) -> Skew {
        self.skew.clone()
    }

    async fn decide_all(&mut self, now: Timestamp, asks: &[Ask]) -> Decided {
        let plan = Plan::of(asks, self.sales.keys().copied());
        let mut deciding = Deciding { now: Some(now), plan, decided: Decided::default(), patience: PATIENCE };
        let news = self.listing.news(now, &self.epochs, &self.sales).await;
        deciding.plan.tick(news);
        let due = self.agenda.iter().take_while(|(due, _)| *due <= now).map(|(_, id)| *id);
        deciding.plan.tick(due);
        self.run(&mut deciding).await;
        if deciding.plan.has_orders_not_found() {
            // Orders of an earlier version say nothing of their sale.
            deciding.plan.ask_also(self.sales.keys().copied());
            self.run(&mut deciding).await;
        }
        if deciding.plan.has_orders_not_found() {
            // Another process may have announced a sale since.
            let fresh = self.listing.fresh(now, &self.epochs, &self.sales).await;
            deciding.plan.ask_also(fresh.into_iter());
            self.run(&mut deciding).await;
        }
        if !self.is_away {
            self.skew.keep_up(now, &mut self.library).await;
        }
        let mut decided = deciding.decided;
        decided.told = deciding.plan.answers();
        decided
    }

    /// Sends what is planned, and hands states over where they are missing, until all is decided or cannot be.
    async fn run(&mut self, deciding: &mut Deciding<'_>) {
        let mut open = deciding.plan.calls();
        for _ in 0..ROUNDS {
            if open.is_empty() {
                return;
            }
            let batches: Vec<Batch<'_>> = open.iter().map(|call| self.batch(deciding.now, call)).collect();
            let said = self.library.decide(&batches, CALLS_IN_FLIGHT).await;
            self.is_away = said.iter().all(Result::is_err);
            let mut again: Vec<Planned<'_>> = Vec::new();
            for (call, said) in open.into_iter().zip(said) {
                match said {
                    Ok(Said::Decided(reply)) => self.take(deciding, &call, *reply),
                    Ok(Said::StateNeeded(why)) => {
                        if self.sales.contains_key(&call.sale) && !self.restoring.is_at(call.sale) {
                            tracing::warn!(sale = %call.sale, why, "the state is to be handed over anew");
                        }
                        again.push(call);
                    }
                    Err(error) => self.fail(deciding, &call, &error),
                }
            }
            open = self.restore_all(deciding, again).await;
        }
        for call in open {
            let what = "it was lost each time".to_owned();
            self.fail(deciding, &call, &ValkeyError::HandOver { sale: call.sale, what });
        }
    }

    fn batch<'a>(&self, now: Option<Timestamp>, call: &Planned<'a>) -> Batch<'a> {
        let known = self.sales.get(&call.sale);
        let (epoch, policy_seq) = known.map_or((Epoch(0), Seq(0)), |known| (known.epoch, known.policy_seq));
        let floor = self.floors.get(&call.sale).copied().unwrap_or_default();
        Batch {
            sale: call.sale,
            time: if self.settings.time_as_told { Time::At(now.unwrap_or_default()) } else { Time::OfServer },
            epoch_min: epoch.max(floor),
            known_policy: if floor > epoch { Seq(0) } else { policy_seq },
            requests: call.requests(),
        }
    }

    /// Takes over what a call said.
    fn take(&mut self, deciding: &mut Deciding<'_>, call: &Planned<'_>, reply: Reply) {
        // What was decided earlier in this batch from a state that is over since was not told anyone, and will not be.
        let calls = &mut deciding.decided.batch.calls;
        if calls.iter().any(|earlier| earlier.sale == call.sale && earlier.epoch != reply.epoch) {
            calls.retain(|earlier| earlier.sale != call.sale);
            deciding.decided.batch.sales.retain(|(sale, _)| *sale != call.sale);
            deciding.plan.take_back(call.sale);
        }
        let is_announced = self.learn(deciding.now, call.sale, &reply);
        let view = self.sales.get(&call.sale).filter(|_| is_announced).map(|known| Arc::clone(&known.view));
        deciding.plan.take(call, &reply, view.as_ref());
        keep(call.sale, reply, view, &mut deciding.decided);
    }

    /// Nobody knows what became of this call.
    fn fail(&mut self, deciding: &mut Deciding<'_>, call: &Planned<'_>, error: &ValkeyError) {
        let is_new = !matches!(error, ValkeyError::Away { .. } | ValkeyError::HandOver { .. });
        if is_new {
            tracing::warn!(sale = %call.sale, error = error as &dyn std::error::Error, "a call was not decided");
        }
        deciding.plan.fail(call);
        let now = deciding.now.unwrap_or_default();
        self.look_again(call.sale, Some(now.plus_ms(RETRY_MS)));
    }

    /// Takes over what a reply says of a sale; false when it was never announced.
    fn learn(&mut self, now: Option<Timestamp>, id: SaleId, reply: &Reply) -> bool {
        let known = self.sales.get(&id);
        let policy = match (&reply.policy, known) {
            ((_, Some(policy)), _) => Arc::new(policy.clone()),
            ((seq, None), Some(known)) if *seq == known.policy_seq => Arc::clone(&known.policy),
            _ => return false,
        };
        if !reply.announced {
            return false;
        }
        let due = self.due_here(now.unwrap_or(reply.at), &policy, reply);
        let seq = Seq(reply.seq_before.0 + reply.entries.len() as u64);
        let paused = reply.paused && !reply.closed;
        let view = Arc::new(SaleView::from_sums(
            id,
            seq,
            Arc::clone(&policy),
            reply.counters,
            (paused, reply.closed),
        ));
        let due_before = known.and_then(|known| known.due);
        let known = Known { policy, policy_seq: reply.policy.0, epoch: reply.epoch, due: due_before, view };
        self.sales.insert(id, known);
        self.look_again(id, due);
        true
    }

    /// Puts a sale that is known into the agenda, in the place of where it stood.
    fn look_again(&mut self, id: SaleId, due: Option<Timestamp>) {
        let Some(known) = self.sales.get_mut(&id) else { return };
        if let Some(old) = std::mem::replace(&mut known.due, due) {
            self.agenda.remove(&(old, id));
        }
        if let Some(due) = due {
            self.agenda.insert((due, id));
        }
    }

    /// When to look at a sale again. The server's clock and ours need not agree, and ours must come later.
    fn due_here(&self, now: Timestamp, policy: &Policy, reply: &Reply) -> Option<Timestamp> {
        let ahead_ms = now.ms_since(reply.at);
        let due = reply.due.filter(|_| self.settings.ticks);
        let due = due.map(|due| due.plus_ms(ahead_ms).max(now.plus_ms(1)));
        let opens = policy.line_opens_at().unwrap_or(policy.starts_at).min(policy.starts_at);
        let goes_on = !reply.closed && reply.at < policy.ends_at;
        let is_owed = reply.counters.held > 0 || reply.counters.admitted > 0;
        let look_ms = match (goes_on, is_owed) {
            (true, _) if reply.at >= opens.plus_ms(-SOON_MS) => LOOK_OFTEN_MS,
            (true, _) | (_, true) => LOOK_MS,
            (false, false) => LOOK_SELDOM_MS,
        };
        due.into_iter().chain([now.plus_ms(look_ms)]).min()
    }
}

/// Puts what was decided into the batch to be recorded, and what is to be shown then.
fn keep(id: SaleId, reply: Reply, view: Option<Arc<SaleView>>, decided: &mut Decided) {
    if let Some(view) = view {
        decided.views.retain(|view| view.id != id);
        decided.views.push(view);
    }
    let before = reply.seq_before;
    let last = reply.entries.last().map_or(before, |entry| entry.seq);
    decided.batch.calls.push(Call { sale: id, epoch: reply.epoch, before, last });
    if reply.entries.is_empty() {
        return;
    }
    match decided.batch.sales.iter_mut().find(|(sale, _)| *sale == id) {
        Some((_, entries)) => entries.extend(reply.entries),
        None => decided.batch.sales.push((id, reply.entries)),
    }
}

impl Decide for Valkey {
    /// As the trait says, but for the time, which is the server's own unless [`Settings::time_as_told`]. What could not be decided
    /// is told as unavailable: it may have been decided all the same, and waits in the outbox then, and nobody was told of it.
    async fn decide(&mut self, now: Timestamp, asks: &[Ask]) -> Result<Decided, DecideError> {
        Ok(self.decide_all(now, asks).await)
    }

    /// Looks at every sale of the ledger, and hands its state over where the server has none, or one of an earlier epoch. A
    /// state that is sound is left alone: other processes decide from it.
    async fn rebuild(&mut self, _ledger: &dyn Read) -> Result<Decided, ReadError> {
        let sales = self.epochs.all().await?;
        for (sale, epoch) in &sales {
            let floor = self.floors.entry(*sale).or_default();
            *floor = (*floor).max(*epoch);
        }
        let plan = Plan::of(&[], std::iter::empty());
        let mut deciding =
            Deciding { now: None, plan, decided: Decided::default(), patience: PATIENCE_AT_START };
        deciding.plan.tick(sales.into_iter().map(|(sale, _)| sale));
        self.run(&mut deciding).await;
        if self.is_away {
            let away = ValkeyError::Away { server: "its address".to_owned() };
            return Err(ReadError::Store(Box::new(away)));
        }
        Ok(deciding.decided)
    }

    fn distrust(&mut self, outdated: &Outdated) {
        let floor = self.floors.entry(outdated.sale).or_default();
        *floor = (*floor).max(Epoch(outdated.epoch.0 + 1));
    }

    fn next_due(&self) -> Option<Timestamp> {
        let listing = self.listing.due();
        Some(self.agenda.first().map_or(listing, |(due, _)| listing.min(*due)))
    }

    fn views(&self) -> Vec<Arc<SaleView>> {
        self.sales.values().map(|known| Arc::clone(&known.view)).collect()
    }

    fn is_away(&self) -> bool {
        self.is_away
    }
}
