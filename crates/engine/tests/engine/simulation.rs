//! Many small worlds: the two stages, clients and a ledger that fails at every point, under a seeded scheduler.
//!
//! `DOORBUSTER_SEED=n` replays one run, `DOORBUSTER_SEEDS=n` runs that many.

use crate::executor::{Executor, pause_ms, step_aside};
use crate::ledger::{Faults, NO_FAULTS, SimLedger};
use crate::support::{
    START, assert_promises_kept, buyer_id, fold, is_worth_retrying, order_id, policy, request_key, sale_id,
};
use engine::clock::ManualClock;
use engine::decide::memory::MemoryDecider;
use engine::pipeline::{Pipeline, PipelineLimits, assemble_pipeline};
use engine::{CommandReply, Engine, EngineError};
use futures::FutureExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sale::{
    AdmissionMode, BuyerId, Command, CommandOutcome, Event, EventSeq, OrderId, OrderStatus, ReleaseReason,
    SaleId, SaleState,
};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use tokio::sync::watch;

const SEEDS: u64 = 600;
const CLIENTS: u64 = 16;
const SALES: u64 = 3;

#[test]
fn no_world_breaks_a_promise() {
    let chosen: Option<u64> = std::env::var("DOORBUSTER_SEED").ok().map(|seed| seed.parse().unwrap());
    let count = std::env::var("DOORBUSTER_SEEDS").map_or(SEEDS, |count| count.parse().unwrap());
    let seeds = match chosen {
        Some(seed) => seed..seed + 1,
        None => {
            let first = u64::from(rand::random::<u32>());
            first..first + count
        }
    };
    let mut failed_appends = 0;
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| world(seed))) {
            Ok(failed) => failed_appends += failed,
            Err(panic) => {
                println!("world {seed} failed; replay it with");
                println!("  DOORBUSTER_SEED={seed} cargo test -p engine --test engine no_world_breaks");
                resume_unwind(panic);
            }
        }
    }
    assert!(chosen.is_some() || u64::from(failed_appends) > count / 2, "the ledger hardly ever failed");
}

/// Runs one simulation, and returns how often its ledger failed.
fn world(seed: u64) -> u32 {
    let mut rng = StdRng::seed_from_u64(seed);
    let faults = match rng.random_range(0..4) {
        0 => NO_FAULTS,
        _ => Faults {
            append: rng.random_range(1..30),
            probe: rng.random_range(0..50),
            scan: rng.random_range(0..40),
        },
    };
    let limits = PipelineLimits {
        queue_len: *[1, 4, 64].get(rng.random_range(0..3)).unwrap(),
        batch_len_max: *[1, 3, 64].get(rng.random_range(0..3)).unwrap(),
    };
    let ledger = SimLedger::new(StdRng::seed_from_u64(rng.random()), faults);
    let clock = ManualClock::at(START);
    let Pipeline { engine, decide, record } = assemble_pipeline(
        MemoryDecider::default(),
        ledger.clone(),
        Arc::new(ledger.clone()),
        clock.clone(),
        limits,
    );

    let mut executor = Executor::new(rng.random(), clock);
    executor.spawn("decide", decide.run());
    executor.spawn("record", record.run());
    let (done, all_done) = watch::channel(0);
    for no in 0..=CLIENTS {
        let world = SimWorld { engine: engine.clone(), ledger: ledger.clone() };
        let rng = StdRng::seed_from_u64(rng.random());
        let done = done.clone();
        executor.spawn(format!("client {no}"), async move {
            match no {
                0 => merchant(world, rng).await,
                _ => Client { world, rng, no, orders: Vec::new(), requests: 0 }.run().await,
            }
            done.send_modify(|count| *count += 1);
        });
    }
    executor.spawn(
        "watcher",
        watcher(SimWorld { engine: engine.clone(), ledger: ledger.clone() }, all_done.clone()),
    );
    let world = SimWorld { engine, ledger: ledger.clone() };
    executor.spawn("end", end(world, all_done, done));
    executor.run();
    ledger.appends_failed()
}

struct SimWorld {
    engine: Engine,
    ledger: SimLedger,
}

impl SimWorld {
    /// Asks until there is an answer.
    async fn command(&self, sale: SaleId, command: &Command) -> CommandReply {
        loop {
            match self.engine.command(sale, command.clone()).await {
                Ok(answer) => {
                    self.check(sale, command, &answer);
                    return answer;
                }
                Err(error) if is_worth_retrying(error) => pause_ms(self.engine.clock(), 20).await,
                Err(error) => panic!("{command:?}: {error}"),
            }
        }
    }

    /// What was answered as done is in the ledger at the moment of the answer.
    fn check(&self, sale: SaleId, command: &Command, answer: &CommandReply) {
        let seq = answer.seq;
        assert!(
            seq <= self.ledger.last(sale),
            "answered at {seq}, recorded up to {}",
            self.ledger.last(sale)
        );
        let has = |is_it: &dyn Fn(&Event) -> bool| self.ledger.has(sale, is_it);
        let kept = match (&answer.outcome, command) {
            (CommandOutcome::Joined { ticket, .. }, Command::Join { buyer }) => {
                has(&|event| *event == Event::Joined { buyer: *buyer, ticket: *ticket })
            }
            (CommandOutcome::Extended { ticket: extended, .. }, _) => {
                has(&|event| matches!(event, Event::Extended { ticket, .. } if ticket == extended))
            }
            (CommandOutcome::Left { ticket: left }, _) => {
                has(&|event| matches!(event, Event::Left { ticket, .. } if ticket == left))
            }
            (CommandOutcome::Order { order, .. }, _) => match order.status {
                OrderStatus::Pending { paying_until: Some(_), .. } => {
                    has(&|event| matches!(event, Event::PaymentBegun { order: id, .. } if *id == order.id))
                }
                OrderStatus::Pending { .. } => {
                    has(&|event| matches!(event, Event::Held { order: id, .. } if *id == order.id))
                }
                OrderStatus::Confirmed => {
                    has(&|event| matches!(event, Event::Confirmed { order: id, .. } if *id == order.id))
                }
                OrderStatus::Refunded { .. } => {
                    has(&|event| matches!(event, Event::Refunded { order: id, .. } if *id == order.id))
                }
                _ => has(&|event| matches!(event, Event::Released { order: id, .. } if *id == order.id)),
            },
            (CommandOutcome::Done, Command::Configure { .. }) => {
                has(&|event| matches!(event, Event::Configured { .. }))
            }
            (CommandOutcome::Done, Command::Pause) => has(&|event| *event == Event::Paused),
            _ => true,
        };
        assert!(kept, "{command:?} was answered with {:?}, which is not in the ledger", answer.outcome);
    }
}

/// Announces the sales, then disturbs them.
async fn merchant(world: SimWorld, mut rng: StdRng) {
    for no in 0..SALES {
        let admission = match no {
            0 => AdmissionMode::Open,
            _ => AdmissionMode::Fifo {
                per_second: rng.random_range(1..8),
                checkout_s: rng.random_range(1..6),
                line_opens_s: 5,
                extension_s: rng.random_range(0..4),
            },
        };
        let hold_s = if no == 2 { 0 } else { rng.random_range(1..5) };
        let policy =
            policy(rng.random_range(1..12), hold_s, START.plus_ms(rng.random_range(0..3_000)), admission);
        world.command(sale_id(no), &Command::Configure { policy }).await;
    }
    for _ in 0..rng.random_range(0..8) {
        pause_ms(world.engine.clock(), rng.random_range(0..3_000)).await;
        let sale = sale_id(rng.random_range(0..SALES));
        match rng.random_range(0..5) {
            0 => world.ledger.fail_next(rng.random_range(1..10)),
            1 => {
                world.command(sale, &Command::Pause).await;
                pause_ms(world.engine.clock(), rng.random_range(0..2_000)).await;
                world.command(sale, &Command::Resume).await;
            }
            2 | 3 => {
                // Not repeatable without a key: done once, whatever is answered.
                let _unknown =
                    world.engine.command(sale, Command::Restock { quantity: rng.random_range(1..4) }).await;
            }
            _ if rng.random_range(0..4) == 0 => {
                world.command(sale, &Command::Close).await;
            }
            _ => {}
        }
    }
}

struct Client {
    world: SimWorld,
    rng: StdRng,
    no: u64,
    orders: Vec<(SaleId, OrderId)>,
    requests: u64,
}

impl Client {
    async fn run(mut self) {
        let buyer = buyer_id(self.no);
        for _ in 0..self.rng.random_range(4..16) {
            let think_ms = self.rng.random_range(0..800);
            pause_ms(self.world.engine.clock(), think_ms).await;
            let sale = sale_id(self.rng.random_range(0..SALES));
            if !self.is_announced(sale).await {
                continue;
            }
            match self.rng.random_range(0..13) {
                0..=2 => {
                    self.world.command(sale, &Command::Join { buyer }).await;
                }
                3..=6 => self.reserve(sale, buyer).await,
                7 => {
                    self.world.command(sale, &Command::Leave { buyer }).await;
                }
                8..=9 => self.settle(buyer).await,
                10 => self.check_query(sale, buyer).await,
                11 => {
                    self.world.command(sale, &Command::Extend { buyer }).await;
                }
                _ => self.request_and_disconnect(sale, buyer).await,
            }
        }
    }

    async fn is_announced(&self, sale: SaleId) -> bool {
        match self.world.engine.buyer(sale, buyer_id(self.no)).await {
            Ok(_) => {
                assert!(
                    self.world.ledger.last(sale) > EventSeq(0),
                    "the engine has a sale that is not recorded"
                );
                true
            }
            Err(EngineError::NoSuchSale) => false,
            Err(error) => is_worth_retrying(error) && self.world.ledger.last(sale) > EventSeq(0),
        }
    }

    fn request(&mut self, buyer: BuyerId) -> (OrderId, Command) {
        self.requests += 1;
        let order = order_id(self.no, self.requests);
        let quantity = self.rng.random_range(1..=2);
        (order, Command::Reserve { buyer, order, quantity, key: request_key(self.requests) })
    }

    /// Reserves twice with the same key: whatever has failed in between, it is one order.
    async fn reserve(&mut self, sale: SaleId, buyer: BuyerId) {
        let (order, command) = self.request(buyer);
        let first = self.world.command(sale, &command).await;
        let CommandOutcome::Order { order: made, .. } = first.outcome else { return };
        assert_eq!(made.id, order);
        self.orders.push((sale, order));
        let again = self.world.command(sale, &command).await;
        let CommandOutcome::Order { order: same, repeated } = again.outcome else {
            panic!("a repeated request was refused: {:?}", again.outcome);
        };
        assert!(repeated && same.id == order);
        self.assert_made_once(sale, order);
    }

    fn assert_made_once(&self, sale: SaleId, order: OrderId) {
        let is_making = |event: &Event| matches!(event, Event::Held { order: id, .. } | Event::Confirmed { order: id, key: Some(_), .. } if *id == order);
        let times = self.world.ledger.entries(sale).iter().filter(|entry| is_making(&entry.event)).count();
        assert_eq!(times, 1, "order {order} was made {times} times");
    }

    /// Pays, cancels or refunds one of the client's orders.
    async fn settle(&mut self, buyer: BuyerId) {
        if self.orders.is_empty() {
            return;
        }
        let (sale, order) = self.orders[self.rng.random_range(0..self.orders.len())];
        let command = match self.rng.random_range(0..7) {
            0 => Command::Release { buyer, order, reason: ReleaseReason::Cancelled },
            1 => Command::Refund { order, restock: self.rng.random() },
            2 | 3 => Command::BeginPayment { buyer, order },
            4 => Command::EndPayment { buyer, order },
            _ => Command::Confirm { buyer, order },
        };
        self.world.command(sale, &command).await;
    }

    /// A question is answered from what is durable.
    async fn check_query(&mut self, sale: SaleId, buyer: BuyerId) {
        let recorded_before = self.world.ledger.last(sale);
        if let Ok(view) = self.world.engine.buyer(sale, buyer).await {
            let entries = self.world.ledger.entries(sale);
            let recorded_meanwhile = recorded_before.0 as usize..=entries.len();
            let result = recorded_meanwhile.into_iter().any(|len| fold(&entries[..len]).buyer(buyer) == view);
            assert!(result, "the engine returned {view:?}, which matches no recorded state");
        }
    }

    /// Sends a request and drops its reply; a repetition with its key returns what became of it.
    async fn request_and_disconnect(&mut self, sale: SaleId, buyer: BuyerId) {
        let (order, command) = self.request(buyer);
        let limit = self.rng.random_range(0..6);
        let call = self.world.engine.command(sale, command.clone());
        futures::pin_mut!(call);
        // After one poll the engine has the request, also when the caller drops it.
        let _answered = call.as_mut().now_or_never();
        step_aside(limit).await;
        if let CommandOutcome::Order { .. } = self.world.command(sale, &command).await.outcome {
            self.assert_made_once(sale, order);
            self.orders.push((sale, order));
        }
    }
}

/// Checks that views are never ahead of the ledger, never go backwards, and agree with the ledger.
async fn watcher(world: SimWorld, mut all_done: watch::Receiver<u64>) {
    let mut changes = world.engine.views().subscribe_changes();
    let mut known: HashMap<SaleId, SaleState> = HashMap::new();
    let over = all_done.wait_for(|done| *done > CLIENTS + 1);
    futures::pin_mut!(over);
    loop {
        for view in world.engine.views().list() {
            let entries = world.ledger.entries(view.id);
            assert!(view.seq.0 <= entries.len() as u64, "a view is ahead of the ledger");
            let state = known.entry(view.id).or_default();
            assert!(view.seq >= state.seq(), "a view went backwards");
            for entry in &entries[state.seq().0 as usize..view.seq.0 as usize] {
                state.apply(entry);
            }
            assert_eq!(view.counters, state.counters());
            assert_eq!(Some(view.policy.as_ref()), state.policy());
            let now = world.engine.now();
            assert_eq!(view.phase(now), state.phase(now));
            if let Some(refusal) = view.refusal_for_all(now) {
                let command = Command::Reserve {
                    buyer: buyer_id(999),
                    order: order_id(999, 1),
                    quantity: 1,
                    key: None,
                };
                let outcome = state.clone().step(now, &command, &mut Vec::new());
                assert_eq!(
                    outcome,
                    CommandOutcome::Refused(refusal),
                    "the view refuses otherwise than the law"
                );
            }
        }
        let changed = changes.changed();
        futures::pin_mut!(changed);
        if let futures::future::Either::Left(_) = futures::future::select(&mut over, changed).await {
            return;
        }
    }
}

/// Checks that the engine's state agrees with the ledger once all clients have stopped and the ledger works again.
async fn end(world: SimWorld, mut all_done: watch::Receiver<u64>, done: watch::Sender<u64>) {
    drop(all_done.wait_for(|done| *done > CLIENTS).await.unwrap());
    world.ledger.heal();
    for no in 0..SALES {
        let sale = sale_id(no);
        // Decides at one moment, so that nothing is due between the questions.
        world.command(sale, &Command::Tick).await;
        let line = world.engine.line_members(sale, None, usize::MAX).await.unwrap();
        let seq = world.command(sale, &Command::Tick).await.seq;
        let entries = world.ledger.entries(sale);
        assert_promises_kept(sale, &entries);
        let state = fold(&entries[..seq.0 as usize]);
        assert_eq!(line.len(), state.line_members(None, usize::MAX).len());
        for client in 1..=CLIENTS {
            let buyer = buyer_id(client);
            let before = world.ledger.last(sale);
            let view = world.engine.buyer(sale, buyer).await.unwrap();
            let entries = world.ledger.entries(sale);
            let result =
                (before.0 as usize..=entries.len()).any(|len| fold(&entries[..len]).buyer(buyer) == view);
            assert!(result, "after recovery the engine returned {view:?}, which differs from the ledger");
        }
    }
    assert!(world.engine.is_recording());
    done.send_modify(|count| *count += 1);
    world.engine.begin_stop();
}
