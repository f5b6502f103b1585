//! Deciding in Valkey or Redis (7.0 or newer): the law as a library of functions that runs inside the server, for any
//! number of processes that share its sales. What is decided is in the sale's outbox, in the server, until it is recorded.
//!
//! A server decides only from a state that was handed to the very process that it runs in. Whoever is told that it has none
//! begins a new epoch beside the ledger, folds the ledger, and hands the state over; what was decided under an earlier
//! epoch is not recorded any more. So a server that was restarted, emptied, or is not the one it was costs time, never a
//! unit. This module never records, never answers from a server that could have lost something, and keeps nobody waiting for a
//! server that is away: whoever asks of a sale that cannot be decided now is told so.

mod calls;
mod error;
mod library;
mod listing;
mod nodes;
mod outbox;
mod plan;
mod records;
mod restore;
mod skew;
mod wire;

pub use calls::{CALL_LEN_MAX, CALLS_IN_FLIGHT, CallResult, CallTime, LibraryCall, ValkeyLibrary};
pub use error::ValkeyError;
pub use library::{LIBRARY_SOURCE, LIBRARY_VERSION};
pub use outbox::{Outbox, OutboxItem};
pub use skew::{ClockOffset, ClockSkew};
pub use wire::{LibraryAnswer, LibraryReply, LibraryRequest};

use super::{BatchDecider, DecideError, DecidedBatch, Request};
use crate::batch::{Call, Epoch, StaleEpoch};
use crate::record::{EpochStore, LedgerReader, ReadError};
use crate::valkey_connection::ValkeyAddress;
use crate::view::SaleView;
use listing::SaleDiscovery;
use plan::{CallPlan, PlannedCall};
use restore::StateRestorer;
use sale::{EventSeq, Policy, SaleId, SaleSwitches, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// How often a sale that is under way is looked at by itself, so that what other processes decide is shown here: an eye sees no
/// difference, and a hundred such sales cost a server a few per cent of a core.
const POLL_ACTIVE_MS: i64 = 150;
/// How often one is looked at that begins later, or in which something is owed after its end.
const POLL_WAITING_MS: i64 = 1_000;
/// How often one is looked at in which nothing can happen by itself: a merchant may have refunded an order, and have died.
const POLL_IDLE_MS: i64 = 10_000;
/// From so long before its line opens, or it starts, a sale is looked at often.
const SOON_MS: i64 = 60_000;
/// When what could not be decided is tried again.
const RETRY_INTERVAL_MS: i64 = 100;
/// How often a batch is sent again because a state had to be handed over.
const ROUNDS_MAX: usize = 8;
/// How long callers wait for a state to be handed over, counted from its beginning. A small one takes milliseconds; for a large one
/// they are told to come back, and the other sales go on.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the start does.
const START_RESTORE_TIMEOUT: Duration = Duration::from_secs(60);

/// How a decider is set up.
#[derive(Clone)]
pub struct ValkeySettings {
    pub address: ValkeyAddress,
    /// A name that no other process has.
    pub name: String,
    /// Decide by the time that [`Decide::decide`] is told, not by the server's own clock: for tests and rehearsals.
    pub uses_caller_time: bool,
    /// Whether to see to what is due in sales that nobody asks about. One process that does is enough, any number may.
    pub ticks: bool,
    /// By how much this machine's clock is to be taken for wrong.
    pub clock_offset: ClockOffset,
}

pub struct ValkeyDecider {
    library: ValkeyLibrary,
    epochs: Arc<dyn EpochStore>,
    settings: ValkeySettings,
    sales: HashMap<SaleId, KnownSale>,
    /// When each sale is to be looked at, on the clock of this process. A sale stands here once, with its `due`.
    agenda: BTreeSet<(Timestamp, SaleId)>,
    /// Epochs below which a sale's state is not believed, whatever the server says.
    epoch_floors: HashMap<SaleId, Epoch>,
    listing: SaleDiscovery,
    restorer: StateRestorer,
    skew: ClockSkew,
    is_unavailable: bool,
}

/// What this process knows of a sale.
struct KnownSale {
    policy: Arc<Policy>,
    policy_seq: EventSeq,
    epoch: Epoch,
    due: Option<Timestamp>,
    view: Arc<SaleView>,
}

/// A batch on its way through the server.
struct BatchInFlight<'a> {
    /// `None` when nobody said what time it is here: then it is what the server says.
    now: Option<Timestamp>,
    plan: CallPlan<'a>,
    decided: DecidedBatch,
    /// How long whoever asks waits for a state to be handed over.
    timeout: Duration,
}

impl ValkeyDecider {
    /// Connects, and sees to it that the server is fit and has the library. It knows no sale before [`Decide::rebuild`].
    ///
    /// # Errors
    /// When the server cannot be reached or may not be decided in.
    pub async fn start(
        settings: &ValkeySettings,
        ledger: Arc<dyn LedgerReader>,
        epochs: Arc<dyn EpochStore>,
    ) -> Result<Self, ValkeyError> {
        let mut library = ValkeyLibrary::new(&settings.address, &settings.name);
        library.connect().await?;
        let skew = ClockSkew::start(Arc::clone(&settings.clock_offset), &mut library).await?;
        Ok(Self {
            library,
            restorer: StateRestorer::new(settings, ledger, Arc::clone(&epochs))?,
            epochs,
            settings: settings.clone(),
            sales: HashMap::new(),
            agenda: BTreeSet::new(),
            epoch_floors: HashMap::new(),
            listing: SaleDiscovery::default(),
            skew,
            is_unavailable: false,
        })
    }

    /// By how much the server's clock differs from the machine's; kept up to date.
    #[must_use]
    pub fn skew(&self) -> ClockSkew {
        self.skew.clone()
    }

    async fn decide_all(&mut self, now: Timestamp, asks: &[Request]) -> DecidedBatch {
        let plan = CallPlan::new(asks, self.sales.keys().copied());
        let mut deciding = BatchInFlight {
            now: Some(now),
            plan,
            decided: DecidedBatch::default(),
            timeout: RESTORE_TIMEOUT,
        };
        let news = self.listing.take_new_sales(now, &self.epochs, &self.sales).await;
        deciding.plan.add_ticks(news);
        let due = self.agenda.iter().take_while(|(due, _)| *due <= now).map(|(_, id)| *id);
        deciding.plan.add_ticks(due);
        self.run_plan(&mut deciding).await;
        if deciding.plan.has_orders_not_found() {
            // Orders of an earlier version say nothing of their sale.
            deciding.plan.search_orders_in(self.sales.keys().copied());
            self.run_plan(&mut deciding).await;
        }
        if deciding.plan.has_orders_not_found() {
            // Another process may have announced a sale since.
            let fresh = self.listing.wait_for_new_sales(now, &self.epochs, &self.sales).await;
            deciding.plan.search_orders_in(fresh.into_iter());
            self.run_plan(&mut deciding).await;
        }
        if !self.is_unavailable {
            self.skew.refresh(now, &mut self.library).await;
        }
        let mut decided = deciding.decided;
        decided.replies = deciding.plan.into_replies();
        decided
    }

    /// Sends what is planned, and hands states over where they are missing, until all is decided or cannot be.
    async fn run_plan(&mut self, deciding: &mut BatchInFlight<'_>) {
        let mut open = deciding.plan.take_calls();
        for _ in 0..ROUNDS_MAX {
            if open.is_empty() {
                return;
            }
            let batches: Vec<LibraryCall<'_>> =
                open.iter().map(|call| self.build_call(deciding.now, call)).collect();
            let said = self.library.decide(&batches, CALLS_IN_FLIGHT).await;
            self.is_unavailable = said.iter().all(Result::is_err);
            let mut again: Vec<PlannedCall<'_>> = Vec::new();
            for (call, said) in open.into_iter().zip(said) {
                match said {
                    Ok(CallResult::Decided(reply)) => self.apply_reply(deciding, &call, *reply),
                    Ok(CallResult::StateNeeded(why)) => {
                        if self.sales.contains_key(&call.sale) && !self.restorer.is_restoring(call.sale) {
                            tracing::warn!(sale = %call.sale, why, "the state is to be handed over anew");
                        }
                        again.push(call);
                    }
                    Err(error) => self.fail_call(deciding, &call, &error),
                }
            }
            open = self.restore_all(deciding, again).await;
        }
        for call in open {
            let what = "it was lost each time".to_owned();
            self.fail_call(deciding, &call, &ValkeyError::RestoreFailed { sale: call.sale, what });
        }
    }

    fn build_call<'a>(&self, now: Option<Timestamp>, call: &PlannedCall<'a>) -> LibraryCall<'a> {
        let known = self.sales.get(&call.sale);
        let (epoch, policy_seq) =
            known.map_or((Epoch(0), EventSeq(0)), |known| (known.epoch, known.policy_seq));
        let floor = self.epoch_floors.get(&call.sale).copied().unwrap_or_default();
        LibraryCall {
            sale: call.sale,
            time: if self.settings.uses_caller_time {
                CallTime::FixedAt(now.unwrap_or_default())
            } else {
                CallTime::ServerClock
            },
            epoch_min: epoch.max(floor),
            known_policy: if floor > epoch { EventSeq(0) } else { policy_seq },
            requests: call.requests(),
        }
    }

    /// Takes over what a call said.
    fn apply_reply(&mut self, deciding: &mut BatchInFlight<'_>, call: &PlannedCall<'_>, reply: LibraryReply) {
        // What was decided earlier in this batch from a state that is over since was not told anyone, and will not be.
        let calls = &mut deciding.decided.batch.calls;
        if calls.iter().any(|earlier| earlier.sale == call.sale && earlier.epoch != reply.epoch) {
            calls.retain(|earlier| earlier.sale != call.sale);
            deciding.decided.batch.sales.retain(|(sale, _)| *sale != call.sale);
            deciding.plan.revoke_replies(call.sale);
        }
        let is_announced = self.update_sale(deciding.now, call.sale, &reply);
        let view = self.sales.get(&call.sale).filter(|_| is_announced).map(|known| Arc::clone(&known.view));
        deciding.plan.apply_reply(call, &reply, view.as_ref());
        add_to_batch(call.sale, reply, view, &mut deciding.decided);
    }

    /// Nobody knows what became of this call.
    fn fail_call(&mut self, deciding: &mut BatchInFlight<'_>, call: &PlannedCall<'_>, error: &ValkeyError) {
        let is_new = !matches!(error, ValkeyError::Unreachable { .. } | ValkeyError::RestoreFailed { .. });
        if is_new {
            tracing::warn!(sale = %call.sale, error = error as &dyn std::error::Error, "a call was not decided");
        }
        deciding.plan.mark_unanswered(call);
        let now = deciding.now.unwrap_or_default();
        self.schedule_poll(call.sale, Some(now.plus_ms(RETRY_INTERVAL_MS)));
    }

    /// Takes over what a reply says of a sale; false when it was never announced.
    fn update_sale(&mut self, now: Option<Timestamp>, id: SaleId, reply: &LibraryReply) -> bool {
        let known = self.sales.get(&id);
        let policy = match (&reply.policy, known) {
            ((_, Some(policy)), _) => Arc::new(policy.clone()),
            ((seq, None), Some(known)) if *seq == known.policy_seq => Arc::clone(&known.policy),
            _ => return false,
        };
        if !reply.announced {
            return false;
        }
        let due = self.next_poll_at(now.unwrap_or(reply.at), &policy, reply);
        let seq = EventSeq(reply.seq_before.0 + reply.entries.len() as u64);
        let switches = SaleSwitches { is_paused: reply.paused, is_closed: reply.closed };
        let view = Arc::new(SaleView::from_counters(id, seq, Arc::clone(&policy), reply.counters, switches));
        let due_before = known.and_then(|known| known.due);
        let known =
            KnownSale { policy, policy_seq: reply.policy.0, epoch: reply.epoch, due: due_before, view };
        self.sales.insert(id, known);
        self.schedule_poll(id, due);
        true
    }

    /// Puts a sale that is known into the agenda, in the place of where it stood.
    fn schedule_poll(&mut self, id: SaleId, due: Option<Timestamp>) {
        let Some(known) = self.sales.get_mut(&id) else { return };
        if let Some(old) = std::mem::replace(&mut known.due, due) {
            self.agenda.remove(&(old, id));
        }
        if let Some(due) = due {
            self.agenda.insert((due, id));
        }
    }

    /// When to look at a sale again. The server's clock and ours need not agree, and ours must come later.
    fn next_poll_at(&self, now: Timestamp, policy: &Policy, reply: &LibraryReply) -> Option<Timestamp> {
        let ahead_ms = now.ms_since(reply.at);
        let due = reply.due.filter(|_| self.settings.ticks);
        let due = due.map(|due| due.plus_ms(ahead_ms).max(now.plus_ms(1)));
        let opens = policy.line_opens_at().unwrap_or(policy.starts_at).min(policy.starts_at);
        let goes_on = !reply.closed && reply.at < policy.ends_at;
        let is_owed = reply.counters.held > 0 || reply.counters.admitted > 0;
        let look_ms = match (goes_on, is_owed) {
            (true, _) if reply.at >= opens.plus_ms(-SOON_MS) => POLL_ACTIVE_MS,
            (true, _) | (_, true) => POLL_WAITING_MS,
            (false, false) => POLL_IDLE_MS,
        };
        due.into_iter().chain([now.plus_ms(look_ms)]).min()
    }
}

/// Puts what was decided into the batch to be recorded, and what is to be shown then.
fn add_to_batch(id: SaleId, reply: LibraryReply, view: Option<Arc<SaleView>>, decided: &mut DecidedBatch) {
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

impl BatchDecider for ValkeyDecider {
    /// As the trait says, but for the time, which is the server's own unless [`Settings::time_as_told`]. What could not be decided
    /// is told as unavailable: it may have been decided all the same, and waits in the outbox then, and nobody was told of it.
    async fn decide(&mut self, now: Timestamp, asks: &[Request]) -> Result<DecidedBatch, DecideError> {
        Ok(self.decide_all(now, asks).await)
    }

    /// Looks at every sale of the ledger, and hands its state over where the server has none, or one of an earlier epoch. A
    /// state that is sound is left alone: other processes decide from it.
    async fn rebuild(&mut self, _ledger: &dyn LedgerReader) -> Result<DecidedBatch, ReadError> {
        let sales = self.epochs.list_epochs().await?;
        for (sale, epoch) in &sales {
            let floor = self.epoch_floors.entry(*sale).or_default();
            *floor = (*floor).max(*epoch);
        }
        let plan = CallPlan::new(&[], std::iter::empty());
        let mut deciding = BatchInFlight {
            now: None,
            plan,
            decided: DecidedBatch::default(),
            timeout: START_RESTORE_TIMEOUT,
        };
        deciding.plan.add_ticks(sales.into_iter().map(|(sale, _)| sale));
        self.run_plan(&mut deciding).await;
        if self.is_unavailable {
            let away = ValkeyError::Unreachable { server: "its address".to_owned() };
            return Err(ReadError::Store(Box::new(away)));
        }
        Ok(deciding.decided)
    }

    fn invalidate(&mut self, outdated: &StaleEpoch) {
        let floor = self.epoch_floors.entry(outdated.sale).or_default();
        *floor = (*floor).max(Epoch(outdated.epoch.0 + 1));
    }

    fn next_due(&self) -> Option<Timestamp> {
        let listing = self.listing.due();
        Some(self.agenda.first().map_or(listing, |(due, _)| listing.min(*due)))
    }

    fn views(&self) -> Vec<Arc<SaleView>> {
        self.sales.values().map(|known| Arc::clone(&known.view)).collect()
    }

    fn is_unavailable(&self) -> bool {
        self.is_unavailable
    }
}
