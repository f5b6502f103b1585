//! Random histories, played in Rust and in Redis: every outcome, event and counter, and at the end the reply to every query must
//! be the same. Some sales are restored again in mid-history, some of those from a ledger that lacks an event.
//!
//! `DOORBUSTER_SEED=n` plays the histories of one run again, `DOORBUSTER_HISTORIES=n` plays that many.

use crate::history::{Sale, TimedCommand, any_sale};
use crate::machine::{LibraryClient, batch, outcome, runtime};
use engine::batch::Epoch;
use engine::decide::valkey::{CALL_LEN_MAX, LibraryAnswer, LibraryCall, LibraryReply, LibraryRequest};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};
use sale::{BuyerId, Command, CommandOutcome, LedgerEntry, SaleId, SaleState, Timestamp};
use test_servers::redis::RedisServer;

/// Histories a run.
const HISTORIES: u32 = 5_000;
/// Histories that run at the same time, so that round trips overlap.
const AT_ONCE: u64 = 64;

/// When the state is restored again, as a share of the history; and at which share of the ledger an event is missing then.
type BreakOff = Option<(f64, Option<f64>)>;

#[test]
fn random_histories_come_out_as_in_memory() {
    let chosen = std::env::var("DOORBUSTER_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed: u64 = chosen.unwrap_or_else(rand::random);
    let histories = std::env::var("DOORBUSTER_HISTORIES").map_or(HISTORIES, |count| count.parse().unwrap());
    let replay = format!("DOORBUSTER_SEED={seed} cargo test -p engine --test valkey random_histories");
    println!("{replay}");
    let bytes = [seed.to_le_bytes(), (!seed).to_le_bytes()].concat();
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let break_off = prop::option::weighted(0.3, (0.0..1.0f64, prop::option::weighted(0.3, 0.0..1.0f64)));
    let strategy = (any_sale(), break_off);

    let server = RedisServer::start();
    let runtime = runtime();
    let mut machines: Vec<LibraryClient> =
        (0..AT_ONCE).map(|no| LibraryClient::at(&server.url(), no)).collect();
    let mut played = 0;
    while played < histories {
        let mut trees: Vec<_> = machines.iter().map(|_| strategy.new_tree(&mut runner).unwrap()).collect();
        let games = machines.iter_mut().zip(&trees).map(|(redis, tree)| async {
            let (sale, break_off) = tree.current();
            play(redis, &sale, break_off).await
        });
        let results = runtime.block_on(futures::future::join_all(games));
        if let Some(failed) = results.iter().position(Result::is_err) {
            let mut play = |(sale, break_off): (Sale, BreakOff)| {
                runtime.block_on(play(&mut machines[failed], &sale, break_off)).err()
            };
            let error = shrink(&mut trees[failed], &mut play);
            let (sale, break_off) = trees[failed].current();
            panic!("{replay}\n{error:?}\nrestored again: {break_off:?}, in {sale:?}");
        }
        played += u32::try_from(results.len()).unwrap();
    }
}

/// Looks for the shortest history that still fails, and returns what is wrong with it.
fn shrink<T: ValueTree>(
    tree: &mut T,
    fails: &mut dyn FnMut(T::Value) -> Option<TestCaseError>,
) -> TestCaseError {
    let mut error = fails(tree.current()).expect("a history that differs differs again");
    while tree.simplify() {
        loop {
            match fails(tree.current()) {
                Some(simpler) => {
                    error = simpler;
                    break;
                }
                None if tree.complicate() => {}
                None => return error,
            }
        }
    }
    error
}

/// Plays a history on both.
async fn play(redis: &mut LibraryClient, sale: &Sale, break_off: BreakOff) -> TestCaseResult {
    let commands = sale.commands();
    let (first, second) =
        commands.split_at(break_off.map_or(commands.len(), |(at, _)| share(at, commands.len())));
    let mut state = SaleState::new();
    let id = redis.begin(&state).await;
    let entries = compare(redis, id, &mut state, first).await?;
    if let Some((_, hole)) = break_off {
        let hole = hole.map(|hole| share(hole, entries.len()));
        state = SaleState::new();
        let kept = entries.iter().enumerate().filter(|(at, _)| Some(*at) != hole);
        kept.for_each(|(_, entry)| state.apply(entry));
        redis.restore_state(id, Epoch(2), &state).await;
        compare(redis, id, &mut state, second).await?;
    }
    compare_whole(redis, id, &state).await
}

/// Plays commands on both, those of one moment in one call.
async fn compare(
    redis: &mut LibraryClient,
    id: SaleId,
    state: &mut SaleState,
    commands: &[TimedCommand],
) -> Result<Vec<LedgerEntry>, TestCaseError> {
    let moments = commands.chunk_by(|one, next| one.0 == next.0);
    let calls: Vec<&[TimedCommand]> = moments.flat_map(|moment| moment.chunks(CALL_LEN_MAX)).collect();
    let batches: Vec<LibraryCall<'_>> =
        calls.iter().map(|call| batch(id, call[0].0, requests(call))).collect();
    let mut all = Vec::new();
    for (call, reply) in calls.iter().zip(redis.decide(&batches).await) {
        let mut left = reply.entries.as_slice();
        prop_assert_eq!(reply.seq_before, state.seq());
        for ((now, command), (happened, answer)) in call.iter().zip(&reply.answers) {
            let mut expected = Vec::new();
            let result: CommandOutcome = state.step(*now, command, &mut expected);
            let (got, rest) = left.split_at(*happened as usize);
            left = rest;
            prop_assert_eq!(&outcome(answer), &result, "to {:?} at {:?}", command, now);
            prop_assert_eq!(got, expected.as_slice(), "by {:?} at {:?}", command, now);
            all.extend(expected);
        }
        compare_counters(&reply, state, call.last().map_or(state.latest_time(), |last| last.0))?;
    }
    Ok(all)
}

fn requests(call: &[TimedCommand]) -> Vec<LibraryRequest<'_>> {
    call.iter().map(|(_, command)| LibraryRequest::Command(command)).collect()
}

fn compare_counters(reply: &LibraryReply, state: &SaleState, now: Timestamp) -> TestCaseResult {
    prop_assert_eq!(reply.counters, state.counters());
    prop_assert_eq!(reply.at, now.max(state.latest_time()));
    prop_assert_eq!(
        (reply.announced, reply.switches.is_closed),
        (state.policy().is_some(), state.is_closed())
    );
    prop_assert_eq!(reply.switches.paused_at, state.paused_at());
    prop_assert_eq!(reply.due, state.next_due());
    let result = reply.policy.1.clone().or_else(|| state.policy().cloned());
    prop_assert_eq!(result.as_ref(), state.policy());
    Ok(())
}

/// Every query.
async fn compare_whole(redis: &mut LibraryClient, id: SaleId, state: &SaleState) -> TestCaseResult {
    let buyers: Vec<BuyerId> = state.buyers().map(|(buyer, _)| buyer).collect();
    let orders: Vec<_> = state.orders().map(|order| order.id).collect();
    let mut requests = vec![LibraryRequest::Line(0, 100), LibraryRequest::Line(1, 2)];
    requests.extend(
        buyers.iter().flat_map(|buyer| [LibraryRequest::Buyer(*buyer), LibraryRequest::OrdersOf(*buyer)]),
    );
    requests.extend(orders.iter().map(|order| LibraryRequest::Order(*order)));
    let unknown_buyer = sale::tape::buyer("nobody");
    requests.extend([LibraryRequest::Buyer(unknown_buyer), LibraryRequest::Order(sale::tape::order("none"))]);
    let mut state = state.clone();
    let at = state.latest_time();
    let reply = redis.call(id, at, requests).await;
    let mut entries = Vec::new();
    if state.next_due().is_some_and(|due| due <= at) {
        state.step(at, &Command::Tick, &mut entries);
    }
    prop_assert_eq!(&reply.entries, &entries);
    let mut expected = vec![
        LibraryAnswer::Line(state.line_members(None, 100)),
        LibraryAnswer::Line(state.line_members(Some(sale::Ticket(1)), 2)),
    ];
    for buyer in buyers {
        expected.extend([
            LibraryAnswer::Buyer(state.buyer(buyer)),
            LibraryAnswer::Orders(state.buyer_orders(buyer).collect()),
        ]);
    }
    expected
        .extend(orders.iter().map(|order| LibraryAnswer::Orders(state.order(*order).into_iter().collect())));
    expected.extend([LibraryAnswer::Buyer(state.buyer(unknown_buyer)), LibraryAnswer::Orders(vec![])]);
    let got: Vec<LibraryAnswer> = reply.answers.into_iter().map(|(_, answer)| answer).collect();
    prop_assert_eq!(got, expected);
    compare_stored_counters(redis, id, &state).await
}

async fn compare_stored_counters(redis: &mut LibraryClient, id: SaleId, state: &SaleState) -> TestCaseResult {
    let mut query = batch(id, state.latest_time(), vec![]);
    query.time = engine::decide::valkey::CallTime::ReadOnly;
    query.known_policy = sale::EventSeq(0);
    let reply = redis.decide(&[query]).await.remove(0);
    if state.policy().is_some() && state.seq().0 > 0 {
        prop_assert_eq!(reply.policy.1.as_ref(), state.policy());
    }
    compare_counters(&reply, state, state.latest_time())
}

/// The index at a share of a length.
fn share(share: f64, len: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a small length")]
    let index = (share * len as f64) as usize;
    index
}
