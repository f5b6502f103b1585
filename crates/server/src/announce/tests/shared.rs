//! Several projectors on the tables of one PostgreSQL: one writes, the others know how far it is, and go on when it has ended.

use super::*;
use own_servers::postgres::Postgres;

impl House {
    /// The engine of a folder, and tables that others may write too.
    async fn shared(folder: &Path) -> Self {
        let store = Store::connect(&Postgres::shared().database()).await.unwrap();
        store.migrate().await.unwrap();
        Self { store, sharing: Sharing::Shared, ..Self::open(folder).await }
    }

    /// The last event that is recorded.
    fn last(&self) -> Seq {
        self.engine().views().get(SALE).unwrap().seq
    }
}

async fn stop(projector: Projector) {
    tokio::task::spawn_blocking(|| projector.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_writes_and_all_know_how_far_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::shared(folder.path()).await;
    let known: Vec<(Projected, Figures)> = (0..3).map(|_| Default::default()).collect();
    let mut projectors: Vec<Option<Projector>> =
        known.iter().map(|(projected, figures)| Some(house.project(projected, figures))).collect();
    let steps = long();
    let mut wrote = Vec::new();
    for part in steps.chunks(150) {
        house.play(&policy(Admission::Open, 3), part).await;
        let running = known.iter().zip(&projectors).filter(|(_, projector)| projector.is_some());
        for ((projected, _), _) in running {
            assert!(projected.wait(SALE, house.last(), PATIENCE).await, "{:?}", projected.applied(SALE));
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
    Tables::read(&house.store, SALE).await.assert_are(&house.ledger().await);
    for (_, figures) in &known {
        assert_eq!((figures.failures.get(), figures.rebuilds.get()), (0, 0));
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_lost_costs_work_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::shared(folder.path()).await;
    let (projected, figures) = (Projected::default(), Figures::default());
    let projector = house.project(&projected, &figures);
    house.play(&policy(Admission::Open, 3), &long()[..50]).await;
    assert!(projected.wait(SALE, house.last(), PATIENCE).await);
    // Somebody who writes without having asked.
    let (rude, rude_figures) = (Projected::default(), Figures::default());
    let onlooker = Onlooker::begin(&house.store, &rude).await.unwrap();
    let mut follower = Follower::begin(house.engine(), onlooker, &rude_figures, 3).await.unwrap();
    house.play(&policy(Admission::Open, 2), &long()[50..200]).await;
    for _ in 0..500 {
        if projected.applied(SALE) == house.last() {
            break;
        }
        if follower.round().await.is_err() {
            let onlooker = Onlooker::begin(&house.store, &rude).await.unwrap();
            follower = Follower::begin(house.engine(), onlooker, &rude_figures, 3).await.unwrap();
        }
    }
    assert!(projected.wait(SALE, house.last(), PATIENCE).await);
    stop(projector).await;
    Tables::read(&house.store, SALE).await.assert_are(&house.ledger().await);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_leaves_the_writing_to_others_writes_its_own_refused_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::shared(folder.path()).await;
    let (told, inbox) = attempts::buffer(Counter::default());
    let (watching, figures) = (Projected::default(), Figures::default());
    let tools = Tools {
        engine: house.engine().clone(),
        store: house.store.clone(),
        sharing: Sharing::Shared,
        projected: watching.clone(),
        inbox,
        figures: figures.clone(),
    };
    let settings = Settings { may_write: false, ..Settings::default() };
    let onlooker = Projector::start(tools, settings).unwrap();
    house.play(&policy(Admission::Open, 3), &long()[..50]).await;
    told.refused(SALE, Some(BuyerId(Uuid::from_u128(1))), "order", "sold_out", house.clock.now());
    let started = engine::clock::stopwatch();
    while crate::store::series::refusals(&house.store, SALE).await.unwrap().is_empty() {
        assert!(started.elapsed() < PATIENCE, "the attempt is not written");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!((watching.applied(SALE), figures.events.get()), (Seq(0), 0), "nobody writes the rest");
    let writer = house.project(&Projected::default(), &Figures::default());
    assert!(watching.wait(SALE, house.last(), PATIENCE).await);
    stop(writer).await;
    stop(onlooker).await;
    assert_eq!((figures.events.get(), figures.failures.get()), (0, 0));
    house.close().await;
}
