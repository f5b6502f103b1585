//! Decides in Valkey or Redis (7.0 or newer): the law is a library of functions inside the server, so that any number of
//! processes share its sales. Events stay in the sale's outbox, in the server, until they are recorded.
//!
//! A server decides only from a state that was restored into the very process that it runs in. When it has none, the caller
//! begins a new epoch beside the ledger, folds the ledger and restores the state; events of earlier epochs are not recorded any
//! more. So a server that was restarted, emptied or replaced costs time and never a unit. This module never records, never takes
//! an answer from a server that could have lost something, and never keeps a caller waiting for a server that cannot be reached:
//! that request gets [`super::Reply::Unavailable`].

mod agenda;
mod calls;
mod error;
mod library;
mod listing;
mod nodes;
mod outbox;
mod plan;
mod polling;
mod records;
mod restore;
mod skew;
mod versions;
mod wire;

pub use calls::{CALL_LEN_MAX, CALLS_IN_FLIGHT, CallResult, CallTime, LibraryCall, ValkeyLibrary};
pub use error::ValkeyError;
pub use library::{LIBRARY_SOURCE, LIBRARY_VERSION};
pub use outbox::{Outbox, OutboxItem};
pub use skew::{ClockOffset, ClockSkew};
pub use versions::StateVersion;
pub use wire::{LibraryAnswer, LibraryReply, LibraryRequest};

use super::{BatchDecider, DecideError, DecidedBatch, Request};
use crate::batch::{Call, Epoch, StaleEpoch};
use crate::error_text::describe_error;
use crate::record::{EpochStore, LedgerReader, ReadError};
use crate::valkey_connection::ValkeyAddress;
use crate::view::SaleView;
use agenda::SaleAgenda;
use calls::calls_in_flight;
use listing::SaleDiscovery;
use plan::{CallPlan, PlannedCall};
use restore::StateRestorer;
use sale::{EventSeq, Policy, SaleId, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// When a sale that could not be decided is tried again.
const RETRY_INTERVAL_MS: i64 = 100;
/// How often a batch is sent again because a state had to be restored.
const ROUNDS_MAX: usize = 8;
/// For how long an answered poll shows that a server answers: until the next poll of a sale that is going on or has something pending.
const POLL_VALID_MS: i64 = 2_000;
/// How long callers wait for a state to be restored, counted from its beginning. A small state takes milliseconds; callers of a
/// large one are refused, and other sales go on.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the start waits for it.
const START_RESTORE_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct ValkeySettings {
    pub address: ValkeyAddress,
    /// No other process has this name.
    pub name: String,
    /// Decide by the time that [`BatchDecider::decide`] gets, not by the server's own clock: for tests and rehearsals.
    pub uses_caller_time: bool,
    /// Whether to decide what is due in sales without requests. At least one process must, any number may.
    pub ticks: bool,
    /// A deliberate error of this machine's clock, for rehearsals.
    pub clock_offset: ClockOffset,
}

pub struct ValkeyDecider {
    library: ValkeyLibrary,
    epochs: Arc<dyn EpochStore>,
    settings: ValkeySettings,
    sales: HashMap<SaleId, KnownSale>,
    /// When each sale is to be called even though it is not polled: something is due in it, or a call has failed. This and `polls`
    /// are on the clock of this process.
    calls: SaleAgenda,
    /// When each sale is to be polled.
    polls: SaleAgenda,
    /// The lowest epoch of each sale that is valid, whatever the server says.
    epoch_floors: HashMap<SaleId, Epoch>,
    listing: SaleDiscovery,
    restorer: StateRestorer,
    skew: ClockSkew,
    is_unavailable: bool,
    /// When a poll last found a sale as it was: a server answers then, even if the calls of another sale fail.
    poll_answered_at: Timestamp,
}

struct KnownSale {
    policy: Arc<Policy>,
    policy_seq: EventSeq,
    epoch: Epoch,
    view: Arc<SaleView>,
    /// When it was last called.
    called_at: Timestamp,
    /// By how much this process's clock was ahead of the server's then, in milliseconds.
    ahead_ms: i64,
    /// The connections that the library had made by then.
    connection_count: u64,
}

impl KnownSale {
    fn version(&self) -> StateVersion {
        StateVersion { epoch: self.epoch, seq: self.view.seq }
    }
}

/// A batch that is being decided by the server.
struct BatchInFlight<'a> {
    /// `None` at the start: then the reply's time counts.
    now: Option<Timestamp>,
    plan: CallPlan<'a>,
    decided: DecidedBatch,
    /// How long callers wait for a state to be restored.
    timeout: Duration,
    /// The damage of a ledger that a state was to be restored from.
    damage: Option<ReadError>,
}

impl ValkeyDecider {
    /// Connects, checks the server and loads the library. It knows no sale before [`BatchDecider::rebuild`].
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
            calls: SaleAgenda::default(),
            polls: SaleAgenda::default(),
            epoch_floors: HashMap::new(),
            listing: SaleDiscovery::default(),
            skew,
            is_unavailable: false,
            poll_answered_at: Timestamp::default(),
        })
    }

    /// The difference between the server's clock and the machine's; kept up to date.
    #[must_use]
    pub fn skew(&self) -> ClockSkew {
        self.skew.clone()
    }

    async fn decide_all(&mut self, now: Timestamp, requests: &[Request]) -> DecidedBatch {
        let plan = CallPlan::new(requests, self.sales.keys().copied());
        let mut deciding = BatchInFlight {
            now: Some(now),
            plan,
            decided: DecidedBatch::default(),
            timeout: RESTORE_TIMEOUT,
            damage: None,
        };
        let new_sales = self.listing.take_new_sales(now, &self.epochs, &self.sales).await;
        deciding.plan.add_ticks(new_sales);
        let due: Vec<SaleId> = self.calls.list_due(now).collect();
        // Until the reply says when something is due next.
        due.iter().for_each(|sale| self.calls.schedule(*sale, None));
        deciding.plan.add_ticks(due);
        deciding.plan.add_ticks(self.poll_sales(now).await);
        self.run_plan(&mut deciding).await;
        if deciding.plan.has_orders_not_found() {
            // Another process may have announced a sale since.
            let fresh = self.listing.wait_for_new_sales(now, &self.epochs, &self.sales).await;
            deciding.plan.search_orders_in(&fresh);
            self.run_plan(&mut deciding).await;
        }
        if self.is_unavailable && self.sales.is_empty() {
            // No sale is called regularly that would show when the server answers again.
            self.is_unavailable = self.library.server_time().await.is_err();
        }
        if !self.is_unavailable {
            self.skew.refresh(now, &mut self.library).await;
        }
        let mut decided = deciding.decided;
        decided.replies = deciding.plan.into_replies();
        decided
    }

    /// Sends the planned calls, and restores states where they are missing, until all calls are decided or cannot be.
    async fn run_plan(&mut self, deciding: &mut BatchInFlight<'_>) {
        let mut open = deciding.plan.take_calls();
        for _ in 0..ROUNDS_MAX {
            if open.is_empty() {
                return;
            }
            let batches: Vec<LibraryCall<'_>> =
                open.iter().map(|call| self.build_call(deciding.now, call)).collect();
            let results = self.library.decide(&batches, calls_in_flight(&batches)).await;
            self.is_unavailable = deciding.now.is_none_or(|now| self.is_poll_overdue(now))
                && results.iter().all(Result::is_err);
            let mut again: Vec<PlannedCall<'_>> = Vec::new();
            for (call, results) in open.into_iter().zip(results) {
                match results {
                    Ok(CallResult::Decided(reply)) => self.apply_reply(deciding, &call, *reply),
                    Ok(CallResult::StateNeeded(why)) => {
                        if self.sales.contains_key(&call.sale) && !self.restorer.is_restoring(call.sale) {
                            tracing::warn!(sale = %call.sale, why, "the Valkey lacks a sale's state; it is rebuilt from the ledger");
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
        let epoch_min = self.epoch_floors.get(&call.sale).copied().unwrap_or_default();
        LibraryCall {
            sale: call.sale,
            time: if self.settings.uses_caller_time {
                CallTime::FixedAt(now.unwrap_or_default())
            } else {
                CallTime::ServerClock
            },
            epoch_min: epoch.max(epoch_min),
            known_policy: if epoch_min > epoch { EventSeq(0) } else { policy_seq },
            requests: call.requests(),
        }
    }

    /// Applies the reply to a call.
    fn apply_reply(&mut self, deciding: &mut BatchInFlight<'_>, call: &PlannedCall<'_>, reply: LibraryReply) {
        // This batch's earlier events of the sale belong to an epoch that is over. No caller has got a reply to them, and
        // none will.
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

    /// Leaves a call without an answer: it may have been decided or not.
    fn fail_call(&mut self, deciding: &mut BatchInFlight<'_>, call: &PlannedCall<'_>, error: &ValkeyError) {
        let is_new = !matches!(error, ValkeyError::Unreachable { .. } | ValkeyError::RestoreFailed { .. });
        if is_new {
            tracing::warn!(sale = %call.sale, error = describe_error(error), "a call of the Valkey failed; its callers get 503; retrying in 100 ms; check the Valkey and the network to it");
        }
        deciding.plan.mark_unanswered(call);
        let now = deciding.now.unwrap_or_default();
        self.schedule_call(call.sale, now.plus_ms(RETRY_INTERVAL_MS));
    }

    /// Applies what a reply says of a sale; false when the sale was never announced.
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
        let seq = EventSeq(reply.seq_before.0 + reply.entries.len() as u64);
        let view =
            SaleView::from_counters(id, seq, Arc::clone(&policy), reply.counters, reply.switches, reply.due);
        let known = KnownSale {
            policy,
            policy_seq: reply.policy.0,
            epoch: reply.epoch,
            view: Arc::new(view),
            called_at: now.unwrap_or_default(),
            ahead_ms: now.map_or(0, |now| now.ms_since(reply.at)),
            connection_count: self.library.connection_count(),
        };
        self.sales.insert(id, known);
        // At a start the time of this process is not known, and the server's may differ: the first batches poll the sale and call it.
        let poll_at = now.map_or(Timestamp::default(), |now| now.plus_ms(self.poll_interval_ms(id, now)));
        self.calls.schedule(id, self.next_call_at(now.unwrap_or(reply.at), reply));
        self.polls.schedule(id, Some(poll_at));
        true
    }

    /// Whether no poll of late shows that a server answers.
    fn is_poll_overdue(&self, now: Timestamp) -> bool {
        now.ms_since(self.poll_answered_at) >= POLL_VALID_MS
    }

    /// Has a known sale called at this moment.
    fn schedule_call(&mut self, id: SaleId, at: Timestamp) {
        if self.sales.contains_key(&id) {
            self.calls.schedule(id, Some(at));
        }
    }

    /// When something is due in a sale. The server's clock and ours may differ, and ours must come later.
    fn next_call_at(&self, now: Timestamp, reply: &LibraryReply) -> Option<Timestamp> {
        let ahead_ms = now.ms_since(reply.at);
        let due = reply.due.filter(|_| self.settings.ticks);
        due.map(|due| due.plus_ms(ahead_ms).max(now.plus_ms(1)))
    }
}

/// Adds a reply's events to the batch, and the sale's view to what is published after it.
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
    /// As the trait says, but by the server's own time unless [`ValkeySettings::uses_caller_time`]. A request that could not
    /// be decided gets [`super::Reply::Unavailable`]: the server may still have decided it, and then its events wait in the outbox.
    async fn decide(&mut self, now: Timestamp, requests: &[Request]) -> Result<DecidedBatch, DecideError> {
        Ok(self.decide_all(now, requests).await)
    }

    /// Reads every sale of the ledger, and restores its state where the server has none, or one of an earlier epoch. A valid
    /// state is left alone: other processes decide from it.
    async fn rebuild(&mut self, _ledger: &dyn LedgerReader) -> Result<DecidedBatch, ReadError> {
        let sales = self.epochs.list_epochs().await?;
        for (sale, epoch) in &sales {
            let epoch_min = self.epoch_floors.entry(*sale).or_default();
            *epoch_min = (*epoch_min).max(*epoch);
        }
        let plan = CallPlan::new(&[], std::iter::empty());
        let mut deciding = BatchInFlight {
            now: None,
            plan,
            decided: DecidedBatch::default(),
            timeout: START_RESTORE_TIMEOUT,
            damage: None,
        };
        deciding.plan.add_ticks(sales.into_iter().map(|(sale, _)| sale));
        self.run_plan(&mut deciding).await;
        if let Some(damage) = deciding.damage {
            return Err(damage);
        }
        if self.is_unavailable {
            let unreachable = ValkeyError::Unreachable { server: "its address".to_owned() };
            return Err(ReadError::Store(Box::new(unreachable)));
        }
        Ok(deciding.decided)
    }

    fn invalidate(&mut self, stale: &StaleEpoch) {
        let epoch_min = self.epoch_floors.entry(stale.sale).or_default();
        *epoch_min = (*epoch_min).max(Epoch(stale.epoch.0 + 1));
        // At once: a poll may see nothing that has changed.
        self.schedule_call(stale.sale, Timestamp::default());
    }

    fn next_due(&self) -> Option<Timestamp> {
        let listing = Some(self.listing.next_poll_at());
        [listing, self.calls.next_at(), self.polls.next_at()].into_iter().flatten().min()
    }

    fn views(&self) -> Vec<Arc<SaleView>> {
        self.sales.values().map(|known| Arc::clone(&known.view)).collect()
    }

    fn is_unavailable(&self) -> bool {
        self.is_unavailable
    }
}
