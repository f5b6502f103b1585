//! What callers see of a pipeline: ticks, overload, stop, a caller who goes away, a clock that jumps.

use crate::ledger::{NO_FAULTS, SimLedger};
use crate::support::{
    START, assert_promises_kept, buyer_id, order_id, policy, request_key, reserve, sale_id, whole_sale,
};
use crate::test_ledger::{TestLedger, on_every_ledger};
use engine::clock::{Clock, ManualClock, SystemClock};
use engine::decide::memory::MemoryDecider;
use engine::pipeline::{PipelineLimits, assemble_pipeline};
use engine::{EngineError, RunningEngine};
use futures::FutureExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sale::{
    AdmissionMode, Command, CommandOutcome, Event, LedgerEntry, LinePosition, ReleaseCause, SaleId, Timestamp,
};
use std::sync::Arc;
use test_servers::wait::HANG_LIMIT;

on_every_ledger!(
    a_hold_expires_by_itself_and_its_unit_goes_to_the_next_in_line,
    a_hold_expires_at_its_moment_and_not_before,
    a_clock_set_back_an_hour_stops_no_sale,
    stop_answers_everything_that_was_taken,
    a_caller_who_hangs_up_loses_nothing,
    each_of_many_buyers_learns_what_is_left_right_after_the_purchase,
    a_sale_that_was_never_announced_has_its_own_error,
);

const SALE: u64 = 1;

async fn ask(running: &RunningEngine, command: Command) -> CommandOutcome {
    running.engine.command(sale_id(SALE), command).await.unwrap().outcome
}

/// Waits until an event is recorded, and returns it.
async fn recorded(running: &RunningEngine, sale: SaleId, is_it: impl Fn(&Event) -> bool) -> LedgerEntry {
    let mut changes = running.engine.views().subscribe_changes();
    let found = async {
        loop {
            let entries = whole_sale(running.engine.ledger().as_ref(), sale).await;
            if let Some(found) = entries.into_iter().find(|entry| is_it(&entry.event)) {
                return found;
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(HANG_LIMIT, found).await.expect("the event is recorded in time")
}

const LINE: AdmissionMode =
    AdmissionMode::Fifo { per_second: 100, checkout_s: 60, line_opens_s: 60, extension_s: 0 };

/// One unit, held by buyer 1; buyer 2 waits. Returns when the hold ends.
async fn one_holds_and_one_waits(running: &RunningEngine, starts_at: Timestamp) -> Timestamp {
    ask(running, Command::Configure { policy: policy(1, 1, starts_at, LINE) }).await;
    ask(running, Command::Join { buyer: buyer_id(1) }).await;
    ask(running, Command::Join { buyer: buyer_id(2) }).await;
    recorded(running, sale_id(SALE), |event| matches!(event, Event::Admitted { .. })).await;
    let CommandOutcome::Order { order, .. } = ask(running, reserve(1)).await else { panic!("no order") };
    match order.status {
        sale::OrderStatus::Pending { until, .. } => until,
        status => panic!("{status:?}"),
    }
}

async fn each_of_many_buyers_learns_what_is_left_right_after_the_purchase(home: TestLedger) {
    const BUYERS: u64 = 40;
    let running = home.start(SystemClock::start);
    let sold_at_once = policy(50, 0, running.engine.now(), AdmissionMode::Open);
    ask(&running, Command::Configure { policy: sold_at_once }).await;
    let purchases =
        (0..BUYERS).map(|no| {
            let engine = &running.engine;
            let (order, key) = (order_id(no, 1), request_key(no));
            async move {
                engine.reserve(sale_id(SALE), buyer_id(no), order, 1, key).await.unwrap().unwrap().unsold
            }
        });
    let mut left = futures::future::join_all(purchases).await;
    left.sort_unstable();
    assert!(left.iter().copied().eq(10..50), "one number each: {left:?}");
    let (order, key) = (order_id(0, 2), request_key(0));
    let again = running.engine.reserve(sale_id(SALE), buyer_id(0), order, 1, key).await.unwrap().unwrap();
    assert_eq!((again.repeated, again.unsold), (true, 10));
}

async fn a_hold_expires_by_itself_and_its_unit_goes_to_the_next_in_line(home: TestLedger) {
    let running = home.start(SystemClock::start);
    let until = one_holds_and_one_waits(&running, running.engine.now()).await;
    let sale = sale_id(SALE);
    let expired = recorded(&running, sale, |event| {
        matches!(event, Event::Released { reason: ReleaseCause::Expired, .. })
    })
    .await;
    let admitted = recorded(
        &running,
        sale,
        |event| matches!(event, Event::Admitted { buyer, .. } if *buyer == buyer_id(2)),
    )
    .await;
    assert!(
        expired.at >= until && expired.at.ms_since(until) < 100,
        "{} ms late",
        expired.at.ms_since(until)
    );
    assert_eq!((admitted.at, admitted.seq), (expired.at, expired.seq.next()));
}

async fn a_hold_expires_at_its_moment_and_not_before(home: TestLedger) {
    let clock = ManualClock::at(START);
    let running = home.start(|_| clock.clone());
    let until = one_holds_and_one_waits(&running, START).await;
    assert_eq!(running.engine.views().get(sale_id(SALE)).unwrap().next_return_at, Some(until));
    clock.set(until.plus_ms(-1));
    let view = running.engine.buyer(sale_id(SALE), buyer_id(2)).await.unwrap();
    assert_eq!(view.place, Some(LinePosition::Waiting { position: 1 }));
    clock.set(until);
    let expired = recorded(&running, sale_id(SALE), |event| {
        matches!(event, Event::Released { reason: ReleaseCause::Expired, .. })
    })
    .await;
    assert_eq!(expired.at, until);
    let view = running.engine.buyer(sale_id(SALE), buyer_id(2)).await.unwrap();
    assert!(matches!(view.place, Some(LinePosition::Admitted { .. })), "{view:?}");
}

async fn a_clock_set_back_an_hour_stops_no_sale(home: TestLedger) {
    let clock = ManualClock::at(START);
    let running = home.start(|_| clock.clone());
    ask(&running, Command::Configure { policy: policy(10, 60, START, AdmissionMode::Open) }).await;
    clock.set(START.plus_s(100));
    assert!(matches!(ask(&running, reserve(1)).await, CommandOutcome::Order { .. }));
    clock.set(START.plus_s(100).plus_ms(-3_600_000));
    assert!(matches!(ask(&running, reserve(2)).await, CommandOutcome::Order { .. }));
    running.stop();

    // And across a restart: the clock starts at the ledger's last time.
    let mut result = Timestamp::default();
    let running = home.start(|at| {
        result = at;
        ManualClock::at(at)
    });
    assert_eq!(result, START.plus_s(100));
    assert!(matches!(ask(&running, reserve(3)).await, CommandOutcome::Order { .. }));
    assert_promises_kept(sale_id(SALE), &whole_sale(running.engine.ledger().as_ref(), sale_id(SALE)).await);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let ledger = SimLedger::new(StdRng::seed_from_u64(1), NO_FAULTS);
    let limits = PipelineLimits { queue_len: 2, batch_len_max: 8 };
    let clock = ManualClock::at(START);
    let pipeline = assemble_pipeline(
        MemoryDecider::default(),
        ledger.clone(),
        Arc::new(ledger),
        clock as Arc<dyn Clock>,
        limits,
    );
    // The test does not poll the stages.
    let mut taken: Vec<_> =
        (0..2).map(|no| Box::pin(pipeline.engine.command(sale_id(no), Command::Tick))).collect();
    assert!(taken.iter_mut().all(|call| call.as_mut().now_or_never().is_none()));
    let third = pipeline.engine.command(sale_id(3), Command::Tick).now_or_never();
    assert_eq!(third.map(Result::err), Some(Some(EngineError::Overloaded)));
    assert_eq!(pipeline.engine.metrics().overloads.get(), 1);
    drop(pipeline.decide);
    for call in taken {
        assert_eq!(call.now_or_never().map(Result::err), Some(Some(EngineError::Stopped)));
    }
}

async fn stop_answers_everything_that_was_taken(home: TestLedger) {
    let clock = ManualClock::at(START);
    let running = home.start(|_| clock.clone());
    ask(&running, Command::Configure { policy: policy(1_000, 60, START, AdmissionMode::Open) }).await;
    let engine = running.engine.clone();
    let mut call: Vec<_> =
        (0..2_000).map(|no| Box::pin(engine.command(sale_id(SALE), reserve(no)))).collect();
    // Polled once, each is taken.
    let early: Vec<_> = call.iter_mut().map(|call| call.as_mut().now_or_never()).collect();
    running.stop();
    let mut orders = 0;
    for (call, early) in call.into_iter().zip(early) {
        let answer = match early {
            Some(answer) => answer,
            None => tokio::time::timeout(HANG_LIMIT, call).await.expect("answered by then"),
        };
        orders +=
            u32::from(matches!(answer.expect("taken, so not refused").outcome, CommandOutcome::Order { .. }));
    }
    assert_eq!(orders, 1_000);
    assert_eq!(engine.command(sale_id(SALE), Command::Tick).await.err(), Some(EngineError::Stopped));
    assert!(!engine.is_recording());
    let running = home.start(|_| clock);
    assert_eq!(running.engine.views().get(sale_id(SALE)).unwrap().counters.held, 1_000);
}

async fn a_caller_who_hangs_up_loses_nothing(home: TestLedger) {
    let clock = ManualClock::at(START);
    let running = home.start(|_| clock.clone());
    ask(&running, Command::Configure { policy: policy(10, 60, START, AdmissionMode::Open) }).await;
    let mut call = Box::pin(running.engine.command(sale_id(SALE), reserve(1)));
    let _answered = call.as_mut().now_or_never();
    drop(call);
    let CommandOutcome::Order { order, repeated } = ask(&running, reserve(1)).await else {
        panic!("no order")
    };
    assert!(repeated, "the first request had been carried out");
    assert_eq!(running.engine.order(order.id).await.unwrap(), Some((sale_id(SALE), order)));
}

async fn a_sale_that_was_never_announced_has_its_own_error(home: TestLedger) {
    let clock = ManualClock::at(START);
    let running = home.start(|_| clock);
    let bad = policy(0, 60, START, AdmissionMode::Open);
    assert!(matches!(ask(&running, Command::Configure { policy: bad }).await, CommandOutcome::Refused(_)));
    let response = running.engine.command(sale_id(SALE), reserve(1)).await;
    assert_eq!(response.err(), Some(EngineError::NoSuchSale));
    assert!(running.engine.views().list().is_empty());
}
