//! Records what was decided in Valkey. The events of a sale become durable in their order, whoever decided them: a stretch waits for
//! the one before it, and when that one does not come (its instance was killed between deciding and recording), it is found in the
//! sale's outbox and recorded here. An answer without events waits too, until what it rests on is durable. It never decides, and
//! never waits longer than a caller would.

use super::trimmer::OutboxTrimmer;
use crate::batch::{Batch, Epoch, StaleEpoch};
use crate::clock::start_stopwatch;
use crate::decide::valkey::{Outbox, OutboxItem};
use crate::metrics::PipelineMetrics;
use crate::record::postgres::{AppendResult, EventRange, SaleHead, SharedWriter, is_disconnected};
use crate::record::{LedgerRecorder, RecordError};
use sale::{EventSeq, LedgerEntry, SaleId};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long an append may take: nobody waits longer for an answer.
const APPEND_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Between two looks whether what a stretch follows has been recorded.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// How long it is left to the one who decided it. A commit takes less, also on a machine that does much else.
const RECOVER_AFTER: Duration = Duration::from_millis(50);
/// How long a stretch may wait for one that nobody has: the outbox has lost it, and the state is not believed any more.
const GIVE_UP_AFTER: Duration = Duration::from_millis(600);
/// For so long an epoch that was seen in the ledger is taken to be the sale's still, where nothing is to be recorded. Views may be that old.
const HEAD_FRESH_FOR: Duration = Duration::from_millis(200);
/// Calls of an outbox that are recorded for others at a time.
const RECOVER_CALLS_MAX: usize = 256;
/// Between two tries to get through to a database that restarts.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Records for an instance of a cluster.
pub(super) struct OutboxRecorder {
    writer: SharedWriter,
    outbox: Outbox,
    trimmer: OutboxTrimmer,
    /// What was last seen of each sale in the ledger, and when.
    heads: HashMap<SaleId, (SaleHead, Instant)>,
    metrics: PipelineMetrics,
}

/// What is still to be done for a sale of a batch.
struct UnsettledSale<'a> {
    sale: SaleId,
    epoch: Epoch,
    /// All of its events.
    entries: &'a [LedgerEntry],
    /// Those that are not durable yet.
    ranges: VecDeque<EventRange<'a>>,
    /// Up to here the ledger must have the sale.
    depends_on: EventSeq,
}

impl OutboxRecorder {
    /// `trimmed` is the outbox once more: what is recorded is taken out on a connection of its own.
    pub(super) fn new(
        writer: SharedWriter,
        outbox: Outbox,
        trimmed: Outbox,
        metrics: PipelineMetrics,
    ) -> Self {
        Self { writer, outbox, trimmer: OutboxTrimmer::start(trimmed), heads: HashMap::new(), metrics }
    }

    async fn append_all(&mut self, batch: &Batch) -> Result<(), RecordError> {
        let mut open: Vec<UnsettledSale<'_>> = group_by_sale(batch);
        let mut outdated = Vec::new();
        let mut progress = start_stopwatch();
        loop {
            open.retain(|open| !self.is_settled(open));
            if open.is_empty() {
                break;
            }
            match self.append_round(&mut open, &mut outdated).await {
                Ok(true) => {
                    progress = start_stopwatch();
                    continue;
                }
                Ok(false) => {}
                // A connection that broke says nothing of the batch: the next round finds out.
                Err(RecordError::Store(error)) if is_disconnected(error.as_ref()) => {
                    self.heads.clear();
                    tokio::time::sleep(RETRY_INTERVAL).await;
                    continue;
                }
                Err(error) => return Err(error),
            }
            let waited = progress.elapsed();
            if waited > GIVE_UP_AFTER {
                tracing::error!(
                    sales = open.len(),
                    "the ledger lacks events that no outbox has; these sales are decided from the ledger anew"
                );
                outdated.extend(open.drain(..).map(|open| open.to_stale_epoch()));
            } else if waited > RECOVER_AFTER {
                for open in &open {
                    if self.recover_outbox(open.sale).await? {
                        progress = start_stopwatch();
                    }
                }
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        if outdated.is_empty() { Ok(()) } else { Err(RecordError::StaleEpochs(outdated)) }
    }

    /// True when all of a sale is durable, as far as it was seen.
    fn is_settled(&self, open: &UnsettledSale<'_>) -> bool {
        let is_seen = |(standing, at): &(SaleHead, Instant)| {
            standing.epoch == open.epoch && standing.head >= open.depends_on && at.elapsed() < HEAD_FRESH_FOR
        };
        open.ranges.is_empty() && self.heads.get(&open.sale).is_some_and(is_seen)
    }

    /// Writes what fits, and looks where the others stand. True when something has become of any.
    async fn append_round<'a>(
        &mut self,
        open: &mut Vec<UnsettledSale<'a>>,
        outdated: &mut Vec<StaleEpoch>,
    ) -> Result<bool, RecordError> {
        let stretches: Vec<EventRange<'a>> =
            open.iter().filter_map(|open| open.ranges.front().copied()).collect();
        let mut has_moved = false;
        if !stretches.is_empty() {
            let fates = self.writer.write(&stretches).await?;
            for (stretch, fate) in stretches.iter().zip(fates) {
                has_moved |= self.apply_append_result(open, outdated, stretch, fate).await?;
            }
        }
        let resting = open.iter().filter(|open| open.ranges.is_empty() && !self.is_settled(open));
        let resting: Vec<SaleId> = resting.map(|open| open.sale).collect();
        if resting.is_empty() {
            return Ok(has_moved);
        }
        let standings = self.writer.load_heads(&resting).await?;
        for sale in resting {
            let Some(place) = open.iter().position(|open| open.sale == sale) else { continue };
            match standings.get(&sale) {
                Some(standing) if standing.epoch == open[place].epoch => {
                    has_moved |= standing.head >= open[place].depends_on;
                    self.remember_head(sale, *standing);
                }
                _ => {
                    outdated.push(self.settle_stale_epoch(&open.swap_remove(place)).await?);
                    has_moved = true;
                }
            }
        }
        Ok(has_moved)
    }

    /// Takes over what became of a stretch. True when it is one less.
    async fn apply_append_result<'a>(
        &mut self,
        open: &mut Vec<UnsettledSale<'a>>,
        outdated: &mut Vec<StaleEpoch>,
        stretch: &EventRange<'a>,
        fate: AppendResult,
    ) -> Result<bool, RecordError> {
        let Some(place) = open.iter().position(|open| open.sale == stretch.sale) else { return Ok(false) };
        let (sale, epoch) = (stretch.sale, stretch.epoch);
        let last = stretch.entries.last().map_or(stretch.before, |entry| entry.seq);
        let head = match fate {
            AppendResult::Behind(_) => return Ok(false),
            AppendResult::StaleEpoch => {
                outdated.push(self.settle_stale_epoch(&open.swap_remove(place)).await?);
                return Ok(true);
            }
            AppendResult::Recorded => {
                self.trimmer.request_trim(sale, last);
                last
            }
            // Somebody has recorded it for us.
            AppendResult::Ahead(head) => head,
        };
        self.remember_head(sale, SaleHead { epoch, head });
        let stretches = &mut open[place].ranges;
        stretches.pop_front();
        if head < last {
            let len = stretch.entries.iter().take_while(|entry| entry.seq <= head).count();
            stretches.push_front(EventRange { before: head, entries: &stretch.entries[len..], ..*stretch });
        }
        Ok(true)
    }

    /// What is in the ledger of a sale whose epoch is over: nobody writes that epoch any more.
    async fn settle_stale_epoch(&mut self, open: &UnsettledSale<'_>) -> Result<StaleEpoch, RecordError> {
        self.heads.remove(&open.sale);
        let kept = self.writer.last_recorded(open.sale, open.entries).await?.unwrap_or_default();
        Ok(StaleEpoch { sale: open.sale, epoch: open.epoch, last_recorded: Some(kept) })
    }

    /// Records what waits in the outbox of a sale, whoever left it there. True when there was something.
    async fn recover_outbox(&mut self, sale: SaleId) -> Result<bool, RecordError> {
        let waiting = match self.outbox.read_items(sale, RECOVER_CALLS_MAX).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::debug!(%sale, error = &error as &dyn std::error::Error, "the outbox cannot be read");
                return Ok(false);
            }
        };
        let mut has_moved = false;
        for left in merge_calls(&waiting) {
            let mut entries = left.entries.as_slice();
            while let Some(first) = entries.first() {
                let before = EventSeq(first.seq.0.saturating_sub(1));
                let stretch = EventRange { sale, epoch: left.epoch, before, entries };
                match self.writer.write(&[stretch]).await?.first() {
                    Some(AppendResult::Recorded) => {
                        self.metrics.recovered.inc_by(entries.len() as u64);
                        tracing::info!(%sale, events = entries.len(), "recorded what another process had decided");
                        has_moved = true;
                        entries = &[];
                    }
                    Some(AppendResult::Ahead(head)) => {
                        let len = entries.iter().take_while(|entry| entry.seq <= *head).count();
                        self.trimmer.request_trim(sale, *head);
                        if len == 0 {
                            break;
                        }
                        entries = &entries[len..];
                    }
                    Some(AppendResult::Behind(_) | AppendResult::StaleEpoch) | None => return Ok(has_moved),
                }
            }
            self.trimmer.request_trim(sale, left.last());
        }
        Ok(has_moved)
    }

    fn remember_head(&mut self, sale: SaleId, standing: SaleHead) {
        self.heads.insert(sale, (standing, start_stopwatch()));
    }
}

impl LedgerRecorder for OutboxRecorder {
    /// As the trait says. What was not recorded in time is in the outbox, and recorded sooner or later: nobody is told of it.
    async fn append(&mut self, batch: &Batch) -> Result<(), RecordError> {
        match tokio::time::timeout(APPEND_TIMEOUT, self.append_all(batch)).await {
            Ok(appended) => appended,
            Err(late) => {
                self.heads.clear();
                self.writer.drop_connection();
                Err(RecordError::Store(Box::new(late)))
            }
        }
    }

    async fn probe(&mut self) -> Result<(), RecordError> {
        self.writer.probe().await
    }
}

impl UnsettledSale<'_> {
    fn to_stale_epoch(&self) -> StaleEpoch {
        StaleEpoch { sale: self.sale, epoch: self.epoch, last_recorded: None }
    }
}

/// A batch by sale, each with what its calls decided. The calls of one sale have one epoch.
fn group_by_sale(batch: &Batch) -> Vec<UnsettledSale<'_>> {
    let mut open: Vec<UnsettledSale<'_>> = Vec::new();
    let mut places: HashMap<SaleId, usize> = HashMap::new();
    for call in &batch.calls {
        let place = *places.entry(call.sale).or_insert_with(|| {
            let all = batch.sales.iter().find(|(sale, _)| *sale == call.sale);
            let all = all.map_or(&[][..], |(_, entries)| entries.as_slice());
            let (sale, epoch) = (call.sale, call.epoch);
            open.push(UnsettledSale {
                sale,
                epoch,
                entries: all,
                ranges: VecDeque::new(),
                depends_on: EventSeq(0),
            });
            open.len() - 1
        });
        let open = &mut open[place];
        open.depends_on = open.depends_on.max(call.last);
        let from = open.entries.partition_point(|entry| entry.seq <= call.before);
        let to = open.entries.partition_point(|entry| entry.seq <= call.last);
        let entries = &open.entries[from..to];
        match open.ranges.back_mut() {
            _ if entries.is_empty() => {}
            Some(last) if last.entries.last().is_some_and(|entry| entry.seq == call.before) => {
                last.entries = &open.entries[from - last.entries.len()..to];
            }
            _ => {
                let (sale, epoch, before) = (call.sale, call.epoch, call.before);
                open.ranges.push_back(EventRange { sale, epoch, before, entries });
            }
        }
    }
    open
}

/// What waits in an outbox, with calls that follow each other as one.
fn merge_calls(waiting: &[OutboxItem]) -> Vec<OutboxItem> {
    let mut stretches: Vec<OutboxItem> = Vec::new();
    for call in waiting {
        match stretches.last_mut() {
            Some(last) if last.epoch == call.epoch && Some(last.last().next()) == call.first() => {
                last.entries.extend(call.entries.iter().cloned());
            }
            _ => stretches.push(call.clone()),
        }
    }
    stretches
}
