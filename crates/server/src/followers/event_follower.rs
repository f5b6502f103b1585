//! The shared follower of an [`EventReceiver`]: it turns the ledger, the clock and the payments' outbox into documents, and commits
//! offsets behind what the receiver has taken. The state of each sale that documents need is written with the sale's offset, so a start
//! reads no event twice, however long the ledger is; only after a rewind the events before it are folded again.

use super::event_receiver::{EventReceiver, ReceiverStart};
use super::follower::{Delivery, FollowerError, LeaderRound, SharedBatch, SharedFollower};
use super::reader::read_batch;
use super::rounds::FollowerThread;
use super::shared::{SharedDependencies, SharedSettings, start_shared};
use crate::shop::followers::digest_event;
use crate::shop::published_events::{EventPublisher, PublishedEvent, PublishedSale, SaleFold, find_names};
use crate::store::followers::{self, FollowerOffset};
use crate::store::{Store, StoreTransaction, event_receivers, payment_events};
use engine::clock::start_stopwatch;
use engine::record::{ReadError, SaleNumber};
use engine::{Engine, SaleView};
use sale::{EventSeq, SaleId, Timestamp};
use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

/// Events that are read at a time when those before a rewound offset are folded again.
const REFOLD_BATCH_LEN: usize = 4_096;
/// Steps of payments in a batch.
const PAYMENTS_MAX: u32 = 500;
/// How often the payments' outbox is read when nothing was in it.
const PAYMENTS_INTERVAL: Duration = Duration::from_millis(200);
/// A start or an end is published so long after its moment when no event of the sale comes: an event that was decided before the moment
/// is recorded by then, and may have changed it.
const MOMENT_GRACE_MS: i64 = 1_000;
/// How often it is noted that the receiver runs.
const SEEN_INTERVAL_MS: i64 = 600_000;

/// Starts the follower of a receiver on a thread of its own.
///
/// # Errors
/// When the operating system gives no thread.
pub fn start_receiver<R: EventReceiver>(
    receiver: R,
    publisher: EventPublisher,
    dependencies: SharedDependencies,
    may_deliver: bool,
) -> io::Result<FollowerThread> {
    let settings = SharedSettings { pace: R::PACE, may_deliver };
    start_shared(EventFollower::new(receiver, publisher), dependencies, settings)
}

pub(super) struct EventFollower<R> {
    receiver: R,
    publisher: EventPublisher,
    /// Each sale as it was after the last event that is delivered.
    folds: HashMap<SaleId, SaleFold>,
    numbers: HashMap<SaleId, SaleNumber>,
    /// When the payments' outbox was read last, if nothing was in it.
    payments_empty_at: Option<Instant>,
    seen_at: Timestamp,
}

impl<R: EventReceiver> SharedFollower for EventFollower<R> {
    const NAME: &'static str = R::NAME;

    async fn begin_delivery(&mut self, tables: &Store, engine: &Engine) -> Result<(), FollowerError> {
        let known = begin::<R>(tables, engine).await?;
        self.seen_at = known.seen_at;
        self.payments_empty_at = None;
        self.folds.clear();
        self.numbers.clear();
        for (sale, text) in event_receivers::list_states(tables, R::NAME).await? {
            match SaleFold::from_text(&text) {
                Ok(fold) => {
                    self.folds.insert(sale, fold);
                }
                // It is folded again from the ledger.
                Err(error) => {
                    tracing::debug!(follower = R::NAME, %sale, %error, "a stored state is not read")
                }
            }
        }
        Ok(())
    }

    async fn deliver(&mut self, batch: &SharedBatch<'_>) -> Result<Delivery, FollowerError> {
        let of = self.published_sale(batch.engine, batch.sale).await?;
        let mut fold = self.load_fold(batch).await?;
        let count = batch.entries.len().min(self.receiver.batch_len().max(1));
        let mut events = Vec::with_capacity(count);
        for entry in batch.entries.iter().take(count) {
            self.publisher.publish_entry(&mut fold, of, entry, &mut events);
        }
        self.receiver.deliver(batch.tables, &events).await?;
        let mut writing = batch.tables.begin().await?;
        batch.advance(&mut writing, count).await?;
        self.record(&mut writing, batch.sale, &fold, &events).await?;
        writing.commit().await?;
        self.folds.insert(batch.sale, fold);
        self.receiver.handle_recorded();
        Ok(Delivery::Committed(count))
    }

    async fn restart_sale(&mut self, tables: &Store, sale: SaleId) -> Result<(), FollowerError> {
        let mut writing = tables.begin().await?;
        followers::delete_offset(&mut writing, R::NAME, sale).await?;
        event_receivers::delete_state(&mut writing, R::NAME, sale).await?;
        self.receiver.restart_sale(&mut writing, sale).await?;
        writing.commit().await?;
        self.folds.remove(&sale);
        self.numbers.remove(&sale);
        Ok(())
    }

    async fn deliver_due(&mut self, round: &LeaderRound<'_>) -> Result<bool, FollowerError> {
        let now = round.engine.now();
        for view in round.engine.views().list() {
            self.deliver_moments(round, &view, now.plus_ms(-MOMENT_GRACE_MS)).await?;
        }
        if now.ms_since(self.seen_at) >= SEEN_INTERVAL_MS {
            event_receivers::set_seen(round.tables, R::NAME, now).await?;
            self.seen_at = now;
        }
        self.deliver_payments(round.tables).await
    }
}

impl<R: EventReceiver> EventFollower<R> {
    pub(super) fn new(receiver: R, publisher: EventPublisher) -> Self {
        Self {
            receiver,
            publisher,
            folds: HashMap::new(),
            numbers: HashMap::new(),
            payments_empty_at: None,
            seen_at: Timestamp::default(),
        }
    }

    async fn published_sale(
        &mut self,
        engine: &Engine,
        sale: SaleId,
    ) -> Result<PublishedSale, FollowerError> {
        if let Some(number) = self.numbers.get(&sale) {
            return Ok(PublishedSale { sale, number: *number });
        }
        let place = || ReadError::Missing { place: format!("the ledger of sale {sale}") };
        let number = engine.ledger().find_number(sale).await?.ok_or_else(place)?;
        self.numbers.insert(sale, number);
        Ok(PublishedSale { sale, number })
    }

    /// The sale before the first event of a batch.
    async fn load_fold(&self, batch: &SharedBatch<'_>) -> Result<SaleFold, FollowerError> {
        let from = batch.from().seq;
        let mut fold = match self.folds.get(&batch.sale) {
            _ if from == EventSeq(0) => SaleFold::default(),
            Some(fold) if fold.seq() == from => fold.clone(),
            _ => refold(batch.engine, batch.sale, from).await?,
        };
        if fold.names().is_none() {
            fold.set_names(find_names(batch.tables, batch.sale).await?);
        }
        Ok(fold)
    }

    /// Delivers what the clock has done to a sale of which everything else is delivered.
    async fn deliver_moments(
        &mut self,
        round: &LeaderRound<'_>,
        view: &SaleView,
        now: Timestamp,
    ) -> Result<(), FollowerError> {
        let (sale, offset) = match round.offsets.get(&view.id) {
            Some(offset) if offset.seq == view.seq => (view.id, offset),
            _ => return Ok(()),
        };
        let Some(known) = self.folds.get(&sale).filter(|fold| fold.seq() == offset.seq) else {
            return Ok(());
        };
        if known.next_moment(now).is_none() {
            return Ok(());
        }
        let (mut fold, mut events) = (known.clone(), Vec::new());
        self.publisher.publish_moments(&mut fold, sale, now, &mut events);
        self.receiver.deliver(round.tables, &events).await?;
        let mut writing = round.tables.begin().await?;
        // The offset stays where it is; another process that delivers, or a rewind, has moved it.
        if !followers::advance(&mut writing, R::NAME, sale, offset, offset).await? {
            return Err(FollowerError::Overtaken);
        }
        self.record(&mut writing, sale, &fold, &events).await?;
        writing.commit().await?;
        self.folds.insert(sale, fold);
        self.receiver.handle_recorded();
        Ok(())
    }

    /// Delivers a batch of steps of payments. True when more may wait.
    async fn deliver_payments(&mut self, tables: &Store) -> Result<bool, FollowerError> {
        if self.payments_empty_at.is_some_and(|at| at.elapsed() < PAYMENTS_INTERVAL) {
            return Ok(false);
        }
        payment_events::number_new(tables, PAYMENTS_MAX).await?;
        // A rewind has perhaps set it back.
        let known = event_receivers::find(tables, R::NAME).await?.ok_or(FollowerError::Overtaken)?;
        let from = known.payment_no;
        let limit = u32::try_from(self.receiver.batch_len().max(1)).unwrap_or(PAYMENTS_MAX).min(PAYMENTS_MAX);
        let rows = payment_events::list_after(tables, from, limit).await?;
        let Some(last) = rows.last() else {
            self.payments_empty_at = Some(start_stopwatch());
            return Ok(false);
        };
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            events.push(self.publisher.publish_payment(tables, row).await?);
        }
        self.receiver.deliver(tables, &events).await?;
        let mut writing = tables.begin().await?;
        if !event_receivers::advance_payments(&mut writing, R::NAME, from, last.no).await? {
            return Err(FollowerError::Overtaken);
        }
        self.receiver.record(&mut writing, &events).await?;
        writing.commit().await?;
        self.payments_empty_at = None;
        self.receiver.handle_recorded();
        Ok(true)
    }

    /// Writes what belongs to a batch beside its offset.
    async fn record(
        &mut self,
        writing: &mut StoreTransaction,
        sale: SaleId,
        fold: &SaleFold,
        events: &[PublishedEvent],
    ) -> Result<(), FollowerError> {
        self.receiver.record(writing, events).await?;
        put_state::<R>(writing, sale, fold).await
    }
}

/// Has a receiver that is switched on for the first time begin, and returns where it is.
///
/// # Errors
/// When the tables or the ledger cannot be used.
pub async fn begin<R: EventReceiver>(
    tables: &Store,
    engine: &Engine,
) -> Result<event_receivers::EventReceiverRow, FollowerError> {
    if let Some(known) = event_receivers::find(tables, R::NAME).await? {
        return Ok(known);
    }
    begin_receiver::<R>(tables, engine, engine.now()).await?;
    event_receivers::find(tables, R::NAME).await?.ok_or(FollowerError::Overtaken)
}

/// Writes that a receiver is switched on for the first time, and where it begins.
async fn begin_receiver<R: EventReceiver>(
    tables: &Store,
    engine: &Engine,
    now: Timestamp,
) -> Result<(), FollowerError> {
    let mut present = Vec::new();
    let mut payment_no = 0;
    if R::START == ReceiverStart::Present {
        for view in engine.views().list() {
            let before = EventSeq(view.seq.0.saturating_sub(1));
            let last = read_batch(engine, view.id, before, 1).await?;
            if let Some(last) = last.first().filter(|last| last.seq == view.seq) {
                let offset = FollowerOffset { seq: last.seq, event_digest: digest_event(last) };
                present.push((view.id, offset, SaleFold::from_view(&view, now)));
            }
        }
        payment_no = number_all_payments(tables).await?;
    }
    let mut writing = tables.begin().await?;
    if !event_receivers::insert(&mut writing, R::NAME, now, payment_no).await? {
        return Ok(());
    }
    for (sale, offset, fold) in present {
        if followers::advance(&mut writing, R::NAME, sale, &FollowerOffset::default(), &offset).await? {
            put_state::<R>(&mut writing, sale, &fold).await?;
        }
    }
    Ok(writing.commit().await?)
}

/// Gives numbers to all steps of payments, and returns the last one.
async fn number_all_payments(tables: &Store) -> Result<i64, FollowerError> {
    let mut last = payment_events::find_last_no(tables).await?;
    loop {
        payment_events::number_new(tables, PAYMENTS_MAX).await?;
        let next = payment_events::find_last_no(tables).await?;
        if next == last {
            return Ok(last);
        }
        last = next;
    }
}

async fn put_state<R: EventReceiver>(
    writing: &mut StoreTransaction,
    sale: SaleId,
    fold: &SaleFold,
) -> Result<(), FollowerError> {
    let text = fold.to_text().map_err(|error| FollowerError::Delivery(Box::new(error)))?;
    Ok(event_receivers::put_state(writing, (R::NAME, sale), fold.seq(), &text).await?)
}

/// Folds the events up to an offset, which were published before.
async fn refold(engine: &Engine, sale: SaleId, to: EventSeq) -> Result<SaleFold, FollowerError> {
    let mut fold = SaleFold::default();
    while fold.seq() < to {
        let entries = read_batch(engine, sale, fold.seq(), REFOLD_BATCH_LEN).await?;
        let before = fold.seq();
        for entry in entries.iter().take_while(|entry| entry.seq <= to) {
            fold.fold_published(entry);
        }
        if fold.seq() == before {
            break;
        }
    }
    Ok(fold)
}
