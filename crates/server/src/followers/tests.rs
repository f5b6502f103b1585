//! What the tables say is what the ledger says: after any history, at any speed, through any number of restarts.

mod cluster;
mod deliveries;
mod receivers;
mod series;

use super::projector::{
    Projector, ProjectorDependencies, ProjectorMetrics, ProjectorSettings, start_projector,
};
use super::rounds::{FollowerRounds, FollowerThread, RoundResult};
use super::shared::{SharedContext, SharedRounds};
use crate::shop::attempts;
use crate::shop::follower_progress::FollowerProgress;
use crate::shop::followers::{self, RewindRequest};
use crate::shop::projection::fold::{FoldedRows, fold};
use crate::shop::tenancy::Tenancy;
use crate::store::counters::CountersRow;
use crate::store::orders::{OrderRow, OrderRowFilter};
use crate::store::queue::{QueueEntryStatus, QueueRow};
use crate::store::series::EventCounts;
use crate::store::{Store, counters, orders, queue};
use crate::telemetry::followers::FollowerMetrics;
use crate::telemetry::metrics::Counter;
use engine::clock::{Clock, ManualClock};
use engine::pipeline::PipelineLimits;
use engine::{Engine, RunningEngine};
use proptest::prelude::*;
use sale::{
    AdmissionMode, BuyerId, Command, EventSeq, LedgerEntry, LinePosition, Money, OrderId, OrderView, Policy,
    ReleaseReason, SaleId, SaleState, Ticket, Timestamp,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use test_servers::wait::HANG_LIMIT;
use uuid::Uuid;

const SALE: SaleId = SaleId(Uuid::from_u128(0xABCD));
const START: Timestamp = Timestamp(1_000_000);

/// What a history is made of: a number for the command, two for its arguments, and milliseconds that pass before it.
type HistoryStep = (u8, u8, u8, u16);

fn steps(len: usize) -> impl Strategy<Value = Vec<HistoryStep>> {
    prop::collection::vec((0..16u8, any::<u8>(), any::<u8>(), 0..1500u16), 1..len)
}

fn policy(admission: AdmissionMode, hold_s: u32) -> Policy {
    Policy {
        quantity: 6,
        unit_price: Money { minor: 1000, currency: "EUR".parse().unwrap() },
        starts_at: START,
        ends_at: START.plus_s(600),
        limit_per_buyer: 2,
        hold_s,
        admission,
    }
}

fn policies() -> impl Strategy<Value = Policy> {
    let fifo = AdmissionMode::Fifo { per_second: 2, checkout_s: 4, line_opens_s: 5, extension_s: 3 };
    (prop::sample::select(vec![AdmissionMode::Open, fifo]), prop::sample::select(vec![0, 3]))
        .prop_map(|(admission, hold_s)| policy(admission, hold_s))
}

/// The command of a step. Orders have consecutive numbers, so that later steps can refer to them.
fn command((kind, a, b, _): HistoryStep, n: usize, policy: &Policy) -> Command {
    let buyer = BuyerId(Uuid::from_u128(u128::from(a % 8) + 1));
    let order = OrderId(Uuid::from_u128(1000 + u128::from(b) % (n as u128 + 1)));
    match kind {
        0..=3 => Command::Join { buyer },
        4..=7 => {
            let order = OrderId(Uuid::from_u128(1000 + n as u128));
            Command::Reserve { buyer, order, quantity: u32::from(b % 2) + 1, key: None }
        }
        8 | 9 => Command::Confirm { buyer, order },
        10 => Command::Release { buyer, order, reason: ReleaseReason::Cancelled },
        11 => Command::Refund { order, restock: b.is_multiple_of(2) },
        12 if b.is_multiple_of(2) => Command::Extend { buyer },
        12 => Command::Leave { buyer },
        13 if a.is_multiple_of(2) => Command::Pause,
        13 => Command::Resume,
        14 => Command::Restock { quantity: u32::from(b % 3) + 1 },
        _ if a == 0 => Command::Close,
        _ => {
            let quantity = policy.quantity + u32::from(b);
            Command::Configure {
                policy: Box::new(Policy { quantity, hold_s: u32::from(a % 4), ..policy.clone() }),
            }
        }
    }
}

fn history(policy: &Policy, steps: &[HistoryStep]) -> Vec<LedgerEntry> {
    let mut state = SaleState::new();
    let mut entries = Vec::new();
    let mut now = Timestamp(START.0 - 4_000);
    state.step(now, &Command::Configure { policy: Box::new(policy.clone()) }, &mut entries);
    for (n, step) in steps.iter().enumerate() {
        now = now.plus_ms(i64::from(step.3));
        let buyers_own = command(*step, n, policy);
        // Most random confirmations would be of someone else's order.
        let command = match buyers_own {
            Command::Confirm { order, .. } => match state.order(order) {
                Some(order) => Command::Confirm { buyer: order.buyer, order: order.id },
                None => buyers_own,
            },
            other => other,
        };
        state.step(now, &command, &mut entries);
    }
    entries
}

/// The tables in memory: what a projector would have written.
#[derive(Default)]
struct ExpectedTables {
    counters: Option<CountersRow>,
    orders: BTreeMap<OrderId, OrderRow>,
    queue: BTreeMap<Ticket, QueueRow>,
    accepted: usize,
    series: BTreeMap<(i64, Timestamp), EventCounts>,
}

impl ExpectedTables {
    fn write(&mut self, folded: FoldedRows) {
        for row in folded.orders {
            let known = self.orders.get(&row.order.id);
            let made_at = known.map_or(row.order.made_at, |known| known.order.made_at);
            let made_seq = known.map_or(row.made_seq, |known| known.made_seq);
            let order = OrderView { made_at, ..row.order };
            self.orders.insert(order.id, OrderRow { order, made_seq, ..row });
        }
        for row in folded.queue {
            self.queue.insert(row.ticket, row);
        }
        if let Some(ms) = folded.extend_ms {
            for row in self.queue.values_mut() {
                if let QueueEntryStatus::Admitted { until } = &mut row.status {
                    *until = until.plus_ms(ms);
                }
            }
        }
        self.accepted += folded.attempts.len();
        self.add(folded.series.into_rows());
        self.counters = folded.counters;
    }

    async fn read(store: &Store, sale: SaleId) -> Self {
        let filter = OrderRowFilter { sale: Some(sale), ..OrderRowFilter::default() };
        let orders = orders::list(store, filter, 100_000).await.unwrap();
        let queue = queue::list_entries(store, sale, Ticket(0), 100_000).await.unwrap();
        let attempts = crate::store::attempts::list(store, sale, Default::default(), 100_000).await.unwrap();
        Self {
            counters: counters::find(store, sale).await.unwrap(),
            orders: orders.into_iter().map(|row| (row.order.id, row)).collect(),
            queue: queue.into_iter().map(|row| (row.ticket, row)).collect(),
            accepted: attempts.iter().filter(|attempt| attempt.code == "accepted").count(),
            series: BTreeMap::new(),
        }
    }

    fn assert_match(&self, entries: &[LedgerEntry]) {
        let mut state = SaleState::new();
        for entry in entries {
            state.apply(entry);
        }
        let row = self.counters.as_ref().unwrap();
        assert_eq!(row.seq, state.seq());
        assert_eq!(row.counters, state.counters());
        assert_eq!(Some(&row.policy), state.policy());
        let orders: Vec<OrderView> = self.orders.values().map(|row| row.order).collect();
        let mut expected: Vec<OrderView> = state.orders().collect();
        expected.sort_by_key(|order| order.id);
        assert_eq!(orders, expected);
        let members = self.queue.values().filter_map(|row| match row.status {
            QueueEntryStatus::Waiting => Some((row.ticket, row.buyer, None)),
            QueueEntryStatus::Admitted { until } => Some((row.ticket, row.buyer, Some(until))),
            QueueEntryStatus::Served | QueueEntryStatus::Lapsed | QueueEntryStatus::Left => None,
        });
        let line = state.line_members(None, usize::MAX).into_iter().map(|member| match member.place {
            LinePosition::Waiting { .. } => (member.ticket, member.buyer, None),
            LinePosition::Admitted { until, .. } => (member.ticket, member.buyer, Some(until)),
        });
        assert_eq!(members.collect::<Vec<_>>(), line.collect::<Vec<_>>());
        let joined = self.queue.len();
        assert!(self.accepted >= joined, "every place in line was an accepted attempt");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_fold_is_the_law_whatever_the_batches(policy in policies(), steps in steps(120), batch_len in 1..40usize) {
        let entries = history(&policy, &steps);
        let mut tables = ExpectedTables::default();
        let mut rest = entries.as_slice();
        while !rest.is_empty() {
            let folded = fold(SALE, tables.counters.clone(), &rest[..batch_len.min(rest.len())]);
            rest = &rest[folded.event_count..];
            tables.write(folded);
        }
        tables.assert_match(&entries);
        tables.assert_series(&entries);
    }

    #[test]
    fn a_ledger_that_lacks_events_still_gives_consistent_counters(
        policy in policies(), steps in steps(80), lost in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
    ) {
        let mut entries = history(&policy, &steps);
        for index in lost {
            let index = index.index(entries.len());
            if index > 0 {
                entries.remove(index);
            }
        }
        let counters = fold(SALE, None, &entries).counters.unwrap().counters;
        prop_assert_eq!(counters.available + counters.admitted + counters.held + counters.sold, counters.quantity + counters.short);
    }
}

/// What a projector counts.
#[derive(Default)]
struct ProjectorCounts {
    own: ProjectorMetrics,
    follower: FollowerMetrics,
}

/// A shop's folder with an engine, as it is between a start and a stop.
struct ProjectorFixture {
    running: RunningEngine,
    store: Store,
    tenancy: Tenancy,
    clock: Arc<ManualClock>,
}

impl ProjectorFixture {
    async fn open(folder: &Path) -> Self {
        let clock = ManualClock::at(Timestamp(START.0 - 4_000));
        let store = Store::open(folder).await.unwrap();
        store.migrate().await.unwrap();
        let running = engine::start_on_sqlite(folder, PipelineLimits::default(), |last| {
            clock.set(last.max(clock.now()));
            Arc::clone(&clock) as Arc<dyn Clock>
        });
        Self { running: running.unwrap(), store, tenancy: Tenancy::Single, clock }
    }

    fn engine(&self) -> &Engine {
        &self.running.engine
    }

    async fn run_history(&self, policy: &Policy, steps: &[HistoryStep]) {
        let configure = Command::Configure { policy: Box::new(policy.clone()) };
        self.engine().command(SALE, configure).await.unwrap();
        for (n, step) in steps.iter().enumerate() {
            self.clock.advance_ms(i64::from(step.3));
            self.engine().command(SALE, command(*step, n, policy)).await.unwrap();
        }
    }

    async fn ledger(&self) -> Vec<LedgerEntry> {
        self.engine().ledger().read_entries(SALE, EventSeq(0), usize::MAX).await.unwrap()
    }

    fn start_projector(&self, progress: &FollowerProgress, counts: &ProjectorCounts) -> FollowerThread {
        let (_attempts, inbox) = attempts::buffer(Counter::default());
        let settings = ProjectorSettings { events_max: 7, rest_factor: 0, may_write: true };
        self.start_projector_with(inbox, progress, counts, settings)
    }

    fn start_projector_with(
        &self,
        inbox: attempts::AttemptsInbox,
        progress: &FollowerProgress,
        counts: &ProjectorCounts,
        settings: ProjectorSettings,
    ) -> FollowerThread {
        let dependencies = ProjectorDependencies {
            engine: self.engine().clone(),
            store: self.store.clone(),
            tenancy: self.tenancy,
            progress: progress.clone(),
            inbox,
            metrics: counts.own.clone(),
            follower_metrics: counts.follower.clone(),
            random: Box::new(|| 0.0),
        };
        start_projector(dependencies, settings).unwrap()
    }

    /// A projector that does nothing by itself.
    fn projector_rounds(
        &self,
        progress: &FollowerProgress,
        counts: &ProjectorCounts,
        events_max: usize,
    ) -> SharedRounds<Projector> {
        let (_attempts, inbox) = attempts::buffer(Counter::default());
        let settings = ProjectorSettings { events_max, rest_factor: 0, may_write: true };
        let context = SharedContext {
            engine: self.engine().clone(),
            store: self.store.clone(),
            tenancy: self.tenancy,
            progress: progress.clone(),
            metrics: counts.follower.clone(),
            settings: settings.shared(),
        };
        SharedRounds::new(Projector::new(inbox, counts.own.clone()), context)
    }

    async fn close(self) {
        self.store.close().await;
        self.running.stop();
    }
}

async fn stop(follower: FollowerThread) {
    tokio::task::spawn_blocking(|| follower.stop()).await.unwrap();
}

/// A long history of every kind of event.
fn long_history() -> Vec<HistoryStep> {
    (0..400u32)
        .map(|n| ((n * 7 % 15) as u8, (n * 31 % 251) as u8, (n * 17 % 253) as u8, (n * 97 % 700) as u16))
        .collect()
}

#[tokio::test]
async fn a_projector_that_restarts_after_each_transaction_writes_the_same_tables() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    let fifo = AdmissionMode::Fifo { per_second: 3, checkout_s: 4, line_opens_s: 5, extension_s: 0 };
    fixture.run_history(&policy(fifo, 3), &long_history()).await;
    let (progress, counts) = (FollowerProgress::default(), ProjectorCounts::default());
    let mut restarts = 0;
    loop {
        let mut rounds = fixture.projector_rounds(&progress, &counts, 1 + restarts % 23);
        let more = rounds.run_round().await.unwrap() == RoundResult::More;
        restarts += 1;
        if !more {
            break;
        }
    }
    let entries = fixture.ledger().await;
    assert!(restarts > 20 && entries.len() > 200, "{restarts} restarts, {} events", entries.len());
    ExpectedTables::read(&fixture.store, SALE).await.assert_match(&entries);
    series::assert_table_matches(&fixture.store, &entries).await;
    fixture.close().await;
}

#[tokio::test]
async fn a_transaction_that_is_not_committed_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    fixture.run_history(&policy(AdmissionMode::Open, 3), &long_history()).await;
    let entries = fixture.ledger().await;
    let folded = fold(SALE, None, &entries[..50]);
    let mut writing = fixture.store.begin().await.unwrap();
    orders::upsert(&mut writing, &folded.orders).await.unwrap();
    counters::upsert(&mut writing, SALE, &folded.counters.unwrap()).await.unwrap();
    drop(writing);
    let (progress, counts) = (FollowerProgress::default(), ProjectorCounts::default());
    let projector = fixture.start_projector(&progress, &counts);
    assert!(progress.wait_for(SALE, entries.last().unwrap().seq, HANG_LIMIT).await);
    ExpectedTables::read(&fixture.store, SALE).await.assert_match(&entries);
    series::assert_table_matches(&fixture.store, &entries).await;
    assert_eq!(counts.follower.failed.get(), 0);
    stop(projector).await;
    fixture.close().await;
}

#[tokio::test]
async fn two_projectors_do_not_write_twice() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    fixture.run_history(&policy(AdmissionMode::Open, 3), &long_history()).await;
    let entries = fixture.ledger().await;
    let counts = ProjectorCounts::default();
    let (one, other) = (FollowerProgress::default(), FollowerProgress::default());
    let projectors = [fixture.start_projector(&one, &counts), fixture.start_projector(&other, &counts)];
    let last = entries.last().unwrap().seq;
    assert!(one.wait_for(SALE, last, HANG_LIMIT).await && other.wait_for(SALE, last, HANG_LIMIT).await);
    let tables = ExpectedTables::read(&fixture.store, SALE).await;
    tables.assert_match(&entries);
    series::assert_table_matches(&fixture.store, &entries).await;
    assert_eq!(counts.own.events.get(), entries.len() as u64, "each event was written once");
    for projector in projectors {
        stop(projector).await;
    }
    fixture.close().await;
}

#[tokio::test]
async fn an_older_ledger_that_is_restored_is_noticed_even_when_it_has_grown_since() {
    let folder = tempfile::tempdir().unwrap();
    let saved = tempfile::tempdir().unwrap();
    let open = policy(AdmissionMode::Open, 3);
    let fixture = ProjectorFixture::open(folder.path()).await;
    fixture.run_history(&open, &long_history()[..60]).await;
    fixture.close().await;
    copy_ledger(folder.path(), saved.path());

    let fixture = ProjectorFixture::open(folder.path()).await;
    fixture.run_history(&open, &long_history()[60..160]).await;
    let (progress, counts) = (FollowerProgress::default(), ProjectorCounts::default());
    let projector = fixture.start_projector(&progress, &counts);
    let before = fixture.ledger().await.last().unwrap().seq;
    assert!(progress.wait_for(SALE, before, HANG_LIMIT).await);
    stop(projector).await;
    fixture.close().await;

    copy_ledger(saved.path(), folder.path());
    let fixture = ProjectorFixture::open(folder.path()).await;
    fixture.clock.advance_ms(1);
    // Another history, longer than the one that the tables show.
    let other: Vec<HistoryStep> =
        long_history().iter().map(|(kind, a, b, ms)| (*kind, a.wrapping_add(3), *b, *ms + 1)).collect();
    fixture.run_history(&open, &other).await;
    let entries = fixture.ledger().await;
    assert!(entries.last().unwrap().seq > before);
    let (progress, counts) = (FollowerProgress::default(), ProjectorCounts::default());
    let projector = fixture.start_projector(&progress, &counts);
    assert!(progress.wait_for(SALE, entries.last().unwrap().seq, HANG_LIMIT).await);
    assert_eq!(counts.own.rebuilds.get(), 1);
    ExpectedTables::read(&fixture.store, SALE).await.assert_match(&entries);
    series::assert_table_matches(&fixture.store, &entries).await;
    stop(projector).await;
    fixture.close().await;
}

fn copy_ledger(from: &Path, to: &Path) {
    for file in std::fs::read_dir(to).unwrap().map(Result::unwrap) {
        if file.file_name().to_string_lossy().starts_with("ledger") {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        if file.file_name().to_string_lossy().starts_with("ledger") {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

#[tokio::test]
async fn refused_attempts_are_written_while_the_projector_runs_and_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = ProjectorFixture::open(folder.path()).await;
    let (buffer, inbox) = attempts::buffer(Counter::default());
    let (progress, counts) = (FollowerProgress::default(), ProjectorCounts::default());
    let projector = fixture.start_projector_with(inbox, &progress, &counts, ProjectorSettings::default());
    let now = fixture.clock.now();
    for n in 0..500 {
        buffer.record_refusal(SALE, Some(BuyerId(Uuid::from_u128(n))), "order", "sold_out", now);
    }
    stop(projector).await;
    let refusals = crate::store::series::count_refusals_by_code(&fixture.store, SALE).await.unwrap();
    assert_eq!(refusals, [("sold_out".to_owned(), 500)]);
    assert_eq!(crate::store::attempts::count_aggregated(&fixture.store, SALE).await.unwrap(), 300);
    fixture.close().await;
}
