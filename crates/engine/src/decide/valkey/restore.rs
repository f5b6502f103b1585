//! Restores a sale's state, from the ledger and under a new epoch, in a server that lacks it. When several processes try,
//! one restores it and the others wait. It runs on its own threads, because folding a large ledger takes seconds and must not delay
//! decisions for other sales. Its steps overlap: a page is folded while the next ones are read, and a piece of the state is packed
//! while the ones before it are written. It restores nothing that was not read from the ledger.

use super::calls::{CallResult, CallTime, LibraryCall, ValkeyLibrary};
use super::error::ValkeyError;
use super::plan::PlannedCall;
use super::records::{StateHead, StatePiece, pack_state};
use super::{BatchInFlight, CALLS_IN_FLIGHT, ValkeyDecider, ValkeySettings};
use crate::batch::Epoch;
use crate::clock::start_stopwatch;
use crate::record::{EpochStore, LedgerReader, ReadError};
use futures::StreamExt;
use sale::{EventSeq, LedgerEntry, SaleId, SaleState};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

/// Events read from the ledger at once.
const PAGE_LEN: usize = 4_096;
/// Pages that are read at the same time: the database reads one while the rows of another are parsed.
const READS_IN_FLIGHT: usize = 2;
/// Pages that were read and are not folded yet, at most.
const PAGES_AHEAD: usize = 2;
/// Pieces that are packed and not sent yet, at most.
const PIECES_AHEAD: usize = 32;
/// How often to check whether another process has restored a state.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How often the restoring process renews its claim.
const CLAIM_INTERVAL: Duration = Duration::from_millis(500);
/// Sales restored at a time: each needs a connection to the database while its epoch is raised.
const RESTORES_IN_FLIGHT: usize = 8;

pub(super) struct StateRestorer {
    settings: ValkeySettings,
    ledger: Arc<dyn LedgerReader>,
    epochs: Arc<dyn EpochStore>,
    running: HashMap<SaleId, RunningRestore>,
    permits: Arc<Semaphore>,
    /// Connections of earlier restores.
    libraries: Arc<Mutex<Vec<ValkeyLibrary>>>,
    /// `None` only while this is dropped.
    runtime: Option<Runtime>,
}

impl Drop for StateRestorer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct RunningRestore {
    task: JoinHandle<Result<(), ValkeyError>>,
    /// Callers wait from here on, however many batches they are in: other sales wait, too.
    began: Instant,
}

impl Drop for RunningRestore {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl StateRestorer {
    pub(super) fn new(
        settings: &ValkeySettings,
        ledger: Arc<dyn LedgerReader>,
        epochs: Arc<dyn EpochStore>,
    ) -> Result<Self, ValkeyError> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("restore").enable_all().build();
        let runtime = Some(runtime.map_err(|error| ValkeyError::Ledger(ReadError::Store(Box::new(error))))?);
        let (running, libraries) = (HashMap::new(), Arc::default());
        let permits = Arc::new(Semaphore::new(RESTORES_IN_FLIGHT));
        Ok(Self { settings: settings.clone(), ledger, epochs, running, permits, libraries, runtime })
    }

    pub(super) fn is_restoring(&self, sale: SaleId) -> bool {
        self.running.contains_key(&sale)
    }

    /// Begins to restore a sale, unless that is under way.
    fn begin_restore(&mut self, sale: SaleId, epoch_min: Epoch) {
        if self.running.contains_key(&sale) {
            return;
        }
        let (settings, permits) = (self.settings.clone(), Arc::clone(&self.permits));
        let (ledger, epochs) = (Arc::clone(&self.ledger), Arc::clone(&self.epochs));
        let libraries = Arc::clone(&self.libraries);
        let restore = async move {
            let _permit = permits.acquire().await;
            let spare = libraries.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let library = match spare {
                Some(library) => library,
                None => ValkeyLibrary::new(&settings.address, &settings.name),
            };
            let mut restore = SaleRestore { library, ledger, epochs, sale, claimed: start_stopwatch() };
            restore.run(epoch_min).await?;
            libraries.lock().unwrap_or_else(PoisonError::into_inner).push(restore.library);
            Ok(())
        };
        if let Some(runtime) = &self.runtime {
            self.running
                .insert(sale, RunningRestore { task: runtime.spawn(restore), began: start_stopwatch() });
        }
    }

    /// Waits until these sales are restored or have failed, each at most `timeout` after it was begun; then
    /// [`Self::take_result`] has the result.
    async fn wait_until_restored(&mut self, sales: &BTreeSet<SaleId>, timeout: Duration) {
        let is_waited_for =
            |running: &RunningRestore| !running.task.is_finished() && running.began.elapsed() < timeout;
        while sales.iter().any(|sale| self.running.get(sale).is_some_and(is_waited_for)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The result, once; an error while there is none.
    async fn take_result(&mut self, sale: SaleId) -> Result<(), ValkeyError> {
        let not_yet = |what: &str| Err(ValkeyError::RestoreFailed { sale, what: what.to_owned() });
        match self.running.get_mut(&sale) {
            Some(running) if running.task.is_finished() => {
                let ended = (&mut running.task).await;
                self.running.remove(&sale);
                ended.unwrap_or_else(|_| not_yet("it broke off"))
            }
            Some(_) => not_yet("it takes its time"),
            None => not_yet("it was not begun"),
        }
    }
}

impl ValkeyDecider {
    /// Restores states, and returns the calls to send again. A call of a sale that was never announced is answered at once;
    /// a restore that takes too long leaves its calls unanswered.
    pub(super) async fn restore_all<'a>(
        &mut self,
        deciding: &mut BatchInFlight<'_>,
        calls: Vec<PlannedCall<'a>>,
    ) -> Vec<PlannedCall<'a>> {
        let announced = calls.iter().filter(|call| call.announces()).map(|call| call.sale);
        let announced: BTreeSet<SaleId> = announced.collect();
        let mut wanted = BTreeSet::new();
        let mut open = Vec::new();
        let mut broken = false;
        for call in calls {
            let may_begin = wanted.contains(&call.sale)
                || announced.contains(&call.sale)
                || self.sales.contains_key(&call.sale);
            // After one failure of the database, the other sales of this batch do not wait for it, too.
            let exists = match (may_begin, broken) {
                (true, _) => Ok(true),
                (false, true) => Err(()),
                (false, false) => {
                    self.epochs.load_epoch(call.sale).await.map(|epoch| epoch.is_some()).map_err(drop)
                }
            };
            match exists {
                Ok(true) => {
                    let epoch_min = self.build_call(deciding.now, &call).epoch_min;
                    self.restorer.begin_restore(call.sale, epoch_min);
                    wanted.insert(call.sale);
                    open.push(call);
                }
                Ok(false) => deciding.plan.reply_no_such_sale(deciding.now, &call),
                Err(()) => {
                    broken = true;
                    let what = "the database cannot be asked whether it exists".to_owned();
                    self.fail_call(deciding, &call, &ValkeyError::RestoreFailed { sale: call.sale, what });
                }
            }
        }
        self.restorer.wait_until_restored(&wanted, deciding.timeout).await;
        let mut ends: HashMap<SaleId, Result<(), ValkeyError>> = HashMap::new();
        for sale in wanted {
            ends.insert(sale, self.restorer.take_result(sale).await);
        }
        let mut again = Vec::new();
        for call in open {
            match ends.get(&call.sale) {
                Some(Err(error)) => self.fail_call(deciding, &call, error),
                _ => again.push(call),
            }
        }
        deciding.damage = deciding.damage.take().or_else(|| ends.into_values().find_map(find_damage));
        again
    }
}

/// The damage of a ledger, if that is why a state could not be restored.
fn find_damage(ended: Result<(), ValkeyError>) -> Option<ReadError> {
    match ended {
        Err(ValkeyError::Ledger(damage @ (ReadError::Damaged { .. } | ReadError::Corrupt { .. }))) => {
            Some(damage)
        }
        _ => None,
    }
}

/// The restore of one sale.
struct SaleRestore {
    library: ValkeyLibrary,
    ledger: Arc<dyn LedgerReader>,
    epochs: Arc<dyn EpochStore>,
    sale: SaleId,
    /// Since the claim was renewed.
    claimed: Instant,
}

/// A folded ledger: the state, and what it begins with when it is sent.
struct FoldedLedger {
    state: SaleState,
    head: StateHead,
}

impl SaleRestore {
    /// Returns when the server has the state, of `epoch_min` or later.
    async fn run(&mut self, epoch_min: Epoch) -> Result<(), ValkeyError> {
        let sale = self.sale;
        loop {
            if self.has_state(epoch_min).await? {
                return Ok(());
            }
            if self.library.claim_restore(sale).await?.is_some() {
                tokio::time::sleep(POLL_INTERVAL).await;
                continue;
            }
            self.claimed = start_stopwatch();
            // The process that had the claim before may have finished between the check and the claim.
            if self.has_state(epoch_min).await? {
                return Ok(());
            }
            let epoch = self.epochs.raise_epoch(sale).await?;
            let folded = self.fold_ledger().await?;
            let seq = folded.state.seq();
            if self.send_state(epoch, folded).await? {
                tracing::info!(%sale, epoch = epoch.0, seq = seq.0, "a sale's state was rebuilt in the Valkey");
                return Ok(());
            }
        }
    }

    /// Whether the server has the state. Decides nothing.
    async fn has_state(&mut self, epoch_min: Epoch) -> Result<bool, ValkeyError> {
        let (sale, time, known_policy) = (self.sale, CallTime::ReadOnly, EventSeq(0));
        let call = LibraryCall { sale, time, epoch_min, known_policy, requests: Vec::new() };
        let results = self.library.decide(&[call], CALLS_IN_FLIGHT).await.pop();
        Ok(matches!(results.transpose()?, Some(CallResult::Decided(_))))
    }

    /// Folds the ledger, and renews the claim meanwhile.
    async fn fold_ledger(&mut self) -> Result<FoldedLedger, ValkeyError> {
        let (pages, received) = mpsc::channel(PAGES_AHEAD);
        let folding = tokio::task::spawn_blocking(move || fold_pages(received));
        self.read_pages(&pages).await?;
        drop(pages);
        self.keep_claim_during(folding)
            .await?
            .map_err(|_| self.restore_error("the thread that folds the ledger ended early"))
    }

    /// Reads the ledger to its end. Events are numbered without a gap, so it is known where each page begins.
    async fn read_pages(&mut self, pages: &mpsc::Sender<Vec<LedgerEntry>>) -> Result<(), ValkeyError> {
        let (ledger, sale) = (Arc::clone(&self.ledger), self.sale);
        // Most ledgers end on their first page: nothing is read ahead of it.
        let mut page = self.keep_claim_during(ledger.read_entries(sale, EventSeq(0), PAGE_LEN)).await??;
        let starts = futures::stream::iter((PAGE_LEN as u64..).step_by(PAGE_LEN).map(EventSeq));
        let mut reads =
            starts.map(|after| ledger.read_entries(sale, after, PAGE_LEN)).buffered(READS_IN_FLIGHT);
        loop {
            let is_last = page.len() < PAGE_LEN;
            if self.keep_claim_during(pages.send(page)).await?.is_err() {
                return Err(self.restore_error("the thread that folds the ledger ended early"));
            }
            if is_last {
                return Ok(());
            }
            page = self.keep_claim_during(reads.next()).await?.transpose()?.unwrap_or_default();
        }
    }

    /// Packs a state, and sends each piece as soon as it is packed. False as in [`ValkeyLibrary::restore_state`].
    async fn send_state(&mut self, epoch: Epoch, folded: FoldedLedger) -> Result<bool, ValkeyError> {
        let FoldedLedger { state, head } = folded;
        let (pieces, received) = mpsc::channel::<StatePiece>(PIECES_AHEAD);
        let packing = tokio::task::spawn_blocking(move || {
            pack_state(&state, |piece| pieces.blocking_send(piece).is_ok());
            // All are sent; a large state takes a moment to free.
            drop(pieces);
        });
        let received = futures::stream::unfold(received, async |mut received| {
            received.recv().await.map(|piece| (piece, received))
        });
        let is_restored = self.library.restore_pieces(self.sale, epoch, &head, received).await?;
        // A state that was packed in part is not complete, and the library has noticed that by its counts.
        packing.await.map_err(|_| self.restore_error("the thread that packs the state ended early"))?;
        Ok(is_restored)
    }

    /// Waits for `work`, and renews the claim meanwhile.
    async fn keep_claim_during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, ValkeyError> {
        let mut work = std::pin::pin!(work);
        loop {
            if self.claimed.elapsed() >= CLAIM_INTERVAL {
                self.renew_claim().await?;
            }
            if let Ok(result) = tokio::time::timeout(CLAIM_INTERVAL, &mut work).await {
                return Ok(result);
            }
        }
    }

    async fn renew_claim(&mut self) -> Result<(), ValkeyError> {
        match self.library.claim_restore(self.sale).await? {
            None => {
                self.claimed = start_stopwatch();
                Ok(())
            }
            Some(_) => Err(self.restore_error("another process has taken it over")),
        }
    }

    fn restore_error(&self, what: &str) -> ValkeyError {
        ValkeyError::RestoreFailed { sale: self.sale, what: what.to_owned() }
    }
}

/// Folds the pages that are received, to the last one. Blocks its thread.
fn fold_pages(mut pages: mpsc::Receiver<Vec<LedgerEntry>>) -> FoldedLedger {
    let mut state = SaleState::new();
    while let Some(page) = pages.blocking_recv() {
        page.iter().for_each(|entry| state.apply(entry));
    }
    let head = StateHead::from_state(&state);
    FoldedLedger { state, head }
}
