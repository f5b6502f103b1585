//! Deciding through the port, as the pipeline does: answers in order, several processes, time that passes by itself.

use crate::fixture::{
    SALE, START, TestProcess, ValkeyFixture, address, announce, announce_with, ask, buyer, is_order,
    is_refused, is_repeated, order, recorded, reserve,
};
use engine::batch::Epoch;
use engine::decide::valkey::ValkeySettings;
use engine::decide::{BatchDecider, Reply, Request};
use engine::record::LedgerRecorder;
use sale::{
    AdmissionMode, Command, CommandOutcome, Event, EventSeq, LinePosition, Refusal, ReleaseCause, SaleId,
    Timestamp,
};
use std::sync::Arc;
use uuid::Uuid;

#[tokio::test]
async fn every_kind_of_ask_is_answered_in_its_place() {
    let (_fixture, mut process) = ValkeyFixture::with_sale(&[], 2).await;
    let nowhere = SaleId(Uuid::from_u64_pair(0, 0));
    let requests = [
        Request::Command { sale: nowhere, command: Command::Tick },
        ask(reserve(1)),
        Request::Buyer { sale: SALE, buyer: buyer(1) },
        Request::Order { order: order(1) },
        ask(reserve(1)),
        ask(Command::Join { buyer: buyer(2) }),
        Request::Order { order: order(2) },
        Request::OrdersOf { buyer: buyer(1), sales: vec![nowhere, SALE] },
        Request::Line { sale: SALE, after: None, limit: 10 },
        Request::Buyer { sale: nowhere, buyer: buyer(1) },
    ];
    let result = process.decide_and_record(START, &requests).await;
    assert_eq!(result.len(), requests.len());
    assert!(matches!(result[0], Reply::NoSuchSale));
    assert!(
        matches!(&result[1], Reply::Outcome { outcome, seq: EventSeq(2), at: START, .. } if is_order(outcome))
    );
    assert!(matches!(result[2], Reply::Buyer(view) if view.held == 1));
    assert!(matches!(result[3], Reply::Order(Some((SALE, view))) if view.id == order(1)));
    assert!(matches!(&result[4], Reply::Outcome { outcome, seq: EventSeq(2), .. } if is_repeated(outcome)));
    assert!(matches!(&result[5], Reply::Outcome { outcome, .. } if is_refused(outcome, Refusal::NoLine)));
    assert!(matches!(result[6], Reply::Order(None)));
    assert!(matches!(&result[7], Reply::Orders(orders) if orders.len() == 1 && orders[0].0 == SALE));
    assert!(matches!(&result[8], Reply::Line(members) if members.is_empty()));
    assert!(matches!(result[9], Reply::NoSuchSale));
}

#[tokio::test]
async fn an_answer_has_what_is_unsold_right_after_it() {
    let fixture = ValkeyFixture::new();
    let mut process = fixture.process("first").await;
    process.command(START, announce_with(3, 0, AdmissionMode::Open)).await;
    let refund = Command::Refund { order: order(1), restock: true };
    let requests = [
        ask(reserve(1)),
        ask(reserve(2)),
        ask(Command::Pause),
        ask(Command::Restock { quantity: 5 }),
        ask(reserve(1)),
        ask(Command::Resume),
        ask(reserve(3)),
        ask(refund),
        ask(reserve(4)),
    ];
    let replies = process.decide_and_record(START, &requests).await;
    let unsold: Vec<u32> = replies
        .iter()
        .map(|reply| match reply {
            Reply::Outcome { unsold, .. } => *unsold,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(unsold, [2, 1, 1, 6, 6, 6, 5, 6, 5]);
    assert_eq!(process.counters().unsold(), 5);
}

#[tokio::test]
async fn a_batch_larger_than_a_call_is_decided_in_order() {
    let (fixture, mut process) = ValkeyFixture::with_sale(&[], 600).await;
    let requests: Vec<Request> = (0..1_000).map(|no| ask(reserve(no))).collect();
    let decided = process.decide(START, &requests).await.unwrap();
    let made = decided
        .replies
        .iter()
        .map(|result| matches!(result, Reply::Outcome { outcome, .. } if is_order(outcome)));
    assert!(made.eq((0..1_000).map(|no| no < 600)), "first come, first served");
    assert_eq!(decided.batch.sales[0].1.len(), 600);
    let calls = decided.batch.calls.iter();
    assert!(calls.clone().all(|call| call.epoch == Epoch(1) && call.sale == SALE));
    assert!(calls.clone().zip(calls.clone().skip(1)).all(|(call, next)| call.last == next.before));
    assert_eq!(calls.last().map(|call| call.last), Some(EventSeq(601)));
    let mut ledger = fixture.ledger.clone();
    ledger.append(&decided.batch).await.unwrap();
    assert_eq!(fixture.ledger.fold(SALE).counters(), decided.views[0].counters);
}

#[tokio::test]
async fn a_sale_that_makes_no_sense_is_not_announced() {
    let fixture = ValkeyFixture::new();
    let mut process = fixture.process("first").await;
    assert!(is_refused(&process.command(START, announce(0)).await, Refusal::BadPolicy));
    assert!(matches!(process.ask(START, ask(reserve(1))).await, Reply::NoSuchSale));
    assert_eq!(fixture.ledger.epoch_of(SALE), None);
    assert!(process.valkey.views().is_empty());
}

#[tokio::test]
async fn processes_share_a_sale_without_a_rebuild() {
    let (fixture, mut first) = ValkeyFixture::with_sale(&[], 1).await;
    let mut second = fixture.process("second").await;
    assert!(is_order(&second.buy(START, 1).await));
    assert!(is_refused(&first.buy(START, 2).await, Refusal::AllHeld));
    assert_eq!(fixture.ledger.epoch_of(SALE), Some(Epoch(1)));
    assert_eq!(first.counters().held, 1);
    assert_eq!(
        first.valkey.views()[0].next_return_at,
        Some(START.plus_s(300)),
        "the end of the other's hold"
    );
}

#[tokio::test]
async fn a_sale_that_another_process_announced_is_found() {
    let fixture = ValkeyFixture::new();
    let (mut first, mut second) = (fixture.process("first").await, fixture.process("second").await);
    first.command(START, announce(3)).await;
    assert!(is_order(&first.buy(START, 1).await));
    let found = second.ask(START, Request::Order { order: order(1) }).await;
    assert!(matches!(found, Reply::Order(Some((SALE, _)))), "{found:?}");
    assert_eq!(second.counters().held, 1);
    assert_eq!(fixture.ledger.epoch_of(SALE), Some(Epoch(1)));
}

#[tokio::test]
async fn a_hold_expires_once_however_many_processes_tick() {
    let fixture = ValkeyFixture::new();
    let mut first = fixture.process("first").await;
    let line = AdmissionMode::Fifo { per_second: 10, checkout_s: 60, line_opens_s: 0, extension_s: 0 };
    first.command(START, announce_with(1, 1, line)).await;
    first.command(START, Command::Join { buyer: buyer(1) }).await;
    assert!(is_order(&first.buy(START, 1).await));
    first.command(START, Command::Join { buyer: buyer(2) }).await;
    let mut others = [fixture.process("second").await, fixture.process("third").await];
    let over = START.plus_s(1);
    for process in [&mut first].into_iter().chain(&mut others) {
        assert!(process.valkey.next_due().is_some_and(|due| due <= over));
        process.decide_and_record(over, &[]).await;
    }
    let entries = fixture.ledger.entries(SALE);
    let expired = |event: &Event| matches!(event, Event::Released { reason: ReleaseCause::Expired, .. });
    assert_eq!(entries.iter().filter(|entry| expired(&entry.event)).count(), 1);
    let result = others[0].ask(over, Request::Buyer { sale: SALE, buyer: buyer(2) }).await;
    assert!(
        matches!(result, Reply::Buyer(view) if matches!(view.place, Some(LinePosition::Admitted { .. }))),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_sale_is_polled_even_when_nothing_is_due() {
    let (fixture, mut first) = ValkeyFixture::with_sale(&[], 1).await;
    let mut second = fixture.process("second").await;
    assert!(is_order(&first.buy(START, 1).await));
    // The second process does not know of the hold, and the first one is gone.
    drop(first);
    let mut now = START;
    while fixture.ledger.fold(SALE).counters().held > 0 {
        let due = second.valkey.next_due().expect("a sale with a pending hold has a next tick");
        assert!(due <= START.plus_s(302), "{due:?}");
        now = due.max(now.plus_ms(1));
        second.decide_and_record(now, &[]).await;
    }
    assert!(now.ms_since(START.plus_s(300)) < 1_000, "{now:?}");
}

#[tokio::test]
async fn time_is_the_servers_and_never_runs_backwards() {
    let fixture = ValkeyFixture::new();
    let settings = ValkeySettings {
        address: address(&fixture.server.url()),
        name: "first".into(),
        uses_caller_time: false,
        ticks: true,
        clock_offset: Arc::new(|| 0),
    };
    let valkey = fixture.start(&settings).await.unwrap();
    let outbox = engine::decide::valkey::Outbox::new(&settings.address);
    let mut process = TestProcess { valkey, ledger: fixture.ledger.clone(), outbox };
    let redis::Value::Array(time) = fixture.server.request(&["TIME"]) else { panic!("TIME is a list") };
    let seconds: i64 = redis::from_redis_value(time[0].clone()).unwrap();
    // What this process takes for the time does not matter.
    for wrong in [Timestamp(0), Timestamp::MAX] {
        let reply = process.ask(wrong, ask(announce(1))).await;
        assert!(
            matches!(reply, Reply::Outcome { at, .. } if (0..60_000).contains(&at.ms_since(Timestamp(seconds * 1000))))
        );
    }
    // A sale whose last event lies in the server's future continues from that moment.
    let ahead = Timestamp(seconds * 1000).plus_s(1_000_000);
    let other = SaleId(Uuid::from_u64_pair(0x5a1e, 2));
    let mut state = sale::SaleState::new();
    let mut entries = Vec::new();
    state.step(ahead, &announce_until(ahead.plus_s(60)), &mut entries);
    let batch = engine::batch::Batch { sales: vec![(other, entries)], ..Default::default() };
    process.ledger.append(&batch).await.unwrap();
    let reply = process.ask(Timestamp(0), Request::Command { sale: other, command: reserve(1) }).await;
    assert!(matches!(reply, Reply::Outcome { at, .. } if at == ahead), "{reply:?}");
}

fn announce_until(ends_at: Timestamp) -> Command {
    let Command::Configure { mut policy } = announce(1) else { panic!("an announcement is one") };
    policy.ends_at = ends_at;
    Command::Configure { policy }
}

#[tokio::test]
async fn what_was_decided_waits_in_the_outbox_until_it_is_recorded() {
    let (fixture, mut process) = ValkeyFixture::with_sale(&[], 5).await;
    let decided = process.decide(START, &[ask(reserve(1)), ask(reserve(2))]).await.unwrap();
    assert!(matches!(&decided.replies[1], Reply::Outcome { outcome: CommandOutcome::Order { .. }, .. }));
    // The process dies here; another one finds what it has left, records it, and takes it out.
    drop(process);
    let mut other = fixture.process("second").await;
    let waiting = other.outbox.read_items(SALE, 10).await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].epoch, &waiting[0].entries), (Epoch(1), &decided.batch.sales[0].1));
    assert_eq!(waiting[0].first(), Some(decided.batch.calls[0].before.next()));
    assert_eq!(waiting[0].last(), decided.batch.calls[0].last);
    other.ledger.append(&decided.batch).await.unwrap();
    other.outbox.trim(&recorded(&decided.batch)).await.unwrap();
    assert_eq!(other.outbox.read_items(SALE, 10).await.unwrap(), vec![]);
    assert!(is_repeated(&other.buy(START, 1).await));
}
