//! Many instances at once: each unit is sold once, each answer is durable, and all instances come to show the same.

use crate::fixture::{ClusterFixture, SALE, announce, buy, is_order};
use crate::line_history::play_and_compare;
use crate::support::{order_id, sale_id};
use engine::{Engine, RunningEngine};
use sale::{CommandOutcome, Event, Refusal};
use std::collections::HashSet;
use test_servers::wait::{HANG_LIMIT, eventually};

const UNITS: u32 = 200;
const BUYERS: u64 = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_instances_sell_each_unit_once_and_confirm_only_recorded_orders() {
    let fixture = ClusterFixture::new().await;
    let engines: Vec<RunningEngine> = (0..3).map(|_| fixture.engine()).collect();
    announce(&engines[0].engine, UNITS, 300).await;
    let reader = fixture.reader().await;
    let buying: Vec<_> = (0..BUYERS)
        .map(|no| {
            let engine = engines[usize::try_from(no % 3).unwrap()].engine.clone();
            let other = engines[usize::try_from((no + 1) % 3).unwrap()].engine.clone();
            tokio::spawn(async move {
                let outcome = buy(&engine, no).await;
                // Another instance replies the same, from the same row.
                let again = buy(&other, no).await;
                (no, outcome, again)
            })
        })
        .collect();
    let mut confirmed = HashSet::new();
    for bought in buying {
        let (no, outcome, again) = bought.await.unwrap();
        match outcome {
            CommandOutcome::Order { order, .. } => {
                assert_eq!(order.id, order_id(no, 1));
                assert!(
                    matches!(again, CommandOutcome::Order { repeated: true, order } if order.id == order_id(no, 1))
                );
                confirmed.insert(order.id);
            }
            CommandOutcome::Refused(Refusal::AllHeld) => assert!(!is_order(&again)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(confirmed.len(), UNITS as usize);
    let entries = fixture.sound_entries().await;
    let held = entries.iter().filter_map(|entry| match entry.event {
        Event::Held { order, .. } => Some(order),
        _ => None,
    });
    assert_eq!(held.collect::<HashSet<_>>(), confirmed);
    let last = entries.last().unwrap().seq;
    for engine in &engines {
        eventually("all instances show the last event", HANG_LIMIT, async || {
            engine.engine.views().get(sale_id(SALE)).is_some_and(|view| view.seq == last)
        })
        .await;
    }
    drop(reader);
    engines.into_iter().for_each(RunningEngine::stop);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_ends_once_though_all_instances_see_to_it_and_its_unit_goes_to_the_next() {
    let fixture = ClusterFixture::new().await;
    let engines: Vec<RunningEngine> = (0..3).map(|_| fixture.engine()).collect();
    announce(&engines[0].engine, 1, 1).await;
    assert!(is_order(&buy(&engines[1].engine, 1).await));
    assert!(!is_order(&buy(&engines[2].engine, 2).await));
    fixture.wait_until_recorded(3).await;
    assert!(is_order(&buy(&engines[2].engine, 3).await));
    let entries = fixture.sound_entries().await;
    let expired = entries.iter().filter(|entry| matches!(entry.event, Event::Released { .. }));
    assert_eq!(expired.count(), 1);
    engines.into_iter().for_each(RunningEngine::stop);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_that_was_just_announced_is_found() {
    let fixture = ClusterFixture::new().await;
    let (first, second) = (fixture.engine(), fixture.engine());
    announce(&first.engine, 5, 300).await;
    assert_eq!(second.engine.sale(sale_id(SALE)).await.unwrap().counters.available, 5);
    assert!(is_order(&buy(&second.engine, 1).await));
    assert!(second.engine.sale(sale_id(2)).await.is_err());
    eventually("it is shown without being asked for", HANG_LIMIT, async || {
        first.engine.views().get(sale_id(SALE)).is_some_and(|view| view.counters.held == 1)
    })
    .await;
    first.stop();
    second.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_buyer_has_the_place_that_any_instance_answers_in_the_line_that_is_read() {
    let fixture = ClusterFixture::new().await;
    let instances = [fixture.engine(), fixture.engine()];
    let engines: Vec<&Engine> = instances.iter().map(|instance| &instance.engine).collect();
    for seed in 0..2 {
        play_and_compare(&engines, seed).await;
    }
    instances.into_iter().for_each(RunningEngine::stop);
}
