//! Several projectors on the tables of one PostgreSQL: one writes, the others know how far it is, and go on when it has ended.

use super::*;
use test_servers::postgres::PostgresServer;
use test_servers::wait::{HANG_LIMIT, eventually};

impl ProjectorFixture {
    /// The engine of a folder, and tables that others may write too.
    pub(super) async fn shared(folder: &Path) -> Self {
        let store = Store::connect(&PostgresServer::shared().create_database()).await.unwrap();
        store.migrate().await.unwrap();
        Self { store, tenancy: Tenancy::Cluster, ..Self::open(folder).await }
    }

    /// The last event that is recorded.
    fn last(&self) -> EventSeq {
        self.engine().views().get(SALE).unwrap().seq
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_writes_and_all_know_how_far_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::shared(folder.path()).await;
    let known: Vec<(FollowerProgress, ProjectorCounts)> = (0..3).map(|_| Default::default()).collect();
    let mut projectors: Vec<Option<FollowerThread>> =
        known.iter().map(|(progress, counts)| Some(fixture.start_projector(progress, counts))).collect();
    let steps = long_history();
    let mut wrote = Vec::new();
    for part in steps.chunks(150) {
        fixture.run_history(&policy(AdmissionMode::Open, 3), part).await;
        let running = known.iter().zip(&projectors).filter(|(_, projector)| projector.is_some());
        for ((progress, _), _) in running {
            assert!(
                progress.wait_for(SALE, fixture.last(), HANG_LIMIT).await,
                "{:?}",
                progress.delivered_seq(SALE)
            );
        }
        // The process that writes stops, and another one takes over.
        let writer = known.iter().position(|(_, counts)| counts.own.events.get() > 0);
        let (index, writer) = writer.map(|index| (index, &known[index].1)).unwrap();
        assert_eq!(known.iter().filter(|(_, counts)| counts.own.events.get() > 0).count(), 1);
        wrote.push(index);
        if let Some(projector) = projectors[index].take() {
            stop(projector).await;
        }
        if wrote.len() == 2 {
            break;
        }
        // Reset, to see which process writes next.
        let _before = writer.own.events.inner().swap(0, std::sync::atomic::Ordering::Relaxed);
    }
    assert_ne!(wrote[0], wrote[1]);
    for projector in projectors.into_iter().flatten() {
        stop(projector).await;
    }
    ExpectedTables::read(&fixture.store, SALE).await.assert_match(&fixture.ledger().await);
    for (_, counts) in &known {
        assert_eq!((counts.follower.failed.get(), counts.own.rebuilds.get()), (0, 0));
    }
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_lost_costs_work_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::shared(folder.path()).await;
    let (progress, counts) = (FollowerProgress::default(), ProjectorCounts::default());
    let projector = fixture.start_projector(&progress, &counts);
    fixture.run_history(&policy(AdmissionMode::Open, 3), &long_history()[..50]).await;
    assert!(progress.wait_for(SALE, fixture.last(), HANG_LIMIT).await);
    // Another process writes without the lock.
    let (other, other_counts) = (FollowerProgress::default(), ProjectorCounts::default());
    let mut rounds = fixture.projector_rounds(&other, &other_counts, 3);
    rounds.lead_without_lock().await.unwrap();
    fixture.run_history(&policy(AdmissionMode::Open, 2), &long_history()[50..200]).await;
    for _ in 0..500 {
        if progress.delivered_seq(SALE) == fixture.last() {
            break;
        }
        if rounds.run_round().await.is_err() {
            rounds.lead_without_lock().await.unwrap();
        }
    }
    assert!(progress.wait_for(SALE, fixture.last(), HANG_LIMIT).await);
    stop(projector).await;
    ExpectedTables::read(&fixture.store, SALE).await.assert_match(&fixture.ledger().await);
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_leaves_the_writing_to_others_writes_its_own_refused_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::shared(folder.path()).await;
    let (buffer, inbox) = attempts::buffer(Counter::default());
    let (observed, counts) = (FollowerProgress::default(), ProjectorCounts::default());
    let settings = ProjectorSettings { may_write: false, ..ProjectorSettings::default() };
    let observer = fixture.start_projector_with(inbox, &observed, &counts, settings);
    fixture.run_history(&policy(AdmissionMode::Open, 3), &long_history()[..50]).await;
    buffer.record_refusal(SALE, Some(BuyerId(Uuid::from_u128(1))), "order", "sold_out", fixture.clock.now());
    let refusals = async || crate::store::series::count_refusals_by_code(&fixture.store, SALE).await.unwrap();
    eventually("the attempt is written", HANG_LIMIT, async || !refusals().await.is_empty()).await;
    assert_eq!(
        (observed.delivered_seq(SALE), counts.own.events.get()),
        (EventSeq(0), 0),
        "no process writes the rest"
    );
    let writer = fixture.start_projector(&FollowerProgress::default(), &ProjectorCounts::default());
    assert!(observed.wait_for(SALE, fixture.last(), HANG_LIMIT).await);
    stop(writer).await;
    stop(observer).await;
    assert_eq!((counts.own.events.get(), counts.follower.failed.get()), (0, 0));
    fixture.close().await;
}
