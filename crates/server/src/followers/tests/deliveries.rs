//! What holds for any follower: deliveries survive failures and restarts, a rewind takes effect in a running process, and a local
//! follower starts where it says.

use super::*;
use crate::followers::backoff::BackoffLimits;
use crate::followers::follower::{
    Delivery, FollowerError, FollowerPace, LocalFollower, SaleInterest, SharedBatch, SharedFollower,
};
use crate::followers::idempotency_warmup::{self, IdempotencyWarmup};
use crate::followers::local::{LocalDependencies, start_local};
use crate::followers::shared::{SharedDependencies, SharedSettings, start_shared};
use crate::shop::followers::RewindRefusal;
use crate::shop::idempotency_keys::{IdempotencyKey, IdempotencyKeys, KeyClaim};
use engine::SaleView;
use engine::record::ReadError;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use test_servers::wait::{HANG_LIMIT, eventually};

const PACE: FollowerPace = FollowerPace {
    batch_len_max: 7,
    rest_factor: 0,
    rest_min: Duration::ZERO,
    idle_max: Duration::from_millis(20),
    nice: 0,
    backoff: BackoffLimits { first: Duration::from_millis(1), max: Duration::from_millis(2) },
};

/// A receiver that keeps what it gets, and fails on every third delivery after it has got it.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<EventSeq>>>,
    deliveries: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
}

impl Receiver {
    fn receive(&self, entries: &[LedgerEntry]) -> Result<(), FollowerError> {
        self.got.lock().unwrap().extend(entries.iter().map(|entry| entry.seq));
        let number = self.deliveries.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) && number % 3 == 2 {
            return Err(ReadError::Missing { place: "the receiver".to_owned() }.into());
        }
        Ok(())
    }

    /// The numbers that it got, without repeats, in order.
    fn distinct(&self) -> Vec<u64> {
        let got = self.got.lock().unwrap();
        got.iter().map(|seq| seq.0).collect::<std::collections::BTreeSet<u64>>().into_iter().collect()
    }
}

impl SharedFollower for Receiver {
    const NAME: &'static str = "receiver";

    async fn deliver(&mut self, batch: &SharedBatch<'_>) -> Result<Delivery, FollowerError> {
        self.receive(batch.entries)?;
        Ok(Delivery::Delivered(batch.entries.len()))
    }
}

impl LocalFollower for Receiver {
    const NAME: &'static str = "receiver";

    async fn find_start(&mut self, view: &SaleView, _is_startup: bool) -> Result<EventSeq, ReadError> {
        Ok(EventSeq(view.seq.0 / 2))
    }

    fn filter_sale(&self, _view: &SaleView) -> SaleInterest {
        SaleInterest::Read
    }

    async fn deliver(&mut self, _sale: SaleId, entries: Vec<LedgerEntry>) -> Result<(), FollowerError> {
        self.receive(&entries)
    }
}

fn start_receiver(
    fixture: &ProjectorFixture,
    receiver: &Receiver,
    progress: &FollowerProgress,
    metrics: &FollowerMetrics,
) -> FollowerThread {
    let dependencies = SharedDependencies {
        engine: fixture.engine().clone(),
        store: fixture.store.clone(),
        tenancy: fixture.tenancy,
        progress: progress.clone(),
        metrics: metrics.clone(),
        random: Box::new(|| 0.5),
    };
    start_shared(receiver.clone(), dependencies, SharedSettings { pace: PACE, may_deliver: true }).unwrap()
}

async fn wait_until(mut is_so: impl FnMut() -> bool) {
    eventually("it becomes so", HANG_LIMIT, async || is_so()).await;
}

#[tokio::test]
async fn every_event_is_delivered_through_failures_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    let (receiver, metrics) = (Receiver::default(), FollowerMetrics::default());
    receiver.fails.store(true, Ordering::SeqCst);
    for part in long_history().chunks(100) {
        fixture.run_history(&policy(AdmissionMode::Open, 3), part).await;
        let progress = FollowerProgress::default();
        let follower = start_receiver(&fixture, &receiver, &progress, &metrics);
        assert!(progress.wait_for_all(fixture.engine().views(), HANG_LIMIT).await);
        stop(follower).await;
    }
    let last = fixture.ledger().await.last().unwrap().seq.0;
    assert_eq!(receiver.distinct(), (1..=last).collect::<Vec<u64>>());
    assert!(metrics.failed.get() > 3 && metrics.delivered.get() > 20);
    fixture.close().await;
}

#[tokio::test]
async fn a_rewound_follower_delivers_again_from_there_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    fixture.run_history(&policy(AdmissionMode::Open, 3), &long_history()[..100]).await;
    let (receiver, progress) = (Receiver::default(), FollowerProgress::default());
    let follower = start_receiver(&fixture, &receiver, &progress, &FollowerMetrics::default());
    assert!(progress.wait_for_all(fixture.engine().views(), HANG_LIMIT).await);
    let last = fixture.ledger().await.last().unwrap().seq;
    for seq in [EventSeq(last.0 / 2), EventSeq(0), last] {
        receiver.got.lock().unwrap().clear();
        let rewound = rewind(&fixture, "receiver", seq).await.unwrap();
        assert_eq!((rewound.seq, rewound.rewrites_sale), (seq, false));
        let due: Vec<u64> = (seq.0 + 1..=last.0).collect();
        wait_until(|| receiver.distinct() == due).await;
        let heads = followers::published_heads(fixture.engine().views());
        let is_level = async || followers::list(&fixture.store, &heads).await.unwrap()[1].count_behind() == 0;
        eventually("the receiver is level", HANG_LIMIT, is_level).await;
    }
    let too_far = rewind(&fixture, "receiver", EventSeq(last.0 + 1)).await;
    assert_eq!(too_far, Err(RewindRefusal::NotThere(last)));
    assert_eq!(rewind(&fixture, "nobody", EventSeq(0)).await, Err(RewindRefusal::FollowerUnknown));
    stop(follower).await;
    fixture.close().await;
}

async fn rewind(
    fixture: &ProjectorFixture,
    name: &str,
    seq: EventSeq,
) -> Result<followers::RewoundFollower, RewindRefusal> {
    let request = RewindRequest { name: name.to_owned(), sale: SALE, seq };
    followers::rewind(&fixture.store, &**fixture.engine().ledger(), &request).await.unwrap()
}

#[tokio::test]
async fn a_rewound_projector_writes_the_whole_sale_again() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    fixture.run_history(&policy(AdmissionMode::Open, 3), &long_history()).await;
    let (progress, counts) = (FollowerProgress::default(), ProjectorCounts::default());
    let projector = fixture.start_projector(&progress, &counts);
    let entries = fixture.ledger().await;
    let last = entries.last().unwrap().seq;
    assert!(progress.wait_for(SALE, last, HANG_LIMIT).await);
    let rewound = rewind(&fixture, "projector", EventSeq(5)).await.unwrap();
    assert_eq!((rewound.seq, rewound.rewrites_sale), (EventSeq(0), true));
    wait_until(|| counts.own.rebuilds.get() == 1 && progress.delivered_seq(SALE) == last).await;
    ExpectedTables::read(&fixture.store, SALE).await.assert_match(&entries);
    series::assert_table_matches(&fixture.store, &entries).await;
    assert_eq!(counts.follower.failed.get(), 0);

    // Also when it takes effect in the next process.
    stop(projector).await;
    rewind(&fixture, "projector", last).await.unwrap();
    let progress = FollowerProgress::default();
    let projector = fixture.start_projector(&progress, &counts);
    wait_until(|| counts.own.rebuilds.get() == 2 && progress.delivered_seq(SALE) == last).await;
    ExpectedTables::read(&fixture.store, SALE).await.assert_match(&entries);
    stop(projector).await;
    fixture.close().await;
}

#[tokio::test]
async fn the_last_event_of_a_ledger_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    for part in long_history()[..60].chunks(4) {
        fixture.run_history(&policy(AdmissionMode::Open, 3), part).await;
        let heads = followers::read_heads(&**fixture.engine().ledger()).await.unwrap();
        assert_eq!(heads, followers::published_heads(fixture.engine().views()));
    }
    fixture.close().await;
}

#[tokio::test]
async fn a_local_follower_starts_where_it_says_and_follows_on() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    fixture.run_history(&policy(AdmissionMode::Open, 3), &long_history()[..100]).await;
    let begin = fixture.engine().views().get(SALE).unwrap().seq.0 / 2;
    let (receiver, progress) = (Receiver::default(), FollowerProgress::default());
    receiver.fails.store(true, Ordering::SeqCst);
    let dependencies = LocalDependencies {
        engine: fixture.engine().clone(),
        progress: progress.clone(),
        metrics: FollowerMetrics::default(),
        random: Box::new(|| 0.0),
    };
    let follower = start_local(receiver.clone(), dependencies, PACE).unwrap();
    assert!(progress.wait_for_all(fixture.engine().views(), HANG_LIMIT).await);
    for part in long_history()[100..200].chunks(25) {
        fixture.run_history(&policy(AdmissionMode::Open, 3), part).await;
        assert!(progress.wait_for_all(fixture.engine().views(), HANG_LIMIT).await);
    }
    let last = fixture.engine().views().get(SALE).unwrap().seq.0;
    assert_eq!(receiver.distinct(), (begin + 1..=last).collect::<Vec<u64>>());
    stop(follower).await;
    fixture.close().await;
}

#[tokio::test]
async fn the_warm_up_reads_the_keys_of_the_last_day() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    fixture.run_history(&policy(AdmissionMode::Open, 3), &[]).await;
    fixture.clock.advance_ms(5_000);
    let (buyer, key) = (BuyerId(Uuid::from_u128(7)), IdempotencyKey::from_text("k").request_key());
    let order = OrderId(Uuid::from_u128(1));
    let reserve = Command::Reserve { buyer, order, quantity: 1, key: Some(key) };
    fixture.engine().command(SALE, reserve).await.unwrap();
    let (keys, progress) = (Arc::new(IdempotencyKeys::default()), FollowerProgress::default());
    let warmup = IdempotencyWarmup::new(fixture.engine().clone(), Arc::clone(&keys), Tenancy::Single);
    let dependencies = LocalDependencies {
        engine: fixture.engine().clone(),
        progress: progress.clone(),
        metrics: FollowerMetrics::default(),
        random: Box::new(|| 0.0),
    };
    let follower = start_local(warmup, dependencies, idempotency_warmup::PACE).unwrap();
    assert!(progress.wait_for_all(fixture.engine().views(), HANG_LIMIT).await);
    let claim = |sale| keys.claim(buyer, key, keys.fingerprint((sale, 1_u32)), fixture.clock.now());
    assert!(matches!(claim(SaleId(Uuid::nil())), KeyClaim::Reused));
    assert!(matches!(claim(SALE), KeyClaim::Completed));
    let started = engine::clock::start_stopwatch();
    stop(follower).await;
    assert!(started.elapsed() < idempotency_warmup::PACE.idle_max / 2, "a stop interrupts every wait");
    fixture.close().await;
}
