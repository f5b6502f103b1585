//! Records what was decided in Valkey. The events of a sale become durable in their order, whichever instance decided them: a
//! range of events waits for the one before it, and when that one does not come (its instance was killed between deciding and
//! recording), this module finds it in the sale's outbox and records it. A reply without events waits, too, until the events
//! that it depends on are durable. It never decides, and never waits longer than a caller does.

use super::trimmer::OutboxTrimmer;
use crate::batch::{Batch, Epoch, StaleEpoch};
use crate::clock::start_stopwatch;
use crate::decide::valkey::{Outbox, OutboxItem};
use crate::error_text::describe_error;
use crate::metrics::PipelineMetrics;
use crate::record::postgres::{AppendResult, EventRange, SaleHead, SharedWriter, is_disconnected};
use crate::record::{LedgerRecorder, RecordError};
use sale::{EventSeq, LedgerEntry, SaleId};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long an append may take: callers wait no longer.
const APPEND_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How often the ledger is read while the events before a range are missing.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// How long the deciding instance has to record its own events. A commit takes less, also on a busy machine.
const RECOVER_AFTER: Duration = Duration::from_millis(50);
/// How long a range may wait for events that no outbox has: the outbox has lost them, and the sale's epoch is given up.
const GIVE_UP_AFTER: Duration = Duration::from_millis(600);
/// How long an epoch and head that were read stay valid for a batch without events. Views may be that old.
const HEAD_FRESH_FOR: Duration = Duration::from_millis(200);
/// Calls of an outbox that are recovered at a time.
const RECOVER_CALLS_MAX: usize = 256;
/// Between two tries to reach a database that restarts.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

pub(super) struct OutboxRecorder {
    writer: SharedWriter,
    outbox: Outbox,
    trimmer: OutboxTrimmer,
    /// The last known epoch and head of each sale, and when they were read.
    heads: HashMap<SaleId, (SaleHead, Instant)>,
    metrics: PipelineMetrics,
}

/// The part of a batch that is one sale's and not settled yet.
struct UnsettledSale<'a> {
    sale: SaleId,
    epoch: Epoch,
    /// All of its events in the batch.
    entries: &'a [LedgerEntry],
    /// The events that are not durable yet.
    ranges: VecDeque<EventRange<'a>>,
    /// The sale is settled when the ledger has it up to here.
    depends_on: EventSeq,
}

impl OutboxRecorder {
    /// `trimmed` is a second outbox: recorded events are removed on a connection of its own.
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
        let mut stale = Vec::new();
        let mut progress = start_stopwatch();
        loop {
            open.retain(|open| !self.is_settled(open));
            if open.is_empty() {
                break;
            }
            match self.append_round(&mut open, &mut stale).await {
                Ok(true) => {
                    progress = start_stopwatch();
                    continue;
                }
                Ok(false) => {}
                // A broken connection says nothing about the batch: the next round finds out.
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
                    "the ledger lacks events that no outbox has; the states of these sales are rebuilt from the ledger"
                );
                stale.extend(open.drain(..).map(|open| open.to_stale_epoch()));
            } else if waited > RECOVER_AFTER {
                for open in &open {
                    if self.recover_outbox(open.sale).await? {
                        progress = start_stopwatch();
                    }
                }
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        if stale.is_empty() { Ok(()) } else { Err(RecordError::StaleEpochs(stale)) }
    }

    /// True when all of a sale is durable, as far as is known.
    fn is_settled(&self, open: &UnsettledSale<'_>) -> bool {
        let is_seen = |(head, at): &(SaleHead, Instant)| {
            head.epoch == open.epoch && head.head >= open.depends_on && at.elapsed() < HEAD_FRESH_FOR
        };
        open.ranges.is_empty() && self.heads.get(&open.sale).is_some_and(is_seen)
    }

    /// Writes the ranges that fit, and reads the heads of the other sales. True when a sale has made progress.
    async fn append_round<'a>(
        &mut self,
        open: &mut Vec<UnsettledSale<'a>>,
        stale: &mut Vec<StaleEpoch>,
    ) -> Result<bool, RecordError> {
        let ranges: Vec<EventRange<'a>> =
            open.iter().filter_map(|open| open.ranges.front().copied()).collect();
        let mut has_moved = false;
        if !ranges.is_empty() {
            let results = self.writer.write(&ranges).await?;
            for (range, result) in ranges.iter().zip(results) {
                has_moved |= self.apply_append_result(open, stale, range, result).await?;
            }
        }
        let waiting_sales = open.iter().filter(|open| open.ranges.is_empty() && !self.is_settled(open));
        let waiting_sales: Vec<SaleId> = waiting_sales.map(|open| open.sale).collect();
        if waiting_sales.is_empty() {
            return Ok(has_moved);
        }
        let heads = self.writer.load_heads(&waiting_sales).await?;
        for sale in waiting_sales {
            let Some(place) = open.iter().position(|open| open.sale == sale) else { continue };
            match heads.get(&sale) {
                Some(head) if head.epoch == open[place].epoch => {
                    has_moved |= head.head >= open[place].depends_on;
                    self.remember_head(sale, *head);
                }
                _ => {
                    stale.push(self.settle_stale_epoch(&open.swap_remove(place)).await?);
                    has_moved = true;
                }
            }
        }
        Ok(has_moved)
    }

    /// Applies the result of writing a range. True when the sale has made progress.
    async fn apply_append_result<'a>(
        &mut self,
        open: &mut Vec<UnsettledSale<'a>>,
        stale: &mut Vec<StaleEpoch>,
        range: &EventRange<'a>,
        result: AppendResult,
    ) -> Result<bool, RecordError> {
        let Some(place) = open.iter().position(|open| open.sale == range.sale) else { return Ok(false) };
        let (sale, epoch) = (range.sale, range.epoch);
        let last = range.entries.last().map_or(range.before, |entry| entry.seq);
        let head = match result {
            AppendResult::Behind(_) => return Ok(false),
            AppendResult::StaleEpoch => {
                stale.push(self.settle_stale_epoch(&open.swap_remove(place)).await?);
                return Ok(true);
            }
            AppendResult::Recorded => {
                self.trimmer.request_trim(sale, last);
                last
            }
            // Another instance has recorded it for us.
            AppendResult::Ahead(head) => head,
        };
        self.remember_head(sale, SaleHead { epoch, head });
        let ranges = &mut open[place].ranges;
        ranges.pop_front();
        if head < last {
            let len = range.entries.iter().take_while(|entry| entry.seq <= head).count();
            ranges.push_front(EventRange { before: head, entries: &range.entries[len..], ..*range });
        }
        Ok(true)
    }

    /// Reads which of a sale's events are in the ledger after its epoch is over: no instance writes under that epoch any
    /// more.
    async fn settle_stale_epoch(&mut self, open: &UnsettledSale<'_>) -> Result<StaleEpoch, RecordError> {
        self.heads.remove(&open.sale);
        let kept = self.writer.last_recorded(open.sale, open.entries).await?.unwrap_or_default();
        Ok(StaleEpoch { sale: open.sale, epoch: open.epoch, last_recorded: Some(kept) })
    }

    /// Records the events that wait in a sale's outbox. True when there were any.
    async fn recover_outbox(&mut self, sale: SaleId) -> Result<bool, RecordError> {
        let waiting = match self.outbox.read_items(sale, RECOVER_CALLS_MAX).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::debug!(%sale, error = describe_error(&error), "the outbox cannot be read");
                return Ok(false);
            }
        };
        let mut has_moved = false;
        for left in merge_calls(&waiting) {
            let mut entries = left.entries.as_slice();
            while let Some(first) = entries.first() {
                let before = EventSeq(first.seq.0.saturating_sub(1));
                let range = EventRange { sale, epoch: left.epoch, before, entries };
                match self.writer.write(&[range]).await?.first() {
                    Some(AppendResult::Recorded) => {
                        self.metrics.recovered.inc_by(entries.len() as u64);
                        tracing::info!(%sale, events = entries.len(), "recorded events that another process had decided and not recorded; nothing is lost");
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

    fn remember_head(&mut self, sale: SaleId, head: SaleHead) {
        self.heads.insert(sale, (head, start_stopwatch()));
    }
}

impl LedgerRecorder for OutboxRecorder {
    /// As the trait says. Events that were not recorded in time stay in the outbox, and an instance records them later;
    /// their callers have been refused.
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

/// A batch by sale, each with the events of its calls. The calls of one sale have one epoch.
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

/// The calls in an outbox, with calls that follow each other merged.
fn merge_calls(waiting: &[OutboxItem]) -> Vec<OutboxItem> {
    let mut ranges: Vec<OutboxItem> = Vec::new();
    for call in waiting {
        match ranges.last_mut() {
            Some(last) if last.epoch == call.epoch && Some(last.last().next()) == call.first() => {
                last.entries.extend(call.entries.iter().cloned());
            }
            _ => ranges.push(call.clone()),
        }
    }
    ranges
}
