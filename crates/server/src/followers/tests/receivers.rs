//! What holds for any receiver of events: each event once or more with one id and one document, in order, through failures, restarts,
//! rewinds and restored ledgers; and what the clock and the payments do.

use super::*;
use crate::followers::backoff::BackoffLimits;
use crate::followers::event_follower::{EventFollower, start_receiver};
use crate::followers::event_receiver::{EVENT_PACE, EventReceiver, ReceiverStart};
use crate::followers::follower::{FollowerError, FollowerPace};
use crate::followers::shared::{SharedDependencies, SharedSettings};
use crate::shop::catalogue::SaleCatalogue;
use crate::shop::followers::RewindRefusal;
use crate::shop::published_events::{
    EventOrigin, EventPublisher, PublishedEvent, PublishedSale, SaleFold, find_names,
};
use crate::store::event_receivers::UndeliveredPayments;
use crate::store::payments::{
    self, BeginResult, LeasedPayment, NewPayment, PaymentLease, PaymentRow, PaymentState, PaymentStep,
    StepWrite, WholeRefund,
};
use crate::store::{self, StoreTransaction, event_receivers, payment_events};
use documents::{EventAddresses, EventType, PublishedEventDocument};
use engine::record::ReadError;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use test_servers::wait::{HANG_LIMIT, eventually};

const FAST_PACE: FollowerPace = FollowerPace {
    batch_len_max: 7,
    rest_min: Duration::ZERO,
    idle_max: Duration::from_millis(10),
    nice: 0,
    backoff: BackoffLimits { first: Duration::from_millis(1), max: Duration::from_millis(2) },
    ..EVENT_PACE
};

/// Keeps what it gets, and fails on every third batch after it has got it.
#[derive(Clone, Default)]
struct CollectedEvents {
    events: Arc<Mutex<Vec<PublishedEvent>>>,
    /// Ids of events, as rows of a transaction.
    recorded: Arc<AtomicUsize>,
    batches: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
}

impl CollectedEvents {
    fn receive(&self, events: &[PublishedEvent]) -> Result<(), FollowerError> {
        self.events.lock().unwrap().extend_from_slice(events);
        let number = self.batches.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) && number % 3 == 2 {
            return Err(FollowerError::Delivery("the receiver closed the connection".into()));
        }
        Ok(())
    }

    /// The documents without repeats, in the order in which they came first. A repeat is the same document.
    fn distinct(&self) -> Vec<PublishedEventDocument> {
        let mut distinct: Vec<PublishedEventDocument> = Vec::new();
        for event in self.events.lock().unwrap().iter() {
            match distinct.iter().find(|known| known.id == event.document.id) {
                Some(known) => assert_eq!(*known, event.document),
                None => distinct.push(event.document.clone()),
            }
        }
        distinct
    }

    fn ids(&self) -> Vec<String> {
        self.distinct().into_iter().map(|document| document.id).collect()
    }

    fn has_type(&self, event_type: EventType) -> bool {
        self.distinct().iter().any(|document| document.event_type == event_type)
    }
}

struct FromBeginning(CollectedEvents);
struct FromPresent(CollectedEvents);

impl EventReceiver for FromBeginning {
    const NAME: &'static str = "from_beginning";
    const START: ReceiverStart = ReceiverStart::Beginning;
    const PACE: FollowerPace = FAST_PACE;

    async fn deliver(&mut self, _: &Store, events: &[PublishedEvent]) -> Result<(), FollowerError> {
        self.0.receive(events)
    }
}

/// A receiver that writes in the transaction of its offset.
impl EventReceiver for FromPresent {
    const NAME: &'static str = "from_present";
    const START: ReceiverStart = ReceiverStart::Present;
    const PACE: FollowerPace = FAST_PACE;

    async fn record(
        &mut self,
        writing: &mut StoreTransaction,
        events: &[PublishedEvent],
    ) -> Result<(), FollowerError> {
        // A row that says how many events it has recorded.
        let count = self.0.recorded.load(Ordering::SeqCst) + events.len();
        event_receivers::put_state(writing, ("counted", SALE), EventSeq(count as u64), "{}").await?;
        self.0.receive(events)?;
        self.0.recorded.store(count, Ordering::SeqCst);
        Ok(())
    }
}

struct RecordingReceiver(CollectedEvents);

impl EventReceiver for RecordingReceiver {
    const NAME: &'static str = "recording";
    const START: ReceiverStart = ReceiverStart::Beginning;
    const PACE: FollowerPace = FAST_PACE;

    async fn record(
        &mut self,
        _writing: &mut StoreTransaction,
        events: &[PublishedEvent],
    ) -> Result<(), FollowerError> {
        self.0.receive(events)
    }
}

async fn publisher(fixture: &ProjectorFixture) -> EventPublisher {
    let catalogue = SaleCatalogue::load(&fixture.store, Tenancy::Single).await.unwrap();
    let shop = "https://shop.example".to_owned();
    EventPublisher::new(EventAddresses { source: shop.clone(), schemas: shop }, Arc::new(catalogue))
}

async fn start<R: EventReceiver>(
    fixture: &ProjectorFixture,
    receiver: R,
) -> (FollowerThread, FollowerProgress) {
    let progress = FollowerProgress::default();
    let dependencies = SharedDependencies {
        engine: fixture.engine().clone(),
        store: fixture.store.clone(),
        tenancy: fixture.tenancy,
        progress: progress.clone(),
        metrics: FollowerMetrics::default(),
        random: Box::new(|| 0.5),
    };
    (start_receiver(receiver, publisher(fixture).await, dependencies, true).unwrap(), progress)
}

/// What the ledger and the clock publish by `now`.
async fn expected(fixture: &ProjectorFixture, now: Timestamp) -> Vec<PublishedEventDocument> {
    let publisher = publisher(fixture).await;
    let number = fixture.engine().ledger().find_number(SALE).await.unwrap().unwrap();
    let (mut fold, mut events) = (SaleFold::default(), Vec::new());
    fold.set_names(find_names(&fixture.store, SALE).await.unwrap());
    for entry in fixture.ledger().await {
        publisher.publish_entry(&mut fold, PublishedSale { sale: SALE, number }, &entry, &mut events);
    }
    publisher.publish_moments(&mut fold, SALE, now, &mut events);
    events.into_iter().map(|event| event.document).collect()
}

async fn wait_until(mut is_so: impl FnMut() -> bool) {
    eventually("it becomes so", HANG_LIMIT, async || is_so()).await;
}

fn fifo() -> Policy {
    policy(AdmissionMode::Fifo { per_second: 3, checkout_s: 4, line_opens_s: 5, extension_s: 2 }, 3)
}

#[tokio::test]
async fn each_event_comes_in_order_with_one_document_through_failures_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    let collected = CollectedEvents::default();
    collected.fails.store(true, Ordering::SeqCst);
    for part in long_history().chunks(80) {
        fixture.run_history(&fifo(), part).await;
        let (follower, progress) = start(&fixture, FromBeginning(collected.clone())).await;
        assert!(progress.wait_for_all(fixture.engine().views(), HANG_LIMIT).await);
        stop(follower).await;
    }
    fixture.clock.advance_ms(3_600_000);
    let (follower, _) = start(&fixture, FromBeginning(collected.clone())).await;
    // The engine ends what the hour has ended, when it gets to it.
    eventually("everything is delivered in order", HANG_LIMIT, async || {
        collected.distinct() == expected(&fixture, fixture.clock.now()).await
    })
    .await;
    for event_type in [EventType::SaleStarted, EventType::LineAdmitted, EventType::OrderHeld] {
        assert!(collected.has_type(event_type), "{event_type} is not in the history");
    }
    stop(follower).await;
    fixture.close().await;
}

#[tokio::test]
async fn an_id_has_the_checksum_that_is_in_the_row_of_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    fixture.run_history(&fifo(), &long_history()[..60]).await;
    let collected = CollectedEvents::default();
    let (follower, progress) = start(&fixture, FromBeginning(collected.clone())).await;
    assert!(progress.wait_for_all(fixture.engine().views(), HANG_LIMIT).await);
    stop(follower).await;
    let rows = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
    let mut rows = rows.prepare("SELECT key & 1099511627775, crc FROM entries ORDER BY key").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).unwrap();
    let in_rows: Vec<String> =
        rows.map(Result::unwrap).map(|(seq, crc)| format!("{SALE}/{seq}/{crc:08x}")).collect();
    let of_ledger = |event: &PublishedEvent| match event.origin {
        EventOrigin::Ledger(_) => Some(event.document.id.clone()),
        _ => None,
    };
    let published: Vec<String> = collected.events.lock().unwrap().iter().filter_map(of_ledger).collect();
    assert!(in_rows.len() > 20);
    assert_eq!(published, in_rows);
    fixture.close().await;
}

#[tokio::test]
async fn the_start_and_the_end_are_published_once_when_nothing_else_happens() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    let promised = policy(AdmissionMode::Open, 3);
    fixture.run_history(&promised, &[]).await;
    let collected = CollectedEvents::default();
    let (follower, progress) = start(&fixture, FromBeginning(collected.clone())).await;
    assert!(progress.wait_for_all(fixture.engine().views(), HANG_LIMIT).await);
    assert!(!collected.has_type(EventType::SaleStarted));
    fixture.clock.advance_ms(promised.starts_at.ms_since(fixture.clock.now()) + 1_000);
    wait_until(|| collected.has_type(EventType::SaleStarted)).await;
    assert!(!collected.has_type(EventType::SaleEnded));
    stop(follower).await;

    // Another process has nothing to repeat.
    let later = CollectedEvents::default();
    let (follower, _) = start(&fixture, FromBeginning(later.clone())).await;
    fixture.clock.advance_ms(promised.ends_at.ms_since(fixture.clock.now()) + 1_000);
    wait_until(|| later.has_type(EventType::SaleEnded)).await;
    let ended = format!("{SALE}/ended/{}", documents::rfc3339(promised.ends_at));
    assert_eq!(later.ids(), [ended]);
    stop(follower).await;
    fixture.close().await;
}

#[tokio::test]
async fn a_receiver_that_begins_at_the_present_gets_what_happens_then_with_the_same_documents() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    fixture.run_history(&fifo(), &long_history()[..100]).await;
    let before = expected(&fixture, fixture.clock.now()).await.len();
    let collected = CollectedEvents::default();
    collected.fails.store(true, Ordering::SeqCst);
    let (follower, progress) = start(&fixture, FromPresent(collected.clone())).await;
    assert!(progress.wait_for_all(fixture.engine().views(), HANG_LIMIT).await);
    assert!(collected.ids().is_empty());
    fixture.run_history(&fifo(), &long_history()[100..200]).await;
    assert!(progress.wait_for_all(fixture.engine().views(), HANG_LIMIT).await);
    stop(follower).await;
    let due: Vec<PublishedEventDocument> =
        expected(&fixture, fixture.clock.now()).await.into_iter().skip(before).collect();
    assert_eq!(collected.distinct(), due);
    let counted = event_receivers::list_states(&fixture.store, "counted").await.unwrap();
    assert_eq!(counted.len(), 1, "rows are written with the offset");
    assert_eq!(collected.recorded.load(Ordering::SeqCst), due.len(), "each event was recorded once");
    fixture.close().await;
}

#[tokio::test]
async fn a_rewound_receiver_gets_the_same_documents_again() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    fixture.run_history(&fifo(), &long_history()[..100]).await;
    let collected = CollectedEvents::default();
    let (follower, progress) = start(&fixture, FromBeginning(collected.clone())).await;
    assert!(progress.wait_for_all(fixture.engine().views(), HANG_LIMIT).await);
    let all = collected.distinct();
    let last = fixture.ledger().await.last().unwrap().seq;
    for seq in [EventSeq(last.0 / 2), EventSeq(0)] {
        let before = collected.events.lock().unwrap().len();
        let request = RewindRequest { name: "from_beginning".to_owned(), sale: SALE, seq };
        let ledger = &**fixture.engine().ledger();
        followers::rewind(&fixture.store, ledger, &request).await.unwrap().unwrap();
        let due = all.iter().filter(|document| {
            document.id.split('/').nth(1).unwrap().parse().is_ok_and(|at: u64| at > seq.0)
        });
        let due = due.count();
        wait_until(|| collected.events.lock().unwrap().len() >= before + due).await;
        assert_eq!(collected.distinct(), all);
    }
    stop(follower).await;
    fixture.close().await;
}

#[tokio::test]
async fn a_rewound_receiver_gets_the_kept_steps_of_the_sales_payments_again() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    fixture.run_history(&fifo(), &long_history()[..20]).await;
    let store = &fixture.store;
    for number in 0..10 {
        write_payment(store, number, 2).await;
    }
    let collected = CollectedEvents::default();
    let (follower, _) = start(&fixture, FromBeginning(collected.clone())).await;
    let steps = || {
        let events = collected.events.lock().unwrap();
        let of_payment = |event: &&PublishedEvent| event.origin == EventOrigin::Payment;
        events.iter().filter(of_payment).map(|event| event.document.id.clone()).collect::<Vec<String>>()
    };
    let last = fixture.ledger().await.last().unwrap().seq;
    let is_behind = async || {
        let offsets = store::followers::list_offsets(store, "from_beginning").await.unwrap();
        !offsets.iter().any(|(_, offset)| offset.seq == last)
    };
    eventually("all is delivered", HANG_LIMIT, async || steps().len() == 20 && !is_behind().await).await;
    let first = steps();
    let ledger = &**fixture.engine().ledger();
    for (times, seq) in [(2, EventSeq(last.0 / 2)), (3, EventSeq(0))] {
        let request = RewindRequest { name: "from_beginning".to_owned(), sale: SALE, seq };
        followers::rewind(store, ledger, &request).await.unwrap().unwrap();
        eventually("all is delivered again", HANG_LIMIT, async || {
            steps().len() == 20 * times && !is_behind().await
        })
        .await;
        assert_eq!(steps(), vec![first.clone(); times].concat());
    }
    // What another sale's rewind does not concern stays where it is.
    let other = SaleId(Uuid::from_u128(99));
    let request = RewindRequest { name: "from_beginning".to_owned(), sale: other, seq: EventSeq(0) };
    let refused = followers::rewind(store, ledger, &request).await.unwrap();
    assert_eq!(refused, Err(RewindRefusal::SaleUnknown));
    let undelivered = async || event_receivers::find_undelivered(store, "from_beginning", 10).await.unwrap();
    assert_eq!(undelivered().await, UndeliveredPayments::default());
    let stands = event_receivers::find(store, "from_beginning").await.unwrap().unwrap();
    assert_eq!(stands.payment_no, payment_events::find_last_no(store).await.unwrap());
    stop(follower).await;
    write_payment(store, 10, 2).await;
    let at = Timestamp(START.0 + 10);
    assert_eq!(undelivered().await, UndeliveredPayments { count: 2, since: Some(at) });
    let counted = event_receivers::find_undelivered(store, "from_beginning", 1).await.unwrap();
    assert_eq!(counted.count, 1, "they are counted up to a limit");
    payment_events::number_new(store, 10).await.unwrap();
    assert_eq!(undelivered().await, UndeliveredPayments { count: 2, since: Some(at) });
    fixture.close().await;
}

#[tokio::test]
async fn a_restored_ledger_is_published_with_other_ids_from_where_it_differs() {
    let folder = tempfile::tempdir().unwrap();
    let saved = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    fixture.run_history(&fifo(), &long_history()[..60]).await;
    let common = fixture.ledger().await.len() as u64;
    fixture.close().await;
    copy_ledger(folder.path(), saved.path());

    let fixture = ProjectorFixture::open(folder.path()).await;
    fixture.run_history(&fifo(), &long_history()[60..120]).await;
    let collected = CollectedEvents::default();
    let (follower, progress) = start(&fixture, FromBeginning(collected.clone())).await;
    assert!(progress.wait_for_all(fixture.engine().views(), HANG_LIMIT).await);
    stop(follower).await;
    let lost = collected.ids();
    fixture.close().await;

    copy_ledger(saved.path(), folder.path());
    let fixture = ProjectorFixture::open(folder.path()).await;
    fixture.clock.advance_ms(7);
    fixture.run_history(&fifo(), &long_history()[120..260]).await;
    let again = CollectedEvents::default();
    let (follower, progress) = start(&fixture, FromBeginning(again.clone())).await;
    assert!(progress.wait_for_all(fixture.engine().views(), HANG_LIMIT).await);
    stop(follower).await;
    let seq_of = |id: &str| id.split('/').nth(1).unwrap().parse::<u64>();
    for id in again.ids() {
        if let Ok(seq) = seq_of(&id) {
            assert_eq!(lost.contains(&id), seq <= common, "{id}");
        }
    }
    assert_eq!(again.distinct(), expected(&fixture, fixture.clock.now()).await);
    fixture.close().await;
}

#[tokio::test]
async fn steps_of_payments_come_in_order_per_payment_and_are_deleted_when_every_receiver_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    let store = &fixture.store;
    for number in 0..40 {
        write_payment(store, number, number % 3).await;
    }
    let (beginning, present) = (CollectedEvents::default(), CollectedEvents::default());
    beginning.fails.store(true, Ordering::SeqCst);
    let (from_present, _) = start(&fixture, FromPresent(present.clone())).await;
    eventually("the receiver has begun", HANG_LIMIT, async || {
        event_receivers::find(store, "from_present").await.unwrap().is_some()
    })
    .await;
    for number in 40..50 {
        write_payment(store, number, 1).await;
    }
    let (from_beginning, _) = start(&fixture, FromBeginning(beginning.clone())).await;
    let id = |number: u128, state: &str| format!("payments/{}/{state}", Uuid::from_u128(number));
    let mut due: Vec<String> = Vec::new();
    for number in 0..50 {
        match if number < 40 { number % 3 } else { 1 } {
            0 => due.push(id(number, "declined")),
            1 => due.push(id(number, "captured")),
            _ => due.extend([id(number, "captured"), id(number, "refunded")]),
        }
    }
    wait_until(|| beginning.ids().len() == due.len() && present.ids().len() == 10).await;
    let got = beginning.ids();
    assert!(due.iter().all(|id| got.contains(id)), "{got:?}");
    for number in (0..40).filter(|number| number % 3 == 2) {
        let position = |state| got.iter().position(|known| *known == id(number, state)).unwrap();
        assert!(position("captured") < position("refunded"));
    }
    assert_eq!(present.ids(), (40..50).map(|number| id(number, "captured")).collect::<Vec<String>>());
    let last = payment_events::find_last_no(store).await.unwrap();
    eventually("both positions are stored", HANG_LIMIT, async || {
        event_receivers::find_delivered_by_all(store, Timestamp(0)).await.unwrap() == Some(last)
    })
    .await;
    stop(from_present).await;
    stop(from_beginning).await;

    let later = Timestamp(i64::MAX);
    // A receiver that has failed since runs, and keeps what it has not got.
    assert_eq!(event_receivers::find_delivered_by_all(store, later).await.unwrap(), None);
    store::followers::record_failure(store, "from_present", "away", later).await.unwrap();
    let waiting = event_receivers::find_delivered_by_all(store, later).await.unwrap();
    assert_eq!(waiting, Some(last));
    write_payment(store, 50, 1).await;
    payment_events::delete_old(store, later, waiting, 1_000).await.unwrap();
    payment_events::number_new(store, 10).await.unwrap();
    payment_events::delete_old(store, later, waiting, 1_000).await.unwrap();
    let kept = async || -> Vec<Uuid> {
        let rows = payment_events::list_after(store, 0, 1_000).await.unwrap();
        rows.iter().map(|row| row.payment).collect()
    };
    assert_eq!(kept().await, [Uuid::from_u128(50)]);
    payment_events::delete_old(store, later, None, 1_000).await.unwrap();
    assert_eq!(kept().await, [] as [Uuid; 0], "nobody waits for it");
    fixture.close().await;
}

/// A payment that was declined (0), captured (1), or captured and refunded.
async fn write_payment(store: &Store, number: u128, steps: u128) {
    let now = Timestamp(START.0 + i64::try_from(number).unwrap());
    let lease = |holder| PaymentLease { holder: Uuid::from_u128(holder), until: Timestamp(i64::MAX) };
    let row = PaymentRow {
        id: Uuid::from_u128(number),
        order: OrderId(Uuid::from_u128(number)),
        sale: SALE,
        buyer: BuyerId(Uuid::from_u128(7)),
        provider: "sandbox".to_owned(),
        reference: None,
        method: "sandbox:approve".to_owned(),
        amount: Money { minor: 1_000, currency: "EUR".parse().unwrap() },
        state: PaymentState::Started,
        action_url: None,
        language: String::new(),
        reason: String::new(),
        restock: false,
        refunded_minor: 0,
        created_at: now,
        updated_at: now,
        tries: 0,
    };
    let mut writing = store.begin().await.unwrap();
    let new = NewPayment { payment: row.clone(), key: None, try_at: now, lease: lease(1) };
    let begun = payments::begin_payments(&mut writing, &[&new]).await.unwrap().remove(0);
    writing.commit().await.unwrap();
    let BeginResult::Begun(leased) = begun else { panic!("{begun:?}") };
    if steps == 0 {
        let declined = PaymentStep::Decline("too little money".to_owned());
        assert!(take_step(store, &leased, declined).await.is_some());
        return;
    }
    let authorised = take_step(store, &leased, PaymentStep::Change(PaymentState::Authorised)).await.unwrap();
    assert!(take_step(store, &authorised, PaymentStep::Change(PaymentState::Captured)).await.is_some());
    if steps == 2 {
        let mut writing = store.begin().await.unwrap();
        let captured = PaymentRow { state: PaymentState::Captured, ..row };
        let whole = WholeRefund { restock: true, is_exact: false };
        let begun = payments::begin_refund(&mut writing, captured, whole, (now, now), (lease(2), now)).await;
        let begun = begun.unwrap();
        writing.commit().await.unwrap();
        let refunded = PaymentStep::Change(PaymentState::Refunded);
        assert!(take_step(store, &begun.unwrap(), refunded).await.is_some());
    }
}

async fn take_step(store: &Store, leased: &LeasedPayment, step: PaymentStep) -> Option<LeasedPayment> {
    let now = leased.updated_at;
    let mut writing = store.begin().await.unwrap();
    let step = StepWrite { leased: leased.clone(), step, now, try_at: now };
    let moved = payments::take_steps(&mut writing, &[&step]).await.unwrap().remove(0);
    writing.commit().await.unwrap();
    moved
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_both_believe_to_hold_the_lock_record_each_event_once() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::shared(folder.path()).await;
    let collected = CollectedEvents::default();
    let (follower, progress) = start(&fixture, RecordingReceiver(collected.clone())).await;
    fixture.run_history(&fifo(), &long_history()[..50]).await;
    assert!(progress.wait_for_all(fixture.engine().views(), HANG_LIMIT).await);
    let context = SharedContext {
        engine: fixture.engine().clone(),
        store: fixture.store.clone(),
        tenancy: fixture.tenancy,
        progress: FollowerProgress::default(),
        metrics: FollowerMetrics::default(),
        settings: SharedSettings { pace: FAST_PACE, may_deliver: true },
    };
    let other = EventFollower::new(RecordingReceiver(collected.clone()), publisher(&fixture).await);
    let mut rounds = SharedRounds::new(other, context);
    rounds.lead_without_lock().await.unwrap();
    fixture.run_history(&fifo(), &long_history()[50..200]).await;
    for number in 0..20 {
        write_payment(&fixture.store, number, 2).await;
    }
    let last = fixture.ledger().await.last().unwrap().seq;
    let payments_last = || async { payment_events::find_last_no(&fixture.store).await.unwrap() };
    eventually("both together record everything", HANG_LIMIT, async || {
        if rounds.run_round().await.is_err() {
            rounds.lead_without_lock().await.unwrap();
        }
        let receiver = event_receivers::find(&fixture.store, "recording").await.unwrap().unwrap();
        progress.delivered_seq(SALE) == last && receiver.payment_no == 40 && payments_last().await == 40
    })
    .await;
    stop(follower).await;
    let distinct = collected.distinct();
    assert_eq!(collected.events.lock().unwrap().len(), distinct.len(), "each was recorded once");
    let of_sale: Vec<PublishedEventDocument> =
        distinct.into_iter().filter(|document| !document.id.starts_with("payments/")).collect();
    assert_eq!(of_sale, expected(&fixture, fixture.clock.now().plus_ms(-1_000)).await);
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_are_written_at_the_same_time_are_all_delivered_in_order_per_payment() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::shared(folder.path()).await;
    let collected = CollectedEvents::default();
    let (follower, _) = start(&fixture, RecordingReceiver(collected.clone())).await;
    let write = |range: std::ops::Range<u128>| {
        let store = fixture.store.clone();
        tokio::spawn(async move {
            for number in range {
                write_payment(&store, number, 2).await;
            }
        })
    };
    let writers: Vec<_> = (0..6).map(|task| write(task * 15..(task + 1) * 15)).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    eventually("all steps are delivered", HANG_LIMIT, async || collected.ids().len() >= 180).await;
    stop(follower).await;
    let ids = collected.ids();
    assert_eq!((ids.len(), collected.events.lock().unwrap().len()), (180, 180));
    for number in 0..90 {
        let position = |state| {
            let id = format!("payments/{}/{state}", Uuid::from_u128(number));
            ids.iter().position(|known| *known == id).unwrap()
        };
        assert!(position("captured") < position("refunded"));
    }
    fixture.close().await;
}

#[tokio::test]
async fn a_step_of_a_payment_that_is_not_taken_is_not_published() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    let store = &fixture.store;
    write_payment(store, 1, 1).await;
    let captured = payments::find(store, Uuid::from_u128(1)).await.unwrap().unwrap();
    let now = captured.updated_at;
    let lease = PaymentLease { holder: Uuid::from_u128(9), until: Timestamp(i64::MAX) };
    let stranger = payments::acquire_lease(store, captured.id, lease, now).await.unwrap().unwrap();
    // It is captured, so it cannot be declined.
    assert!(take_step(store, &stranger, PaymentStep::Decline("too late".to_owned())).await.is_none());
    payment_events::number_new(store, 10).await.unwrap();
    let rows = payment_events::list_after(store, 0, 10).await.unwrap();
    assert_eq!(rows.len(), 1);
    fixture.close().await;
}

#[tokio::test]
async fn a_receiver_that_cannot_be_reached_is_a_failure_with_its_words() {
    let failure = FollowerError::Delivery("connection refused".into());
    assert_eq!(
        engine::error_text::describe_error(&failure),
        "the receiver did not take the events: connection refused"
    );
    let missing: FollowerError = ReadError::Missing { place: "a folder".to_owned() }.into();
    assert_eq!(engine::error_text::describe_error(&missing), "there is no ledger in a folder");
}

#[tokio::test]
async fn the_tables_say_since_when_a_receiver_takes_nothing_and_that_it_does_again() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    fixture.run_history(&fifo(), &long_history()[..80]).await;
    let collected = CollectedEvents::default();
    collected.fails.store(true, Ordering::SeqCst);
    let (follower, progress) = start(&fixture, FromBeginning(collected.clone())).await;
    assert!(progress.wait_for_all(fixture.engine().views(), HANG_LIMIT).await);
    let failure = async || {
        let failures = store::followers::list_failures(&fixture.store).await.unwrap();
        failures.into_iter().find(|(name, _)| name == FromBeginning::NAME).map(|(_, failure)| failure)
    };
    eventually("the outage is over", HANG_LIMIT, async || {
        failure().await.is_some_and(|failure| failure.ended_at.is_some())
    })
    .await;
    let over = failure().await.unwrap();
    assert_eq!(over.reason, "the receiver did not take the events: the receiver closed the connection");
    assert!(over.began_at <= over.failed_at && Some(over.failed_at) <= over.ended_at, "{over:?}");
    stop(follower).await;
    let name = FromBeginning::NAME;
    let later = over.failed_at.plus_ms(60_000);
    store::followers::record_failure(&fixture.store, name, "away", later).await.unwrap();
    store::followers::record_failure(&fixture.store, name, "still away", later.plus_ms(5)).await.unwrap();
    let lasting = failure().await.unwrap();
    assert_eq!((lasting.began_at, lasting.failed_at), (later, later.plus_ms(5)));
    assert_eq!((lasting.reason.as_str(), lasting.ended_at), ("still away", None));

    // It is on for half an hour after it last ran or failed.
    let statuses = followers::list(&fixture.store, &[]).await.unwrap();
    let status = statuses.iter().find(|status| status.name == name).unwrap();
    let off_from = later.plus_ms(5 + 1_800_000);
    assert!(status.is_on(off_from) && !status.is_on(off_from.plus_ms(1)), "{:?}", status.seen_at);
    let projector = statuses.iter().find(|status| status.name == "projector").unwrap();
    assert!(projector.is_on(Timestamp::MAX));
    fixture.close().await;
}
