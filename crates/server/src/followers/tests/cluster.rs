//! Several projectors on the tables of one PostgreSQL: one writes, the others know how far it is, and go on when it has ended.

use super::*;
use test_servers::postgres::PostgresServer;

impl ProjectorFixture {
    /// The engine of a folder, and tables that others may write too.
    async fn shared(folder: &Path) -> Self {
        let store = Store::connect(&PostgresServer::shared().create_database()).await.unwrap();
        store.migrate().await.unwrap();
        Self { store, tenancy: Tenancy::Cluster, ..Self::open(folder).await }
    }

    /// The last event that is recorded.
    fn last(&self) -> EventSeq {
        self.engine().views().get(SALE).unwrap().seq
    }
}

async fn stop(projector: Projector) {
    tokio::task::spawn_blocking(|| projector.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_writes_and_all_know_how_far_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let house = ProjectorFixture::shared(folder.path()).await;
    let known: Vec<(ProjectedOffsets, ProjectorMetrics)> = (0..3).map(|_| Default::default()).collect();
    let mut projectors: Vec<Option<Projector>> =
        known.iter().map(|(projected, figures)| Some(house.start_projector(projected, figures))).collect();
    let steps = long_history();
    let mut wrote = Vec::new();
    for part in steps.chunks(150) {
        house.run_history(&policy(AdmissionMode::Open, 3), part).await;
        let running = known.iter().zip(&projectors).filter(|(_, projector)| projector.is_some());
        for ((projected, _), _) in running {
            assert!(
                projected.wait_for(SALE, house.last(), PATIENCE).await,
                "{:?}",
                projected.shown_seq(SALE)
            );
        }
        // Whoever has written goes, and another goes on.
        let writer = known.iter().position(|(_, figures)| figures.events.get() > 0);
        let (index, writer) = writer.map(|index| (index, &known[index].1)).unwrap();
        assert_eq!(known.iter().filter(|(_, figures)| figures.events.get() > 0).count(), 1);
        wrote.push(index);
        if let Some(projector) = projectors[index].take() {
            stop(projector).await;
        }
        if wrote.len() == 2 {
            break;
        }
        // Counted anew, to see who writes next.
        let _before = writer.events.inner().swap(0, std::sync::atomic::Ordering::Relaxed);
    }
    assert_ne!(wrote[0], wrote[1]);
    for projector in projectors.into_iter().flatten() {
        stop(projector).await;
    }
    ExpectedTables::read(&house.store, SALE).await.assert_match(&house.ledger().await);
    for (_, figures) in &known {
        assert_eq!((figures.failures.get(), figures.rebuilds.get()), (0, 0));
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_lost_costs_work_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let house = ProjectorFixture::shared(folder.path()).await;
    let (projected, figures) = (ProjectedOffsets::default(), ProjectorMetrics::default());
    let projector = house.start_projector(&projected, &figures);
    house.run_history(&policy(AdmissionMode::Open, 3), &long_history()[..50]).await;
    assert!(projected.wait_for(SALE, house.last(), PATIENCE).await);
    // Somebody who writes without having asked.
    let (rude, rude_figures) = (ProjectedOffsets::default(), ProjectorMetrics::default());
    let onlooker = TablesObserver::open(&house.store, &rude).await.unwrap();
    let mut follower = ProjectionWriter::begin(house.engine(), onlooker, &rude_figures, 3).await.unwrap();
    house.run_history(&policy(AdmissionMode::Open, 2), &long_history()[50..200]).await;
    for _ in 0..500 {
        if projected.shown_seq(SALE) == house.last() {
            break;
        }
        if follower.project_round().await.is_err() {
            let onlooker = TablesObserver::open(&house.store, &rude).await.unwrap();
            follower = ProjectionWriter::begin(house.engine(), onlooker, &rude_figures, 3).await.unwrap();
        }
    }
    assert!(projected.wait_for(SALE, house.last(), PATIENCE).await);
    stop(projector).await;
    ExpectedTables::read(&house.store, SALE).await.assert_match(&house.ledger().await);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_leaves_the_writing_to_others_writes_its_own_refused_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let house = ProjectorFixture::shared(folder.path()).await;
    let (told, inbox) = attempts::buffer(Counter::default());
    let (watching, figures) = (ProjectedOffsets::default(), ProjectorMetrics::default());
    let tools = ProjectorDependencies {
        engine: house.engine().clone(),
        store: house.store.clone(),
        tenancy: Tenancy::Cluster,
        projected: watching.clone(),
        inbox,
        metrics: figures.clone(),
    };
    let settings = ProjectorSettings { may_write: false, ..ProjectorSettings::default() };
    let onlooker = Projector::start(tools, settings).unwrap();
    house.run_history(&policy(AdmissionMode::Open, 3), &long_history()[..50]).await;
    told.record_refusal(SALE, Some(BuyerId(Uuid::from_u128(1))), "order", "sold_out", house.clock.now());
    let started = engine::clock::start_stopwatch();
    while crate::store::series::count_refusals_by_code(&house.store, SALE).await.unwrap().is_empty() {
        assert!(started.elapsed() < PATIENCE, "the attempt is not written");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!((watching.shown_seq(SALE), figures.events.get()), (EventSeq(0), 0), "nobody writes the rest");
    let writer = house.start_projector(&ProjectedOffsets::default(), &ProjectorMetrics::default());
    assert!(watching.wait_for(SALE, house.last(), PATIENCE).await);
    stop(writer).await;
    stop(onlooker).await;
    assert_eq!((figures.events.get(), figures.failures.get()), (0, 0));
    house.close().await;
}
