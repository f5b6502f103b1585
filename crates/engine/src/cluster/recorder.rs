//! Records what was decided in Valkey. The events of a sale become durable in their order, whoever decided them: a stretch waits for
//! the one before it, and when that one does not come (its instance was killed between deciding and recording), it is found in the
//! sale's outbox and recorded here. An answer without events waits too, until what it rests on is durable. It never decides, and
//! never waits longer than a caller would.

use super::trimming::Trimming;
use crate::clock::stopwatch;
use crate::decide::valkey::{Outbox, Waiting};
use crate::metrics::Metrics;
use crate::record::postgres::{Fate, SharedWriter, Standing, Stretch, is_cut};
use crate::record::{Batch, Epoch, Outdated, Record, RecordError};
use sale::{Entry, SaleId, Seq};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How long an append may take: nobody waits longer for an answer.
const ANSWER_LIMIT: Duration = Duration::from_millis(1_500);
/// Between two looks whether what a stretch follows has been recorded.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long it is left to the one who decided it. A commit takes less, also on a machine that does much else.
const HELP_AFTER: Duration = Duration::from_millis(50);
/// How long a stretch may wait for one that nobody has: the outbox has lost it, and the state is not believed any more.
const LOST_AFTER: Duration = Duration::from_millis(600);
/// For so long an epoch that was seen in the ledger is taken to be the sale's still, where nothing is to be recorded. Views may be that old.
const SEEN_FOR: Duration = Duration::from_millis(200);
/// Calls of an outbox that are recorded for others at a time.
const HELP_LEN: usize = 256;
/// Between two tries to get through to a database that restarts.
const RETRY_EVERY: Duration = Duration::from_millis(50);

/// Records for an instance of a cluster.
pub(super) struct OutboxRecorder {
    writer: SharedWriter,
    outbox: Outbox,
    trimming: Trimming,
    /// What was last seen of each sale in the ledger, and when.
    seen: HashMap<SaleId, (Standing, Instant)>,
    metrics: Metrics,
}

/// What is still to be done for a sale of a batch.
struct Open<'a> {
    sale: SaleId,
    epoch: Epoch,
    /// All of its events.
    all: &'a [Entry],
    /// Those that are not durable yet.
    stretches: VecDeque<Stretch<'a>>,
    /// Up to here the ledger must have the sale.
    rests_on: Seq,
}

impl OutboxRecorder {
    /// `trimmed` is the outbox once more: what is recorded is taken out on a connection of its own.
    pub(super) fn new(writer: SharedWriter, outbox: Outbox, trimmed: Outbox, metrics: Metrics) -> Self {
        Self { writer, outbox, trimming: Trimming::start(trimmed), seen: HashMap::new(), metrics }
    }

    async fn append_all(&mut self, batch: &Batch) -> Result<(), RecordError> {
        let mut open: Vec<Open<'_>> = opened(batch);
        let mut outdated = Vec::new();
        let mut progress = stopwatch();
        loop {
            open.retain(|open| !self.is_settled(open));
            if open.is_empty() {
                break;
            }
            match self.round(&mut open, &mut outdated).await {
                Ok(true) => {
                    progress = stopwatch();
                    continue;
                }
                Ok(false) => {}
                // A connection that broke says nothing of the batch: the next round finds out.
                Err(RecordError::Store(error)) if is_cut(error.as_ref()) => {
                    self.seen.clear();
                    tokio::time::sleep(RETRY_EVERY).await;
                    continue;
                }
                Err(error) => return Err(error),
            }
            let waited = progress.elapsed();
            if waited > LOST_AFTER {
                tracing::error!(
                    sales = open.len(),
                    "the ledger lacks events that no outbox has; these sales are decided from the ledger anew"
                );
                outdated.extend(open.drain(..).map(|open| open.unsettled()));
            } else if waited > HELP_AFTER {
                for open in &open {
                    if self.help(open.sale).await? {
                        progress = stopwatch();
                    }
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if outdated.is_empty() { Ok(()) } else { Err(RecordError::Outdated(outdated)) }
    }

    /// True when all of a sale is durable, as far as it was seen.
    fn is_settled(&self, open: &Open<'_>) -> bool {
        let is_seen = |(standing, at): &(Standing, Instant)| {
            standing.epoch == open.epoch && standing.head >= open.rests_on && at.elapsed() < SEEN_FOR
        };
        open.stretches.is_empty() && self.seen.get(&open.sale).is_some_and(is_seen)
    }

    /// Writes what fits, and looks where the others stand. True when something has become of any.
    async fn round<'a>(
        &mut self,
        open: &mut Vec<Open<'a>>,
        outdated: &mut Vec<Outdated>,
    ) -> Result<bool, RecordError> {
        let stretches: Vec<Stretch<'a>> =
            open.iter().filter_map(|open| open.stretches.front().copied()).collect();
        let mut has_moved = false;
        if !stretches.is_empty() {
            let fates = self.writer.write(&stretches).await?;
            for (stretch, fate) in stretches.iter().zip(fates) {
                has_moved |= self.took(open, outdated, stretch, fate).await?;
            }
        }
        let resting = open.iter().filter(|open| open.stretches.is_empty() && !self.is_settled(open));
        let resting: Vec<SaleId> = resting.map(|open| open.sale).collect();
        if resting.is_empty() {
            return Ok(has_moved);
        }
        let standings = self.writer.standings(&resting).await?;
        for sale in resting {
            let Some(place) = open.iter().position(|open| open.sale == sale) else { continue };
            match standings.get(&sale) {
                Some(standing) if standing.epoch == open[place].epoch => {
                    has_moved |= standing.head >= open[place].rests_on;
                    self.see(sale, *standing);
                }
                _ => {
                    outdated.push(self.settle_outdated(&open.swap_remove(place)).await?);
                    has_moved = true;
                }
            }
        }
        Ok(has_moved)
    }

    /// Takes over what became of a stretch. True when it is one less.
    async fn took<'a>(
        &mut self,
        open: &mut Vec<Open<'a>>,
        outdated: &mut Vec<Outdated>,
        stretch: &Stretch<'a>,
        fate: Fate,
    ) -> Result<bool, RecordError> {
        let Some(place) = open.iter().position(|open| open.sale == stretch.sale) else { return Ok(false) };
        let (sale, epoch) = (stretch.sale, stretch.epoch);
        let last = stretch.entries.last().map_or(stretch.before, |entry| entry.seq);
        let head = match fate {
            Fate::Behind(_) => return Ok(false),
            Fate::Over => {
                outdated.push(self.settle_outdated(&open.swap_remove(place)).await?);
                return Ok(true);
            }
            Fate::Kept => {
                self.trimming.recorded(sale, last);
                last
            }
            // Somebody has recorded it for us.
            Fate::Ahead(head) => head,
        };
        self.see(sale, Standing { epoch, head });
        let stretches = &mut open[place].stretches;
        stretches.pop_front();
        if head < last {
            let len = stretch.entries.iter().take_while(|entry| entry.seq <= head).count();
            stretches.push_front(Stretch { before: head, entries: &stretch.entries[len..], ..*stretch });
        }
        Ok(true)
    }

    /// What is in the ledger of a sale whose epoch is over: nobody writes that epoch any more.
    async fn settle_outdated(&mut self, open: &Open<'_>) -> Result<Outdated, RecordError> {
        self.seen.remove(&open.sale);
        let kept = self.writer.kept(open.sale, open.all).await?.unwrap_or_default();
        Ok(Outdated { sale: open.sale, epoch: open.epoch, kept: Some(kept) })
    }

    /// Records what waits in the outbox of a sale, whoever left it there. True when there was something.
    async fn help(&mut self, sale: SaleId) -> Result<bool, RecordError> {
        let waiting = match self.outbox.waiting(sale, HELP_LEN).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::debug!(%sale, error = &error as &dyn std::error::Error, "the outbox cannot be read");
                return Ok(false);
            }
        };
        let mut has_moved = false;
        for left in stretches_of(&waiting) {
            let mut entries = left.entries.as_slice();
            while let Some(first) = entries.first() {
                let before = Seq(first.seq.0.saturating_sub(1));
                let stretch = Stretch { sale, epoch: left.epoch, before, entries };
                match self.writer.write(&[stretch]).await?.first() {
                    Some(Fate::Kept) => {
                        self.metrics.recovered.inc_by(entries.len() as u64);
                        tracing::info!(%sale, events = entries.len(), "recorded what another process had decided");
                        has_moved = true;
                        entries = &[];
                    }
                    Some(Fate::Ahead(head)) => {
                        let len = entries.iter().take_while(|entry| entry.seq <= *head).count();
                        self.trimming.recorded(sale, *head);
                        if len == 0 {
                            break;
                        }
                        entries = &entries[len..];
                    }
                    Some(Fate::Behind(_) | Fate::Over) | None => return Ok(has_moved),
                }
            }
            self.trimming.recorded(sale, left.last());
        }
        Ok(has_moved)
    }

    fn see(&mut self, sale: SaleId, standing: Standing) {
        self.seen.insert(sale, (standing, stopwatch()));
    }
}

impl Record for OutboxRecorder {
    /// As the trait says. What was not recorded in time is in the outbox, and recorded sooner or later: nobody is told of it.
    async fn append(&mut self, batch: &Batch) -> Result<(), RecordError> {
        match tokio::time::timeout(ANSWER_LIMIT, self.append_all(batch)).await {
            Ok(appended) => appended,
            Err(late) => {
                self.seen.clear();
                self.writer.give_up();
                Err(RecordError::Store(Box::new(late)))
            }
        }
    }

    async fn probe(&mut self) -> Result<(), RecordError> {
        self.writer.probe().await
    }
}

impl Open<'_> {
    fn unsettled(&self) -> Outdated {
        Outdated { sale: self.sale, epoch: self.epoch, kept: None }
    }
}

/// A batch by sale, each with what its calls decided. The calls of one sale have one epoch.
fn opened(batch: &Batch) -> Vec<Open<'_>> {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut places: HashMap<SaleId, usize> = HashMap::new();
    for call in &batch.calls {
        let place = *places.entry(call.sale).or_insert_with(|| {
            let all = batch.sales.iter().find(|(sale, _)| *sale == call.sale);
            let all = all.map_or(&[][..], |(_, entries)| entries.as_slice());
            let (sale, epoch) = (call.sale, call.epoch);
            open.push(Open { sale, epoch, all, stretches: VecDeque::new(), rests_on: Seq(0) });
            open.len() - 1
        });
        let open = &mut open[place];
        open.rests_on = open.rests_on.max(call.last);
        let from = open.all.partition_point(|entry| entry.seq <= call.before);
        let to = open.all.partition_point(|entry| entry.seq <= call.last);
        let entries = &open.all[from..to];
        match open.stretches.back_mut() {
            _ if entries.is_empty() => {}
            Some(last) if last.entries.last().is_some_and(|entry| entry.seq == call.before) => {
                last.entries = &open.all[from - last.entries.len()..to];
            }
            _ => {
                let (sale, epoch, before) = (call.sale, call.epoch, call.before);
                open.stretches.push_back(Stretch { sale, epoch, before, entries });
            }
        }
    }
    open
}

/// What waits in an outbox, with calls that follow each other as one.
fn stretches_of(waiting: &[Waiting]) -> Vec<Waiting> {
    let mut stretches: Vec<Waiting> = Vec::new();
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
